// Hands the one `ChatClient` to everything below. Knows nothing of how it works.
import { createContext, use, type ReactNode } from "react";
import type { ChatClient } from "../model/types";

const ChatContext = createContext<ChatClient | null>(null);

export function ChatProvider({ client, children }: { client: ChatClient; children: ReactNode }) {
  return <ChatContext value={client}>{children}</ChatContext>;
}

export function useChat(): ChatClient {
  const client = use(ChatContext);
  if (client === null) throw new Error("useChat needs a ChatProvider above it");
  return client;
}
