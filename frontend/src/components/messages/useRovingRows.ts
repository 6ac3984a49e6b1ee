// The message list is one Tab stop. The arrows move among all messages, not only those in the DOM:
// the wanted row is brought in first, then focused.
import { useCallback, useLayoutEffect, useRef, useState, type KeyboardEvent, type RefObject } from "react";
import type { Row } from "./rows";

interface RovingRowsOptions {
  rows: Row[];
  list: RefObject<HTMLElement | null>;
  onShow: (index: number) => void;
  onLeave: () => void;
}

export function useRovingRows({ rows, list, onShow, onLeave }: RovingRowsOptions, active: string | null, setActive: (key: string) => void) {
  const wanted = useRef<string | null>(null);
  const [, setMoves] = useState(0);

  useLayoutEffect(() => {
    if (wanted.current === null) return;
    const target = list.current?.querySelector<HTMLElement>(`[data-message="${CSS.escape(wanted.current)}"]`);
    if (!target) return;
    wanted.current = null;
    target.focus({ preventScroll: true });
  });

  const moveTo = useCallback(
    (index: number) => {
      const row = rows[Math.min(Math.max(index, 0), rows.length - 1)];
      if (row === undefined) return;
      wanted.current = row.key;
      setActive(row.key);
      // Also when the row is active already, so that the effect above runs.
      setMoves((moves) => moves + 1);
      onShow(rows.indexOf(row));
    },
    [rows, setActive, onShow],
  );

  const onKeyDown = (event: KeyboardEvent<HTMLElement>) => {
    if (!(event.target instanceof HTMLElement) || event.altKey || event.ctrlKey || event.metaKey) return;
    const article = event.target.closest<HTMLElement>("[data-message]");
    if (article === null) return;
    const inside = article !== event.target;
    if (inside) {
      if (event.key !== "Escape") return;
      article.focus();
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
      case "Enter": article.querySelector<HTMLElement>("a[href], button")?.focus(); break;
      case "Escape": onLeave(); break;
      case "c":
        if (entry?.kind !== "message") return;
        void navigator.clipboard?.writeText(entry.text);
        break;
      default: return;
    }
    event.preventDefault();
  };

  return { onKeyDown, moveTo };
}
