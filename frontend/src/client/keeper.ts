// Writes the latest conversations into the cache, a moment after they changed. Knows what is worth
// keeping; what it means is the model's.
import type { Summary } from "../model/conversations";
import { newest } from "../model/timeline";
import type { ConversationId, Profile, Readable, UserId } from "../model/types";
import type { Persist } from "../persist";
import type { Resume } from "../protocol";
import type { Rooms } from "./rooms";

export interface KeeperOptions {
  persist: Persist;
  me: UserId;
  rooms: Rooms;
  summaries: Readable<ReadonlyMap<ConversationId, Summary>>;
  profiles: Readable<ReadonlyMap<UserId, Profile>>;
  resume: () => Resume | null;
  after: (ms: number, callback: () => void) => () => void;
}

const CONVERSATIONS_MAX = 30;
const EVENTS_MAX = 200;
const PROFILES_MAX = 500;
/** Long enough that a burst is one write, short enough that a reload misses little. */
const SAVE_MS = 1_000;

export class Keeper {
  private readonly changed = new Set<ConversationId>();
  private cancel: (() => void) | null = null;

  constructor(private readonly options: KeeperOptions) {}

  note(id: ConversationId): void {
    this.changed.add(id);
    this.soon();
  }

  soon(): void {
    this.cancel ??= this.options.after(SAVE_MS, () => void this.save());
  }

  async save(): Promise<void> {
    this.stop();
    const { persist, me, rooms, summaries, profiles } = this.options;
    const resume = this.options.resume();
    // Not connected once: what was loaded is the best there is.
    if (resume === null) return;
    const kept = [...summaries.get().values()].sort((a, b) => b.updatedAt - a.updatedAt).slice(0, CONVERSATIONS_MAX);
    const conversations = kept
      .filter((summary) => this.changed.has(summary.id))
      .map((summary) => {
        const log = rooms.get(summary.id)?.log.get();
        return { summary, log: log === undefined ? { run: [], position: summary.head, ahead: [] } : newest(log, EVENTS_MAX) };
      });
    this.changed.clear();
    const state = { resume, profiles: [...profiles.get().values()].slice(-PROFILES_MAX) };
    await persist.save(me, state, conversations, new Set(kept.map((summary) => summary.id)));
  }

  stop(): void {
    this.cancel?.();
    this.cancel = null;
  }
}
