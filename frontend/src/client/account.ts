// One signed-in user at work, from sign-in to sign-out: puts the parts together and hands each frame
// to the part that it concerns. The rules are in the model, the keeping in the parts.
import type { Api } from "../api";
import { assertNever } from "../model/assertNever";
import { unsent, type Send } from "../model/outbox";
import type { ConnectionView, ConversationId, ConversationItem, IncomingMessage, Profile, Readable, Seq } from "../model/types";
import type { LoggedEvent, ServerFrame } from "../protocol";
import { createStore, derive } from "../store";
import { ChatSocket, type CloseReason, type Renewal } from "../ws";
import { remedy } from "../ws/closing";
import { Amender } from "./amender";
import { Attention } from "./attention";
import { connectionView } from "./connection";
import { Directory, type ListState } from "./directory";
import { Drafts } from "./drafts";
import type { Environment, TabMessage } from "./environment";
import { FileAddresses } from "./fileAddresses";
import { Holes } from "./holes";
import { Keeper } from "./keeper";
import { items } from "./list";
import { Marks } from "./marks";
import { Profiles } from "./profiles";
import { Rooms, type Room, type RoomsOptions } from "./rooms";
import { Sender } from "./sender";
import { SharedSocket } from "./shared";
import { Signals } from "./signals";
import { Uploads } from "./uploads";

export interface AccountOptions {
  env: Environment;
  api: Api;
  me: Profile;
  token: () => string | null;
  renew: (stale: string) => Promise<Renewal>;
  /** Somebody else wrote, and nobody looks. */
  incoming: (message: IncomingMessage) => void;
  /** The server wants a new sign-in. */
  signedOut: (because: CloseReason) => void;
}

export interface ListView {
  items: ConversationItem[];
  state: ListState;
}

const JUST_BACK_MS = 2_000;
/** A shorter loss nobody saw, so its end is no news. */
const LOSS_SEEN_MS = 2_000;

export class Account {
  readonly textLimits = createStore({ bytes: 16_384, chars: 8_000 });
  readonly fileLimits = createStore({ bytes: 0, count: 0 });
  readonly uploads: Uploads;
  readonly addresses: FileAddresses;
  readonly profiles: Profiles;
  readonly drafts: Drafts;
  readonly sender: Sender;
  readonly amender: Amender;
  readonly rooms: Rooms;
  readonly directory: Directory;
  readonly signals: Signals;
  readonly attention: Attention;
  readonly socket: SharedSocket;
  readonly list: Readable<ListView>;
  readonly totalUnread: Readable<number>;
  readonly connection: Readable<ConnectionView>;

  private readonly marks: Marks;
  private readonly holes: Holes;
  private readonly keeper: Keeper;
  private readonly online = createStore(true);
  private readonly justBack = createStore(false);
  /** Null while connected. */
  private readonly lostAt = createStore<number | null>(null);
  private readonly ends: (() => void)[] = [];
  private cancelBack = (): void => {};
  private epoch: string | null = null;
  /** Whether the stream was live on this page before. */
  private synced = false;
  private ended = false;

  constructor(private readonly options: AccountOptions) {
    const { env, api } = options;
    const { now, after } = env.socket;
    const me = options.me.userId;
    this.lostAt.set(now());
    this.online.set(env.page.online());
    const makeSocket = () => new ChatSocket({
      url: env.socketUrl,
      token: options.token,
      renew: options.renew,
      holes: () => this.holes.positions(),
      pingPositions: () => this.holes.pingPositions(),
      env: env.socket,
    });
    const name = env.newKey();
    this.socket = new SharedSocket({ makeSocket, tabs: env.tabs, me, name, now, after });
    const write = this.socket.send.bind(this.socket);
    this.profiles = new Profiles(api, after);
    this.profiles.remember([options.me]);
    this.uploads = new Uploads(api, this.fileLimits);
    this.addresses = new FileAddresses(api, after);
    this.drafts = new Drafts(env.storage, env.tabs, me);
    this.sender = new Sender(env, me, write);
    this.amender = new Amender({ now, after, write, name, newKey: () => env.newKey() });
    this.attention = new Attention(env.tabs, now, name);
    this.marks = new Marks(after, write);
    this.signals = new Signals({ now, after, write });
    this.directory = new Directory({
      api,
      me,
      marks: this.marks,
      after,
      run: (id) => this.rooms.get(id)?.log.get().run ?? [],
      changed: (id) => this.keeper.note(id),
      listed: () => this.listed(),
    });
    const { summaries } = this.directory;
    this.rooms = new Rooms({
      api,
      me,
      summaries,
      outbox: this.sender.outbox,
      amendments: this.amender.pending,
      applied: (room, applied) => this.applied(room, applied),
      opened: (room) => this.opened(room),
    });
    this.holes = new Holes({ rooms: this.rooms, summaries, now, write });
    this.keeper = new Keeper({
      persist: env.persist,
      me,
      rooms: this.rooms,
      summaries,
      profiles: this.profiles.known,
      resume: () => this.socket.resume(),
      after,
    });
    this.list = this.listView();
    this.totalUnread = derive([summaries], () => sum([...summaries.get().values()].map((each) => each.unread)));
    this.connection = this.connectionView();
  }

  async start(): Promise<void> {
    const { env, me } = this.options;
    this.ends.push(
      this.socket.onFrame((frame) => this.arrived(frame)),
      this.socket.leads.subscribe(() => this.sender.lead(this.socket.leads.get())),
      this.socket.state.subscribe(() => this.connectionChanged()),
      this.directory.summaries.subscribe(() => this.watchPeers()),
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
        leaving: () => void this.keeper.save(),
        frozen: () => this.socket.rest(),
        thawed: () => this.socket.connect(),
      }),
    );
    const [cache] = await Promise.all([env.persist.cache(me.userId), this.sender.start()]);
    if (this.ended) return;
    this.profiles.remember(cache.profiles);
    for (const { summary, log } of cache.conversations) this.rooms.restore(summary.id, log);
    this.directory.restore(cache.conversations.map(({ summary }) => summary));
    if (cache.resume !== null) {
      this.epoch = cache.resume.epoch;
      this.socket.restore(cache.resume);
    }
    this.socket.connect();
    void this.directory.load();
  }

  /** Nothing happens any more. What is stored stays. */
  end(): void {
    if (this.ended) return;
    this.ended = true;
    void this.keeper.save();
    for (const end of this.ends) end();
    this.cancelBack();
    this.marks.stop();
    this.signals.end();
    this.rooms.end();
    this.directory.end();
    this.profiles.end();
    this.sender.end();
    this.uploads.end();
    this.amender.end();
    this.socket.close();
  }

  /** For a sign-out: nothing of this user stays on this device. */
  async wipe(): Promise<void> {
    this.end();
    this.drafts.wipe();
    await this.options.env.persist.wipe(this.options.me.userId, true);
  }

  // ---- what the server says ----

  private arrived(frame: ServerFrame): void {
    switch (frame.type) {
      case "welcome":
        this.fileLimits.set({ bytes: frame.limits.fileBytesMax, count: frame.limits.filesPerMessageMax });
        this.textLimits.set({ bytes: frame.limits.textBytesMax, chars: frame.limits.textCharsMax });
        this.signals.limits(frame.typingMs, frame.limits.watchMax);
        this.welcomed(frame.epoch, frame.resumed);
        break;
      case "synced":
        this.caughtUp();
        break;
      case "event":
        this.takeLive(frame.logged);
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
        else if (frame.id !== null) this.amender.refused(frame.id, frame.problem);
        break;
      case "receipt":
        this.directory.merge(frame.conversation, frame.marker);
        this.rooms.merge(frame.conversation, frame.marker);
        break;
      case "typing":
        if (frame.user === this.options.me.userId) break;
        this.profiles.want([frame.user]);
        this.signals.heardTyping(frame.conversation, frame.user, frame.on);
        break;
      case "presence":
        this.signals.heardPresence(frame.user, frame.online);
        break;
      case "pong":
        // Only where it was written does an answer say that it has arrived.
        if (this.socket.leads.get()) this.marks.confirmed();
        this.holes.compare(frame.heads);
        break;
      case "done":
        this.amender.done(frame.id);
        break;
      case "drain":
      case "expiring":
        break;
      default:
        assertNever(frame);
    }
  }

  private takeLive(logged: LoggedEvent): void {
    const { conversation, seq, from, event } = logged;
    const fresh = seq > (this.rooms.get(conversation)?.log.get().position ?? 0);
    this.rooms.take(logged);
    // What comes before the stream is live was there when the page was opened.
    if (!fresh || !this.synced || event.type !== "message" || from === null || from === this.options.me.userId) return;
    this.profiles.want([from]);
    if (!this.sender.leads() || this.attention.isOn(conversation)) return;
    const item = this.list.get().items.find((each) => each.id === conversation);
    if (item === undefined || seq <= (this.directory.get(conversation)?.read ?? 0)) return;
    const { kind, name } = item;
    this.options.incoming({ conversation, kind, name, author: this.profiles.name(from), seq, text: event.text });
  }

  private welcomed(epoch: string, resumed: boolean): void {
    const another = this.epoch !== null && this.epoch !== epoch;
    this.epoch = epoch;
    if (another) {
      this.holes.forgetAll();
      this.directory.forgetEverything();
      for (const room of this.rooms.all()) this.rooms.restart(room, 0);
      void this.options.env.persist.wipe(this.options.me.userId, false);
    } else if (!resumed && this.synced) {
      // The stream starts at the present: what is held may have a hole behind it.
      for (const room of this.rooms.all()) room.newest = "stale";
      this.directory.reload();
    }
  }

  /** The stream is live from here. */
  private caughtUp(): void {
    this.synced = true;
    const state = this.socket.state.get();
    this.signals.connect();
    this.watchPeers();
    this.marks.connect();
    this.sender.connect(state.at === "open" ? state.welcome.limits.commandsInFlightMax : 1);
    this.amender.connect();
    for (const room of this.rooms.all()) if (room.watchers > 0) this.rooms.look(room);
    void this.directory.load().then(() => this.holes.verify());
    this.keeper.soon();
  }

  private reset(id: ConversationId, head: Seq): void {
    this.holes.forget(id);
    this.socket.reached(id, head);
    this.rooms.restart(this.rooms.room(id), head);
    void this.directory.refresh(id);
  }

  private left(id: ConversationId): void {
    this.holes.forget(id);
    this.socket.left(id);
    this.directory.remove(id);
    const room = this.rooms.get(id);
    if (room !== undefined) this.rooms.clear(room, 0);
  }

  private acked({ key, conversation, seq, at, duplicate }: Extract<ServerFrame, { type: "ack" }>): void {
    const send = this.sender.outbox.get().find((each) => each.key === key);
    this.sender.acked(key, seq, at);
    const position = this.rooms.get(conversation)?.log.get().position ?? 0;
    // An earlier try had got there, and what is behind the position will not come again.
    if (duplicate || seq <= position) this.sender.landed(new Set([key]));
    // Next in line: it takes its place now. Otherwise the ordered stream brings it behind the others.
    if (send !== undefined && position > 0 && seq === position + 1) {
      const from = this.options.me.userId;
      const { text, replyTo } = send;
      this.rooms.take({ conversation, seq, at, from, key, event: { type: "message", text, ...(replyTo === undefined ? {} : { replyTo }) } });
    }
  }

  // ---- what that changes ----

  private applied(room: Room, { fresh, seen, hole }: Parameters<RoomsOptions["applied"]>[1]): void {
    const { id } = room;
    const { position, ahead } = room.log.get();
    const keys = this.ownKeys([...seen, ...fresh]);
    this.sender.landed(keys);
    this.amender.landed(keys);
    if (hole !== null) this.holes.found(room, Math.max(ahead.at(-1)?.seq ?? 0, hole + 1));
    this.holes.reached(room);
    if (position > 0) this.socket.reached(id, position);
    if (fresh.length === 0) return;
    this.directory.happened(id, fresh);
    this.holes.happened(id);
    for (const { from, event } of fresh) {
      if (event.type === "message" && from !== null) this.signals.heardTyping(id, from, false);
    }
    this.keeper.note(id);
  }

  private ownKeys(events: readonly LoggedEvent[]): ReadonlySet<string> {
    const me = this.options.me.userId;
    return new Set(events.flatMap(({ from, key }) => (from === me && key !== null ? [key] : [])));
  }

  private listed(): void {
    for (const room of this.rooms.all()) if (room.watchers > 0) this.opened(room);
  }

  /** Looked at, and not in the list: older than its page, or not this user's. */
  private opened(room: Room): void {
    if (this.directory.state.get() === "ready" && this.directory.get(room.id) === undefined) {
      void this.directory.refresh(room.id);
    }
  }

  private watchPeers(): void {
    const latest = [...this.directory.summaries.get().values()].sort((a, b) => b.updatedAt - a.updatedAt);
    const peers = latest.flatMap((summary) => (summary.peer === null ? [] : [summary.peer]));
    this.profiles.want(peers);
    this.signals.watch(peers);
  }

  // ---- connection ----

  private connectionChanged(): void {
    const { now, after } = this.options.env.socket;
    const state = this.socket.state.get();
    const lostAt = this.lostAt.get();
    if (state.at === "open") {
      if (this.synced && lostAt !== null && now() - lostAt >= LOSS_SEEN_MS) {
        this.justBack.set(true);
        this.cancelBack();
        this.cancelBack = after(JUST_BACK_MS, () => this.justBack.set(false));
      }
      this.lostAt.set(null);
      return;
    }
    if (lostAt === null) this.lostAt.set(now());
    this.justBack.set(false);
    this.sender.disconnect();
    this.amender.disconnect();
    this.marks.disconnect();
    this.signals.disconnect();
    this.holes.disconnect();
    if (state.at !== "closed") return;
    const what = remedy(state.because);
    if (what === "sign-in" || what === "renew") this.options.signedOut(state.because);
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
      case "line":
        break;
      case "attending":
        this.attention.heard(message.tab, message.conversation);
        break;
      case "signed-in":
      case "signed-out":
        break;
      default:
        assertNever(message);
    }
  }

  private heardSend(send: Send): void {
    this.sender.heard(send);
    const position = this.rooms.get(send.conversation)?.log.get().position ?? 0;
    // The stream was faster than the other tab's word.
    if (send.state.at === "acked" && send.state.seq <= position) this.sender.landed(new Set([send.key]));
  }

  // ---- views ----

  private listView(): Readable<ListView> {
    const { directory, signals, profiles, drafts, sender } = this;
    return derive<ListView>(
      [directory.summaries, directory.state, signals.presence, profiles.known, drafts.texts, sender.outbox],
      (previous) => ({
        items: items(
          {
            summaries: directory.summaries.get(),
            outbox: sender.outbox.get(),
            presence: signals.presence.get(),
            profiles: profiles.known.get(),
            drafts: drafts.texts.get(),
            me: this.options.me.userId,
          },
          previous?.items ?? [],
        ),
        state: directory.state.get(),
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
        lostAt: lostAt.get() ?? 0,
      });
      return previous !== null && JSON.stringify(previous) === JSON.stringify(view) ? previous : view;
    });
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
