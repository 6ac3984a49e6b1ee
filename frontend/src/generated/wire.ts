// Written by `make describe` from the documents that the server gives out, which are made from
// its types. A test fails when it is stale.

/** Who may come in by themselves. */
export type Access = "private" | "public";

/** A file with where it is to be had for a while. */
export interface AddressedFile {
  address: string;
  expires_at: Timestamp;
  /** The same. */
  height?: number;
  /** Which. */
  id: FileId;
  /** What its uploader called it. */
  name: FileName;
  /** How many bytes it has. */
  size: number;
  /** Whether there is a small picture of it. */
  thumbnail?: boolean;
  thumbnail_address?: string;
  /** What it is, by its bytes. */
  type: ContentType;
  /** Of a picture, in pixels, as it is to be shown. */
  width?: number;
}

/** What stands behind a link. */
export interface BehindLink {
  /** Who may come in by themselves. */
  access: Access;
  /** Which. */
  id: ConversationId;
  /** Of which sort. */
  kind: Kind;
  /** Whether who asks is in already. */
  member: boolean;
  /** How many are in it. */
  member_count: number;
  /** What it is called. */
  title?: Title;
  /** What it is about. */
  topic?: Topic;
}

/** A point in the store's history of commits, opaque to everybody else, at most 64 bytes of printable ASCII. */
export type Checkpoint = string;

export interface ClientAuth {
  id?: CommandId | null;
  token: string;
  type: "auth";
}

export interface ClientDelete {
  conversation: ConversationId;
  id?: CommandId | null;
  key?: ClientKey | null;
  message: Seq;
  type: "delete";
}

export interface ClientEdit {
  conversation: ConversationId;
  id?: CommandId | null;
  key?: ClientKey | null;
  message: Seq;
  text: Text;
  type: "edit";
}

export type ClientFrame = ClientHello | ClientPing | ClientSend | ClientEdit | ClientDelete | ClientReact | ClientPin | ClientMark | ClientTyping | ClientWatch | ClientSync | ClientAuth;

export interface ClientHello {
  resume?: Resume | null;
  /** A bearer token, if the upgrade had none. */
  token?: string | null;
  type: "hello";
  /** The protocol version that the client speaks. */
  version: number;
}

/** The name a client gives to one write, so that a repetition can be told from a new one: 1 to 64 printable ASCII characters. Its scope is one author in one conversation, and it is remembered as long as the event itself. */
export type ClientKey = string;

export interface ClientMark {
  conversation: ConversationId;
  id?: CommandId | null;
  read?: Seq | null;
  received?: Seq | null;
  type: "mark";
}

export interface ClientPin {
  conversation: ConversationId;
  id?: CommandId | null;
  key?: ClientKey | null;
  message: Seq;
  on: boolean;
  type: "pin";
}

export interface ClientPing {
  positions?: Record<string, Seq>;
  type: "ping";
}

export interface ClientReact {
  conversation: ConversationId;
  emoji: Emoji;
  id?: CommandId | null;
  key?: ClientKey | null;
  message: Seq;
  on: boolean;
  type: "react";
}

export interface ClientSend {
  conversation?: ConversationId | null;
  files?: FileId[];
  id?: CommandId | null;
  key: ClientKey;
  reply_to?: Seq | null;
  text?: MaybeText;
  to?: UserId | null;
  type: "send";
}

export interface ClientSync {
  after: Seq;
  conversation: ConversationId;
  id?: CommandId | null;
  type: "sync";
}

export interface ClientTyping {
  conversation: ConversationId;
  id?: CommandId | null;
  on: boolean;
  type: "typing";
}

export interface ClientWatch {
  id?: CommandId | null;
  type: "watch";
  users: UserId[];
}

/** What went wrong, as programs tell it apart. Stable. */
export type Code = "malformed" | "unauthenticated" | "wrong_credentials" | "forbidden" | "origin_refused" | "not_found" | "unknown_user" | "method_not_allowed" | "timeout" | "name_taken" | "key_conflict" | "wrong_offset" | "last_owner" | "upload_version" | "too_large" | "quota_exceeded" | "unsupported_media_type" | "range_not_satisfiable" | "invalid" | "upgrade_required" | "rate_limited" | "internal" | "unavailable" | "overloaded" | "draining";

/** The client's name for a command, given back in its reply: 1 to 64 bytes. */
export type CommandId = string;

/** What the bytes of a file are, as we found by looking at them: `image/png`. */
export type ContentType = string;

/** A conversation in a list. */
export interface Conversation {
  access?: Access;
  head: Seq;
  history?: History;
  id: ConversationId;
  kind: Kind;
  last?: LastMessage;
  markers?: Marker[];
  member_count: number;
  /** The last event that the user has seen. */
  read: Seq;
  /** The last event that reached one of the user's devices. */
  received: Seq;
  role: Role;
  title?: Title;
  topic?: Topic;
  unread: number;
  updated_at: Timestamp;
  user?: UserId;
  /** Where the log begins for the reader, if it is not its beginning. */
  visible_from?: Seq;
}

/** A conversation: a UUID.  That of a direct conversation follows from its two users (`ConversationId::direct`), so that opening it is idempotent on every node without asking anybody. */
export type ConversationId = string;

/** What a message says in place of what it said. */
export interface Edit {
  /** When it was made. */
  at: Timestamp;
  /** Where the edit stands in the log. */
  seq: Seq;
  /** What the message says now. */
  text: Text;
}

/** What somebody puts on a message: an emoji, or a short name of one that only the host knows (`:shipit:`). 1 to 64 bytes without white space and control characters; which of them are shown is the business of whoever shows them. */
export type Emoji = string;

/** Names one life of a store. A store that was restored from a backup gets a new one, because positions that clients hold may then lie beyond what it knows. */
export type Epoch = string;

/** One entry of a conversation's log. */
export interface Event {
  /** When the server accepted it. For people; order is `seq` alone. */
  at: Timestamp;
  /** Whose log. */
  conversation: ConversationId;
  /** What happened. */
  event: EventBody;
  /** Who did it; `None`: the system. */
  from?: UserId;
  /** The author's name for the write. */
  key?: ClientKey;
  /** Its place in the log. */
  seq: Seq;
}

/** What happened, by `type`. */
export type EventBody = {
  /** Who else may come in by themselves. */
  access?: Access;
  /** What those see of it who come later. */
  history?: History;
  /** Of which sort. */
  kind: Kind;
  /** The first members, the creator among them (who is the owner, unless it is direct). The others come in as `Kind::newcomer` says. */
  members: UserId[];
  /** All but direct ones have one. */
  title?: Title;
  type: "created";
} | {
  /** What comes with it. */
  files?: File[];
  /** The message of the same conversation that it answers. It may have been deleted since. */
  reply_to?: Seq;
  /** What; `Text::none` where there is nothing but files. */
  text: MaybeText;
  type: "message";
} | {
  /** Which message. */
  message: Seq;
  /** What it says now. */
  text: Text;
  type: "edited";
} | {
  /** Which message. */
  message: Seq;
  type: "deleted";
} | {
  type: "erased";
} | {
  /** What. */
  emoji: Emoji;
  /** Which message. */
  message: Seq;
  type: "reacted";
} | {
  /** What. */
  emoji: Emoji;
  /** Which message. */
  message: Seq;
  type: "unreacted";
} | {
  /** Which message. */
  message: Seq;
  type: "pinned";
} | {
  /** Which message. */
  message: Seq;
  type: "unpinned";
} | {
  /** As what; who was one already keeps their role. */
  role?: Role;
  type: "added";
  /** Who. */
  users: UserId[];
} | {
  type: "removed";
  /** Who. */
  user: UserId;
} | {
  type: "left";
} | {
  /** Which. */
  role: Role;
  type: "role";
  /** Who. */
  user: UserId;
} | {
  /** Which. */
  title: Title;
  type: "title";
} | {
  topic: Topic | null;
  type: "topic";
} | {
  /** Who. */
  access: Access;
  type: "access";
} | {
  /** How much. */
  history: History;
  type: "history";
} | {
  /** From when on nobody comes in by it. */
  expires_at?: Timestamp;
  /** Its name; its token is not told. */
  link: LinkId;
  type: "linked";
  /** How many may come in by it. */
  uses_max?: number;
} | {
  /** Its name. */
  link: LinkId;
  type: "unlinked";
} | {
  /** By this link; `None`: because the conversation is public. */
  link?: LinkId;
  /** As what: `Kind::newcomer`. */
  role?: Role;
  type: "joined";
};

/** A file as everybody who sees its message knows it.  ``` let json = r#"{"id":"f_0197a3f252a07c4e9a513e3a1b2c4d5e","name":"boat.png","type":"image/png",     "size":48213,"width":640,"height":480,"thumbnail":true}"#; let file: chat_sdk::File = serde_json::from_str(json).unwrap(); assert_eq!(file.name.as_str(), "boat.png"); ``` */
export interface File {
  /** The same. */
  height?: number;
  /** Which. */
  id: FileId;
  /** What its uploader called it. */
  name: FileName;
  /** How many bytes it has. */
  size: number;
  /** Whether there is a small picture of it. */
  thumbnail?: boolean;
  /** What it is, by its bytes. */
  type: ContentType;
  /** Of a picture, in pixels, as it is to be shown. */
  width?: number;
}

/** A file that somebody uploads or uploaded: `f_` and 32 hexadecimal digits. */
export type FileId = string;

/** What a file is called, for people: nothing is ever stored or found by it. Without what could end a path, a line or a header, or make the end of a name look like something else, at most 255 bytes. */
export type FileName = string;

/** What newcomers see of what was there before them. */
export type History = "all" | "since_joining";

/** What sort of conversation it is; for ever. */
export type Kind = "direct" | "group" | "channel";

/** The newest message, with what it says in place of what it said. */
export interface LastMessage {
  /** When the server accepted it. For people; order is `seq` alone. */
  at: Timestamp;
  /** Whose log. */
  conversation: ConversationId;
  edit?: Edit;
  /** What happened. */
  event: EventBody;
  /** Who did it; `None`: the system. */
  from?: UserId;
  /** The author's name for the write. */
  key?: ClientKey;
  /** Its place in the log. */
  seq: Seq;
}

/** The limits that a client should know. */
export interface Limits {
  /** See `Limits::commands_in_flight_max`. */
  commands_in_flight_max: number;
  /** See `Limits::file_bytes_max`; 0: files are not taken. */
  file_bytes_max?: number;
  /** See `Limits::files_per_message_max`. */
  files_per_message_max?: number;
  /** See `Limits::frame_bytes_max`. */
  frame_bytes_max: number;
  /** See `Limits::positions_max`. */
  positions_max: number;
  /** See `Limits::sends_burst`. */
  sends_burst: number;
  /** See `Limits::sends_per_second`. */
  sends_per_second: number;
  /** See `Limits::text_bytes_max`. */
  text_bytes_max: number;
  /** See `Limits::text_chars_max`. */
  text_chars_max: number;
  /** See `Limits::watch_max`. */
  watch_max: number;
}

/** A link by which people may come into a conversation, until it is revoked. */
export interface Link {
  /** When. */
  at: Timestamp;
  /** Who made it; `None`: the system. */
  by?: UserId;
  /** From this moment on nobody comes in by it. */
  expires_at?: Timestamp;
  /** Its name. */
  id: LinkId;
  /** How many came in by it. */
  uses: number;
  /** How many may come in by it. */
  uses_max?: number;
}

/** Names a link: the first half of its token's SHA-256, as 32 hexadecimal digits. */
export type LinkId = string;

/** What a link carries: who knows it may come in. 128 random bits as 32 hexadecimal digits.  It is shown once, to whoever makes the link; stores and logs only know its `LinkId`, so that nobody comes in by what they read there. */
export type LinkToken = string;

/** A conversation as those see it who are not in it, but may come in. */
export interface Listing {
  /** Who may come in by themselves. */
  access: Access;
  /** Which. */
  id: ConversationId;
  /** Of which sort. */
  kind: Kind;
  /** How many are in it. */
  member_count: number;
  /** What it is called. */
  title?: Title;
  /** What it is about. */
  topic?: Topic;
}

export interface LogIn {
  /** The name. */
  identifier: string;
  password: string;
}

/** A link that was made just now: the only time that its token is told. */
export interface MadeLink {
  /** When. */
  at: Timestamp;
  /** Who made it; `None`: the system. */
  by?: UserId;
  /** From this moment on nobody comes in by it. */
  expires_at?: Timestamp;
  /** Its name. */
  id: LinkId;
  token: string;
  /** How many came in by it. */
  uses: number;
  /** How many may come in by it. */
  uses_max?: number;
}

/** Somebody's marker. */
export interface Marker {
  /** The last event that the user has seen. */
  read: Seq;
  /** The last event that reached one of the user's devices. */
  received: Seq;
  user: UserId;
}

/** A text that need not be there where files are. */
export type MaybeText = string;

/** One member of a conversation. */
export interface Member {
  /** The last event that the user has seen. */
  read: Seq;
  /** The last event that reached one of the user's devices. */
  received: Seq;
  /** As what. */
  role: Role;
  /** Who. */
  user: UserId;
}

/** A message as the original routes show it. */
export interface Message {
  content: Text;
  conversation: ConversationId;
  files?: File[];
  from?: UserId;
  id: string;
  key?: ClientKey;
  seq: Seq;
  timestamp: Timestamp;
  to: UserId;
}

/** A message with what has become of it. */
export interface MessageInPage {
  /** When the server accepted it. For people; order is `seq` alone. */
  at: Timestamp;
  /** Whose log. */
  conversation: ConversationId;
  edit?: Edit;
  /** What happened. */
  event: EventBody;
  /** Who did it; `None`: the system. */
  from?: UserId;
  /** The author's name for the write. */
  key?: ClientKey;
  pinned?: boolean;
  reactions?: Reaction[];
  /** Its place in the log. */
  seq: Seq;
}

export type NewConversation = {
  kind: "direct";
  user: UserId;
} | {
  access?: Access;
  history?: History;
  kind: "group";
  members: UserId[];
  title: Title;
} | {
  access?: Access;
  history?: History;
  kind: "channel";
  members: UserId[];
  title: Title;
};

export interface NewDescription {
  access?: Access | null;
  history?: History | null;
  title?: Title | null;
  topic?: Topic | null;
}

export interface NewDirectMessage {
  content: Text;
  to: UserId;
}

export interface NewLink {
  expires_at?: Timestamp | null;
  uses_max?: number | null;
}

export interface NewMarker {
  read?: Seq | null;
  received?: Seq | null;
}

export interface NewMembers {
  role?: Role | null;
  users: UserId[];
}

export interface NewMessage {
  files?: FileId[];
  reply_to?: Seq | null;
  text?: MaybeText;
}

export interface NewRole {
  role: Role;
}

export interface NewText {
  text: Text;
}

/** A page of messages, and what has become of them. */
export interface Page {
  /** As of which place in the log. */
  head: Seq;
  messages: MessageInPage[];
}

/** What went wrong (RFC 9457). */
export interface Problem {
  /** For programs. */
  code: Code;
  /** What exactly, for people; may change. */
  detail?: string;
  /** When to come back; always there with 429 and 503. */
  retry_after_ms?: number;
  /** Whether the same request may succeed later. */
  retryable: boolean;
  /** The HTTP status. */
  status: number;
  /** The code in words. */
  title: string;
  /** `urn:chat:problem:` and the code. */
  type: string;
}

/** What other people see of a user. */
export interface Profile {
  /** What is shown. */
  display_name: string;
  /** The handle: unique, what people search for. */
  name: string;
  /** Which user. */
  user_id: UserId;
}

/** An emoji on a message. */
export interface Reaction {
  /** How many put it there. */
  count: number;
  /** Which. */
  emoji: Emoji;
  /** Whether the reader is one of them. */
  mine: boolean;
}

/** How many have got how far. Of a conversation with more members than `Summary::MARKERS_MAX` this is all that is told of who read what. */
export interface Receipts {
  /** How many there are, the reader not counted. */
  members: number;
  /** How many of them have read up to there. */
  read: number;
  /** How many of them have received up to there. */
  received: number;
}

export interface Register {
  /** What is shown; the name where it is missing. */
  display_name?: string | null;
  /** What people sign in with and search for: a letter or digit first, no white space. */
  name: string;
  /** At least 8 bytes. */
  password: string;
}

/** Where a device was when it was last connected. */
export interface Resume {
  /** In which life of the store. */
  epoch: Epoch;
  /** The positions it reached since. */
  positions?: Record<string, Seq>;
  token?: Checkpoint | null;
}

/** What a member may do. Each may also do what those before it may. */
export type Role = "reader" | "member" | "admin" | "owner";

/** A place in a conversation's log: 1, 2, 3 … without gaps; 0 stands before the first event.  At most 2⁵³ − 1, so that JavaScript can hold it exactly. */
export type Seq = number;

/** A message is committed. */
export interface ServerAck {
  /** At this time. */
  at: Timestamp;
  /** In this log. */
  conversation: ConversationId;
  /** Whether it stood there already. */
  duplicate: boolean;
  /** Of the command. */
  id?: CommandId;
  /** Of the send. */
  key: ClientKey;
  /** At this place. */
  seq: Seq;
  type: "ack";
}

/** A command without a result is carried out. */
export interface ServerDone {
  /** Of the command. */
  id: CommandId;
  type: "done";
}

/** The node leaves: move. */
export interface ServerDrain {
  /** After this time. */
  after_ms: number;
  /** Before this time. */
  deadline_ms: number;
  type: "drain";
}

/** A command failed, or something is wrong with the connection. */
export interface ServerError {
  /** Of the command. */
  id?: CommandId;
  /** Of the send. */
  key?: ClientKey;
  /** What. */
  problem: Problem;
  type: "error";
}

/** An entry of a log. */
export interface ServerEvent {
  /** When the server accepted it. For people; order is `seq` alone. */
  at: Timestamp;
  /** Whose log. */
  conversation: ConversationId;
  /** What happened. */
  event: EventBody;
  /** Who did it; `None`: the system. */
  from?: UserId;
  /** The author's name for the write. */
  key?: ClientKey;
  /** Its place in the log. */
  seq: Seq;
  type: "event";
}

/** The credential ends soon. */
export interface ServerExpiring {
  /** In this time. */
  in_ms: number;
  type: "expiring";
}

export type ServerFrame = ServerWelcome | ServerAck | ServerDone | ServerError | ServerEvent | ServerReceipt | ServerTyping | ServerPresence | ServerSynced | ServerReset | ServerLeft | ServerPong | ServerExpiring | ServerDrain;

/** The user is not a member (any more). */
export interface ServerLeft {
  /** Of this conversation. */
  conversation: ConversationId;
  type: "left";
}

/** The heartbeat's echo. */
export interface ServerPong {
  /** Of the conversations named in the ping. */
  heads?: Record<string, Seq>;
  /** For the next resume. */
  token?: Checkpoint;
  type: "pong";
}

/** A watched user came or went. */
export interface ServerPresence {
  /** Is here. */
  online: boolean;
  type: "presence";
  /** This one. */
  user: UserId;
}

/** A member's marker. */
export interface ServerReceipt {
  /** In this conversation. */
  conversation: ConversationId;
  /** The last event that the user has seen. */
  read: Seq;
  /** The last event that reached one of the user's devices. */
  received: Seq;
  type: "receipt";
  /** Of this user. */
  user: UserId;
}

/** The tail is not replayed: the position is `head` now. */
export interface ServerReset {
  /** Of this conversation. */
  conversation: ConversationId;
  /** Its head. */
  head: Seq;
  type: "reset";
}

/** The resume is complete: from here on, live. */
export interface ServerSynced {
  /** For the next resume. */
  token?: Checkpoint;
  type: "synced";
}

/** A member types, or stopped. */
export interface ServerTyping {
  /** In this conversation. */
  conversation: ConversationId;
  /** Begins (or goes on) or ends. */
  on: boolean;
  type: "typing";
  /** This one. */
  user: UserId;
}

/** The answer to `hello`. */
export interface ServerWelcome {
  /** The life of the store. */
  epoch: Epoch;
  /** When the credential ends. */
  expires_at?: Timestamp;
  /** How often to ping. */
  heartbeat_ms: number;
  /** What this node enforces. */
  limits: Limits;
  /** Whether the resume was taken up. */
  resumed: boolean;
  /** This connection. */
  session: string;
  type: "welcome";
  /** How often a typing signal may be repeated. */
  typing_ms: number;
  /** Who the client is. */
  user: UserId;
  /** The protocol version that is spoken from here on. */
  version: number;
}

export interface SetUp {
  /** What the server printed when it started. */
  code: string;
  display_name?: string | null;
  name: string;
  password: string;
}

/** The text of a message: not blank, no U+0000. How long it may be is the node's limit and is checked where it is sent, not here, so that a lower limit never makes an old message unreadable. */
export type Text = string;

/** A point in time, in milliseconds; on the wire RFC 3339 in UTC with three decimals.  ``` use chat_sdk::Timestamp; let at = Timestamp::from_millis(1_767_323_045_678); assert_eq!(at.to_string(), "2026-01-02T03:04:05.678Z"); assert_eq!("2026-01-02T03:04:05.678Z".parse(), Ok(at)); ``` */
export type Timestamp = string;

/** The title of a group: one line, 1 to 128 characters, trimmed. */
export type Title = string;

/** A token. */
export interface Token {
  expires_at: Timestamp;
  token: string;
  user_id: UserId;
}

/** What a group or channel is about: 1 to 1,000 characters, lines allowed, trimmed. */
export type Topic = string;

/** A user, by the id that the host (or our accounts) gave them: opaque, 1 to 64 bytes, no control characters, compared byte by byte.  ``` use chat_sdk::UserId; assert!(UserId::new("alice@example.org").is_ok()); assert!(UserId::new("a\0b").is_err()); ``` */
export type UserId = string;

/** Where each method may be used. */
export interface Paths {
  DELETE:
    | `/conversations/${string}/links/${string}`
    | `/conversations/${string}/members/${string}`
    | `/conversations/${string}/messages/${string}`
    | `/conversations/${string}/messages/${string}/pin`
    | `/conversations/${string}/messages/${string}/reactions/${string}`
    | `/files/${string}`;
  GET:
    | `/api`
    | `/asyncapi.json`
    | `/conversations`
    | `/conversations/${string}`
    | `/conversations/${string}/events`
    | `/conversations/${string}/links`
    | `/conversations/${string}/members`
    | `/conversations/${string}/messages`
    | `/conversations/${string}/messages/${string}/edits`
    | `/conversations/${string}/messages/${string}/receipts`
    | `/directory`
    | `/files`
    | `/files/${string}/content`
    | `/files/${string}/thumbnail`
    | `/join/${string}`
    | `/messages`
    | `/openapi.json`
    | `/user`
    | `/users`
    | `/ws`;
  HEAD:
    | `/files/${string}`;
  OPTIONS:
    | `/files`;
  PATCH:
    | `/conversations/${string}`
    | `/conversations/${string}/members/${string}`
    | `/conversations/${string}/messages/${string}`
    | `/files/${string}`;
  POST:
    | `/conversations`
    | `/conversations/${string}/join`
    | `/conversations/${string}/links`
    | `/conversations/${string}/members`
    | `/conversations/${string}/messages`
    | `/files`
    | `/join/${string}`
    | `/messages`
    | `/user/login`
    | `/user/logout`
    | `/user/register`
    | `/user/setup`
    | `/user/token`;
  PUT:
    | `/conversations/${string}/marker`
    | `/conversations/${string}/messages/${string}/pin`
    | `/conversations/${string}/messages/${string}/reactions/${string}`;
}
