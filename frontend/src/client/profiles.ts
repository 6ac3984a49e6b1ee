// Names of users, asked for in batches and once per page. Knows no conversation.
import type { Api } from "../api";
import type { Profile, Readable, UserId } from "../model/types";
import { createStore, derive } from "../store";

/** Long enough for the rows of one screen to ask together. */
const GATHER_MS = 20;
const BATCH_MAX = 100;
const AGAIN_MS = 5_000;

export class Profiles {
  readonly known = createStore<ReadonlyMap<UserId, Profile>>(new Map());
  private readonly asked = new Set<UserId>();
  private readonly queue = new Set<UserId>();
  private readonly views = new Map<UserId, Readable<Profile | null>>();
  private cancel: (() => void) | null = null;
  private ended = false;

  constructor(
    private readonly api: Api,
    private readonly after: (ms: number, callback: () => void) => () => void,
  ) {}

  name(user: UserId): string {
    return this.known.get().get(user)?.displayName ?? "";
  }

  view(user: UserId): Readable<Profile | null> {
    const found = this.views.get(user);
    if (found !== undefined) return found;
    const get = () => this.known.get().get(user) ?? null;
    const profile = derive([{ get, subscribe: (listener) => this.known.subscribe(listener) }], get);
    const view: Readable<Profile | null> = {
      get: profile.get,
      subscribe: (listener) => {
        this.want([user]);
        return profile.subscribe(listener);
      },
    };
    this.views.set(user, view);
    return view;
  }

  /** Known from a cache is good enough to show, and still asked for once: people rename themselves. */
  remember(profiles: readonly Profile[]): void {
    if (profiles.length === 0) return;
    this.known.update((known) => new Map([...known, ...profiles.map((each): [UserId, Profile] => [each.userId, each])]));
  }

  want(users: readonly UserId[]): void {
    const missing = users.filter((user) => !this.asked.has(user));
    if (missing.length === 0 || this.ended) return;
    for (const user of missing) {
      this.asked.add(user);
      this.queue.add(user);
    }
    this.cancel ??= this.after(GATHER_MS, () => void this.fetch());
  }

  end(): void {
    this.ended = true;
    this.cancel?.();
  }

  private async fetch(): Promise<void> {
    const batch = [...this.queue].slice(0, BATCH_MAX);
    for (const user of batch) this.queue.delete(user);
    this.cancel = this.queue.size === 0 ? null : this.after(GATHER_MS, () => void this.fetch());
    const answer = await this.api.users(batch);
    if (this.ended) return;
    if (!answer.ok) {
      this.after(AGAIN_MS, () => {
        for (const user of batch) this.asked.delete(user);
        this.want(batch);
      });
      return;
    }
    const found = new Set(answer.value.map((profile) => profile.userId));
    const gone = batch.filter((user) => !found.has(user) && !this.known.get().has(user));
    this.remember([...answer.value, ...gone.map((userId) => ({ userId, name: "", displayName: "" }))]);
  }
}
