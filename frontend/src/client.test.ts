import { beforeEach, describe, expect, it } from "vitest";
import { clientIn } from "./client";
import type { Environment, TabMessage } from "./client/environment";
import type { ChatClient, ConversationId, Timeline, TimelineMessage } from "./model/types";
import { MemoryPersist } from "./persist";
import { BOB, CID, conversationOf, ME } from "./test/build";
import { FakeClock, settle } from "./test/fakeClock";
import { FakeServer, refusal } from "./test/FakeServer";
import { FakeNetwork } from "./test/FakeSocket";
import { Seeded } from "./test/seeded";

let clock: FakeClock;
let network: FakeNetwork;
let server: FakeServer;
let ends: (() => void)[];

/** One browser: what outlives a page, and the pages that share it. */
class Browser {
  readonly storage = new Map<string, string>();
  readonly persist = new MemoryPersist();
  private readonly listeners = new Set<{ tab: number; listener: (message: TabMessage) => void }>();
  private readonly queue: { tab: number; held: () => void; lost: () => void }[] = [];
  private tabs = 0;
  online = true;

  open(): Tab {
    return new Tab(this, (this.tabs += 1));
  }

  post(tab: number, message: TabMessage): void {
    const copy = structuredClone(message);
    // Later, as in a browser: two tabs never see the same moment.
    for (const each of [...this.listeners]) if (each.tab !== tab) clock.after(2, () => this.sleeping.has(each.tab) || each.listener(copy));
  }

  listen(tab: number, listener: (message: TabMessage) => void): () => void {
    const entry = { tab, listener };
    this.listeners.add(entry);
    return () => void this.listeners.delete(entry);
  }

  lead(tab: number, { held, lost }: { held: () => void; lost: () => void }) {
    const entry = { tab, held, lost };
    this.queue.push(entry);
    if (this.queue.length === 1) held();
    return {
      release: () => {
        const at = this.queue.indexOf(entry);
        if (at >= 0) this.queue.splice(at, 1);
        if (at === 0) this.queue[0]?.held();
      },
      steal: () => {
        const at = this.queue.indexOf(entry);
        if (at <= 0) return;
        this.queue.splice(at, 1);
        const [robbed] = this.queue.splice(0, 1, entry);
        if (robbed !== undefined) this.robbed.push(robbed.lost);
        if (robbed !== undefined && !this.sleeping.has(robbed.tab)) this.wake(robbed.tab);
        held();
      },
    };
  }

  /** These hear nothing and do nothing, and hold what they hold. */
  readonly sleeping = new Set<number>();
  private readonly robbed: (() => void)[] = [];

  /** The robbed one hears of it now. */
  wake(tab: number): void {
    this.sleeping.delete(tab);
    for (const robbed of this.robbed.splice(0)) robbed();
  }

  closeTab(tab: number): void {
    for (const each of [...this.listeners]) if (each.tab === tab) this.listeners.delete(each);
    const held = this.queue[0]?.tab === tab;
    this.queue.splice(0, this.queue.length, ...this.queue.filter((each) => each.tab !== tab));
    if (held) this.queue[0]?.held();
  }
}

class Tab {
  readonly client: ChatClient;
  page: Parameters<Environment["page"]["listen"]>[0] | null = null;
  private closed = false;
  private keys = 0;

  constructor(
    private readonly browser: Browser,
    private readonly id: number,
  ) {
    const { storage, persist } = browser;
    this.client = clientIn({
      base: "",
      socketUrl: "ws://chat.test/ws",
      socket: {
        ...network.env,
        // A closed page runs no timers and hears no frames.
        after: (ms, callback) => clock.after(ms, () => this.closed || browser.sleeping.has(id) || callback()),
        openWire: (url, subprotocol, events) =>
          network.env.openWire(url, subprotocol, {
            opened: () => this.closed || events.opened(),
            text: (text) => this.closed || browser.sleeping.has(id) || events.text(text),
            closed: (code) => this.closed || events.closed(code),
          }),
      },
      fetch: (url, init) => (this.closed ? new Promise(() => {}) : server.fetch(url, init)),
      storage: {
        get: (name) => storage.get(name) ?? null,
        set: (name, value) => void storage.set(name, value),
        remove: (name) => void storage.delete(name),
      },
      persist,
      tabs: {
        post: (message) => browser.post(id, message),
        listen: (listener) => browser.listen(id, listener),
        lead: (_user, events) => browser.lead(id, events),
      },
      page: {
        online: () => browser.online,
        listen: (events) => {
          this.page = events;
          return () => {};
        },
      },
      newKey: () => `tab${id}-key${(this.keys += 1)}-${clock.now()}`,
    });
  }

  /** Without a goodbye, like a crash: the server only sees the connection go. */
  close(): void {
    this.closed = true;
    this.browser.closeTab(this.id);
  }

  watch(conversation: ConversationId): void {
    ends.push(this.client.timeline(conversation).subscribe(() => {}));
  }

  timeline(conversation: ConversationId): Timeline {
    return this.client.timeline(conversation).get();
  }

  lines(conversation: ConversationId): string[] {
    return this.timeline(conversation).entries.map((entry) =>
      entry.kind === "message" ? `${entry.text}${entry.state === null ? "" : ` (${entry.state.at})`}` : entry.note.type,
    );
  }

  item(conversation: ConversationId) {
    return this.client.conversations.get().items.find((item) => item.id === conversation);
  }
}

async function signedIn(browser = new Browser(), user: string = ME): Promise<[Tab, Browser]> {
  const tab = browser.open();
  expect(await tab.client.signIn(user, "secret")).toMatchObject({ ok: true });
  await run();
  return [tab, browser];
}

async function reload(tab: Tab, browser: Browser): Promise<Tab> {
  tab.close();
  server.drop(ME);
  const next = browser.open();
  await run();
  return next;
}

const run = (ms = 100) => clock.advanceAsync(ms);
const A = conversationOf(1);
const B = conversationOf(2);

beforeEach(() => {
  for (const end of ends ?? []) end();
  ends = [];
  clock = new FakeClock();
  network = new FakeNetwork(clock);
  network.random = 0.5;
  server = new FakeServer(clock, network);
});

describe("signing in", () => {
  it("shows the conversations, who they are with, and what is unread", async () => {
    const room = server.room(1, [ME, BOB]);
    server.say(room, BOB, "hi");
    server.say(room, BOB, "there");
    const [tab] = await signedIn();
    expect(tab.client.session.get()).toMatchObject({ at: "signed-in", me: { userId: ME } });
    expect(tab.client.connection.get()).toMatchObject({ at: "online", justBack: false });
    expect(tab.client.conversations.get().state).toBe("ready");
    expect(tab.item(A)).toMatchObject({
      name: "Name of u_42",
      peer: BOB,
      unread: 2,
      preview: { text: "there", mine: false },
    });
    expect(tab.client.totalUnread.get()).toBe(2);
    expect(room.members.get(ME)).toMatchObject({ received: 2, read: 0 });
  });

  it("answers a wrong password with a problem", async () => {
    server.unreachable = true;
    const tab = new Browser().open();
    expect(await tab.client.signIn("x", "y")).toMatchObject({ ok: false, problem: { code: "network" } });
    expect(tab.client.session.get()).toEqual({ at: "signed-out", reason: null, name: null });
  });

  it("loads the page of a conversation when somebody looks, and older ones when asked", async () => {
    const room = server.room(1, [ME, BOB]);
    for (let number = 1; number <= 120; number += 1) server.say(room, BOB, `m${number}`);
    const [tab] = await signedIn();
    expect(tab.timeline(A)).toMatchObject({ loaded: false, entries: [] });
    tab.watch(A);
    await run();
    expect(tab.timeline(A)).toMatchObject({ loaded: true, older: "more", head: 120 });
    expect(tab.lines(A)).toHaveLength(50);
    tab.client.loadOlder(A);
    expect(tab.timeline(A).older).toBe("loading");
    tab.client.loadOlder(A);
    await run();
    expect(tab.lines(A)).toHaveLength(100);
    server.unreachable = true;
    tab.client.loadOlder(A);
    await run();
    expect(tab.timeline(A).older).toBe("failed");
    server.unreachable = false;
    tab.client.loadOlder(A);
    await run();
    expect(tab.timeline(A).older).toBe("start-reached");
    expect(tab.lines(A)[0]).toBe("m1");
  });

  it("answers the same timeline object while nothing changed", async () => {
    server.say(server.room(1, [ME, BOB]), BOB, "hi");
    server.room(2, [ME, CID]);
    const [tab] = await signedIn();
    tab.watch(A);
    await run();
    const before = tab.timeline(A);
    server.say(server.rooms.get(conversationOf(2))!, CID, "elsewhere");
    await run();
    expect(tab.timeline(A)).toBe(before);
  });
});

describe("sending", () => {
  it("goes from sending over sent to delivered and read, under one key", async () => {
    const room = server.room(1, [ME, BOB]);
    server.say(room, BOB, "hi");
    const [tab] = await signedIn();
    tab.watch(A);
    await run();
    tab.client.send(A, "hello");
    expect(tab.lines(A)).toEqual(["hi", "hello (queued)"]);
    const { key } = tab.timeline(A).entries[1]!;
    await settle();
    expect(tab.lines(A)).toEqual(["hi", "hello (sending)"]);
    await run();
    expect(tab.lines(A)).toEqual(["hi", "hello (sent)"]);
    server.mark(room, BOB, 2, 0);
    expect(tab.lines(A)).toEqual(["hi", "hello (delivered)"]);
    server.mark(room, BOB, 2, 2);
    expect(tab.lines(A)).toEqual(["hi", "hello (read)"]);
    expect(tab.timeline(A).entries[1]).toMatchObject({ key, seq: 2 });
    expect(await new Browser().persist.sends(ME)).toEqual([]);
  });

  it("is written down before the frame goes out", async () => {
    server.room(1, [ME, BOB]);
    const [tab, browser] = await signedIn();
    const order: string[] = [];
    const put = browser.persist.putSend.bind(browser.persist);
    browser.persist.putSend = async (user, send) => {
      expect(server.sendsSeen).toEqual([]);
      expect(network.last.of("send")).toEqual([]);
      await put(user, send);
      order.push("written");
      browser.persist.putSend = put;
    };
    network.last.onSent = () => order.push("sent");
    tab.client.send(A, "hello");
    await run();
    expect(order.slice(0, 2)).toEqual(["written", "sent"]);
  });

  it("waits for the disk even when the connection comes back in between", async () => {
    server.room(1, [ME, BOB]);
    const [tab, browser] = await signedIn();
    let written = (): void => {};
    browser.persist.putSend = () => new Promise((resolve) => (written = resolve));
    tab.client.send(A, "hello");
    server.drop(ME);
    await run(5_000);
    expect(tab.client.connection.get().at).toBe("online");
    expect(server.sendsSeen).toEqual([]);
    written();
    await run();
    expect(server.sendsSeen).toHaveLength(1);
  });

  it("keeps the order of what is typed fast", async () => {
    const room = server.room(1, [ME, BOB]);
    const [tab] = await signedIn();
    tab.watch(A);
    for (const text of ["one", "two", "three", "four"]) tab.client.send(A, text);
    await run();
    expect(server.texts(room)).toEqual(["one", "two", "three", "four"]);
    expect(tab.lines(A)).toEqual(["one (sent)", "two (sent)", "three (sent)", "four (sent)"]);
  });

  it("repeats under the same key when the answer is lost, and stores it once", async () => {
    const room = server.room(1, [ME, BOB]);
    const [tab] = await signedIn();
    tab.watch(A);
    server.deafToSends = true;
    tab.client.send(A, "hello");
    await run(5_000);
    server.deafToSends = false;
    server.losesAcks = true;
    await run(10_000);
    server.losesAcks = false;
    await run(10_000);
    expect(new Set(server.sendsSeen.map((send) => send.key)).size).toBe(1);
    expect(server.texts(room)).toEqual(["hello"]);
    expect(tab.lines(A)).toEqual(["hello (sent)"]);
  });

  it("fails with a reason, and can be tried again or dropped", async () => {
    const room = server.room(1, [ME, BOB]);
    const [tab] = await signedIn();
    tab.watch(A);
    const problem = { type: "x", code: "forbidden", title: "no", status: 403, detail: "", retryable: false };
    server.refuses = (text) => (text === "bad" ? problem : null);
    tab.client.send(A, "bad");
    tab.client.send(A, "good");
    await run();
    expect(tab.lines(A)).toEqual(["good (sent)", "bad (failed)"]);
    const failed = tab.timeline(A).entries[1] as TimelineMessage;
    expect(failed.state).toEqual({ at: "failed", reason: "forbidden" });
    server.refuses = () => null;
    tab.client.retry(A, failed.key);
    await run();
    expect(tab.lines(A)).toEqual(["good (sent)", "bad (sent)"]);
    expect(server.texts(room)).toEqual(["good", "bad"]);
    server.refuses = () => problem;
    tab.client.send(A, "never mind");
    await run();
    tab.client.discard(A, (tab.timeline(A).entries[2] as TimelineMessage).key);
    expect(tab.lines(A)).toEqual(["good (sent)", "bad (sent)"]);
  });

  it("shows what the same user sends from another device", async () => {
    const room = server.room(1, [ME, BOB]);
    const [tab] = await signedIn();
    tab.watch(A);
    await run();
    server.say(room, ME, "from the phone", "phone-1");
    expect(tab.timeline(A).entries).toMatchObject([{ key: "phone-1", mine: true, state: { at: "sent" } }]);
    expect(tab.item(A)?.unread).toBe(0);
  });
});

describe("changing what was sent", () => {
  const message = (tab: Tab, seq: number): TimelineMessage => {
    const found = tab.timeline(A).entries.find((entry) => entry.seq === seq);
    if (found?.kind !== "message") throw new Error(`no message ${seq}`);
    return found;
  };

  async function talk(texts = ["hi", "there"]): Promise<[Tab, ReturnType<FakeServer["room"]>, Browser]> {
    const room = server.room(1, [ME, BOB]);
    for (const [index, text] of texts.entries()) server.say(room, index % 2 === 0 ? ME : BOB, text);
    const [tab, browser] = await signedIn();
    tab.watch(A);
    await run();
    return [tab, room, browser];
  }

  it("shows an edit at once and keeps it; another user sees it too", async () => {
    const [tab, room] = await talk();
    const [bob] = await signedIn(new Browser(), BOB);
    bob.watch(A);
    const answer = tab.client.amend(A, 1, { type: "edit", text: "hello" });
    expect(message(tab, 1)).toMatchObject({ text: "hello", amending: true });
    await run();
    expect(await answer).toEqual({ ok: true, value: null });
    expect(message(tab, 1)).toMatchObject({ text: "hello", amending: false });
    expect(message(bob, 1)).toMatchObject({ text: "hello" });
    expect(tab.client.versions(A, 1).map(({ text }) => text)).toEqual(["hi", "hello"]);
    expect(room.log.at(-1)).toMatchObject({ from: ME, event: { type: "edited", message: 1, text: "hello" } });
  });

  it("puts emojis on and takes them off in the order of the clicks", async () => {
    const [tab, room] = await talk();
    for (const on of [true, false, true]) void tab.client.amend(A, 2, { type: "react", emoji: "👍", on });
    expect(message(tab, 2).reactions).toEqual([{ emoji: "👍", users: [ME], mine: true }]);
    await run();
    expect(room.log.slice(2).map(({ event }) => event["type"])).toEqual(["reacted", "unreacted", "reacted"]);
    server.append(room, { from: BOB, event: { type: "reacted", message: 2, emoji: "👍" } });
    await run();
    expect(message(tab, 2).reactions).toEqual([{ emoji: "👍", users: [ME, BOB], mine: true }]);
  });

  it("says done for what is so already, and forgets it", async () => {
    const [tab, room] = await talk();
    server.append(room, { from: ME, event: { type: "reacted", message: 2, emoji: "👍" } }, true);
    const answer = tab.client.amend(A, 2, { type: "react", emoji: "👍", on: true });
    await run();
    expect(await answer).toMatchObject({ ok: true });
    await run(5_000);
    expect(message(tab, 2).amending).toBe(false);
  });

  it("takes back what is refused and says why", async () => {
    const [tab] = await talk();
    server.refusesAmendments = () => refusal(403, "forbidden");
    const changes = [{ type: "edit", text: "x" }, { type: "delete" }, { type: "react", emoji: "👍", on: true }, { type: "pin", on: true }] as const;
    const before = message(tab, 1);
    for (const change of changes) {
      const answer = tab.client.amend(A, 1, change);
      expect(message(tab, 1)).toMatchObject({ amending: true });
      await run();
      expect(await answer).toMatchObject({ ok: false, problem: { code: "forbidden" } });
      expect(message(tab, 1)).toEqual(before);
    }
  });

  it("leaves a tombstone, for which nothing is refused any more", async () => {
    const [tab, room] = await talk();
    void tab.client.amend(A, 1, { type: "edit", text: "secret" });
    await run();
    const answer = tab.client.amend(A, 1, { type: "delete" });
    expect(message(tab, 1)).toMatchObject({ deleted: true, text: "" });
    await run();
    expect(await answer).toMatchObject({ ok: true });
    expect(message(tab, 1)).toMatchObject({ deleted: true, amending: false });
    expect(tab.client.versions(A, 1)).toEqual([]);
    expect(server.texts(room)).toEqual(["erased", "there", "erased", "deleted"]);
    expect(await Promise.race([tab.client.amend(A, 1, { type: "delete" }), run(1_000)])).toMatchObject({ ok: true });
  });

  it("waits for the connection, and is made once when only the answer was lost", async () => {
    const [tab, room] = await talk();
    server.losesAcks = true;
    server.unreachable = true;
    server.drop(ME);
    const answer = tab.client.amend(A, 1, { type: "pin", on: true });
    expect(message(tab, 1)).toMatchObject({ pinned: true, amending: true });
    await run(3_000);
    server.unreachable = false;
    await run(30_000);
    expect(await answer).toMatchObject({ ok: true });
    expect(room.log.filter(({ event }) => event["type"] === "pinned")).toHaveLength(1);
    expect(message(tab, 1)).toMatchObject({ pinned: true, amending: false });
  });

  it("goes out again at once on the next connection when the last one took it along", async () => {
    const [tab, room] = await talk();
    server.deafToSends = true;
    void tab.client.amend(A, 1, { type: "edit", text: "hello" });
    await run();
    expect(server.amendmentsSeen).toEqual(["edit"]);
    server.drop(ME);
    server.deafToSends = false;
    await run(3_000);
    expect(room.log.at(-1)?.event).toMatchObject({ type: "edited", text: "hello" });
    expect(message(tab, 1)).toMatchObject({ text: "hello", amending: false });
  });

  it("gives up when nobody answers", async () => {
    const [tab] = await talk();
    server.deafToSends = true;
    const answer = tab.client.amend(A, 1, { type: "edit", text: "x" });
    await run(31_000);
    expect(await answer).toMatchObject({ ok: false, problem: { code: "unanswered" } });
    expect(server.amendmentsSeen).toEqual(["edit", "edit", "edit"]);
    expect(message(tab, 1)).toMatchObject({ text: "hi", amending: false });
  });

  it("answers a message, also when that waits in the outbox over a reload", async () => {
    const [tab, room, browser] = await talk();
    server.unreachable = true;
    server.drop(ME);
    tab.client.send(A, "me too", 2);
    await run();
    expect(tab.timeline(A).entries.at(-1)).toMatchObject({ text: "me too", quote: { seq: 2, from: BOB, text: "there", state: "said" } });
    const again = await reload(tab, browser);
    again.watch(A);
    server.unreachable = false;
    await run(30_000);
    expect(room.log.at(-1)?.event).toEqual({ type: "message", text: "me too", reply_to: 2 });
    expect(again.timeline(A).entries.at(-1)).toMatchObject({ text: "me too", quote: { seq: 2, text: "there" } });
  });

  it("fails an answer to what was deleted meanwhile", async () => {
    const [tab, room] = await talk();
    tab.client.send(A, "me too", 2);
    room.log[1]!.event = { type: "erased" };
    await run();
    expect(tab.timeline(A).entries.at(-1)).toMatchObject({ text: "me too", state: { at: "failed" } });
  });

  it("fetches what is quoted from far back, and goes there when asked", async () => {
    const room = server.room(1, [ME, BOB]);
    for (let number = 1; number <= 180; number += 1) server.say(room, BOB, `m${number}`);
    server.append(room, { from: BOB, event: { type: "edited", message: 3, text: "m3, edited" } });
    server.append(room, { from: BOB, event: { type: "message", text: "see above", reply_to: 3 } });
    const [tab] = await signedIn();
    tab.watch(A);
    await run();
    expect(tab.timeline(A).entries.at(-1)).toMatchObject({ quote: { seq: 3, from: BOB, text: "m3, edited", state: "said" } });
    expect(server.requests.filter((request) => request.endsWith("/messages"))).toHaveLength(1);
    const reached = tab.client.reach(A, 3);
    await run();
    expect(await reached).toEqual({ ok: true, value: null });
    expect(message(tab, 3)).toMatchObject({ text: "m3, edited" });
    expect(await tab.client.reach(A, 500)).toMatchObject({ ok: false, problem: { code: "message_gone" } });
  });

  it("says so when the way back is cut", async () => {
    const room = server.room(1, [ME, BOB]);
    for (let number = 1; number <= 180; number += 1) server.say(room, BOB, `m${number}`);
    const [tab] = await signedIn();
    tab.watch(A);
    await run();
    server.unreachable = true;
    const reached = tab.client.reach(A, 3);
    await run();
    expect(await reached).toMatchObject({ ok: false, problem: { code: "network" } });
  });

  it("lists the pins as they are now, loaded or not", async () => {
    const room = server.room(1, [ME, BOB]);
    for (let number = 1; number <= 100; number += 1) server.say(room, BOB, `m${number}`);
    for (const seq of [2, 4, 99]) server.append(room, { from: BOB, event: { type: "pinned", message: seq } });
    const [tab] = await signedIn();
    tab.watch(A);
    await run();
    const pins = () => tab.client.pins(A).get().messages.map(({ text }) => text);
    expect(tab.client.pins(A).get().state).toBe("loading");
    ends.push(tab.client.pins(A).subscribe(() => {}));
    await run();
    expect(tab.client.pins(A).get().state).toBe("ready");
    expect(pins()).toEqual(["m99", "m4", "m2"]);
    void tab.client.amend(A, 99, { type: "pin", on: false });
    expect(pins()).toEqual(["m4", "m2"]);
    await run();
    server.append(room, { from: BOB, event: { type: "pinned", message: 98 } });
    server.append(room, { from: BOB, event: { type: "pinned", message: 5 } });
    await run();
    expect(pins()).toEqual(["m98", "m5", "m4", "m2"]);
  });
});

describe("losing the connection", () => {
  it("queues, says so, and sends in order when it is back", async () => {
    const room = server.room(1, [ME, BOB]);
    const [tab, browser] = await signedIn();
    tab.watch(A);
    await run();
    browser.online = false;
    tab.page?.offline();
    server.unreachable = true;
    tab.client.send(A, "one");
    tab.client.send(A, "two");
    await run(60_000);
    expect(tab.client.connection.get()).toEqual({ at: "offline", waitingSends: 2 });
    expect(tab.lines(A)).toEqual(["one (queued)", "two (queued)"]);
    server.unreachable = false;
    browser.online = true;
    tab.page?.online();
    await run();
    expect(tab.client.connection.get()).toMatchObject({ at: "online", justBack: true });
    expect(server.texts(room)).toEqual(["one", "two"]);
    expect(tab.lines(A)).toEqual(["one (sent)", "two (sent)"]);
    await run(2_000);
    expect(tab.client.connection.get()).toMatchObject({ at: "online", justBack: false });
  });

  it("says when the server cannot be reached, and when it tries again", async () => {
    const [tab] = await signedIn();
    server.unreachable = true;
    server.drop(ME);
    expect(tab.client.connection.get()).toMatchObject({ at: "connecting" });
    await run(2_000);
    const view = tab.client.connection.get();
    expect(view).toMatchObject({ at: "unreachable", waitingSends: 0 });
    server.unreachable = false;
    tab.client.retryConnection();
    await run();
    expect(tab.client.connection.get().at).toBe("online");
  });

  it("a send whose answer was lost with the connection is stored once", async () => {
    const room = server.room(1, [ME, BOB]);
    const [tab] = await signedIn();
    tab.watch(A);
    server.losesAcks = true;
    tab.client.send(A, "hello");
    await settle();
    clock.advance(0);
    server.drop(ME);
    server.losesAcks = false;
    await run(5_000);
    expect(server.texts(room)).toEqual(["hello"]);
    expect(tab.lines(A)).toEqual(["hello (sent)"]);
  });

  it("brings what was missed, in order and once", async () => {
    const room = server.room(1, [ME, BOB]);
    server.say(room, BOB, "1");
    const [tab] = await signedIn();
    tab.watch(A);
    await run();
    server.unreachable = true;
    server.drop(ME);
    for (const text of ["2", "3", "4"]) server.say(room, BOB, text);
    server.unreachable = false;
    await run(5_000);
    expect(tab.lines(A)).toEqual(["1", "2", "3", "4"]);
    expect(tab.item(A)?.unread).toBe(4);
  });

  it("mends a hole with sync as soon as it shows", async () => {
    const room = server.room(1, [ME, BOB]);
    server.say(room, BOB, "1");
    const [tab] = await signedIn();
    tab.watch(A);
    await run();
    server.whisper(room, BOB, "2");
    server.whisper(room, BOB, "3");
    server.say(room, BOB, "4");
    expect(tab.lines(A)).toEqual(["1"]);
    await run();
    expect(network.last.of("sync")).toEqual([{ type: "sync", conversation: A, after: 1 }]);
    expect(tab.lines(A)).toEqual(["1", "2", "3", "4"]);
    expect(tab.item(A)?.unread).toBe(4);
  });

  it("finds a hole at the end by the heartbeat", async () => {
    const room = server.room(1, [ME, BOB]);
    server.say(room, BOB, "1");
    const [tab] = await signedIn();
    tab.watch(A);
    await run();
    server.whisper(room, BOB, "2");
    await run(25_000);
    expect(tab.lines(A)).toEqual(["1", "2"]);
  });

  it("finds what happened between the list and the start of the stream", async () => {
    const room = server.room(1, [ME, BOB]);
    server.say(room, BOB, "1");
    const list = server.fetch;
    const tab = new Browser().open();
    let said = false;
    Object.assign(server, {
      fetch: async (url: string, init: RequestInit) => {
        const answer = await list(url, init);
        if (url.startsWith("/conversations?") && !said) {
          said = true;
          server.whisper(room, BOB, "2");
        }
        return answer;
      },
    });
    await tab.client.signIn(ME, "secret");
    await run();
    expect(tab.item(A)).toMatchObject({ unread: 2, preview: { text: "2" } });
  });
});

describe("reset, another epoch, leaving", () => {
  it("drops the run after a reset and loads the newest page again", async () => {
    const room = server.room(1, [ME, BOB]);
    server.say(room, BOB, "old");
    const [tab] = await signedIn();
    tab.watch(A);
    await run();
    server.replayMax = 5;
    server.unreachable = true;
    server.drop(ME);
    for (let number = 0; number < 80; number += 1) server.say(room, BOB, `m${number}`);
    server.unreachable = false;
    await run(5_000);
    expect(tab.lines(A)).toHaveLength(50);
    expect(tab.lines(A).at(-1)).toBe("m79");
    expect(tab.timeline(A).older).toBe("more");
    expect(tab.item(A)?.unread).toBe(81);
    server.say(room, BOB, "live");
    expect(tab.lines(A).at(-1)).toBe("live");
    tab.client.loadOlder(A);
    await run();
    expect(tab.lines(A)[0]).toBe("old");
  });

  it("drops everything of another epoch and loads it again, but keeps what is unsent", async () => {
    const room = server.room(1, [ME, BOB]);
    for (const text of ["1", "2", "3"]) server.say(room, BOB, text);
    const [tab] = await signedIn();
    tab.watch(A);
    await run();
    server.unreachable = true;
    server.drop(ME);
    tab.client.send(A, "mine");
    server.epoch = "e2";
    room.log.splice(1);
    server.say(room, BOB, "another 2");
    server.unreachable = false;
    await run(5_000);
    expect(tab.lines(A)).toEqual(["1", "another 2", "mine (sent)"]);
    expect(tab.item(A)).toMatchObject({ preview: { text: "mine" } });
    server.say(room, BOB, "and on");
    expect(tab.lines(A).at(-1)).toBe("and on");
  });

  it("forgets a conversation that was left, and knows it again when added", async () => {
    const room = server.room(1, [ME, BOB, CID], "group");
    server.say(room, BOB, "1");
    const [tab] = await signedIn();
    tab.watch(A);
    await run();
    expect(await tab.client.leave(A)).toEqual({ ok: true, value: null });
    expect(tab.client.conversations.get()).toEqual({ items: [], state: "ready" });
    expect(tab.lines(A)).toEqual([]);
    room.members.set(ME, { role: "member", received: 0, read: 0 });
    server.append(room, { from: BOB, event: { type: "added", users: [ME] } }, true);
    for (const stored of room.log) server.tell(ME, { type: "event", ...stored });
    await run();
    expect(tab.item(A)).toMatchObject({ kind: "group", name: "Boats", memberCount: 3 });
    expect(tab.lines(A)).toEqual(["1", "left", "added"]);
  });

  it("knows a conversation that begins while it looks on", async () => {
    const [tab] = await signedIn();
    expect(tab.client.conversations.get()).toEqual({ items: [], state: "ready" });
    const room = server.room(1, [ME, BOB]);
    server.append(room, { from: BOB, event: { type: "created", kind: "direct", members: [ME, BOB] } });
    server.say(room, BOB, "hi");
    await run();
    expect(tab.item(A)).toMatchObject({ unread: 1, preview: { text: "hi" }, name: "Name of u_42" });
    tab.watch(A);
    await run();
    expect(tab.lines(A)).toEqual(["created", "hi"]);
  });
});

describe("markers and signals", () => {
  it("marks as received what arrives, at most once a second for a conversation", async () => {
    const room = server.room(1, [ME, BOB]);
    await signedIn();
    await run(2_000);
    const before = network.last.of("mark").length;
    for (let number = 0; number < 10; number += 1) {
      server.say(room, BOB, `m${number}`);
      await run(50);
    }
    await run(2_000);
    expect(network.last.of("mark").length - before).toBe(2);
    expect(room.members.get(ME)).toMatchObject({ received: 10, read: 0 });
  });

  it("marks as read what was seen, also when that was offline", async () => {
    const room = server.room(1, [ME, BOB]);
    for (const text of ["1", "2", "3"]) server.say(room, BOB, text);
    const [tab] = await signedIn();
    tab.watch(A);
    await run();
    tab.client.markRead(A, 2);
    expect(tab.item(A)?.unread).toBe(1);
    expect(tab.timeline(A).read).toBe(2);
    await run(2_000);
    expect(room.members.get(ME)?.read).toBe(2);
    server.unreachable = true;
    server.drop(ME);
    tab.client.markRead(A, 3);
    tab.client.markRead(A, 1);
    server.unreachable = false;
    await run(5_000);
    expect(room.members.get(ME)?.read).toBe(3);
    expect(tab.client.totalUnread.get()).toBe(0);
  });

  it("repeats a mark that may have been lost with the connection", async () => {
    const room = server.room(1, [ME, BOB]);
    for (const text of ["1", "2", "3"]) server.say(room, BOB, text);
    const [tab] = await signedIn();
    await run(2_000);
    tab.client.markRead(A, 3);
    expect(network.last.of("mark").at(-1)).toEqual({ type: "mark", conversation: A, read: 3 });
    server.drop(ME);
    expect(room.members.get(ME)?.read).toBe(0);
    await run(5_000);
    expect(room.members.get(ME)?.read).toBe(3);
  });

  it("follows what is read on another device", async () => {
    const room = server.room(1, [ME, BOB]);
    for (const text of ["1", "2", "3"]) server.say(room, BOB, text);
    const [tab] = await signedIn();
    server.mark(room, ME, 3, 3);
    expect(tab.item(A)?.unread).toBe(0);
  });

  it("watches the peers of the listed conversations", async () => {
    server.room(1, [ME, BOB]);
    server.room(2, [ME, BOB, CID], "group");
    const [tab] = await signedIn();
    expect(network.last.of("watch").at(-1)).toEqual({ type: "watch", users: [BOB] });
    server.tell(ME, { type: "presence", user: BOB, online: true });
    expect(tab.item(A)?.online).toBe(true);
    server.drop(ME);
    await run(2_000);
    expect(network.last.of("watch")).toEqual([{ type: "watch", users: [BOB] }]);
    expect(tab.item(A)?.online).toBe(false);
  });

  it("does not say who is here when it has not known for a while", async () => {
    server.room(1, [ME, BOB]);
    const [tab, browser] = await signedIn();
    server.tell(ME, { type: "presence", user: BOB, online: true });
    browser.online = false;
    tab.page?.offline();
    server.unreachable = true;
    await run(1_900);
    expect(tab.item(A)?.online).toBe(true);
    await run(200);
    expect(tab.item(A)?.online).toBe(false);
  });

  it("shows who types until that ends, is taken back, or a message comes", async () => {
    const room = server.room(1, [ME, BOB]);
    const [tab] = await signedIn();
    const typing = (on: boolean) => server.tell(ME, { type: "typing", conversation: A, user: BOB, on });
    typing(true);
    expect(tab.item(A)?.typing).toEqual(["Name of u_42"]);
    await run(6_000);
    expect(tab.item(A)?.typing).toEqual([]);
    typing(true);
    typing(false);
    expect(tab.item(A)?.typing).toEqual([]);
    typing(true);
    server.say(room, BOB, "done");
    expect(tab.item(A)?.typing).toEqual([]);
  });

  it("repeats an own typing signal no more often than the server wants", async () => {
    server.room(1, [ME, BOB]);
    const [tab] = await signedIn();
    for (let turn = 0; turn < 31; turn += 1) {
      tab.client.setTyping(A, true);
      await run(100);
    }
    tab.client.setTyping(A, false);
    tab.client.setTyping(A, false);
    await run();
    expect(network.last.of("typing").map((frame) => frame.on)).toEqual([true, true, false]);
  });

  it("lists the members with their markers, and follows them", async () => {
    const room = server.room(1, [ME, BOB, CID], "group");
    server.say(room, ME, "1", "k");
    const [tab] = await signedIn();
    ends.push(tab.client.members(A).subscribe(() => {}));
    await run();
    expect(tab.client.members(A).get().map((member) => member.user)).toEqual([BOB, CID, ME]);
    server.mark(room, BOB, 1, 1);
    expect(tab.client.members(A).get()[0]?.marker).toEqual({ received: 1, read: 1 });
    server.append(room, { from: CID, event: { type: "left" } });
    expect(tab.client.members(A).get()).toHaveLength(2);
  });
});

describe("reload", () => {
  it("shows the cache at once, sends what was queued under the old keys, and brings what was missed", async () => {
    const room = server.room(1, [ME, BOB]);
    server.say(room, BOB, "1");
    const browser = new Browser();
    let [tab] = await signedIn(browser);
    tab.watch(A);
    await run(2_000);
    server.unreachable = true;
    server.drop(ME);
    tab.client.send(A, "queued");
    await run();
    const { key } = tab.timeline(A).entries[1]!;
    tab.close();
    server.whisper(room, BOB, "2");
    tab = browser.open();
    await run();
    expect(tab.client.session.get().at).toBe("signed-in");
    expect(tab.item(A)).toMatchObject({ name: "Name of u_42", preview: { text: "queued", mine: true } });
    expect(tab.lines(A)).toEqual(["1", "queued (queued)"]);
    expect(tab.timeline(A)).toMatchObject({ loaded: true });
    server.unreachable = false;
    tab.watch(A);
    await run(5_000);
    expect(tab.lines(A)).toEqual(["1", "2", "queued (sent)"]);
    expect(room.log[2]).toMatchObject({ key });
    expect(tab.item(A)?.unread).toBe(2);
    expect(await browser.persist.sends(ME)).toEqual([]);
  });

  it("in the middle of a send whose answer was lost stores it once and shows it once", async () => {
    const room = server.room(1, [ME, BOB]);
    const browser = new Browser();
    let [tab] = await signedIn(browser);
    tab.watch(A);
    server.losesAcks = true;
    tab.client.send(A, "hello");
    await settle();
    clock.advance(0);
    expect(server.texts(room)).toEqual(["hello"]);
    server.losesAcks = false;
    tab = await reload(tab, browser);
    tab.watch(A);
    await run(15_000);
    expect(server.texts(room)).toEqual(["hello"]);
    expect(tab.lines(A)).toEqual(["hello (sent)"]);
    expect(await browser.persist.sends(ME)).toEqual([]);
  });

  it("does not show again what had arrived long before", async () => {
    const room = server.room(1, [ME, BOB]);
    const browser = new Browser();
    let [tab] = await signedIn(browser);
    server.losesAcks = true;
    tab.client.send(A, "hello");
    await settle();
    clock.advance(0);
    server.losesAcks = false;
    for (let number = 0; number < 60; number += 1) server.whisper(room, BOB, `m${number}`);
    tab = await reload(tab, browser);
    await run(15_000);
    tab.watch(A);
    await run();
    expect(tab.lines(A).at(-1)).toBe("m59");
  });

  it("keeps drafts, at once", async () => {
    server.room(1, [ME, BOB]);
    const [first, browser] = await signedIn();
    first.client.setDraft(A, "half a thou");
    expect(first.item(A)?.draft).toBe("half a thou");
    first.close();
    const second = browser.open();
    expect(second.client.draft(A)).toBe("half a thou");
    await run();
    second.client.setDraft(A, "");
    expect(second.item(A)?.draft).toBeNull();
  });
});

describe("the end of a session", () => {
  it("tells why and for whom, and sends what is left after signing in again", async () => {
    const room = server.room(1, [ME, BOB]);
    const [tab] = await signedIn();
    tab.watch(A);
    tab.client.setDraft(A, "draft");
    server.deafToSends = true;
    tab.client.send(A, "unsent");
    await run();
    server.revoke(ME);
    expect(tab.client.session.get()).toEqual({
      at: "signed-out",
      reason: "revoked",
      name: ME,
    });
    expect(tab.client.connection.get()).toMatchObject({ at: "stopped", reason: "signed-out" });
    expect(tab.client.conversations.get().items).toEqual([]);
    server.deafToSends = false;
    await tab.client.signIn(ME, "secret");
    await run();
    expect(server.texts(room)).toEqual(["unsent"]);
    expect(tab.client.draft(A)).toBe("draft");
    expect(tab.lines(A)).toEqual(["unsent (sent)"]);
  });

  it("does not send it as somebody else", async () => {
    const room = server.room(1, [ME, BOB]);
    const [tab] = await signedIn();
    server.deafToSends = true;
    tab.client.send(A, "unsent");
    tab.client.setDraft(A, "draft");
    await run();
    server.revoke(ME);
    server.deafToSends = false;
    await tab.client.signIn(BOB, "secret");
    await run();
    expect(server.texts(room)).toEqual([]);
    expect(tab.client.draft(A)).toBe("");
  });

  it("is noticed over HTTP as well", async () => {
    server.room(1, [ME, BOB]);
    const [tab] = await signedIn();
    server.drop(ME);
    server.revoke(ME);
    await tab.client.searchPeople("b");
    expect(tab.client.session.get()).toMatchObject({ at: "signed-out", reason: "ended" });
  });

  it("by one's own wish asks first when something is unsent, and leaves nothing behind", async () => {
    server.room(1, [ME, BOB]);
    const [tab, browser] = await signedIn();
    tab.client.setDraft(A, "draft");
    await run(2_000);
    server.deafToSends = true;
    tab.client.send(A, "unsent");
    await run();
    expect(await tab.client.signOut({ discard: false })).toMatchObject({ ok: false, problem: { code: "unsent" } });
    expect(tab.client.session.get().at).toBe("signed-in");
    expect(await tab.client.signOut({ discard: true })).toEqual({ ok: true, value: null });
    await run(60_000);
    expect(tab.client.session.get()).toEqual({ at: "signed-out", reason: null, name: null });
    expect([...browser.storage]).toEqual([]);
    expect(await browser.persist.sends(ME)).toEqual([]);
    expect((await browser.persist.cache(ME)).conversations).toEqual([]);
    expect(server.requests.at(-1)).toBe("POST /user/logout");
  });
});

describe("several tabs", () => {
  const two = async (): Promise<[Tab, Tab, Browser]> => {
    const [first, browser] = await signedIn();
    const second = browser.open();
    await run();
    return [first, second, browser];
  };

  it("only the one that holds the lock sends; both show it", async () => {
    const room = server.room(1, [ME, BOB]);
    const [first, second] = await two();
    first.watch(A);
    second.watch(A);
    second.client.send(A, "from the second");
    await run();
    expect(server.texts(room)).toEqual(["from the second"]);
    expect(server.sendsSeen).toHaveLength(1);
    expect(network.sockets).toHaveLength(1);
    expect(network.sockets[0]?.of("send")).toHaveLength(1);
    expect(first.lines(A)).toEqual(["from the second (sent)"]);
    expect(second.lines(A)).toEqual(["from the second (sent)"]);
  });

  it("the next one takes over when it is closed", async () => {
    const room = server.room(1, [ME, BOB]);
    const [first, second] = await two();
    second.watch(A);
    server.deafToSends = true;
    first.client.send(A, "one");
    await run(1);
    second.client.send(A, "two");
    await run();
    expect(second.lines(A)).toEqual(["one (sending)", "two (queued)"]);
    server.deafToSends = false;
    first.close();
    await run();
    await run(15_000);
    expect(server.texts(room)).toEqual(["one", "two"]);
    expect(second.lines(A)).toEqual(["one (sent)", "two (sent)"]);
  });

  it("have one connection, and each has every message once, in order", async () => {
    const room = server.room(1, [ME, BOB]);
    const other = server.room(2, [ME, BOB]);
    const [first, second, browser] = await two();
    for (const tab of [first, second]) tab.watch(A);
    server.say(room, BOB, "one");
    server.say(other, BOB, "elsewhere");
    await run();
    const third = browser.open();
    third.watch(A);
    server.say(room, BOB, "two");
    await run();
    second.client.send(A, "mine");
    server.say(room, BOB, "three");
    await run();
    expect(network.sockets).toHaveLength(1);
    const said = server.texts(room);
    expect(said).toHaveLength(4);
    for (const tab of [first, second, third]) {
      expect(tab.lines(A).map((line) => line.replace(" (sent)", ""))).toEqual(said);
      expect(tab.item(B)).toMatchObject({ unread: 1, preview: { text: "elsewhere" } });
    }
  });

  it("share what was read, whichever read it", async () => {
    const room = server.room(1, [ME, BOB]);
    const [first, second] = await two();
    for (const tab of [first, second]) tab.watch(A);
    for (const reader of [second, first]) {
      server.say(room, BOB, "hello");
      await run();
      for (const tab of [first, second]) expect(tab.item(A)?.unread).toBe(1);
      reader.client.markRead(A, room.log.length);
      await run(2_000);
      for (const tab of [first, second]) expect(tab.item(A)?.unread).toBe(0);
      expect(room.members.get(ME)).toMatchObject({ read: room.log.length });
    }
  });

  it("a change of a message made in one that follows is answered there", async () => {
    const room = server.room(1, [ME, BOB]);
    server.say(room, ME, "mine");
    const [first, second] = await two();
    for (const tab of [first, second]) tab.watch(A);
    await run();
    const answers = [first, second].map((tab, index) => tab.client.amend(A, 1, { type: "react", emoji: index === 0 ? "👍" : "🎉", on: true }));
    await run();
    expect(await Promise.all(answers)).toEqual([{ ok: true, value: null }, { ok: true, value: null }]);
    server.refusesAmendments = () => refusal(403, "forbidden");
    const refused = second.client.amend(A, 1, { type: "delete" });
    await run();
    expect(await refused).toMatchObject({ ok: false, problem: { code: "forbidden" } });
  });

  it("the next one takes the connection over when the first is closed, and misses nothing", async () => {
    const room = server.room(1, [ME, BOB]);
    const [first, second, browser] = await two();
    const third = browser.open();
    for (const tab of [second, third]) tab.watch(A);
    server.say(room, BOB, "before");
    await run();
    first.close();
    server.say(room, BOB, "between");
    await run(30_000);
    server.say(room, BOB, "after");
    await run();
    for (const tab of [second, third]) {
      expect(tab.lines(A)).toEqual(["before", "between", "after"]);
      expect(tab.item(A)?.unread).toBe(3);
      expect(tab.client.connection.get().at).toBe("online");
    }
    expect(network.sockets).toHaveLength(2);
  });

  it("one that froze with the connection loses it to another, and follows when it wakes", async () => {
    const room = server.room(1, [ME, BOB]);
    const [first, second, browser] = await two();
    for (const tab of [first, second]) tab.watch(A);
    browser.sleeping.add(1);
    server.say(room, BOB, "while it slept");
    await run(1_000);
    expect(second.lines(A)).toEqual([]);
    await run(60_000);
    expect(second.lines(A)).toEqual(["while it slept"]);
    second.client.send(A, "answered");
    await run();
    expect(server.texts(room)).toEqual(["while it slept", "answered"]);
    browser.wake(1);
    await run(60_000);
    server.say(room, BOB, "good morning");
    await run();
    for (const tab of [first, second]) expect(tab.lines(A)).toEqual(["while it slept", "answered (sent)", "good morning"]);
  });

  it("one that goes into the memory of the Back button leaves the connection to others", async () => {
    const room = server.room(1, [ME, BOB]);
    const [first, second] = await two();
    for (const tab of [first, second]) tab.watch(A);
    first.page?.frozen();
    await run();
    server.say(room, BOB, "meanwhile");
    await run();
    expect(second.lines(A)).toEqual(["meanwhile"]);
    expect(first.lines(A)).toEqual([]);
    first.page?.thawed();
    await run();
    expect(first.lines(A)).toEqual(["meanwhile"]);
    expect(first.client.connection.get().at).toBe("online");
  });

  it("notifications are told by one of them, of what nobody looks at", async () => {
    const room = server.room(1, [ME, BOB]);
    const [first, second] = await two();
    const told: string[] = [];
    for (const [index, tab] of [first, second].entries()) tab.client.onIncoming(({ text }) => told.push(`${index}: ${text}`));
    server.say(room, BOB, "one");
    await run();
    second.client.attend(A);
    await run();
    server.say(room, BOB, "two");
    await run();
    second.client.attend(null);
    await run();
    server.say(room, BOB, "three");
    await run();
    expect(told).toEqual(["0: one", "0: three"]);
  });

  it("share failures and the wish to try again", async () => {
    const room = server.room(1, [ME, BOB]);
    const [, second] = await two();
    second.watch(A);
    server.refuses = () => ({ type: "x", code: "forbidden", title: "no", status: 403, detail: "", retryable: false });
    second.client.send(A, "bad");
    await run();
    expect(second.lines(A)).toEqual(["bad (failed)"]);
    server.refuses = () => null;
    second.client.retry(A, second.timeline(A).entries[0]!.key);
    await run();
    expect(server.texts(room)).toEqual(["bad"]);
    expect(second.lines(A)).toEqual(["bad (sent)"]);
  });

  it("share drafts, sign-out and sign-in", async () => {
    server.room(1, [ME, BOB]);
    const [first, second] = await two();
    first.client.setDraft(A, "half");
    await run();
    expect(second.client.draft(A)).toBe("half");
    await first.client.signOut({ discard: true });
    await run();
    expect(second.client.session.get()).toEqual({ at: "signed-out", reason: null, name: null });
    await first.client.signIn(ME, "secret");
    await run();
    expect(second.client.session.get()).toMatchObject({ at: "signed-in", me: { userId: ME } });
    expect(second.client.draft(A)).toBe("");
  });
});

describe("whatever happens", () => {
  it.each(Array.from({ length: 25 }, (_, seed) => seed + 1))(
    "after quiet the client shows the log exactly once and in order (seed %i)",
    async (seed) => {
      const random = new Seeded(seed);
      const room = server.room(1, [ME, BOB]);
      const browser = new Browser();
    let [tab] = await signedIn(browser);
      tab.watch(A);
      let typed = 0;
      for (let turn = 0; turn < 40; turn += 1) {
        switch (random.below(8)) {
          case 0:
            server.say(room, BOB, `bob ${turn}`);
            break;
          case 1:
            server.whisper(room, BOB, `lost ${turn}`);
            break;
          case 2:
          case 3:
            tab.client.send(A, `me ${(typed += 1)}`);
            break;
          case 4:
            server.drop(ME);
            break;
          case 5:
            server.losesAcks = !server.losesAcks;
            break;
          case 6:
            server.unreachable = random.chance(50);
            break;
          case 7:
            if (random.chance(30)) {
              await settle();
              tab = await reload(tab, browser);
              tab.watch(A);
            }
            break;
        }
        await run(random.below(3_000));
      }
      server.unreachable = false;
      server.losesAcks = false;
      await run(120_000);
      for (const entry of tab.timeline(A).entries) {
        if (entry.kind === "message" && entry.state?.at === "failed") tab.client.retry(A, entry.key);
      }
      await run(120_000);
      const shown = tab.timeline(A).entries.map((entry) => (entry.kind === "message" ? entry.text : entry.note.type));
      expect(shown).toEqual(server.texts(room));
      const mine = room.log.filter((stored) => stored.from === ME).map((stored) => stored.event["text"]);
      expect(mine).toHaveLength(typed);
      expect(new Set(mine).size).toBe(typed);
      expect(tab.item(A)?.unread).toBe(room.log.filter((stored) => stored.from === BOB).length);
      expect(await browser.persist.sends(ME)).toEqual([]);
    },
  );
});
