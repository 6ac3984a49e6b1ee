// The emojis on a message: one chip each, with a count. A click puts one's own on or takes it off.
import clsx from "clsx";
import { SmilePlus } from "lucide-react";
import * as format from "../../format";
import { useNames } from "../../hooks/useNames";
import type { Reaction, TimelineMessage } from "../../model/types";
import { UNKNOWN_NAME } from "../PersonName";
import { Tip } from "../ui/Tip";
import type { MessageActions } from "./actions";

interface ReactionsProps {
  message: TimelineMessage;
  actions: MessageActions;
  tabIndex: 0 | -1;
}

/** More names than this are a number. */
const NAMES_MAX = 10;

// Taller for fingers than it looks: chips of 44 pixels would outshout the message.
const chip = "relative inline-flex min-h-6 items-center gap-1 rounded-full border px-2 text-meta transition-colors pointer-coarse:min-h-8 before:absolute before:inset-x-0 before:-inset-y-1.5 before:content-[''] pointer-fine:before:hidden";

function Chip({ reaction, onClick, tabIndex }: { reaction: Reaction; onClick: () => void; tabIndex: 0 | -1 }) {
  const { emoji, users, mine } = reaction;
  const names = useNames(users, UNKNOWN_NAME);
  const more = names.length - NAMES_MAX;
  const who = format.names(more > 0 ? [...names.slice(0, NAMES_MAX), format.count(more, "other", "others")] : names);
  return (
    <Tip label={<bdi className="block max-w-64">{who}</bdi>}>
      <button
        type="button"
        aria-pressed={mine}
        aria-label={`${emoji} ${users.length}: ${who}`}
        tabIndex={tabIndex}
        onClick={onClick}
        className={clsx(chip, "tabular-nums", mine ? "border-accent bg-selected font-semibold text-text" : "border-line bg-raised text-muted hover:bg-hover hover:text-text")}
      >
        <span aria-hidden className="text-[0.9375rem] leading-none">{emoji}</span>
        <span aria-hidden>{format.number(users.length)}</span>
      </button>
    </Tip>
  );
}

export function Reactions({ message, actions, tabIndex }: ReactionsProps) {
  return (
    <div role="group" aria-label="Reactions" className={clsx("mt-1 flex flex-wrap gap-1", message.mine && "justify-end")}>
      {message.reactions.map((reaction) => (
        <Chip key={reaction.emoji} reaction={reaction} tabIndex={tabIndex} onClick={() => actions.react(message, reaction.emoji)} />
      ))}
      <Tip label="React">
        <button
          type="button"
          aria-label="React"
          aria-haspopup="dialog"
          tabIndex={tabIndex}
          onClick={() => actions.open("picker", message)}
          className={clsx(chip, "border-line bg-raised text-muted hover:bg-hover hover:text-text")}
        >
          <SmilePlus aria-hidden size={14} />
        </button>
      </Tip>
    </div>
  );
}
