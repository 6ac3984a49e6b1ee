// What the client needs of the page it runs in, as one value: the browser's, or a test's.
import type { UserId } from "../model/types";
import type { Send } from "../model/outbox";
import { conversationId, userId, type ClientFrame, type ServerFrame } from "../protocol";
import { isObject } from "../shape";
import type { ConversationId } from "../model/types";
import type { Persist } from "../persist";
import type { ConnectionState, SocketEnv } from "../ws";

/** Small values that have to be there at once, at the first line of the page: the session and the drafts. */
export interface Storage {
  get(name: string): string | null;
  set(name: string, value: string): void;
  remove(name: string): void;
}

/** Changes with `LineMessage`: tabs of different versions of this code have a connection each. */
export const LINE_VERSION = 1;

/** What passes between the tab that has the connection and those that follow it. */
export type LineMessage =
  /** Who leads? */
  | { at: "hello"; from: string }
  /** To one that asked, or to all because it changed. `live`: the stream has caught up. */
  | { at: "state"; leader: string; to: string | null; state: ConnectionState; live: boolean; online: UserId[] }
  | { at: "frame"; leader: string; frame: ServerFrame }
  | { at: "gone"; leader: string }
  | { at: "probe"; from: string; to: string }
  | { at: "here"; leader: string; to: string }
  | { at: "write"; to: string; frame: ClientFrame }
  /** Somebody looks, or pressed the button: try now. */
  | { at: "wake"; to: string };

/** What the tabs of one browser tell each other. */
export type TabMessage =
  | { type: "draft"; user: UserId; conversation: ConversationId; text: string }
  /** A send that is new or whose state changed. */
  | { type: "send"; user: UserId; send: Send }
  | { type: "send-gone"; user: UserId; key: string }
  /** Of the one connection, see shared.ts. */
  | { type: "line"; version: typeof LINE_VERSION; user: UserId; line: LineMessage }
  /** The conversation that somebody looks at in that tab. */
  | { type: "attending"; tab: string; conversation: ConversationId | null }
  | { type: "signed-in" }
  | { type: "signed-out" };

export interface Tabs {
  post(message: TabMessage): void;
  listen(listener: (message: TabMessage) => void): () => void;
  /**
   * Calls `held` once this tab is the one that speaks for all of this user, and `lost` when another one has
   * taken that over. Where tabs cannot agree, each is the one. `steal` does not wait for whoever it is now.
   */
  lead(user: UserId, events: { held(): void; lost(): void }): { release(): void; steal(): void };
}

export interface Page {
  online(): boolean;
  /** The browser's `online` and `offline`, and the page becoming visible. */
  listen(events: {
    online(): void;
    offline(): void;
    visible(): void;
    leaving(): void;
    /** The page may lie unused in memory from here on, without a timer or a message. */
    frozen(): void;
    thawed(): void;
  }): () => void;
}

export interface Environment {
  /** Where the chat is mounted, without a slash at the end. */
  base: string;
  socketUrl: string;
  socket: SocketEnv;
  fetch: (url: string, init: RequestInit) => Promise<Response>;
  storage: Storage;
  persist: Persist;
  tabs: Tabs;
  page: Page;
  /** A name nobody used before. */
  newKey(): string;
}

/** Another tab may run another version of this code. */
export function isTabMessage(value: unknown): value is TabMessage {
  if (!isObject(value)) return false;
  switch (value["type"]) {
    case "signed-in":
    case "signed-out":
      return true;
    // The lock names the version: whoever leads or follows runs this very code.
    case "line":
      return userId(value["user"]) !== null && value["version"] === LINE_VERSION && isObject(value["line"]);
    case "attending":
      return typeof value["tab"] === "string" && (value["conversation"] === null || conversationId(value["conversation"]) !== null);
    case "draft":
      return userId(value["user"]) !== null && conversationId(value["conversation"]) !== null && typeof value["text"] === "string";
    case "send-gone":
      return userId(value["user"]) !== null && typeof value["key"] === "string";
    case "send": {
      const { send } = value;
      return userId(value["user"]) !== null && isObject(send) && typeof send["key"] === "string" && isObject(send["state"]);
    }
    default:
      return false;
  }
}
