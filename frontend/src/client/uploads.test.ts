import { describe, expect, it, vi } from "vitest";
import type { ConversationId, FileInfo, Outcome } from "../model/types";
import { createStore } from "../store";
import { Uploads } from "./uploads";

const A = "a" as ConversationId;
const B = "b" as ConversationId;
const MB = 1024 * 1024;

const refusal = (code: string) => ({ ok: false as const, problem: { code, message: code, retryAfterMs: null } });

/** A server of uploads that takes as much of a piece as it is told to, and may refuse. */
class Shelf {
  readonly held = new Map<string, { size: number; bytes: Blob[]; length: number }>();
  readonly givenUp: string[] = [];
  readonly offsets: number[] = [];
  /** What happens to the next pieces: all of it (`true`), or as much of it and then silence. */
  fates: (true | number)[] = [];
  refuses: string | null = null;
  /** Pieces wait here while it is set. */
  gate: Promise<void> | null = null;
  private count = 0;

  beginUpload = vi.fn((_name: string, size: number): Promise<Outcome<string>> => {
    if (this.refuses !== null) return Promise.resolve(refusal(this.refuses));
    this.count += 1;
    const id = `f_${this.count}`;
    this.held.set(id, { size, bytes: [], length: 0 });
    return Promise.resolve({ ok: true, value: id });
  });
  uploadPiece = vi.fn(async (id: string, offset: number, piece: Blob, signal: AbortSignal): Promise<Outcome<number>> => {
    await this.gate;
    if (signal.aborted) return refusal("unreachable");
    const there = this.held.get(id)!;
    this.offsets.push(offset);
    if (offset !== there.length) return refusal("wrong_offset");
    const fate = this.fates.shift() ?? true;
    const kept = fate === true ? piece : piece.slice(0, fate);
    there.bytes.push(kept);
    there.length += kept.size;
    return fate === true ? { ok: true, value: there.length } : refusal("unreachable");
  });
  uploadOffset = vi.fn((id: string): Promise<Outcome<number>> => Promise.resolve({ ok: true, value: this.held.get(id)!.length }));
  giveUpUpload = vi.fn((id: string) => {
    this.givenUp.push(id);
    return Promise.resolve({ ok: true as const, value: new Headers() });
  });
  files = vi.fn((ids: readonly string[]) => {
    const file = (id: string): FileInfo => ({ id, name: id, type: "text/plain", size: this.held.get(id)!.size, width: null, height: null, thumbnail: false });
    const address = { content: "", thumbnail: null, expiresAt: 0 };
    return Promise.resolve({ ok: true as const, value: ids.map((id) => ({ file: file(id), address })) });
  });
}

function world(limits = { bytes: 100 * MB, count: 10 }) {
  const shelf = new Shelf();
  const uploads = new Uploads(shelf, createStore(limits), () => Promise.resolve());
  return { shelf, uploads, states: () => uploads.of(A).get().map(({ state }) => state.at) };
}

const file = (name: string, size: number) => new File([new Uint8Array(size).map((_, at) => at % 251)], name);
const settled = (of: () => string[]) => vi.waitFor(() => expect(of()).not.toContain("uploading"));

describe("uploads", () => {
  it("bring a file in pieces and say how far they are", async () => {
    const { shelf, uploads, states } = world();
    const seen: number[] = [];
    uploads.of(A).subscribe(() => seen.push(uploads.of(A).get()[0]?.sent ?? -1));
    uploads.add(A, [file("a.bin", 1.5 * MB)]);
    await settled(states);
    expect(shelf.offsets).toEqual([0, 0.5 * MB, MB]);
    expect([...new Set(seen)]).toEqual([0, 0.5 * MB, MB, 1.5 * MB]);
    const bytes = Buffer.from(await new Blob(shelf.held.get("f_1")!.bytes).arrayBuffer());
    expect(bytes.equals(Buffer.from(await file("a.bin", 1.5 * MB).arrayBuffer()))).toBe(true);
  });

  it("go on where the server is when the connection breaks", async () => {
    const { shelf, uploads, states } = world();
    shelf.fates = [true, 1000];
    uploads.add(A, [file("a.bin", 1.5 * MB)]);
    await settled(states);
    expect(states()).toEqual(["ready"]);
    expect(shelf.uploadOffset).toHaveBeenCalledOnce();
    expect(shelf.offsets.slice(0, 3)).toEqual([0, 0.5 * MB, 0.5 * MB + 1000]);
    expect(shelf.held.get("f_1")!.length).toBe(1.5 * MB);
  });

  it("fail after some tries, and a retry goes on with the same upload", async () => {
    const { shelf, uploads, states } = world();
    shelf.fates = [true, 0, 0, 0, 0];
    shelf.uploadOffset.mockImplementation(() => Promise.resolve(refusal("unreachable")));
    uploads.add(A, [file("a.bin", MB)]);
    await settled(states);
    const [failed] = uploads.of(A).get();
    expect(failed?.state).toMatchObject({ at: "failed", again: true });
    shelf.fates = [];
    shelf.uploadOffset.mockImplementation((id) => Promise.resolve({ ok: true, value: shelf.held.get(id)!.length }));
    uploads.retry(failed!.id);
    await settled(states);
    expect(states()).toEqual(["ready"]);
    expect(shelf.beginUpload).toHaveBeenCalledOnce();
  });

  it("are refused here where the limits say so, and by the server for good", async () => {
    const { shelf, uploads, states } = world({ bytes: 10, count: 2 });
    uploads.add(A, [file("large", 11), file("empty", 0), file("third", 1)]);
    expect(states()).toEqual(["failed", "failed", "failed"]);
    expect(shelf.beginUpload).not.toHaveBeenCalled();
    for (const { id } of uploads.of(A).get()) uploads.cancel(id);
    shelf.refuses = "quota_exceeded";
    uploads.add(A, [file("one", 1)]);
    await settled(states);
    expect(uploads.of(A).get()[0]?.state).toMatchObject({ at: "failed", again: false });
    expect(shelf.beginUpload).toHaveBeenCalledOnce();
  });

  it("can be cancelled, and the server is told", async () => {
    const { shelf, uploads, states } = world();
    let open = (): void => {};
    shelf.gate = new Promise((done) => { open = done; });
    uploads.add(A, [file("a.bin", MB)]);
    await vi.waitFor(() => expect(shelf.uploadPiece).toHaveBeenCalled());
    uploads.cancel(uploads.of(A).get()[0]!.id);
    expect(states()).toEqual([]);
    open();
    await vi.waitFor(() => expect(shelf.givenUp).toEqual(["f_1"]));
    expect(shelf.offsets).toEqual([]);
    expect(states()).toEqual([]);
  });

  it("are a few at a time", async () => {
    const { shelf, uploads, states } = world();
    let open = (): void => {};
    shelf.gate = new Promise((done) => { open = done; });
    uploads.add(A, [1, 2, 3, 4, 5].map((n) => file(`${n}`, 1)));
    await vi.waitFor(() => expect(shelf.uploadPiece).toHaveBeenCalledTimes(3));
    expect(shelf.beginUpload).toHaveBeenCalledTimes(3);
    open();
    await settled(states);
    expect(states()).toEqual(["ready", "ready", "ready", "ready", "ready"]);
  });

  it("go with one message of their conversation, once", async () => {
    const { uploads, states } = world();
    uploads.add(A, [file("a", 1), file("b", 1)]);
    uploads.add(B, [file("c", 1)]);
    await settled(states);
    await vi.waitFor(() => expect(uploads.of(B).get()[0]?.state.at).toBe("ready"));
    expect(uploads.take(A).map(({ id }) => id)).toEqual(["f_1", "f_2"]);
    expect(uploads.take(A)).toEqual([]);
    expect(uploads.of(B).get()).toHaveLength(1);
  });

  it("answer the same list as long as nothing in it changed", async () => {
    const { uploads, states } = world();
    uploads.add(A, [file("a", 1)]);
    await settled(states);
    const before = uploads.of(A).get();
    uploads.add(B, [file("b", 1)]);
    expect(uploads.of(A).get()).toBe(before);
  });
});
