// A chat server of one's own for a test: the real binary on a private port with a private folder, that
// can be killed without warning and started again in the same place.
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";

const BINARY = process.env.CHAT_SERVER_BIN ?? resolve(import.meta.dirname, "../../target/debug/chat-server");
/** Long: the demo writes a thousand messages, and the machine may have other things to do. */
const START_PATIENCE_MS = 60_000;
const STOP_PATIENCE_MS = 20_000;

/** Asked from the system and given back: a restart needs the same one, so the server cannot choose it itself. */
async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const address = probe.address();
  probe.close();
  await once(probe, "close");
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

const pause = (ms: number) => new Promise((done) => setTimeout(done, ms));

/** A line of `chat-server export`. */
export interface ExportedRecord {
  event?: { conversation: string; seq: number; at: string; from: string; key?: string; event: { type: string; text?: string } };
  [kind: string]: unknown;
}

export class ChatServer {
  private child: ChildProcess | null = null;
  private output = "";

  private constructor(readonly port: number, private folder: string, private readonly demo: boolean) {}

  /** With a free port and an empty folder; running when this returns. */
  static async start({ demo = false } = {}): Promise<ChatServer> {
    const server = new ChatServer(await freePort(), await mkdtemp(join(tmpdir(), "chat-e2e-")), demo);
    await server.run();
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** What the server has printed so far. */
  get log(): string {
    return this.output;
  }

  /** Makes the first administrator. */
  get setUpLink(): string {
    const link = /First admin\s+(\S+)/.exec(this.output)?.[1];
    if (link === undefined) throw new Error(`no link in:\n${this.output}`);
    return link;
  }

  /** Of somebody in the demonstration. */
  passwordOf(name: string): string {
    const password = new RegExp(`Log in\\s+${name}\\s+(\\S+)`).exec(this.output)?.[1];
    if (password === undefined) throw new Error(`no password of ${name} in:\n${this.output}`);
    return password;
  }

  /** `chat-server user …` beside the running server. */
  async user(...words: string[]): Promise<string> {
    const { stdout } = await promisify(execFile)(BINARY, ["user", ...words, "--data-dir", this.folder]);
    return stdout;
  }

  /** Starts the process on the same port and folder as before, and waits until it answers. */
  async run(): Promise<void> {
    if (this.child !== null) throw new Error("the server runs already");
    const what = ["--listen", `127.0.0.1:${this.port}`, "--data-dir", this.folder, "--metrics-listen", "off", "--drain-clients", "100ms"];
    const child = spawn(BINARY, this.demo ? ["demo", ...what] : what, { stdio: ["ignore", "pipe", "pipe"] });
    this.child = child;
    let failure: Error | null = null;
    child.once("error", (error) => { failure = error; });
    for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk: Buffer) => { this.output += chunk.toString(); });
    const deadline = Date.now() + START_PATIENCE_MS;
    for (;;) {
      if (failure !== null) throw failure;
      if (child.exitCode !== null) throw new Error(`the server ended with ${child.exitCode}:\n${this.output}`);
      // The last line of what it prints when everything is ready, passwords and links among it.
      if (/^ +Settings /m.test(this.output) && (await this.answers())) return;
      if (Date.now() > deadline) throw new Error(`the server does not answer:\n${this.output}`);
      await pause(50);
    }
  }

  private async answers(): Promise<boolean> {
    try {
      return (await fetch(`${this.url}/healthz`)).ok;
    } catch {
      return false;
    }
  }

  /** As a power cut would: no goodbye to anybody. */
  async kill(): Promise<void> {
    await this.end("SIGKILL");
  }

  /** The orderly way; harder when it is not heard. */
  async stop(): Promise<void> {
    const { child } = this;
    const late = setTimeout(() => child?.kill("SIGKILL"), STOP_PATIENCE_MS);
    await this.end("SIGTERM");
    clearTimeout(late);
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    const { child } = this;
    if (child === null) return;
    this.child = null;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    // By its own handle, which is its pid: never a process that only has the same name.
    child.kill(signal);
    await ended;
  }

  /**
   * Takes everything out, lets `more` add lines to it, and begins again with that: the way to a long past
   * that is not sent message by message. Every tab of before has another epoch in front of it.
   */
  async refill(more: (records: readonly ExportedRecord[]) => ExportedRecord[]): Promise<void> {
    const run = promisify(execFile);
    const [before, after, next] = [`${this.folder}.before`, `${this.folder}.after`, await mkdtemp(join(tmpdir(), "chat-e2e-"))];
    await this.stop();
    try {
      await run(BINARY, ["export", before, "--data-dir", this.folder]);
      const records = (await readFile(before, "utf8")).split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as ExportedRecord);
      const body = more(records.slice(0, -1));
      await writeFile(after, [...body, { end: { records: body.length } }].map((record) => JSON.stringify(record)).join("\n") + "\n", { mode: 0o600 });
      await run(BINARY, ["import", after, "--data-dir", next]);
      // Who is signed in stays so.
      await copyFile(join(this.folder, "secret.key"), join(next, "secret.key"));
    } finally {
      await Promise.all([before, after, this.folder].map((path) => rm(path, { recursive: true, force: true })));
      this.folder = next;
    }
    await this.run();
  }

  /** Ends the process and removes what it wrote. */
  async dispose(): Promise<void> {
    await this.stop();
    await rm(this.folder, { recursive: true, force: true });
  }
}
