// Drives changes of messages: writes each, repeats it under its key until there is an answer, and tells
// who asked what became of it. What a change may become is decided in model/amendments.ts.
import * as amendments from "../model/amendments";
import type { Amendments, Pending } from "../model/amendments";
import { assertNever } from "../model/assertNever";
import { UNANSWERED, viewOf } from "../model/problems";
import type { Amendment, ConversationId, Outcome, Seq } from "../model/types";
import { clientKey, type ClientFrame, type Problem } from "../protocol";
import { createStore } from "../store";

export interface AmenderOptions {
  now: () => number;
  after: (ms: number, callback: () => void) => () => void;
  write: (frame: ClientFrame) => boolean;
  /** Of this page: all tabs hear the answers. */
  name: string;
  newKey: () => string;
}

const DONE: Outcome<null> = { ok: true, value: null };

export class Amender {
  readonly pending = createStore<Amendments>([]);
  private readonly asked = new Map<string, (outcome: Outcome<null>) => void>();
  /** Which change an answer speaks of. */
  private readonly keys = new Map<string, string>();
  private ids = 0;
  private connected = false;
  private cancel = (): void => {};

  constructor(private readonly options: AmenderOptions) {}

  amend(conversation: ConversationId, message: Seq, what: Amendment): Promise<Outcome<null>> {
    const key = clientKey(this.options.newKey());
    if (key === null) throw new Error("a new key is printable and short");
    return new Promise((resolve) => {
      this.asked.set(key, resolve);
      this.pending.update((all) => amendments.add(all, { key, conversation, message, what, at: this.options.now() }));
      this.pump();
    });
  }

  connect(): void {
    this.connected = true;
    this.pump();
  }

  disconnect(): void {
    this.connected = false;
    this.keys.clear();
    this.pending.update(amendments.disconnected);
  }

  end(): void {
    this.connected = false;
    this.cancel();
    for (const key of [...this.asked.keys()]) this.answer(key, { ok: false, problem: UNANSWERED });
  }

  done(id: string): void {
    const key = this.keyOf(id);
    if (key === null) return;
    this.pending.update((all) => amendments.done(all, key, this.options.now()));
    this.answer(key, DONE);
    this.pump();
  }

  refused(id: string, problem: Problem): void {
    const key = this.keyOf(id);
    const found = this.pending.get().find((each) => each.key === key);
    if (key === null || found === undefined) return;
    const waiting = amendments.refused(this.pending.get(), key, problem, this.options.now());
    if (waiting !== null) this.pending.set(waiting);
    else {
      this.drop(key);
      this.answer(key, amendments.isDoneAlready(found, problem) ? DONE : { ok: false, problem: viewOf(problem) });
    }
    this.pump();
  }

  /** These stand in the log now. */
  landed(keys: ReadonlySet<string>): void {
    const before = this.pending.get();
    const after = amendments.landed(before, keys);
    if (after === before) return;
    this.pending.set(after);
    for (const { key } of before) if (keys.has(key)) this.answer(key, DONE);
    this.pump();
  }

  private pump(): void {
    this.cancel();
    this.cancel = () => {};
    if (!this.connected) return;
    const now = this.options.now();
    const { amendments: next, write, unanswered } = amendments.due(this.pending.get(), now);
    this.pending.set(next);
    for (const each of write) {
      this.ids += 1;
      const id = `${this.options.name}-${this.ids}`;
      this.keys.set(id, each.key);
      this.options.write(frameOf(each, id));
    }
    for (const { key } of unanswered) this.answer(key, { ok: false, problem: UNANSWERED });
    const due = amendments.nextDue(next);
    if (due !== null) this.cancel = this.options.after(Math.max(0, due - now), () => this.pump());
  }

  private keyOf(id: string): string | null {
    const key = this.keys.get(id) ?? null;
    this.keys.delete(id);
    return key;
  }

  private drop(key: string): void {
    this.pending.update((all) => all.filter((each) => each.key !== key));
  }

  private answer(key: string, outcome: Outcome<null>): void {
    this.asked.get(key)?.(outcome);
    this.asked.delete(key);
  }
}

function frameOf({ key, conversation, message, what }: Pending, id: string): ClientFrame {
  const about = { id, key, conversation, message };
  switch (what.type) {
    case "edit":
      return { type: "edit", ...about, text: what.text };
    case "delete":
      return { type: "delete", ...about };
    case "react":
      return { type: "react", ...about, emoji: what.emoji, on: what.on };
    case "pin":
      return { type: "pin", ...about, on: what.on };
    default:
      return assertNever(what);
  }
}
