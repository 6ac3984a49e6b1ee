// Values of the model, short enough for a test to be read.
import type { ClientKey, ConversationId, UserId } from "../model/types";
import type { Conversation, EventBody, LoggedEvent } from "../protocol";

export const user = (name: string) => name as UserId;
export const key = (name: string) => name as ClientKey;
export const ME = user("u_7");
export const BOB = user("u_42");
export const CID = user("u_43");

export function conversationOf(number: number): ConversationId {
  return `0197a3f2-52a0-7c4e-9a51-${String(number).padStart(12, "0")}` as ConversationId;
}
export const A = conversationOf(1);
export const B = conversationOf(2);

export const T0 = Date.UTC(2026, 0, 2, 3, 0, 0);

export function event(seq: number, changes: Partial<LoggedEvent> = {}): LoggedEvent {
  return { conversation: A, seq, at: T0 + seq * 1000, from: BOB, key: null, event: { type: "message", text: `m${seq}` }, ...changes };
}

export function body(seq: number, of: EventBody, from: UserId | null = BOB): LoggedEvent {
  return event(seq, { event: of, from });
}

export function events(from: number, to: number): LoggedEvent[] {
  return Array.from({ length: to - from + 1 }, (_, index) => event(from + index));
}

export function direct(changes: Partial<Conversation> = {}): Conversation {
  return {
    id: A,
    kind: "direct",
    title: null,
    topic: null,
    peer: BOB,
    role: "member",
    memberCount: 2,
    head: 10,
    received: 10,
    read: 10,
    unread: 0,
    updatedAt: T0,
    last: event(10),
    markers: [
      { user: ME, received: 10, read: 10 },
      { user: BOB, received: 10, read: 8 },
    ],
    ...changes,
  };
}
