import { screen, within } from "@testing-library/react";
import { describe, expect, it, vi } from "vitest";
import * as format from "../../format";
import { bob, me } from "../../gallery/people";
import { permissions } from "../../model/permissions";
import type { MessageState, TimelineMessage } from "../../model/types";
import { renderWith } from "../../test/renderWith";
import { Message } from "./Message";

const AT = new Date(2026, 10, 24, 14, 3).getTime();

function show(change: Partial<TimelineMessage>, props: { showAuthor?: boolean; endsRun?: boolean } = {}) {
  const message: TimelineMessage = { kind: "message", key: "m-1", seq: 1, from: bob.userId, mine: false, text: "hello", editedAt: null, deleted: false, quote: null, reactions: [], pinned: false, amending: false, at: AT, state: null, ...change };
  const onRetry = vi.fn();
  const onDelete = vi.fn();
  const actions = { reply: vi.fn(), edit: vi.fn(), react: vi.fn(), pin: vi.fn(), copy: vi.fn(), jump: vi.fn(), open: vi.fn() };
  const view = renderWith(
    <Message
      marked={false} may={permissions(message, { kind: "direct", role: "member" })} actions={actions}
      message={message} author="Bob Okafor" showAuthor={props.showAuthor ?? false} startsGroup endsGroup endsRun={props.endsRun ?? true}
      tabIndex={0} onFocus={() => {}} onRetry={onRetry} onDelete={onDelete}
    />,
  );
  return { ...view, actions, onRetry, onDelete, article: screen.getByRole("article") };
}

const UNSENT = ["queued", "sending", "failed"];
const own = (state: MessageState) => show({ from: me.userId, mine: true, state, seq: UNSENT.includes(state.at) ? null : 1 });
const TIME = format.time(AT);

describe("a message that was changed", () => {
  it("says that it was edited", () => {
    const { article } = show({ editedAt: AT + 60_000 });
    expect(article).toHaveAccessibleName(`Bob Okafor, ${TIME}, hello, edited`);
    expect(within(article).getByText("edited")).toBeVisible();
  });

  it("says that it was deleted, and nothing else", () => {
    const { article } = show({ text: "", deleted: true });
    expect(article).toHaveAccessibleName(`Bob Okafor, ${TIME}, Message deleted`);
    expect(within(article).getByText("Message deleted")).toBeVisible();
  });
});

describe("what can be done to a message", () => {
  const names = () => within(screen.getByRole("toolbar", { name: "Message actions" })).getAllByRole("button").map((button) => button.getAttribute("aria-label"));

  it("is offered while it is pointed at or focused, and only what is allowed", async () => {
    const { user, article } = show({});
    expect(screen.queryByRole("toolbar")).not.toBeInTheDocument();
    await user.hover(article);
    expect(names()).toEqual(["React", "Reply", "Pin", "More"]);
    await user.unhover(article);
    expect(screen.queryByRole("toolbar")).not.toBeInTheDocument();
    await user.tab();
    expect(article).toHaveFocus();
    expect(names()).toEqual(["React", "Reply", "Pin", "More"]);
  });

  it("is more with one's own, and other words with a pinned one", async () => {
    const { user, actions } = show({ from: me.userId, mine: true, state: { at: "sent" }, pinned: true });
    await user.tab();
    expect(names()).toEqual(["React", "Reply", "Edit", "Unpin", "Delete", "More"]);
    await user.click(screen.getByRole("button", { name: "Edit" }));
    expect(actions.edit).toHaveBeenCalledOnce();
    await user.click(screen.getByRole("button", { name: "Delete" }));
    expect(actions.open).toHaveBeenCalledExactlyOnceWith("delete", expect.objectContaining({ seq: 1 }));
  });

  it.each([[{ text: "", deleted: true }], [{ seq: null, from: me.userId, mine: true, state: { at: "queued" } as const }]])("is nothing with what is not there: %o", async (change) => {
    const { user, article } = show(change);
    await user.hover(article);
    expect(screen.queryByRole("toolbar")).not.toBeInTheDocument();
  });
});

describe("the emojis on a message", () => {
  const reactions = [{ emoji: "👍", users: [bob.userId, me.userId], mine: true }, { emoji: "🎉", users: [bob.userId], mine: false }];

  it("have a count, names, and say whether one's own is among them", async () => {
    const { user, article, actions } = show({ reactions });
    expect(article).toHaveAccessibleName(`Bob Okafor, ${TIME}, hello, 👍 2, 🎉 1`);
    expect(screen.getByRole("button", { name: "👍 2: You and Bob Okafor" })).toHaveAttribute("aria-pressed", "true");
    const other = screen.getByRole("button", { name: "🎉 1: Bob Okafor" });
    expect(other).toHaveAttribute("aria-pressed", "false");
    await user.click(other);
    expect(actions.react).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ seq: 1 }), "🎉");
  });
});

describe("a message that answers another one", () => {
  it("shows what it answers, and the way there", async () => {
    const { user, article, actions } = show({ quote: { seq: 7, from: me.userId, text: "are you there?", state: "said" } });
    expect(article).toHaveAccessibleName(`Bob Okafor, ${TIME}, in reply to You: are you there?, hello`);
    await user.click(screen.getByRole("button", { name: "In reply to You: are you there?" }));
    expect(actions.jump).toHaveBeenCalledExactlyOnceWith(7);
  });

  it.each([["deleted", "Message deleted"], ["unknown", "An earlier message"]] as const)("says so when that is %s", (state, words) => {
    show({ quote: { seq: 7, from: bob.userId, text: "", state } });
    expect(screen.getByRole("button", { name: `In reply to ${words}` })).toHaveTextContent(words);
  });
});

describe("a message", () => {
  it.each<[MessageState, string]>([
    [{ at: "queued" }, "Waiting for connection"],
    [{ at: "sending", since: AT }, "Sending…"],
    [{ at: "sent" }, `Sent ${TIME}`],
    [{ at: "delivered", to: 1, of: 1 }, "Delivered"],
    [{ at: "delivered", to: 3, of: 5 }, "Delivered to 3 of 5"],
    [{ at: "read", by: 1, of: 1 }, "Read"],
    [{ at: "read", by: 2, of: 5 }, "Read by 2 of 5"],
    [{ at: "failed", reason: "too long" }, "Not sent: too long"],
  ])("says its state in words: %o", (state, words) => {
    const { article } = own(state);
    expect(article).toHaveAccessibleName(`You, ${TIME}, hello, ${words}`);
    expect(within(article).getAllByText(words)[0]).toBeInTheDocument();
  });

  it("of somebody else has no state", () => {
    const { article } = show({});
    expect(article).toHaveAccessibleName(`Bob Okafor, ${TIME}, hello`);
    expect(article.querySelector("[data-state]")).toBeNull();
  });

  it("that failed can be sent again or deleted, and no other can", async () => {
    const { user, onRetry, onDelete } = own({ at: "failed", reason: "too long" });
    await user.click(screen.getByRole("button", { name: "Retry" }));
    expect(onRetry).toHaveBeenCalledOnce();
    await user.click(screen.getByRole("button", { name: "Delete" }));
    expect(onDelete).toHaveBeenCalledOnce();
  });

  it("that is on its way has no buttons", () => {
    own({ at: "sending", since: AT });
    expect(screen.queryByRole("button")).not.toBeInTheDocument();
  });

  it("names its author only where it must be told", () => {
    show({}, { showAuthor: true });
    expect(screen.getByText("Bob Okafor")).toBeVisible();
  });

  it("shows markup as the text that it is", () => {
    const { article } = show({ text: '<img src=x onerror="alert(1)"> & javascript:alert(1)' });
    expect(article).toHaveTextContent('<img src=x onerror="alert(1)"> & javascript:alert(1)');
    expect(article.querySelector("img")).toBeNull();
    expect(screen.queryByRole("link")).not.toBeInTheDocument();
  });

  it("links web addresses to a page that learns nothing of this one", () => {
    show({ text: "see https://example.org/a_(b), please" });
    const link = screen.getByRole("link", { name: "https://example.org/a_(b)" });
    expect(link).toHaveAttribute("href", "https://example.org/a_(b)");
    expect(link).toHaveAttribute("target", "_blank");
    expect(link).toHaveAttribute("rel", expect.stringContaining("noopener"));
  });
});
