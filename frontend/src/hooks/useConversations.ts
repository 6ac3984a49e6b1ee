// The conversation list, and how much in it is unread.
import { useChat } from "./ChatProvider";
import { useReadable } from "./useReadable";

export function useConversations() {
  return useReadable(useChat().conversations);
}

export function useTotalUnread(): number {
  return useReadable(useChat().totalUnread);
}
