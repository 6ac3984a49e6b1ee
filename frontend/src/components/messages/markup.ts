// Whether a text has marks in it that are worth reading as such, and which addresses may become links. Pure.

/** Emphasis, code, a link with words; or a line that begins like a quote, a list, a heading, a table, a fence. */
const MARKS = /[*_~`]|\]\(|^ {0,3}(?:>|#{1,6} |[-+] |\d{1,9}[.)] |\|)/mu;

/** More marks at the beginning of a line than people nest: each is a level, and levels cost stack. */
const TOO_DEEP = /^(?:[ \t]*(?:>|[-+*](?=[ \t])|\d{1,9}[.)](?=[ \t]))){9}/mu;

/** As many as people write, and few enough that pairing them up takes no noticeable time. */
const MARKS_MAX = 400;

export function hasMarks(text: string): boolean {
  if (!MARKS.test(text) || TOO_DEEP.test(text)) return false;
  return (text.match(/[*_~`[\]<!|]/gu)?.length ?? 0) <= MARKS_MAX;
}

/** An address that may be followed; null: none, or one that would do something else. */
export function safeAddress(address: string | undefined): string | null {
  if (address === undefined) return null;
  try {
    const url = new URL(address);
    if (url.protocol === "mailto:") return url.href;
    return (url.protocol === "https:" || url.protocol === "http:") && url.hostname !== "" ? url.href : null;
  } catch {
    return null;
  }
}
