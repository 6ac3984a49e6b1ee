// Sends from typing to acknowledgement: what is written next, what is repeated, what failed. Pure:
// time comes in as `now`, and what to do goes out as values. A key is never changed, so that
// whatever is repeated happens once.
import type { Problem } from "../protocol";
import { assertNever } from "./assertNever";
import { UNANSWERED } from "./problems";
import type { ClientKey, ConversationId, FileInfo, Seq } from "./types";

export type SendState =
  /** `notBefore`: the server asked for patience. */
  | { at: "queued"; notBefore: number }
  /** `since` is when it was first written on this connection, `deadline` when it is written again. */
  | { at: "sending"; since: number; deadline: number; tries: number }
  /** Committed; it stays here until the log reaches it. */
  | { at: "acked"; seq: Seq; time: number }
  /** `reason`: the code of a problem. */
  | { at: "failed"; reason: string };

export interface Send {
  key: ClientKey;
  conversation: ConversationId;
  text: string;
  /** The message that this one answers. */
  replyTo?: Seq;
  /** What comes with it, uploaded already. */
  files?: readonly FileInfo[];
  createdAt: number;
  state: SendState;
}

/** In the order typed. */
export type Outbox = readonly Send[];

/** Without an answer for this long a send is repeated (PROTOCOL.md section 3). */
export const ANSWER_MS = 10_000;
/** Unanswered on a connection that otherwise lives: then a person should decide. */
export const TRIES_MAX = 3;
/** Where a problem that will pass does not say when. */
const PATIENCE_MS = 2_000;

export function add(outbox: Outbox, send: Omit<Send, "state">): Outbox {
  return [...outbox, { ...send, state: { at: "queued", notBefore: 0 } }];
}

/** As found after a reload: whatever was on its way is sent again under its key. */
export function restore(outbox: Outbox, stored: readonly Send[]): Outbox {
  const known = new Set(outbox.map((send) => send.key));
  const found = stored.filter((send) => !known.has(send.key));
  if (found.length === 0) return outbox;
  const revived = found.map((send) => (send.state.at === "failed" ? send : queued(send, 0)));
  return [...outbox, ...revived].sort((a, b) => a.createdAt - b.createdAt);
}

/** What to write now. In one conversation one after another, so that a refusal cannot turn the order around. */
export function due(outbox: Outbox, now: number, inFlightMax: number): { outbox: Outbox; write: readonly Send[] } {
  const onTheirWay = outbox.filter((send) => send.state.at === "sending");
  const busy = new Set<ConversationId>(onTheirWay.map((send) => send.conversation));
  let inFlight = onTheirWay.length;
  const write: Send[] = [];
  const next = outbox.map((send): Send => {
    const { state, conversation } = send;
    switch (state.at) {
      case "acked":
      case "failed":
        return send;
      case "sending": {
        if (now < state.deadline) return send;
        if (state.tries >= TRIES_MAX) return { ...send, state: { at: "failed", reason: UNANSWERED.code } };
        const again: Send = { ...send, state: { ...state, deadline: now + ANSWER_MS, tries: state.tries + 1 } };
        write.push(again);
        return again;
      }
      case "queued": {
        const free = !busy.has(conversation) && inFlight < inFlightMax && now >= state.notBefore;
        // Also when it has to wait itself: the ones typed after it wait behind it.
        busy.add(conversation);
        if (!free) return send;
        inFlight += 1;
        const first: Send = { ...send, state: { at: "sending", since: now, deadline: now + ANSWER_MS, tries: 1 } };
        write.push(first);
        return first;
      }
      default:
        return assertNever(state);
    }
  });
  return { outbox: write.length === 0 && !changed(outbox, next) ? outbox : next, write };
}

/** When `due` should be asked again; null when only an event can change anything. */
export function nextDue(outbox: Outbox): number | null {
  let at: number | null = null;
  for (const { state } of outbox) {
    const due = state.at === "sending" ? state.deadline : state.at === "queued" && state.notBefore > 0 ? state.notBefore : null;
    if (due !== null) at = at === null ? due : Math.min(at, due);
  }
  return at;
}

export function acked(outbox: Outbox, key: string, seq: Seq, time: number): Outbox {
  return change(outbox, key, (send) => ({ ...send, state: { at: "acked", seq, time } }));
}

/** Seen in the log: nothing is left to do. */
export function landed(outbox: Outbox, keys: ReadonlySet<string>): Outbox {
  return outbox.some((send) => keys.has(send.key)) ? outbox.filter((send) => !keys.has(send.key)) : outbox;
}

export function refused(outbox: Outbox, key: string, problem: Problem, now: number): Outbox {
  if (!problem.retryable) return change(outbox, key, (send) => ({ ...send, state: { at: "failed", reason: problem.code } }));
  const notBefore = now + (problem.retryAfterMs ?? PATIENCE_MS);
  // A rate is the user's, not the conversation's: everything waits.
  if (problem.code === "rate_limited") {
    return outbox.map((send) => (send.key === key || send.state.at === "queued" ? later(send, notBefore) : send));
  }
  return change(outbox, key, (send) => queued(send, notBefore));
}

/** The connection is gone. Nothing failed: what was on its way may have arrived, and its key will tell. */
export function disconnected(outbox: Outbox): Outbox {
  if (!outbox.some((send) => send.state.at === "sending")) return outbox;
  return outbox.map((send) => (send.state.at === "sending" ? queued(send, 0) : send));
}

export function retry(outbox: Outbox, key: string): Outbox {
  return change(outbox, key, (send) => (send.state.at === "failed" ? queued(send, 0) : send));
}

/** One that is on its way cannot be called back. */
export function discard(outbox: Outbox, key: string): Outbox {
  return outbox.filter((send) => send.key !== key || send.state.at === "sending" || send.state.at === "acked");
}

/** What another tab, the one that sends, says of a send. */
export function replace(outbox: Outbox, key: string, state: SendState): Outbox {
  return change(outbox, key, (send) => ({ ...send, state }));
}

/** What has not reached the server yet. */
export function unsent(outbox: Outbox): number {
  return outbox.filter((send) => send.state.at === "queued" || send.state.at === "sending").length;
}

function queued(send: Send, notBefore: number): Send {
  return { ...send, state: { at: "queued", notBefore } };
}

function later(send: Send, notBefore: number): Send {
  const already = send.state.at === "queued" ? send.state.notBefore : 0;
  return queued(send, Math.max(already, notBefore));
}

function change(outbox: Outbox, key: string, to: (send: Send) => Send): Outbox {
  let hit = false;
  const next = outbox.map((send) => {
    // An acknowledgement is final; a late error of an earlier try does not undo it.
    if (send.key !== key || send.state.at === "acked") return send;
    const changed = to(send);
    hit ||= changed !== send;
    return changed;
  });
  return hit ? next : outbox;
}

function changed(before: Outbox, after: Outbox): boolean {
  return before.some((send, index) => send !== after[index]);
}
