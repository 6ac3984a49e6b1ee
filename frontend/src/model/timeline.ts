// What a device holds of one conversation's log: one run of events without a hole that ends at the
// position, and what arrived beyond a hole. Pure; knows nothing of where events come from.
import type { LoggedEvent } from "../protocol";
import type { Seq } from "./types";

export interface Log {
  /** Consecutive events. When there are any, the last one is that of `position`. */
  readonly run: readonly LoggedEvent[];
  /** The device holds everything it wants up to here. */
  readonly position: Seq;
  /** Events beyond a hole, ascending; they join the run when the hole is mended. */
  readonly ahead: readonly LoggedEvent[];
}

/** What a deletion leaves of a message and of its edits. */
function erased(event: LoggedEvent): LoggedEvent {
  return { ...event, event: { type: "erased" } };
}

/** Nothing that was deleted stays on this device. */
function forget(log: Log, fresh: readonly LoggedEvent[]): Log {
  const gone = new Set(fresh.flatMap(({ event }) => (event.type === "deleted" ? [event.message] : [])));
  if (gone.size === 0) return log;
  const goes = ({ seq, event }: LoggedEvent): boolean =>
    (event.type === "message" && gone.has(seq)) || (event.type === "edited" && gone.has(event.message));
  return { ...log, run: log.run.map((event) => (goes(event) ? erased(event) : event)) };
}

/** What changed: the events that took their place, in order, and where something is missing. */
export interface Applied {
  log: Log;
  fresh: readonly LoggedEvent[];
  /** Ask for what comes after this position. */
  hole: Seq | null;
}

/** More than a replay brings; past it what is ahead is dropped, and `sync` brings it again. */
const AHEAD_MAX = 1_000;

export function emptyLog(position: Seq): Log {
  return { run: [], position, ahead: [] };
}

/** The one rule: the next event is applied, an older one dropped, and a later one shows a hole. */
export function applyEvent(log: Log, event: LoggedEvent): Applied {
  if (event.seq <= log.position) return { log, fresh: [], hole: null };
  return join({ ...log, ahead: insert(log.ahead, event) });
}

/** A page over HTTP: consecutive events, ascending, that may lie anywhere. */
export function applyPage(log: Log, page: readonly LoggedEvent[]): Applied {
  const first = page[0]?.seq;
  const last = page.at(-1)?.seq;
  if (first === undefined || last === undefined) return { log, fresh: [], hole: null };
  const runFirst = log.run[0]?.seq;
  if (runFirst === undefined) {
    // Nothing was held: the page is the run. What the position knew beyond it has to come again.
    const { fresh, log: joined, hole } = join({ run: page, position: last, ahead: log.ahead });
    const behind = joined.position < log.position ? joined.position : null;
    return { log: joined, fresh: [...page.filter((event) => event.seq > log.position), ...fresh], hole: hole ?? behind };
  }
  if (first > log.position + 1) {
    // Newer, with a hole between: what is older can be loaded again, page by page.
    const { fresh, log: joined, hole } = join({ run: page, position: last, ahead: log.ahead });
    return { log: joined, fresh: [...page, ...fresh], hole };
  }
  if (last + 1 < runFirst) return { log, fresh: [], hole: null };
  const older = page.filter((event) => event.seq < runFirst);
  const newer = page.filter((event) => event.seq > log.position);
  const run = older.length + newer.length === 0 ? log.run : [...older, ...log.run, ...newer];
  const { fresh, log: joined, hole } = join({ run, position: Math.max(log.position, last), ahead: log.ahead });
  return { log: forget(joined, newer), fresh: [...newer, ...fresh], hole };
}

/** The server no longer has, or does not replay, what lies between: start at its head. */
export function resetLog(log: Log, head: Seq): Log {
  return head === log.position ? log : emptyLog(head);
}

/** Keeps the newest `max` events, for the cache. */
export function newest(log: Log, max: number): Log {
  return { run: log.run.slice(-max), position: log.position, ahead: [] };
}

export function startReached(log: Log): boolean {
  return log.run[0]?.seq === 1;
}

function join(log: Log): Applied {
  let { position } = log;
  const fresh: LoggedEvent[] = [];
  let used = 0;
  for (const event of log.ahead) {
    if (event.seq > position + 1) break;
    used += 1;
    if (event.seq <= position) continue;
    fresh.push(event);
    position = event.seq;
  }
  const ahead = used === 0 ? log.ahead : log.ahead.slice(used);
  const run = fresh.length === 0 ? log.run : [...log.run, ...fresh];
  return { log: forget({ run, position, ahead }, fresh), fresh, hole: ahead.length > 0 ? position : null };
}

function insert(ahead: readonly LoggedEvent[], event: LoggedEvent): readonly LoggedEvent[] {
  const at = ahead.findLastIndex((each) => each.seq <= event.seq);
  if (ahead[at]?.seq === event.seq) return ahead;
  return [...ahead.slice(0, at + 1), event, ...ahead.slice(at + 1)].slice(0, AHEAD_MAX);
}
