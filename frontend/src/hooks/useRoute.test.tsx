import { act, renderHook } from "@testing-library/react";
import { beforeEach, describe, expect, it } from "vitest";
import { A } from "../test/build";
import { conversationPath, parseRoute, useRoute } from "./useRoute";

describe("addresses", () => {
  it.each([
    ["/", "", { at: "chat", conversation: null }],
    ["/login", "", { at: "login" }],
    ["/signup/", "", { at: "signup" }],
    ["/setup", "?code=a%20b", { at: "setup", code: "a b" }],
    ["/setup", "", { at: "setup", code: "" }],
    [`/c/${A}`, "", { at: "chat", conversation: A }],
    ["/c", "", { at: "chat", conversation: null }],
    ["/c/nonsense", "", { at: "unknown", path: "/c/nonsense" }],
    ["/login/more", "", { at: "unknown", path: "/login/more" }],
  ])("%s%s", (path, search, route) => {
    expect(parseRoute(path, search)).toEqual(route);
  });
});

describe("useRoute", () => {
  beforeEach(() => window.history.replaceState(null, "", "/"));

  it("follows navigation and the Back button", async () => {
    const { result } = renderHook(() => useRoute());
    expect(result.current.route).toEqual({ at: "chat", conversation: null });
    act(() => result.current.navigate(conversationPath(A)));
    expect(result.current.route).toEqual({ at: "chat", conversation: A });
    await act(async () => {
      window.history.back();
      await new Promise((resolve) => window.addEventListener("popstate", resolve, { once: true }));
    });
    expect(result.current.route).toEqual({ at: "chat", conversation: null });
  });

  it("adds no history for where one already is, or when it replaces", () => {
    const { result } = renderHook(() => useRoute());
    const before = window.history.length;
    act(() => result.current.navigate("/"));
    act(() => result.current.navigate("/login", { replace: true }));
    expect(window.history.length).toBe(before);
    expect(result.current.route).toEqual({ at: "login" });
  });
});
