// The message list is one Tab stop. The arrows move among all messages, not only those in the DOM:
// the wanted row is brought in first, then focused.
import { useCallback, useLayoutEffect, useRef, useState, type KeyboardEvent, type RefObject } from "react";
import type { TimelineMessage } from "../../model/types";
import type { Row } from "./rows";

interface RovingRowsOptions {
  rows: Row[];
  list: RefObject<HTMLElement | null>;
  onShow: (index: number) => void;
  onLeave: () => void;
  /** Another key on a message; false: it means nothing here. */
  onKey: (key: string, message: TimelineMessage) => boolean;
}

/** What can be reached in a message. */
const PARTS = "a[href], button:not([hidden])";

/** Left and right among the links and buttons of a message, in the direction of reading. */
function step(article: HTMLElement, from: HTMLElement, key: string): boolean {
  if (key !== "ArrowLeft" && key !== "ArrowRight") return false;
  const parts = [...article.querySelectorAll<HTMLElement>(PARTS)].filter((part) => part.getClientRects().length > 0);
  const forward = (key === "ArrowRight") === (getComputedStyle(article).direction === "ltr");
  parts[parts.indexOf(from) + (forward ? 1 : -1)]?.focus();
  return true;
}

export function useRovingRows({ rows, list, onShow, onLeave, onKey }: RovingRowsOptions, active: string | null, setActive: (key: string) => void) {
  const wanted = useRef<string | null>(null);
  const [, setMoves] = useState(0);

  useLayoutEffect(() => {
    if (wanted.current === null) return;
    const target = list.current?.querySelector<HTMLElement>(`[data-message="${CSS.escape(wanted.current)}"]`);
    if (!target) return;
    wanted.current = null;
    target.focus({ preventScroll: true });
  });

  /** Wherever it stands; whoever asks for it scrolls. */
  const focusRow = useCallback(
    (index: number) => {
      const row = rows[index];
      if (row === undefined) return;
      wanted.current = row.key;
      setActive(row.key);
      // Also when the row is active already, so that the effect above runs.
      setMoves((moves) => moves + 1);
    },
    [rows, setActive],
  );

  const moveTo = (index: number) => {
    const within = Math.min(Math.max(index, 0), rows.length - 1);
    focusRow(within);
    onShow(within);
  };

  const onKeyDown = (event: KeyboardEvent<HTMLElement>) => {
    if (!(event.target instanceof HTMLElement) || event.altKey || event.ctrlKey || event.metaKey) return;
    const article = event.target.closest<HTMLElement>("[data-message]");
    if (article === null) return;
    const inside = article !== event.target;
    if (inside) {
      if (event.key === "Escape") article.focus();
      else if (!step(article, event.target, event.key)) return;
      event.preventDefault();
      return;
    }
    const at = rows.findIndex((row) => row.key === active);
    const entry = rows[at]?.entry;
    switch (event.key) {
      case "ArrowUp": moveTo(at - 1); break;
      case "ArrowDown": moveTo(at + 1); break;
      case "Home": moveTo(0); break;
      case "End": moveTo(rows.length - 1); break;
      case "Enter": article.querySelector<HTMLElement>(PARTS)?.focus(); break;
      case "Escape": onLeave(); break;
      default:
        if (entry?.kind !== "message" || !onKey(event.key, entry)) return;
    }
    event.preventDefault();
  };

  return { onKeyDown, focusRow };
}
