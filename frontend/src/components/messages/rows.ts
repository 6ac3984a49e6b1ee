// From entries to rows: where a day begins, what belongs together, where the unread ones begin.
// Pure; the list renders what this returns.
import { dayOf, type Day } from "../../format";
import type { TimelineEntry, TimelineMessage } from "../../model/types";

export interface Row {
  key: string;
  entry: TimelineEntry;
  /** A day separator stands above. */
  startsDay: boolean;
  /** The unread divider stands above. */
  startsUnread: boolean;
  /** First of several by the same person in a short time: has the name and the picture. */
  startsGroup: boolean;
  endsGroup: boolean;
  /** Last that the server has before somebody else speaks: it shows its state, those above on hover. */
  endsRun: boolean;
}

const GROUP_GAP_MS = 5 * 60_000;

const belongs = (a: TimelineEntry, b: TimelineEntry): boolean =>
  a.kind === "message" && b.kind === "message" && a.from === b.from && a.mine === b.mine && b.at - a.at < GROUP_GAP_MS;

const isUnread = (entry: TimelineEntry, visitRead: number): boolean =>
  entry.kind === "message" && !entry.mine && !entry.deleted && entry.seq !== null && entry.seq > visitRead;

/** `visitRead`: the read marker when this visit began; null: there was nothing unread. */
export function rows(entries: TimelineEntry[], visitRead: number | null): Row[] {
  const firstUnread = visitRead === null ? -1 : entries.findIndex((entry) => isUnread(entry, visitRead));
  let day: Day = { start: 0, end: 0 };
  let previous: Row | null = null;
  const all: Row[] = [];
  for (const [index, entry] of entries.entries()) {
    // The calendar is asked once a day, not once a message: of a long conversation there are very many.
    const startsDay: boolean = entry.at < day.start || entry.at >= day.end;
    if (startsDay) day = dayOf(entry.at);
    const startsUnread = index === firstUnread;
    const continues: boolean = previous !== null && !startsDay && !startsUnread && belongs(previous.entry, entry);
    if (previous !== null) {
      previous.endsGroup = !continues;
      previous.endsRun = !(entry.kind === "message" && entry.mine && entry.seq !== null);
    }
    previous = { key: entry.key, entry, startsDay, startsUnread, startsGroup: !continues, endsGroup: true, endsRun: true };
    all.push(previous);
  }
  return all;
}

/** The newest place in the log that is on this device; 0: none. */
export function newestSeq(entries: TimelineEntry[]): number {
  for (let i = entries.length - 1; i >= 0; i -= 1) {
    const seq = entries[i]?.seq;
    if (typeof seq === "number") return seq;
  }
  return 0;
}

/** Messages of others after `seq`, from the end on: stops at the first that is not. */
export function othersAfter(entries: TimelineEntry[], seq: number): TimelineMessage[] {
  const found: TimelineMessage[] = [];
  for (let i = entries.length - 1; i >= 0; i -= 1) {
    const entry = entries[i];
    if (entry === undefined || (entry.seq !== null && entry.seq <= seq)) break;
    if (entry.kind === "message" && !entry.mine && !entry.deleted) found.push(entry);
  }
  return found.reverse();
}
