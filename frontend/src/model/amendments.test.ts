import { describe, expect, it } from "vitest";
import { A, key, T0 } from "../test/build";
import * as amendments from "./amendments";
import { ANSWER_MS } from "./outbox";

const PROBLEM = { code: "forbidden", title: "", status: 403, detail: "", retryable: false, retryAfterMs: null };
const made = (...names: [name: string, message: number][]) =>
  names.reduce<amendments.Amendments>((all, [name, message]) => amendments.add(all, { key: key(name), conversation: A, message, what: { type: "pin", on: true }, at: T0 }), []);
const keys = (all: readonly amendments.Pending[]) => all.map((each) => each.key);

describe("changes on their way", () => {
  it("go out one after another for a message, and side by side for several", () => {
    const first = amendments.due(made(["a", 1], ["b", 1], ["c", 2]), T0);
    expect(keys(first.write)).toEqual(["a", "c"]);
    const second = amendments.due(amendments.done(first.amendments, "a", T0), T0);
    expect(keys(second.write)).toEqual(["b"]);
  });

  it("are repeated without an answer, and given up at last", () => {
    let { amendments: all } = amendments.due(made(["a", 1]), T0);
    for (const times of [1, 2]) {
      const again = amendments.due(all, T0 + times * ANSWER_MS);
      expect(keys(again.write)).toEqual(["a"]);
      all = again.amendments;
    }
    expect(amendments.due(all, T0 + 3 * ANSWER_MS)).toMatchObject({ amendments: [], write: [], unanswered: [{ key: "a" }] });
  });

  it("stay until the log has them, or a while when the log will never", () => {
    const { amendments: sent } = amendments.due(made(["a", 1]), T0);
    const done = amendments.done(sent, "a", T0);
    expect(keys(amendments.due(done, T0 + 1).amendments)).toEqual(["a"]);
    expect(amendments.due(done, amendments.nextDue(done) ?? 0).amendments).toEqual([]);
    expect(amendments.landed(done, new Set(["a"]))).toEqual([]);
  });

  it("are taken back when they are refused, and wait when that will pass", () => {
    const { amendments: sent } = amendments.due(made(["a", 1]), T0);
    expect(amendments.refused(sent, "a", PROBLEM, T0)).toBeNull();
    const waiting = amendments.refused(sent, "a", { ...PROBLEM, retryable: true, retryAfterMs: 700 }, T0) ?? [];
    expect(amendments.due(waiting, T0 + 699).write).toEqual([]);
    expect(keys(amendments.due(waiting, T0 + 700).write)).toEqual(["a"]);
  });

  it("are written again after a loss of the connection", () => {
    const { amendments: sent } = amendments.due(made(["a", 1]), T0);
    expect(keys(amendments.due(amendments.disconnected(sent), T0 + 1).write)).toEqual(["a"]);
  });
});
