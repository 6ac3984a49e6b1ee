// The state of the socket as a person should see it. Pure.
import { assertNever } from "../model/assertNever";
import type { ConnectionView } from "../model/types";
import type { CloseReason, ConnectionState } from "../ws";
import { remedy } from "../ws/closing";

export interface Surroundings {
  /** What the browser says; an open connection knows better. */
  online: boolean;
  waitingSends: number;
  justBack: boolean;
  /** When there was a connection last, or when the first try began. */
  lostAt: number;
}

/** The first failure is usually mended within a second; it is not worth a word. */
const FAILURES_UNSEEN = 1;

export function connectionView(state: ConnectionState, around: Surroundings): ConnectionView {
  const { online, waitingSends, justBack, lostAt } = around;
  switch (state.at) {
    case "idle":
      return { at: "connecting", since: lostAt };
    case "open":
      return { at: "online", since: state.since, justBack };
    case "connecting":
    case "waiting":
      if (!online) return { at: "offline", waitingSends };
      if (state.attempt <= FAILURES_UNSEEN) return { at: "connecting", since: lostAt };
      return { at: "unreachable", retryAt: state.at === "waiting" ? state.retryAt : state.since, waitingSends };
    case "closed":
      return stopped(state.because);
    default:
      return assertNever(state);
  }
}

function stopped(because: CloseReason): ConnectionView {
  const detail = because.why === "code" ? `closed with code ${because.code}` : because.why;
  switch (remedy(because)) {
    case "sign-in":
    case "renew":
      return { at: "stopped", reason: "signed-out", detail };
    case "update":
      return { at: "stopped", reason: "update-needed", detail };
    case "stop":
    case "resume":
    case "at-once":
    case "slowly":
      return { at: "stopped", reason: "defect", detail };
  }
}
