// What one can do to a message, as the parts of a message are handed it.
import type { TimelineMessage } from "../../model/types";

/** What opens over a message. */
export type MessageLayer = "menu" | "picker" | "delete" | "history";

export interface MessageActions {
  reply(message: TimelineMessage): void;
  edit(message: TimelineMessage): void;
  /** Puts one's emoji on, or takes it off. */
  react(message: TimelineMessage, emoji: string): void;
  /** Pins it, or takes the pin off. */
  pin(message: TimelineMessage): void;
  copy(message: TimelineMessage): void;
  jump(seq: number): void;
  open(layer: MessageLayer, message: TimelineMessage): void;
}

/** The few that say most of what is said with emojis; the picker has the rest. */
export const QUICK = ["👍", "❤️", "😂", "🎉", "😮", "🙏"] as const;

/** Where on the page a message stands. */
export function articleOf(key: string): HTMLElement | null {
  return document.querySelector<HTMLElement>(`[data-message="${CSS.escape(key)}"]`);
}
