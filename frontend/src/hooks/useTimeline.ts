// The entries of one conversation. Asking for it is what makes the client load it.
import type { ConversationId, Timeline } from "../model/types";
import { useChat } from "./ChatProvider";
import { useReadable } from "./useReadable";

export function useTimeline(conversation: ConversationId): Timeline {
  return useReadable(useChat().timeline(conversation));
}
