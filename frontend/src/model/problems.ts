// What went wrong, as a name that is the same in every language: the protocol's codes, and the few of this
// client's own. The words are the screen's (components/problemWords.ts).
import type { Problem } from "../protocol";
import type { ProblemView } from "./types";

export const UNREACHABLE: ProblemView = { code: "network", retryAfterMs: null };

/** The answer was not what the protocol says: a proxy's page, or a server of another kind. */
export const NOT_UNDERSTOOD: ProblemView = { code: "not_understood", retryAfterMs: null };

/** The message is gone, or was never there. */
export const NOT_HERE: ProblemView = { code: "message_gone", retryAfterMs: null };

export const TOO_FAR_BACK: ProblemView = { code: "too_far_back", retryAfterMs: null };

export const UNANSWERED: ProblemView = { code: "unanswered", retryAfterMs: null };

export function viewOf({ code, retryAfterMs }: Problem): ProblemView {
  return { code, retryAfterMs };
}
