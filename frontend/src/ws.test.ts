import { beforeEach, describe, expect, it, vi } from "vitest";
import type { ConversationId } from "./model/types";
import type { Positions, Resume, ServerFrame } from "./protocol";
import { FakeNetwork, welcome, type FakeSocket } from "./test/FakeSocket";
import { FakeClock, settle } from "./test/fakeClock";
import { ChatSocket, type ConnectionState, type Renewal } from "./ws";

const A = "0197a3f2-52a0-7c4e-9a51-3e3a1b2c4d5e" as ConversationId;
const B = "0197a3f2-52a0-7c4e-9a51-3e3a1b2c4d5f" as ConversationId;

let clock: FakeClock;
let network: FakeNetwork;
let token: string | null;
let renewal: Renewal;
let renewed: string[];
let holes: Positions;
let pinged: Positions;
let frames: ServerFrame[];
let states: ConnectionState[];

function chatSocket(resume: Resume | null = null): ChatSocket {
  const socket = new ChatSocket({
    url: "ws://chat.test/ws",
    token: () => token,
    renew: async (stale) => {
      renewed.push(stale);
      return renewal;
    },
    holes: () => holes,
    pingPositions: () => pinged,
    env: network.env,
  });
  if (resume !== null) socket.restore(resume);
  socket.onFrame((frame) => frames.push(frame));
  socket.state.subscribe(() => states.push(socket.state.get()));
  return socket;
}

function opened(resume: Resume | null = null): [ChatSocket, FakeSocket] {
  const socket = chatSocket(resume);
  socket.connect();
  network.last.opens();
  network.last.says(welcome());
  return [socket, network.last];
}

beforeEach(() => {
  clock = new FakeClock();
  network = new FakeNetwork(clock);
  token = "t1";
  renewal = { at: "renewed", token: "t2" };
  renewed = [];
  holes = {};
  pinged = {};
  frames = [];
  states = [];
});

describe("connecting", () => {
  it("goes from idle over connecting to open at the welcome", () => {
    const socket = chatSocket();
    expect(socket.state.get()).toEqual({ at: "idle" });
    socket.connect();
    expect(network.last.url).toBe("ws://chat.test/ws");
    expect(network.last.subprotocol).toBe("chat.v1");
    expect(network.last.sent).toEqual([]);
    network.last.opens();
    expect(network.last.sent).toEqual([{ type: "hello", version: 1, token: "t1" }]);
    expect(socket.send({ type: "ping" })).toBe(false);
    network.last.says(welcome());
    expect(states.map((state) => state.at)).toEqual(["connecting", "open"]);
    expect(socket.send({ type: "ping" })).toBe(true);
    expect(frames.map((frame) => frame.type)).toEqual(["welcome"]);
  });

  it("does not open twice", () => {
    const [socket] = opened();
    socket.connect();
    expect(network.sockets).toHaveLength(1);
  });

  it("stays away without a token", () => {
    token = null;
    const socket = chatSocket();
    socket.connect();
    expect(socket.state.get()).toEqual({ at: "closed", because: { why: "no-credential" } });
    token = "t1";
    socket.connect();
    expect(socket.state.get().at).toBe("connecting");
  });

  it("gives up on a server that never welcomes it", () => {
    const socket = chatSocket();
    socket.connect();
    network.last.opens();
    clock.advance(14_999);
    expect(socket.state.get().at).toBe("connecting");
    clock.advance(1);
    expect(socket.state.get()).toMatchObject({ at: "waiting", because: { why: "silent" } });
    expect(network.last.closedWith).toBe(1000);
  });

  it("counts frames it does not understand, and goes on", () => {
    const [socket, wire] = opened();
    wire.says({ type: "sticker" });
    wire.saysRaw("nonsense");
    wire.says({ type: "synced", token: "1" });
    expect(socket.unknownFrames).toBe(2);
    expect(frames.at(-1)).toEqual({ type: "synced", token: "1" });
  });

  it("closes for good when told to", () => {
    const [socket, wire] = opened();
    socket.close();
    expect(wire.closedWith).toBe(1000);
    expect(socket.state.get()).toEqual({ at: "idle" });
    wire.says({ type: "synced", token: "late" });
    clock.advance(120_000);
    expect(network.sockets).toHaveLength(1);
    expect(frames).toHaveLength(1);
  });
});

describe("back-off", () => {
  const waits = (random: number): number[] => {
    network.random = random;
    const socket = chatSocket();
    socket.connect();
    const out: number[] = [];
    for (let attempt = 0; attempt < 8; attempt += 1) {
      network.last.ends(1006);
      const state = socket.state.get();
      if (state.at !== "waiting") throw new Error(state.at);
      out.push(state.retryAt - clock.now());
      clock.advance(state.retryAt - clock.now());
    }
    return out;
  };

  it("doubles up to twenty seconds", () => {
    expect(waits(1)).toEqual([1000, 2000, 4000, 8000, 16000, 20000, 20000, 20000]);
  });

  it("has full jitter", () => {
    expect(waits(0)).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
    expect(waits(0.25)).toEqual([250, 500, 1000, 2000, 4000, 5000, 5000, 5000]);
  });

  it("does not start again at a welcome that did not last", () => {
    const [socket, wire] = opened();
    clock.advance(29_999);
    wire.ends(1006);
    clock.advance(1000);
    network.last.opens();
    network.last.says(welcome());
    network.last.ends(1006);
    expect(socket.state.get()).toMatchObject({ at: "waiting", attempt: 2 });
  });

  it("starts again at a welcome that lasted", () => {
    const socket = chatSocket();
    socket.connect();
    for (let failure = 0; failure < 4; failure += 1) {
      network.last.ends(1006);
      clock.advance(20_000);
    }
    network.last.opens();
    network.last.says(welcome());
    clock.advance(30_000);
    network.last.ends(1006);
    expect(socket.state.get()).toMatchObject({ at: "waiting", attempt: 1 });
  });

  it("is cut short by a network or a person that comes back", () => {
    const socket = chatSocket();
    socket.connect();
    for (let failure = 1; failure <= 6; failure += 1) {
      network.last.ends(1006);
      if (failure < 6) clock.advance(Math.min(20_000, 500 * 2 ** failure));
    }
    const before = network.sockets.length;
    socket.retryNow();
    expect(network.sockets).toHaveLength(before + 1);
    expect(socket.state.get()).toMatchObject({ at: "connecting", attempt: 6 });
    clock.advance(14_000);
    expect(network.sockets).toHaveLength(before + 1);
  });
});

describe("close codes", () => {
  const after = (code: number): ConnectionState => {
    const [socket, wire] = opened();
    wire.ends(code);
    return socket.state.get();
  };

  it.each([1000, 1001, 1005, 1006, 1011, 4000, 4001, 4003, 4321])("%i comes back", (code) => {
    expect(after(code)).toMatchObject({ at: "waiting", attempt: 1, retryAt: clock.now() + 1000, because: { code } });
  });

  it("1012 comes back at once", () => {
    expect(after(1012)).toMatchObject({ at: "waiting", retryAt: clock.now() + 500 });
  });

  it.each([1013, 4004, 4005])("%i comes back slowly", (code) => {
    expect(after(code)).toMatchObject({ at: "waiting", retryAt: clock.now() + 16_000 });
  });

  it.each([1002, 1003, 1007, 1008, 1009, 4500, 4501, 4502, 4503, 4999])("%i stays away", (code) => {
    expect(after(code)).toEqual({ at: "closed", because: { why: "code", code } });
    clock.advance(600_000);
    expect(network.sockets).toHaveLength(1);
  });
});

describe("heartbeat", () => {
  it("pings with the positions of what is active, at most a hundred", () => {
    const [, wire] = opened();
    clock.advance(24_999);
    expect(wire.of("ping")).toEqual([]);
    clock.advance(1);
    expect(wire.of("ping")).toEqual([{ type: "ping" }]);
    wire.says({ type: "pong" });
    for (let index = 0; index < 150; index += 1) {
      pinged[A.replace(/^.{8}/, String(10_000_000 + index)) as ConversationId] = index;
    }
    clock.advance(25_000);
    expect(Object.keys(wire.of("ping")[1]?.positions ?? {})).toHaveLength(100);
  });

  it("is dead when nothing arrives for a heartbeat and ten seconds", () => {
    const [socket, wire] = opened();
    clock.advance(34_999);
    expect(socket.state.get().at).toBe("open");
    clock.advance(1);
    expect(socket.state.get()).toMatchObject({ at: "waiting", because: { why: "silent" } });
    expect(wire.closedWith).toBe(1000);
  });

  it("takes any frame for life", () => {
    const [socket, wire] = opened();
    for (let turn = 0; turn < 10; turn += 1) {
      clock.advance(30_000);
      wire.says(turn % 2 === 0 ? { type: "presence", user: "u_42", online: true } : { type: "of a newer server" });
    }
    expect(socket.state.get().at).toBe("open");
    clock.advance(35_000);
    expect(socket.state.get().at).toBe("waiting");
  });

  it("notices after a long sleep that time has passed", () => {
    const [socket] = opened();
    clock.advance(3_600_000);
    expect(socket.state.get().at).not.toBe("open");
  });
});

describe("offline", () => {
  it("does not wait for a silent socket to end", () => {
    const [socket, wire] = opened();
    socket.offline();
    expect(socket.state.get()).toMatchObject({ at: "waiting", because: { why: "offline" } });
    expect(wire.closedWith).toBe(1000);
    wire.says({ type: "synced", token: "from the grave" });
    expect(frames).toHaveLength(1);
    socket.retryNow();
    expect(socket.state.get().at).toBe("connecting");
    expect(network.sockets).toHaveLength(2);
  });

  it("probes an open connection when the page is looked at again", () => {
    const [socket, wire] = opened();
    clock.advance(10_000);
    socket.retryNow();
    expect(wire.of("ping")).toHaveLength(1);
    clock.advance(100);
    wire.says({ type: "pong" });
    clock.advance(10_000);
    expect(socket.state.get().at).toBe("open");
    socket.retryNow();
    clock.advance(5_000);
    expect(socket.state.get()).toMatchObject({ at: "waiting", because: { why: "silent" } });
  });
});

describe("resume", () => {
  const again = (socket: ChatSocket) => {
    network.last.ends(1006);
    socket.retryNow();
    network.last.opens();
    return network.last.of("hello")[0]?.resume;
  };

  it("names the epoch, the token and the positions since the token before", () => {
    const [socket, wire] = opened();
    socket.reached(A, 3);
    wire.says({ type: "synced", token: "10" });
    socket.reached(B, 7);
    socket.reached(B, 8);
    expect(again(socket)).toEqual({ epoch: "e1", token: "10", positions: { [A]: 3, [B]: 8 } });
  });

  it("keeps its token over the one that another connection begins with", () => {
    const [socket, wire] = opened();
    wire.says({ type: "synced", token: "10" });
    socket.reached(A, 4);
    expect(again(socket)).toMatchObject({ token: "10" });
    network.last.says(welcome());
    network.last.says({ type: "synced", token: "9" });
    network.last.says({ type: "pong", token: "11" });
    expect(again(socket)).toEqual({ epoch: "e1", token: "11", positions: { [A]: 4 } });
  });

  it("forgets the positions at the second new token, but not a hole", () => {
    const [socket, wire] = opened();
    wire.says({ type: "synced", token: "10" });
    socket.reached(A, 4);
    socket.reached(B, 8);
    holes = { [A]: 4 };
    wire.says({ type: "pong", token: "11" });
    wire.says({ type: "pong", token: "12" });
    expect(again(socket)).toEqual({ epoch: "e1", token: "12", positions: { [A]: 4 } });
  });

  it("keeps a hole that the listener learns of from the very pong that brings the token", () => {
    const [socket, wire] = opened();
    wire.says({ type: "synced", token: "10" });
    socket.reached(A, 4);
    socket.onFrame((frame) => {
      if (frame.type === "pong" && (frame.heads[A] ?? 0) > 4) holes = { [A]: 4 };
    });
    wire.says({ type: "pong", heads: { [A]: 6 }, token: "11" });
    expect(again(socket)?.positions).toEqual({ [A]: 4 });
  });

  it("keeps token and positions at a pong without a token", () => {
    const [socket, wire] = opened();
    wire.says({ type: "synced", token: "10" });
    socket.reached(B, 8);
    wire.says({ type: "pong" });
    expect(again(socket)).toEqual({ epoch: "e1", token: "10", positions: { [B]: 8 } });
  });

  it("starts from nothing in another epoch", () => {
    const [socket, wire] = opened();
    wire.says({ type: "synced", token: "10" });
    socket.reached(A, 4);
    again(socket);
    network.last.says(welcome({ epoch: "e2", resumed: false }));
    expect(socket.resume()).toEqual({ epoch: "e2", positions: {} });
  });

  it("takes up what an earlier page had stored", () => {
    opened({ epoch: "e1", token: "5", positions: { [A]: 2 } });
    expect(network.last.of("hello")[0]?.resume).toEqual({ epoch: "e1", token: "5", positions: { [A]: 2 } });
  });

  it("names no conversation that was left, and no more than the server takes, holes first", () => {
    const [socket, wire] = opened();
    wire.says({ type: "synced", token: "10" });
    socket.reached(A, 1);
    socket.reached(B, 1);
    socket.left(A);
    expect(again(socket)?.positions).toEqual({ [B]: 1 });
    network.last.says(welcome({ limits: { ...(welcome() as { limits: object }).limits, positions_max: 1 } }));
    holes = { [A]: 9 };
    expect(again(socket)?.positions).toEqual({ [A]: 9 });
  });
});

describe("renewal", () => {
  it("renews the live credential when told that it expires", async () => {
    const [socket, wire] = opened();
    wire.says({ type: "expiring", in_ms: 60_000 });
    await settle();
    expect(renewed).toEqual(["t1"]);
    expect(wire.of("auth")).toEqual([{ type: "auth", id: "auth-1", token: "t2" }]);
    expect(socket.state.get().at).toBe("open");
  });

  it("takes the token that another tab has got meanwhile", async () => {
    const [, wire] = opened();
    token = "t9";
    wire.says({ type: "expiring", in_ms: 60_000 });
    await settle();
    expect(renewed).toEqual([]);
    expect(wire.of("auth")).toMatchObject([{ token: "t9" }]);
  });

  it("tries again when the server could not be asked", async () => {
    const [, wire] = opened();
    renewal = { at: "unreachable" };
    wire.says({ type: "expiring", in_ms: 60_000 });
    await settle();
    renewal = { at: "renewed", token: "t2" };
    await clock.advanceAsync(5_000);
    expect(renewed).toHaveLength(2);
    expect(wire.of("auth")).toHaveLength(1);
  });

  it("renews after token_expired and resumes with the new token", async () => {
    const [socket, wire] = opened();
    wire.ends(4002);
    expect(socket.state.get().at).toBe("connecting");
    token = "t2";
    await settle();
    network.last.opens();
    expect(network.sockets).toHaveLength(2);
    expect(network.last.of("hello")).toMatchObject([{ token: "t2" }]);
  });

  it("asks to sign in when the expired token is refused", async () => {
    const [socket, wire] = opened();
    renewal = { at: "refused" };
    wire.ends(4002);
    await settle();
    expect(socket.state.get()).toEqual({ at: "closed", because: { why: "code", code: 4002 } });
  });

  it("waits when the renewal cannot reach the server, and renews again", async () => {
    const [socket, wire] = opened();
    renewal = { at: "unreachable" };
    wire.ends(4002);
    await settle();
    expect(socket.state.get()).toMatchObject({ at: "waiting", because: { code: 4002 } });
    renewal = { at: "renewed", token: "t2" };
    await clock.advanceAsync(2_000);
    expect(renewed).toHaveLength(2);
    expect(network.sockets).toHaveLength(2);
  });
});

describe("drain", () => {
  const draining = (): [ChatSocket, FakeSocket] => {
    const [socket, old] = opened();
    old.says({ type: "synced", token: "10" });
    socket.reached(A, 4);
    old.says({ type: "drain", after_ms: 1830, deadline_ms: 15_000 });
    return [socket, old];
  };

  it("waits, opens a second connection, resumes there, and closes the first behind its last answer", () => {
    const [socket, old] = draining();
    const shown = states.length;
    clock.advance(1_829);
    expect(network.sockets).toHaveLength(1);
    clock.advance(1);
    const next = network.last;
    expect(network.sockets).toHaveLength(2);
    next.opens();
    expect(next.of("hello")[0]?.resume).toEqual({ epoch: "e1", token: "10", positions: { [A]: 4 } });
    next.says(welcome({ session: "s2" }));
    socket.send({ type: "typing", conversation: A, on: true });
    expect(old.of("typing")).toHaveLength(1);
    next.says({ type: "synced", token: "12" });
    socket.send({ type: "typing", conversation: A, on: false });
    expect(next.of("typing")).toHaveLength(1);
    expect(old.closedWith).toBeNull();
    old.says({ type: "done", id: "9" });
    expect(frames.at(-1)).toEqual({ type: "done", id: "9" });
    expect(old.of("ping")).toHaveLength(1);
    old.says({ type: "pong" });
    expect(old.closedWith).toBe(1000);
    expect(next.closedWith).toBeNull();
    expect(states).toHaveLength(shown);
    expect(socket.resume()?.token).toBe("10");
  });

  it("takes no token while there are two connections", () => {
    const [socket, old] = draining();
    clock.advance(1_830);
    const next = network.last;
    next.opens();
    next.says(welcome());
    old.says({ type: "pong", token: "11" });
    next.says({ type: "synced", token: "12" });
    next.says({ type: "pong", token: "13" });
    old.says({ type: "pong", token: "14" });
    expect(socket.resume()).toEqual({ epoch: "e1", token: "10", positions: { [A]: 4 } });
    next.says({ type: "pong", token: "15" });
    next.says({ type: "pong", token: "16" });
    expect(socket.resume()).toEqual({ epoch: "e1", token: "16", positions: {} });
  });

  it("hears both while they overlap", () => {
    const [, old] = draining();
    clock.advance(1_830);
    network.last.opens();
    network.last.says(welcome());
    old.says({ type: "presence", user: "u_1", online: true });
    network.last.says({ type: "presence", user: "u_2", online: true });
    expect(frames.slice(-2)).toMatchObject([{ user: "u_1" }, { user: "u_2" }]);
  });

  it("does not wait forever for the old node", () => {
    const [, old] = draining();
    clock.advance(1_830);
    network.last.opens();
    network.last.says(welcome());
    network.last.says({ type: "synced", token: "12" });
    clock.advance(3_000);
    expect(old.closedWith).toBe(1000);
  });

  it("tries again when the new node refuses, without showing it", () => {
    draining();
    const shown = states.length;
    clock.advance(1_830);
    network.last.ends(1013);
    clock.advance(16_000);
    expect(network.sockets).toHaveLength(3);
    expect(states).toHaveLength(shown);
  });

  it("goes on with the new connection when the old one ends too early", () => {
    const [socket, old] = draining();
    clock.advance(1_830);
    old.ends(1012);
    expect(socket.state.get().at).toBe("connecting");
    network.last.opens();
    network.last.says(welcome());
    expect(socket.state.get().at).toBe("open");
    expect(network.sockets).toHaveLength(2);
  });

  it("shows nothing when the new one was already welcomed", () => {
    const [socket, old] = draining();
    clock.advance(1_830);
    network.last.opens();
    network.last.says(welcome({ session: "s2" }));
    old.ends(1012);
    expect(socket.state.get()).toMatchObject({ at: "open", welcome: { session: "s2" } });
    expect(states.every((state) => state.at !== "waiting")).toBe(true);
  });

  it("is forgotten when the connection ends before the wait is over", () => {
    const [socket, old] = draining();
    old.ends(1012);
    expect(socket.state.get().at).toBe("waiting");
    clock.advance(500);
    network.last.opens();
    network.last.says(welcome());
    clock.advance(5_000);
    expect(network.sockets).toHaveLength(2);
  });
});

describe("listeners", () => {
  it("can end what they asked for", () => {
    const socket = chatSocket();
    const listener = vi.fn();
    const end = socket.onFrame(listener);
    socket.connect();
    network.last.opens();
    network.last.says(welcome());
    end();
    network.last.says({ type: "synced", token: "1" });
    expect(listener).toHaveBeenCalledTimes(1);
  });
});
