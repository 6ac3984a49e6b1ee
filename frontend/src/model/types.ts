// What the screen is told: the vocabulary between the client library (ws, api, model, client)
// and the components. Server facts come in through `protocol.ts` and leave as these.

import type { Access, BehindLink, ConversationKind, History, InvitationLink, LinkId, Listing, Role } from "../protocol";

declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

export type UserId = Branded<"UserId">;
export type ConversationId = Branded<"ConversationId">;
/** The client's name for one send; permanent, so that a retry can never double a message. */
export type ClientKey = Branded<"ClientKey">;
/** Place in a conversation's log: 1, 2, 3 … without gaps. */
export type Seq = number;

export interface Profile {
  userId: UserId;
  /** The handle people sign in with and search for. */
  name: string;
  displayName: string;
}

/** How far somebody has got in a conversation; only ever grows, `read` ≤ `received`. */
export interface Marker {
  received: Seq;
  read: Seq;
}

export type MessageState =
  | { at: "queued" }
  | { at: "sending"; since: number }
  | { at: "sent" }
  | { at: "delivered"; to: number; of: number }
  | { at: "read"; by: number; of: number }
  /** `reason`: the code of a problem. */
  | { at: "failed"; reason: string };

/** The message that another one answers. */
export interface Quote {
  seq: Seq;
  from: UserId | null;
  text: string;
  /** `unknown`: it is older than what is held, and has not been asked for yet. */
  state: "said" | "deleted" | "unknown";
}

export interface Reaction {
  emoji: string;
  /** In the order in which they came; never empty. */
  users: readonly UserId[];
  mine: boolean;
}

/** A file that came with a message. */
export interface FileInfo {
  id: string;
  name: string;
  /** What the server found it to be: `image/png`. */
  type: string;
  size: number;
  /** Of a picture, in pixels. */
  width: number | null;
  height: number | null;
  /** Whether there is a small picture of it. */
  thumbnail: boolean;
}

/** Where a file is to be had for some minutes, without a token. */
export interface FileAddress {
  content: string;
  thumbnail: string | null;
  expiresAt: number;
}

/** Why a file was not taken; `max` is the limit that it met: of bytes, or of files. */
export interface UploadProblem extends ProblemView {
  max?: number | undefined;
}

/** A file on its way to the server, or there and not sent yet. */
export interface Upload {
  id: number;
  conversation: ConversationId;
  name: string;
  size: number;
  /** Bytes that the server has. */
  sent: number;
  state:
    | { at: "uploading" }
    | { at: "failed"; problem: UploadProblem; again: boolean }
    | { at: "ready"; file: FileInfo };
}

/** What can be done to a message that was sent. */
export type Amendment =
  | { type: "edit"; text: string }
  | { type: "delete" }
  | { type: "react"; emoji: string; on: boolean }
  | { type: "pin"; on: boolean };

/** What a message was made to say, and when. */
export interface Version {
  text: string;
  at: number;
}

export interface PinnedMessage {
  seq: Seq;
  from: UserId | null;
  text: string;
  at: number;
}

export interface Pins {
  state: "loading" | "ready" | "failed";
  /** The latest first. */
  messages: readonly PinnedMessage[];
}

/** A message on screen. `key` stays the same from typing to acknowledgement, so React never remounts it. */
export interface TimelineMessage {
  kind: "message";
  key: string;
  /** Missing until the server has given it a place. */
  seq: Seq | null;
  /** Missing when the system speaks. */
  from: UserId | null;
  mine: boolean;
  /** What it says now; empty when it is deleted. */
  text: string;
  /** When it was edited last. */
  editedAt: number | null;
  deleted: boolean;
  /** What came with it; missing where nothing did. */
  files?: readonly FileInfo[];
  /** What it answers. */
  quote: Quote | null;
  reactions: readonly Reaction[];
  pinned: boolean;
  /** A change of this client's is shown already and not confirmed yet. */
  amending: boolean;
  /** Milliseconds since the epoch: the server's time once acknowledged. */
  at: number;
  /** Only for one's own messages. */
  state: MessageState | null;
}

/** A membership or title change, shown as one quiet line. */
export interface TimelineNote {
  kind: "note";
  key: string;
  seq: Seq;
  at: number;
  from: UserId | null;
  note:
    | { type: "created"; kind: ConversationKind; title: string | null; members: UserId[] }
    | { type: "added"; users: UserId[] }
    | { type: "removed"; user: UserId }
    | { type: "left" }
    | { type: "title"; title: string }
    | { type: "topic"; topic: string | null }
    | { type: "role"; user: UserId; role: Role }
    | { type: "access"; access: Access }
    | { type: "history"; history: History }
    | { type: "linked" | "unlinked"; link: LinkId }
    | { type: "joined"; link: LinkId | null };
}

export type TimelineEntry = TimelineMessage | TimelineNote;

export type OlderPages = "more" | "loading" | "failed" | "start-reached";

export interface Timeline {
  entries: TimelineEntry[];
  older: OlderPages;
  /** False until the newest page (or the cache) has been seen once. */
  loaded: boolean;
  /** Own read marker. */
  read: Seq;
  head: Seq;
}

export interface ConversationItem {
  id: ConversationId;
  kind: ConversationKind;
  /** Title of a group or channel, or the other user's display name. */
  name: string;
  /** What a group or channel is about. */
  topic: string | null;
  /** The other side of a direct conversation. */
  peer: UserId | null;
  memberCount: number;
  role: Role;
  /** Newest message or own unsent one, for the preview. */
  preview: { /** `null`: it was deleted */ text: string | null; mine: boolean; from: UserId | null } | null;
  draft: string | null;
  updatedAt: number;
  unread: number;
  online: boolean;
  access: Access;
  history: History;
  /** Whether there was something before what this user may see. */
  hidden: boolean;
  /** Display names of those who type right now; empty for a name that is not known. */
  typing: string[];
}

export interface Member {
  user: UserId;
  role: Role;
  marker: Marker;
}

/** Somebody else just wrote. */
export interface IncomingMessage {
  conversation: ConversationId;
  kind: ConversationKind;
  /** Of the conversation. */
  name: string;
  /** Display name; empty for one that is not known yet. */
  author: string;
  seq: Seq;
  text: string;
}

export type ConnectionView =
  | { at: "connecting"; since: number }
  | { at: "online"; since: number; /** true for the first two seconds after a loss */ justBack: boolean }
  | { at: "offline"; /** the browser says so */ waitingSends: number }
  | { at: "unreachable"; retryAt: number; waitingSends: number }
  | { at: "stopped"; reason: "signed-out" | "update-needed" | "defect"; detail: string };

export type SessionView =
  | { at: "signed-out"; /** why, and for whom, when a session ended by itself */ reason: "revoked" | "ended" | null; name: string | null }
  | { at: "signed-in"; me: Profile };

/** What sign-in and the like answer: expected failures are values. */
export type Outcome<T> = { ok: true; value: T } | { ok: false; problem: ProblemView };

export interface ProblemView {
  /** Stable, see PROTOCOL.md section 6, or one of `model/problems.ts`. */
  code: string;
  retryAfterMs: number | null;
}

export interface Readable<T> {
  get(): T;
  subscribe(listener: () => void): () => void;
}

/**
 * The one object the UI is given. Everything readable is a `Readable` (get + subscribe); every
 * verb that can fail in an expected way returns an `Outcome`. Implemented in `client.ts`.
 */
export interface ChatClient {
  readonly session: Readable<SessionView>;
  readonly connection: Readable<ConnectionView>;
  readonly conversations: Readable<{ items: ConversationItem[]; state: "loading" | "ready" | "failed" }>;
  readonly totalUnread: Readable<number>;
  timeline(conversation: ConversationId): Readable<Timeline>;
  profile(user: UserId): Readable<Profile | null>;
  members(conversation: ConversationId): Readable<Member[]>;

  signIn(identifier: string, password: string): Promise<Outcome<Profile>>;
  signUp(name: string, displayName: string, password: string): Promise<Outcome<Profile>>;
  setUp(code: string, name: string, displayName: string, password: string): Promise<Outcome<Profile>>;
  /** `discard`: also drops sends that wait in the outbox; without it the call fails with `unsent` when there are some. */
  signOut(options: { discard: boolean }): Promise<Outcome<null>>;

  searchPeople(query: string): Promise<Outcome<Profile[]>>;
  openDirect(user: UserId): Promise<Outcome<ConversationId>>;
  createGroup(title: string, members: UserId[], kind: "group" | "channel"): Promise<Outcome<ConversationId>>;
  addMembers(conversation: ConversationId, users: UserId[]): Promise<Outcome<null>>;
  removeMember(conversation: ConversationId, user: UserId): Promise<Outcome<null>>;
  setRole(conversation: ConversationId, user: UserId, role: Role): Promise<Outcome<null>>;
  setTitle(conversation: ConversationId, title: string): Promise<Outcome<null>>;
  /** `null`: it is about nothing in particular. */
  setTopic(conversation: ConversationId, topic: string | null): Promise<Outcome<null>>;
  setAccess(conversation: ConversationId, access: Access): Promise<Outcome<null>>;
  setHistory(conversation: ConversationId, history: History): Promise<Outcome<null>>;
  leave(conversation: ConversationId): Promise<Outcome<null>>;

  /** Those that were not revoked, for admins. */
  links(conversation: ConversationId): Promise<Outcome<InvitationLink[]>>;
  /** Its token, which is told this once. */
  makeLink(conversation: ConversationId, expiresAt: number | null, usesMax: number | null): Promise<Outcome<string>>;
  revokeLink(conversation: ConversationId, link: LinkId): Promise<Outcome<null>>;
  /** What stands behind a link. */
  lookIn(token: string): Promise<Outcome<BehindLink>>;
  join(token: string): Promise<Outcome<ConversationId>>;
  /** A page of the public conversations, by title. */
  directory(cursor: string | null): Promise<Outcome<{ listings: Listing[]; next: string | null }>>;
  joinPublic(conversation: ConversationId): Promise<Outcome<ConversationId>>;

  /** Files being uploaded for the next message here, and those that are ready. */
  uploads(conversation: ConversationId): Readable<readonly Upload[]>;
  /** Begins to upload; each is shown in `uploads` from now on. */
  attach(conversation: ConversationId, files: readonly File[]): void;
  cancelUpload(id: number): void;
  /** Goes on where it was. */
  retryUpload(id: number): void;
  /** `null`: it is not to be had now. */
  fileAddress(id: string): Promise<FileAddress | null>;
  /** What may be attached; no bytes: nothing at all. */
  readonly fileLimits: Readable<{ bytes: number; count: number }>;

  /**
   * Queues and shows at once; what becomes of it is in the timeline's `MessageState`. Takes along what
   * is ready of `uploads`; only then the text may be empty.
   */
  send(conversation: ConversationId, text: string, replyTo?: Seq): void;
  /** Shown at once, and taken back when it is refused. Answers when the server has. */
  amend(conversation: ConversationId, message: Seq, amendment: Amendment): Promise<Outcome<null>>;
  /** Everything that a message on screen was made to say, oldest first. */
  versions(conversation: ConversationId, message: Seq): readonly Version[];
  pins(conversation: ConversationId): Readable<Pins>;
  /** Loads older pages until this message is on screen. */
  reach(conversation: ConversationId, message: Seq): Promise<Outcome<null>>;
  retry(conversation: ConversationId, key: string): void;
  discard(conversation: ConversationId, key: string): void;
  loadOlder(conversation: ConversationId): void;
  /** The person has seen everything up to here (visible, at the bottom, page focused). */
  markRead(conversation: ConversationId, seq: Seq): void;
  setTyping(conversation: ConversationId, on: boolean): void;
  /** The conversation that somebody is looking at on this page right now. */
  attend(conversation: ConversationId | null): void;
  /** New messages that nobody looks at in any tab of this browser; told in one tab only. */
  onIncoming(listener: (message: IncomingMessage) => void): () => void;
  draft(conversation: ConversationId): string;
  setDraft(conversation: ConversationId, text: string): void;
  /** Cut the back-off short. */
  retryConnection(): void;
  /** The longest text a message may have. */
  readonly textLimits: Readable<{ bytes: number; chars: number }>;
}
