import { describe, expect, it } from "vitest";
import { A, body, BOB, CID, event, events, key, ME, T0 } from "../test/build";
import type { Pending } from "./amendments";
import { fold } from "./fold";
import { pinnedNow } from "./pins";
import { permissions } from "./permissions";
import type { Amendment } from "./types";

const emojis = (...list: Parameters<typeof body>[]) => fold(list.map((args) => body(...args)), [], ME).get(1)?.reactions;
const pending = (what: Amendment, message = 1): Pending => ({ key: key("k"), conversation: A, message, what, at: T0, state: { at: "waiting", notBefore: 0, tries: 0 } });

describe("what became of a message", () => {
  it("has who put which emoji on, in the order in which they came", () => {
    expect(
      emojis(
        [2, { type: "reacted", message: 1, emoji: "👍" }, BOB],
        [3, { type: "reacted", message: 1, emoji: "🎉" }, ME],
        [4, { type: "reacted", message: 1, emoji: "👍" }, CID],
        [5, { type: "reacted", message: 1, emoji: "👍" }, BOB],
      ),
    ).toEqual([{ emoji: "👍", users: [BOB, CID], mine: false }, { emoji: "🎉", users: [ME], mine: true }]);
  });

  it("has no emoji that was taken off by all who had put it on", () => {
    expect(
      emojis(
        [2, { type: "reacted", message: 1, emoji: "👍" }, BOB],
        [3, { type: "unreacted", message: 1, emoji: "👍" }, CID],
        [4, { type: "reacted", message: 1, emoji: "👍" }, ME],
        [5, { type: "unreacted", message: 1, emoji: "👍" }, BOB],
      ),
    ).toEqual([{ emoji: "👍", users: [ME], mine: true }]);
    expect(emojis([2, { type: "reacted", message: 1, emoji: "👍" }, BOB], [3, { type: "unreacted", message: 1, emoji: "👍" }, BOB])).toEqual([]);
  });

  it("keeps every edit, and the last word about the pin", () => {
    const became = fold([body(2, { type: "edited", message: 1, text: "a" }), body(3, { type: "pinned", message: 1 }), body(4, { type: "edited", message: 1, text: "b" }), body(5, { type: "unpinned", message: 1 })], [], ME).get(1);
    expect(became?.edits.map(({ text }) => text)).toEqual(["a", "b"]);
    expect(became?.pinned).toBe(false);
  });

  it("is nothing any more once it is deleted", () => {
    const run = [body(2, { type: "reacted", message: 1, emoji: "👍" }), body(3, { type: "deleted", message: 1 }), body(4, { type: "reacted", message: 1, emoji: "👍" }), body(5, { type: "edited", message: 1, text: "back" })];
    expect(fold(run, [], ME).get(1)).toEqual({ edits: [], deleted: true, reactions: [], pinned: null, amending: false });
  });

  it("adds what is on its way, in the order made", () => {
    const run = [body(2, { type: "reacted", message: 1, emoji: "👍" }, ME)];
    expect(fold(run, [pending({ type: "react", emoji: "👍", on: false })], ME).get(1)).toMatchObject({ reactions: [], amending: true });
    expect(fold(run, [pending({ type: "react", emoji: "👍", on: false }), pending({ type: "react", emoji: "👍", on: true })], ME).get(1)?.reactions).toHaveLength(1);
    expect(fold([], [pending({ type: "delete" })], ME).get(1)).toMatchObject({ deleted: true, amending: true });
  });

  it("minds nothing about messages that are not held", () => {
    const run = [body(90, { type: "reacted", message: 3, emoji: "👍" }), body(91, { type: "edited", message: 4, text: "x" }), body(92, { type: "deleted", message: 5 }), body(93, { type: "pinned", message: 6 })];
    expect([...fold(run, [], ME).keys()]).toEqual([3, 4, 5, 6]);
    expect(pinnedNow({ head: 92, messages: [] }, run, fold(run, [], ME))).toEqual({ messages: [], stale: true });
  });
});

describe("the pins", () => {
  const page = { head: 3, messages: [event(1), event(2)] };
  const now = (...later: ReturnType<typeof event>[]) => {
    const run = [...events(1, 3), ...later];
    const { messages, stale } = pinnedNow(page, run, fold(run, [], ME));
    return [stale, ...messages.map(({ seq, text }) => `${seq} ${text}`)];
  };

  it("are those of the page and what the log has after it, the latest first", () => {
    expect(now()).toEqual([false, "2 m2", "1 m1"]);
    expect(now(body(4, { type: "pinned", message: 3 }))).toEqual([false, "3 m3", "2 m2", "1 m1"]);
    expect(now(body(4, { type: "unpinned", message: 1 }), body(5, { type: "edited", message: 2, text: "new" }))).toEqual([false, "2 new"]);
    expect(now(body(4, { type: "deleted", message: 2 }))).toEqual([false, "1 m1"]);
  });

  it("take nothing from before the page", () => {
    const run = [event(1), body(2, { type: "pinned", message: 1 }), event(3)];
    expect(pinnedNow({ head: 3, messages: [] }, run, fold(run, [], ME))).toEqual({ messages: [], stale: false });
  });

  it("follow one's own click at once", () => {
    const run = events(1, 3);
    const click = [pending({ type: "pin", on: true }, 3), pending({ type: "pin", on: false }, 1)];
    expect(pinnedNow(page, run, fold(run, click, ME)).messages.map(({ seq }) => seq)).toEqual([3, 2]);
  });

  it("are asked for again where there is a hole behind the page", () => {
    const run = events(10, 12);
    expect(pinnedNow(page, run, fold(run, [], ME)).stale).toBe(true);
  });
});

describe("what one may do", () => {
  const message = { seq: 1, mine: false, deleted: false };
  const allowed = (of: Partial<typeof message>, kind: "direct" | "group", role: "owner" | "member" = "member") =>
    Object.entries(permissions({ ...message, ...of }, { kind, role })).flatMap(([name, may]) => (may ? [name] : []));

  it("depends on whose message it is, and on one's role", () => {
    expect(allowed({}, "direct")).toEqual(["reply", "react", "pin"]);
    expect(allowed({}, "direct", "owner")).toEqual(["reply", "react", "pin"]);
    expect(allowed({ mine: true }, "direct")).toEqual(["reply", "react", "edit", "delete", "pin"]);
    expect(allowed({}, "group")).toEqual(["reply", "react"]);
    expect(allowed({ mine: true }, "group")).toEqual(["reply", "react", "edit", "delete"]);
    expect(allowed({}, "group", "owner")).toEqual(["reply", "react", "delete", "pin"]);
  });

  it("is nothing with what was deleted", () => {
    expect(allowed({ mine: true, deleted: true }, "group", "owner")).toEqual([]);
  });
});
