// What survives a reload: unsent messages, and a cache of the latest conversations. IndexedDB where
// there is one, memory where there is not. Everything is kept apart by user.
import { openDB, type DBSchema, type IDBPDatabase } from "idb";
import type { Summary } from "./model/conversations";
import type { Send } from "./model/outbox";
import type { Log } from "./model/timeline";
import type { ConversationId, Profile, UserId } from "./model/types";
import type { Resume } from "./protocol";

export interface CachedConversation {
  summary: Summary;
  log: Log;
}

export interface CachedState {
  resume: Resume | null;
  profiles: Profile[];
}

export interface Cache extends CachedState {
  conversations: CachedConversation[];
}

export interface Persist {
  sends(user: UserId): Promise<Send[]>;
  putSend(user: UserId, send: Send): Promise<void>;
  dropSend(user: UserId, key: string): Promise<void>;
  cache(user: UserId): Promise<Cache>;
  /** `keep`: the conversations that stay; others are dropped. */
  save(user: UserId, state: CachedState, changed: CachedConversation[], keep: ReadonlySet<ConversationId>): Promise<void>;
  /** Drops the cache, and with `all` the unsent messages too. */
  wipe(user: UserId, all: boolean): Promise<void>;
}

interface Schema extends DBSchema {
  outbox: { key: [string, string]; value: { user: UserId; key: string; send: Send }; indexes: { user: string } };
  conversations: {
    key: [string, string];
    value: { user: UserId; id: ConversationId; cached: CachedConversation };
    indexes: { user: string };
  };
  state: { key: string; value: { user: UserId; state: CachedState } };
}

type Database = IDBPDatabase<Schema>;

/** Some browsers never answer an open; nobody waits longer than this to write. */
const OPEN_MS = 3_000;

export function openPersist(name = "chat"): Persist {
  const memory = new MemoryPersist();
  const opened = openDatabase(name).then((database) => (database === null ? memory : new IndexedPersist(database)));
  /** A store that fails once (full, or taken away) is one that memory replaces. */
  const attempt = async <T>(run: (persist: Persist) => Promise<T>): Promise<T> => {
    const persist = await opened;
    try {
      return await run(persist);
    } catch {
      return run(memory);
    }
  };
  return {
    sends: (user) => attempt((persist) => persist.sends(user)),
    putSend: (user, send) => attempt((persist) => persist.putSend(user, send)),
    dropSend: (user, key) => attempt((persist) => persist.dropSend(user, key)),
    cache: (user) => attempt((persist) => persist.cache(user)),
    save: (user, state, changed, keep) => attempt((persist) => persist.save(user, state, changed, keep)),
    wipe: (user, all) => attempt((persist) => persist.wipe(user, all)),
  };
}

async function openDatabase(name: string): Promise<Database | null> {
  if (typeof indexedDB === "undefined") return null;
  const opening = openDB<Schema>(name, 1, {
    upgrade(database) {
      database.createObjectStore("outbox", { keyPath: ["user", "key"] }).createIndex("user", "user");
      database.createObjectStore("conversations", { keyPath: ["user", "id"] }).createIndex("user", "user");
      database.createObjectStore("state", { keyPath: "user" });
    },
  }).catch(() => null);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const tooLong = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), OPEN_MS);
  });
  const database = await Promise.race([opening, tooLong]);
  clearTimeout(timer);
  return database;
}

class IndexedPersist implements Persist {
  constructor(private readonly database: Database) {}

  async sends(user: UserId): Promise<Send[]> {
    const rows = await this.database.getAllFromIndex("outbox", "user", user);
    return rows.map((row) => row.send).sort((a, b) => a.createdAt - b.createdAt);
  }

  async putSend(user: UserId, send: Send): Promise<void> {
    await this.database.put("outbox", { user, key: send.key, send });
  }

  async dropSend(user: UserId, key: string): Promise<void> {
    await this.database.delete("outbox", [user, key]);
  }

  async cache(user: UserId): Promise<Cache> {
    const [rows, state] = await Promise.all([
      this.database.getAllFromIndex("conversations", "user", user),
      this.database.get("state", user),
    ]);
    return { conversations: rows.map((row) => row.cached), ...(state?.state ?? EMPTY) };
  }

  async save(
    user: UserId,
    state: CachedState,
    changed: CachedConversation[],
    keep: ReadonlySet<ConversationId>,
  ): Promise<void> {
    // One transaction: the resume state must not promise more than the events beside it.
    const transaction = this.database.transaction(["conversations", "state"], "readwrite");
    const conversations = transaction.objectStore("conversations");
    for (const cached of changed) await conversations.put({ user, id: cached.summary.id, cached });
    for (const key of await conversations.index("user").getAllKeys(user)) {
      const [, id] = key;
      if (![...keep].some((kept) => kept === id)) await conversations.delete(key);
    }
    await transaction.objectStore("state").put({ user, state });
    await transaction.done;
  }

  async wipe(user: UserId, all: boolean): Promise<void> {
    const transaction = this.database.transaction(["outbox", "conversations", "state"], "readwrite");
    const conversations = transaction.objectStore("conversations");
    for (const key of await conversations.index("user").getAllKeys(user)) await conversations.delete(key);
    await transaction.objectStore("state").delete(user);
    if (all) {
      const outbox = transaction.objectStore("outbox");
      for (const key of await outbox.index("user").getAllKeys(user)) await outbox.delete(key);
    }
    await transaction.done;
  }
}

const EMPTY: CachedState = { resume: null, profiles: [] };

/** For a browser without IndexedDB: works, and forgets with the page. */
export class MemoryPersist implements Persist {
  private readonly outbox = new Map<UserId, Map<string, Send>>();
  private readonly caches = new Map<UserId, { state: CachedState; conversations: Map<ConversationId, CachedConversation> }>();

  async sends(user: UserId): Promise<Send[]> {
    return [...(this.outbox.get(user)?.values() ?? [])];
  }

  async putSend(user: UserId, send: Send): Promise<void> {
    this.outbox.set(user, new Map(this.outbox.get(user)).set(send.key, send));
  }

  async dropSend(user: UserId, key: string): Promise<void> {
    this.outbox.get(user)?.delete(key);
  }

  async cache(user: UserId): Promise<Cache> {
    const found = this.caches.get(user);
    return { conversations: [...(found?.conversations.values() ?? [])], ...(found?.state ?? EMPTY) };
  }

  async save(
    user: UserId,
    state: CachedState,
    changed: CachedConversation[],
    keep: ReadonlySet<ConversationId>,
  ): Promise<void> {
    const conversations = new Map(this.caches.get(user)?.conversations);
    for (const cached of changed) conversations.set(cached.summary.id, cached);
    for (const id of [...conversations.keys()]) if (!keep.has(id)) conversations.delete(id);
    this.caches.set(user, { state, conversations });
  }

  async wipe(user: UserId, all: boolean): Promise<void> {
    this.caches.delete(user);
    if (all) this.outbox.delete(user);
  }
}
