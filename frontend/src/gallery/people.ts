// Who lives in the gallery.
import type { ConversationId, Profile, UserId } from "../model/types";
import { conversationId, userId } from "../protocol";

export function uid(text: string): UserId {
  const id = userId(text);
  if (id === null) throw new Error(`not a user id: ${text}`);
  return id;
}

/** A UUID that ends in `n`. */
export function cid(n: number): ConversationId {
  const id = conversationId(`0197a3f2-52a0-7c4e-9a51-${String(n).padStart(12, "0")}`);
  if (id === null) throw new Error(`not a conversation id: ${n}`);
  return id;
}

const person = (name: string, displayName: string): Profile => ({ userId: uid(`u_${name}`), name, displayName });

export const me = person("mira", "Mira Lindqvist");
export const bob = person("bob", "Bob Okafor");
export const ana = person("ana", "Ana Duarte");
export const kenji = person("kenji", "Kenji Mori");
export const layla = person("layla", "ليلى حداد");
export const tom = person("tom", "Tom Varga");
export const ines = person("ines", "Inès Caron");

export const everybody = [me, bob, ana, kenji, layla, tom, ines];
