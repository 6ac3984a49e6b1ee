// The routes of PROTOCOL.md section 7, one function each. Expected failures are values. Knows how to
// ask and what an answer must look like; keeps nothing.
import type { ClientKey, ConversationId, Outcome, ProblemView, Profile, Seq, UserId } from "./model/types";
import { NOT_UNDERSTOOD, UNREACHABLE, viewOf } from "./model/problems";
import type * as wire from "./generated/wire";
import * as protocol from "./protocol";
import { list, parse } from "./shape";

export interface ApiOptions {
  /** Where the chat is mounted, without a slash at the end. */
  base: string;
  fetch: (url: string, init: RequestInit) => Promise<Response>;
  after: (ms: number, callback: () => void) => () => void;
  token: () => string | null;
  /** The server no longer takes this token. */
  unauthenticated: (token: string) => void;
}

/** A method, and where the server describes it. */
type Route = { [M in keyof wire.Paths]: { method: M; path: wire.Paths[M] } }[keyof wire.Paths];

type Ask = Route & {
  query?: Record<string, string | number | undefined>;
  body?: object;
  key?: ClientKey;
  /** In place of the session's: for a token that is not the session's yet. Null: none at all. */
  token?: string | null;
};

/** Longer than the server's own limits, so that its answer comes first where there is one. */
const TIMEOUT_MS = 20_000;
/** For one piece of a file. */
const UPLOAD_TIMEOUT_MS = 60_000;
export const PAGE = 50;
export const LIST_MAX = 100;

export class Api {
  constructor(private readonly options: ApiOptions) {}

  logIn(identifier: string, password: string) {
    return this.read({ method: "POST", path: "/user/login", body: { identifier, password } satisfies wire.LogIn, token: null }, protocol.tokenBody);
  }

  register(name: string, displayName: string, password: string) {
    const body: wire.Register = { name, ...shown(displayName), password };
    return this.read({ method: "POST", path: "/user/register", body, token: null }, protocol.tokenBody);
  }

  setUp(code: string, name: string, displayName: string, password: string) {
    const body: wire.SetUp = { code, name, ...shown(displayName), password };
    return this.read({ method: "POST", path: "/user/setup", body, token: null }, protocol.tokenBody);
  }

  renew(token: string) {
    return this.read({ method: "POST", path: "/user/token", token }, protocol.tokenBody);
  }

  logOut(token: string) {
    return this.done({ method: "POST", path: "/user/logout", token });
  }

  /** Of the bearer of `token`. */
  self(token: string) {
    return this.read({ method: "GET", path: "/user", token }, protocol.profileBody);
  }

  searchUsers(search: string): Promise<Outcome<Profile[]>> {
    return this.read({ method: "GET", path: "/users", query: { search } }, listOf(protocol.profileBody));
  }

  users(ids: readonly UserId[]): Promise<Outcome<Profile[]>> {
    return this.read({ method: "GET", path: "/users", query: { ids: ids.join(",") } }, listOf(protocol.profileBody));
  }

  conversations() {
    return this.read(
      { method: "GET", path: "/conversations", query: { limit: LIST_MAX } },
      listOf(protocol.conversationBody),
    );
  }

  conversation(id: ConversationId) {
    return this.read({ method: "GET", path: `/conversations/${id}` }, protocol.conversationBody);
  }

  openDirect(user: UserId) {
    return this.read({ method: "POST", path: "/conversations", body: { kind: "direct", user } satisfies wire.NewConversation }, protocol.conversationBody);
  }

  createGroup(key: ClientKey, body: { kind: "group" | "channel"; title: string; members: readonly UserId[] }) {
    return this.read({ method: "POST", path: "/conversations", body, key }, protocol.conversationBody);
  }

  setTitle(id: ConversationId, title: string) {
    return this.done({ method: "PATCH", path: `/conversations/${id}`, body: { title } satisfies wire.NewDescription });
  }

  setTopic(id: ConversationId, topic: string | null) {
    return this.done({ method: "PATCH", path: `/conversations/${id}`, body: { topic } satisfies wire.NewDescription });
  }

  setAccess(id: ConversationId, access: protocol.Access) {
    return this.done({ method: "PATCH", path: `/conversations/${id}`, body: { access } satisfies wire.NewDescription });
  }

  setHistory(id: ConversationId, history: protocol.History) {
    return this.done({ method: "PATCH", path: `/conversations/${id}`, body: { history } satisfies wire.NewDescription });
  }

  links(id: ConversationId) {
    return this.read({ method: "GET", path: `/conversations/${id}/links` }, listOf(protocol.linkBody));
  }

  /** Its token. */
  makeLink(id: ConversationId, expiresAt: number | null, usesMax: number | null) {
    const end = expiresAt === null ? {} : { expires_at: new Date(expiresAt).toISOString() };
    const body: wire.NewLink = { ...end, ...(usesMax === null ? {} : { uses_max: usesMax }) };
    return this.read({ method: "POST", path: `/conversations/${id}/links`, body }, protocol.madeLinkBody);
  }

  revokeLink(id: ConversationId, link: protocol.LinkId) {
    return this.done({ method: "DELETE", path: `/conversations/${id}/links/${link}` });
  }

  lookIn(token: string) {
    return this.read({ method: "GET", path: `/join/${encodeURIComponent(token)}` }, protocol.behindBody);
  }

  join(token: string) {
    return this.read({ method: "POST", path: `/join/${encodeURIComponent(token)}` }, protocol.conversationBody);
  }

  joinPublic(id: ConversationId) {
    return this.read({ method: "POST", path: `/conversations/${id}/join` }, protocol.conversationBody);
  }

  /** By title; `next` leads on, null at the end. */
  async directory(cursor: string | null): Promise<Outcome<{ listings: protocol.Listing[]; next: string | null }>> {
    const query = { cursor: cursor ?? undefined, limit: LIST_MAX };
    const answer = await this.ask({ method: "GET", path: "/directory", query });
    if (!answer.ok) return answer;
    const listings = list(parse(answer.value.text), protocol.listingBody);
    return listings === null ? failed(NOT_UNDERSTOOD) : { ok: true, value: { listings, next: cursorOf(answer.value.link) } };
  }

  /** Ascending; the newest page without `before`. */
  events(id: ConversationId, before?: Seq) {
    const query = { before, limit: PAGE };
    return this.read({ method: "GET", path: `/conversations/${id}/events`, query }, listOf(protocol.loggedEvent));
  }

  /** Those that are pinned, the newest page. */
  pinned(id: ConversationId) {
    const query = { pinned: "true", limit: LIST_MAX };
    return this.read({ method: "GET", path: `/conversations/${id}/messages`, query }, protocol.pageBody);
  }

  /** A page with this message in it, if it was not deleted. */
  around(id: ConversationId, message: Seq) {
    const query = { around: message, limit: 1 };
    return this.read({ method: "GET", path: `/conversations/${id}/messages`, query }, protocol.pageBody);
  }

  members(id: ConversationId, after?: UserId) {
    const query = { after, limit: LIST_MAX };
    return this.read({ method: "GET", path: `/conversations/${id}/members`, query }, listOf(protocol.memberBody));
  }

  addMembers(id: ConversationId, users: readonly UserId[]) {
    return this.done({ method: "POST", path: `/conversations/${id}/members`, body: { users: [...users] } satisfies wire.NewMembers });
  }

  setRole(id: ConversationId, user: UserId, role: protocol.Role) {
    return this.done({ method: "PATCH", path: memberPath(id, user), body: { role } satisfies wire.NewRole });
  }

  removeMember(id: ConversationId, user: UserId) {
    return this.done({ method: "DELETE", path: memberPath(id, user) });
  }

  /** Where these files are to be had; those that the user may not have are missing. */
  files(ids: readonly string[]) {
    return this.read({ method: "GET", path: "/files", query: { ids: ids.join(",") } }, listOf(protocol.addressedBody));
  }

  /** An address that the server gave, from here. */
  resolve(address: string): string {
    return `${this.options.base}/${address}`;
  }

  /** The id of a new upload (tus 1.0, as everything about uploads). */
  async beginUpload(name: string, size: number): Promise<Outcome<string>> {
    const headers = { "upload-length": String(size), "upload-metadata": `filename ${base64(name)}` };
    const answer = await this.tus("POST", "/files", headers);
    if (!answer.ok) return answer;
    const id = protocol.fileId(answer.value.get("location")?.split("/").at(-1));
    return id === null ? failed(NOT_UNDERSTOOD) : { ok: true, value: id };
  }

  /** Brings bytes; how many the server has then. */
  async uploadPiece(id: string, offset: number, piece: Blob, signal: AbortSignal): Promise<Outcome<number>> {
    const headers = { "upload-offset": String(offset), "content-type": "application/offset+octet-stream" };
    return offsetOf(await this.tus("PATCH", `/files/${id}`, headers, piece, signal));
  }

  /** How many bytes of an upload the server has. */
  async uploadOffset(id: string): Promise<Outcome<number>> {
    return offsetOf(await this.tus("HEAD", `/files/${id}`));
  }

  giveUpUpload(id: string) {
    return this.tus("DELETE", `/files/${id}`);
  }

  private async tus(
    method: string,
    path: string,
    headers: Record<string, string> = {},
    body?: Blob,
    signal?: AbortSignal,
  ): Promise<Outcome<Headers>> {
    const token = this.options.token();
    const abort = new AbortController();
    const stop = () => abort.abort();
    signal?.addEventListener("abort", stop);
    const cancel = this.options.after(UPLOAD_TIMEOUT_MS, stop);
    try {
      const response = await this.options.fetch(this.options.base + path, {
        method,
        headers: { "tus-resumable": "1.0.0", ...headers, ...(token === null ? {} : { authorization: `Bearer ${token}` }) },
        ...(body === undefined ? {} : { body }),
        signal: abort.signal,
        cache: "no-store",
      });
      const text = await response.text();
      if (response.ok) return { ok: true, value: response.headers };
      const problem = protocol.problem(parse(text));
      if (problem === null) return failed(response.status >= 502 ? UNREACHABLE : NOT_UNDERSTOOD);
      if (problem.code === "unauthenticated" && token !== null) this.options.unauthenticated(token);
      return failed(viewOf(problem));
    } catch {
      return failed(UNREACHABLE);
    } finally {
      cancel();
      signal?.removeEventListener("abort", stop);
    }
  }

  private async read<T>(ask: Ask, decode: (value: unknown) => T | null): Promise<Outcome<T>> {
    const answer = await this.ask(ask);
    if (!answer.ok) return answer;
    const value = decode(parse(answer.value.text));
    return value === null ? failed(NOT_UNDERSTOOD) : { ok: true, value };
  }

  private async done(ask: Ask): Promise<Outcome<null>> {
    const answer = await this.ask(ask);
    return answer.ok ? { ok: true, value: null } : answer;
  }

  private async ask(ask: Ask): Promise<Outcome<{ text: string; link: string | null }>> {
    const { method, path, query = {}, body, key } = ask;
    const token = ask.token === undefined ? this.options.token() : ask.token;
    const headers: Record<string, string> = { accept: "application/json" };
    if (token !== null) headers["authorization"] = `Bearer ${token}`;
    if (body !== undefined) headers["content-type"] = "application/json";
    if (key !== undefined) headers["idempotency-key"] = key;
    const abort = new AbortController();
    const cancel = this.options.after(TIMEOUT_MS, () => abort.abort());
    try {
      const response = await this.options.fetch(this.options.base + path + queryString(query), {
        method,
        headers,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: abort.signal,
        cache: "no-store",
      });
      const text = await response.text();
      if (response.ok) return { ok: true, value: { text, link: response.headers.get("link") } };
      const problem = protocol.problem(parse(text));
      // A proxy that answers for a dead server does not speak our problems.
      if (problem === null) return failed(response.status >= 502 ? UNREACHABLE : NOT_UNDERSTOOD);
      if (problem.code === "unauthenticated" && token !== null) this.options.unauthenticated(token);
      return failed(viewOf(problem));
    } catch {
      return failed(UNREACHABLE);
    } finally {
      cancel();
    }
  }
}

function failed(problem: ProblemView): { ok: false; problem: ProblemView } {
  return { ok: false, problem };
}

/** Of the link to what comes next (RFC 8288), which has one. */
function cursorOf(link: string | null): string | null {
  const query = link === null ? undefined : /<\?([^>]*)>;\s*rel="next"/.exec(link)?.[1];
  return query === undefined ? null : new URLSearchParams(query).get("cursor");
}

function offsetOf(answer: Outcome<Headers>): Outcome<number> {
  if (!answer.ok) return answer;
  const offset = answer.value.get("upload-offset");
  return offset === null || !/^\d{1,15}$/.test(offset) ? failed(NOT_UNDERSTOOD) : { ok: true, value: Number(offset) };
}

function base64(words: string): string {
  return btoa(String.fromCharCode(...new TextEncoder().encode(words)));
}

function shown(displayName: string): { display_name?: string } {
  return displayName === "" ? {} : { display_name: displayName };
}

function memberPath(id: ConversationId, user: UserId) {
  return `/conversations/${id}/members/${encodeURIComponent(user)}` as const;
}

function queryString(query: Record<string, string | number | undefined>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) search.set(name, String(value));
  return search.size === 0 ? "" : `?${search.toString()}`;
}

function listOf<T>(element: (value: unknown) => T | null): (value: unknown) => T[] | null {
  return (value) => list(value, element);
}
