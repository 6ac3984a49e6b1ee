// A finger that rests: what a right click is to a mouse. Moving means to scroll, and ends it.
import { useEffect, useMemo, useRef, type MouseEvent, type PointerEvent, type TouchEvent } from "react";

const LONG_MS = 450;
const MOVED_PX = 8;

export function useLongPress(onLongPress: () => void) {
  const latest = useRef(onLongPress);
  useEffect(() => { latest.current = onLongPress; });
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  return useMemo(() => {
    let from = { x: 0, y: 0 };
    let fired = false;
    const end = () => clearTimeout(timer.current);
    return {
      onPointerDown: (event: PointerEvent) => {
        end();
        fired = false;
        if (event.pointerType !== "touch") return;
        from = { x: event.clientX, y: event.clientY };
        timer.current = setTimeout(() => {
          fired = true;
          latest.current();
        }, LONG_MS);
      },
      onPointerMove: (event: PointerEvent) => {
        if (Math.hypot(event.clientX - from.x, event.clientY - from.y) > MOVED_PX) end();
      },
      onPointerUp: end,
      onPointerCancel: end,
      // Otherwise lifting the finger is a click beside what just opened, which closes it.
      onTouchEnd: (event: TouchEvent) => { if (fired && event.cancelable) event.preventDefault(); },
      // The browser's own menu for a finger that rests.
      onContextMenu: (event: MouseEvent) => { if (fired) event.preventDefault(); },
    };
  }, []);
}
