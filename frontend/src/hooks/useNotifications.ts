// Tells of new messages outside of the page: notifications of the browser, the title, the icon of the tab.
import { useEffect } from "react";
import { t } from "../i18n/text";
import type { ConversationId, IncomingMessage } from "../model/types";
import { closeNotification, showNotification } from "../notifications";
import { settings } from "../settings";
import { useChat } from "./ChatProvider";
import { useConversations, useTotalUnread } from "./useConversations";
import { messagePath, navigate } from "./useRoute";

/** Others forget after a while whom they have not heard of: a tab that crashed looks at nothing. */
const STILL_HERE_MS = 20_000;

export function useNotifications(open: ConversationId | null): void {
  useAttention(open);
  useIncoming();
  useTabSigns();
}

/** Says which conversation somebody is looking at. */
function useAttention(open: ConversationId | null): void {
  const chat = useChat();
  useEffect(() => {
    const tell = () => chat.attend(document.visibilityState === "visible" && document.hasFocus() ? open : null);
    const away = () => chat.attend(null);
    tell();
    const timer = setInterval(tell, STILL_HERE_MS);
    for (const event of ["focus", "blur"]) window.addEventListener(event, tell);
    window.addEventListener("pagehide", away);
    document.addEventListener("visibilitychange", tell);
    return () => {
      clearInterval(timer);
      for (const event of ["focus", "blur"]) window.removeEventListener(event, tell);
      window.removeEventListener("pagehide", away);
      document.removeEventListener("visibilitychange", tell);
      away();
    };
  }, [chat, open]);
}

function tell({ conversation, kind, name, author, seq, text }: IncomingMessage): void {
  const { notify, notifyText } = settings();
  if (!notify) return;
  const who = author || t("person.unknown");
  showNotification({
    tag: conversation,
    title: kind === "direct" ? who : t("notify.inGroup", { who, where: name }),
    body: notifyText ? text : t("notify.new"),
    onClick: () => navigate(messagePath(conversation, seq)),
  });
}

function useIncoming(): void {
  const chat = useChat();
  const { items } = useConversations();
  useEffect(() => chat.onIncoming(tell), [chat]);
  // Read here, in another tab or on another device: then it has told what it had to.
  useEffect(() => {
    for (const { id, unread } of items) if (unread === 0) closeNotification(id);
  }, [items]);
}

function useTabSigns(): void {
  const unread = useTotalUnread();
  const title = unread > 0 ? t("app.titleUnread", { count: unread }) : t("app.name");
  useEffect(() => { document.title = title; }, [title]);
  const icon = unread > 0 ? "/icon-unread.svg" : "/icon.svg";
  useEffect(() => { document.querySelector<HTMLLinkElement>('link[rel="icon"]')?.setAttribute("href", icon); }, [icon]);
  // Signed out, nothing is unread any more.
  useEffect(() => () => {
    document.title = t("app.name");
    document.querySelector<HTMLLinkElement>('link[rel="icon"]')?.setAttribute("href", "/icon.svg");
  }, []);
}
