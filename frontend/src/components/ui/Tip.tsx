// A word or two beside what is pointed at or focused. Never the only place where something is said.
import { Tooltip } from "@base-ui/react/tooltip";
import type { ReactElement, ReactNode } from "react";

interface TipProps {
  label: ReactNode;
  /** The element that is pointed at. */
  children: ReactElement<Record<string, unknown>>;
  side?: "top" | "bottom" | "inline-end";
}

export function Tip({ label, children, side = "top" }: TipProps) {
  return (
    <Tooltip.Root>
      <Tooltip.Trigger delay={400} render={children} />
      <Tooltip.Portal>
        <Tooltip.Positioner side={side} sideOffset={6} className="z-50">
          {/* Its words are the accessible name of what it belongs to; said once is enough. */}
          <Tooltip.Popup aria-hidden className="animate-appear rounded-md bg-text px-2 py-1 text-meta text-canvas">
            {label}
          </Tooltip.Popup>
        </Tooltip.Positioner>
      </Tooltip.Portal>
    </Tooltip.Root>
  );
}
