// Files that are dragged over a part of the screen and let go there.
import { useState, type DragEvent } from "react";

const brings = (event: DragEvent) => event.dataTransfer.types.includes("Files");

/** `null`: nothing is taken. */
export function useFileDrop(onFiles: ((files: File[]) => void) | null) {
  // How many of the elements within it is over: leaving one mostly means entering the next.
  const [depth, setDepth] = useState(0);
  const handlers = onFiles === null ? {} : {
    onDragEnter: (event: DragEvent) => { if (brings(event)) setDepth((before) => before + 1); },
    onDragLeave: (event: DragEvent) => { if (brings(event)) setDepth((before) => Math.max(0, before - 1)); },
    onDragOver: (event: DragEvent) => { if (brings(event)) event.preventDefault(); },
    onDrop: (event: DragEvent) => {
      setDepth(0);
      if (!brings(event)) return;
      event.preventDefault();
      onFiles([...event.dataTransfer.files]);
    },
  };
  return { over: depth > 0, handlers };
}
