import { act, renderHook } from "@testing-library/react";
import { StrictMode } from "react";
import { expect, it, vi } from "vitest";
import { createStore, derive } from "../store";
import { useChat } from "./ChatProvider";
import { useReadable } from "./useReadable";

it("renders what is there, follows it, and ends when it is gone", () => {
  const store = createStore(1);
  const doubled = derive([store], () => ({ value: store.get() * 2 }));
  const rendered = vi.fn();
  const { result, unmount } = renderHook(
    () => {
      rendered();
      return useReadable(doubled).value;
    },
    { wrapper: StrictMode },
  );
  expect(result.current).toBe(2);
  act(() => store.set(2));
  expect(result.current).toBe(4);
  const before = rendered.mock.calls.length;
  act(() => store.set(2));
  expect(rendered).toHaveBeenCalledTimes(before);
  unmount();
  store.set(3);
  expect(rendered).toHaveBeenCalledTimes(before);
});

it("moves to another readable", () => {
  const a = createStore("a");
  const b = createStore("b");
  const { result, rerender } = renderHook(({ from }) => useReadable(from), { initialProps: { from: a } });
  rerender({ from: b });
  act(() => b.set("b2"));
  expect(result.current).toBe("b2");
});

it("says what is missing around it", () => {
  const quiet = vi.spyOn(console, "error").mockImplementation(() => {});
  expect(() => renderHook(() => useChat())).toThrow("ChatProvider");
  quiet.mockRestore();
});
