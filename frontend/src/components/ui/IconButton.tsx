// A button that is only a picture: its label is what screen readers say and what the tooltip shows.
import clsx from "clsx";
import type { LucideIcon } from "lucide-react";
import type { ComponentProps } from "react";
import { Tip } from "./Tip";

interface IconButtonProps extends Omit<ComponentProps<"button">, "children"> {
  label: string;
  icon: LucideIcon;
  side?: "top" | "bottom";
}

export function IconButton({ label, icon: Icon, side = "bottom", className, type = "button", ...rest }: IconButtonProps) {
  return (
    <Tip label={label} side={side}>
      <button
        type={type}
        aria-label={label}
        className={clsx(
          "grid size-9 shrink-0 place-items-center rounded-control text-muted transition-colors",
          "hover:bg-hover hover:text-text disabled:pointer-events-none disabled:opacity-40",
          "pointer-coarse:size-11",
          className,
        )}
        {...rest}
      >
        <Icon aria-hidden size={20} strokeWidth={1.75} />
      </button>
    </Tip>
  );
}
