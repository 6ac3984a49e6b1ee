// The address bar as a value. Knows the places this app has and nothing of what they show: /login, /signup,
// /setup?code=…, /settings with or without a part, and / with or without an open conversation (/c/<id>), in
// which one may want to see one message (/c/<id>/m/<seq>), and /invite/<token>.
import { useSyncExternalStore } from "react";
import { conversationId } from "../protocol";
import type { ConversationId, Seq } from "../model/types";

const SETTINGS_TABS = ["account", "appearance", "language", "notifications", "privacy"] as const;
export type SettingsTab = (typeof SETTINGS_TABS)[number];

export type Route =
  | { at: "login" }
  | { at: "signup" }
  | { at: "setup"; code: string }
  | { at: "settings"; tab: SettingsTab | null }
  | { at: "invitation"; token: string }
  | { at: "chat"; conversation: ConversationId | null; message?: Seq }
  | { at: "unknown"; path: string };

export function parseRoute(path: string, search: string): Route {
  const parts = path.split("/").filter((part) => part !== "");
  if (parts.length === 0) return { at: "chat", conversation: null };
  const [first, second] = parts;
  if (parts.length === 1 && first === "login") return { at: "login" };
  if (parts.length === 1 && first === "signup") return { at: "signup" };
  if (parts.length === 1 && first === "setup") {
    return { at: "setup", code: new URLSearchParams(search).get("code") ?? "" };
  }
  if (first === "invite" && second !== undefined && parts.length === 2) return { at: "invitation", token: second };
  if (first === "settings" && parts.length <= 2) {
    const tab = SETTINGS_TABS.find((each) => each === second);
    if (second === undefined || tab !== undefined) return { at: "settings", tab: tab ?? null };
  }
  if (first === "c" && parts.length === 4 && parts[2] === "m") {
    const [id, seq] = [conversationId(second), Number(parts[3])];
    if (id !== null && Number.isSafeInteger(seq) && seq > 0) return { at: "chat", conversation: id, message: seq };
  }
  if (first === "c" && parts.length <= 2) {
    const id = conversationId(second);
    if (id !== null || second === undefined) return { at: "chat", conversation: id };
  }
  return { at: "unknown", path };
}

export function conversationPath(conversation: ConversationId): string {
  return `/c/${conversation}`;
}

export function messagePath(conversation: ConversationId, message: Seq): string {
  return `/c/${conversation}/m/${message}`;
}

export function invitationPath(token: string): string {
  return `/invite/${token}`;
}

export function settingsPath(tab: SettingsTab | null): string {
  return tab === null ? "/settings" : `/settings/${tab}`;
}

const listeners = new Set<() => void>();
let seen = "\0"; // No address equals this, so that the first call looks.
let route: Route = { at: "chat", conversation: null };

/** The same object for the same address: `useSyncExternalStore` compares by identity. */
function current(): Route {
  const { pathname, search } = window.location;
  if (pathname + search !== seen) {
    seen = pathname + search;
    route = parseRoute(pathname, search);
  }
  return route;
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  window.addEventListener("popstate", listener);
  return () => {
    listeners.delete(listener);
    window.removeEventListener("popstate", listener);
  };
}

/** Going where one already is does nothing, so that Back never needs two presses. */
export function navigate(path: string, options: { replace?: boolean } = {}): void {
  const { pathname, search } = window.location;
  if (path === pathname + search) return;
  if (options.replace === true) window.history.replaceState(null, "", path);
  else window.history.pushState(null, "", path);
  for (const listener of [...listeners]) listener();
}

export function useRoute(): { route: Route; navigate: typeof navigate } {
  return { route: useSyncExternalStore(subscribe, current), navigate };
}
