// The conversation list and how far everybody has got. Pure. Events come in log order (timeline.ts
// sees to that), markers in any order: they only grow.
import type { Access, Conversation, ConversationKind, History, LoggedEvent, MarkerOf, MemberOf, Role } from "../protocol";
import { assertNever } from "./assertNever";
import type { ConversationId, Marker, MessageState, Seq, UserId } from "./types";

export interface Summary {
  id: ConversationId;
  kind: ConversationKind;
  title: string | null;
  topic: string | null;
  peer: UserId | null;
  role: Role;
  memberCount: number;
  head: Seq;
  /** Own marker; `read` may be ahead of what the server has been told. */
  received: Seq;
  read: Seq;
  unread: number;
  updatedAt: number;
  last: LoggedEvent | null;
  /** Of the others, by user; empty in very large groups. */
  markers: ReadonlyMap<UserId, Marker>;
  access?: Access | undefined;
  history?: History | undefined;
  visibleFrom?: Seq | undefined;
}

export function summaryOf(body: Conversation, me: UserId, before: Summary | null): Summary {
  const markers = new Map<UserId, Marker>(before?.markers);
  for (const marker of body.markers) if (marker.user !== me) markers.set(marker.user, grown(markers.get(marker.user), marker));
  const { id, kind, title, topic, peer, role, memberCount, head, updatedAt, last, access, history, visibleFrom } = body;
  const received = Math.max(body.received, before?.received ?? 0);
  const summary: Summary = {
    id, kind, title, topic, peer, role, memberCount, head, received, read: body.read, unread: body.unread, updatedAt, last, markers, access, history, visibleFrom,
  };
  // Read here, and the server did not know it yet when it answered.
  return before === null ? summary : withRead(summary, before.read, [], me);
}

/**
 * The next event of the log; one that is already counted changes nothing. `run`: what is held of the log,
 * in which a deleted message has its author still.
 */
export function withEvent(summary: Summary, logged: LoggedEvent, me: UserId, run: readonly LoggedEvent[] = []): Summary {
  if (logged.seq <= summary.head) return summary;
  const next: Summary = { ...summary, head: logged.seq };
  const { event, from, at } = logged;
  switch (event.type) {
    case "message":
      next.last = logged;
      next.updatedAt = Math.max(summary.updatedAt, at);
      // Whoever writes has read what stood there; the server moves the marker of the author likewise or not, the count must not.
      if (from !== me) next.unread = logged.seq > summary.read ? summary.unread + 1 : summary.unread;
      return next;
    case "created":
      next.updatedAt = Math.max(summary.updatedAt, at);
      next.title = event.title;
      return next;
    case "added":
      next.memberCount += event.users.length;
      return next;
    case "removed":
      next.memberCount = Math.max(0, summary.memberCount - 1);
      next.markers = without(summary.markers, event.user);
      return next;
    case "left":
      next.memberCount = Math.max(0, summary.memberCount - 1);
      if (from !== null) next.markers = without(summary.markers, from);
      return next;
    case "joined":
      next.memberCount += 1;
      return next;
    case "access":
      next.access = event.access;
      return next;
    case "history":
      next.history = event.history;
      return next;
    case "linked":
    case "unlinked":
      return next;
    case "title":
      next.title = event.title;
      return next;
    case "topic":
      next.topic = event.topic;
      return next;
    case "role":
      if (event.user === me) next.role = event.role;
      return next;
    case "edited":
      next.last = edited(summary.last, event.message, event.text);
      return next;
    case "deleted": {
      if (summary.last?.seq === event.message) next.last = { ...summary.last, event: { type: "erased" } };
      const of = run.find(({ seq }) => seq === event.message);
      if (of !== undefined && of.from !== me && of.seq > summary.read) next.unread = Math.max(0, summary.unread - 1);
      return next;
    }
    case "erased":
    case "reacted":
    case "unreacted":
    case "pinned":
    case "unpinned":
    case "unknown":
      return next;
    default:
      return assertNever(event);
  }
}

function edited(last: LoggedEvent | null, message: Seq, text: string): LoggedEvent | null {
  if (last?.seq !== message || last.event.type !== "message") return last;
  return { ...last, event: { ...last.event, text } };
}

/** `run` is what is held of the log: where it covers what is left unread, the count is exact. */
export function withMarker(summary: Summary, marker: MarkerOf, me: UserId, run: readonly LoggedEvent[]): Summary {
  if (marker.user === me) {
    const received = Math.max(summary.received, marker.received);
    const next = withRead(summary, marker.read, run, me);
    return received === next.received ? next : { ...next, received };
  }
  const before = summary.markers.get(marker.user);
  const after = grown(before, marker);
  if (before !== undefined && before.received === after.received && before.read === after.read) return summary;
  return { ...summary, markers: new Map(summary.markers).set(marker.user, after) };
}

export function withRead(summary: Summary, to: Seq, run: readonly LoggedEvent[], me: UserId): Summary {
  if (to <= summary.read) return summary;
  const first = run[0]?.seq;
  // Without the events themselves: never more than there are events, and never more than before.
  let unread = Math.min(summary.unread, Math.max(0, summary.head - to));
  if (first !== undefined && first <= to + 1 && run.at(-1)?.seq === summary.head) {
    const unseen = run.filter(({ seq, from, event }) => seq > to && from !== me && event.type === "message");
    unread = Math.min(unread, unseen.length);
  }
  return { ...summary, read: to, received: Math.max(summary.received, to), unread };
}

/** How many of the others hold a message, and how many have read it. Sorted once, asked for each message. */
export function messageStates(summary: Summary | null): (seq: Seq) => MessageState {
  const of = summary === null ? 0 : Math.max(summary.memberCount - 1, summary.markers.size);
  const received = [...(summary?.markers.values() ?? [])].map((marker) => marker.received).sort((a, b) => a - b);
  const read = [...(summary?.markers.values() ?? [])].map((marker) => marker.read).sort((a, b) => a - b);
  return (seq) => {
    const by = atLeast(read, seq);
    if (by > 0) return { at: "read", by, of };
    const to = atLeast(received, seq);
    return to > 0 ? { at: "delivered", to, of } : { at: "sent" };
  };
}

export function byActivity(a: Summary, b: Summary): number {
  return b.updatedAt - a.updatedAt || (a.id < b.id ? -1 : 1);
}

// ---- members ----

export type MemberList = ReadonlyMap<UserId, MemberOf>;

/** Who comes anew has read nothing. */
export function membersAfter(members: MemberList, { event, from }: LoggedEvent): MemberList {
  switch (event.type) {
    case "added": {
      const next = new Map(members);
      for (const user of event.users) if (!next.has(user)) next.set(user, { user, role: event.role, received: 0, read: 0 });
      return next;
    }
    case "joined":
      if (from === null || members.has(from)) return members;
      return new Map(members).set(from, { user: from, role: event.role, received: 0, read: 0 });
    case "removed":
      return without(members, event.user);
    case "left":
      return from === null ? members : without(members, from);
    case "role": {
      const member = members.get(event.user);
      return member === undefined ? members : new Map(members).set(event.user, { ...member, role: event.role });
    }
    case "created":
    case "message":
    case "title":
    case "topic":
    case "access":
    case "history":
    case "linked":
    case "unlinked":
    case "edited":
    case "deleted":
    case "erased":
    case "reacted":
    case "unreacted":
    case "pinned":
    case "unpinned":
    case "unknown":
      return members;
    default:
      return assertNever(event);
  }
}

export function membersWithMarker(members: MemberList, marker: MarkerOf): MemberList {
  const member = members.get(marker.user);
  return member === undefined ? members : new Map(members).set(marker.user, { ...member, ...grown(member, marker) });
}

function grown(before: Marker | undefined, marker: Marker): Marker {
  return {
    received: Math.max(before?.received ?? 0, marker.received),
    read: Math.max(before?.read ?? 0, marker.read),
  };
}

function without<T>(map: ReadonlyMap<UserId, T>, user: UserId): ReadonlyMap<UserId, T> {
  const next = new Map(map);
  next.delete(user);
  return next;
}

/** How many of the ascending values are `seq` or more. */
function atLeast(ascending: readonly Seq[], seq: Seq): number {
  let low = 0;
  let high = ascending.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ascending[middle] ?? 0) < seq) low = middle + 1;
    else high = middle;
  }
  return ascending.length - low;
}
