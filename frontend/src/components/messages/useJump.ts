// To a message, wherever it stands, and a mark on it for a moment so that the eye finds it.
import { useCallback, useEffect, useState } from "react";
import type { Row } from "./rows";

const MARKED_MS = 2_000;

export function useJump(rows: Row[], onFound: (index: number) => void) {
  // A new object for each jump: the same message can be asked for twice.
  const [wanted, setWanted] = useState<{ seq: number } | null>(null);
  const [marked, setMarked] = useState<string | null>(null);

  useEffect(() => {
    if (wanted === null) return;
    const index = rows.findIndex(({ entry }) => entry.seq === wanted.seq);
    const row = rows[index];
    // Its page may still be on the way to the screen.
    if (row === undefined) return;
    setWanted(null);
    setMarked(row.key);
    onFound(index);
  }, [wanted, rows, onFound]);

  useEffect(() => {
    if (marked === null) return;
    const timer = setTimeout(() => setMarked(null), MARKED_MS);
    return () => clearTimeout(timer);
  }, [marked]);

  return { marked, jumpTo: useCallback((seq: number) => setWanted({ seq }), []) };
}
