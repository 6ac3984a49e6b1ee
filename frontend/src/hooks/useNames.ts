// The display names of several users at once. A string, so that React sees at a glance whether one changed.
import { useCallback, useSyncExternalStore } from "react";
import type { UserId } from "../model/types";
import { useChat } from "./ChatProvider";
import { useSession } from "./useSession";

const BETWEEN = "\n";

/** `You` for the person at this screen, who comes first. */
export function useNames(users: readonly UserId[], unknown: string): string[] {
  const chat = useChat();
  const session = useSession();
  const me = session.at === "signed-in" ? session.me.userId : null;
  const subscribe = useCallback(
    (listener: () => void) => {
      const ends = users.map((user) => chat.profile(user).subscribe(listener));
      return () => ends.forEach((end) => end());
    },
    [chat, users],
  );
  const get = () =>
    [...users]
      .sort((a, b) => Number(b === me) - Number(a === me))
      .map((user) => (user === me ? "You" : (chat.profile(user).get()?.displayName ?? unknown)))
      .join(BETWEEN);
  return useSyncExternalStore(subscribe, get, get).split(BETWEEN);
}
