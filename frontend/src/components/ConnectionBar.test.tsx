import { act, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { ConnectionView } from "../model/types";
import { ConnectionBar } from "./ConnectionBar";

const NOW = new Date(2026, 10, 24, 14, 0).getTime();

beforeEach(() => { vi.useFakeTimers({ now: NOW }); });
afterEach(() => { vi.useRealTimers(); });

function show(connection: ConnectionView) {
  const calls = { onRetry: vi.fn(), onReload: vi.fn() };
  render(<ConnectionBar connection={connection} {...calls} />);
  return calls;
}

const bar = () => screen.queryByRole("group", { name: "Connection" });
const pass = (ms: number): void => act(() => { vi.advanceTimersByTime(ms); });

describe("the connection bar", () => {
  it("is not there while all is well", () => {
    show({ at: "online", since: NOW, justBack: false });
    expect(bar()).not.toBeInTheDocument();
  });

  it("mentions connecting only when it takes longer than two seconds", () => {
    show({ at: "connecting", since: NOW });
    expect(bar()).not.toBeInTheDocument();
    pass(2000);
    expect(bar()).toHaveTextContent("Connecting…");
  });

  it("tells that one is offline and how much waits", () => {
    show({ at: "offline", waitingSends: 2 });
    expect(bar()).toHaveTextContent("You are offline. Messages will be sent when you are back.");
    expect(bar()).toHaveTextContent("2 waiting");
    expect(screen.queryByRole("button")).not.toBeInTheDocument();
  });

  it("counts nothing when nothing waits", () => {
    show({ at: "offline", waitingSends: 0 });
    expect(bar()).not.toHaveTextContent("waiting");
  });

  it("counts down to the next attempt and can be hurried", () => {
    const { onRetry } = show({ at: "unreachable", retryAt: NOW + 8000, waitingSends: 1 });
    expect(bar()).toHaveTextContent("Can’t reach the server. Retrying in 8 s");
    expect(bar()).toHaveTextContent("1 waiting");
    pass(3000);
    expect(bar()).toHaveTextContent("Retrying in 5 s");
    pass(6000);
    expect(bar()).toHaveTextContent("Retrying now…");
    act(() => screen.getByRole("button", { name: "Retry now" }).click());
    expect(onRetry).toHaveBeenCalledOnce();
  });

  it("says that the connection is back", () => {
    show({ at: "online", since: NOW, justBack: true });
    expect(bar()).toHaveTextContent("Back online");
  });

  it("offers the new version", () => {
    const { onReload } = show({ at: "stopped", reason: "update-needed", detail: "" });
    expect(bar()).toHaveTextContent("A new version is ready.");
    act(() => screen.getByRole("button", { name: "Reload" }).click());
    expect(onReload).toHaveBeenCalledOnce();
  });

  it("names a defect instead of trying for ever", () => {
    show({ at: "stopped", reason: "defect", detail: "binary frame" });
    expect(bar()).toHaveTextContent("The connection was ended: binary frame.");
    expect(screen.getByRole("button", { name: "Reload" })).toBeInTheDocument();
  });
});
