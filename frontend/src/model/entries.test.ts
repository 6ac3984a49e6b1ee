import { describe, expect, it } from "vitest";
import { A, body, BOB, event, key, ME, T0 } from "../test/build";
import type { LoggedEvent } from "../protocol";
import { entries } from "./entries";
import { fold } from "./fold";
import * as outbox from "./outbox";
import type { MessageState, TimelineEntry } from "./types";

const sent = (): MessageState => ({ at: "sent" });
function show(run: LoggedEvent[], pending: outbox.Outbox = [], previous: TimelineEntry[] = [], stateOf = sent as (seq: number) => MessageState) {
  return entries({ run, pending, me: ME, stateOf, folded: fold(run, [], ME), quoted: new Map() }, previous);
}
const typed = (...names: string[]) =>
  names.reduce<outbox.Outbox>((box, name) => outbox.add(box, { key: key(name), conversation: A, text: name, createdAt: T0 }), []);

describe("the lines of a screen", () => {
  it("has what is acknowledged by place, then what is pending in the order typed", () => {
    const lines = show([event(1), event(2)], typed("k1", "k2"));
    expect(lines.map((line) => line.key)).toEqual(["№1", "№2", "k1", "k2"]);
    expect(lines[2]).toMatchObject({ seq: null, mine: true, state: { at: "queued" } });
  });

  it("keeps the key of an own message from typing to the log", () => {
    const pending = typed("k1");
    const keys = [
      show([], pending),
      show([], outbox.acked(pending, "k1", 1, T0)),
      show([event(1, { from: ME, key: "k1" })], pending),
      show([event(1, { from: ME, key: "k1" })], []),
    ].map((lines) => lines.map((line) => line.key));
    expect(keys).toEqual([["k1"], ["k1"], ["k1"], ["k1"]]);
  });

  it("does not take another's key for one's own", () => {
    const lines = show([event(1, { from: BOB, key: "k1" })], typed("k1"));
    expect(lines.map((line) => line.key)).toEqual(["№1", "k1"]);
  });

  it("leaves out what it does not know", () => {
    const run = [event(1), body(2, { type: "unknown", name: "poll" }), body(3, { type: "left" })];
    expect(show(run).map((line) => line.kind)).toEqual(["message", "note"]);
  });

  it("answers the same objects for what did not change", () => {
    const run = [event(1, { from: ME, key: "k0" }), event(2, { from: ME, key: "k1" })];
    const before = show(run);
    const after = show(run, [], before, (seq) => (seq === 1 ? { at: "read", by: 1, of: 1 } : { at: "sent" }));
    expect(after[0]).not.toBe(before[0]);
    expect(after[1]).toBe(before[1]);
  });

  it("shows what a message says now, and where one was deleted", () => {
    const lines = (...run: ReturnType<typeof event>[]) => show(run);
    const edited = body(3, { type: "edited", message: 1, text: "now" });
    const [first, second, ...more] = lines(event(1), event(2), edited, body(4, { type: "pinned", message: 2 }));
    expect(more).toEqual([]);
    expect(first).toMatchObject({ text: "now", editedAt: edited.at, deleted: false });
    expect(second).toMatchObject({ text: "m2", editedAt: null });
    const erased = { type: "erased" } as const;
    const gone = lines(body(1, erased), event(2), body(3, erased), body(4, { type: "deleted", message: 1 }));
    expect(gone.map((line) => line.key)).toEqual(["№1", "№2"]);
    expect(gone[0]).toMatchObject({ kind: "message", text: "", deleted: true });
  });

  it("quotes what is answered, as it stands now", () => {
    const reply = body(3, { type: "message", text: "yes", replyTo: 1 });
    const quoteIn = (...run: LoggedEvent[]) => {
      const line = show(run).find((each) => each.seq === 3);
      return line?.kind === "message" ? line.quote : null;
    };
    expect(quoteIn(event(1), event(2), reply)).toEqual({ seq: 1, from: BOB, text: "m1", state: "said" });
    expect(quoteIn(event(1), event(2), reply, body(4, { type: "edited", message: 1, text: "now" }))).toMatchObject({ text: "now" });
    const erased = { type: "erased" } as const;
    expect(quoteIn(body(1, erased), event(2), reply, body(4, { type: "deleted", message: 1 }))).toMatchObject({ text: "", state: "deleted" });
    // Older than what is held: as it was fetched, and with what was heard of it since.
    const run = [event(2), reply, body(4, { type: "edited", message: 1, text: "now" })];
    const of = { run, pending: [], me: ME, stateOf: sent, folded: fold(run, [], ME) };
    expect(entries({ ...of, quoted: new Map() }, [])[1]).toMatchObject({ quote: { seq: 1, state: "unknown" } });
    const quoted = new Map([[1, { seq: 1, from: BOB, text: "m1", state: "said" as const }]]);
    expect(entries({ ...of, quoted }, [])[1]).toMatchObject({ quote: { seq: 1, from: BOB, text: "now", state: "said" } });
  });

  it("says why a message failed", () => {
    const box = typed("k1").map((send) => ({ ...send, state: { at: "failed", reason: "No." } as const }));
    expect(show([], box)[0]).toMatchObject({
      state: { at: "failed", reason: "No." },
    });
  });
});
