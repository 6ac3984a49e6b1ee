// The wire, as types, and the one place where what arrives is checked. Knows PROTOCOL.md and
// nothing of sockets, requests or the screen: past `decode` a value can be trusted.
import type { Fields } from "./generated/agreement";
import type * as wire from "./generated/wire";
import type { ClientKey, ConversationId, FileAddress, FileInfo, Profile, Seq, UserId } from "./model/types";
import { count, flag, isObject, list, parse, text, time, type Json } from "./shape";

export const PROTOCOL_VERSION = 1;
export const SUBPROTOCOL = "chat.v1";

/** An object, of which no other fields are looked at than those of `T`. */
function isShape<T>(value: unknown): value is Fields<T> {
  return isObject(value);
}

// ---- ids ----------------------------------------------------------------------------------------

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const PRINTABLE = /^[\x20-\x7e]{1,64}$/;

export function conversationId(value: unknown): ConversationId | null {
  return typeof value === "string" && UUID.test(value) ? (value.toLowerCase() as ConversationId) : null;
}

export function userId(value: unknown): UserId | null {
  return typeof value === "string" && value !== "" && value.length <= 64 ? (value as UserId) : null;
}

export function clientKey(value: unknown): ClientKey | null {
  return typeof value === "string" && PRINTABLE.test(value) ? (value as ClientKey) : null;
}

// ---- what is logged -----------------------------------------------------------------------------

/** In the order of what they may do. */
export const ROLES = ["reader", "member", "admin", "owner"] as const;
export type Role = (typeof ROLES)[number];
export type ConversationKind = "direct" | "group" | "channel";

/** Who may come in by themselves. */
export type Access = "private" | "public";
/** What newcomers see of what was before them. */
export type History = "all" | "since_joining";
export type LinkId = string;

export type EventBody =
  | { type: "message"; text: string; replyTo?: Seq; files?: readonly FileInfo[] }
  | { type: "edited"; message: Seq; text: string }
  /** The message and its edits are `erased` from here on. */
  | { type: "deleted"; message: Seq }
  | { type: "erased" }
  | { type: "reacted" | "unreacted"; message: Seq; emoji: string }
  | { type: "pinned" | "unpinned"; message: Seq }
  | { type: "created"; kind: ConversationKind; title: string | null; members: UserId[] }
  | { type: "added"; users: UserId[]; role: Role }
  | { type: "removed"; user: UserId }
  | { type: "left" }
  | { type: "title"; title: string }
  | { type: "topic"; topic: string | null }
  | { type: "role"; user: UserId; role: Role }
  | { type: "access"; access: Access }
  | { type: "history"; history: History }
  | { type: "linked"; link: LinkId; expiresAt: number | null; usesMax: number | null }
  | { type: "unlinked"; link: LinkId }
  /** By a link, or because the conversation is public. */
  | { type: "joined"; link: LinkId | null; role: Role }
  /** From a newer server. It is not shown, and still takes its place in the numbering. */
  | { type: "unknown"; name: string };

export interface LoggedEvent {
  conversation: ConversationId;
  seq: Seq;
  at: number;
  from: UserId | null;
  key: string | null;
  event: EventBody;
}

export interface MarkerOf {
  user: UserId;
  received: Seq;
  read: Seq;
}

export interface Problem {
  code: string;
  title: string;
  status: number;
  detail: string;
  retryable: boolean;
  retryAfterMs: number | null;
}

export interface Limits {
  frameBytesMax: number;
  textBytesMax: number;
  textCharsMax: number;
  commandsInFlightMax: number;
  sendsPerSecond: number;
  sendsBurst: number;
  positionsMax: number;
  watchMax: number;
  /** 0: files are not taken, as by servers that do not know of them. */
  fileBytesMax: number;
  filesPerMessageMax: number;
}

export type Positions = Record<ConversationId, Seq>;

// ---- frames -------------------------------------------------------------------------------------

export interface Resume {
  epoch: string;
  token?: string;
  positions: Positions;
}

export type ClientFrame =
  | { type: "hello"; version: number; token?: string; resume?: Resume }
  | { type: "send"; id: string; key: ClientKey; to: UserId; text: string; reply_to?: Seq; files?: string[] }
  | { type: "send"; id: string; key: ClientKey; conversation: ConversationId; text: string; reply_to?: Seq; files?: string[] }
  | { type: "edit"; id?: string; key?: ClientKey; conversation: ConversationId; message: Seq; text: string }
  | { type: "delete"; id?: string; key?: ClientKey; conversation: ConversationId; message: Seq }
  | { type: "react"; id?: string; key?: ClientKey; conversation: ConversationId; message: Seq; emoji: string; on: boolean }
  | { type: "pin"; id?: string; key?: ClientKey; conversation: ConversationId; message: Seq; on: boolean }
  | { type: "mark"; id?: string; conversation: ConversationId; received?: Seq; read?: Seq }
  | { type: "typing"; conversation: ConversationId; on: boolean }
  | { type: "watch"; id?: string; users: UserId[] }
  | { type: "sync"; id?: string; conversation: ConversationId; after: Seq }
  | { type: "ping"; positions?: Positions }
  | { type: "auth"; id: string; token: string };

export type ServerFrame =
  | {
      type: "welcome";
      version: number;
      session: string;
      user: UserId;
      epoch: string;
      resumed: boolean;
      heartbeatMs: number;
      typingMs: number;
      limits: Limits;
      expiresAt: number | null;
    }
  | { type: "synced"; token: string }
  | { type: "reset"; conversation: ConversationId; head: Seq }
  | { type: "left"; conversation: ConversationId }
  | { type: "ack"; id: string | null; key: string; conversation: ConversationId; seq: Seq; at: number; duplicate: boolean }
  | { type: "done"; id: string }
  | { type: "error"; id: string | null; key: string | null; problem: Problem }
  | { type: "event"; logged: LoggedEvent }
  | { type: "receipt"; conversation: ConversationId; marker: MarkerOf }
  | { type: "typing"; conversation: ConversationId; user: UserId; on: boolean }
  | { type: "presence"; user: UserId; online: boolean }
  | { type: "drain"; afterMs: number; deadlineMs: number }
  | { type: "expiring"; inMs: number }
  | { type: "pong"; heads: Positions; token: string | null };

/** Something this client does not understand: ignored and counted, never thrown. */
export interface Unknown {
  type: "unknown";
  /** The frame's own `type`, where it had one. */
  name: string | null;
  /** `type`: a kind of frame of a newer server; `shape`: a known kind that does not hold what it must. */
  because: "json" | "type" | "shape";
}

export function encode(frame: ClientFrame): string {
  return JSON.stringify(frame);
}

export function decode(source: string): ServerFrame | Unknown {
  const value = parse(source);
  if (!isObject(value)) return { type: "unknown", name: null, because: "json" };
  const name = text(value["type"]);
  if (name === null) return { type: "unknown", name, because: "shape" };
  const read = readers.get(name);
  if (read === undefined) return { type: "unknown", name, because: "type" };
  return read(value) ?? { type: "unknown", name, because: "shape" };
}

type Kind = wire.ServerFrame["type"];
type Reader<K> = (value: Fields<Extract<wire.ServerFrame, { type: K }>>) => ServerFrame | null;

/** One for each kind of frame that the server describes. */
const readersByKind: { [K in Kind]: Reader<K> } = {
  welcome,
  synced: (value) => {
    const token = text(value["token"]);
    return token === null ? null : { type: "synced", token };
  },
  reset: (value) => {
    const conversation = conversationId(value["conversation"]);
    const head = count(value["head"]);
    return conversation === null || head === null ? null : { type: "reset", conversation, head };
  },
  left: (value) => {
    const conversation = conversationId(value["conversation"]);
    return conversation === null ? null : { type: "left", conversation };
  },
  ack,
  done: (value) => {
    const id = text(value["id"]);
    return id === null ? null : { type: "done", id };
  },
  error: (value) => {
    const read = problem(value["problem"]);
    return read === null ? null : { type: "error", id: text(value["id"]), key: text(value["key"]), problem: read };
  },
  event: (value) => {
    const logged = loggedEvent(value);
    return logged === null ? null : { type: "event", logged };
  },
  receipt: (value) => {
    const conversation = conversationId(value["conversation"]);
    const marker = markerOf(value);
    return conversation === null || marker === null ? null : { type: "receipt", conversation, marker };
  },
  typing: (value) => {
    const conversation = conversationId(value["conversation"]);
    const user = userId(value["user"]);
    const on = flag(value["on"]);
    return conversation === null || user === null || on === null ? null : { type: "typing", conversation, user, on };
  },
  presence: (value) => {
    const user = userId(value["user"]);
    const online = flag(value["online"]);
    return user === null || online === null ? null : { type: "presence", user, online };
  },
  drain: (value) => {
    const afterMs = count(value["after_ms"]);
    const deadlineMs = count(value["deadline_ms"]);
    return afterMs === null || deadlineMs === null ? null : { type: "drain", afterMs, deadlineMs };
  },
  expiring: (value) => {
    const inMs = count(value["in_ms"]);
    return inMs === null ? null : { type: "expiring", inMs };
  },
  pong: (value) => {
    const heads = value["heads"] === undefined ? {} : positions(value["heads"]);
    return heads === null ? null : { type: "pong", heads, token: text(value["token"]) };
  },
};

const readers = new Map<string, (value: Json) => ServerFrame | null>(Object.entries(readersByKind));

function welcome(value: Fields<wire.ServerWelcome>): ServerFrame | null {
  const version = count(value["version"]);
  const session = text(value["session"]);
  const user = userId(value["user"]);
  const epoch = text(value["epoch"]);
  const resumed = flag(value["resumed"]);
  const heartbeatMs = count(value["heartbeat_ms"]);
  const typingMs = count(value["typing_ms"]);
  const limits = limitsOf(value["limits"]);
  if (version === null || session === null || user === null || epoch === null || resumed === null) return null;
  if (heartbeatMs === null || heartbeatMs === 0 || typingMs === null || limits === null) return null;
  const expiresAt = time(value["expires_at"]);
  return { type: "welcome", version, session, user, epoch, resumed, heartbeatMs, typingMs, limits, expiresAt };
}

function limitsOf(value: unknown): Limits | null {
  if (!isShape<wire.Limits>(value)) return null;
  const frameBytesMax = count(value["frame_bytes_max"]);
  const textBytesMax = count(value["text_bytes_max"]);
  const textCharsMax = count(value["text_chars_max"]);
  const commandsInFlightMax = count(value["commands_in_flight_max"]);
  const sendsPerSecond = count(value["sends_per_second"]);
  const sendsBurst = count(value["sends_burst"]);
  const positionsMax = count(value["positions_max"]);
  const watchMax = count(value["watch_max"]);
  if (frameBytesMax === null || textBytesMax === null || textCharsMax === null || commandsInFlightMax === null) return null;
  if (sendsPerSecond === null || sendsBurst === null || positionsMax === null || watchMax === null) return null;
  const fileBytesMax = count(value["file_bytes_max"]) ?? 0;
  const filesPerMessageMax = count(value["files_per_message_max"]) ?? 0;
  return {
    frameBytesMax, textBytesMax, textCharsMax, commandsInFlightMax, sendsPerSecond, sendsBurst, positionsMax, watchMax, fileBytesMax, filesPerMessageMax,
  };
}

function ack(value: Fields<wire.ServerAck>): ServerFrame | null {
  const key = text(value["key"]);
  const conversation = conversationId(value["conversation"]);
  const seq = count(value["seq"]);
  const at = time(value["at"]);
  const duplicate = flag(value["duplicate"]);
  if (key === null || conversation === null || seq === null || at === null || duplicate === null) return null;
  return { type: "ack", id: text(value["id"]), key, conversation, seq, at, duplicate };
}

function positions(value: unknown): Positions | null {
  if (!isObject(value)) return null;
  const read: Positions = {};
  for (const [name, position] of Object.entries(value)) {
    const conversation = conversationId(name);
    const seq = count(position);
    if (conversation === null || seq === null) return null;
    read[conversation] = seq;
  }
  return read;
}

export function loggedEvent(value: unknown): LoggedEvent | null {
  if (!isShape<wire.Event>(value)) return null;
  const conversation = conversationId(value["conversation"]);
  const seq = count(value["seq"]);
  const at = time(value["at"]);
  if (conversation === null || seq === null || seq === 0 || at === null || !isObject(value["event"])) return null;
  const from = userId(value["from"]);
  return { conversation, seq, at, from, key: text(value["key"]), event: eventBody(value["event"]) };
}

/** What is not understood keeps its place in the log: refusing it would tear a hole that never heals. */
function eventBody(value: Fields<wire.EventBody>): EventBody {
  const name = text(value["type"]) ?? "";
  return knownBody(name, value) ?? { type: "unknown", name };
}

function knownBody(name: string, value: Fields<wire.EventBody>): EventBody | null {
  switch (name) {
    case "message": {
      const said = text(value["text"]);
      const replyTo = count(value["reply_to"]);
      const files = value["files"] === undefined ? [] : list(value["files"], fileBody);
      if (said === null || files === null) return null;
      return { type: "message", text: said, ...(replyTo === null ? {} : { replyTo }), ...(files.length === 0 ? {} : { files }) };
    }
    case "edited": {
      const message = count(value["message"]);
      const said = text(value["text"]);
      return message === null || said === null ? null : { type: "edited", message, text: said };
    }
    case "erased":
      return { type: "erased" };
    case "reacted":
    case "unreacted": {
      const message = count(value["message"]);
      const emoji = text(value["emoji"]);
      return message === null || emoji === null ? null : { type: name, message, emoji };
    }
    case "deleted":
    case "pinned":
    case "unpinned": {
      const message = count(value["message"]);
      return message === null ? null : { type: name, message };
    }
    case "created": {
      const kind = conversationKind(value["kind"]);
      const members = value["members"] === undefined ? [] : list(value["members"], userId);
      return kind === null || members === null ? null : { type: "created", kind, title: text(value["title"]), members };
    }
    case "added": {
      const users = list(value["users"], userId);
      const role = value["role"] === undefined ? "member" : roleOf(value["role"]);
      return users === null || role === null ? null : { type: "added", users, role };
    }
    case "removed": {
      const user = userId(value["user"]);
      return user === null ? null : { type: "removed", user };
    }
    case "left":
      return { type: "left" };
    case "title": {
      const title = text(value["title"]);
      return title === null ? null : { type: "title", title };
    }
    case "topic":
      return { type: "topic", topic: text(value["topic"]) };
    case "role": {
      const user = userId(value["user"]);
      const role = roleOf(value["role"]);
      return user === null || role === null ? null : { type: "role", user, role };
    }
    case "access": {
      const access = accessOf(value["access"]);
      return access === null ? null : { type: "access", access };
    }
    case "history": {
      const history = historyOf(value["history"]);
      return history === null ? null : { type: "history", history };
    }
    case "linked": {
      const link = text(value["link"]);
      return link === null ? null : { type: "linked", link, expiresAt: time(value["expires_at"]), usesMax: count(value["uses_max"]) };
    }
    case "unlinked": {
      const link = text(value["link"]);
      return link === null ? null : { type: "unlinked", link };
    }
    case "joined": {
      const role = value["role"] === undefined ? "member" : roleOf(value["role"]);
      return role === null ? null : { type: "joined", link: text(value["link"]), role };
    }
    default:
      return null;
  }
}

function accessOf(value: unknown): Access | null {
  return value === "private" || value === "public" ? value : null;
}

function historyOf(value: unknown): History | null {
  return value === "all" || value === "since_joining" ? value : null;
}

function conversationKind(value: unknown): ConversationKind | null {
  return value === "direct" || value === "group" || value === "channel" ? value : null;
}

function roleOf(value: unknown): Role | null {
  return ROLES.find((role) => role === value) ?? null;
}

const FILE = /^f_[0-9a-f]{32}$/;

export function fileId(value: unknown): string | null {
  return typeof value === "string" && FILE.test(value) ? value : null;
}

export function fileBody(value: unknown): FileInfo | null {
  if (!isObject(value)) return null;
  const id = fileId(value["id"]);
  const name = text(value["name"]);
  const type = text(value["type"]);
  const size = count(value["size"]);
  if (id === null || name === null || type === null || size === null) return null;
  const [width, height] = [count(value["width"]), count(value["height"])];
  return { id, name, type, size, width, height, thumbnail: flag(value["thumbnail"]) ?? false };
}

// ---- bodies over HTTP ---------------------------------------------------------------------------

/** A file with its addresses, relative to where the chat is mounted. */
export function addressedBody(value: unknown): { file: FileInfo; address: FileAddress } | null {
  const file = fileBody(value);
  if (!isObject(value) || file === null) return null;
  const content = text(value["address"]);
  const expiresAt = time(value["expires_at"]);
  // Nothing that could lead anywhere else.
  if (content === null || !content.startsWith("files/") || expiresAt === null) return null;
  const thumbnail = text(value["thumbnail_address"]);
  return { file, address: { content, thumbnail: thumbnail?.startsWith("files/") === true ? thumbnail : null, expiresAt } };
}

export interface Token {
  user: UserId;
  token: string;
  expiresAt: number | null;
}

/** The view of a direct message that `/messages` gives. */
export interface DirectMessage {
  id: string;
  conversation: ConversationId;
  seq: Seq;
  from: UserId | null;
  to: UserId;
  content: string;
  at: number;
  key: string | null;
}

export interface Conversation {
  id: ConversationId;
  kind: ConversationKind;
  title: string | null;
  topic: string | null;
  peer: UserId | null;
  role: Role;
  memberCount: number;
  head: Seq;
  received: Seq;
  read: Seq;
  unread: number;
  updatedAt: number;
  last: LoggedEvent | null;
  markers: MarkerOf[];
  /** Left out: `private`. */
  access?: Access | undefined;
  /** Left out: `all`. */
  history?: History | undefined;
  /** Where the log begins for this user, if not at its beginning. */
  visibleFrom?: Seq | undefined;
}

export interface MemberOf extends MarkerOf {
  role: Role;
}

export function tokenBody(value: unknown): Token | null {
  if (!isShape<wire.Token>(value)) return null;
  const user = userId(value["user_id"]);
  const token = text(value["token"]);
  return user === null || token === null ? null : { user, token, expiresAt: time(value["expires_at"]) };
}

export function profileBody(value: unknown): Profile | null {
  if (!isShape<wire.Profile>(value)) return null;
  const id = userId(value["user_id"]);
  const name = text(value["name"]);
  return id === null || name === null ? null : { userId: id, name, displayName: text(value["display_name"]) ?? name };
}

export function messageBody(value: unknown): DirectMessage | null {
  if (!isShape<wire.Message>(value)) return null;
  const id = text(value["id"]);
  const conversation = conversationId(value["conversation"]);
  const seq = count(value["seq"]);
  const to = userId(value["to"]);
  const content = text(value["content"]);
  const at = time(value["timestamp"]);
  if (id === null || conversation === null || seq === null || to === null || content === null || at === null) return null;
  return { id, conversation, seq, from: userId(value["from"]), to, content, at, key: text(value["key"]) };
}

export function conversationBody(value: unknown): Conversation | null {
  if (!isShape<wire.Conversation>(value)) return null;
  const id = conversationId(value["id"]);
  const kind = conversationKind(value["kind"]);
  const role = roleOf(value["role"]);
  const memberCount = count(value["member_count"]);
  const head = count(value["head"]);
  const received = count(value["received"]);
  const read = count(value["read"]);
  const unread = count(value["unread"]);
  const updatedAt = time(value["updated_at"]);
  const markers = value["markers"] === undefined ? [] : list(value["markers"], markerOf);
  if (id === null || kind === null || role === null || memberCount === null || head === null) return null;
  if (received === null || read === null || unread === null || updatedAt === null || markers === null) return null;
  const peer = userId(value["user"]);
  const last = saidLast(value["last"]);
  const entrance = {
    access: accessOf(value["access"]) ?? undefined,
    history: historyOf(value["history"]) ?? undefined,
    visibleFrom: count(value["visible_from"]) ?? undefined,
  };
  return { id, kind, title: text(value["title"]), topic: text(value["topic"]), peer, role, memberCount, head, received, read, unread, updatedAt, last, markers, ...entrance };
}

/** A link by which people may come in. */
export interface InvitationLink {
  id: LinkId;
  by: UserId | null;
  at: number;
  expiresAt: number | null;
  usesMax: number | null;
  uses: number;
}

export function linkBody(value: unknown): InvitationLink | null {
  if (!isShape<wire.Link>(value)) return null;
  const id = text(value["id"]);
  const at = time(value["at"]);
  const uses = count(value["uses"]);
  if (id === null || at === null || uses === null) return null;
  return { id, by: userId(value["by"]), at, expiresAt: time(value["expires_at"]), usesMax: count(value["uses_max"]), uses };
}

/** A conversation as those see it who may come in. */
export interface Listing {
  id: ConversationId;
  kind: ConversationKind;
  title: string | null;
  topic: string | null;
  memberCount: number;
}

export function listingBody(value: unknown): Listing | null {
  if (!isShape<wire.Listing>(value)) return null;
  const id = conversationId(value["id"]);
  const kind = conversationKind(value["kind"]);
  const memberCount = count(value["member_count"]);
  if (id === null || kind === null || memberCount === null) return null;
  return { id, kind, title: text(value["title"]), topic: text(value["topic"]), memberCount };
}

/** What stands behind a link. */
export interface BehindLink extends Listing {
  /** Whether one is in already. */
  member: boolean;
}

export function behindBody(value: unknown): BehindLink | null {
  const listing = listingBody(value);
  return listing === null || !isShape<wire.BehindLink>(value) ? null : { ...listing, member: value["member"] === true };
}

/** The token of a link that was made just now: it is told once. */
export function madeLinkBody(value: unknown): string | null {
  return isShape<wire.MadeLink>(value) ? text(value["token"]) : null;
}

/** With what it says now in place of what it said. */
function saidLast(value: unknown): LoggedEvent | null {
  const last = loggedEvent(value);
  if (last === null || last.event.type !== "message" || !isObject(value) || !isObject(value["edit"])) return last;
  const now = text(value["edit"]["text"]);
  return now === null ? last : { ...last, event: { ...last.event, text: now } };
}

/** Messages with what they say as of `head`. */
export interface PageBody {
  head: Seq;
  messages: LoggedEvent[];
}

export function pageBody(value: unknown): PageBody | null {
  if (!isShape<wire.Page>(value)) return null;
  const head = count(value["head"]);
  const messages = list(value["messages"], saidLast);
  return head === null || messages === null ? null : { head, messages };
}

export function markerOf(value: unknown): MarkerOf | null {
  if (!isShape<wire.Marker>(value)) return null;
  const user = userId(value["user"]);
  const received = count(value["received"]);
  const read = count(value["read"]);
  return user === null || received === null || read === null ? null : { user, received, read };
}

export function memberBody(value: unknown): MemberOf | null {
  const marker = markerOf(value);
  const role = isShape<wire.Member>(value) ? roleOf(value["role"]) : null;
  return marker === null || role === null ? null : { ...marker, role };
}

export function problem(value: unknown): Problem | null {
  if (!isShape<wire.Problem>(value)) return null;
  const code = text(value["code"]);
  const status = count(value["status"]);
  const retryable = flag(value["retryable"]);
  if (code === null || status === null || retryable === null) return null;
  const title = text(value["title"]) ?? code;
  return { code, title, status, detail: text(value["detail"]) ?? "", retryable, retryAfterMs: count(value["retry_after_ms"]) };
}
