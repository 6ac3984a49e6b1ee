import { expect, it } from "vitest";
import { A, B, BOB, CID } from "../test/build";
import { expire, nextExpiry, NOBODY, withPresence, withTyping } from "./presence";

it("typing ends by itself after twice the repetition", () => {
  let now = withTyping(NOBODY, A, BOB, true, 0, 3_000);
  now = withTyping(now, B, CID, true, 1_000, 3_000);
  expect(nextExpiry(now)).toBe(6_000);
  expect(expire(now, 5_999)).toBe(now);
  now = expire(now, 6_000);
  expect(now.typing.has(A)).toBe(false);
  expect([...(now.typing.get(B) ?? [])]).toEqual([[CID, 7_000]]);
  expect(nextExpiry(expire(now, 7_000))).toBeNull();
});

it("typing lasts as long as it is repeated, and ends when it is said to", () => {
  let now = withTyping(NOBODY, A, BOB, true, 0, 3_000);
  now = withTyping(now, A, BOB, true, 3_000, 3_000);
  expect(expire(now, 8_000).typing.get(A)?.has(BOB)).toBe(true);
  now = withTyping(now, A, BOB, false, 8_000, 3_000);
  expect(now.typing.size).toBe(0);
  expect(withTyping(now, A, BOB, false, 8_000, 3_000)).toBe(now);
});

it("presence is what was said last", () => {
  const here = withPresence(NOBODY, BOB, true);
  expect(here.online.has(BOB)).toBe(true);
  expect(withPresence(here, BOB, true)).toBe(here);
  expect(withPresence(here, BOB, false).online.size).toBe(0);
});
