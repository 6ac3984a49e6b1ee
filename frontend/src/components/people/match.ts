// How well a name answers a query: the beginning of the name, then of a word, then letters in order.

/** Not everybody has an ñ on the keyboard. */
const folded = (text: string) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLocaleLowerCase();

/** Larger is better; 0: only its letters in this order, a guess; null: no match. */
export function match(name: string, query: string): number | null {
  const wanted = folded(query.trim());
  const text = folded(name);
  if (wanted === "") return 0;
  if (text.startsWith(wanted)) return 3;
  if (text.split(/[\s._-]+/u).some((word) => word.startsWith(wanted))) return 2;
  if (text.includes(wanted)) return 1;
  let from = 0;
  for (const letter of wanted) {
    const found = text.indexOf(letter, from);
    if (found === -1) return null;
    from = found + letter.length;
  }
  return 0;
}
