// How the connection to the server stands.
import type { ConnectionView } from "../model/types";
import { useChat } from "./ChatProvider";
import { useReadable } from "./useReadable";

export function useConnection(): ConnectionView {
  return useReadable(useChat().connection);
}
