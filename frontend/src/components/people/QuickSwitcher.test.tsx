import { screen } from "@testing-library/react";
import { describe, expect, it, vi } from "vitest";
import { BOB, GROUP } from "../../gallery/fixtures";
import { ines } from "../../gallery/people";
import { renderWith } from "../../test/renderWith";
import { QuickSwitcher } from "./QuickSwitcher";

function show() {
  const onOpenConversation = vi.fn();
  const onClose = vi.fn();
  return { ...renderWith(<QuickSwitcher open onClose={onClose} onOpenConversation={onOpenConversation} />), onOpenConversation, onClose };
}

const marked = () => screen.getByRole("option", { selected: true });

describe("the quick switcher", () => {
  it("starts with the recent ones, the first marked, the cursor in the field", async () => {
    show();
    await vi.waitFor(() => expect(screen.getByRole("combobox")).toHaveFocus());
    expect(marked()).toHaveAccessibleName("Bob Okafor");
    expect(screen.getByRole("option", { name: "Ana Duarte, 3 unread" })).toBeInTheDocument();
  });

  it("goes where Enter says, and round at the ends", async () => {
    const { user, onOpenConversation, onClose } = show();
    const field = screen.getByRole("combobox");
    await user.type(field, "{ArrowUp}");
    expect(marked()).toHaveAccessibleName("Tom Varga");
    await user.type(field, "{ArrowDown}{ArrowDown}{Enter}");
    expect(onOpenConversation).toHaveBeenCalledExactlyOnceWith(GROUP);
    expect(onClose).toHaveBeenCalledOnce();
  });

  it("points the field at the marked option", () => {
    show();
    expect(screen.getByRole("combobox")).toHaveAttribute("aria-activedescendant", marked().id);
  });

  it("finds by letters and prefers the beginning of a name", async () => {
    const { user, onOpenConversation } = show();
    await user.type(screen.getByRole("combobox"), "bo{Enter}");
    expect(onOpenConversation).toHaveBeenCalledExactlyOnceWith(BOB);
  });

  it("finds people one has not talked to, and opens a chat with them", async () => {
    const { user, client } = show();
    await user.type(screen.getByRole("combobox"), "Inès");
    await user.click(await screen.findByRole("option", { name: /Inès Caron, @ines/ }));
    expect(client.calls).toContainEqual(["openDirect", ines.userId]);
  });

  it("prefers a person whose name begins so to a conversation that has the letters somewhere", async () => {
    const { user, client } = show();
    await user.type(screen.getByRole("combobox"), "ca");
    await screen.findByRole("option", { name: /Inès Caron/ });
    expect(screen.getByRole("option", { name: /^Climbing gym/ })).toBeInTheDocument();
    await user.keyboard("{Enter}");
    expect(client.calls).toContainEqual(["openDirect", ines.userId]);
  });

  it("is never a blank pane", async () => {
    const { user } = show();
    await user.type(screen.getByRole("combobox"), "xyzzy");
    expect(await screen.findByText(/No results for/)).toHaveTextContent("No results for “xyzzy”. Try the beginning of a name.");
  });
});
