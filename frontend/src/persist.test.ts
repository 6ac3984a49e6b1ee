import "fake-indexeddb/auto";
import { describe, expect, it } from "vitest";
import { summaryOf } from "./model/conversations";
import type { Send } from "./model/outbox";
import { MemoryPersist, openPersist } from "./persist";
import { A, B, BOB, direct, events, key, ME, T0 } from "./test/build";

const send = (name: string, at = 0): Send => ({
  key: key(name),
  conversation: A,
  text: name,
  createdAt: T0 + at,
  state: { at: "queued", notBefore: 0 },
});
const cached = (id: typeof A) => ({
  summary: summaryOf(direct({ id }), ME, null),
  log: { run: events(1, 3), position: 3, ahead: [] },
});

let databases = 0;

describe.each([
  ["IndexedDB", () => openPersist(`test-${(databases += 1)}`)],
  ["memory", () => new MemoryPersist()],
])("%s", (_, open) => {
  it("keeps sends by user and in the order typed", async () => {
    const persist = open();
    await persist.putSend(ME, send("late", 5));
    await persist.putSend(ME, send("early", 1));
    await persist.putSend(BOB, send("his"));
    expect((await persist.sends(ME)).map((each) => each.key).sort()).toEqual(["early", "late"]);
    await persist.dropSend(ME, "late");
    expect((await persist.sends(ME)).map((each) => each.key)).toEqual(["early"]);
    expect(await persist.sends(BOB)).toHaveLength(1);
  });

  it("keeps the conversations it is told to, with the markers in them", async () => {
    const persist = open();
    const resume = { epoch: "e1", token: "5", positions: {} };
    await persist.save(ME, { resume, profiles: [] }, [cached(A), cached(B)], new Set([A, B]));
    await persist.save(ME, { resume, profiles: [] }, [], new Set([B]));
    const cache = await persist.cache(ME);
    expect(cache.resume).toEqual(resume);
    expect(cache.conversations.map((each) => each.summary.id)).toEqual([B]);
    expect(cache.conversations[0]?.summary.markers.get(BOB)).toEqual({ received: 10, read: 8 });
    expect(cache.conversations[0]?.log.run).toHaveLength(3);
    expect((await persist.cache(BOB)).conversations).toEqual([]);
  });

  it("wipes the cache, and what is unsent only when told to", async () => {
    const persist = open();
    await persist.putSend(ME, send("one"));
    await persist.save(ME, { resume: null, profiles: [] }, [cached(A)], new Set([A]));
    await persist.wipe(ME, false);
    expect((await persist.cache(ME)).conversations).toEqual([]);
    expect(await persist.sends(ME)).toHaveLength(1);
    await persist.wipe(ME, true);
    expect(await persist.sends(ME)).toEqual([]);
  });
});

it("works without IndexedDB", async () => {
  const before = globalThis.indexedDB;
  Reflect.deleteProperty(globalThis, "indexedDB");
  const persist = openPersist("none");
  await persist.putSend(ME, send("one"));
  expect(await persist.sends(ME)).toHaveLength(1);
  globalThis.indexedDB = before;
});

it("finds everything after a reload", async () => {
  await openPersist("reload").putSend(ME, send("one"));
  expect(await openPersist("reload").sends(ME)).toEqual([send("one")]);
});
