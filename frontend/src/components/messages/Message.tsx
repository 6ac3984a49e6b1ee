// One message: bubble, time, state. Knows nothing of the list around it.
import clsx from "clsx";
import type { ReactNode } from "react";
import * as format from "../../format";
import type { TimelineMessage } from "../../model/types";
import { Avatar } from "../ui/Avatar";
import { hue } from "../ui/hue";
import { LinkedText } from "./LinkedText";
import { MessageTick } from "./MessageTick";
import { stateWords } from "./stateWords";

interface MessageProps {
  message: TimelineMessage;
  author: string;
  /** Groups name and picture the author; a direct chat has only one other side. */
  showAuthor: boolean;
  startsGroup: boolean;
  endsGroup: boolean;
  endsRun: boolean;
  tabIndex: 0 | -1;
  onFocus: () => void;
  onRetry: () => void;
  onDelete: () => void;
}

const DELETED = "Message deleted";

/** Author, time, text, state: the order in which they are of use. */
function spokenMessage(message: TimelineMessage, author: string): string {
  const said = message.deleted ? DELETED : message.text;
  const parts = [message.mine ? "You" : author, format.time(message.at), said];
  if (message.editedAt !== null) parts.push("edited");
  if (message.state !== null) parts.push(stateWords(message.state, message.at));
  return parts.join(", ");
}

type FailedLineProps = Pick<MessageProps, "tabIndex" | "onRetry" | "onDelete"> & { reason: string };

function FailedLine({ reason, tabIndex, onRetry, onDelete }: FailedLineProps) {
  const action = "min-h-6 rounded px-1 font-semibold underline underline-offset-2 pointer-coarse:min-h-11 pointer-coarse:px-2";
  return (
    <p className="mt-1 flex flex-wrap items-center justify-end gap-x-2 text-meta text-danger">
      <span>Not sent: {reason}</span>
      <button type="button" tabIndex={tabIndex} onClick={onRetry} className={action}>Retry</button>
      <button type="button" tabIndex={tabIndex} onClick={onDelete} className={action}>Delete</button>
    </p>
  );
}

function Bubble({ mine, startsGroup, endsGroup, children }: { mine: boolean; startsGroup: boolean; endsGroup: boolean; children: ReactNode }) {
  return (
    <div
      className={clsx(
        "bubble max-w-full rounded-bubble border border-bubble-line px-3 py-1.5 [overflow-wrap:anywhere]",
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

export function Message({ message, author, showAuthor, startsGroup, endsGroup, endsRun, tabIndex, onFocus, onRetry, onDelete }: MessageProps) {
  const { mine, state, text, at, editedAt, deleted } = message;
  const seed = message.from ?? "";
  return (
    <article
      aria-label={spokenMessage(message, author)}
      data-message={message.key}
      tabIndex={tabIndex}
      onFocus={onFocus}
      className={clsx("group/message flex gap-2 rounded-bubble", mine && "justify-end", startsGroup ? "pt-3" : "pt-0.5")}
    >
      {showAuthor && !mine && (
        <div className="w-8 shrink-0 pt-5">{startsGroup && <Avatar seed={seed} name={author} size="small" />}</div>
      )}
      <div className={clsx("flex max-w-[min(85%,36rem)] min-w-0 flex-col", mine ? "items-end" : "items-start")}>
        {showAuthor && !mine && startsGroup && (
          <bdi className="mb-0.5 max-w-full truncate px-1 text-meta font-semibold" style={{ color: `var(--hue-${hue(seed)})` }}>{author}</bdi>
        )}
        <Bubble mine={mine} startsGroup={startsGroup} endsGroup={endsGroup}>
          <div dir="auto" className="whitespace-pre-wrap">
            {deleted ? (
              <span dir="ltr" className={clsx("italic", mine ? "text-own-muted" : "text-peer-muted")}>{DELETED}</span>
            ) : (
              <LinkedText text={text} tabIndex={tabIndex} />
            )}
            {/* Floats into the last line when there is room, below it when not. Always left to right:
                the place of the time must not depend on the language of the text. */}
            <span
              dir="ltr"
              className={clsx("relative float-right mt-2 -mb-0.5 flex h-4 items-center gap-1 text-[0.6875rem] leading-4 whitespace-nowrap select-none", mine ? "ms-4 text-own-muted" : "ms-3 text-peer-muted")}
            >
              {editedAt !== null && <span title={`Edited ${format.exactTime(editedAt)}`}>edited</span>}
              <time dateTime={format.isoTime(at)} title={format.exactTime(at)}>{format.time(at)}</time>
              {state !== null && <MessageTick state={state} at={at} quiet={!endsRun} />}
            </span>
          </div>
        </Bubble>
        {state?.at === "failed" && <FailedLine reason={state.reason} tabIndex={tabIndex} onRetry={onRetry} onDelete={onDelete} />}
      </div>
    </article>
  );
}
