import { beforeEach, describe, expect, it } from "vitest";
import { Api } from "./api";
import { A, BOB, key } from "./test/build";
import { FakeClock, settle } from "./test/fakeClock";
import { examples } from "./test/frames";

let clock: FakeClock;
let asked: { url: string; init: RequestInit }[];
let answer: () => Promise<Response>;
let refused: string[];
let api: Api;

beforeEach(() => {
  clock = new FakeClock();
  asked = [];
  refused = [];
  answer = async () => new Response("[]");
  api = new Api({
    base: "/chat",
    fetch: (url, init) => {
      asked.push({ url, init });
      return answer();
    },
    after: clock.after,
    token: () => "t1",
    unauthenticated: (token) => refused.push(token),
  });
});

const problem = (status: number, changes: object): Response =>
  new Response(JSON.stringify({ type: "x", code: "internal", title: "t", status, detail: "", retryable: false, ...changes }), {
    status,
  });

describe("what is asked", () => {
  it("carries the token, the body and the key", async () => {
    await api.createGroup(key("k-1"), { kind: "group", title: "Boats", members: [BOB] });
    expect(asked[0]?.url).toBe("/chat/conversations");
    expect(asked[0]?.init.method).toBe("POST");
    expect(asked[0]?.init.headers).toMatchObject({
      authorization: "Bearer t1",
      "content-type": "application/json",
      "idempotency-key": "k-1",
    });
    expect(JSON.parse(String(asked[0]?.init.body))).toEqual({ kind: "group", title: "Boats", members: ["u_42"] });
  });

  it("shows no token where there is none yet, and leaves out an empty display name", async () => {
    await api.register("bob", "", "secret");
    expect(asked[0]?.init.headers).not.toHaveProperty("authorization");
    expect(JSON.parse(String(asked[0]?.init.body))).toEqual({ name: "bob", password: "secret" });
  });

  it("writes queries and paths so that nothing in them is misread", async () => {
    await api.events(A, 51);
    await api.searchUsers("a&b c");
    await api.setRole(A, "u/4?" as typeof BOB, "owner");
    expect(asked.map(({ url }) => url)).toEqual([
      `/chat/conversations/${A}/events?before=51&limit=50`,
      "/chat/users?search=a%26b+c",
      `/chat/conversations/${A}/members/u%2F4%3F`,
    ]);
  });
});

describe("what is answered", () => {
  it("is read to the type of the route", async () => {
    const lines = examples("rest");
    answer = async () => new Response(`[${lines[3]}]`);
    expect(await api.events(A)).toMatchObject({ ok: true, value: [{ seq: 13, from: "u_7" }] });
    answer = async () => new Response(lines[5]);
    expect(await api.conversation(A)).toMatchObject({ ok: true, value: { kind: "direct", unread: 1 } });
    answer = async () => new Response(null, { status: 204 });
    expect(await api.setTitle(A, "x")).toEqual({ ok: true, value: null });
  });

  it("is a sentence where it is a problem", async () => {
    answer = async () => problem(401, { code: "wrong_credentials" });
    expect(await api.logIn("a", "b")).toEqual({
      ok: false,
      problem: { code: "wrong_credentials", message: "Wrong username or password.", retryAfterMs: null },
    });
    answer = async () => problem(429, { code: "rate_limited", retry_after_ms: 6_200 });
    expect(await api.logIn("a", "b")).toMatchObject({
      problem: { message: "Too many requests. Try again in 7 seconds.", retryAfterMs: 6_200 },
    });
    answer = async () => problem(422, { code: "invalid", detail: "password has fewer than 10 characters" });
    expect(await api.logIn("a", "b")).toMatchObject({ problem: { message: "Password has fewer than 10 characters." } });
    expect(refused).toEqual([]);
  });

  it("ends the session when the token no longer holds", async () => {
    answer = async () => problem(401, { code: "unauthenticated" });
    await api.conversations();
    expect(refused).toEqual(["t1"]);
  });

  it("tells a dead server from one that speaks something else", async () => {
    answer = () => Promise.reject(new TypeError("failed"));
    expect(await api.conversations()).toMatchObject({ problem: { code: "network" } });
    answer = async () => new Response("<html>Bad Gateway</html>", { status: 502 });
    expect(await api.conversations()).toMatchObject({ problem: { code: "network" } });
    answer = async () => new Response("<html>Welcome to the hotel</html>");
    expect(await api.conversations()).toMatchObject({ problem: { code: "not_understood" } });
  });

  it("does not come forever", async () => {
    answer = () =>
      new Promise((_, reject) => {
        asked.at(-1)?.init.signal?.addEventListener("abort", () => reject(new Error("aborted")));
      });
    const outcome = api.conversations();
    await settle();
    clock.advance(20_000);
    expect(await outcome).toMatchObject({ ok: false, problem: { code: "network" } });
  });
});
