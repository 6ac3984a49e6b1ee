// What was typed and not sent, by conversation. In small storage rather than in the database because
// a composer wants it at once when it appears, and a page that closes has no time to wait.
import type { ConversationId, UserId } from "../model/types";
import { conversationId } from "../protocol";
import { isObject, parse } from "../shape";
import { createStore } from "../store";
import type { Storage, Tabs } from "./environment";

export type DraftTexts = ReadonlyMap<ConversationId, string>;

export class Drafts {
  readonly texts = createStore<DraftTexts>(new Map());
  private readonly name: string;

  constructor(
    private readonly storage: Storage,
    private readonly tabs: Tabs,
    private readonly user: UserId,
  ) {
    this.name = `chat.drafts.${user}`;
    this.texts.set(read(storage.get(this.name)));
  }

  get(conversation: ConversationId): string {
    return this.texts.get().get(conversation) ?? "";
  }

  set(conversation: ConversationId, text: string): void {
    if (!this.change(conversation, text)) return;
    this.storage.set(this.name, JSON.stringify(Object.fromEntries(this.texts.get())));
    this.tabs.post({ type: "draft", user: this.user, conversation, text });
  }

  /** Typed in another tab, which also has stored it. */
  heard(conversation: ConversationId, text: string): void {
    this.change(conversation, text);
  }

  wipe(): void {
    this.texts.set(new Map());
    this.storage.remove(this.name);
  }

  private change(conversation: ConversationId, text: string): boolean {
    if (this.get(conversation) === text) return false;
    const next = new Map(this.texts.get());
    if (text === "") next.delete(conversation);
    else next.set(conversation, text);
    this.texts.set(next);
    return true;
  }
}

function read(stored: string | null): DraftTexts {
  const value = stored === null ? null : parse(stored);
  const texts = new Map<ConversationId, string>();
  if (!isObject(value)) return texts;
  for (const [name, text] of Object.entries(value)) {
    const conversation = conversationId(name);
    if (conversation !== null && typeof text === "string") texts.set(conversation, text);
  }
  return texts;
}
