// That this client and the server mean the same: types alone, so that `tsc` fails when they part. What
// is read is held against the documents where it is read (`Fields`).
import type { ClientFrame, ConversationKind, EventBody, Role, ServerFrame } from "../protocol";
import type * as wire from "./wire";

type KeysOf<T> = T extends unknown ? keyof T : never;

/** An object that ought to be a `T` and has not been looked at: every field may be missing or anything. */
export type Fields<T> = { readonly [K in KeysOf<T>]?: unknown };

type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false;
type OfKind<T, K> = Extract<T, { type: K }>;
/** Fields of our frames that no frame of their kind has: assignability alone overlooks them. */
type Unheard = { [K in ClientFrame["type"]]: Exclude<KeysOf<OfKind<ClientFrame, K>>, keyof OfKind<wire.ClientFrame, K>> }[ClientFrame["type"]];

type True<T extends true> = T;

export type Agreement = [
  True<ClientFrame extends wire.ClientFrame ? true : false>,
  True<Same<Unheard, never>>,
  True<Same<ServerFrame["type"], wire.ServerFrame["type"]>>,
  True<Same<Exclude<EventBody["type"], "unknown">, wire.EventBody["type"]>>,
  True<Same<Role, wire.Role>>,
  True<Same<ConversationKind, wire.Kind>>,
];
