// One message: bubble, time, state. Knows nothing of the list around it.
import clsx from "clsx";
import type { ReactNode } from "react";
import { useLongPress } from "../../a11y/useLongPress";
import * as format from "../../format";
import type { Permissions } from "../../model/permissions";
import type { TimelineMessage } from "../../model/types";
import { Avatar } from "../ui/Avatar";
import { hue } from "../ui/hue";
import { t } from "../../i18n/text";
import type { MessageActions } from "./actions";
import { MessageFiles } from "./MessageFiles";
import { MessageMeta } from "./MessageMeta";
import { MessageText } from "./MessageText";
import { MessageToolbar } from "./MessageToolbar";
import { QuoteBlock, useQuoteWords } from "./QuoteBlock";
import { Reactions } from "./Reactions";
import { stateWords } from "./stateWords";
import { useNear } from "./useNear";
import { reasonWords } from "../problemWords";

interface MessageProps {
  message: TimelineMessage;
  author: string;
  /** Groups name and picture the author; a direct chat has only one other side. */
  showAuthor: boolean;
  startsGroup: boolean;
  endsGroup: boolean;
  endsRun: boolean;
  /** It was jumped to just now. */
  marked: boolean;
  may: Permissions;
  actions: MessageActions;
  tabIndex: 0 | -1;
  onFocus: () => void;
  onRetry: () => void;
  onDelete: () => void;
}

/** Author, time, text, reactions, state: the order in which they are of use. */
function spokenMessage(message: TimelineMessage, author: string, answered: string | null): string {
  const said = message.deleted ? t("message.deleted") : message.text;
  const files = (message.files ?? []).map(({ name }) => name);
  const parts = [message.mine ? t("person.you") : author, format.time(message.at)];
  if (answered !== null) parts.push(t("message.inReplyTo", { what: answered }));
  if (said !== "") parts.push(said);
  if (files.length > 0) parts.push(t("message.files", { count: files.length, names: files.join(", ") }));
  if (message.editedAt !== null) parts.push(t("message.edited"));
  if (message.pinned) parts.push(t("message.pinned"));
  for (const { emoji, users } of message.reactions) parts.push(`${emoji} ${format.number(users.length)}`);
  if (message.state !== null) parts.push(stateWords(message.state, message.at));
  return parts.join(", ");
}

type FailedLineProps = Pick<MessageProps, "tabIndex" | "onRetry" | "onDelete"> & { reason: string };

function FailedLine({ reason, tabIndex, onRetry, onDelete }: FailedLineProps) {
  const action = "min-h-6 rounded px-1 font-semibold underline underline-offset-2 pointer-coarse:min-h-11 pointer-coarse:px-2";
  return (
    <p className="mt-1 flex flex-wrap items-center justify-end gap-x-2 text-meta text-danger">
      <span>{t("message.notSent", { reason: reasonWords(reason) })}</span>
      <button type="button" tabIndex={tabIndex} onClick={onRetry} className={action}>{t("common.retry")}</button>
      <button type="button" tabIndex={tabIndex} onClick={onDelete} className={action}>{t("common.delete")}</button>
    </p>
  );
}

function Bubble({ mine, startsGroup, endsGroup, children }: { mine: boolean; startsGroup: boolean; endsGroup: boolean; children: ReactNode }) {
  return (
    <div
      data-bubble
      className={clsx(
        "bubble max-w-full rounded-bubble border border-bubble-line px-3 py-1.5 compact:py-1 [overflow-wrap:anywhere]",
        mine ? "bg-own" : "bg-peer",
        // Inner corners of a group are tighter: it reads as one thing said.
        !startsGroup && (mine ? "rounded-se-[4px]" : "rounded-ss-[4px]"),
        !endsGroup && (mine ? "rounded-ee-[4px]" : "rounded-es-[4px]"),
      )}
    >
      {children}
    </div>
  );
}

/** What it answers, in the words of its quote; null: nothing. */
const NO_QUOTE = { seq: 0, from: null, text: "", state: "unknown" } as const;
function useAnswered({ quote }: TimelineMessage): string | null {
  const { who, says } = useQuoteWords(quote ?? NO_QUOTE);
  if (quote === null) return null;
  return who === null ? says : t("message.said", { who, text: says });
}

export function Message(props: MessageProps) {
  const { message, author, showAuthor, startsGroup, endsGroup, endsRun, marked, may, actions, tabIndex, onFocus, onRetry, onDelete } = props;
  const { mine, state, text, deleted, quote, reactions } = message;
  const seed = message.from ?? "";
  const { near, below, handlers, focus } = useNear();
  const answered = useAnswered(message);
  const actable = may.react || may.delete;
  const press = useLongPress(() => { if (actable) actions.open("menu", message); });
  return (
    <article
      aria-label={spokenMessage(message, author, answered)}
      data-message={message.key}
      tabIndex={tabIndex}
      onFocus={(event) => { focus(event); onFocus(); }}
      {...handlers}
      className={clsx("group/message flex gap-2 rounded-bubble", mine && "justify-end", startsGroup ? "pt-3 compact:pt-1.5" : "pt-0.5 compact:pt-px")}
    >
      {showAuthor && !mine && (
        <div className="w-8 shrink-0 pt-5">{startsGroup && <Avatar seed={seed} name={author} size="small" />}</div>
      )}
      <div className={clsx("flex max-w-[min(85%,36rem)] min-w-0 flex-col", mine ? "items-end" : "items-start")}>
        {showAuthor && !mine && startsGroup && (
          <bdi className="mb-0.5 max-w-full truncate px-1 text-meta font-semibold" style={{ color: `var(--hue-${hue(seed)})` }}>{author}</bdi>
        )}
        <div
          {...(actable && press)}
          className={clsx(
            "relative max-w-full rounded-bubble transition-shadow pointer-coarse:select-none pointer-coarse:[-webkit-touch-callout:none]",
            marked && "shadow-[0_0_0_3px_var(--accent)]",
          )}
        >
          <Bubble mine={mine} startsGroup={startsGroup} endsGroup={endsGroup}>
            {quote !== null && <QuoteBlock quote={quote} mine={mine} tabIndex={tabIndex} onJump={actions.jump} />}
            {!deleted && message.files !== undefined && <MessageFiles files={message.files} mine={mine} tabIndex={tabIndex} />}
            <div dir="auto" className="flow-root whitespace-pre-wrap">
              {deleted ? (
                <span className={clsx("italic", mine ? "text-own-muted" : "text-peer-muted")}>{t("message.deleted")}</span>
              ) : (
                <MessageText text={text} tabIndex={tabIndex} />
              )}
              <MessageMeta message={message} endsRun={endsRun} onHistory={() => actions.open("history", message)} />
            </div>
          </Bubble>
          {near && actable && <MessageToolbar message={message} may={may} actions={actions} below={below} tabIndex={tabIndex} />}
        </div>
        {reactions.length > 0 && <Reactions message={message} actions={actions} tabIndex={tabIndex} />}
        {state?.at === "failed" && <FailedLine reason={state.reason} tabIndex={tabIndex} onRetry={onRetry} onDelete={onDelete} />}
      </div>
    </article>
  );
}
