import { act, screen, waitFor } from "@testing-library/react";
import { useState } from "react";
import { describe, expect, it, vi } from "vitest";
import { GROUP, items, BOB, timeline } from "../../gallery/fixtures";
import type { World } from "../../gallery/FakeClient";
import { bob, me } from "../../gallery/people";
import { useTimeline } from "../../hooks/useTimeline";
import type { ConversationId, TimelineMessage } from "../../model/types";
import { renderWith } from "../../test/renderWith";
import { Notice, type Trouble } from "../Notice";
import { Message } from "./Message";
import { useMessageActions } from "./useMessageActions";

const said: Omit<TimelineMessage, "key" | "seq" | "from" | "mine" | "text" | "state"> = {
  kind: "message", editedAt: null, deleted: false, quote: null, reactions: [], pinned: false, amending: false, at: 0,
};
const entries: TimelineMessage[] = [
  { ...said, key: "m-1", seq: 1, from: bob.userId, mine: false, text: "theirs", state: null },
  { ...said, key: "m-2", seq: 2, from: me.userId, mine: true, text: "mine", state: { at: "sent" } },
];

const onReply = vi.fn();
const onEdit = vi.fn();

function Messages({ id }: { id: ConversationId }) {
  const view = useTimeline(id);
  const [trouble, setTrouble] = useState<Trouble | null>(null);
  const item = items.find((each) => each.id === id);
  if (item === undefined) throw new Error("the gallery has it");
  const { actions, mayDo, onKey, saveEdit, layers } = useMessageActions({ item, timeline: view, onReply, onEdit, onJump: () => {}, onTrouble: setTrouble });
  return (
    <>
      {view.entries.map((entry) => entry.kind === "message" && (
        <div key={entry.key} onKeyDown={(event) => void onKey(event.key, entry)}>
          <Message
            message={entry} author="Bob" showAuthor={false} startsGroup endsGroup endsRun marked={false} may={mayDo(entry)} actions={actions}
            tabIndex={0} onFocus={() => {}} onRetry={() => {}} onDelete={() => {}}
          />
          <button type="button" onClick={() => saveEdit(entry, "typed")}>Save {entry.key}</button>
        </div>
      ))}
      {trouble !== null && <Notice trouble={trouble} onClose={() => setTrouble(null)} />}
      {layers}
    </>
  );
}

function show(id = BOB, change: Partial<World> = {}) {
  const view = renderWith(<Messages id={id} />, { timelines: new Map([[id, timeline(entries)]]), ...change });
  const article = (text: string) => screen.getByRole("article", { name: new RegExp(`, ${text}`) });
  return { ...view, article };
}

const REFUSAL = { code: "forbidden", message: "You are not allowed to do this.", retryAfterMs: null };

describe("what one does to a message", () => {
  it("goes by keys on it", async () => {
    const { user, client, article } = show();
    act(() => article("theirs").focus());
    await user.keyboard("r");
    expect(onReply).toHaveBeenCalledExactlyOnceWith(entries[0]);
    await user.keyboard("p");
    expect(client.calls.at(-1)).toEqual(["amend", BOB, 1, { type: "pin", on: true }]);
    await user.keyboard("p");
    expect(client.calls.at(-1)).toEqual(["amend", BOB, 1, { type: "pin", on: false }]);
    act(() => article("mine").focus());
    await user.keyboard("e");
    expect(onEdit).toHaveBeenCalledExactlyOnceWith(entries[1]);
  });

  it("is refused in words where it is not allowed", async () => {
    const { user, client, article } = show(BOB);
    onEdit.mockClear();
    act(() => article("theirs").focus());
    await user.keyboard("e{Delete}h");
    expect(onEdit).not.toHaveBeenCalled();
    expect(screen.queryByRole("dialog")).not.toBeInTheDocument();
    expect(client.calls.filter(([verb]) => verb === "amend")).toEqual([]);
    await waitFor(() => expect(screen.getByTestId("polite")).toHaveTextContent("This cannot be done to this message"));
  });

  it("asks before a deletion, and goes back to the message", async () => {
    const { user, client, article } = show();
    act(() => article("mine").focus());
    await user.keyboard("{Delete}");
    await waitFor(() => expect(screen.getByRole("button", { name: "Cancel" })).toHaveFocus());
    await user.keyboard("{Enter}");
    await waitFor(() => expect(article("mine")).toHaveFocus());
    // Also when what opened the question is not there any more.
    await user.click(screen.getByRole("button", { name: "Delete" }));
    await waitFor(() => expect(screen.getByRole("button", { name: "Cancel" })).toHaveFocus());
    expect(screen.queryByRole("toolbar")).not.toBeInTheDocument();
    await user.keyboard("{Escape}");
    await waitFor(() => expect(article("mine")).toHaveFocus());
    await user.keyboard("{Delete}");
    await user.click(await screen.findByRole("button", { name: "Delete" }));
    expect(client.calls.at(-1)).toEqual(["amend", BOB, 2, { type: "delete" }]);
    expect(article("Message deleted")).toBeInTheDocument();
  });

  it("lets an owner of a group delete what others wrote, and nobody edit it", async () => {
    const { user, article } = show(GROUP);
    act(() => article("theirs").focus());
    await user.keyboard("{Delete}");
    expect(await screen.findByRole("dialog", { name: "Delete this message?" })).toHaveTextContent("It is by Bob Okafor");
  });

  it("puts an emoji on from the menu, and takes it off by its chip", async () => {
    const { user, client, article } = show();
    act(() => article("theirs").focus());
    await user.click(screen.getByRole("button", { name: "More" }));
    await user.click(await screen.findByRole("menuitem", { name: "React with 🎉" }));
    expect(client.calls.at(-1)).toEqual(["amend", BOB, 1, { type: "react", emoji: "🎉", on: true }]);
    await user.click(await screen.findByRole("button", { name: "🎉 1: You" }));
    expect(client.calls.at(-1)).toEqual(["amend", BOB, 1, { type: "react", emoji: "🎉", on: false }]);
    expect(screen.queryByRole("button", { name: /🎉/ })).not.toBeInTheDocument();
  });

  it("says why it was refused, and gives a refused text back", async () => {
    const { user } = show(BOB, { refusal: REFUSAL });
    onEdit.mockClear();
    await user.click(screen.getByRole("button", { name: "Save m-2" }));
    expect(await screen.findByText("The change was not saved. You are not allowed to do this.", { selector: "p" })).toBeVisible();
    expect(screen.getByTestId("assertive")).toHaveTextContent("The change was not saved.");
    await user.click(screen.getByRole("button", { name: "Edit again" }));
    expect(onEdit).toHaveBeenCalledExactlyOnceWith(entries[1], "typed");
    await user.click(screen.getByRole("button", { name: "Dismiss" }));
    expect(screen.queryByText(/was not saved/, { selector: "p" })).not.toBeInTheDocument();
  });
});
