// One signed-in user at work: the socket, the conversations, the outbox, from sign-in to sign-out.
// Wires them; the rules are in the model.
import { LIST_MAX, type Api } from "../api";
import { assertNever } from "../model/assertNever";
import { summaryOf, withEvent, withMarker, withRead, type Summary } from "../model/conversations";
import { unsent, type Send } from "../model/outbox";
import { expire, nextExpiry, NOBODY, withPresence, withTyping, type Presence } from "../model/presence";
import { newest } from "../model/timeline";
import type { ConnectionView, ConversationId, ConversationItem, Profile, Readable, Seq, UserId } from "../model/types";
import type { Conversation, LoggedEvent, MarkerOf, Positions, ServerFrame } from "../protocol";
import { createStore, derive } from "../store";
import { ChatSocket, type CloseReason, type Renewal } from "../ws";
import { remedy } from "../ws/closing";
import { connectionView } from "./connection";
import { Drafts } from "./drafts";
import type { Environment, TabMessage } from "./environment";
import { items } from "./list";
import { Marks } from "./marks";
import { Profiles } from "./profiles";
import { Rooms, type Room, type RoomsOptions } from "./rooms";
import { Sender } from "./sender";

export interface AccountOptions {
  env: Environment;
  api: Api;
  me: Profile;
  token: () => string | null;
  renew: (stale: string) => Promise<Renewal>;
  /** The server wants a new sign-in. */
  signedOut: (because: CloseReason) => void;
}

export interface ListView {
  items: ConversationItem[];
  state: "loading" | "ready" | "failed";
}

const CACHED_CONVERSATIONS = 30;
const CACHED_EVENTS = 200;
const SAVE_MS = 1_000;
/** A `sync` that got no further in this time is asked for again when the hole shows the next time. */
const SYNC_AGAIN_MS = 10_000;
const JUST_BACK_MS = 2_000;
/** A shorter loss nobody saw, so its end is no news. */
const LOSS_SEEN_MS = 2_000;
const VERIFY_MAX = 100;
const LIST_AGAIN_MS = 5_000;

export class Account {
  readonly summaries = createStore<ReadonlyMap<ConversationId, Summary>>(new Map());
  readonly listState = createStore<ListView["state"]>("loading");
  readonly textLimits = createStore({ bytes: 16_384, chars: 8_000 });
  readonly profiles: Profiles;
  readonly drafts: Drafts;
  readonly sender: Sender;
  readonly rooms: Rooms;
  readonly socket: ChatSocket;
  readonly list: Readable<ListView>;
  readonly totalUnread: Readable<number>;
  readonly connection: Readable<ConnectionView>;

  private readonly presence = createStore<Presence>(NOBODY);
  private readonly online = createStore(true);
  private readonly justBack = createStore(false);
  private readonly lostAt = createStore(0);
  private readonly marks: Marks;
  private readonly ends: (() => void)[] = [];
  private ended = false;

  private epoch: string | null = null;
  private typingMs = 3_000;
  private watchMax = 200;
  private watched: readonly UserId[] = [];
  private synced = false;
  /** The list was answered since the stream last began anew. */
  private listed = false;
  /** There are events up to here, and something before is missing. */
  private readonly expected = new Map<ConversationId, Seq>();
  private readonly syncs = new Map<ConversationId, number>();
  private active = new Set<ConversationId>();
  private activeBefore = new Set<ConversationId>();
  private readonly typingSent = new Map<ConversationId, number>();
  private readonly refreshing = new Set<ConversationId>();
  private loading: Promise<void> | null = null;
  private readonly dirty = new Set<ConversationId>();
  private cancelSave: (() => void) | null = null;
  private cancelExpiry = (): void => {};
  private cancelBack = (): void => {};

  constructor(private readonly options: AccountOptions) {
    const { env, api, me } = options;
    const { now, after } = env.socket;
    this.lostAt.set(now());
    this.online.set(env.page.online());
    this.profiles = new Profiles(api, after);
    this.profiles.remember([me]);
    this.drafts = new Drafts(env.storage, env.tabs, me.userId);
    this.socket = new ChatSocket({
      url: env.socketUrl,
      token: options.token,
      renew: options.renew,
      holes: () => this.holes(),
      pingPositions: () => this.pingPositions(),
      env: env.socket,
    });
    this.sender = new Sender(env, me.userId, (frame) => this.socket.send(frame));
    this.marks = new Marks(after, (frame) => this.socket.send(frame));
    this.rooms = new Rooms({
      api,
      me: me.userId,
      summaries: this.summaries,
      outbox: this.sender.outbox,
      applied: (room, applied) => this.applied(room, applied),
      opened: (room) => this.opened(room),
    });
    this.list = this.listView();
    this.totalUnread = derive([this.summaries], () => sum([...this.summaries.get().values()].map((each) => each.unread)));
    this.connection = this.connectionView();
  }

  async start(): Promise<void> {
    const { env, me } = this.options;
    this.ends.push(
      this.socket.onFrame((frame) => this.arrived(frame)),
      this.socket.state.subscribe(() => this.connectionChanged()),
      env.tabs.listen((message) => this.heard(message)),
      env.page.listen({
        online: () => {
          this.online.set(true);
          this.socket.retryNow();
        },
        offline: () => {
          this.online.set(false);
          this.socket.offline();
        },
        visible: () => this.socket.retryNow(),
        leaving: () => void this.save(),
      }),
    );
    const [cache] = await Promise.all([env.persist.cache(me.userId), this.sender.start()]);
    if (this.ended) return;
    this.profiles.remember(cache.profiles);
    for (const { summary, log } of cache.conversations) this.rooms.restore(summary.id, log);
    this.summaries.set(new Map(cache.conversations.map(({ summary }) => [summary.id, summary])));
    if (cache.conversations.length > 0) this.listState.set("ready");
    if (cache.resume !== null) {
      this.epoch = cache.resume.epoch;
      this.socket.restore(cache.resume);
    }
    this.socket.connect();
    void this.loadList();
  }

  /** Nothing happens any more. What is stored stays. */
  end(): void {
    if (this.ended) return;
    void this.save();
    this.ended = true;
    for (const end of this.ends) end();
    this.cancelSave?.();
    this.cancelExpiry();
    this.cancelBack();
    this.marks.stop();
    this.rooms.end();
    this.profiles.end();
    this.sender.end();
    this.socket.close();
  }

  /** For a sign-out: nothing of this user stays on this device. */
  async wipe(): Promise<void> {
    this.end();
    this.drafts.wipe();
    await this.options.env.persist.wipe(this.options.me.userId, true);
  }

  // ---- what the person does ----

  markRead(id: ConversationId, seq: Seq): void {
    const summary = this.summaries.get().get(id);
    if (summary === undefined) return;
    const to = Math.min(seq, Math.max(summary.head, this.rooms.get(id)?.log.get().position ?? 0));
    if (to <= summary.read) return;
    this.changeSummary(id, (each) => withRead(each, to, this.run(id), this.options.me.userId));
    this.marks.read(id, to);
  }

  setTyping(id: ConversationId, on: boolean): void {
    const now = this.options.env.socket.now();
    const before = this.typingSent.get(id);
    if (on && before !== undefined && now - before < this.typingMs) return;
    if (!on && before === undefined) return;
    if (on) this.typingSent.set(id, now);
    else this.typingSent.delete(id);
    this.socket.send({ type: "typing", conversation: id, on });
  }

  /** From an answer over HTTP, for a conversation that the list may not have. */
  adopt(body: Conversation): void {
    const before = this.summaries.get().get(body.id) ?? null;
    if (before !== null && before.read > body.read) this.marks.read(body.id, before.read);
    const { me } = this.options;
    let summary = summaryOf(body, me.userId, before);
    // What came live while the answer was on its way.
    for (const event of this.run(body.id)) summary = withEvent(summary, event, me.userId);
    if (body.received < body.head) this.marks.received(body.id, body.head);
    this.summaries.update((summaries) => new Map(summaries).set(body.id, summary));
    this.changed(body.id);
    this.watchPeers();
  }

  // ---- what the server says ----

  private arrived(frame: ServerFrame): void {
    switch (frame.type) {
      case "welcome":
        this.typingMs = frame.typingMs;
        this.watchMax = frame.limits.watchMax;
        this.textLimits.set({ bytes: frame.limits.textBytesMax, chars: frame.limits.textCharsMax });
        this.welcomed(frame.epoch, frame.resumed);
        break;
      case "synced":
        this.caughtUp();
        break;
      case "event":
        this.rooms.take(frame.logged);
        break;
      case "reset":
        this.reset(frame.conversation, frame.head);
        break;
      case "left":
        this.left(frame.conversation);
        break;
      case "ack":
        this.acked(frame);
        break;
      case "error":
        if (frame.key !== null) this.sender.refused(frame.key, frame.problem);
        break;
      case "receipt":
        this.receipt(frame.conversation, frame.marker);
        break;
      case "typing":
        if (frame.user !== this.options.me.userId) this.typing(frame.conversation, frame.user, frame.on);
        break;
      case "presence":
        this.presence.update((presence) => withPresence(presence, frame.user, frame.online));
        break;
      case "pong":
        this.marks.confirmed();
        for (const room of this.behind(frame.heads)) this.sync(room);
        break;
      case "done":
      case "drain":
      case "expiring":
        break;
      default:
        assertNever(frame);
    }
  }

  private welcomed(epoch: string, resumed: boolean): void {
    const another = this.epoch !== null && this.epoch !== epoch;
    this.epoch = epoch;
    if (another) this.forgetEverything();
    // The stream starts at the present: what is held may have a hole behind it.
    else if (!resumed && this.synced) this.staleEverything();
  }

  /** The stream is live from here. */
  private caughtUp(): void {
    this.synced = true;
    this.watched = [];
    this.watchPeers();
    this.marks.connect();
    const state = this.socket.state.get();
    this.sender.connect(state.at === "open" ? state.welcome.limits.commandsInFlightMax : 1);
    for (const room of this.rooms.all()) if (room.watchers > 0) this.rooms.look(room);
    if (this.loading === null && !this.listed) void this.loadList();
    void (this.loading ?? Promise.resolve()).then(() => this.verify());
    this.saveSoon();
  }

  /** Between the list over HTTP and the start of the stream something may have happened: ask. */
  private verify(): void {
    const positions: Positions = {};
    const latest = [...this.summaries.get().values()].sort((a, b) => b.updatedAt - a.updatedAt).slice(0, VERIFY_MAX);
    for (const { id, head } of latest) positions[id] = this.rooms.get(id)?.log.get().position || head;
    if (latest.length > 0) this.socket.send({ type: "ping", positions });
  }

  private forgetEverything(): void {
    this.expected.clear();
    this.syncs.clear();
    this.summaries.set(new Map());
    this.listState.set("loading");
    this.listed = false;
    for (const room of this.rooms.all()) this.rooms.restart(room, 0);
    void this.options.env.persist.wipe(this.options.me.userId, false);
    void this.loadList();
  }

  private staleEverything(): void {
    for (const room of this.rooms.all()) room.newest = "stale";
    this.listed = false;
    void this.loadList();
  }

  private reset(id: ConversationId, head: Seq): void {
    const room = this.rooms.room(id);
    this.expected.delete(id);
    this.syncs.delete(id);
    this.socket.reached(id, head);
    this.rooms.restart(room, head);
    void this.refresh(id);
  }

  private left(id: ConversationId): void {
    this.expected.delete(id);
    this.syncs.delete(id);
    this.socket.left(id);
    this.summaries.update((summaries) => {
      const next = new Map(summaries);
      next.delete(id);
      return next;
    });
    const room = this.rooms.get(id);
    if (room !== undefined) this.rooms.clear(room, 0);
    this.changed(id);
  }

  private acked({ key, conversation, seq, at, duplicate }: Extract<ServerFrame, { type: "ack" }>): void {
    const send = this.sender.outbox.get().find((each) => each.key === key);
    this.sender.acked(key, seq, at);
    const position = this.rooms.get(conversation)?.log.get().position;
    // An earlier try had got there, and what is behind the position will not come again.
    if (duplicate || (position !== undefined && seq <= position)) this.sender.landed(new Set([key]));
    // Next in line: it takes its place now. Otherwise the ordered stream brings it behind the others.
    if (send !== undefined && position !== undefined && position > 0 && seq === position + 1) {
      const from = this.options.me.userId;
      this.rooms.take({ conversation, seq, at, from, key, event: { type: "message", text: send.text } });
    }
  }

  private receipt(id: ConversationId, marker: MarkerOf): void {
    this.changeSummary(id, (summary) => withMarker(summary, marker, this.options.me.userId, this.run(id)));
    const room = this.rooms.get(id);
    if (room !== undefined) this.rooms.merge(room, marker);
  }

  private typing(id: ConversationId, user: UserId, on: boolean): void {
    const now = this.options.env.socket.now();
    if (on) this.profiles.want([user]);
    this.presence.update((presence) => withTyping(presence, id, user, on, now, this.typingMs));
    this.expireTyping();
  }

  private expireTyping(): void {
    const { now, after } = this.options.env.socket;
    this.cancelExpiry();
    const due = nextExpiry(this.presence.get());
    if (due === null) return;
    this.cancelExpiry = after(Math.max(0, due - now()), () => {
      this.presence.update((presence) => expire(presence, now()));
      this.expireTyping();
    });
  }

  // ---- logs ----

  private applied(room: Room, { fresh, seen, hole }: Parameters<RoomsOptions["applied"]>[1]): void {
    const { id } = room;
    const me = this.options.me.userId;
    const { position, ahead } = room.log.get();
    this.sender.landed(new Set(seen.flatMap(({ from, key }) => (from === me && key !== null ? [key] : []))));
    if (hole !== null) this.expect(room, Math.max(ahead.at(-1)?.seq ?? 0, hole + 1));
    if ((this.expected.get(id) ?? 0) <= position) {
      this.expected.delete(id);
      this.syncs.delete(id);
    }
    if (position > 0) this.socket.reached(id, position);
    if (fresh.length > 0) this.counted(room, fresh);
  }

  private counted(room: Room, fresh: readonly LoggedEvent[]): void {
    const { id } = room;
    const me = this.options.me.userId;
    const summary = this.summaries.get().get(id);
    const first = fresh[0]?.seq ?? 0;
    if (summary === undefined || first > summary.head + 1) void this.refresh(id);
    this.changeSummary(id, (each) => fresh.reduce((sum, event) => withEvent(sum, event, me), each));
    this.sender.landed(new Set(fresh.flatMap(({ from, key }) => (from === me && key !== null ? [key] : []))));
    for (const { from, event } of fresh) if (event.type === "message" && from !== null) this.typing(id, from, false);
    const position = room.log.get().position;
    if (fresh.some((event) => event.from !== me) && position > (summary?.received ?? 0)) {
      this.marks.received(id, position);
      this.changeSummary(id, (each) => (each.received < position ? { ...each, received: position } : each));
    }
    this.active.add(id);
    this.changed(id);
  }

  private expect(room: Room, seq: Seq): void {
    this.expected.set(room.id, Math.max(this.expected.get(room.id) ?? 0, seq));
    this.sync(room);
  }

  private sync(room: Room): void {
    const now = this.options.env.socket.now();
    const asked = this.syncs.get(room.id);
    if (asked !== undefined && now - asked < SYNC_AGAIN_MS) return;
    const after = room.log.get().position;
    if (this.socket.send({ type: "sync", conversation: room.id, after })) this.syncs.set(room.id, now);
  }

  /** The rooms that a pong shows to be behind. */
  private behind(heads: Positions): Room[] {
    const rooms: Room[] = [];
    for (const summary of this.summaries.get().values()) {
      const head = heads[summary.id];
      if (head === undefined) continue;
      const room = this.rooms.room(summary.id);
      this.rooms.base(room, summary.head);
      if (head <= room.log.get().position) continue;
      this.expected.set(room.id, Math.max(this.expected.get(room.id) ?? 0, head));
      rooms.push(room);
    }
    return rooms;
  }

  private holes(): Positions {
    const holes: Positions = {};
    for (const id of this.expected.keys()) holes[id] = this.rooms.room(id).log.get().position;
    return holes;
  }

  private pingPositions(): Positions {
    const positions = this.holes();
    const looked = [...this.rooms.all()].filter((room) => room.watchers > 0).map((room) => room.id);
    for (const id of [...looked, ...this.active, ...this.activeBefore]) {
      const position = this.rooms.get(id)?.log.get().position ?? 0;
      if (position > 0) positions[id] = position;
    }
    this.activeBefore = this.active;
    this.active = new Set();
    return positions;
  }

  // ---- over HTTP ----

  private loadList(): Promise<void> {
    const load = this.fetchList().finally(() => {
      if (this.loading === load) this.loading = null;
    });
    this.loading = load;
    return load;
  }

  /** Without a connection the next one asks anyway. */
  private listAgain(): void {
    if (!this.listed && this.loading === null && this.socket.state.get().at === "open") void this.loadList();
  }

  private async fetchList(): Promise<void> {
    const { epoch } = this;
    const before = new Set(this.summaries.get().keys());
    const answer = await this.options.api.conversations();
    // An answer of before a restore says nothing about what is now; that list is being loaded as well.
    if (this.ended || (epoch !== null && epoch !== this.epoch)) return;
    if (!answer.ok) {
      if (this.listState.get() === "loading") this.listState.set("failed");
      this.ends.push(this.options.env.socket.after(LIST_AGAIN_MS, () => this.listAgain()));
      return;
    }
    const found = new Set(answer.value.map((body) => body.id));
    // A full page is not the whole list.
    if (answer.value.length < LIST_MAX) {
      const gone = [...before].filter((id) => !found.has(id));
      if (gone.length > 0) this.summaries.update((all) => new Map([...all].filter(([id]) => !gone.includes(id))));
    }
    for (const body of answer.value) this.adopt(body);
    this.listState.set("ready");
    this.listed = true;
    for (const room of this.rooms.all()) if (room.watchers > 0) this.opened(room);
  }

  /** One conversation anew: it was not known, or more happened than was seen. */
  private async refresh(id: ConversationId): Promise<void> {
    if (this.refreshing.has(id)) return;
    this.refreshing.add(id);
    const answer = await this.options.api.conversation(id);
    this.refreshing.delete(id);
    if (!this.ended && answer.ok) this.adopt(answer.value);
  }

  private opened(room: Room): void {
    if (this.listState.get() === "ready" && !this.summaries.get().has(room.id)) void this.refresh(room.id);
  }

  // ---- connection ----

  private connectionChanged(): void {
    const { now, after } = this.options.env.socket;
    const state = this.socket.state.get();
    if (state.at === "open") {
      if (this.synced && now() - this.lostAt.get() >= LOSS_SEEN_MS) {
        this.justBack.set(true);
        this.cancelBack();
        this.cancelBack = after(JUST_BACK_MS, () => this.justBack.set(false));
      }
      this.lostAt.set(0);
      return;
    }
    if (this.lostAt.get() === 0) this.lostAt.set(now());
    this.justBack.set(false);
    this.sender.disconnect();
    this.marks.disconnect();
    this.syncs.clear();
    this.typingSent.clear();
    if (state.at === "closed") {
      const what = remedy(state.because);
      if (what === "sign-in" || what === "renew") this.options.signedOut(state.because);
    }
  }

  private heard(message: TabMessage): void {
    const me = this.options.me.userId;
    switch (message.type) {
      case "draft":
        if (message.user === me) this.drafts.heard(message.conversation, message.text);
        break;
      case "send":
        if (message.user === me) this.heardSend(message.send);
        break;
      case "send-gone":
        if (message.user === me) this.sender.heardGone(message.key);
        break;
      case "signed-in":
      case "signed-out":
        break;
      default:
        assertNever(message);
    }
  }

  private heardSend(send: Send): void {
    const { state, key } = send;
    this.sender.heard(send);
    const position = this.rooms.get(send.conversation)?.log.get().position ?? 0;
    // The stream was faster than the other tab's word.
    if (state.at === "acked" && state.seq <= position) this.sender.landed(new Set([key]));
  }

  private watchPeers(): void {
    const latest = [...this.summaries.get().values()].sort((a, b) => b.updatedAt - a.updatedAt);
    const peers = latest.flatMap((summary) => (summary.peer === null ? [] : [summary.peer]));
    this.profiles.want(peers);
    const wanted = peers.slice(0, this.watchMax).sort();
    if (!this.synced || (wanted.length === this.watched.length && wanted.every((user, at) => user === this.watched[at]))) return;
    if (this.socket.send({ type: "watch", users: wanted })) this.watched = wanted;
  }

  // ---- views and cache ----

  private listView(): Readable<ListView> {
    const { summaries, presence, profiles, drafts, sender, listState } = this;
    return derive<ListView>(
      [summaries, presence, profiles.known, drafts.texts, sender.outbox, listState],
      (previous) => ({
        items: items(
          {
            summaries: summaries.get(),
            outbox: sender.outbox.get(),
            presence: presence.get(),
            profiles: profiles.known.get(),
            drafts: drafts.texts.get(),
            me: this.options.me.userId,
          },
          previous?.items ?? [],
        ),
        state: listState.get(),
      }),
    );
  }

  private connectionView(): Readable<ConnectionView> {
    const { socket, sender, online, justBack, lostAt } = this;
    return derive<ConnectionView>([socket.state, sender.outbox, online, justBack, lostAt], (previous) => {
      const view = connectionView(socket.state.get(), {
        online: online.get(),
        waitingSends: unsent(sender.outbox.get()),
        justBack: justBack.get(),
        lostAt: lostAt.get(),
      });
      return previous !== null && JSON.stringify(previous) === JSON.stringify(view) ? previous : view;
    });
  }

  private run(id: ConversationId): readonly LoggedEvent[] {
    return this.rooms.get(id)?.log.get().run ?? [];
  }

  private changeSummary(id: ConversationId, change: (summary: Summary) => Summary): void {
    const before = this.summaries.get().get(id);
    if (before === undefined) return;
    const after = change(before);
    if (after === before) return;
    this.summaries.update((summaries) => new Map(summaries).set(id, after));
    this.changed(id);
  }

  private changed(id: ConversationId): void {
    this.dirty.add(id);
    this.saveSoon();
  }

  private saveSoon(): void {
    this.cancelSave ??= this.options.env.socket.after(SAVE_MS, () => void this.save());
  }

  private async save(): Promise<void> {
    this.cancelSave?.();
    this.cancelSave = null;
    if (this.ended || this.epoch === null) return;
    const kept = [...this.summaries.get().values()]
      .sort((a, b) => b.updatedAt - a.updatedAt)
      .slice(0, CACHED_CONVERSATIONS);
    const changed = kept.filter((summary) => this.dirty.has(summary.id));
    this.dirty.clear();
    const cached = changed.map((summary) => {
      const log = this.rooms.get(summary.id)?.log.get();
      return { summary, log: log === undefined ? { run: [], position: summary.head, ahead: [] } : newest(log, CACHED_EVENTS) };
    });
    const state = { resume: this.socket.resume(), profiles: [...this.profiles.known.get().values()].slice(-500) };
    await this.options.env.persist.save(this.options.me.userId, state, cached, new Set(kept.map((summary) => summary.id)));
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
