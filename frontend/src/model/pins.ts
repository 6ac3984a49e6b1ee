// The pins of a conversation: a page of them as of some head, and what the log has after it. Pure.
import type { LoggedEvent, PageBody } from "../protocol";
import { held } from "./entries";
import type { Folded } from "./fold";
import { said as inWords } from "./said";
import type { PinnedMessage, Seq } from "./types";

export interface PinnedNow {
  /** The latest first. */
  messages: readonly PinnedMessage[];
  /** Something was pinned, or happened, that is not held: ask again. */
  stale: boolean;
}

export function pinnedNow(page: PageBody, run: readonly LoggedEvent[], folded: Folded): PinnedNow {
  const first = run[0]?.seq ?? 0;
  const last = run.at(-1)?.seq ?? 0;
  const pinned = new Map<Seq, PinnedMessage>();
  for (const { seq, from, at, event } of page.messages) {
    if (event.type === "message") pinned.set(seq, { seq, from, at, text: inWords(event) });
  }
  let stale = first > page.head + 1 && last > page.head;
  // What is behind the page's head, and what is on its way. Anything before is in the page already,
  // and says the same: the last word about a pin is the last word in both.
  for (const [seq, became] of folded) {
    const there = pinned.get(seq);
    if (became.deleted || became.pinned === false) pinned.delete(seq);
    else if (there !== undefined) {
      const text = became.edits.at(-1)?.text;
      if (text !== undefined) pinned.set(seq, { ...there, text });
    } else if (became.pinned === true && lastWord(run, seq) > page.head) {
      const said = held(run, seq);
      if (said?.event.type !== "message") stale = true;
      else pinned.set(seq, { seq, from: said.from, at: said.at, text: became.edits.at(-1)?.text ?? inWords(said.event) });
    }
  }
  return { messages: [...pinned.values()].sort((a, b) => b.seq - a.seq), stale };
}

/** Where the log last spoke of the pin; beyond everything while it is on its way. */
function lastWord(run: readonly LoggedEvent[], message: Seq): Seq {
  const found = run.findLast(({ event }) => (event.type === "pinned" || event.type === "unpinned") && event.message === message);
  return found?.event.type === "pinned" ? found.seq : Infinity;
}
