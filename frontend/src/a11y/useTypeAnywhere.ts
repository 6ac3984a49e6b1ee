// A letter typed while nothing wants it goes into the composer: no click needed to answer.
import { useEffect, useRef } from "react";
import { layerOpen } from "./useShortcuts";

const isEditable = (target: EventTarget | null) =>
  target instanceof HTMLElement && (target.isContentEditable || /^(?:INPUT|TEXTAREA|SELECT)$/u.test(target.tagName));

export function useTypeAnywhere(focusComposer: () => void): void {
  const latest = useRef(focusComposer);
  useEffect(() => { latest.current = focusComposer; });
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
      // The space bar presses buttons and scrolls.
      if (event.key.length !== 1 || event.key === " " || isEditable(event.target) || layerOpen()) return;
      latest.current();
    };
    window.addEventListener("keydown", onKeyDown);
    return () => window.removeEventListener("keydown", onKeyDown);
  }, []);
}
