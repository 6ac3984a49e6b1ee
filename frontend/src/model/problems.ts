// What a problem says to a person. Programs look at `code`; the words here are this client's own.
import type { Problem } from "../protocol";
import type { ProblemView } from "./types";

export const UNREACHABLE: ProblemView = {
  code: "network",
  message: "Can't reach the server. Check your connection and try again.",
  retryAfterMs: null,
};

/** The answer was not what the protocol says: a proxy's page, or a server of another kind. */
export const NOT_UNDERSTOOD: ProblemView = {
  code: "not_understood",
  message: "The server gave an answer that this app does not understand. Try again later.",
  retryAfterMs: null,
};

/** The message is gone, or was never there. */
export const NOT_HERE: ProblemView = { code: "not_found", message: "This message is not here any more.", retryAfterMs: null };

export const TOO_FAR_BACK: ProblemView = {
  code: "too_far_back",
  message: "This message is very far back. Scroll up to get to it.",
  retryAfterMs: null,
};

export const UNANSWERED: ProblemView = { code: "network", message: "The server did not answer.", retryAfterMs: null };

export function viewOf(problem: Problem): ProblemView {
  return { code: problem.code, message: sentence(problem), retryAfterMs: problem.retryAfterMs };
}

function sentence(problem: Problem): string {
  switch (problem.code) {
    case "wrong_credentials":
      return "Wrong username or password.";
    case "unauthenticated":
      return "Your session has ended. Sign in again.";
    case "forbidden":
      return "You are not allowed to do this.";
    case "origin_refused":
      return "This address is not allowed to use the server.";
    case "not_found":
      return "This does not exist, or you are not in it.";
    case "unknown_user":
      return "This person is not here any more.";
    case "name_taken":
      return "Somebody already has this username.";
    case "last_owner":
      return "A group needs an owner. Make somebody else an owner first.";
    case "too_large":
      return "This is too long.";
    case "rate_limited": {
      const wait = problem.retryAfterMs === null ? null : Math.max(1, Math.ceil(problem.retryAfterMs / 1000));
      if (wait === null) return "Too many requests. Try again in a moment.";
      return `Too many requests. Try again in ${wait} ${wait === 1 ? "second" : "seconds"}.`;
    }
    case "key_conflict":
      return "This message was sent before with another text. Write it again.";
    case "timeout":
    case "unavailable":
    case "overloaded":
    case "draining":
    case "internal":
      return "The server cannot do this right now. Try again in a moment.";
    default:
      return asSentence(problem.detail === "" ? problem.title : problem.detail);
  }
}

/** The server's own words are lower case and without a full stop. */
function asSentence(words: string): string {
  const sentence = words.charAt(0).toUpperCase() + words.slice(1);
  return /[.!?]$/.test(sentence) ? sentence : `${sentence}.`;
}
