// What a message answers: who said it and its first lines. A click goes there.
import clsx from "clsx";
import { useMemo } from "react";
import { useNames } from "../../hooks/useNames";
import type { Quote } from "../../model/types";
import { UNKNOWN_NAME } from "../PersonName";
import { hue } from "../ui/hue";

/** The name and the words of a quote, as shown and as spoken. */
export function useQuoteWords({ from, text, state }: Quote): { who: string | null; says: string } {
  const [name] = useNames(useMemo(() => (from === null ? [] : [from]), [from]), UNKNOWN_NAME);
  if (state === "deleted") return { who: null, says: "Message deleted" };
  if (state === "unknown") return { who: null, says: "An earlier message" };
  return { who: from === null ? "System" : (name ?? UNKNOWN_NAME), says: text };
}

interface QuoteBlockProps {
  quote: Quote;
  mine: boolean;
  tabIndex: 0 | -1;
  onJump: (seq: number) => void;
}

export function QuoteBlock({ quote, mine, tabIndex, onJump }: QuoteBlockProps) {
  const { who, says } = useQuoteWords(quote);
  const colour = quote.from === null || who === null ? "var(--field)" : `var(--hue-${hue(quote.from)})`;
  return (
    <button
      type="button"
      tabIndex={tabIndex}
      onClick={() => onJump(quote.seq)}
      aria-label={`In reply to ${who === null ? says : `${who}: ${says}`}`}
      className={clsx("mt-0.5 mb-1.5 block w-full min-w-0 rounded-[6px] border-s-[3px] px-2 py-1 text-start text-meta hover:brightness-[0.97] dark:hover:brightness-110", mine ? "bg-canvas/55" : "bg-canvas/70")}
      style={{ borderColor: colour }}
    >
      {who !== null && <bdi className="block truncate font-semibold" style={{ color: colour }}>{who}</bdi>}
      <span dir="auto" className={clsx("line-clamp-2 [overflow-wrap:anywhere]", mine ? "text-own-muted" : "text-peer-muted", who === null && "italic")}>{says}</span>
    </button>
  );
}
