// Drives the outbox: writes each send down before it goes out, repeats it until there is an answer,
// and lets one tab do so for all. What a send may become is decided in model/outbox.ts.
import * as outbox from "../model/outbox";
import type { Outbox, Send } from "../model/outbox";
import type { ConversationId, FileInfo, Seq, UserId } from "../model/types";
import { clientKey, type ClientFrame, type Problem } from "../protocol";
import { createStore } from "../store";
import type { Environment } from "./environment";

export class Sender {
  readonly outbox = createStore<Outbox>([]);
  /** Not written down yet, so not to be sent yet. */
  private readonly unwritten = new Set<string>();
  private writing: Promise<void> = Promise.resolve();
  private ids = 0;
  private connected = false;
  private holder = false;
  private inFlightMax = 32;
  private cancel = (): void => {};
  private ended = false;

  constructor(
    private readonly env: Environment,
    private readonly me: UserId,
    private readonly write: (frame: ClientFrame) => boolean,
  ) {}

  /** Takes up what an earlier page, or a tab that closed, left behind. */
  async start(): Promise<void> {
    await this.restore();
  }

  /** From here on this tab sends for all, or another one does. */
  lead(on: boolean): void {
    if (this.holder === on || this.ended) return;
    this.holder = on;
    this.cancel();
    if (!on) return;
    // What another tab had on its way may have arrived; its key will tell.
    this.set(outbox.disconnected(this.outbox.get()));
    void this.restore().then(() => this.pump());
  }

  end(): void {
    this.ended = true;
    this.holder = false;
    this.cancel();
  }

  /** Whether this tab speaks for all of this browser. */
  leads(): boolean {
    return this.holder;
  }

  send(conversation: ConversationId, text: string, replyTo?: Seq, files: readonly FileInfo[] = []): void {
    const key = clientKey(this.env.newKey());
    if (key === null) throw new Error("a new key is printable and short");
    const answers = replyTo === undefined ? {} : { replyTo };
    const brings = files.length === 0 ? {} : { files };
    this.set(outbox.add(this.outbox.get(), { key, conversation, text, ...answers, ...brings, createdAt: this.env.socket.now() }));
    this.unwritten.add(key);
    this.note(key, () => this.unwritten.delete(key));
  }

  retry(key: string): void {
    this.set(outbox.retry(this.outbox.get(), key));
    this.note(key);
  }

  discard(key: string): void {
    this.set(outbox.discard(this.outbox.get(), key));
    if (this.find(key) === undefined) this.gone(key);
  }

  connect(inFlightMax: number): void {
    this.connected = true;
    this.inFlightMax = inFlightMax;
    this.pump();
  }

  disconnect(): void {
    this.connected = false;
    if (this.holder) this.set(outbox.disconnected(this.outbox.get()));
  }

  acked(key: string, seq: number, time: number): void {
    this.set(outbox.acked(this.outbox.get(), key, seq, time));
    this.forget(key);
    this.tell(key);
    this.pump();
  }

  refused(key: string, problem: Problem): void {
    const before = this.outbox.get();
    this.set(outbox.refused(before, key, problem, this.env.socket.now()));
    if (this.outbox.get() !== before) this.note(key);
  }

  /** These stand in the log now. */
  landed(keys: ReadonlySet<string>): void {
    const before = this.outbox.get();
    const found = before.filter((send) => keys.has(send.key));
    if (found.length === 0) return;
    this.set(outbox.landed(before, keys));
    for (const send of found) this.forget(send.key);
    this.pump();
  }

  /** Another tab says what became of a send, or that there is a new one. */
  heard(send: Send): void {
    const before = this.outbox.get();
    const known = this.find(send.key);
    if (known === undefined) {
      // Acknowledged and unknown here: it is in the log already, or will be.
      if (send.state.at !== "acked") this.set(outbox.restore(before, [send]));
    }
    // The tab that sends knows best; from another one it takes only the wish to try again.
    else if (!this.holder) this.set(outbox.replace(before, send.key, send.state));
    else if (send.state.at === "queued") this.set(outbox.retry(before, send.key));
    this.pump();
  }

  heardGone(key: string): void {
    this.set(outbox.discard(this.outbox.get(), key));
  }

  private pump(): void {
    this.cancel();
    this.cancel = () => {};
    if (!this.holder || !this.connected || this.ended) return;
    const now = this.env.socket.now();
    const all = this.outbox.get();
    const ready = all.filter((send) => !this.unwritten.has(send.key));
    const { outbox: next, write } = outbox.due(ready, now, this.inFlightMax);
    const changed = new Map(next.map((send) => [send.key, send]));
    this.set(all.map((send) => changed.get(send.key) ?? send));
    for (const { key, conversation, text, replyTo, files } of write) {
      this.ids += 1;
      this.write({ type: "send", id: `send-${this.ids}`, key, conversation, text, ...(replyTo === undefined ? {} : { reply_to: replyTo }), ...(files === undefined ? {} : { files: files.map(({ id: file }) => file) }) });
      this.tell(key);
    }
    for (const send of next) if (send.state.at === "failed" && !ready.includes(send)) this.note(send.key);
    const due = outbox.nextDue(next);
    if (due !== null) this.cancel = this.env.socket.after(Math.max(0, due - now), () => this.pump());
  }

  private async restore(): Promise<void> {
    const stored = await this.env.persist.sends(this.me);
    if (!this.ended) this.set(outbox.restore(this.outbox.get(), stored));
  }

  /** Writes a send down in its present state, one after another, then goes on. */
  private note(key: string, then: () => void = () => {}): void {
    this.writing = this.writing.then(async () => {
      const send = this.find(key);
      if (send !== undefined) await this.env.persist.putSend(this.me, send);
      then();
      // Only now: the tab that sends may be another one, and it shall not be faster than the disk.
      this.tell(key);
      this.pump();
    });
  }

  private gone(key: string): void {
    this.forget(key);
    this.env.tabs.post({ type: "send-gone", user: this.me, key });
  }

  private forget(key: string): void {
    this.writing = this.writing.then(() => this.env.persist.dropSend(this.me, key));
  }

  private tell(key: string): void {
    const send = this.find(key);
    if (send !== undefined) this.env.tabs.post({ type: "send", user: this.me, send });
  }

  private find(key: string): Send | undefined {
    return this.outbox.get().find((send) => send.key === key);
  }

  private set(next: Outbox): void {
    const before = this.outbox.get();
    if (next.length !== before.length || next.some((send, index) => send !== before[index])) this.outbox.set(next);
  }
}
