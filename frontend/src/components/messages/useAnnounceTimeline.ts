// Tells screen readers what happened in the open conversation: messages of others, and sends that failed.
import { useEffect, useRef } from "react";
import { useAnnounce } from "../../a11y/Announcer";
import { useChat } from "../../hooks/ChatProvider";
import type { Timeline } from "../../model/types";
import { nameOf } from "../nameOf";
import { t } from "../../i18n/text";
import { newestSeq, othersAfter } from "./rows";
import { reasonWords } from "../problemWords";

export function useAnnounceTimeline(timeline: Timeline): void {
  const chat = useChat();
  const announce = useAnnounce();
  const known = useRef<{ seq: number; failed: Set<string> } | null>(null);

  useEffect(() => {
    if (!timeline.loaded) return;
    const failed = new Map<string, string>();
    // Only unsent ones can have failed, and they stand at the end.
    for (let i = timeline.entries.length - 1; i >= 0; i -= 1) {
      const entry = timeline.entries[i];
      if (entry === undefined || entry.seq !== null) break;
      if (entry.kind === "message" && entry.state?.at === "failed") failed.set(entry.key, entry.state.reason);
    }
    const before = known.current;
    known.current = { seq: newestSeq(timeline.entries), failed: new Set(failed.keys()) };
    // What was there when the conversation was opened is not news.
    if (before === null) return;
    for (const message of othersAfter(timeline.entries, before.seq)) {
      const name = message.from === null ? t("person.system") : nameOf(chat.profile(message.from).get());
      announce.message(t("message.said", { who: name, text: message.text }));
    }
    for (const [key, reason] of failed) {
      if (!before.failed.has(key)) announce.assertive(t("message.notSentSpoken", { reason: reasonWords(reason) }));
    }
  }, [timeline, chat, announce]);
}
