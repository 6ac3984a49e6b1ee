// A chat server in memory: enough of PROTOCOL.md to find out what a client does when answers are
// lost, connections end and stores are restored. One process, so that a test sees both sides.
import { isObject } from "../shape";
import type { ClientFrame } from "../protocol";
import { welcome, type FakeNetwork, type FakeSocket } from "./FakeSocket";
import type { FakeClock } from "./fakeClock";
import { conversationOf } from "./build";

interface Stored {
  conversation: string;
  seq: number;
  at: string;
  from?: string;
  key?: string;
  event: Record<string, unknown>;
}

interface Room {
  id: string;
  kind: "direct" | "group";
  title?: string;
  members: Map<string, { role: string; received: number; read: number }>;
  log: Stored[];
}

interface Connection {
  socket: FakeSocket;
  user: string;
}

export class FakeServer {
  readonly rooms = new Map<string, Room>();
  readonly requests: string[] = [];
  epoch = "e1";
  /** Commits a send and keeps the answer to itself, like a connection that dies in between. */
  losesAcks = false;
  /** Hears nothing of sends at all. */
  deafToSends = false;
  /** Changes of messages that are answered with this problem. */
  refusesAmendments: (type: string) => object | null = () => null;
  amendmentsSeen: string[] = [];
  /** What the next requests over HTTP get instead of an answer. */
  unreachable = false;
  /** Sends that are answered with this problem. */
  refuses: ((text: string) => object | null) = () => null;
  replayMax = 1_000;
  sendsSeen: { key: string; text: string; user: string }[] = [];
  private connections: Connection[] = [];
  private readonly tokens = new Map<string, string>();
  private readonly marks = new Map<string, Map<string, number>>();
  private count = 0;

  constructor(
    private readonly clock: FakeClock,
    network: FakeNetwork,
  ) {
    network.onOpen = (socket) => this.accept(socket);
  }

  token(user: string): string {
    const token = `token-${user}-${(this.count += 1)}`;
    this.tokens.set(token, user);
    return token;
  }

  revoke(user: string, code = 4502): void {
    for (const [token, owner] of this.tokens) if (owner === user) this.tokens.delete(token);
    for (const connection of this.of(user)) this.end(connection.socket, code);
  }

  room(number: number, users: string[], kind: Room["kind"] = "direct"): Room {
    const room: Room = { id: conversationOf(number), kind, members: new Map(), log: [] };
    if (kind === "group") room.title = "Boats";
    for (const user of users) room.members.set(user, { role: "member", received: 0, read: 0 });
    this.rooms.set(room.id, room);
    return room;
  }

  say(room: Room, from: string, text: string, key?: string): Stored {
    return this.append(room, { from, ...(key === undefined ? {} : { key }), event: { type: "message", text } });
  }

  append(room: Room, entry: Partial<Stored> & { event: Stored["event"] }, quietly = false): Stored {
    const stored = { conversation: room.id, seq: room.log.length + 1, at: this.at(), ...entry };
    room.log.push(stored);
    if (!quietly) for (const user of room.members.keys()) this.tell(user, { type: "event", ...stored });
    return stored;
  }

  /** Stored, and lost on the way to everybody who is connected. */
  whisper(room: Room, from: string, text: string): Stored {
    return this.append(room, { from, event: { type: "message", text } }, true);
  }

  mark(room: Room, user: string, received: number, read: number): void {
    const marker = room.members.get(user)!;
    marker.received = Math.max(marker.received, received, read);
    marker.read = Math.max(marker.read, read);
    for (const other of room.members.keys()) {
      this.tell(other, { type: "receipt", conversation: room.id, user, received: marker.received, read: marker.read });
    }
  }

  tell(user: string, frame: object): void {
    for (const { socket } of this.of(user)) socket.says(frame);
  }

  drop(user: string, code = 1006): void {
    for (const { socket } of this.of(user)) this.end(socket, code);
  }

  texts(room: Room): unknown[] {
    return room.log.map((stored) => stored.event["text"] ?? stored.event["type"]);
  }

  // ---- the socket ----

  private accept(socket: FakeSocket): void {
    socket.onSent = (frame) => this.clock.after(0, () => this.frame(socket, frame));
    socket.onClosed = () => this.forget(socket);
    this.clock.after(0, () => {
      if (socket.closedWith !== null) return;
      if (this.unreachable) this.end(socket, 1006);
      else socket.opens();
    });
  }

  private frame(socket: FakeSocket, frame: ClientFrame): void {
    if (socket.closedWith !== null) return;
    if (frame.type === "hello") {
      this.hello(socket, frame);
      return;
    }
    const connection = this.connections.find((each) => each.socket === socket);
    if (connection === undefined) return;
    const { user } = connection;
    switch (frame.type) {
      case "send":
        this.send(socket, user, frame);
        break;
      case "mark":
        this.mark(this.rooms.get(frame.conversation)!, user, frame.received ?? 0, frame.read ?? 0);
        break;
      case "sync":
        this.replay(socket, this.rooms.get(frame.conversation)!, frame.after);
        break;
      case "ping": {
        const heads: Record<string, number> = {};
        for (const id of Object.keys(frame.positions ?? {})) heads[id] = this.rooms.get(id)?.log.length ?? 0;
        socket.says({ type: "pong", heads, token: this.resumeToken(user) });
        break;
      }
      case "watch":
        for (const other of frame.users) socket.says({ type: "presence", user: other, online: this.of(other).length > 0 });
        break;
      case "typing":
      case "auth":
        break;
      case "edit":
      case "delete":
      case "react":
      case "pin":
        this.amend(socket, user, frame);
        break;
    }
  }

  private hello(socket: FakeSocket, { token, resume }: Extract<ClientFrame, { type: "hello" }>): void {
    const user = this.tokens.get(token ?? "");
    if (user === undefined) {
      this.end(socket, 4501);
      return;
    }
    const resumed = resume !== undefined && resume.epoch === this.epoch;
    socket.says(welcome({ user, epoch: this.epoch, resumed, session: `s${(this.count += 1)}` }));
    const known = resumed ? this.marks.get(resume.token ?? "") : undefined;
    const positions = new Map<string, number>(resumed ? Object.entries(resume.positions) : []);
    for (const room of this.rooms.values()) {
      const position = positions.get(room.id) ?? known?.get(room.id);
      if (!room.members.has(user)) {
        if (positions.has(room.id)) socket.says({ type: "left", conversation: room.id });
      } else if (known !== undefined && position === undefined) this.replay(socket, room, 0);
      else if (position !== undefined) this.replay(socket, room, position);
    }
    this.connections.push({ socket, user });
    socket.says({ type: "synced", token: this.resumeToken(user) });
  }

  private send(socket: FakeSocket, user: string, frame: Extract<ClientFrame, { type: "send" }>): void {
    const { id, key, text } = frame;
    this.sendsSeen.push({ key, text, user });
    if (this.deafToSends || !("conversation" in frame)) return;
    const problem = this.refuses(text);
    if (problem !== null) {
      socket.says({ type: "error", id, key, problem });
      return;
    }
    const room = this.rooms.get(frame.conversation)!;
    const before = room.log.find((stored) => stored.from === user && stored.key === key);
    if (frame.reply_to !== undefined && this.said(room, frame.reply_to) === undefined) {
      socket.says({ type: "error", id, key, problem: refusal(404, "not_found") });
      return;
    }
    const answers = frame.reply_to === undefined ? {} : { reply_to: frame.reply_to };
    const stored = before ?? this.append(room, { from: user, key, event: { type: "message", text, ...answers } }, true);
    const { conversation, seq, at } = stored;
    if (!this.losesAcks) socket.says({ type: "ack", id, key, conversation, seq, at, duplicate: before !== undefined });
    if (before === undefined) for (const other of room.members.keys()) this.tell(other, { type: "event", ...stored });
  }

  private amend(socket: FakeSocket, user: string, frame: Amend): void {
    const { id, key, message } = frame;
    this.amendmentsSeen.push(frame.type);
    if (this.deafToSends) return;
    const room = this.rooms.get(frame.conversation)!;
    const reply = (answer: object): void => {
      if (id !== undefined && !this.losesAcks) socket.says({ ...answer, id });
    };
    if (key !== undefined && room.log.some((stored) => stored.from === user && stored.key === key)) return reply({ type: "done" });
    const problem = this.refusesAmendments(frame.type) ?? this.mayNot(room, user, frame);
    if (problem !== null) return reply({ type: "error", problem });
    const event = eventOf(frame);
    const { reactions, pinned } = this.state(room, message, user);
    const there = frame.type === "react" ? reactions.some(({ emoji, mine }) => emoji === frame.emoji && mine) : pinned;
    if ((frame.type === "react" || frame.type === "pin") && there === frame.on) return reply({ type: "done" });
    const stored = this.append(room, { from: user, ...(key === undefined ? {} : { key }), event }, true);
    if (frame.type === "delete") {
      for (const each of room.log) {
        if (each.seq === message || (each.event["type"] === "edited" && each.event["message"] === message)) each.event = { type: "erased" };
      }
    }
    // The order in which the real one has them is not promised: its answer may come first.
    reply({ type: "done" });
    for (const other of room.members.keys()) this.tell(other, { type: "event", ...stored });
  }

  private mayNot(room: Room, user: string, frame: Amend): object | null {
    const said = this.said(room, frame.message);
    const role = room.members.get(user)!.role;
    const manages = role === "owner" || role === "admin";
    if (role === "reader") return refusal(403, "forbidden");
    if (said === undefined) return refusal(404, "not_found");
    if (frame.type === "edit" && said.from !== user) return refusal(403, "forbidden");
    if (frame.type === "delete" && said.from !== user && !manages) return refusal(403, "forbidden");
    if (frame.type === "pin" && room.kind !== "direct" && !manages) return refusal(403, "forbidden");
    return null;
  }

  private said(room: Room, seq: number): Stored | undefined {
    return room.log.find((stored) => stored.seq === seq && stored.event["type"] === "message");
  }

  /** What has become of a message, for one who reads. */
  private state(room: Room, message: number, user: string) {
    const about = room.log.filter(({ event }) => event["message"] === message);
    const edit = about.findLast(({ event }) => event["type"] === "edited");
    const emojis = [...new Set(about.flatMap(({ event }) => (typeof event["emoji"] === "string" ? [event["emoji"]] : [])))];
    const reactions = emojis.flatMap((emoji) => {
      const by = new Set<string>();
      for (const { from = "", event } of about) {
        if (event["emoji"] !== emoji) continue;
        if (event["type"] === "reacted") by.add(from);
        else by.delete(from);
      }
      return by.size === 0 ? [] : [{ emoji, count: by.size, mine: by.has(user) }];
    });
    const pinned = about.findLast(({ event }) => /^(un)?pinned$/.test(String(event["type"])))?.event["type"] === "pinned";
    return { edit: edit === undefined ? null : { seq: edit.seq, at: edit.at, text: edit.event["text"] }, reactions, pinned };
  }

  private page(room: Room, user: string, query: URLSearchParams): object {
    const messages = room.log.filter((stored) => stored.event["type"] === "message").map((stored) => {
      const { edit, reactions, pinned } = this.state(room, stored.seq, user);
      return { ...stored, ...(edit !== null && { edit }), ...(reactions.length > 0 && { reactions }), ...(pinned && { pinned }) };
    });
    const wanted = query.get("pinned") === "true" ? messages.filter((message) => "pinned" in message) : messages;
    const around = query.get("around");
    const limit = Number(query.get("limit"));
    const page = around === null ? wanted.slice(-limit) : wanted.filter(({ seq }) => seq >= Number(around)).slice(0, limit);
    return { head: room.log.length, messages: page };
  }

  private replay(socket: FakeSocket, room: Room, after: number): void {
    const missed = room.log.filter((stored) => stored.seq > after);
    if (missed.length > this.replayMax) {
      socket.says({ type: "reset", conversation: room.id, head: room.log.length });
      return;
    }
    for (const stored of missed) socket.says({ type: "event", ...stored });
  }

  private resumeToken(user: string): string {
    const token = `${user}-${(this.count += 1)}`;
    const heads = [...this.rooms.values()].filter((room) => room.members.has(user));
    this.marks.set(token, new Map(heads.map((room) => [room.id, room.log.length])));
    return token;
  }

  private of(user: string): Connection[] {
    return this.connections.filter((connection) => connection.user === user);
  }

  private end(socket: FakeSocket, code: number): void {
    this.forget(socket);
    socket.ends(code);
  }

  private forget(socket: FakeSocket): void {
    this.connections = this.connections.filter((connection) => connection.socket !== socket);
  }

  // ---- over HTTP ----

  readonly fetch = async (url: string, init: RequestInit): Promise<Response> => {
    if (this.unreachable) throw new TypeError("no network");
    const { pathname, searchParams } = new URL(url, "http://chat.test");
    this.requests.push(`${init.method} ${pathname}`);
    const headers = new Headers(init.headers);
    const body: unknown = typeof init.body === "string" ? JSON.parse(init.body) : {};
    if (pathname === "/user/login" && isObject(body)) {
      const user = String(body["identifier"]);
      return json(200, { user_id: user, token: this.token(user) });
    }
    const user = this.tokens.get((headers.get("authorization") ?? "").replace("Bearer ", ""));
    if (user === undefined) return trouble(401, "unauthenticated");
    const [, first, id = "", part] = pathname.split("/");
    if (first === "user") return this.self(user, id);
    if (first === "users") return json(200, (searchParams.get("ids") ?? "").split(",").map(profile));
    if (id === "") return json(200, [...this.rooms.values()].filter((room) => room.members.has(user)).map((room) => this.listed(room, user)));
    const room = this.rooms.get(id);
    if (room === undefined || !room.members.has(user)) return trouble(404, "not_found");
    if (part === "events") {
      const before = Number(searchParams.get("before") ?? Infinity);
      const limit = Number(searchParams.get("limit"));
      return json(200, room.log.filter((stored) => stored.seq < before).slice(-limit));
    }
    if (part === "messages" && init.method === "GET") return json(200, this.page(room, user, searchParams));
    if (part === "members" && init.method === "DELETE") {
      room.members.delete(user);
      this.append(room, { from: user, event: { type: "left" } });
      this.tell(user, { type: "left", conversation: room.id });
      return new Response(null, { status: 204 });
    }
    if (part === "members") {
      const after = searchParams.get("after") ?? "";
      const members = [...room.members].map(([name, member]) => ({ user: name, ...member }));
      return json(200, members.filter((member) => member.user > after).sort((a, b) => (a.user < b.user ? -1 : 1)));
    }
    return json(200, this.listed(room, user));
  };

  private self(user: string, part: string): Response {
    if (part === "logout") return new Response(null, { status: 204 });
    if (part === "token") return json(200, { user_id: user, token: this.token(user) });
    return json(200, profile(user));
  }

  private listed(room: Room, user: string): object {
    const own = room.members.get(user)!;
    const said = room.log.filter((stored) => stored.event["type"] === "message");
    const peer = [...room.members.keys()].find((other) => other !== user);
    return {
      id: room.id,
      kind: room.kind,
      ...(room.kind === "group" ? { title: room.title } : { user: peer }),
      role: own.role,
      member_count: room.members.size,
      head: room.log.length,
      received: own.received,
      read: own.read,
      unread: said.filter((stored) => stored.from !== user && stored.seq > own.read).length,
      updated_at: said.at(-1)?.at ?? this.at(),
      ...(said.length === 0 ? {} : { last: said.at(-1) }),
      markers: [...room.members].map(([name, { received, read }]) => ({ user: name, received, read })),
    };
  }

  private at(): string {
    return new Date(this.clock.now()).toISOString();
  }
}

type Amend = Extract<ClientFrame, { type: "edit" | "delete" | "react" | "pin" }>;

function eventOf(frame: Amend): Stored["event"] {
  const { message } = frame;
  switch (frame.type) {
    case "edit":
      return { type: "edited", message, text: frame.text };
    case "delete":
      return { type: "deleted", message };
    case "react":
      return { type: frame.on ? "reacted" : "unreacted", message, emoji: frame.emoji };
    case "pin":
      return { type: frame.on ? "pinned" : "unpinned", message };
  }
}

export function refusal(status: number, code: string, retryable = false): object {
  return { type: `urn:chat:problem:${code}`, code, title: code, status, detail: "", retryable };
}

function profile(user: string): object {
  return { user_id: user, name: user, display_name: `Name of ${user}` };
}

function json(status: number, value: unknown): Response {
  return new Response(JSON.stringify(value), { status });
}

function trouble(status: number, code: string): Response {
  return json(status, refusal(status, code));
}
