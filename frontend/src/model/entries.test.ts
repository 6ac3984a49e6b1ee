import { describe, expect, it } from "vitest";
import { A, body, BOB, event, key, ME, T0 } from "../test/build";
import { entries } from "./entries";
import * as outbox from "./outbox";

const sent = () => ({ at: "sent" }) as const;
const typed = (...names: string[]) =>
  names.reduce<outbox.Outbox>((box, name) => outbox.add(box, { key: key(name), conversation: A, text: name, createdAt: T0 }), []);

describe("the lines of a screen", () => {
  it("has what is acknowledged by place, then what is pending in the order typed", () => {
    const lines = entries({ run: [event(1), event(2)], pending: typed("k1", "k2"), me: ME, stateOf: sent }, []);
    expect(lines.map((line) => line.key)).toEqual(["№1", "№2", "k1", "k2"]);
    expect(lines[2]).toMatchObject({ seq: null, mine: true, state: { at: "queued" } });
  });

  it("keeps the key of an own message from typing to the log", () => {
    const pending = typed("k1");
    const keys = [
      entries({ run: [], pending, me: ME, stateOf: sent }, []),
      entries({ run: [], pending: outbox.acked(pending, "k1", 1, T0), me: ME, stateOf: sent }, []),
      entries({ run: [event(1, { from: ME, key: "k1" })], pending, me: ME, stateOf: sent }, []),
      entries({ run: [event(1, { from: ME, key: "k1" })], pending: [], me: ME, stateOf: sent }, []),
    ].map((lines) => lines.map((line) => line.key));
    expect(keys).toEqual([["k1"], ["k1"], ["k1"], ["k1"]]);
  });

  it("does not take another's key for one's own", () => {
    const lines = entries({ run: [event(1, { from: BOB, key: "k1" })], pending: typed("k1"), me: ME, stateOf: sent }, []);
    expect(lines.map((line) => line.key)).toEqual(["№1", "k1"]);
  });

  it("leaves out what it does not know", () => {
    const run = [event(1), body(2, { type: "unknown", name: "poll" }), body(3, { type: "left" })];
    expect(entries({ run, pending: [], me: ME, stateOf: sent }, []).map((line) => line.kind)).toEqual(["message", "note"]);
  });

  it("answers the same objects for what did not change", () => {
    const run = [event(1, { from: ME, key: "k0" }), event(2, { from: ME, key: "k1" })];
    const before = entries({ run, pending: [], me: ME, stateOf: sent }, []);
    const after = entries(
      { run, pending: [], me: ME, stateOf: (seq) => (seq === 1 ? { at: "read", by: 1, of: 1 } : { at: "sent" }) },
      before,
    );
    expect(after[0]).not.toBe(before[0]);
    expect(after[1]).toBe(before[1]);
  });

  it("shows what a message says now, and where one was deleted", () => {
    const lines = (...run: ReturnType<typeof event>[]) => entries({ run, pending: [], me: ME, stateOf: sent }, []);
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

  it("says why a message failed", () => {
    const box = typed("k1").map((send) => ({ ...send, state: { at: "failed", reason: "No." } as const }));
    expect(entries({ run: [], pending: box, me: ME, stateOf: sent }, [])[0]).toMatchObject({
      state: { at: "failed", reason: "No." },
    });
  });
});
