// The scroll contract of the message list: nothing moves under the eyes of a reader. It follows new
// messages only at the bottom or for one's own, keeps the place when older ones come in above, and when
// the room for the list changes (keyboard, composer, connection bar).
import { useVirtualizer, type Range, defaultRangeExtractor } from "@tanstack/react-virtual";
import { useCallback, useLayoutEffect, useRef, useState } from "react";
import type { Row } from "./rows";

/** Nearer to the end than this counts as "at the bottom". */
const BOTTOM_PX = 80;
/** Older pages are fetched this far ahead, so that a steady reader never meets the end of what is loaded. */
const AHEAD_PX = 1500;
/** Room above the first row for "loading", "retry", "this is the beginning". Constant: it never shifts a row. */
export const TOP_ROOM_PX = 72;
const BOTTOM_ROOM_PX = 12;

interface MessageScrollOptions {
  rows: Row[];
  /** Where the visit starts reading; -1: at the end. */
  startIndex: number;
  /** Kept in the DOM wherever one scrolls: it holds the Tab stop. */
  activeIndex: number;
  /** Called when the top comes near. */
  onNearTop: () => void;
}

/** A guess before a row was measured; only the first paint depends on it. */
function estimate(row: Row | undefined): number {
  if (row === undefined) return 44;
  const above = (row.startsDay ? 46 : 0) + (row.startsUnread ? 36 : 0);
  if (row.entry.kind === "note") return above + 32;
  const lines = row.entry.text.split("\n").reduce((sum, line) => sum + 1 + Math.floor(line.length / 62), 0);
  const around = (row.entry.quote === null ? 0 : 48) + (row.entry.reactions.length === 0 ? 0 : 28);
  return above + (row.startsGroup ? 12 : 2) + 14 + 22 * lines + around;
}

export function useMessageScroll({ rows, startIndex, activeIndex, onNearTop }: MessageScrollOptions) {
  const element = useRef<HTMLDivElement>(null);
  const [atBottom, setAtBottom] = useState(startIndex === -1);
  /** First row whose end is in view, for the floating date and the unread pill. */
  const [firstVisible, setFirstVisible] = useState(Math.max(startIndex, 0));
  const [scrolling, setScrolling] = useState(false);
  // The first row loses its day line when an older page arrives; that change is above the reader too.
  const formerFirst = useRef<string | undefined>(undefined);
  const firstKey = rows[0]?.key;

  // A row keeps its first guess. The virtualizer remembers no height that was guessed right, and asks
  // again when an older page arrives: the row that then has no day line any more would be smaller without
  // having been measured, and nothing would make up for it.
  const [guesses] = useState(() => new Map<string, number>());

  const virtualizer = useVirtualizer({
    count: rows.length,
    getScrollElement: () => element.current,
    estimateSize: (index) => {
      const row = rows[index];
      if (row === undefined) return estimate(row);
      const guess = guesses.get(row.key) ?? estimate(row);
      guesses.set(row.key, guess);
      return guess;
    },
    getItemKey: useCallback((index: number) => rows[index]?.key ?? index, [rows]),
    rangeExtractor: useCallback(
      (range: Range) => {
        const visible = defaultRangeExtractor(range);
        if (activeIndex < 0 || activeIndex >= range.count || visible.includes(activeIndex)) return visible;
        return [...visible, activeIndex].sort((a, b) => a - b);
      },
      [activeIndex],
    ),
    initialOffset: () => rows.slice(0, startIndex === -1 ? rows.length : startIndex).reduce((sum, row) => sum + estimate(row), TOP_ROOM_PX),
    anchorTo: "end",
    followOnAppend: true,
    scrollEndThreshold: BOTTOM_PX,
    overscan: 8,
    paddingStart: TOP_ROOM_PX,
    paddingEnd: BOTTOM_ROOM_PX,
    // Leaves the floating date its place when jumping to a row.
    scrollPaddingStart: 48,
  });

  // Whatever changes its height above the reader's eye is made up for, in either direction of scrolling:
  // the library's own rule lets rows that are measured again while scrolling up push the text down.
  useLayoutEffect(() => {
    virtualizer.shouldAdjustScrollPositionOnItemSizeChange = (item, _delta, instance) =>
      item.start < (instance.scrollOffset ?? 0) || item.key === formerFirst.current;
  }, [virtualizer]);

  const previousFirst = useRef(firstKey);
  useLayoutEffect(() => {
    if (previousFirst.current !== firstKey) formerFirst.current = previousFirst.current;
    previousFirst.current = firstKey;
  }, [firstKey]);

  const nearTop = useRef(onNearTop);
  useLayoutEffect(() => { nearTop.current = onNearTop; });

  const look = useCallback(() => {
    const list = element.current;
    // A list that is not laid out (hidden pane) has no position to speak of.
    if (list === null || list.clientHeight === 0) return;
    setAtBottom(list.scrollHeight - list.scrollTop - list.clientHeight <= BOTTOM_PX);
    setFirstVisible(virtualizer.getVirtualItemForOffset(list.scrollTop)?.index ?? 0);
    if (list.scrollTop < AHEAD_PX) nearTop.current();
  }, [virtualizer]);

  const rest = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const onScroll = useCallback(() => {
    look();
    setScrolling(true);
    clearTimeout(rest.current);
    rest.current = setTimeout(() => setScrolling(false), 1200);
  }, [look]);
  useLayoutEffect(() => () => clearTimeout(rest.current), []);

  // The place where the visit begins; `startIndex` of the first render counts.
  const started = useRef(false);
  useLayoutEffect(() => {
    if (started.current) return;
    started.current = true;
    if (startIndex === -1) virtualizer.scrollToEnd();
    else virtualizer.scrollToIndex(startIndex, { align: "start" });
  }, [startIndex, virtualizer]);

  // Rows came or went: the list may be too short to scroll, and then no scroll event ever asks for more.
  useLayoutEffect(look, [look, rows]);

  const bottom = useRef(atBottom);
  useLayoutEffect(() => { bottom.current = atBottom; });
  useLayoutEffect(() => {
    const list = element.current;
    if (list === null) return;
    let top = list.getBoundingClientRect().top;
    const observer = new ResizeObserver(() => {
      const moved = list.getBoundingClientRect().top - top;
      top += moved;
      if (bottom.current) virtualizer.scrollToEnd();
      // A bar came in above: scroll by its height, and the text stays where it was on the screen.
      else if (moved !== 0) list.scrollTop += moved;
    });
    observer.observe(list);
    return () => observer.disconnect();
  }, [virtualizer]);

  return { element, virtualizer, onScroll, atBottom, firstVisible, scrolling };
}
