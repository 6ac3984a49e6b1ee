// Marks as read only what was truly seen: page visible and focused, list at the bottom, for a moment.
import { useEffect } from "react";

const SEEN_AFTER_MS = 500;

interface MarkReadOptions {
  newest: number;
  read: number;
  atBottom: boolean;
  onSeen: (seq: number) => void;
}

export function useMarkRead({ newest, read, atBottom, onSeen }: MarkReadOptions): void {
  useEffect(() => {
    if (!atBottom || newest <= read) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const check = () => {
      clearTimeout(timer);
      if (document.visibilityState === "visible" && document.hasFocus()) timer = setTimeout(() => onSeen(newest), SEEN_AFTER_MS);
    };
    check();
    window.addEventListener("focus", check);
    window.addEventListener("blur", check);
    document.addEventListener("visibilitychange", check);
    return () => {
      clearTimeout(timer);
      window.removeEventListener("focus", check);
      window.removeEventListener("blur", check);
      document.removeEventListener("visibilitychange", check);
    };
  }, [newest, read, atBottom, onSeen]);
}
