// The conversation list, and how much in it is unread.
import { useMemo } from "react";
import { t } from "../i18n/text";
import { useChat } from "./ChatProvider";
import { useReadable } from "./useReadable";

/** Nobody is without a name: who is not known yet, or gone, is called so in the language of the screen. */
export function useConversations() {
  const { items, state } = useReadable(useChat().conversations);
  const unknown = t("person.unknown");
  return useMemo(
    () => ({
      state,
      items: items.map((item) => {
        if (item.name !== "" && !item.typing.includes("")) return item;
        return { ...item, name: item.name || unknown, typing: item.typing.map((name) => name || unknown) };
      }),
    }),
    [items, state, unknown],
  );
}

export function useTotalUnread(): number {
  return useReadable(useChat().totalUnread);
}
