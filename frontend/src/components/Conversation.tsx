// The open conversation: header, connection, messages, composer. Mounted anew for each conversation.
import { useCallback, useRef } from "react";
import { useShortcuts } from "../a11y/useShortcuts";
import { useTypeAnywhere } from "../a11y/useTypeAnywhere";
import { useChat } from "../hooks/ChatProvider";
import { useConnection } from "../hooks/useConnection";
import { useReadable } from "../hooks/useReadable";
import { useTimeline } from "../hooks/useTimeline";
import type { ConversationItem } from "../model/types";
import { Composer, type ComposerHandle } from "./composer/Composer";
import { TypingLine } from "./composer/TypingLine";
import { ConnectionBar } from "./ConnectionBar";
import { ConversationHeader } from "./ConversationHeader";
import { ErrorBoundary } from "./ErrorBoundary";
import { MessageList, type MessageListHandle } from "./messages/MessageList";
import { useAnnounceTimeline } from "./messages/useAnnounceTimeline";
import { MessagesSkeleton } from "./ui/Skeleton";

interface ConversationProps {
  item: ConversationItem;
  detailsOpen: boolean;
  onDetails: () => void;
  onBack: () => void;
}

const reload = () => window.location.reload();

export function Conversation({ item, detailsOpen, onDetails, onBack }: ConversationProps) {
  const chat = useChat();
  const { id } = item;
  const timeline = useTimeline(id);
  const connection = useConnection();
  const limits = useReadable(chat.textLimits);
  const composer = useRef<ComposerHandle>(null);
  const list = useRef<MessageListHandle>(null);
  useAnnounceTimeline(timeline);

  const write = useCallback(() => composer.current?.focus(), []);
  useTypeAnywhere(write);
  useShortcuts({
    Escape: () => {
      list.current?.markRead();
      list.current?.jumpToLatest();
      write();
    },
    "shift+PageUp": () => list.current?.jumpToUnread(),
    "mod+End": () => list.current?.jumpToLatest(),
  });

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
      <div data-region="messages" className="flex min-h-0 flex-1 flex-col">
        <ErrorBoundary>
          {timeline.loaded ? (
            <MessageList
              ref={list}
              label={`Messages with ${item.name}`}
              timeline={timeline}
              unread={item.unread}
              showAuthors={item.kind !== "direct"}
              beginning={item.kind !== "direct" ? `This is the beginning of “${item.name}”.` : `This is the beginning of your chat with ${item.name}.`}
              onLoadOlder={loadOlder}
              onMarkRead={markRead}
              onRetry={retry}
              onDelete={discard}
              onLeave={write}
            />
          ) : (
            <MessagesSkeleton />
          )}
        </ErrorBoundary>
      </div>
      <TypingLine who={item.typing} />
      <div data-region="composer">
        <Composer
          ref={composer}
          to={item.name}
          draft={chat.draft(id)}
          limits={limits}
          onDraft={(text) => chat.setDraft(id, text)}
          onSend={(text) => chat.send(id, text)}
          onTyping={(on) => chat.setTyping(id, on)}
        />
      </div>
    </>
  );
}
