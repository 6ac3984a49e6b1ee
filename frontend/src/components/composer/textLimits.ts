// How much of what a message may hold is used. Two limits count: characters (code points) and bytes.

export interface TextLimits {
  bytes: number;
  chars: number;
}

export type Room =
  | { at: "plenty" }
  /** From 80 % on the person sees it coming. */
  | { at: "scarce" | "over"; used: number; limit: number; unit: "characters" | "bytes" };

const SHOWN_FROM = 0.8;
const utf8 = new TextEncoder();

export function room(text: string, limits: TextLimits): Room {
  // The cheap bound first: this runs on every key. A UTF-16 unit is at most three bytes of UTF-8.
  if (text.length < limits.chars * SHOWN_FROM && text.length * 3 < limits.bytes * SHOWN_FROM) return { at: "plenty" };
  const chars = { used: [...text].length, limit: limits.chars, unit: "characters" as const };
  const bytes = { used: utf8.encode(text).length, limit: limits.bytes, unit: "bytes" as const };
  const tighter = bytes.used / bytes.limit > chars.used / chars.limit ? bytes : chars;
  if (tighter.used > tighter.limit) return { at: "over", ...tighter };
  return tighter.used >= tighter.limit * SHOWN_FROM ? { at: "scarce", ...tighter } : { at: "plenty" };
}
