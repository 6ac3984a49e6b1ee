// A log and the sends that are not in it yet, as the lines of a screen. Pure. A line that did not
// change is the same object as before, so that the screen can tell.
import type { LoggedEvent } from "../protocol";
import { assertNever } from "./assertNever";
import { UNCHANGED, type Folded } from "./fold";
import type { Send } from "./outbox";
import { said as inWords } from "./said";
import type { MessageState, Quote, Reaction, Seq, TimelineEntry, TimelineMessage, UserId } from "./types";

export interface EntriesOf {
  run: readonly LoggedEvent[];
  pending: readonly Send[];
  me: UserId;
  stateOf: (seq: number) => MessageState;
  /** What became of each message. */
  folded: Folded;
  /** Messages that are quoted and older than the run. */
  quoted: ReadonlyMap<Seq, Quote>;
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
  for (const event of of.run) add(entryOf(event, of));
  for (const send of of.pending) add(pendingEntry(send, of));
  return out;
}

/** Own messages keep the key they were typed under; no client key holds a character beyond ASCII, so `№` cannot collide. */
export function keyOf(event: LoggedEvent, me: UserId): string {
  return event.from === me && event.key !== null ? event.key : `№${event.seq}`;
}

function entryOf(event: LoggedEvent, of: EntriesOf): TimelineEntry | null {
  const { me, stateOf, folded } = of;
  const { seq, at, from } = event;
  const key = keyOf(event, me);
  switch (event.event.type) {
    case "message": {
      const mine = from === me;
      const { edits, deleted, reactions, pinned, amending } = folded.get(seq) ?? UNCHANGED;
      const message: TimelineMessage = { ...PLAIN, key, seq, from, mine, at, deleted, amending };
      // Deleted here, and the server has not confirmed it yet.
      if (deleted) return message;
      const edit = edits.at(-1);
      const state = mine ? stateOf(seq) : null;
      const quote = quoteOf(event.event.replyTo, of);
      const { files } = event.event;
      return { ...message, ...(files === undefined ? {} : { files }), text: edit?.text ?? event.event.text, editedAt: edit?.at ?? null, quote, reactions, pinned: pinned ?? false, state };
    }
    case "erased":
      // An edit of a deleted message leaves one as well, and is no line of its own.
      return folded.get(seq)?.deleted === true ? { ...PLAIN, key, seq, from, mine: from === me, at, deleted: true } : null;
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
    case "joined":
    case "access":
    case "history":
    case "linked":
    case "unlinked":
      return { kind: "note", key, seq, at, from, note: event.event };
    case "unknown":
      return null;
    default:
      return assertNever(event.event);
  }
}

/** A message of which nothing is said yet. */
const PLAIN = {
  kind: "message", text: "", editedAt: null, deleted: false, quote: null, reactions: [], pinned: false, amending: false, state: null,
} as const;

function pendingEntry(send: Send, of: EntriesOf): TimelineEntry {
  const files = send.files === undefined ? {} : { files: send.files };
  return { ...PLAIN, ...files, key: send.key, from: of.me, mine: true, text: send.text, quote: quoteOf(send.replyTo, of), ...pendingState(send) };
}

/** Where in the run an event stands that is held. */
export function held(run: readonly LoggedEvent[], seq: Seq): LoggedEvent | undefined {
  const first = run[0]?.seq;
  return first === undefined || seq < first ? undefined : run[seq - first];
}

/** What the quoted message says now: from the run where it is held, else as it was fetched. */
function quoteOf(seq: Seq | undefined, { run, folded, quoted }: EntriesOf): Quote | null {
  if (seq === undefined) return null;
  const became = folded.get(seq) ?? UNCHANGED;
  const said = held(run, seq);
  if (became.deleted || said?.event.type === "erased") return { seq, from: said?.from ?? quoted.get(seq)?.from ?? null, text: "", state: "deleted" };
  const fetched = quoted.get(seq) ?? { seq, from: null, text: "", state: "unknown" };
  const base: Quote = said?.event.type === "message" ? { seq, from: said.from, text: inWords(said.event), state: "said" } : fetched;
  const edit = became.edits.at(-1);
  return edit === undefined || base.state !== "said" ? base : { ...base, text: edit.text };
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
  if (a.text !== b.text || a.editedAt !== b.editedAt || a.deleted !== b.deleted) return false;
  if (a.pinned !== b.pinned || a.amending !== b.amending) return false;
  return sameQuote(a.quote, b.quote) && sameReactions(a.reactions, b.reactions) && sameState(a.state, b.state);
}

function sameQuote(a: Quote | null, b: Quote | null): boolean {
  if (a === null || b === null) return a === b;
  return a.seq === b.seq && a.from === b.from && a.text === b.text && a.state === b.state;
}

function sameReactions(a: readonly Reaction[], b: readonly Reaction[]): boolean {
  if (a === b) return true;
  return a.length === b.length && a.every(({ emoji, users }, index) => {
    const other = b[index];
    return other?.emoji === emoji && users.length === other.users.length && users.every((user, at) => user === other.users[at]);
  });
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
