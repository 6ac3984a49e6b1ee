// The open conversation: header, connection, messages, composer. Mounted anew for each conversation.
import clsx from "clsx";
import { useCallback, useEffect, useImperativeHandle, useRef, useState, type Ref } from "react";
import { useAnnounce } from "../a11y/Announcer";
import { useShortcuts } from "../a11y/useShortcuts";
import { useTypeAnywhere } from "../a11y/useTypeAnywhere";
import { useChat } from "../hooks/ChatProvider";
import { useConnection } from "../hooks/useConnection";
import { useReadable } from "../hooks/useReadable";
import { useTimeline } from "../hooks/useTimeline";
import { t } from "../i18n/text";
import type { ConversationItem, TimelineEntry, TimelineMessage } from "../model/types";
import { Composer, type ComposerHandle } from "./composer/Composer";
import { ComposerStrip } from "./composer/ComposerStrip";
import { TypingLine } from "./composer/TypingLine";
import { UploadStrip } from "./composer/UploadStrip";
import { useFileDrop } from "./composer/useFileDrop";
import { ConnectionBar } from "./ConnectionBar";
import { ConversationHeader } from "./ConversationHeader";
import { ErrorBoundary } from "./ErrorBoundary";
import { mayWrite } from "../model/permissions";
import { MessageList, type MessageListHandle } from "./messages/MessageList";
import { useAnnounceTimeline } from "./messages/useAnnounceTimeline";
import { useMessageActions } from "./messages/useMessageActions";
import { Notice, type Trouble } from "./Notice";
import { MessagesSkeleton } from "./ui/Skeleton";
import { problemWords } from "./problemWords";

/** What other parts of the screen may ask of it. */
export interface ConversationHandle {
  jumpTo(seq: number): void;
}

/** What the composer is for right now. */
type Writing = { at: "plain" } | { at: "reply"; seq: number } | { at: "edit"; seq: number; text: string };

const PLAIN: Writing = { at: "plain" };

function messageAt(entries: TimelineEntry[], seq: number): TimelineMessage | null {
  const found = entries.find((entry) => entry.seq === seq);
  return found?.kind === "message" && !found.deleted ? found : null;
}

interface ConversationProps {
  item: ConversationItem;
  /** A message that is to be shown. */
  goTo: number | null;
  onGone: () => void;
  detailsOpen: boolean;
  onDetails: () => void;
  onBack: () => void;
  ref?: Ref<ConversationHandle>;
}

const reload = () => window.location.reload();

export function Conversation({ item, goTo, onGone, detailsOpen, onDetails, onBack, ref }: ConversationProps) {
  const chat = useChat();
  const { id } = item;
  const timeline = useTimeline(id);
  const connection = useConnection();
  const limits = useReadable(chat.textLimits);
  const fileLimits = useReadable(chat.fileLimits);
  const uploads = useReadable(chat.uploads(id));
  const composer = useRef<ComposerHandle>(null);
  const list = useRef<MessageListHandle>(null);
  useAnnounceTimeline(timeline);

  const announce = useAnnounce();
  const [trouble, setTrouble] = useState<Trouble | null>(null);
  const [writing, setWriting] = useState<Writing>(PLAIN);
  const target = writing.at === "plain" ? null : messageAt(timeline.entries, writing.seq);
  // Deleted meanwhile: then there is nothing to answer or to change.
  const doing = target === null ? PLAIN : writing;

  const write = useCallback(() => composer.current?.focus(), []);
  const jumpTo = async (seq: number) => {
    const outcome = await chat.reach(id, seq);
    if (outcome.ok) list.current?.jumpTo(seq);
    else {
      const text = problemWords(outcome.problem);
      setTrouble({ text });
      announce.assertive(text);
    }
  };
  useImperativeHandle(ref, () => ({ jumpTo: (seq) => void jumpTo(seq) }));

  // From outside, like a notification; once there is enough to know where it is.
  const held = timeline.loaded && timeline.entries.some((entry) => entry.seq !== null && goTo !== null && entry.seq >= goTo);
  const go = useRef<() => void>(() => {});
  useEffect(() => {
    go.current = () => {
      if (goTo === null) return;
      void jumpTo(goTo);
      onGone();
    };
  });
  useEffect(() => { if (held) go.current(); }, [held, goTo]);

  const stop = () => {
    setWriting(PLAIN);
    write();
  };
  const { actions, mayDo, onKey, saveEdit, layers } = useMessageActions({
    item,
    timeline,
    onReply: (message) => {
      if (message.seq !== null) setWriting({ at: "reply", seq: message.seq });
      write();
    },
    onEdit: (message, text = message.text) => {
      setTrouble(null);
      if (message.seq !== null) setWriting({ at: "edit", seq: message.seq, text });
    },
    onJump: (seq) => void jumpTo(seq),
    onTrouble: setTrouble,
  });
  const editLast = () => {
    const last = timeline.entries.findLast((entry) => entry.kind === "message" && mayDo(entry).edit);
    if (last?.kind === "message") actions.edit(last);
  };
  const send = (text: string) => {
    if (doing.at === "edit") {
      if (target !== null && text !== target.text) saveEdit(target, text);
    } else if (doing.at === "reply") chat.send(id, text, doing.seq);
    else chat.send(id, text);
    setWriting(PLAIN);
  };

  useTypeAnywhere(write);
  useShortcuts({
    Escape: () => {
      if (doing.at !== "plain") return stop();
      list.current?.markRead();
      list.current?.jumpToLatest();
      write();
    },
    "shift+PageUp": () => list.current?.jumpToUnread(),
    "mod+End": () => list.current?.jumpToLatest(),
  });

  const writable = mayWrite(item);
  const takesFiles = writable && fileLimits.bytes > 0 && doing.at !== "edit";
  const attach = (files: File[]) => {
    chat.attach(id, files);
    announce.polite(t("files.attached", { count: files.length }));
    write();
  };
  const drop = useFileDrop(takesFiles ? attach : null);

  const loadOlder = useCallback(() => chat.loadOlder(id), [chat, id]);
  const markRead = useCallback((seq: number) => chat.markRead(id, seq), [chat, id]);
  const retry = useCallback((key: string) => chat.retry(id, key), [chat, id]);
  const discard = useCallback(
    (key: string) => {
      chat.discard(id, key);
      // The button that had the focus is gone with its message.
      write();
    },
    [chat, id, write],
  );

  return (
    <>
      <ConversationHeader item={item} detailsOpen={detailsOpen} onDetails={onDetails} onBack={onBack} />
      <ConnectionBar connection={connection} onRetry={() => chat.retryConnection()} onReload={reload} />
      <div data-region="messages" {...drop.handlers} className={clsx("flex min-h-0 flex-1 flex-col", drop.over && "bg-hover outline-2 -outline-offset-8 outline-dashed outline-ring")}>
        <ErrorBoundary>
          {timeline.loaded ? (
            <MessageList
              ref={list}
              label={t("messages.with", { name: item.name })}
              timeline={timeline}
              unread={item.unread}
              showAuthors={item.kind !== "direct"}
              beginning={item.hidden ? t("messages.hiddenBefore") : t(item.kind === "direct" ? "messages.beginning" : "messages.beginningOf", { name: item.name })}
              onLoadOlder={loadOlder}
              onMarkRead={markRead}
              onRetry={retry}
              onDelete={discard}
              mayDo={mayDo}
              actions={actions}
              onKey={onKey}
              onLeave={write}
            />
          ) : (
            <MessagesSkeleton />
          )}
        </ErrorBoundary>
      </div>
      <TypingLine who={item.typing} />
      {trouble !== null && <Notice trouble={trouble} onClose={() => { setTrouble(null); write(); }} />}
      <div data-region="composer" {...drop.handlers}>
        {!writable && doing.at === "plain" ? (
          <p className="border-t border-line px-4 py-4 text-center text-[0.875rem] text-muted">{t("composer.readOnly")}</p>
        ) : <Composer
          // An edit has a text of its own; the draft comes back after it.
          key={doing.at === "edit" ? `edit-${doing.seq}` : "write"}
          ref={composer}
          to={item.name}
          editing={doing.at === "edit"}
          attachments={takesFiles ? {
            ready: uploads.filter(({ state }) => state.at === "ready").length,
            busy: uploads.some(({ state }) => state.at === "uploading"),
            onFiles: attach,
          } : undefined}
          above={<>
            {doing.at !== "plain" && target !== null && (
              <ComposerStrip doing={doing.at} message={target} onJump={() => void jumpTo(doing.seq)} onCancel={stop} />
            )}
            {takesFiles && <UploadStrip uploads={uploads} onCancel={(upload) => { chat.cancelUpload(upload); write(); }} onRetry={(upload) => chat.retryUpload(upload)} />}
          </>}
          draft={doing.at === "edit" ? doing.text : chat.draft(id)}
          limits={limits}
          onDraft={(text) => { if (doing.at !== "edit") chat.setDraft(id, text); }}
          onSend={send}
          onTyping={(on) => chat.setTyping(id, on)}
          onEditLast={editLast}
          onCancel={doing.at === "plain" ? undefined : stop}
        />}
      </div>
      <ErrorBoundary>{layers}</ErrorBoundary>
    </>
  );
}
