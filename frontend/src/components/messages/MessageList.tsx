// The messages of one conversation. Mounted once a visit (keyed by the conversation) and only when the
// timeline is loaded: what it captures at the start is where this visit began.
import { useCallback, useEffect, useImperativeHandle, useMemo, useState, type Ref } from "react";
import type { Permissions } from "../../model/permissions";
import type { Timeline, TimelineMessage } from "../../model/types";
import type { MessageActions } from "./actions";
import { FloatingDate, JumpToLatest, UnreadPill } from "./ListControls";
import { MessageRow } from "./MessageRow";
import { OlderStatus } from "./OlderStatus";
import { newestSeq, othersAfter, rows as toRows } from "./rows";
import { useJump } from "./useJump";
import { useMarkRead } from "./useMarkRead";
import { TOP_ROOM_PX, useMessageScroll } from "./useMessageScroll";
import { useRovingRows } from "./useRovingRows";

/** What keys outside the list may ask of it. */
export interface MessageListHandle {
  jumpToLatest(): void;
  jumpToUnread(): void;
  markRead(): void;
  /** To a message that is loaded, or will be in a moment. */
  jumpTo(seq: number): void;
}

interface MessageListProps {
  label: string;
  timeline: Timeline;
  /** Unread messages when the visit began, loaded or not. */
  unread: number;
  showAuthors: boolean;
  beginning: string;
  ref?: Ref<MessageListHandle>;
  onLoadOlder: () => void;
  onMarkRead: (seq: number) => void;
  onRetry: (key: string) => void;
  onDelete: (key: string) => void;
  mayDo: (message: TimelineMessage) => Permissions;
  actions: MessageActions;
  onKey: (key: string, message: TimelineMessage) => boolean;
  /** Escape: back to writing. */
  onLeave: () => void;
}

export function MessageList(props: MessageListProps) {
  const { timeline, mayDo, actions, onLoadOlder, onMarkRead, onRetry, onDelete, onLeave, onKey } = props;
  const { entries, older, read } = timeline;
  const [visit] = useState(() => ({ read: props.unread > 0 ? read : null, unread: props.unread }));
  const [pillClosed, setPillClosed] = useState(false);
  const [active, setActive] = useState<string | null>(null);

  // With more unread than loaded there is no divider yet: it would move on with each older page, and what
  // stood below it would jump. Start at the end and offer the way up.
  const allUnread = older === "start-reached" || (entries[0]?.seq ?? 0) <= (visit.read ?? 0) + 1;
  const rows = useMemo(() => toRows(entries, allUnread ? visit.read : null), [entries, allUnread, visit]);
  const divider = rows.findIndex((row) => row.startsUnread);
  const unreadComplete = divider !== -1;
  const activeRow = active === null ? -1 : rows.findIndex((row) => row.key === active);
  const activeIndex = activeRow === -1 ? rows.length - 1 : activeRow;

  const loadOlder = useCallback(() => { if (older === "more") onLoadOlder(); }, [older, onLoadOlder]);
  const scroll = useMessageScroll({ rows, startIndex: unreadComplete ? divider : -1, activeIndex, onNearTop: loadOlder });
  const { virtualizer, element, atBottom, firstVisible } = scroll;

  const newest = newestSeq(entries);
  useMarkRead({ newest, read, atBottom, onSeen: onMarkRead });

  // What came while scrolled up: counted from what was newest when the bottom was last in view.
  const [seen, setSeen] = useState(newest);
  if (atBottom && newest > seen) setSeen(newest);
  const missed = atBottom ? 0 : othersAfter(entries, seen).length;

  const last = entries.at(-1);
  const ownPending = last?.kind === "message" && last.mine && last.seq === null ? last.key : null;
  const [knownPending] = useState(() => ({ key: ownPending }));
  useEffect(() => {
    // One's own new message is always shown; one that waited already when the visit began is not new.
    if (ownPending === null || ownPending === knownPending.key) return;
    knownPending.key = ownPending;
    virtualizer.scrollToEnd();
  }, [ownPending, knownPending, virtualizer]);

  const show = useCallback((index: number) => virtualizer.scrollToIndex(index, { align: "auto" }), [virtualizer]);
  const { onKeyDown, focusRow } = useRovingRows({ rows, list: element, onShow: show, onLeave, onKey }, rows[activeIndex]?.key ?? null, setActive);

  const { marked, jumpTo } = useJump(rows, useCallback((index: number) => {
    virtualizer.scrollToIndex(index, { align: "center" });
    focusRow(index);
  }, [virtualizer, focusRow]));

  const jumpToLatest = () => virtualizer.scrollToEnd();
  const jumpToUnread = () => virtualizer.scrollToIndex(Math.max(divider, 0), { align: "start" });
  const markRead = () => { setPillClosed(true); if (newest > read) onMarkRead(newest); };
  useImperativeHandle(props.ref, () => ({ jumpToLatest, jumpToUnread, markRead, jumpTo }));

  // Once the beginning of the unread ones has been in view, the way there need not be offered again.
  const [met, setMet] = useState(visit.unread === 0);
  const above = !unreadComplete || divider < firstVisible;
  if (!met && !above) setMet(true);
  const pill = above && !met && !pillClosed;

  const top = rows[firstVisible];
  return (
    <div className="relative flex min-h-0 flex-1 flex-col">
      <div ref={element} onScroll={scroll.onScroll} className="flex min-h-0 flex-1 flex-col overflow-y-auto overscroll-contain [overflow-anchor:none]">
        <div
          role="log"
          aria-label={props.label}
          aria-live="off"
          onKeyDown={onKeyDown}
          className="relative mx-auto mt-auto w-full max-w-[760px] shrink-0"
          style={{ height: virtualizer.getTotalSize() }}
        >
          <div className="absolute inset-x-0 top-0 flex items-center justify-center gap-2 px-4 pt-6 text-center text-[0.8125rem] text-muted" style={{ height: TOP_ROOM_PX }}>
            <OlderStatus older={older} beginning={props.beginning} onRetry={onLoadOlder} />
          </div>
          {virtualizer.getVirtualItems().map((item) => {
            const row = rows[item.index];
            if (row === undefined) return null;
            return (
              <div
                key={item.key}
                data-index={item.index}
                ref={virtualizer.measureElement}
                className="absolute inset-x-0 top-0 px-4"
                style={{ transform: `translateY(${item.start}px)` }}
              >
                <MessageRow
                  row={row}
                  showAuthor={props.showAuthors}
                  marked={row.key === marked}
                  mayDo={mayDo}
                  actions={actions}
                  tabIndex={item.index === activeIndex ? 0 : -1}
                  onFocus={setActive}
                  onRetry={onRetry}
                  onDelete={onDelete}
                />
              </div>
            );
          })}
        </div>
      </div>
      {pill ? (
        <UnreadPill count={visit.unread} onJump={jumpToUnread} onMarkRead={markRead} />
      ) : (
        <FloatingDate at={top?.entry.at ?? null} shown={scroll.scrolling && !atBottom} />
      )}
      {!atBottom && <JumpToLatest count={missed} onJump={jumpToLatest} />}
    </div>
  );
}
