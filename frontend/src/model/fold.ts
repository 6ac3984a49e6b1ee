// What became of each message: the log's events about it in their order, then the changes of this
// client that are on their way. Pure. Events about messages that are not held cost nothing and harm nothing.
import type { LoggedEvent } from "../protocol";
import type { Pending } from "./amendments";
import { assertNever } from "./assertNever";
import type { Reaction, Seq, UserId, Version } from "./types";

export interface Became {
  /** What it was made to say after it was sent, in order. */
  edits: readonly Version[];
  deleted: boolean;
  reactions: readonly Reaction[];
  /** Null: nothing that is held speaks of it. */
  pinned: boolean | null;
  amending: boolean;
}

export const UNCHANGED: Became = { edits: [], deleted: false, reactions: [], pinned: null, amending: false };

export type Folded = ReadonlyMap<Seq, Became>;

/** `run` ends at the head, so whatever became of a message in it stands behind it. */
export function fold(run: readonly LoggedEvent[], pending: readonly Pending[], me: UserId): Folded {
  const folded = new Map<Seq, Became>();
  const change = (message: Seq, to: (before: Became) => Partial<Became>): void => {
    const before = folded.get(message) ?? UNCHANGED;
    // Nothing means anything any more after a deletion.
    if (!before.deleted) folded.set(message, { ...before, ...to(before) });
  };
  for (const { at, from, event } of run) {
    switch (event.type) {
      case "edited":
        change(event.message, ({ edits }) => ({ edits: [...edits, { text: event.text, at }] }));
        break;
      case "deleted":
        change(event.message, () => ({ ...UNCHANGED, deleted: true }));
        break;
      case "reacted":
      case "unreacted":
        if (from !== null) change(event.message, ({ reactions }) => ({ reactions: react(reactions, event.emoji, from, event.type === "reacted", me) }));
        break;
      case "pinned":
      case "unpinned":
        change(event.message, () => ({ pinned: event.type === "pinned" }));
        break;
      case "message":
      case "erased":
      case "created":
      case "added":
      case "removed":
      case "left":
      case "title":
      case "topic":
      case "role":
      case "unknown":
        break;
      default:
        assertNever(event);
    }
  }
  for (const { message, what, at } of pending) {
    switch (what.type) {
      case "edit":
        change(message, ({ edits }) => ({ edits: [...edits, { text: what.text, at }] }));
        break;
      case "delete":
        change(message, () => ({ ...UNCHANGED, deleted: true }));
        break;
      case "react":
        change(message, ({ reactions }) => ({ reactions: react(reactions, what.emoji, me, what.on, me) }));
        break;
      case "pin":
        change(message, () => ({ pinned: what.on }));
        break;
      default:
        assertNever(what);
    }
    folded.set(message, { ...(folded.get(message) ?? UNCHANGED), amending: true });
  }
  return folded;
}

/** A chip keeps its place while somebody has it on, and comes last when it comes anew. */
function react(reactions: readonly Reaction[], emoji: string, user: UserId, on: boolean, me: UserId): readonly Reaction[] {
  const there = reactions.find((each) => each.emoji === emoji);
  if ((there?.users.includes(user) ?? false) === on) return reactions;
  if (there === undefined) return [...reactions, { emoji, users: [user], mine: user === me }];
  const users = on ? [...there.users, user] : there.users.filter((each) => each !== user);
  const next: Reaction = { emoji, users, mine: users.includes(me) };
  return reactions.flatMap((each) => (each !== there ? [each] : users.length === 0 ? [] : [next]));
}
