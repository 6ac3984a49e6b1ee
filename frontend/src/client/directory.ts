// The conversations of this user: the list over HTTP, kept up by events and markers. Knows heads,
// markers and counts; the logs themselves are in the rooms.
import { LIST_MAX, type Api } from "../api";
import { summaryOf, withEvent, withMarker, withRead, type Summary } from "../model/conversations";
import type { ConversationId, Seq, UserId } from "../model/types";
import type { Conversation, LoggedEvent, MarkerOf } from "../protocol";
import { createStore } from "../store";
import type { Marks } from "./marks";

export interface DirectoryOptions {
  api: Api;
  me: UserId;
  marks: Marks;
  after: (ms: number, callback: () => void) => () => void;
  run: (id: ConversationId) => readonly LoggedEvent[];
  /** This conversation is not what it was. */
  changed: (id: ConversationId) => void;
  /** The list over HTTP is in. */
  listed: () => void;
}

export type ListState = "loading" | "ready" | "failed";

const AGAIN_MS = 5_000;

export class Directory {
  readonly summaries = createStore<ReadonlyMap<ConversationId, Summary>>(new Map());
  readonly state = createStore<ListState>("loading");
  /** Whether the list was answered since the stream last began anew. */
  private answered = false;
  private loading: Promise<void> | null = null;
  /** Counts the epochs: an answer of before one says nothing about what is now. */
  private life = 0;
  private readonly refreshing = new Set<ConversationId>();
  private cancelAgain = (): void => {};
  private ended = false;

  constructor(private readonly options: DirectoryOptions) {}

  end(): void {
    this.ended = true;
    this.cancelAgain();
  }

  get(id: ConversationId): Summary | undefined {
    return this.summaries.get().get(id);
  }

  restore(summaries: readonly Summary[]): void {
    this.summaries.set(new Map(summaries.map((summary) => [summary.id, summary])));
    if (summaries.length > 0) this.state.set("ready");
  }

  forgetEverything(): void {
    this.life += 1;
    this.summaries.set(new Map());
    this.state.set("loading");
    this.reload();
  }

  reload(): void {
    this.answered = false;
    this.loading = null;
    void this.load();
  }

  /** Until the list is in; a failure is tried again by itself. */
  load(): Promise<void> {
    if (this.answered || this.ended) return Promise.resolve();
    if (this.loading !== null) return this.loading;
    const load = this.fetch().finally(() => {
      if (this.loading === load) this.loading = null;
    });
    this.loading = load;
    return load;
  }

  /** One conversation anew: it was not known, or more happened than was seen. */
  async refresh(id: ConversationId): Promise<void> {
    if (this.refreshing.has(id)) return;
    this.refreshing.add(id);
    const { life } = this;
    const answer = await this.options.api.conversation(id);
    this.refreshing.delete(id);
    if (!this.ended && this.life === life && answer.ok) this.adopt(answer.value);
  }

  adopt(body: Conversation): void {
    const { me, marks, run, changed } = this.options;
    const before = this.get(body.id) ?? null;
    if (before !== null && before.read > body.read) marks.read(body.id, before.read);
    if (body.received < body.head) marks.received(body.id, body.head);
    // What came live while the answer was on its way is counted on top.
    const held = run(body.id);
    const summary = held.reduce((each, event) => withEvent(each, event, me, held), summaryOf(body, me, before));
    this.summaries.update((summaries) => new Map(summaries).set(body.id, summary));
    changed(body.id);
  }

  /** Events that took their place in the log. */
  happened(id: ConversationId, fresh: readonly LoggedEvent[]): void {
    const { me, marks, run } = this.options;
    const summary = this.get(id);
    const first = fresh[0]?.seq ?? 0;
    const last = fresh.at(-1)?.seq ?? 0;
    if (summary === undefined || first > summary.head + 1) void this.refresh(id);
    const arrived = fresh.some((event) => event.from !== me) && last > (summary?.received ?? 0);
    if (arrived) marks.received(id, last);
    this.change(id, (each) => {
      const counted = fresh.reduce((one, event) => withEvent(one, event, me, run(id)), each);
      return arrived ? { ...counted, received: Math.max(counted.received, last) } : counted;
    });
  }

  merge(id: ConversationId, marker: MarkerOf): void {
    this.change(id, (summary) => withMarker(summary, marker, this.options.me, this.options.run(id)));
  }

  markRead(id: ConversationId, seq: Seq): void {
    const summary = this.get(id);
    const to = Math.min(seq, summary?.head ?? 0);
    if (summary === undefined || to <= summary.read) return;
    this.change(id, (each) => withRead(each, to, this.options.run(id), this.options.me));
    this.options.marks.read(id, to);
  }

  remove(id: ConversationId): void {
    this.summaries.update((summaries) => new Map([...summaries].filter(([each]) => each !== id)));
    this.options.changed(id);
  }

  private change(id: ConversationId, change: (summary: Summary) => Summary): void {
    const before = this.get(id);
    if (before === undefined) return;
    const after = change(before);
    if (after === before) return;
    this.summaries.update((summaries) => new Map(summaries).set(id, after));
    this.options.changed(id);
  }

  private async fetch(): Promise<void> {
    const { life } = this;
    const before = new Set(this.summaries.get().keys());
    const answer = await this.options.api.conversations();
    if (this.ended || this.life !== life) return;
    if (!answer.ok) {
      if (this.state.get() === "loading") this.state.set("failed");
      this.cancelAgain();
      this.cancelAgain = this.options.after(AGAIN_MS, () => void this.load());
      return;
    }
    this.answered = true;
    // A full page is not the whole list; and what came after the question is not in the answer.
    if (answer.value.length < LIST_MAX) {
      const found = new Set(answer.value.map((body) => body.id));
      this.summaries.update((all) => new Map([...all].filter(([id]) => found.has(id) || !before.has(id))));
    }
    for (const body of answer.value) this.adopt(body);
    this.state.set("ready");
    this.options.listed();
  }
}
