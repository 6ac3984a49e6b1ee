// Who is here and who types: signals that are never stored and end by themselves. Pure.
import type { ConversationId, UserId } from "./types";

export interface Presence {
  readonly online: ReadonlySet<UserId>;
  /** When each typing signal ends. */
  readonly typing: ReadonlyMap<ConversationId, ReadonlyMap<UserId, number>>;
}

export const NOBODY: Presence = { online: new Set(), typing: new Map() };

export function withPresence(presence: Presence, user: UserId, online: boolean): Presence {
  if (presence.online.has(user) === online) return presence;
  const next = new Set(presence.online);
  if (online) next.add(user);
  else next.delete(user);
  return { ...presence, online: next };
}

/** A signal holds for twice the time after which it is repeated, so that one lost does not flicker. */
export function withTyping(
  presence: Presence,
  conversation: ConversationId,
  user: UserId,
  on: boolean,
  now: number,
  typingMs: number,
): Presence {
  const before = presence.typing.get(conversation);
  if (!on && before?.has(user) !== true) return presence;
  const users = new Map(before);
  if (on) users.set(user, now + 2 * typingMs);
  else users.delete(user);
  return { ...presence, typing: withUsers(presence.typing, conversation, users) };
}

export function expire(presence: Presence, now: number): Presence {
  let { typing } = presence;
  for (const [conversation, users] of presence.typing) {
    const left = new Map([...users].filter(([, end]) => end > now));
    if (left.size !== users.size) typing = withUsers(typing, conversation, left);
  }
  return typing === presence.typing ? presence : { ...presence, typing };
}

export function nextExpiry(presence: Presence): number | null {
  const ends = [...presence.typing.values()].flatMap((users) => [...users.values()]);
  return ends.length === 0 ? null : Math.min(...ends);
}

function withUsers(
  typing: Presence["typing"],
  conversation: ConversationId,
  users: ReadonlyMap<UserId, number>,
): Presence["typing"] {
  const next = new Map(typing);
  if (users.size === 0) next.delete(conversation);
  else next.set(conversation, users);
  return next;
}
