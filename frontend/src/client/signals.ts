// Who is here and who types, both ways. Knows what was said last and when that ends; nothing of it is kept.
import { expire, nextExpiry, NOBODY, withPresence, withTyping, type Presence } from "../model/presence";
import type { ConversationId, UserId } from "../model/types";
import type { ClientFrame } from "../protocol";
import { createStore } from "../store";

export interface SignalsOptions {
  now: () => number;
  after: (ms: number, callback: () => void) => () => void;
  write: (frame: ClientFrame) => boolean;
}

/** Who is here is not known without a connection; a shorter loss nobody shall see. */
const FORGET_MS = 2_000;

export class Signals {
  readonly presence = createStore<Presence>(NOBODY);
  private typingMs = 3_000;
  private watchMax = 200;
  private live = false;
  /** Null: this connection has not been told yet. */
  private watched: readonly UserId[] | null = null;
  private readonly typed = new Map<ConversationId, number>();
  private cancel = (): void => {};
  private forgetting: (() => void) | null = null;

  constructor(private readonly options: SignalsOptions) {}

  limits(typingMs: number, watchMax: number): void {
    this.typingMs = typingMs;
    this.watchMax = watchMax;
  }

  connect(): void {
    this.live = true;
    this.watched = null;
    this.keep();
  }

  disconnect(): void {
    this.live = false;
    this.typed.clear();
    this.forgetting ??= this.options.after(FORGET_MS, () => {
      this.presence.update((presence) => ({ ...presence, online: NOBODY.online }));
    });
  }

  end(): void {
    this.cancel();
    this.keep();
  }

  private keep(): void {
    this.forgetting?.();
    this.forgetting = null;
  }

  /** The most important ones first: the server takes only so many. */
  watch(users: readonly UserId[]): void {
    const wanted = [...new Set(users)].slice(0, this.watchMax).sort();
    const { watched } = this;
    const same = watched !== null && wanted.length === watched.length && wanted.every((user, at) => user === watched[at]);
    if (!this.live || same || (watched === null && wanted.length === 0)) return;
    if (this.options.write({ type: "watch", users: wanted })) this.watched = wanted;
  }

  heardPresence(user: UserId, online: boolean): void {
    this.presence.update((presence) => withPresence(presence, user, online));
  }

  heardTyping(id: ConversationId, user: UserId, on: boolean): void {
    const before = this.presence.get();
    this.presence.set(withTyping(before, id, user, on, this.options.now(), this.typingMs));
    if (this.presence.get() !== before) this.expire();
  }

  setTyping(id: ConversationId, on: boolean): void {
    const now = this.options.now();
    const before = this.typed.get(id);
    if (on && before !== undefined && now - before < this.typingMs) return;
    if (!on && before === undefined) return;
    if (on) this.typed.set(id, now);
    else this.typed.delete(id);
    this.options.write({ type: "typing", conversation: id, on });
  }

  private expire(): void {
    const { now, after } = this.options;
    this.cancel();
    const due = nextExpiry(this.presence.get());
    if (due === null) return;
    this.cancel = after(Math.max(0, due - now()), () => {
      this.presence.update((presence) => expire(presence, now()));
      this.expire();
    });
  }
}
