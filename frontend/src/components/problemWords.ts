// What a problem says to a person. Goes by its code: the server's own words are for developers, and English.
import { t } from "../i18n/text";
import type { ProblemView } from "../model/types";

export function problemWords({ code, retryAfterMs }: ProblemView): string {
  switch (code) {
    case "network":
      return t("problem.network");
    case "not_understood":
    case "malformed":
    case "method_not_allowed":
    case "unsupported_media_type":
    case "upgrade_required":
      return t("problem.notUnderstood");
    case "unanswered":
      return t("problem.unanswered");
    case "message_gone":
      return t("problem.messageGone");
    case "too_far_back":
      return t("problem.tooFarBack");
    case "unsent":
      return t("problem.unsent");
    case "wrong_credentials":
      return t("problem.wrongCredentials");
    case "unauthenticated":
      return t("problem.unauthenticated");
    case "forbidden":
      return t("problem.forbidden");
    case "origin_refused":
      return t("problem.originRefused");
    case "not_found":
      return t("problem.notFound");
    case "unknown_user":
      return t("problem.unknownUser");
    case "name_taken":
      return t("problem.nameTaken");
    case "last_owner":
      return t("problem.lastOwner");
    case "too_large":
      return t("problem.tooLarge");
    case "rate_limited":
      if (retryAfterMs === null) return t("problem.rateLimited");
      return t("problem.rateLimitedFor", { count: Math.max(1, Math.ceil(retryAfterMs / 1000)) });
    case "key_conflict":
      return t("problem.keyConflict");
    case "invalid":
      return t("problem.invalid");
    case "timeout":
    case "unavailable":
    case "overloaded":
    case "draining":
    case "internal":
      return t("problem.busy");
    default:
      // A code of a newer server.
      return t("problem.other");
  }
}

/** Why a message was not sent; what an earlier version stored was a sentence. */
export function reasonWords(code: string): string {
  return problemWords({ code, retryAfterMs: null });
}
