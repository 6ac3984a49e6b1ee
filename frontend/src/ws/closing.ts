// What the end of a connection means (PROTOCOL.md section 5) and how long to wait. Pure.

export type CloseReason =
  /** A close code of the server, or 1006 where the network simply ended. */
  | { why: "code"; code: number }
  /** Nothing arrived for longer than the server would ever be quiet. */
  | { why: "silent" }
  /** The browser says that there is no network. */
  | { why: "offline" }
  /** There is no token to show. */
  | { why: "no-credential" };

/** What to do about it. Everything before `sign-in` comes back by itself. */
export type Remedy = "resume" | "at-once" | "slowly" | "renew" | "sign-in" | "update" | "stop";

export function remedy(reason: CloseReason): Remedy {
  switch (reason.why) {
    case "silent":
    case "offline":
      return "resume";
    case "no-credential":
      return "sign-in";
    case "code":
      return remedyOfCode(reason.code);
  }
}

function remedyOfCode(code: number): Remedy {
  switch (code) {
    case 1002:
    case 1003:
    case 1007:
    case 1008:
    case 1009:
      return "stop";
    case 1012:
      return "at-once";
    case 1013:
    case 4004:
    case 4005:
      return "slowly";
    case 4002:
      return "renew";
    case 4501:
    case 4502:
      return "sign-in";
    case 4503:
      return "update";
    default:
      // The range decides about codes that came after this client was written.
      return code >= 4500 && code <= 4999 ? "stop" : "resume";
  }
}

const BASE_MS = 500;
const CEILING_MS = 20_000;
/** Below this many doublings (16 s) a server that asked for room would not get it. */
const SLOWLY_FROM = 5;

/** Full jitter: clients that lost the same server do not come back in step. */
export function backoffMs(attempt: number, remedy: Remedy, random: number): number {
  const doublings = remedy === "slowly" ? Math.max(attempt, SLOWLY_FROM) : remedy === "at-once" ? attempt - 1 : attempt;
  return Math.floor(random * Math.min(CEILING_MS, BASE_MS * 2 ** doublings));
}
