import { describe, expect, it } from "vitest";
import type { TimelineEntry, UserId } from "../../model/types";
import { newestSeq, othersAfter, rows } from "./rows";

const NOON = new Date(2026, 10, 24, 12).getTime();
const MINUTE = 60_000;
const user = (name: string) => name as UserId;

function said(seq: number | null, from: string, at = NOON): TimelineEntry {
  const mine = from === "me";
  return { kind: "message", key: `${seq ?? "pending"}-${from}`, seq, from: user(from), mine, text: "x", editedAt: null, deleted: false, quote: null, reactions: [], pinned: false, amending: false, at, state: mine ? { at: "sent" } : null };
}

const starts = (entries: TimelineEntry[], visitRead: number | null = null) => rows(entries, visitRead).map((row) => row.startsGroup);

describe("rows", () => {
  it("joins what one person says within five minutes", () => {
    expect(starts([said(1, "bob"), said(2, "bob", NOON + 4 * MINUTE), said(3, "bob", NOON + 10 * MINUTE)])).toEqual([true, false, true]);
  });

  it("joins neither different people nor different days", () => {
    const midnight = new Date(2026, 10, 25).getTime();
    expect(starts([said(1, "bob"), said(2, "ana")])).toEqual([true, true]);
    const [late, early] = rows([said(1, "bob", midnight - MINUTE), said(2, "bob", midnight + MINUTE)], null);
    expect([late?.startsDay, early?.startsDay, early?.startsGroup]).toEqual([true, true, true]);
  });

  it("puts the unread divider above the first unread message of somebody else, once", () => {
    const all = rows([said(1, "bob"), said(2, "me"), said(3, "bob"), said(4, "bob")], 1);
    expect(all.map((row) => row.startsUnread)).toEqual([false, false, true, false]);
  });

  it("has no divider when nothing was unread as the visit began", () => {
    expect(rows([said(1, "bob"), said(2, "bob")], null).some((row) => row.startsUnread)).toBe(false);
  });

  it("lets the last acknowledged message of an own run show its state, whatever still waits below", () => {
    const all = rows([said(1, "me"), said(2, "me"), said(null, "me")], null);
    expect(all.map((row) => row.endsRun)).toEqual([false, true, true]);
  });

  it("knows the newest place and what others wrote after one", () => {
    const entries = [said(1, "bob"), said(2, "me"), said(3, "bob"), said(null, "me")];
    expect(newestSeq(entries)).toBe(3);
    expect(othersAfter(entries, 1).map((message) => message.seq)).toEqual([3]);
    expect(newestSeq([])).toBe(0);
  });
});
