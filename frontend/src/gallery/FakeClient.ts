// A ChatClient without a server, for the gallery and for component tests: shows what it is given,
// and does what one does with it, at once.
import type {
  Amendment, ChatClient, ConnectionView, ConversationId, ConversationItem, FileAddress, Member, Outcome, Pins, Profile, Readable, SessionView, Timeline, TimelineEntry,
  TimelineMessage, Upload, UserId, Version,
} from "../model/types";
import { fold, UNCHANGED } from "../model/fold";
import { clientKey, type Access, type History, type InvitationLink, type Listing, type Role } from "../protocol";
import { everybody, me } from "./people";

class Cell<T> implements Readable<T> {
  private readonly listeners = new Set<() => void>();
  constructor(private value: T) {}
  get(): T { return this.value; }
  set(value: T): void {
    this.value = value;
    for (const listener of [...this.listeners]) listener();
  }
  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}

export interface World {
  session: SessionView;
  connection: ConnectionView;
  items: ConversationItem[];
  listState: "loading" | "ready" | "failed";
  timelines: Map<ConversationId, Timeline>;
  members: Member[];
  pins: Pins;
  links?: InvitationLink[];
  /** What every verb that can fail answers; null: they succeed. */
  refusal: { code: string; retryAfterMs: number | null } | null;
  /** An older page, asked for by `loadOlder`. */
  olderPage: ((before: TimelineEntry) => TimelineEntry[]) | null;
}

const emptyTimeline: Timeline = { entries: [], older: "start-reached", loaded: true, read: 0, head: 0 };
const OLDER_DELAY_MS = 300;
const PLAIN = { editedAt: null, deleted: false, quote: null, reactions: [], pinned: false, amending: false } as const;

export class FakeClient implements ChatClient {
  readonly session: Cell<SessionView>;
  readonly connection: Cell<ConnectionView>;
  readonly conversations: Cell<{ items: ConversationItem[]; state: "loading" | "ready" | "failed" }>;
  readonly totalUnread: Cell<number>;
  readonly fileLimits = new Cell({ bytes: 104_857_600, count: 10 });
  readonly uploadCell = new Cell<readonly Upload[]>([]);
  readonly textLimits = new Cell({ bytes: 16_384, chars: 8000 });
  /** The calls that were made, for tests. */
  readonly calls: [verb: string, ...args: unknown[]][] = [];
  private readonly timelines = new Map<ConversationId, Cell<Timeline>>();
  private readonly profiles = new Map<UserId, Cell<Profile | null>>();
  private readonly memberList: Cell<Member[]>;
  private readonly pinCell: Cell<Pins>;
  private sends = 0;

  constructor(private readonly world: World) {
    this.session = new Cell(world.session);
    this.connection = new Cell(world.connection);
    this.conversations = new Cell({ items: world.items, state: world.listState });
    this.totalUnread = new Cell(world.items.reduce((sum, item) => sum + item.unread, 0));
    this.memberList = new Cell(world.members);
    this.pinCell = new Cell(world.pins);
    for (const [id, timeline] of world.timelines) this.timelines.set(id, new Cell(timeline));
    for (const person of everybody) this.profiles.set(person.userId, new Cell<Profile | null>(person));
  }

  timeline(conversation: ConversationId): Cell<Timeline> {
    const cell = this.timelines.get(conversation) ?? new Cell(emptyTimeline);
    this.timelines.set(conversation, cell);
    return cell;
  }
  profile(user: UserId): Readable<Profile | null> {
    const cell = this.profiles.get(user) ?? new Cell<Profile | null>(null);
    this.profiles.set(user, cell);
    return cell;
  }
  members(): Readable<Member[]> { return this.memberList; }

  attend(): void {}
  onIncoming(): () => void { return () => {}; }

  private answer<T>(verb: string, args: unknown[], value: T): Promise<Outcome<T>> {
    this.calls.push([verb, ...args]);
    const { refusal } = this.world;
    return Promise.resolve(refusal === null ? { ok: true, value } : { ok: false, problem: refusal });
  }
  signIn(...args: [string, string]) { return this.answer("signIn", args, me); }
  signUp(...args: [string, string, string]) { return this.answer("signUp", args, me); }
  setUp(...args: [string, string, string, string]) { return this.answer("setUp", args, me); }
  signOut(options: { discard: boolean }) { return this.answer("signOut", [options], null); }
  searchPeople(query: string) {
    const wanted = query.toLowerCase();
    return this.answer("searchPeople", [query], everybody.filter((person) => `${person.name} ${person.displayName.toLowerCase()}`.includes(wanted)));
  }
  openDirect(user: UserId) {
    const item = this.world.items.find((one) => one.peer === user) ?? this.world.items[0];
    if (item === undefined) throw new Error("the gallery needs a conversation to open");
    return this.answer("openDirect", [user], item.id);
  }
  createGroup(title: string, users: UserId[], kind: "group" | "channel" = "group") {
    const item = this.world.items.find((one) => one.kind === "group");
    if (item === undefined) throw new Error("the gallery needs a group to open");
    return this.answer("createGroup", [title, users, kind], item.id);
  }
  addMembers(...args: [ConversationId, UserId[]]) { return this.answer("addMembers", args, null); }
  removeMember(...args: [ConversationId, UserId]) { return this.answer("removeMember", args, null); }
  setRole(...args: [ConversationId, UserId, Role]) { return this.answer("setRole", args, null); }
  setTitle(...args: [ConversationId, string]) { return this.answer("setTitle", args, null); }
  setTopic(...args: [ConversationId, string | null]) { return this.answer("setTopic", args, null); }
  setAccess(...args: [ConversationId, Access]) { return this.answer("setAccess", args, null); }
  setHistory(...args: [ConversationId, History]) { return this.answer("setHistory", args, null); }
  links(conversation: ConversationId) { return this.answer("links", [conversation], this.world.links ?? []); }
  makeLink(...args: [ConversationId, number | null, number | null]) { return this.answer("makeLink", args, "00112233445566778899aabbccddeeff"); }
  revokeLink(...args: [ConversationId, string]) { return this.answer("revokeLink", args, null); }
  lookIn(token: string) { return this.answer("lookIn", [token], { ...this.listed(), member: false }); }
  join(token: string) { return this.answer("join", [token], this.listed().id); }
  directory(cursor: string | null) { return this.answer("directory", [cursor], { listings: [this.listed()], next: null }); }
  joinPublic(conversation: ConversationId) { return this.answer("joinPublic", [conversation], conversation); }
  private listed(): Listing {
    const item = this.world.items.find((one) => one.kind === "group");
    if (item === undefined) throw new Error("the gallery needs a group to come into");
    return { id: item.id, kind: item.kind, title: item.name, topic: item.topic, memberCount: item.memberCount };
  }
  leave(conversation: ConversationId) { return this.answer("leave", [conversation], null); }

  pins(): Readable<Pins> { return this.pinCell; }
  versions(conversation: ConversationId, message: number): readonly Version[] {
    const found = this.find(conversation, message);
    if (found === undefined) return [];
    const first = { text: `${found.text.slice(0, 24)} …`, at: found.at };
    return found.editedAt === null ? [first] : [first, { text: found.text, at: found.editedAt }];
  }
  reach(...args: [ConversationId, number]) { return this.answer("reach", args, null); }
  amend(conversation: ConversationId, message: number, what: Amendment) {
    const { refusal } = this.world;
    if (refusal === null) this.change(conversation, message, what);
    return this.answer("amend", [conversation, message, what], null);
  }
  private find(conversation: ConversationId, message: number): TimelineMessage | undefined {
    return this.timeline(conversation).get().entries.find((entry): entry is TimelineMessage => entry.kind === "message" && entry.seq === message);
  }
  private change(conversation: ConversationId, message: number, what: Amendment): void {
    const key = clientKey("k");
    const before = this.find(conversation, message);
    if (key === null || before === undefined) return;
    const pending = [...before.reactions.flatMap(({ emoji, mine }) => (mine ? [{ type: "react" as const, emoji, on: true }] : [])), what]
      .map((each) => ({ key, conversation, message, what: each, at: Date.now(), state: { at: "done" as const, until: 0 } }));
    const became = fold([], pending, me.userId).get(message) ?? UNCHANGED;
    const edit = became.edits.at(-1);
    const others = before.reactions.map((each) => ({ ...each, users: each.users.filter((user) => user !== me.userId), mine: false }));
    const own = became.reactions.filter(({ emoji }) => !others.some((each) => each.emoji === emoji));
    const reactions = [...others, ...own]
      .map((each) => (became.reactions.some(({ emoji }) => emoji === each.emoji) && !each.mine ? { ...each, users: [...each.users, me.userId], mine: true } : each))
      .filter(({ users }) => users.length > 0);
    const after: TimelineMessage = became.deleted
      ? { ...before, ...PLAIN, text: "", deleted: true, state: null }
      : { ...before, text: edit?.text ?? before.text, editedAt: edit?.at ?? before.editedAt, reactions, pinned: became.pinned ?? before.pinned };
    const cell = this.timeline(conversation);
    cell.set({ ...cell.get(), entries: cell.get().entries.map((entry) => (entry === before ? after : entry)) });
  }

  uploads(): Cell<readonly Upload[]> { return this.uploadCell; }
  attach(conversation: ConversationId, files: readonly File[]): void { this.calls.push(["attach", conversation, files.map(({ name }) => name)]); }
  cancelUpload(id: number): void { this.calls.push(["cancelUpload", id]); }
  retryUpload(id: number): void { this.calls.push(["retryUpload", id]); }
  fileAddress(id: string): Promise<FileAddress | null> {
    return Promise.resolve({ content: `/files/${id}/content`, thumbnail: `/files/${id}/thumbnail`, expiresAt: Date.now() + 600_000 });
  }

  send(conversation: ConversationId, text: string, replyTo?: number): void {
    this.calls.push(["send", conversation, text, ...(replyTo === undefined ? [] : [replyTo])]);
    const said = replyTo === undefined ? undefined : this.find(conversation, replyTo);
    const quote = said?.seq === undefined || said.seq === null ? null : { seq: said.seq, from: said.from, text: said.text, state: "said" as const };
    this.sends += 1;
    const online = this.connection.get().at === "online";
    this.append(conversation, {
      kind: "message", key: `own-${this.sends}`, seq: null, from: me.userId, mine: true, text, ...PLAIN, quote, at: Date.now(),
      state: online ? { at: "sending", since: Date.now() } : { at: "queued" },
    });
  }
  /** As if somebody else had written. */
  receive(conversation: ConversationId, from: UserId, text: string): void {
    const seq = this.timeline(conversation).get().head + 1;
    this.append(conversation, { kind: "message", key: `in-${seq}`, seq, from, mine: false, text, ...PLAIN, at: Date.now(), state: null });
  }
  private append(conversation: ConversationId, entry: TimelineEntry): void {
    const cell = this.timeline(conversation);
    const timeline = cell.get();
    cell.set({ ...timeline, entries: [...timeline.entries, entry], head: Math.max(timeline.head, entry.seq ?? 0) });
  }
  retry(conversation: ConversationId, key: string): void {
    this.calls.push(["retry", conversation, key]);
    const cell = this.timeline(conversation);
    const timeline = cell.get();
    cell.set({
      ...timeline,
      entries: timeline.entries.map((entry) =>
        entry.kind === "message" && entry.key === key ? { ...entry, state: { at: "sending", since: Date.now() } } : entry),
    });
  }
  discard(conversation: ConversationId, key: string): void {
    this.calls.push(["discard", conversation, key]);
    const cell = this.timeline(conversation);
    cell.set({ ...cell.get(), entries: cell.get().entries.filter((entry) => entry.key !== key) });
  }
  loadOlder(conversation: ConversationId): void {
    this.calls.push(["loadOlder", conversation]);
    const cell = this.timeline(conversation);
    const { olderPage } = this.world;
    if (olderPage === null || cell.get().older === "loading") return;
    cell.set({ ...cell.get(), older: "loading" });
    setTimeout(() => {
      const timeline = cell.get();
      const first = timeline.entries[0];
      const page = first === undefined ? [] : olderPage(first);
      cell.set({ ...timeline, entries: [...page, ...timeline.entries], older: page.length === 0 ? "start-reached" : "more" });
    }, OLDER_DELAY_MS);
  }
  markRead(conversation: ConversationId, seq: number): void {
    this.calls.push(["markRead", conversation, seq]);
    const cell = this.timeline(conversation);
    cell.set({ ...cell.get(), read: Math.max(cell.get().read, seq) });
  }
  setTyping(conversation: ConversationId, on: boolean): void { this.calls.push(["setTyping", conversation, on]); }
  draft(conversation: ConversationId): string {
    return this.world.items.find((item) => item.id === conversation)?.draft ?? "";
  }
  setDraft(conversation: ConversationId, text: string): void { this.calls.push(["setDraft", conversation, text]); }
  retryConnection(): void { this.calls.push(["retryConnection"]); }
}
