import { act, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Announcer, useAnnounce, type Announce } from "./Announcer";

beforeEach(() => { vi.useFakeTimers(); });
afterEach(() => { vi.useRealTimers(); });

function start(): Announce {
  let announce: Announce | null = null;
  function Take() { announce = useAnnounce(); return null; }
  render(<Announcer><Take /></Announcer>);
  if (announce === null) throw new Error("no announcer");
  return announce;
}

const pass = (ms: number): void => act(() => { vi.advanceTimersByTime(ms); });

describe("the announcer", () => {
  it("speaks a message at once and merges those of the next second", () => {
    const announce = start();
    announce.message("Bob: one");
    pass(0);
    expect(screen.getByTestId("polite")).toHaveTextContent("Bob: one");
    announce.message("Bob: two");
    announce.message("Bob: three");
    pass(500);
    expect(screen.getByTestId("polite")).toHaveTextContent("Bob: one");
    pass(500);
    expect(screen.getByTestId("polite")).toHaveTextContent("2 new messages");
  });

  it("speaks the same words again when they are said again", () => {
    const announce = start();
    act(() => announce.assertive("Message not sent"));
    const first = screen.getByTestId("assertive").textContent;
    act(() => announce.assertive("Message not sent"));
    expect(screen.getByTestId("assertive").textContent).not.toBe(first);
  });
});
