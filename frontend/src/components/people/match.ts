// How well a name answers a query: the beginning of the name, then of a word, then letters in order.

/** Larger is better; null: no match. */
export function match(name: string, query: string): number | null {
  const wanted = query.trim().toLocaleLowerCase();
  const text = name.toLocaleLowerCase();
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
