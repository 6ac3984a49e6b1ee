// What is pinned in a conversation. Asking for it is what makes the client load it.
import type { ConversationId, Pins } from "../model/types";
import { useChat } from "./ChatProvider";
import { useReadable } from "./useReadable";

export function usePins(conversation: ConversationId): Pins {
  return useReadable(useChat().pins(conversation));
}
