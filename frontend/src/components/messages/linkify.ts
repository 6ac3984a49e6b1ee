// Finds web addresses in plain text. Only http and https: nothing else may become a link.

import { safeAddress } from "./markup";

export type Piece = { kind: "text"; text: string } | { kind: "link"; text: string; href: string };

const CANDIDATE = /https?:\/\/[^\s<>"“”]+/giu;

/** Punctuation after an address belongs to the sentence; a closing bracket only if none was opened inside. */
function trimmed(candidate: string): string {
  let end = candidate.length;
  for (;;) {
    const last = candidate[end - 1] ?? "";
    if (/[.,;:!?'’…]/u.test(last)) end -= 1;
    else if (last === ")" && unbalanced(candidate.slice(0, end), "(", ")")) end -= 1;
    else if (last === "]" && unbalanced(candidate.slice(0, end), "[", "]")) end -= 1;
    else return candidate.slice(0, end);
  }
}

const unbalanced = (text: string, open: string, close: string) => text.split(close).length > text.split(open).length;

export function linkify(text: string): Piece[] {
  const pieces: Piece[] = [];
  let from = 0;
  for (const found of text.matchAll(CANDIDATE)) {
    const shown = trimmed(found[0]);
    const href = safeAddress(shown);
    if (href === null) continue;
    if (found.index > from) pieces.push({ kind: "text", text: text.slice(from, found.index) });
    pieces.push({ kind: "link", text: shown, href });
    from = found.index + shown.length;
  }
  if (from < text.length) pieces.push({ kind: "text", text: text.slice(from) });
  return pieces;
}
