// What could not be done, in words, until it is dismissed; with a way to try again where there is one.
import { TriangleAlert, X } from "lucide-react";
import { IconButton } from "./ui/IconButton";

export interface Trouble {
  text: string;
  again?: { label: string; act: () => void };
}

export function Notice({ trouble, onClose }: { trouble: Trouble; onClose: () => void }) {
  return (
    <div role="group" aria-label="Problem" className="mx-auto mb-1 w-full max-w-[760px] px-3 sm:px-4">
      <div className="flex min-h-9 animate-appear items-center gap-2 rounded-control bg-fault py-1 ps-3 pe-1 text-[0.8125rem] text-on-fault">
        <TriangleAlert aria-hidden size={16} className="shrink-0" />
        <p className="min-w-0 flex-1 [overflow-wrap:anywhere]">{trouble.text}</p>
        {trouble.again && (
          <button type="button" onClick={trouble.again.act} className="min-h-6 shrink-0 rounded px-1.5 font-semibold underline underline-offset-2 pointer-coarse:min-h-11">
            {trouble.again.label}
          </button>
        )}
        <IconButton label="Dismiss" icon={X} side="top" onClick={onClose} className="!text-on-fault" />
      </div>
    </div>
  );
}
