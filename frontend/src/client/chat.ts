// The `ChatClient` that the screen is given: signs in and out, and passes everything else to the
// account that is signed in.
import type { Api } from "../api";
import { unsent } from "../model/outbox";
import type {
  Amendment,
  ChatClient,
  ConnectionView,
  ConversationId,
  ConversationItem,
  FileAddress,
  IncomingMessage,
  Member,
  Outcome,
  Pins,
  Profile,
  ProblemView,
  Readable,
  Seq,
  SessionView,
  Timeline,
  Upload,
  UserId,
  Version,
} from "../model/types";
import {
  clientKey, type Access, type BehindLink, type Conversation, type History, type InvitationLink, type LinkId, type Listing, type Role, type Token,
} from "../protocol";
import { constant, createStore, follow } from "../store";
import type { CloseReason, Renewal } from "../ws";
import { Account, type ListView } from "./account";
import type { Environment, TabMessage } from "./environment";
import { SessionStorage, type Session } from "./session";

const SIGNED_OUT: ConnectionView = { at: "stopped", reason: "signed-out", detail: "" };
const NO_TIMELINE: Timeline = { entries: [], older: "more", loaded: false, read: 0, head: 0 };
const NOT_SIGNED_IN: ProblemView = { code: "unauthenticated", retryAfterMs: null };
const SIGNED_OUT_FAILURE = { ok: false, problem: NOT_SIGNED_IN } as const;
const NO_UPLOADS: readonly Upload[] = [];
const NO_PINS: Pins = { state: "loading", messages: [] };
const UNSENT: ProblemView = { code: "unsent", retryAfterMs: null };

export class Chat implements ChatClient {
  private readonly account = createStore<Account | null>(null);
  private readonly stored: SessionStorage;
  private readonly api: Api;
  private readonly view = createStore<SessionView>({ at: "signed-out", reason: null, name: null });
  private readonly timelines = new Map<ConversationId, Readable<Timeline>>();
  private readonly profileViews = new Map<UserId, Readable<Profile | null>>();
  private readonly memberViews = new Map<ConversationId, Readable<Member[]>>();
  private readonly uploadViews = new Map<ConversationId, Readable<readonly Upload[]>>();
  private readonly pinViews = new Map<ConversationId, Readable<Pins>>();
  private readonly incoming = new Set<(message: IncomingMessage) => void>();
  private renewing: Promise<Renewal> | null = null;

  readonly session: Readable<SessionView> = this.view;
  readonly connection = this.ofAccount<ConnectionView>((account) => account.connection, SIGNED_OUT);
  readonly conversations = this.ofAccount<ListView>((account) => account.list, { items: [] satisfies ConversationItem[], state: "loading" });
  readonly totalUnread = this.ofAccount((account) => account.totalUnread, 0);
  readonly fileLimits = this.ofAccount((account) => account.fileLimits, { bytes: 0, count: 0 });
  readonly textLimits = this.ofAccount((account) => account.textLimits, { bytes: 16_384, chars: 8_000 });

  constructor(
    private readonly env: Environment,
    makeApi: (token: () => string | null, unauthenticated: (token: string) => void) => Api,
  ) {
    this.stored = new SessionStorage(env.storage);
    this.api = makeApi(
      () => this.stored.token(),
      (token) => this.unauthenticated(token),
    );
    env.tabs.listen((message) => this.heard(message));
    const session = this.stored.load();
    if (session !== null) this.enter(session);
  }

  timeline(conversation: ConversationId): Readable<Timeline> {
    return cached(this.timelines, conversation, () =>
      this.ofAccount((account) => account.rooms.room(conversation).timeline, NO_TIMELINE),
    );
  }

  profile(user: UserId): Readable<Profile | null> {
    return cached(this.profileViews, user, () => this.ofAccount<Profile | null>((account) => account.profiles.view(user), null));
  }

  members(conversation: ConversationId): Readable<Member[]> {
    return cached(this.memberViews, conversation, () =>
      this.ofAccount<Member[]>((account) => account.rooms.room(conversation).memberView, []),
    );
  }

  pins(conversation: ConversationId): Readable<Pins> {
    return cached(this.pinViews, conversation, () => this.ofAccount<Pins>((account) => account.rooms.room(conversation).pins, NO_PINS));
  }

  // ---- signing in and out ----

  async signIn(identifier: string, password: string): Promise<Outcome<Profile>> {
    return this.with(await this.api.logIn(identifier, password));
  }

  async signUp(name: string, displayName: string, password: string): Promise<Outcome<Profile>> {
    return this.with(await this.api.register(name, displayName, password));
  }

  async setUp(code: string, name: string, displayName: string, password: string): Promise<Outcome<Profile>> {
    return this.with(await this.api.setUp(code, name, displayName, password));
  }

  async signOut({ discard }: { discard: boolean }): Promise<Outcome<null>> {
    const account = this.account.get();
    if (account === null) return { ok: true, value: null };
    const left = account.sender.outbox.get();
    if (!discard && unsent(left) + left.filter((send) => send.state.at === "failed").length > 0) {
      return { ok: false, problem: UNSENT };
    }
    const token = this.stored.token();
    this.depart(null, null);
    this.stored.clear();
    this.env.tabs.post({ type: "signed-out" });
    await account.wipe();
    // Without a network the token lives on at the server; here it is forgotten either way.
    if (token !== null) await this.api.logOut(token);
    return { ok: true, value: null };
  }

  private async with(token: Outcome<Token>): Promise<Outcome<Profile>> {
    if (!token.ok) return token;
    const me = await this.api.self(token.value.token);
    if (!me.ok) return me;
    const session = { token: token.value.token, me: me.value };
    this.stored.save(session);
    this.enter(session);
    this.env.tabs.post({ type: "signed-in" });
    return me;
  }

  private enter({ me }: Session): void {
    this.account.get()?.end();
    const account = new Account({
      env: this.env,
      api: this.api,
      me,
      token: () => this.stored.token(),
      renew: (stale) => this.renew(stale),
      incoming: (message) => { for (const listener of [...this.incoming]) listener(message); },
      signedOut: (because) => this.sessionEnded(me, because),
    });
    this.account.set(account);
    this.view.set({ at: "signed-in", me });
    void account.start();
  }

  private depart(reason: "revoked" | "ended" | null, name: string | null): void {
    this.account.get()?.end();
    this.account.set(null);
    this.view.set({ at: "signed-out", reason, name });
  }

  /** Drafts and unsent messages stay where they are, for the same user's return. */
  private sessionEnded(me: Profile, because: CloseReason): void {
    const revoked = because.why === "code" && because.code === 4502;
    this.stored.clear();
    this.depart(revoked ? "revoked" : "ended", me.name);
  }

  private unauthenticated(token: string): void {
    const session = this.stored.load();
    // Another tab renewed it while the request was on its way.
    if (session === null || session.token !== token) return;
    this.sessionEnded(session.me, { why: "code", code: 4501 });
  }

  private renew(stale: string): Promise<Renewal> {
    const present = this.stored.token();
    if (present !== null && present !== stale) return Promise.resolve({ at: "renewed", token: present });
    this.renewing ??= this.fetchToken(stale).finally(() => {
      this.renewing = null;
    });
    return this.renewing;
  }

  private async fetchToken(stale: string): Promise<Renewal> {
    const answer = await this.api.renew(stale);
    if (!answer.ok) return answer.problem.code === "unauthenticated" ? { at: "refused" } : { at: "unreachable" };
    const session = this.stored.load();
    // Signed out meanwhile: a token that nobody wants must not bring the session back.
    if (session === null || session.me.userId !== answer.value.user) return { at: "refused" };
    this.stored.save({ ...session, token: answer.value.token });
    return { at: "renewed", token: answer.value.token };
  }

  private heard(message: TabMessage): void {
    if (message.type === "signed-out" && this.account.get() !== null) this.depart(null, null);
    if (message.type !== "signed-in") return;
    const session = this.stored.load();
    const view = this.view.get();
    const same = view.at === "signed-in" && view.me.userId === session?.me.userId;
    if (session !== null && !same) this.enter(session);
  }

  // ---- people and groups ----

  async searchPeople(query: string): Promise<Outcome<Profile[]>> {
    const found = await this.api.searchUsers(query);
    if (found.ok) this.account.get()?.profiles.remember(found.value);
    return found;
  }

  async openDirect(user: UserId): Promise<Outcome<ConversationId>> {
    return this.adopt(await this.api.openDirect(user));
  }

  async createGroup(title: string, members: UserId[], kind: "group" | "channel"): Promise<Outcome<ConversationId>> {
    const key = clientKey(this.env.newKey());
    if (key === null) throw new Error("a new key is printable and short");
    return this.adopt(await this.api.createGroup(key, { kind, title, members }));
  }

  addMembers(conversation: ConversationId, users: UserId[]): Promise<Outcome<null>> {
    return this.api.addMembers(conversation, users);
  }

  removeMember(conversation: ConversationId, user: UserId): Promise<Outcome<null>> {
    return this.api.removeMember(conversation, user);
  }

  setRole(conversation: ConversationId, user: UserId, role: Role): Promise<Outcome<null>> {
    return this.api.setRole(conversation, user, role);
  }

  setTitle(conversation: ConversationId, title: string): Promise<Outcome<null>> {
    return this.api.setTitle(conversation, title);
  }

  setTopic(conversation: ConversationId, topic: string | null): Promise<Outcome<null>> {
    return this.api.setTopic(conversation, topic);
  }

  setAccess(conversation: ConversationId, access: Access): Promise<Outcome<null>> {
    return this.api.setAccess(conversation, access);
  }

  setHistory(conversation: ConversationId, history: History): Promise<Outcome<null>> {
    return this.api.setHistory(conversation, history);
  }

  links(conversation: ConversationId): Promise<Outcome<InvitationLink[]>> {
    return this.api.links(conversation);
  }

  makeLink(conversation: ConversationId, expiresAt: number | null, usesMax: number | null): Promise<Outcome<string>> {
    return this.api.makeLink(conversation, expiresAt, usesMax);
  }

  revokeLink(conversation: ConversationId, link: LinkId): Promise<Outcome<null>> {
    return this.api.revokeLink(conversation, link);
  }

  lookIn(token: string): Promise<Outcome<BehindLink>> {
    return this.api.lookIn(token);
  }

  async join(token: string): Promise<Outcome<ConversationId>> {
    return this.adopt(await this.api.join(token));
  }

  directory(cursor: string | null): Promise<Outcome<{ listings: Listing[]; next: string | null }>> {
    return this.api.directory(cursor);
  }

  async joinPublic(conversation: ConversationId): Promise<Outcome<ConversationId>> {
    return this.adopt(await this.api.joinPublic(conversation));
  }

  async leave(conversation: ConversationId): Promise<Outcome<null>> {
    const view = this.view.get();
    if (view.at !== "signed-in") return { ok: false, problem: NOT_SIGNED_IN };
    return this.api.removeMember(conversation, view.me.userId);
  }

  private adopt(answer: Outcome<Conversation>): Outcome<ConversationId> {
    if (!answer.ok) return answer;
    this.account.get()?.directory.adopt(answer.value);
    return { ok: true, value: answer.value.id };
  }

  // ---- messages ----

  send(conversation: ConversationId, text: string, replyTo?: Seq): void {
    const account = this.account.get();
    account?.sender.send(conversation, text, replyTo, account.uploads.take(conversation));
  }

  uploads(conversation: ConversationId): Readable<readonly Upload[]> {
    return cached(this.uploadViews, conversation, () =>
      this.ofAccount<readonly Upload[]>((account) => account.uploads.of(conversation), NO_UPLOADS),
    );
  }

  attach(conversation: ConversationId, files: readonly File[]): void {
    this.account.get()?.uploads.add(conversation, files);
  }

  cancelUpload(id: number): void {
    this.account.get()?.uploads.cancel(id);
  }

  retryUpload(id: number): void {
    this.account.get()?.uploads.retry(id);
  }

  fileAddress(id: string): Promise<FileAddress | null> {
    return this.account.get()?.addresses.of(id) ?? Promise.resolve(null);
  }

  amend(conversation: ConversationId, message: Seq, amendment: Amendment): Promise<Outcome<null>> {
    const account = this.account.get();
    return account === null ? Promise.resolve(SIGNED_OUT_FAILURE) : account.amender.amend(conversation, message, amendment);
  }

  versions(conversation: ConversationId, message: Seq): readonly Version[] {
    return this.account.get()?.rooms.room(conversation).versions(message) ?? [];
  }

  reach(conversation: ConversationId, message: Seq): Promise<Outcome<null>> {
    const rooms = this.account.get()?.rooms;
    return rooms === undefined ? Promise.resolve(SIGNED_OUT_FAILURE) : rooms.reach(rooms.room(conversation), message);
  }

  retry(_conversation: ConversationId, key: string): void {
    this.account.get()?.sender.retry(key);
  }

  discard(_conversation: ConversationId, key: string): void {
    this.account.get()?.sender.discard(key);
  }

  loadOlder(conversation: ConversationId): void {
    const rooms = this.account.get()?.rooms;
    if (rooms !== undefined) void rooms.loadOlder(rooms.room(conversation));
  }

  markRead(conversation: ConversationId, seq: Seq): void {
    this.account.get()?.directory.markRead(conversation, seq);
  }

  setTyping(conversation: ConversationId, on: boolean): void {
    this.account.get()?.signals.setTyping(conversation, on);
  }

  attend(conversation: ConversationId | null): void {
    this.account.get()?.attention.attend(conversation);
  }

  onIncoming(listener: (message: IncomingMessage) => void): () => void {
    this.incoming.add(listener);
    return () => void this.incoming.delete(listener);
  }

  draft(conversation: ConversationId): string {
    return this.account.get()?.drafts.get(conversation) ?? "";
  }

  setDraft(conversation: ConversationId, text: string): void {
    this.account.get()?.drafts.set(conversation, text);
  }

  retryConnection(): void {
    this.account.get()?.socket.retryNow();
  }

  private ofAccount<T>(pick: (account: Account) => Readable<T>, otherwise: T): Readable<T> {
    const none = constant(otherwise);
    return follow(this.account, (account) => (account === null ? none : pick(account)));
  }
}

function cached<K, V>(views: Map<K, V>, key: K, make: () => V): V {
  const found = views.get(key);
  if (found !== undefined) return found;
  const view = make();
  views.set(key, view);
  return view;
}
