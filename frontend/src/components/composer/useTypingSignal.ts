// Tells the others that somebody types: at most every few seconds while it lasts, and once when it ends.
import { useCallback, useEffect, useRef } from "react";

const REPEAT_MS = 3000;
/** Without a key for this long nobody is typing any more. */
const IDLE_MS = 5000;

export function useTypingSignal(onTyping: (on: boolean) => void): { typed: () => void; stopped: () => void } {
  const told = useRef<number | null>(null);
  const idle = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const latest = useRef(onTyping);
  useEffect(() => { latest.current = onTyping; });

  const stopped = useCallback(() => {
    clearTimeout(idle.current);
    if (told.current === null) return;
    told.current = null;
    latest.current(false);
  }, []);

  const typed = useCallback(() => {
    clearTimeout(idle.current);
    idle.current = setTimeout(stopped, IDLE_MS);
    const now = Date.now();
    if (told.current !== null && now - told.current < REPEAT_MS) return;
    told.current = now;
    latest.current(true);
  }, [stopped]);

  useEffect(() => stopped, [stopped]);
  return { typed, stopped };
}
