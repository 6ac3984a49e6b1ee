import { describe, expect, it, vi } from "vitest";
import { constant, createStore, derive, follow } from "./store";

describe("store", () => {
  it("tells only of changes", () => {
    const store = createStore(1);
    const listener = vi.fn();
    const end = store.subscribe(listener);
    store.set(1);
    expect(listener).not.toHaveBeenCalled();
    store.update((value) => value + 1);
    expect(store.get()).toBe(2);
    end();
    store.set(3);
    expect(listener).toHaveBeenCalledTimes(1);
  });
});

describe("derive", () => {
  it("answers the same object until a source changed", () => {
    const store = createStore(1);
    const compute = vi.fn(() => ({ value: store.get() }));
    const view = derive([store], compute);
    expect(view.get()).toBe(view.get());
    expect(compute).toHaveBeenCalledTimes(1);
    store.set(2);
    expect(view.get()).toEqual({ value: 2 });
    expect(view.get()).toBe(view.get());
  });
});

describe("follow", () => {
  it("moves to what the source names now", () => {
    const a = createStore("a");
    const b = createStore("b");
    const which = createStore<"a" | "b" | null>("a");
    const none = constant("-");
    const view = follow(which, (name) => (name === null ? none : name === "a" ? a : b));
    const seen: string[] = [];
    const end = view.subscribe(() => seen.push(view.get()));
    a.set("a2");
    which.set("b");
    a.set("a3");
    b.set("b2");
    which.set(null);
    end();
    which.set("a");
    expect(seen).toEqual(["a2", "b", "b2", "-"]);
  });
});
