import { describe, expect, it } from "vitest";
import { body, event, events } from "../test/build";
import { Seeded } from "../test/seeded";
import { applyEvent, applyPage, emptyLog, newest, resetLog, startReached, type Applied, type Log } from "./timeline";

const seqs = (log: Log) => log.run.map((each) => each.seq);
const apply = (log: Log, ...numbers: number[]): Applied =>
  numbers.reduce<Applied>((applied, seq) => applyEvent(applied.log, event(seq)), { log, fresh: [], hole: null });

describe("a deletion", () => {
  const edited = body(6, { type: "edited", message: 5, text: "secret, edited" });
  const deleted = body(7, { type: "deleted", message: 5 });
  const kinds = (log: Log) => log.run.map((each) => each.event.type);

  it("takes the text and its edits off this device, however it comes", () => {
    const held = applyEvent(apply(emptyLog(4), 5).log, edited).log;
    expect(kinds(applyEvent(held, deleted).log)).toEqual(["erased", "erased", "deleted"]);
    const ahead = applyEvent(apply(emptyLog(4), 5).log, deleted).log;
    expect(kinds(applyEvent(ahead, edited).log)).toEqual(["erased", "erased", "deleted"]);
    expect(kinds(applyPage(held, [deleted, event(8)]).log)).toEqual(["erased", "erased", "deleted", "message"]);
  });

  it("leaves everything else", () => {
    const held = apply(emptyLog(4), 5, 6).log;
    expect(kinds(applyEvent(held, deleted).log)).toEqual(["erased", "message", "deleted"]);
  });
});

describe("the one rule", () => {
  it("applies the next event", () => {
    const { log, fresh, hole } = apply(emptyLog(4), 5);
    expect(seqs(log)).toEqual([5]);
    expect(log.position).toBe(5);
    expect(fresh.map((each) => each.seq)).toEqual([5]);
    expect(hole).toBeNull();
  });

  it("drops what is not above the position, as the same object", () => {
    const { log } = apply(emptyLog(4), 5, 6);
    for (const seq of [1, 5, 6]) expect(applyEvent(log, event(seq))).toEqual({ log, fresh: [], hole: null });
    expect(applyEvent(log, event(5)).log).toBe(log);
  });

  it("asks for a hole, shows nothing beyond it, and joins when it is mended", () => {
    const torn = apply(emptyLog(4), 5, 8, 7);
    expect(torn.hole).toBe(5);
    expect(seqs(torn.log)).toEqual([5]);
    const mended = applyEvent(torn.log, event(6));
    expect(seqs(mended.log)).toEqual([5, 6, 7, 8]);
    expect(mended.fresh.map((each) => each.seq)).toEqual([6, 7, 8]);
    expect(mended.hole).toBeNull();
    expect(mended.log.ahead).toEqual([]);
  });

  it("keeps a bounded number of events beyond a hole", () => {
    let log = emptyLog(0);
    for (let seq = 2; seq < 1_500; seq += 1) log = applyEvent(log, event(seq)).log;
    expect(log.ahead).toHaveLength(1_000);
    expect(log.ahead[0]?.seq).toBe(2);
  });
});

describe("pages", () => {
  it("the newest page becomes the run where nothing was held", () => {
    const { log, fresh, hole } = applyPage(emptyLog(10), events(6, 10));
    expect(seqs(log)).toEqual([6, 7, 8, 9, 10]);
    expect(fresh).toEqual([]);
    expect(hole).toBeNull();
  });

  it("brings what is newer than the list knew", () => {
    const { log, fresh } = applyPage(emptyLog(8), events(6, 10));
    expect(log.position).toBe(10);
    expect(fresh.map((each) => each.seq)).toEqual([9, 10]);
  });

  it("asks for what the position knew beyond an older page", () => {
    const { log, hole } = applyPage(emptyLog(12), events(6, 10));
    expect(log.position).toBe(10);
    expect(hole).toBe(10);
  });

  it("older ones are put before, overlaps and repeats change nothing", () => {
    const first = applyPage(emptyLog(10), events(6, 10)).log;
    const second = applyPage(first, events(1, 7)).log;
    expect(seqs(second)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(startReached(second)).toBe(true);
    expect(applyPage(second, events(3, 9)).log.run).toBe(second.run);
  });

  it("one that does not touch the run is dropped when older, and takes its place when newer", () => {
    const log = applyPage(emptyLog(10), events(6, 10)).log;
    expect(applyPage(log, events(1, 3)).log).toBe(log);
    const jumped = applyPage(log, events(20, 22));
    expect(seqs(jumped.log)).toEqual([20, 21, 22]);
    expect(jumped.fresh).toHaveLength(3);
  });

  it("joins live events that came before it", () => {
    const live = apply(emptyLog(10), 11, 12).log;
    expect(seqs(applyPage(live, events(8, 11)).log)).toEqual([8, 9, 10, 11, 12]);
  });

  it("an empty one changes nothing", () => {
    const log = emptyLog(3);
    expect(applyPage(log, [])).toEqual({ log, fresh: [], hole: null });
  });
});

describe("reset and cache", () => {
  it("starts at the head", () => {
    const log = applyPage(emptyLog(10), events(6, 10)).log;
    expect(resetLog(log, 5210)).toEqual(emptyLog(5210));
    expect(resetLog(log, 10)).toBe(log);
  });

  it("keeps the newest events", () => {
    const log = applyPage(emptyLog(10), events(1, 10)).log;
    expect(seqs(newest(log, 3))).toEqual([8, 9, 10]);
    expect(newest(log, 3).position).toBe(10);
  });
});

describe("any order, any repeats", () => {
  it.each(Array.from({ length: 200 }, (_, seed) => seed + 1))("ends in the same list (seed %i)", (seed) => {
    const random = new Seeded(seed);
    const head = 5 + random.below(60);
    const start = random.below(head);
    let log = applyPage(emptyLog(0), events(1, Math.max(1, start))).log;
    const counted: number[] = [];
    const take = (applied: Applied): void => {
      counted.push(...applied.fresh.map((each) => each.seq));
      log = applied.log;
    };
    const all = events(1, head);
    const repeated = [...all, ...all.filter(() => random.chance(40))];
    for (const each of random.shuffled(repeated)) {
      if (random.chance(15)) {
        const first = 1 + random.below(head);
        // A page that touches what is held; others are covered above.
        if (first <= log.position + 1) take(applyPage(log, events(first, Math.min(head, first + random.below(9)))));
      }
      take(applyEvent(log, each));
      // No hole is ever on show, and nothing beyond it is lost.
      expect(seqs(log)).toEqual(Array.from({ length: log.position }, (_, index) => index + 1));
    }
    expect(seqs(log)).toEqual(all.map((each) => each.seq));
    expect(log.ahead).toEqual([]);
    // Each event is counted once, and in order.
    expect(counted).toEqual(all.slice(Math.max(1, start)).map((each) => each.seq));
  });
});
