// The conversation list as the screen shows it. Pure: put together from what others keep.
import { byActivity, type Summary } from "../model/conversations";
import type { Outbox, Send } from "../model/outbox";
import type { Presence } from "../model/presence";
import { said } from "../model/said";
import type { ConversationId, ConversationItem, Profile, UserId } from "../model/types";
import type { DraftTexts } from "./drafts";

export interface ListOf {
  summaries: ReadonlyMap<ConversationId, Summary>;
  outbox: Outbox;
  presence: Presence;
  profiles: ReadonlyMap<UserId, Profile>;
  drafts: DraftTexts;
  me: UserId;
}

/** A row that did not change is the same object as before. */
export function items(of: ListOf, previous: readonly ConversationItem[]): ConversationItem[] {
  const before = new Map(previous.map((item) => [item.id, item]));
  const pending = new Map<ConversationId, Send>();
  for (const send of of.outbox) pending.set(send.conversation, send);
  return [...of.summaries.values()]
    .map((summary) => {
      const send = pending.get(summary.id);
      return { ...summary, updatedAt: Math.max(summary.updatedAt, send?.createdAt ?? 0) };
    })
    .sort(byActivity)
    .map((summary) => {
      const item = itemOf(summary, pending.get(summary.id), of);
      const old = before.get(item.id);
      return old !== undefined && JSON.stringify(old) === JSON.stringify(item) ? old : item;
    });
}

function itemOf(summary: Summary, send: Send | undefined, of: ListOf): ConversationItem {
  const { id, kind, topic, peer, memberCount, role, updatedAt, unread } = summary;
  const nameOf = (user: UserId): string => of.profiles.get(user)?.displayName ?? "";
  return {
    id,
    kind,
    topic,
    name: peer === null ? (summary.title ?? "") : nameOf(peer),
    peer,
    memberCount,
    role,
    preview: previewOf(summary, send, of.me),
    draft: of.drafts.get(id) ?? null,
    updatedAt,
    unread,
    online: peer !== null && of.presence.online.has(peer),
    access: summary.access ?? "private",
    history: summary.history ?? "all",
    hidden: summary.visibleFrom !== undefined,
    typing: [...(of.presence.typing.get(id)?.keys() ?? [])].map(nameOf).filter((name) => name !== ""),
  };
}

function previewOf({ last }: Summary, send: Send | undefined, me: UserId): ConversationItem["preview"] {
  if (send !== undefined) return { text: said(send), mine: true, from: me };
  if (last?.event.type === "erased") return { text: null, mine: last.from === me, from: last.from };
  if (last === null || last.event.type !== "message") return null;
  return { text: said(last.event), mine: last.from === me, from: last.from };
}
