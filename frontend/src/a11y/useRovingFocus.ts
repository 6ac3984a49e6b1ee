// One Tab stop for a whole list: arrows, Home and End move among its items. Works on the DOM, so that
// items can be links or buttons and need no index of their own; they carry `data-roving`.
import { useCallback, useState, type KeyboardEvent } from "react";

interface RovingFocus {
  /** For the element around the items. */
  container: { onKeyDown: (event: KeyboardEvent<HTMLElement>) => void };
  /** For each item; `preferred` is the Tab stop until the keyboard chose another. */
  item: (id: string) => { "data-roving": string; tabIndex: 0 | -1; onFocus: () => void };
}

export function useRovingFocus(ids: string[], preferred: string | null): RovingFocus {
  const [focused, setFocused] = useState<string | null>(null);
  const known = (id: string | null) => id !== null && ids.includes(id);
  const stop = known(focused) ? focused : known(preferred) ? preferred : (ids[0] ?? null);

  const onKeyDown = useCallback((event: KeyboardEvent<HTMLElement>) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const items = [...event.currentTarget.querySelectorAll<HTMLElement>("[data-roving]")];
    const at = items.findIndex((item) => item === document.activeElement);
    if (at === -1) return;
    const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    items[Math.min(Math.max(next, 0), items.length - 1)]?.focus();
  }, []);

  return {
    container: { onKeyDown },
    item: (id) => ({ "data-roving": id, tabIndex: id === stop ? 0 : -1, onFocus: () => setFocused(id) }),
  };
}
