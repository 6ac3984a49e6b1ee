import { describe, expect, it } from "vitest";
import { body, BOB, CID, direct, event, events, ME } from "../test/build";
import { Seeded } from "../test/seeded";
import {
  byActivity,
  membersAfter,
  membersWithMarker,
  messageStates,
  summaryOf,
  withEvent,
  withMarker,
  withRead,
  type Summary,
} from "./conversations";

const summary = (changes: Partial<Parameters<typeof direct>[0]> = {}): Summary => summaryOf(direct(changes), ME, null);

describe("what becomes of a message", () => {
  it("shows in the preview and in the count", () => {
    let one = withEvent(summary(), event(11), ME);
    one = withEvent(one, body(12, { type: "edited", message: 11, text: "now" }), ME);
    expect(one.last?.event).toEqual({ type: "message", text: "now" });
    one = withEvent(one, body(13, { type: "edited", message: 9, text: "older" }), ME);
    expect([one.last?.seq, one.unread]).toEqual([11, 1]);
    const run = [body(11, { type: "erased" }), body(14, { type: "deleted", message: 11 })];
    const gone = withEvent(one, body(14, { type: "deleted", message: 11 }), ME, run);
    expect([gone.last?.event.type, gone.unread, gone.head]).toEqual(["erased", 0, 14]);
    const mine = [{ ...body(11, { type: "erased" }), from: ME }];
    expect(withEvent(one, body(14, { type: "deleted", message: 11 }), ME, mine).unread).toBe(1);
  });
});

describe("unread", () => {
  it("counts messages of others, once each", () => {
    let one = withEvent(summary(), event(11), ME);
    one = withEvent(one, event(11), ME);
    one = withEvent(one, event(12, { from: ME }), ME);
    one = withEvent(one, body(13, { type: "title", title: "Boats" }), ME);
    one = withEvent(one, event(14, { from: null }), ME);
    expect(one).toMatchObject({ head: 14, unread: 2, title: "Boats" });
    expect(one.last?.seq).toBe(14);
  });

  it("is nothing once everything is read", () => {
    const one = events(11, 15).reduce((each, next) => withEvent(each, next, ME), summary());
    expect(withRead(one, 15, [], ME)).toMatchObject({ unread: 0, read: 15, received: 15 });
  });

  it("is exact where the log is held, and never more than there are events where it is not", () => {
    const run = [event(11), event(12, { from: ME }), body(13, { type: "left" }), event(14), event(15)];
    const one = run.reduce((each, next) => withEvent(each, next, ME), summary());
    expect(one.unread).toBe(3);
    expect(withRead(one, 11, run, ME).unread).toBe(2);
    expect(withRead(one, 13, [], ME).unread).toBe(2);
    expect(withRead(one, 14, [], ME).unread).toBe(1);
  });

  it("keeps what was read here when the server does not know it yet", () => {
    const before = withRead(summary({ head: 20, unread: 5, read: 10 }), 20, [], ME);
    expect(summaryOf(direct({ head: 20, unread: 5, read: 10 }), ME, before)).toMatchObject({ read: 20, unread: 0 });
  });
});

describe("message states", () => {
  it("of a direct conversation: sent, delivered, read", () => {
    const state = messageStates(summary({ markers: [{ user: BOB, received: 10, read: 8 }] }));
    expect(state(11)).toEqual({ at: "sent" });
    expect(state(10)).toEqual({ at: "delivered", to: 1, of: 1 });
    expect(state(8)).toEqual({ at: "read", by: 1, of: 1 });
  });

  it("of a group: counts, without one's own marker", () => {
    const markers = [
      { user: ME, received: 20, read: 20 },
      { user: BOB, received: 12, read: 5 },
      { user: CID, received: 10, read: 9 },
    ];
    const state = messageStates(summary({ kind: "group", memberCount: 5, markers }));
    expect(state(13)).toEqual({ at: "sent" });
    expect(state(11)).toEqual({ at: "delivered", to: 1, of: 4 });
    expect(state(10)).toEqual({ at: "delivered", to: 2, of: 4 });
    expect(state(9)).toEqual({ at: "read", by: 1, of: 4 });
    expect(state(5)).toEqual({ at: "read", by: 2, of: 4 });
  });

  it("without markers is sent", () => {
    expect(messageStates(null)(1)).toEqual({ at: "sent" });
  });
});

describe("markers", () => {
  it("of oneself come from another device", () => {
    const one = events(11, 13).reduce((each, next) => withEvent(each, next, ME), summary());
    expect(withMarker(one, { user: ME, received: 13, read: 12 }, ME, events(11, 13))).toMatchObject({ read: 12, unread: 1 });
  });

  it.each(Array.from({ length: 50 }, (_, seed) => seed + 1))("never go back, and any order ends the same (seed %i)", (seed) => {
    const random = new Seeded(seed);
    const receipts = Array.from({ length: 30 }, () => {
      const received = random.below(40);
      return { user: [ME, BOB, CID][random.below(3)]!, received, read: random.below(received + 1) };
    });
    const run = (order: typeof receipts): Summary => {
      let one = summary({ head: 40, unread: 30 });
      for (const marker of order) {
        const next = withMarker(one, marker, ME, []);
        expect(next.read).toBeGreaterThanOrEqual(one.read);
        expect(next.received).toBeGreaterThanOrEqual(one.received);
        expect(next.unread).toBeLessThanOrEqual(one.unread);
        for (const [user, before] of one.markers) {
          expect(next.markers.get(user)?.read).toBeGreaterThanOrEqual(before.read);
          expect(next.markers.get(user)?.received).toBeGreaterThanOrEqual(before.received);
        }
        one = next;
      }
      return one;
    };
    const once = run(receipts);
    const again = run(random.shuffled([...receipts, ...receipts]));
    expect(again.markers.get(BOB)).toEqual(once.markers.get(BOB));
    expect([again.read, again.received, again.unread]).toEqual([once.read, once.received, once.unread]);
  });

  it("that say nothing new change nothing", () => {
    const one = summary();
    expect(withMarker(one, { user: BOB, received: 3, read: 3 }, ME, [])).toBe(one);
    expect(withMarker(one, { user: ME, received: 3, read: 3 }, ME, [])).toBe(one);
  });
});

describe("members", () => {
  it("follow the log", () => {
    let one = summary({ kind: "group", memberCount: 2 });
    one = withEvent(one, body(11, { type: "added", users: [CID], role: "member" }), ME);
    expect(one.memberCount).toBe(3);
    one = withEvent(one, body(12, { type: "role", user: ME, role: "owner" }), ME);
    expect(one.role).toBe("owner");
    one = withEvent(one, body(13, { type: "left" }, BOB), ME);
    expect(one.memberCount).toBe(2);
    expect(one.markers.has(BOB)).toBe(false);
    one = withEvent(one, body(14, { type: "unknown", name: "poll" }), ME);
    expect(one.head).toBe(14);
  });

  it("are a list that follows too", () => {
    let list = membersAfter(new Map(), body(1, { type: "added", users: [BOB, CID], role: "member" }));
    list = membersAfter(list, body(2, { type: "role", user: BOB, role: "owner" }));
    list = membersWithMarker(list, { user: BOB, received: 4, read: 2 });
    list = membersWithMarker(list, { user: BOB, received: 3, read: 3 });
    list = membersAfter(list, body(3, { type: "removed", user: CID }));
    expect([...list.values()]).toEqual([{ user: BOB, role: "owner", received: 4, read: 3 }]);
  });
});

it("the list is ordered by activity", () => {
  const old = summary({ updatedAt: 1 });
  const young = { ...summary({ updatedAt: 2 }) };
  expect([old, young].sort(byActivity)).toEqual([young, old]);
});
