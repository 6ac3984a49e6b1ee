// A button with words.
import clsx from "clsx";
import type { ComponentProps } from "react";

interface ButtonProps extends ComponentProps<"button"> {
  tone?: "accent" | "quiet" | "danger";
  size?: "normal" | "small";
  /** Shows that the click was taken and keeps a second one away. */
  busy?: boolean;
}

const TONES = {
  accent: "bg-accent text-on-accent hover:bg-accent-hover",
  quiet: "border border-line bg-raised text-text hover:bg-hover",
  danger: "bg-danger text-on-danger hover:opacity-90",
};

const SIZES = {
  normal: "min-h-10 px-4 text-body pointer-coarse:min-h-11",
  small: "min-h-8 px-3 text-[0.8125rem] pointer-coarse:min-h-11",
};

export function Button({ tone = "quiet", size = "normal", busy = false, className, type = "button", ...rest }: ButtonProps) {
  return (
    <button
      type={type}
      // Not `disabled`: a button that loses focus while it works drops the keyboard user at the top.
      aria-disabled={busy || undefined}
      onClickCapture={busy ? (event) => { event.preventDefault(); event.stopPropagation(); } : undefined}
      className={clsx(
        "inline-flex items-center justify-center gap-2 rounded-control font-medium whitespace-nowrap transition-colors",
        "disabled:pointer-events-none disabled:opacity-50",
        busy && "opacity-70",
        TONES[tone],
        SIZES[size],
        className,
      )}
      {...rest}
    />
  );
}
