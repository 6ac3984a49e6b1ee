import { fireEvent, screen } from "@testing-library/react";
import { describe, expect, it, vi } from "vitest";
import { BOB, items } from "../../gallery/fixtures";
import type { ConversationId, ConversationItem } from "../../model/types";
import { renderWith } from "../../test/renderWith";
import { ConversationList } from "./ConversationList";

function show(change: { items?: ConversationItem[]; state?: "loading" | "ready" | "failed"; selected?: ConversationId | null } = {}) {
  const calls = { onOpen: vi.fn(), onNewChat: vi.fn(), onRetry: vi.fn() };
  const view = renderWith(<ConversationList items={change.items ?? items} state={change.state ?? "ready"} selected={change.selected ?? null} {...calls} />);
  return { ...view, ...calls };
}

const row = (name: RegExp) => screen.getByRole("link", { name });

describe("the conversation list", () => {
  it("reads a row in one go: who, how much, what", () => {
    show();
    expect(row(/^Ana Duarte, 3 unread, last message: Could you look at the booking/)).toBeInTheDocument();
    expect(row(/^Bob Okafor, last message: you: Noted/)).toBeInTheDocument();
    expect(row(/^Kenji Mori, draft: About the rope/)).toBeInTheDocument();
    expect(row(/^Climbing gym Thursdays, 128 unread, Kenji and Tom are typing…/)).toBeInTheDocument();
  });

  it("caps the badge but not the spoken number", () => {
    show();
    expect(screen.getByText("99+")).toBeInTheDocument();
  });

  it("is one Tab stop, and the arrows, Home and End move in it", async () => {
    const { user, onOpen } = show({ selected: BOB });
    await user.tab();
    expect(row(/^Bob/)).toHaveFocus();
    await user.keyboard("{ArrowDown}{ArrowDown}");
    expect(row(/^Ana/)).toHaveFocus();
    await user.keyboard("{ArrowUp}");
    expect(row(/^East Ridge/)).toHaveFocus();
    await user.keyboard("{End}");
    expect(row(/^Tom/)).toHaveFocus();
    await user.keyboard("{ArrowDown}{Home}");
    expect(row(/^Bob/)).toHaveFocus();
    await user.keyboard("{ArrowDown}{Enter}");
    expect(onOpen).toHaveBeenCalledExactlyOnceWith(items[1]?.id);
    await user.tab();
    expect(document.body).toHaveFocus();
  });

  it("marks the open one", () => {
    show({ selected: BOB });
    expect(row(/^Bob/)).toHaveAttribute("aria-current", "page");
    expect(row(/^Ana/)).not.toHaveAttribute("aria-current");
  });

  it("leaves a click with Ctrl to the browser", () => {
    const { onOpen } = show();
    const untaken = vi.fn((event: Event) => {
      const { defaultPrevented } = event;
      event.preventDefault(); // jsdom cannot navigate
      return defaultPrevented;
    });
    document.addEventListener("click", untaken, { once: true });
    fireEvent.click(row(/^Bob/), { ctrlKey: true });
    expect(untaken).toHaveReturnedWith(false);
    expect(onOpen).not.toHaveBeenCalled();
  });

  it("says what to do when there is nothing", async () => {
    const { user, onNewChat } = show({ items: [] });
    expect(screen.getByRole("heading", { name: "No conversations yet" })).toBeVisible();
    await user.click(screen.getByRole("button", { name: "Start a chat" }));
    expect(onNewChat).toHaveBeenCalledOnce();
  });

  it("offers another try when it could not be loaded", async () => {
    const { user, onRetry } = show({ items: [], state: "failed" });
    await user.click(screen.getByRole("button", { name: "Try again" }));
    expect(onRetry).toHaveBeenCalledOnce();
  });

  it("shows that it loads, but only after a moment", async () => {
    show({ items: [], state: "loading" });
    expect(screen.queryByText("Loading conversations")).not.toBeInTheDocument();
    expect(await screen.findByText("Loading conversations")).toBeInTheDocument();
  });

  it("keeps what it has while it loads", () => {
    show({ state: "loading" });
    expect(row(/^Bob/)).toBeInTheDocument();
  });
});
