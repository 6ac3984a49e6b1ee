// Why signing in did not work: what happened, and what to do. Takes the focus, so it is read at once.
import { TriangleAlert } from "lucide-react";
import { useState, type Ref } from "react";
import * as format from "../format";
import type { ProblemView } from "../model/types";
import { useNow } from "./useNow";

function Wait({ ms }: { ms: number }) {
  const [until] = useState(() => Date.now() + ms);
  const seconds = format.secondsUntil(until, useNow(500));
  return seconds === 0 ? "You can try again now." : <>Try again in <span className="tabular-nums">{seconds}</span> s.</>;
}

function words(problem: ProblemView) {
  switch (problem.code) {
    case "wrong_credentials":
      return "Wrong username or password.";
    case "rate_limited":
      return problem.retryAfterMs === null ? "Too many attempts. Try again in a while." : <>Too many attempts. <Wait ms={problem.retryAfterMs} /></>;
    case "network":
      return "Can’t reach the server. Check your connection and try again.";
    case "name_taken":
      return "This user name is taken. Choose another one.";
    default:
      return problem.message;
  }
}

export function LoginProblem({ problem, ref }: { problem: ProblemView; ref: Ref<HTMLDivElement> }) {
  return (
    <div ref={ref} role="alert" tabIndex={-1} className="flex gap-2 rounded-control bg-fault px-3 py-2.5 text-[0.875rem] leading-5 text-on-fault">
      <TriangleAlert aria-hidden size={16} className="mt-0.5 shrink-0" />
      <p>{words(problem)}</p>
    </div>
  );
}
