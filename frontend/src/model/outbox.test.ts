import { describe, expect, it } from "vitest";
import type { Problem } from "../protocol";
import { A, B, conversationOf, key, T0 } from "../test/build";
import { Seeded } from "../test/seeded";
import * as outbox from "./outbox";
import type { Outbox } from "./outbox";

const typed = (...names: string[]): Outbox =>
  names.reduce<Outbox>((box, name, index) => {
    const conversation = name.startsWith("b") ? B : A;
    return outbox.add(box, { key: key(name), conversation, text: name, createdAt: T0 + index });
  }, []);
const states = (box: Outbox) => box.map((send) => `${send.key} ${send.state.at}`);
const problem = (changes: Partial<Problem>): Problem => ({
  code: "forbidden",
  title: "",
  status: 403,
  detail: "",
  retryable: false,
  retryAfterMs: null,
  ...changes,
});
const written = (box: Outbox, now: number, max = 32): [Outbox, string[]] => {
  const { outbox: next, write } = outbox.due(box, now, max);
  return [next, write.map((send) => send.key)];
};

describe("sending", () => {
  it("writes one after another in a conversation, and conversations side by side", () => {
    let [box, keys] = written(typed("a1", "a2", "b1"), T0);
    expect(keys).toEqual(["a1", "b1"]);
    [box, keys] = written(box, T0 + 1);
    expect(keys).toEqual([]);
    [box, keys] = written(outbox.acked(box, "a1", 5, T0), T0 + 2);
    expect(keys).toEqual(["a2"]);
    expect(states(box)).toEqual(["a1 acked", "a2 sending", "b1 sending"]);
  });

  it("lets nothing overtake, also when a later one is on its way already", () => {
    const [box] = written(typed("a2"), T0);
    const late = outbox.restore(box, typed("a1").map((send) => ({ ...send, createdAt: T0 - 5 })));
    expect(states(late)).toEqual(["a1 queued", "a2 sending"]);
    expect(written(late, T0)[1]).toEqual([]);
  });

  it("has no more in flight than the server takes", () => {
    let box: Outbox = [];
    for (let number = 0; number < 40; number += 1) {
      box = outbox.add(box, { key: key(`k${number}`), conversation: conversationOf(number), text: "x", createdAt: T0 });
    }
    expect(written(box, T0, 32)[1]).toHaveLength(32);
  });

  it("repeats under the same key after ten seconds, three tries in all, and then says so", () => {
    let [box, keys] = written(typed("a1"), T0);
    expect(outbox.nextDue(box)).toBe(T0 + 10_000);
    expect(written(box, T0 + 9_999)[1]).toEqual([]);
    [box, keys] = written(box, T0 + 10_000);
    expect(keys).toEqual(["a1"]);
    expect(box[0]?.state).toMatchObject({ at: "sending", since: T0, tries: 2 });
    [box, keys] = written(box, T0 + 20_000);
    expect(keys).toEqual(["a1"]);
    [box, keys] = written(box, T0 + 30_000);
    expect(keys).toEqual([]);
    expect(box[0]?.state).toEqual({ at: "failed", reason: "unanswered" });
  });

  it("lets the next one go when one failed", () => {
    const [box] = written(typed("a1", "a2"), T0);
    const failed = outbox.refused(box, "a1", problem({ code: "too_large" }), T0);
    expect(failed[0]?.state).toEqual({ at: "failed", reason: "too_large" });
    expect(written(failed, T0)[1]).toEqual(["a2"]);
  });

  it("an acknowledgement is final", () => {
    const box = outbox.acked(typed("a1"), "a1", 5, T0);
    expect(outbox.refused(box, "a1", problem({}), T0)).toBe(box);
    expect(outbox.discard(box, "a1")).toEqual(box);
    expect(outbox.landed(box, new Set(["a1"]))).toEqual([]);
  });
});

describe("what goes wrong", () => {
  it("a lost connection fails nothing", () => {
    let box = typed("a1", "a2");
    for (let loss = 0; loss < 10; loss += 1) {
      [box] = written(box, T0 + loss * 10_000);
      box = outbox.disconnected(box);
      expect(states(box)).toEqual(["a1 queued", "a2 queued"]);
    }
    expect(outbox.unsent(box)).toBe(2);
    expect(written(box, T0 + 200_000)[1]).toEqual(["a1"]);
  });

  it("a rate limit holds everything for as long as it says", () => {
    const [box] = written(typed("a1", "a2", "b1"), T0);
    const held = outbox.refused(box, "a1", problem({ code: "rate_limited", retryable: true, retryAfterMs: 1_200 }), T0);
    expect(states(held)).toEqual(["a1 queued", "a2 queued", "b1 sending"]);
    expect(written(held, T0 + 1_199)[1]).toEqual([]);
    expect(outbox.nextDue(held)).toBe(T0 + 1_200);
    expect(written(held, T0 + 1_200)[1]).toEqual(["a1"]);
  });

  it("a problem that passes is waited for and never fails", () => {
    let [box] = written(typed("a1"), T0);
    for (let again = 0; again < 20; again += 1) {
      box = outbox.refused(box, "a1", problem({ code: "unavailable", status: 503, retryable: true }), T0 + again * 5_000);
      expect(states(box)).toEqual(["a1 queued"]);
      [box] = written(box, T0 + again * 5_000 + 2_000);
      expect(states(box)).toEqual(["a1 sending"]);
    }
  });

  it("retry sends a failed one again under its key, discard drops it", () => {
    const [box] = written(typed("a1"), T0);
    const failed = outbox.refused(box, "a1", problem({}), T0);
    const [again, keys] = written(outbox.retry(failed, "a1"), T0);
    expect(keys).toEqual(["a1"]);
    expect(outbox.discard(again, "a1")).toHaveLength(1);
    expect(outbox.discard(failed, "a1")).toEqual([]);
    expect(outbox.retry(again, "a1")).toBe(again);
  });
});

describe("reload", () => {
  it("in the middle of it keeps key and order, and forgets no failure", () => {
    const [box] = written(typed("a1", "a2", "a3"), T0);
    const stored = outbox.refused(outbox.disconnected(box), "a2", problem({}), T0);
    const back = outbox.restore([], stored);
    expect(states(back)).toEqual(["a1 queued", "a2 failed", "a3 queued"]);
    expect(written(back, T0 + 60_000)[1]).toEqual(["a1"]);
  });

  it("puts what was typed meanwhile behind, and knows none twice", () => {
    const box = outbox.add([], { key: key("new"), conversation: A, text: "new", createdAt: T0 + 99 });
    const back = outbox.restore(box, [...typed("a1"), ...box]);
    expect(states(back)).toEqual(["a1 queued", "new queued"]);
    expect(outbox.restore(back, typed("a1"))).toBe(back);
  });
});

describe("whatever happens", () => {
  it.each(Array.from({ length: 100 }, (_, seed) => seed + 1))(
    "each message is stored once and in the order typed (seed %i)",
    (seed) => {
      const random = new Seeded(seed);
      const names = Array.from({ length: 12 }, (_, index) => `${random.chance(50) ? "a" : "b"}${index}`);
      let box = typed(...names);
      let now = T0;
      const server: string[] = [];
      for (let turn = 0; turn < 2_000 && box.length > 0; turn += 1) {
        now += random.below(4_000);
        const [next, keys] = written(box, now);
        box = next;
        for (const name of keys) {
          if (random.chance(20)) continue; // lost on the way there
          if (random.chance(10)) {
            const code = random.chance(50) ? "rate_limited" : "unavailable";
            box = outbox.refused(box, name, problem({ code, retryable: true, retryAfterMs: 500 }), now);
            continue;
          }
          if (!server.includes(name)) server.push(name);
          if (random.chance(20)) continue; // lost on the way back
          box = outbox.landed(outbox.acked(box, name, server.indexOf(name) + 1, now), new Set([name]));
        }
        if (random.chance(10)) box = outbox.disconnected(box);
        if (random.chance(5)) box = outbox.restore([], box);
        for (const send of box) if (send.state.at === "failed") box = outbox.retry(box, send.key);
      }
      expect(box).toEqual([]);
      for (const side of ["a", "b"]) {
        expect(server.filter((name) => name.startsWith(side))).toEqual(names.filter((name) => name.startsWith(side)));
      }
    },
  );
});
