// One connection for all tabs of a browser. The tab that holds the lock has the socket and passes on what
// arrives; the others follow it, and what they write goes out through it. Each tab keeps its own account of
// the stream, so that any of them can take over: it begins at the present, and what is missing is found as
// after any other loss. Knows who leads and what is passed on; the connection itself is in ws.ts.
import { assertNever } from "../model/assertNever";
import type { ConversationId, Readable, Seq, UserId } from "../model/types";
import type { ClientFrame, Resume, ServerFrame } from "../protocol";
import { createStore } from "../store";
import type { ChatSocket, ConnectionState } from "../ws";
import { LINE_VERSION, type LineMessage, type Tabs } from "./environment";

export interface SharedSocketOptions {
  makeSocket: () => ChatSocket;
  tabs: Tabs;
  me: UserId;
  /** Of this page among the tabs. */
  name: string;
  now: () => number;
  after: (ms: number, callback: () => void) => () => void;
}

type Role =
  | { at: "idle" }
  /** Neither holds the lock nor has heard who does. */
  | { at: "seeks"; cancel: () => void }
  /** `synced`: the stream of this leader was live here; only then what it resumes was resumed here too. */
  | { at: "follows"; leader: string; synced: boolean; cancel: () => void }
  | { at: "leads"; socket: ChatSocket; live: boolean; online: Set<UserId>; ends: (() => void)[] };

/** A leader that says nothing for this long is frozen or broken, whatever it holds. */
const PATIENCE_MS = 5_000;
/** How often one that follows asks whether the leader is still there. */
const PROBE_MS = 20_000;

export class SharedSocket {
  private role: Role = { at: "idle" };
  private readonly published = createStore<ConnectionState>({ at: "idle" });
  private readonly leading = createStore(false);
  private readonly listeners = new Set<(frame: ServerFrame) => void>();
  private lock: ReturnType<Tabs["lead"]> | null = null;
  /** Where an earlier page stopped; of use until this one has heard anything. */
  private first: Resume | null = null;
  private readonly endListening: () => void;

  readonly state: Readable<ConnectionState> = this.published;
  readonly leads: Readable<boolean> = this.leading;

  constructor(private readonly options: SharedSocketOptions) {
    this.endListening = options.tabs.listen((message) => {
      if (message.type === "line" && message.user === options.me) this.heard(message.line);
    });
  }

  restore(resume: Resume): void {
    this.first = resume;
  }

  connect(): void {
    if (this.role.at === "idle") this.seek();
  }

  /** Until `connect`: the page sleeps, and must not keep the others waiting. */
  rest(): void {
    this.leave();
    this.publish({ at: "idle" });
  }

  close(): void {
    this.rest();
    this.endListening();
  }

  /** False where there is no connection; whoever needs the frame sent keeps it. */
  send(frame: ClientFrame): boolean {
    const { role } = this;
    if (role.at === "leads") {
      if (!role.socket.send(frame)) return false;
      this.echo(frame, false);
      return true;
    }
    if (role.at !== "follows" || this.published.get().at !== "open") return false;
    // The leader watches the same people, and has received the same.
    const said = frame.type === "watch" || (frame.type === "mark" && frame.read === undefined);
    if (!said) this.post({ at: "write", to: role.leader, frame });
    return true;
  }

  onFrame(listener: (frame: ServerFrame) => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  reached(conversation: ConversationId, seq: Seq): void {
    if (this.role.at === "leads") this.role.socket.reached(conversation, seq);
  }

  left(conversation: ConversationId): void {
    if (this.role.at === "leads") this.role.socket.left(conversation);
  }

  /** Only the leader knows how far the stream was heard without a gap. */
  resume(): Resume | null {
    return this.role.at === "leads" ? this.role.socket.resume() : null;
  }

  offline(): void {
    if (this.role.at === "leads") this.role.socket.offline();
  }

  retryNow(): void {
    const { role } = this;
    if (role.at === "leads") role.socket.retryNow();
    if (role.at !== "follows") return;
    this.post({ at: "wake", to: role.leader });
    this.probe();
  }

  // ---- who leads ----

  private seek(): void {
    const { tabs, me, after, now } = this.options;
    this.role = { at: "seeks", cancel: after(PATIENCE_MS, () => this.lock?.steal()) };
    if (this.published.get().at !== "connecting") this.publish({ at: "connecting", attempt: 0, since: now() });
    if (this.lock === null) {
      // May be held at once.
      const lock = tabs.lead(me, { held: () => this.lead(), lost: () => this.resign() });
      this.lock = lock;
    }
    if (this.seeks()) this.post({ at: "hello", from: this.options.name });
  }

  private seeks(): boolean {
    return this.role.at === "seeks";
  }

  private lead(): void {
    this.endRole();
    const socket = this.options.makeSocket();
    if (this.first !== null) socket.restore(this.first);
    this.first = null;
    const role: Role = { at: "leads", socket, live: false, online: new Set(), ends: [] };
    this.role = role;
    role.ends.push(
      socket.state.subscribe(() => {
        if (socket.state.get().at !== "open") role.live = false;
        this.publish(socket.state.get());
        this.tellState(null);
      }),
      socket.onFrame((frame) => this.arrived(frame)),
    );
    this.leading.set(true);
    socket.connect();
  }

  /** Another tab took the lock, because this one did not answer. */
  private resign(): void {
    this.lock = null;
    if (this.role.at !== "leads") return;
    this.endRole();
    this.seek();
  }

  private leave(): void {
    const led = this.role.at === "leads";
    this.endRole();
    if (led) this.post({ at: "gone", leader: this.options.name });
    this.lock?.release();
    this.lock = null;
  }

  private endRole(): void {
    const { role } = this;
    this.role = { at: "idle" };
    switch (role.at) {
      case "idle":
        break;
      case "seeks":
      case "follows":
        role.cancel();
        break;
      case "leads":
        for (const end of role.ends) end();
        role.socket.close();
        this.leading.set(false);
        break;
      default:
        assertNever(role);
    }
  }

  // ---- leading ----

  private arrived(frame: ServerFrame): void {
    if (this.role.at !== "leads") return;
    if (frame.type === "welcome") {
      this.role.live = false;
      this.role.online.clear();
    }
    if (frame.type === "synced") this.role.live = true;
    if (frame.type === "presence") {
      if (frame.online) this.role.online.add(frame.user);
      else this.role.online.delete(frame.user);
    }
    this.deliver(frame);
    if (concernsAll(frame)) this.post({ at: "frame", leader: this.options.name, frame });
  }

  private tellState(to: string | null): void {
    if (this.role.at !== "leads") return;
    const { live, online } = this.role;
    this.post({ at: "state", leader: this.options.name, to, state: this.published.get(), live, online: [...online] });
  }

  /** The server does not tell a session its own marks: the other tabs learn them here. */
  private echo(frame: ClientFrame, here: boolean): void {
    if (frame.type !== "mark") return;
    const { conversation, received = 0, read = 0 } = frame;
    const receipt: ServerFrame = { type: "receipt", conversation, marker: { user: this.options.me, received: Math.max(received, read), read } };
    if (here) this.deliver(receipt);
    this.post({ at: "frame", leader: this.options.name, frame: receipt });
  }

  // ---- following ----

  private follow(leader: string, state: ConnectionState, live: boolean, online: readonly UserId[]): void {
    this.endRole();
    this.first = null;
    this.role = { at: "follows", leader, synced: false, cancel: this.options.after(PROBE_MS, () => this.probe()) };
    this.publish(state);
    if (state.at !== "open") return;
    // What was said before is not known here: as if the stream began now.
    this.deliver({ ...state.welcome, resumed: false });
    for (const user of online) this.deliver({ type: "presence", user, online: true });
    if (live) this.followed({ type: "synced", token: "" });
  }

  private followed(frame: ServerFrame): void {
    if (this.role.at !== "follows") return;
    if (frame.type === "welcome") this.deliver({ ...frame, resumed: frame.resumed && this.role.synced });
    else this.deliver(frame);
    if (frame.type === "synced" && this.role.at === "follows") this.role.synced = true;
  }

  /** Asks whether the leader is there; if not, in a moment another one is. */
  private probe(): void {
    const { role } = this;
    if (role.at !== "follows") return;
    role.cancel();
    role.cancel = this.options.after(PATIENCE_MS, () => {
      if (this.role !== role) return;
      this.endRole();
      this.seek();
      this.lock?.steal();
    });
    this.post({ at: "probe", from: this.options.name, to: role.leader });
  }

  private heard(line: LineMessage): void {
    const { role } = this;
    const { name } = this.options;
    switch (line.at) {
      case "hello":
        if (role.at === "leads") this.tellState(line.from);
        break;
      case "probe":
        if (role.at === "leads" && line.to === name) this.post({ at: "here", leader: name, to: line.from });
        break;
      case "wake":
        if (role.at === "leads" && line.to === name) role.socket.retryNow();
        break;
      case "write":
        if (role.at === "leads" && line.to === name && role.socket.send(line.frame)) this.echo(line.frame, true);
        break;
      case "here":
        if (role.at !== "follows" || line.to !== name || line.leader !== role.leader) break;
        role.cancel();
        role.cancel = this.options.after(PROBE_MS, () => this.probe());
        break;
      case "state":
        if (role.at !== "seeks" && role.at !== "follows") break;
        if (line.to === name) this.follow(line.leader, line.state, line.live, line.online);
        else if (role.at === "follows" && role.leader === line.leader) this.publish(line.state);
        // Somebody else leads now.
        else if (line.to === null) this.post({ at: "hello", from: name });
        break;
      case "frame":
        if (role.at === "follows" && role.leader === line.leader) this.followed(line.frame);
        break;
      case "gone":
        if (role.at !== "follows" || role.leader !== line.leader) break;
        this.endRole();
        this.seek();
        break;
      default:
        assertNever(line);
    }
  }

  private deliver(frame: ServerFrame): void {
    for (const listener of [...this.listeners]) listener(frame);
  }

  private publish(state: ConnectionState): void {
    this.published.set(state);
  }

  private post(line: LineMessage): void {
    this.options.tabs.post({ type: "line", version: LINE_VERSION, user: this.options.me, line });
  }
}

/** Not the answers to the tab that sends, nor what concerns the connection. */
function concernsAll(frame: ServerFrame): boolean {
  switch (frame.type) {
    case "ack":
    case "drain":
    case "expiring":
      return false;
    case "error":
      return frame.key === null;
    case "welcome":
    case "synced":
    case "reset":
    case "left":
    case "done":
    case "event":
    case "receipt":
    case "typing":
    case "presence":
    case "pong":
      return true;
    default:
      return assertNever(frame);
  }
}
