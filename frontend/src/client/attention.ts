// Which conversations somebody is looking at, in this tab and in the others of this browser.
import type { ConversationId } from "../model/types";
import type { Tabs } from "./environment";

/** Three times what a tab takes to say it again; then it is gone without a word. */
const FORGOTTEN_MS = 60_000;

export class Attention {
  private readonly others = new Map<string, { conversation: ConversationId; at: number }>();
  private here: ConversationId | null = null;

  constructor(
    private readonly tabs: Tabs,
    private readonly now: () => number,
    /** Of this page. */
    private readonly name: string,
  ) {}

  attend(conversation: ConversationId | null): void {
    // Nothing, again, is no news; the same conversation again says that one is still there.
    if (conversation === null && this.here === null) return;
    this.here = conversation;
    this.tabs.post({ type: "attending", tab: this.name, conversation });
  }

  heard(tab: string, conversation: ConversationId | null): void {
    if (conversation === null) this.others.delete(tab);
    else this.others.set(tab, { conversation, at: this.now() });
  }

  isOn(conversation: ConversationId): boolean {
    if (this.here === conversation) return true;
    const since = this.now() - FORGOTTEN_MS;
    return [...this.others.values()].some((each) => each.conversation === conversation && each.at > since);
  }
}
