// One conversation in the list: who, what last, when, how much of it unread.
import clsx from "clsx";
import type { MouseEvent } from "react";
import * as format from "../../format";
import { conversationPath } from "../../hooks/useRoute";
import type { ConversationId, ConversationItem } from "../../model/types";
import { PersonName } from "../PersonName";
import { Avatar } from "../ui/Avatar";

interface ConversationRowProps {
  item: ConversationItem;
  selected: boolean;
  now: number;
  onOpen: (id: ConversationId) => void;
  /** From the list's roving focus. */
  focus: { "data-roving": string; tabIndex: 0 | -1; onFocus: () => void };
}

/** In the order in which people want to know: who, how much, what, when. */
export function spokenRow(item: ConversationItem, now: number): string {
  const parts = [item.name];
  if (item.unread > 0) parts.push(`${format.number(item.unread)} unread`);
  if (item.typing.length > 0) parts.push(format.typing(item.typing));
  if (item.draft !== null) parts.push(`draft: ${item.draft}`);
  else if (item.preview !== null) parts.push(`last message: ${item.preview.mine ? "you: " : ""}${item.preview.text}`);
  if (item.online) parts.push("online");
  parts.push(format.listTime(item.updatedAt, now));
  return parts.join(", ");
}

function Preview({ item }: { item: ConversationItem }) {
  if (item.typing.length > 0) {
    return <span className="text-accent-text">{item.kind === "direct" ? "typing…" : format.typing(item.typing)}</span>;
  }
  if (item.draft !== null) {
    return <><span className="text-danger">Draft:</span> <bdi>{item.draft}</bdi></>;
  }
  if (item.preview === null) return "No messages yet";
  const { mine, from, text } = item.preview;
  const author = mine ? "You" : item.kind !== "direct" && from !== null ? <PersonName user={from} /> : null;
  return <>{author !== null && <>{author}: </>}<bdi>{text}</bdi></>;
}

export function ConversationRow({ item, selected, now, onOpen, focus }: ConversationRowProps) {
  const open = (event: MouseEvent) => {
    // Ctrl-click and the like mean a new tab, as with any link.
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    onOpen(item.id);
  };
  const unread = item.unread > 0;
  return (
    <a
      href={conversationPath(item.id)}
      aria-label={spokenRow(item, now)}
      aria-current={selected ? "page" : undefined}
      onClick={open}
      {...focus}
      className={clsx(
        "flex h-[68px] items-center gap-3 rounded-control px-3 -outline-offset-2",
        selected ? "bg-selected" : "hover:bg-hover",
      )}
    >
      <Avatar seed={item.peer ?? item.id} name={item.name} shape={item.kind !== "direct" ? "group" : "person"} online={item.online} />
      <span className="min-w-0 flex-1">
        <span className="flex items-baseline gap-2">
          <span className={clsx("min-w-0 flex-1 truncate", unread ? "font-bold" : "font-semibold")}><bdi>{item.name}</bdi></span>
          <time
            dateTime={format.isoTime(item.updatedAt)}
            className={clsx("shrink-0 text-meta", selected ? "text-selected-muted" : unread ? "font-medium text-accent-text" : "text-muted")}
          >
            {format.listTime(item.updatedAt, now)}
          </time>
        </span>
        <span className="mt-0.5 flex h-5 items-center gap-2">
          <span className={clsx("min-w-0 flex-1 truncate text-[0.8125rem] leading-[1.125rem]", selected ? "text-selected-muted" : unread ? "text-text" : "text-muted")}>
            <Preview item={item} />
          </span>
          {unread && (
            <span className="badge grid h-5 min-w-5 shrink-0 place-items-center rounded-full bg-accent px-1.5 text-[0.6875rem] font-semibold text-on-accent tabular-nums">
              {format.badge(item.unread)}
            </span>
          )}
        </span>
      </span>
    </a>
  );
}
