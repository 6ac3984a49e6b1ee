// Every state of the screen by name, as a change to the usual world.
import type { LoginMode } from "../components/Login";
import type { ConversationId, Timeline } from "../model/types";
import type { World } from "./FakeClient";
import * as fixtures from "./fixtures";
import { cid } from "./people";

export interface Scene {
  world: World;
  selected: ConversationId | null;
  /** Which door, while signed out. */
  mode?: LoginMode;
}

const { BOB, GROUP, LAYLA, NOW, world } = fixtures;

const scene = (selected: ConversationId | null, change: Partial<World> = {}): Scene => ({ selected, world: { ...world, ...change } });
const withBob = (timeline: Timeline, change: Partial<World> = {}): Scene =>
  scene(BOB, { timelines: new Map([...world.timelines, [BOB, timeline]]), ...change });
const unread = (count: number) => fixtures.items.map((item) => (item.id === BOB ? { ...item, unread: count } : item));
const signedOut = (mode: LoginMode, change: Partial<World> = {}): Scene =>
  ({ ...scene(null, { session: { at: "signed-out", reason: null, name: null }, ...change }), mode });

export const scenes = {
  "sign-in": signedOut({ at: "login" }),
  "sign-in-refused": signedOut({ at: "login" }, { refusal: { code: "wrong_credentials", message: "", retryAfterMs: null } }),
  "sign-in-too-often": signedOut({ at: "login" }, { refusal: { code: "rate_limited", message: "", retryAfterMs: 30_000 } }),
  "session-ended": signedOut({ at: "login" }, { session: { at: "signed-out", reason: "Your password was changed on another device. Sign in again; your drafts are kept.", name: "mira" } }),
  "sign-up": signedOut({ at: "signup" }),
  "set-up": signedOut({ at: "setup", code: "7K2M-QX4P" }),
  "list": scene(null),
  "conversation": scene(BOB),
  "group": scene(GROUP),
  "right-to-left": scene(LAYLA),
  "typing": scene(BOB, { items: fixtures.items.map((item) => (item.id === BOB ? { ...item, typing: ["Bob Okafor"] } : item)) }),
  "message-states": withBob(fixtures.states),
  "marks": scene(GROUP, { timelines: new Map([...world.timelines, [GROUP, fixtures.marks]]) }),
  "amended": scene(GROUP, { timelines: new Map([...world.timelines, [GROUP, fixtures.amended]]), pins: fixtures.pins }),
  "amend-refused": scene(BOB, { refusal: { code: "network", message: "Can't reach the server. Check your connection and try again.", retryAfterMs: null } }),
  "few-unread": withBob(fixtures.fewUnread, { items: unread(3) }),
  "many-unread": withBob(fixtures.manyUnread, { items: unread(120) }),
  "long": withBob(fixtures.long),
  "offline": withBob(fixtures.queued, { connection: { at: "offline", waitingSends: 2 } }),
  "unreachable": scene(BOB, { connection: { at: "unreachable", retryAt: NOW + 8000, waitingSends: 0 } }),
  "connecting": scene(BOB, { connection: { at: "connecting", since: NOW - 5000 } }),
  "back-online": scene(BOB, { connection: { at: "online", since: NOW, justBack: true } }),
  "update-needed": scene(BOB, { connection: { at: "stopped", reason: "update-needed", detail: "" } }),
  "no-conversations": scene(null, { items: [] }),
  "loading-list": scene(null, { items: [], listState: "loading" }),
  "list-failed": scene(null, { items: [], listState: "failed" }),
  "loading-messages": withBob({ entries: [], older: "more", loaded: false, read: 0, head: 0 }),
  "older-failed": withBob({ ...fixtures.direct, older: "failed" }),
  "nothing-said": withBob(fixtures.timeline([])),
  "error": scene(BOB),
  "not-found": scene(cid(999)),
} satisfies Record<string, Scene>;

export type SceneName = keyof typeof scenes;

export function isSceneName(name: string | null): name is SceneName {
  return name !== null && Object.hasOwn(scenes, name);
}
