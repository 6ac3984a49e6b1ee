// One or two letters on a colour that always belongs to the same name. A group is square, a person
// round; the presence dot is an addition to words elsewhere, never the only sign.
import clsx from "clsx";
import { hue } from "./hue";

interface AvatarProps {
  /** What the colour is derived from: an id outlives a change of name. */
  seed: string;
  name: string;
  shape?: "person" | "group";
  size?: "small" | "normal" | "large";
  online?: boolean;
}

const SIZES = { small: "size-8 text-[0.75rem]", normal: "size-11 text-[0.9375rem]", large: "size-20 text-[1.75rem]" };

export function initials(name: string): string {
  const words = name.split(/[^\p{L}\p{N}\p{Emoji_Presentation}\p{M}]+/u).filter((word) => word !== "");
  const first = [...(words[0] ?? "?")][0] ?? "?";
  const last = words.length > 1 ? ([...(words.at(-1) ?? "")][0] ?? "") : "";
  return (first + last).toLocaleUpperCase();
}

export function Avatar({ seed, name, shape = "person", size = "normal", online = false }: AvatarProps) {
  const colour = `var(--hue-${hue(seed)})`;
  return (
    <span aria-hidden className="relative inline-block shrink-0 select-none">
      <span
        className={clsx("grid place-items-center font-semibold", SIZES[size], shape === "group" ? "rounded-[28%]" : "rounded-full")}
        style={{ color: colour, backgroundColor: `color-mix(in oklab, ${colour} 16%, var(--canvas))` }}
      >
        {initials(name)}
      </span>
      {online && (
        <span
          className={clsx(
            "presence-dot absolute -end-0.5 -bottom-0.5 rounded-full border-2 border-canvas bg-presence",
            size === "large" ? "size-5" : size === "normal" ? "size-3.5" : "size-3",
          )}
        />
      )}
    </span>
  );
}
