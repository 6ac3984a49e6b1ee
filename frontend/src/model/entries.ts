// A log and the sends that are not in it yet, as the lines of a screen. Pure. A line that did not
// change is the same object as before, so that the screen can tell.
import type { LoggedEvent } from "../protocol";
import { assertNever } from "./assertNever";
import type { Send } from "./outbox";
import type { MessageState, Seq, TimelineEntry, UserId } from "./types";

export interface EntriesOf {
  run: readonly LoggedEvent[];
  pending: readonly Send[];
  me: UserId;
  stateOf: (seq: number) => MessageState;
}

export function entries(of: EntriesOf, previous: readonly TimelineEntry[]): TimelineEntry[] {
  const before = new Map(previous.map((entry) => [entry.key, entry]));
  const seen = new Set<string>();
  const out: TimelineEntry[] = [];
  const add = (entry: TimelineEntry | null): void => {
    // A key seen before would be two React elements of one name; the log never has it, a defect might.
    if (entry === null || seen.has(entry.key)) return;
    seen.add(entry.key);
    const old = before.get(entry.key);
    out.push(old !== undefined && same(old, entry) ? old : entry);
  };
  const amended = amendments(of.run);
  for (const event of of.run) add(entryOf(event, of, amended));
  for (const send of of.pending) add(pendingEntry(send, of.me));
  return out;
}

/** Own messages keep the key they were typed under; no client key holds a character beyond ASCII, so `№` cannot collide. */
export function keyOf(event: LoggedEvent, me: UserId): string {
  return event.from === me && event.key !== null ? event.key : `№${event.seq}`;
}

interface Amendments {
  edits: ReadonlyMap<Seq, { text: string; at: number }>;
  deleted: ReadonlySet<Seq>;
}

/** The run ends at the head, so whatever became of a message in it stands behind it. */
function amendments(run: readonly LoggedEvent[]): Amendments {
  const edits = new Map<Seq, { text: string; at: number }>();
  const deleted = new Set<Seq>();
  for (const { at, event } of run) {
    if (event.type === "edited") edits.set(event.message, { text: event.text, at });
    else if (event.type === "deleted") deleted.add(event.message);
  }
  return { edits, deleted };
}

function entryOf(event: LoggedEvent, { me, stateOf }: EntriesOf, { edits, deleted }: Amendments): TimelineEntry | null {
  const { seq, at, from } = event;
  const key = keyOf(event, me);
  switch (event.event.type) {
    case "message": {
      const mine = from === me;
      const edit = edits.get(seq);
      const text = edit?.text ?? event.event.text;
      const state = mine ? stateOf(seq) : null;
      return { kind: "message", key, seq, from, mine, text, editedAt: edit?.at ?? null, deleted: false, at, state };
    }
    case "erased":
      // An edit of a deleted message leaves one as well, and is no line of its own.
      if (!deleted.has(seq)) return null;
      return { kind: "message", key, seq, from, mine: from === me, text: "", editedAt: null, deleted: true, at, state: null };
    case "edited":
    case "deleted":
    case "reacted":
    case "unreacted":
    case "pinned":
    case "unpinned":
      return null;
    case "created": {
      const { kind, title, members } = event.event;
      return { kind: "note", key, seq, at, from, note: { type: "created", kind, title, members } };
    }
    case "added":
    case "removed":
    case "left":
    case "title":
    case "topic":
    case "role":
      return { kind: "note", key, seq, at, from, note: event.event };
    case "unknown":
      return null;
    default:
      return assertNever(event.event);
  }
}

function pendingEntry(send: Send, me: UserId): TimelineEntry {
  const { key, text } = send;
  const { seq, at, state } = pendingState(send);
  return { kind: "message", key, seq, from: me, mine: true, text, editedAt: null, deleted: false, at, state };
}

function pendingState(send: Send): { seq: number | null; at: number; state: MessageState } {
  const { state, createdAt: at } = send;
  switch (state.at) {
    case "queued":
      return { seq: null, at, state: { at: "queued" } };
    case "sending":
      return { seq: null, at, state: { at: "sending", since: state.since } };
    case "acked":
      return { seq: state.seq, at: state.time, state: { at: "sent" } };
    case "failed":
      return { seq: null, at, state: { at: "failed", reason: state.reason } };
    default:
      return assertNever(state);
  }
}

/** The parts that can change under one key. */
function same(a: TimelineEntry, b: TimelineEntry): boolean {
  if (a.kind !== b.kind || a.seq !== b.seq || a.at !== b.at) return false;
  if (a.kind === "note" || b.kind === "note") return true;
  return a.text === b.text && a.editedAt === b.editedAt && a.deleted === b.deleted && sameState(a.state, b.state);
}

function sameState(a: MessageState | null, b: MessageState | null): boolean {
  if (a === b) return true;
  if (a === null || b === null) return false;
  switch (a.at) {
    case "queued":
    case "sent":
      return b.at === a.at;
    case "sending":
      return b.at === "sending" && b.since === a.since;
    case "delivered":
      return b.at === "delivered" && b.to === a.to && b.of === a.of;
    case "read":
      return b.at === "read" && b.by === a.by && b.of === a.of;
    case "failed":
      return b.at === "failed" && b.reason === a.reason;
    default:
      return assertNever(a);
  }
}
