// What one can do to the messages of a conversation: by toolbar, by menu and by key all the same.
import { lazy, Suspense, useEffect, useMemo, useState, type ReactNode } from "react";
import { useAnnounce } from "../../a11y/Announcer";
import { useChat } from "../../hooks/ChatProvider";
import { permissions, type Permissions } from "../../model/permissions";
import type { Amendment, ConversationItem, Timeline, TimelineMessage, Version } from "../../model/types";
import type { Trouble } from "../Notice";
import { UNKNOWN_NAME } from "../PersonName";
import type { MessageActions, MessageLayer } from "./actions";

// Loaded right after the screen stands, not when asked for: there may be no network by then.
const loadLayers = () => import("./MessageLayers");
const MessageLayers = lazy(() => loadLayers().then((module) => ({ default: module.MessageLayers })));

interface Options {
  item: ConversationItem;
  timeline: Timeline;
  onReply: (message: TimelineMessage) => void;
  /** `text`: what is to be in the field, when not what the message says. */
  onEdit: (message: TimelineMessage, text?: string) => void;
  onJump: (seq: number) => void;
  onTrouble: (trouble: Trouble | null) => void;
}

interface MessageActing {
  actions: MessageActions;
  mayDo: (message: TimelineMessage) => Permissions;
  /** A key on a message; false: it means nothing here. */
  onKey: (key: string, message: TimelineMessage) => boolean;
  saveEdit: (message: TimelineMessage, text: string) => void;
  layers: ReactNode;
}

const NO_VERSIONS: readonly Version[] = [];

const NOT_DONE: Record<Amendment["type"], string> = {
  edit: "The change was not saved.",
  delete: "The message was not deleted.",
  react: "The reaction did not arrive.",
  pin: "The pin was not changed.",
};

export function useMessageActions({ item, timeline, onReply, onEdit, onJump, onTrouble }: Options): MessageActing {
  const chat = useChat();
  const announce = useAnnounce();
  const { id, kind, role } = item;
  const [open, setOpen] = useState<{ at: MessageLayer | null; key: string } | null>(null);
  useEffect(() => { loadLayers().catch(() => { /* Asked for again when it is wanted. */ }); }, []);

  const mayDo = (message: TimelineMessage) => permissions(message, { kind, role });

  const amend = async (message: TimelineMessage, what: Amendment, done: string) => {
    if (message.seq === null) return;
    onTrouble(null);
    announce.polite(done);
    const outcome = await chat.amend(id, message.seq, what);
    if (outcome.ok) return;
    const text = `${NOT_DONE[what.type]} ${outcome.problem.message}`;
    announce.assertive(text);
    // What was typed is not lost with it.
    onTrouble(what.type === "edit" ? { text, again: { label: "Edit again", act: () => onEdit(message, what.text) } } : { text });
  };

  const actions: MessageActions = {
    reply: onReply,
    edit: (message) => onEdit(message),
    react: (message, emoji) => {
      const on = !message.reactions.some((each) => each.emoji === emoji && each.mine);
      void amend(message, { type: "react", emoji, on }, on ? `Reacted with ${emoji}` : `Took ${emoji} off`);
    },
    pin: (message) => void amend(message, { type: "pin", on: !message.pinned }, message.pinned ? "Unpinned" : "Pinned"),
    copy: (message) => {
      void navigator.clipboard?.writeText(message.text);
      announce.polite("Copied");
    },
    jump: onJump,
    open: (at, message) => setOpen({ at, key: message.key }),
  };

  const onKey = (key: string, message: TimelineMessage): boolean => {
    const may = mayDo(message);
    const act = (allowed: boolean, run: () => void): boolean => {
      if (allowed) run();
      else announce.polite("This cannot be done to this message");
      return true;
    };
    switch (key.length === 1 ? key.toLowerCase() : key) {
      case "r":
        return act(may.reply, () => actions.reply(message));
      case "e":
        return act(may.edit, () => actions.edit(message));
      case "+":
        return act(may.react, () => actions.open("picker", message));
      case "p":
        return act(may.pin, () => actions.pin(message));
      case "h":
        return act(message.editedAt !== null, () => actions.open("history", message));
      case "c":
        return act(!message.deleted, () => actions.copy(message));
      case "Delete":
        return act(may.delete, () => actions.open("delete", message));
      case "ContextMenu":
        return act(may.react || may.delete, () => actions.open("menu", message));
      default:
        return false;
    }
  };

  const message = useMemo(() => {
    const found = open === null ? undefined : timeline.entries.find((entry) => entry.key === open.key);
    return found?.kind === "message" ? found : null;
  }, [timeline.entries, open]);
  const layers = open !== null && message !== null && (
    <Suspense>
      <MessageLayers
        key={open.key}
        layer={message.deleted ? null : open.at}
        message={message}
        author={message.from === null ? "System" : (chat.profile(message.from).get()?.displayName ?? UNKNOWN_NAME)}
        may={mayDo(message)}
        versions={open.at === "history" && message.seq !== null ? chat.versions(id, message.seq) : NO_VERSIONS}
        actions={actions}
        onDelete={() => void amend(message, { type: "delete" }, "Message deleted")}
        onClose={() => setOpen((now) => (now === open ? { ...open, at: null } : now))}
      />
    </Suspense>
  );

  return { actions, mayDo, onKey, layers, saveEdit: (changed, text) => void amend(changed, { type: "edit", text }, "Message changed") };
}
