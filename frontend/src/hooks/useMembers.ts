// Who is in a conversation, and how far each has read.
import type { ConversationId, Member } from "../model/types";
import { useChat } from "./ChatProvider";
import { useReadable } from "./useReadable";

export function useMembers(conversation: ConversationId): Member[] {
  return useReadable(useChat().members(conversation));
}
