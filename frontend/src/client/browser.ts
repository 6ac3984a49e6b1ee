// The browser as an `Environment`. The only file of the library that touches it.
import { openPersist } from "../persist";
import type { SocketEnv, Wire, WireEvents } from "../ws";
import { isTabMessage, LINE_VERSION, type Environment, type Page, type Storage, type Tabs } from "./environment";
import { SESSION_NAME } from "./session";

const CHANNEL = "chat";
const LEADER_LOCK = "chat-leader";

export function browserEnvironment(): Environment {
  const { protocol, host } = window.location;
  return {
    base: "",
    socketUrl: `${protocol === "https:" ? "wss:" : "ws:"}//${host}/ws`,
    socket: socketEnvironment(),
    fetch: (url, init) => window.fetch(url, init),
    storage: browserStorage(),
    persist: openPersist(),
    tabs: browserTabs(),
    page: browserPage(),
    newKey,
  };
}

function socketEnvironment(): SocketEnv {
  return {
    openWire,
    now: () => Date.now(),
    random: () => Math.random(),
    after(ms, callback) {
      const timer = setTimeout(callback, ms);
      return () => clearTimeout(timer);
    },
  };
}

function openWire(url: string, subprotocol: string, events: WireEvents): Wire {
  const socket = new WebSocket(url, subprotocol);
  socket.onopen = () => events.opened();
  socket.onclose = (event) => events.closed(event.code);
  socket.onmessage = (event: MessageEvent<unknown>) => {
    // The protocol has no binary frames.
    if (typeof event.data === "string") events.text(event.data);
  };
  return {
    send: (text) => {
      // A socket that is already closing throws nothing and loses the text: the outbox notices.
      if (socket.readyState === WebSocket.OPEN) socket.send(text);
    },
    close: (code) => socket.close(code),
  };
}

/** Falls back to memory where storage is switched off or full. */
function browserStorage(): Storage {
  const memory = new Map<string, string>();
  return {
    get(name) {
      try {
        return localStorage.getItem(name) ?? memory.get(name) ?? null;
      } catch {
        return memory.get(name) ?? null;
      }
    },
    set(name, value) {
      try {
        localStorage.setItem(name, value);
        memory.delete(name);
      } catch {
        memory.set(name, value);
      }
    },
    remove(name) {
      memory.delete(name);
      try {
        localStorage.removeItem(name);
      } catch {
        // Nothing was kept there.
      }
    },
  };
}

function browserTabs(): Tabs {
  const channel = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel(CHANNEL);
  return {
    post: (message) => channel?.postMessage(message),
    listen(listener) {
      const heard = (event: MessageEvent<unknown>): void => {
        if (isTabMessage(event.data)) listener(event.data);
      };
      // A message may be here before what the other tab has stored: whoever looked at the session then
      // found none. This event comes when it can be read.
      const stored = ({ key, newValue }: StorageEvent): void => {
        if (key === SESSION_NAME && newValue !== null) listener({ type: "signed-in" });
      };
      channel?.addEventListener("message", heard);
      window.addEventListener("storage", stored);
      return () => {
        channel?.removeEventListener("message", heard);
        window.removeEventListener("storage", stored);
      };
    },
    lead(user, { held, lost }) {
      // No locks outside of secure contexts: then every tab has its connection and sends, and the keys keep it to once.
      if (!("locks" in navigator) || channel === null) {
        held();
        return { release: () => {}, steal: () => {} };
      }
      const name = `${LEADER_LOCK}-${LINE_VERSION}-${user}`;
      const waiting = new AbortController();
      let ended = false;
      let holding = false;
      let release = (): void => {};
      const hold = (): Promise<void> => {
        if (ended) return Promise.resolve();
        const until = new Promise<void>((resolve) => {
          release = resolve;
        });
        holding = true;
        held();
        return until;
      };
      const ask = (options: LockOptions): void => {
        navigator.locks.request(name, options, hold).catch(() => {
          // Called off while it waited; or held, and taken by another tab.
          if (!holding || ended) return;
          ended = true;
          lost();
        });
      };
      ask({ signal: waiting.signal });
      return {
        release: () => {
          ended = true;
          waiting.abort();
          release();
        },
        steal: () => {
          if (holding || ended) return;
          waiting.abort();
          ask({ steal: true });
        },
      };
    },
  };
}

function browserPage(): Page {
  return {
    online: () => navigator.onLine,
    listen({ online, offline, visible, leaving, frozen, thawed }) {
      const shown = (): void => {
        if (document.visibilityState === "visible") visible();
        else leaving();
      };
      // Into the memory of the Back button, and out of it again.
      const hidden = ({ persisted }: PageTransitionEvent): void => {
        leaving();
        if (persisted) frozen();
      };
      const back = ({ persisted }: PageTransitionEvent): void => {
        if (persisted) thawed();
      };
      window.addEventListener("online", online);
      window.addEventListener("offline", offline);
      window.addEventListener("pagehide", hidden);
      window.addEventListener("pageshow", back);
      document.addEventListener("freeze", frozen);
      document.addEventListener("resume", thawed);
      document.addEventListener("visibilitychange", shown);
      return () => {
        window.removeEventListener("online", online);
        window.removeEventListener("offline", offline);
        window.removeEventListener("pagehide", hidden);
        window.removeEventListener("pageshow", back);
        document.removeEventListener("freeze", frozen);
        document.removeEventListener("resume", thawed);
        document.removeEventListener("visibilitychange", shown);
      };
    },
  };
}

/** `crypto.randomUUID` is missing on plain HTTP, which is where a chat at home often runs. */
function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
