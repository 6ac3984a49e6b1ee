// Who is signed in, kept where every tab finds it. Knows nothing of the server.
import type { Profile } from "../model/types";
import { profileBody } from "../protocol";
import { isObject, parse, text } from "../shape";
import type { Storage } from "./environment";

/** Where it lies. */
export const SESSION_NAME = "chat.session";

export interface Session {
  token: string;
  me: Profile;
}

export class SessionStorage {
  constructor(private readonly storage: Storage) {}

  /** Read anew each time: another tab may have renewed the token, or signed out. */
  load(): Session | null {
    const stored = this.storage.get(SESSION_NAME);
    const value = stored === null ? null : parse(stored);
    if (!isObject(value)) return null;
    const token = text(value["token"]);
    const me = profileBody(value);
    return token === null || me === null ? null : { token, me };
  }

  token(): string | null {
    return this.load()?.token ?? null;
  }

  save({ token, me }: Session): void {
    const value = { token, user_id: me.userId, name: me.name, display_name: me.displayName };
    this.storage.set(SESSION_NAME, JSON.stringify(value));
  }

  clear(): void {
    this.storage.remove(SESSION_NAME);
  }
}
