// What became of one's own message, as a small sign with its words in a tooltip and for screen readers.
import clsx from "clsx";
import { Check, CheckCheck, Clock3, TriangleAlert, type LucideIcon } from "lucide-react";
import type { MessageState } from "../../model/types";
import { Tip } from "../ui/Tip";
import { stateWords } from "./stateWords";

interface MessageTickProps {
  state: MessageState;
  at: number;
  /** Settled states within a run appear on hover only; what is under way or wrong always shows. */
  quiet: boolean;
}

const SIGNS: Record<MessageState["at"], { icon: LucideIcon; className: string }> = {
  queued: { icon: Clock3, className: "text-own-muted" },
  // A send that is answered at once shows no clock: it would only flicker.
  sending: { icon: Clock3, className: "text-own-muted animate-[appear_120ms_500ms_both]" },
  sent: { icon: Check, className: "text-own-muted" },
  delivered: { icon: CheckCheck, className: "text-own-muted" },
  read: { icon: CheckCheck, className: "text-read" },
  failed: { icon: TriangleAlert, className: "text-danger" },
};

export function MessageTick({ state, at, quiet }: MessageTickProps) {
  const { icon: Icon, className } = SIGNS[state.at];
  const settled = state.at === "sent" || state.at === "delivered" || state.at === "read";
  const words = stateWords(state, at);
  return (
    <Tip label={words}>
      <span
        data-state={state.at}
        className={clsx(
          "inline-grid size-4 place-items-center",
          className,
          // In the margin before the time: its place costs nothing while it is not seen.
          quiet && settled && "absolute end-full opacity-0 transition-opacity group-hover/message:opacity-100 group-focus/message:opacity-100",
        )}
      >
        <Icon aria-hidden size={15} strokeWidth={2} />
        <span className="sr-only">{words}</span>
      </span>
    </Tip>
  );
}
