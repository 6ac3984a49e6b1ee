// What a message was made to say, the latest first.
import * as format from "../../format";
import type { Version } from "../../model/types";
import { Modal } from "../ui/Modal";

interface EditHistoryProps {
  open: boolean;
  versions: readonly Version[];
  finalFocus: () => HTMLElement | null;
  onClose: () => void;
}

function label(index: number, count: number): string {
  if (index === count - 1) return "Now";
  return index === 0 ? "At first" : `Version ${format.number(index + 1)}`;
}

export function EditHistory({ open, versions, finalFocus, onClose }: EditHistoryProps) {
  return (
    <Modal title="Earlier versions" open={open} onClose={onClose} finalFocus={finalFocus}>
      {/* Focusable, so that the arrows scroll it where it does not fit. */}
      <ol reversed tabIndex={0} aria-label="Versions of this message" className="min-h-0 overflow-y-auto rounded-control">
        {versions.map(({ text, at }, index) => (
          <li key={index} className="border-b border-line py-3 last:border-0">
            <p className="mb-1 flex justify-between gap-3 text-meta text-muted">
              <span className="font-semibold">{label(index, versions.length)}</span>
              <time dateTime={format.isoTime(at)}>{format.exactTime(at)}</time>
            </p>
            <p dir="auto" className="whitespace-pre-wrap [overflow-wrap:anywhere]">{text}</p>
          </li>
        )).reverse()}
      </ol>
    </Modal>
  );
}
