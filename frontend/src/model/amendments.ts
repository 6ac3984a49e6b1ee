// Changes of messages from the click to the log: what is written next, what is repeated, what is taken
// back. Pure, like the outbox. Unlike a send a change does not outlive its page: it is one click to
// make again, and what is refused shows at once.
import type { Problem } from "../protocol";
import { assertNever } from "./assertNever";
import { ANSWER_MS, TRIES_MAX } from "./outbox";
import type { Amendment, ClientKey, ConversationId, Seq } from "./types";

export type PendingState =
  | { at: "waiting"; notBefore: number; tries: number }
  | { at: "sent"; deadline: number; tries: number }
  /** Committed; it stays until the log has it, so that nothing flickers. */
  | { at: "done"; until: number };

export interface Pending {
  key: ClientKey;
  conversation: ConversationId;
  message: Seq;
  what: Amendment;
  at: number;
  state: PendingState;
}

/** In the order made. */
export type Amendments = readonly Pending[];

/** What was so already makes no event: nothing in the log will ever say that it arrived. */
const LINGER_MS = 5_000;
/** Where a problem that will pass does not say when. */
const PATIENCE_MS = 2_000;

export function add(all: Amendments, pending: Omit<Pending, "state">): Amendments {
  return [...all, { ...pending, state: { at: "waiting", notBefore: 0, tries: 0 } }];
}

export interface Due {
  amendments: Amendments;
  write: readonly Pending[];
  /** Never answered: taken back. */
  unanswered: readonly Pending[];
}

/** What to write now: of one message one after another, so that the last click is what counts. */
export function due(all: Amendments, now: number): Due {
  const busy = new Set<string>();
  const write: Pending[] = [];
  const unanswered: Pending[] = [];
  const amendments = all.flatMap((each): Pending[] => {
    const { state } = each;
    const about = `${each.conversation} ${each.message}`;
    const first = !busy.has(about);
    if (state.at !== "done") busy.add(about);
    switch (state.at) {
      case "done":
        return now < state.until ? [each] : [];
      case "sent":
        if (now < state.deadline) return [each];
        break;
      case "waiting":
        if (!first || now < state.notBefore) return [each];
        break;
      default:
        return assertNever(state);
    }
    if (state.tries >= TRIES_MAX) {
      unanswered.push(each);
      return [];
    }
    const sent: Pending = { ...each, state: { at: "sent", deadline: now + ANSWER_MS, tries: state.tries + 1 } };
    write.push(sent);
    return [sent];
  });
  return { amendments: write.length + unanswered.length === 0 && amendments.length === all.length ? all : amendments, write, unanswered };
}

/** When `due` should be asked again; null when only an event can change anything. */
export function nextDue(all: Amendments): number | null {
  const times = all.flatMap(({ state }) => {
    if (state.at === "sent") return [state.deadline];
    if (state.at === "done") return [state.until];
    return state.notBefore > 0 ? [state.notBefore] : [];
  });
  return times.length === 0 ? null : Math.min(...times);
}

export function done(all: Amendments, key: string, now: number): Amendments {
  return change(all, key, { at: "done", until: now + LINGER_MS });
}

/** These stand in the log now. */
export function landed(all: Amendments, keys: ReadonlySet<string>): Amendments {
  return all.some((each) => keys.has(each.key)) ? all.filter((each) => !keys.has(each.key)) : all;
}

/** Null: it waits for another try. Otherwise it is taken back. */
export function refused(all: Amendments, key: string, problem: Problem, now: number): Amendments | null {
  const found = all.find((each) => each.key === key);
  const tries = found?.state.at === "sent" ? found.state.tries : TRIES_MAX;
  if (!problem.retryable || tries >= TRIES_MAX) return null;
  return change(all, key, { at: "waiting", notBefore: now + (problem.retryAfterMs ?? PATIENCE_MS), tries });
}

/** The connection is gone: what was on its way may have arrived, and its key makes a repetition harmless. */
export function disconnected(all: Amendments): Amendments {
  if (!all.some(({ state }) => state.at === "sent")) return all;
  return all.map((each) => (each.state.at === "sent" ? { ...each, state: { at: "waiting", notBefore: 0, tries: 0 } } : each));
}

/** What is deleted is deleted, whoever was first. */
export function isDoneAlready({ what }: Pending, problem: Problem): boolean {
  return what.type === "delete" && problem.code === "not_found";
}

function change(all: Amendments, key: string, state: PendingState): Amendments {
  return all.map((each) => (each.key === key ? { ...each, state } : each));
}
