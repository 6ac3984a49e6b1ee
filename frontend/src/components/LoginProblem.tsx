// Why signing in did not work: what happened, and what to do. Takes the focus, so it is read at once.
import { TriangleAlert } from "lucide-react";
import { useState, type Ref } from "react";
import * as format from "../format";
import { rich, t } from "../i18n/text";
import type { ProblemView } from "../model/types";
import { useNow } from "./useNow";
import { problemWords } from "./problemWords";

function Wait({ ms }: { ms: number }) {
  const [until] = useState(() => Date.now() + ms);
  const seconds = format.secondsUntil(until, useNow(500));
  return seconds === 0 ? t("login.waitOver") : rich("login.wait", { seconds: <span className="tabular-nums">{format.number(seconds)}</span> });
}

function words(problem: ProblemView) {
  switch (problem.code) {
    case "rate_limited":
      return problem.retryAfterMs === null ? t("login.tooOften") : rich("login.tooOftenWait", { wait: <Wait ms={problem.retryAfterMs} /> });
    case "name_taken":
      return t("login.nameTaken");
    default:
      return problemWords(problem);
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
