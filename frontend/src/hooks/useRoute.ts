// The address bar as a value. Knows the four places this app has and nothing of what they show:
// /login, /signup, /setup?code=…, and / with or without an open conversation (/c/<id>).
import { useSyncExternalStore } from "react";
import { conversationId } from "../protocol";
import type { ConversationId } from "../model/types";

export type Route =
  | { at: "login" }
  | { at: "signup" }
  | { at: "setup"; code: string }
  | { at: "chat"; conversation: ConversationId | null }
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
  if (first === "c" && parts.length <= 2) {
    const id = conversationId(second);
    if (id !== null || second === undefined) return { at: "chat", conversation: id };
  }
  return { at: "unknown", path };
}

export function conversationPath(conversation: ConversationId): string {
  return `/c/${conversation}`;
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
