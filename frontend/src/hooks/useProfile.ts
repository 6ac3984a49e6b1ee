// The name of a user; null until it is known.
import type { Profile, UserId } from "../model/types";
import { useChat } from "./ChatProvider";
import { useReadable } from "./useReadable";

export function useProfile(user: UserId): Profile | null {
  return useReadable(useChat().profile(user));
}
