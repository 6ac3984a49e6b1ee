// Keys that work wherever the focus is. A combination is written "mod+k", "alt+shift+ArrowUp", "F6":
// modifiers in the order mod, alt, shift. `mod` is Ctrl, or ⌘ on a Mac.
import { useEffect, useRef } from "react";

/** A handler that answers false did nothing: the key then keeps its usual meaning. */
export type Shortcuts = Record<string, () => boolean | void>;

export function combination(event: KeyboardEvent): string {
  const parts: string[] = [];
  if (event.ctrlKey || event.metaKey) parts.push("mod");
  if (event.altKey) parts.push("alt");
  if (event.shiftKey) parts.push("shift");
  parts.push(event.key.length === 1 ? event.key.toLowerCase() : event.key);
  return parts.join("+");
}

/** A dialog or a menu has the keyboard to itself. */
export const layerOpen = () => document.querySelector('[role="dialog"], [role="menu"]') !== null;

export function useShortcuts(shortcuts: Shortcuts): void {
  const latest = useRef(shortcuts);
  useEffect(() => { latest.current = shortcuts; });
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.isComposing || layerOpen()) return;
      const handler = latest.current[combination(event)];
      if (handler !== undefined && handler() !== false) event.preventDefault();
    };
    window.addEventListener("keydown", onKeyDown);
    return () => window.removeEventListener("keydown", onKeyDown);
  }, []);
}

/** ⌘ or Ctrl, for hints. */
export const MOD = /Mac|iPhone|iPad/u.test(navigator.userAgent) ? "⌘" : "Ctrl+";
