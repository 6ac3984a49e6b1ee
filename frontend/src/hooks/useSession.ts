// Who is signed in.
import type { SessionView } from "../model/types";
import { useChat } from "./ChatProvider";
import { useReadable } from "./useReadable";

export function useSession(): SessionView {
  return useReadable(useChat().session);
}
