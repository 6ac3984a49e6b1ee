import { describe, expect, it } from "vitest";
import {
  addressedBody,
  conversationBody,
  linkBody,
  listingBody,
  decode,
  encode,
  loggedEvent,
  markerOf,
  memberBody,
  messageBody,
  profileBody,
  tokenBody,
} from "./protocol";
import { decodeClient, examples } from "./test/frames";

const BOATS = "0197a3f2-52a0-7c4e-9a51-3e3a1b2c4d5e";

describe("the examples of PROTOCOL.md", () => {
  it("has every server frame decoded to the type it names", () => {
    const lines = examples("server");
    expect(lines.length).toBeGreaterThan(20);
    for (const line of lines) expect(decode(line).type).toBe(JSON.parse(line).type);
  });

  it("shows each kind of server frame at least once", () => {
    const kinds = new Set(examples("server").map((line) => decode(line).type));
    expect([...kinds].sort()).toEqual(
      "ack done drain error event expiring left pong presence receipt reset synced typing welcome".split(" "),
    );
  });

  it("has every event body understood", () => {
    const bodies = examples("server").flatMap((line) => {
      const frame = decode(line);
      return frame.type === "event" ? [frame.logged.event] : [];
    });
    expect(bodies.map((body) => body.type)).toEqual(
      ("created message added role removed left title message message edited reacted unreacted pinned " +
        "unpinned deleted erased topic topic added access history linked joined unlinked message").split(" "),
    );
    expect(bodies[8]).toEqual({ type: "message", text: "me too", replyTo: 2 });
    expect(bodies[10]).toEqual({ type: "reacted", message: 9, emoji: "👍" });
    expect(bodies[0]).toEqual({ type: "created", kind: "group", title: "Boats", members: ["u_7", "u_42"] });
  });

  it("has every client frame as one that this client could have sent", () => {
    const lines = examples("client");
    expect(lines.length).toBeGreaterThan(10);
    for (const line of lines) {
      const frame = decodeClient(line);
      expect(frame.type).toBe(JSON.parse(line).type);
      expect(JSON.parse(encode(frame))).toEqual(JSON.parse(line));
    }
    expect(new Set(lines.map((line) => decodeClient(line).type)).size).toBe(12);
  });

  it("has every body over HTTP read in full", () => {
    const [token, profile, message, event, page, conversation, marker, member, receipts, link, listing, file, ...more] = examples("rest").map(
      (line) => JSON.parse(line) as unknown,
    );
    expect(more).toEqual([]);
    expect(addressedBody(file)).toEqual({
      file: { id: "f_0197a3f252a07c4e9a513e3a1b2c4d5e", name: "boat.png", type: "image/png", size: 48213, width: 640, height: 480, thumbnail: true },
      address: {
        content: expect.stringMatching(/^files\/f_[0-9a-f]{32}\/content\?user=u_7&/) as string,
        thumbnail: expect.stringMatching(/^files\/f_[0-9a-f]{32}\/thumbnail\?user=u_7&/) as string,
        expiresAt: Date.UTC(2026, 0, 2, 3, 10),
      },
    });
    expect(addressedBody({ ...(file as object), address: "https://elsewhere.example/x" })).toBeNull();
    expect(addressedBody({ ...(file as object), address: "javascript:alert(1)" })).toBeNull();
    // Of crowds; this client does not ask for it.
    expect(receipts).toEqual({ members: 4999, received: 498, read: 120 });
    expect(linkBody(link)).toEqual({
      id: "4b1f0c52e8a79d3614f0b2c6d58e9a07",
      by: "u_7",
      at: Date.UTC(2026, 0, 2, 3, 0, 20),
      expiresAt: Date.UTC(2026, 0, 9, 3, 0, 20),
      usesMax: 10,
      uses: 1,
    });
    expect(listingBody(listing)).toEqual({ id: BOATS, kind: "group", title: "Boats", topic: "Sails and oars", memberCount: 2 });
    expect(tokenBody(token)).toEqual({
      user: "u_7",
      token: "eyJhbGciOiJIUzI1NiJ9.e30.c2ln",
      expiresAt: Date.UTC(2026, 0, 2, 4, 4, 5),
    });
    expect(profileBody(profile)).toEqual({ userId: "u_42", name: "bob", displayName: "Bob Smith" });
    expect(messageBody(message)).toMatchObject({ conversation: BOATS, seq: 13, to: "u_42", content: "hi", key: "k-1" });
    expect(loggedEvent(event)).toEqual({
      conversation: BOATS,
      seq: 13,
      at: Date.UTC(2026, 0, 2, 3, 4, 5, 678),
      from: "u_7",
      key: "k-1",
      event: { type: "message", text: "hi" },
    });
    const [paged] = (page as { messages: unknown[] }).messages;
    expect(loggedEvent(paged)).toMatchObject({ seq: 13, event: { type: "message", text: "hi" } });
    const edited = { ...(conversation as object), last: paged };
    expect(conversationBody(edited)?.last?.event).toEqual({ type: "message", text: "hi all" });
    expect(conversationBody(conversation)).toMatchObject({ id: BOATS, kind: "direct", peer: "u_42", title: null, unread: 1 });
    expect(conversationBody(conversation)?.last?.event).toEqual({ type: "message", text: "hi" });
    expect(conversationBody(conversation)?.markers).toHaveLength(2);
    expect(markerOf(marker)).toEqual({ user: "u_7", received: 13, read: 12 });
    expect(memberBody(member)).toEqual({ user: "u_7", role: "owner", received: 13, read: 12 });
    expect(memberBody(marker)).toBeNull();
  });
});

describe("what is not understood", () => {
  it("is named, never thrown", () => {
    expect(decode("not json")).toEqual({ type: "unknown", name: null, because: "json" });
    expect(decode("[]")).toEqual({ type: "unknown", name: null, because: "json" });
    expect(decode('{"type":"sticker"}')).toEqual({ type: "unknown", name: "sticker", because: "type" });
    expect(decode('{"type":"synced"}')).toEqual({ type: "unknown", name: "synced", because: "shape" });
    expect(decode('{"type":"reset","conversation":"x","head":1}')).toMatchObject({ because: "shape" });
  });

  it("keeps its place in the log when it is an event", () => {
    const frame = decode(
      `{"type":"event","conversation":"${BOATS}","seq":9,"at":"2026-01-02T03:00:07.000Z","event":{"type":"poll","q":1}}`,
    );
    expect(frame).toMatchObject({ type: "event", logged: { seq: 9, from: null, event: { type: "unknown", name: "poll" } } });
  });

  it("does not mind fields it does not know", () => {
    expect(decode('{"type":"done","id":"1","since":"tomorrow"}')).toEqual({ type: "done", id: "1" });
  });
});
