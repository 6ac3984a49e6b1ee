import { createEvent, fireEvent, screen } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { renderWith } from "../../test/renderWith";
import { Composer } from "./Composer";

const LIMITS = { bytes: 400, chars: 100 };

function show(draft = "", limits = LIMITS) {
  const calls = { onSend: vi.fn(), onDraft: vi.fn(), onTyping: vi.fn() };
  const view = renderWith(<Composer to="Bob" draft={draft} limits={limits} {...calls} />);
  return { ...view, ...calls, field: screen.getByRole<HTMLTextAreaElement>("textbox", { name: "Message Bob" }) };
}

const fill = (field: HTMLElement, value: string) => fireEvent.change(field, { target: { value } });

describe("the composer", () => {
  it("sends on Enter, empties itself and keeps the focus", async () => {
    const { user, field, onSend, onDraft } = show();
    await user.type(field, "hello{Enter}");
    expect(onSend).toHaveBeenCalledExactlyOnceWith("hello");
    expect(field).toHaveValue("");
    expect(onDraft).toHaveBeenLastCalledWith("");
    expect(field).toHaveFocus();
  });

  it("breaks the line on Shift+Enter", async () => {
    const { user, field, onSend } = show();
    await user.type(field, "one{Shift>}{Enter}{/Shift}two");
    expect(field).toHaveValue("one\ntwo");
    expect(onSend).not.toHaveBeenCalled();
  });

  it("does not send the Enter that chooses a word in an input method", () => {
    const { field, onSend } = show("こんに");
    fireEvent.keyDown(field, { key: "Enter", isComposing: true });
    // Safari: the composition is over, but the key says where it came from.
    fireEvent.keyDown(field, { key: "Enter", keyCode: 229 });
    expect(onSend).not.toHaveBeenCalled();
    const enter = createEvent.keyDown(field, { key: "Enter", keyCode: 13 });
    fireEvent(field, enter);
    expect(enter.defaultPrevented).toBe(true);
    expect(onSend).toHaveBeenCalledExactlyOnceWith("こんに");
  });

  it("sends nothing that is only white space", async () => {
    const { user, field, onSend } = show();
    await user.type(field, "  {Shift>}{Enter}{/Shift} {Enter}");
    expect(onSend).not.toHaveBeenCalled();
    expect(screen.getByRole("button", { name: "Send" })).toBeDisabled();
  });

  it("starts with the draft and reports every change of it", async () => {
    const { user, field, onDraft } = show("half a");
    expect(field).toHaveValue("half a");
    await user.type(field, "!");
    expect(onDraft).toHaveBeenLastCalledWith("half a!");
  });

  it("counts characters from 80 % on, and code points as one", () => {
    const { field } = show();
    fill(field, "x".repeat(79));
    expect(screen.queryByText(/of 100/)).not.toBeInTheDocument();
    fill(field, "x".repeat(80));
    expect(field).toHaveAccessibleDescription("80 of 100 characters");
    fill(field, "👍".repeat(90));
    expect(field).toHaveAccessibleDescription("90 of 100 characters");
  });

  it("counts bytes when they are the tighter limit", () => {
    const { field } = show("", { bytes: 200, chars: 100 });
    // Five code points and eighteen bytes each.
    fill(field, "👩‍👩‍👧".repeat(10));
    expect(field).toHaveAccessibleDescription("180 of 200 bytes");
  });

  it("does not send what is too long, and says why", () => {
    const { field, onSend } = show();
    fill(field, "x".repeat(101));
    fireEvent.keyDown(field, { key: "Enter" });
    expect(onSend).not.toHaveBeenCalled();
    expect(field).toBeInvalid();
    expect(field).toHaveAccessibleDescription("Too long to send: 101 of 100 characters");
    expect(screen.getByRole("button", { name: "Send" })).toBeDisabled();
    expect(field).toHaveValue("x".repeat(101));
  });

  it("asks for the last own message on ↑, only in an empty field", async () => {
    const onEditLast = vi.fn();
    const { user } = renderWith(<Composer to="Bob" draft="" limits={LIMITS} onSend={vi.fn()} onDraft={vi.fn()} onTyping={vi.fn()} onEditLast={onEditLast} />);
    const field = screen.getByRole("textbox", { name: "Message Bob" });
    await user.type(field, "a{ArrowUp}");
    expect(onEditLast).not.toHaveBeenCalled();
    await user.type(field, "{Backspace}{Shift>}{ArrowUp}{/Shift}");
    expect(onEditLast).not.toHaveBeenCalled();
    await user.type(field, "{ArrowUp}");
    expect(onEditLast).toHaveBeenCalledOnce();
  });

  it("that edits says so, tells nobody that one types, and leaves on Escape", async () => {
    const calls = { onSend: vi.fn(), onDraft: vi.fn(), onTyping: vi.fn(), onCancel: vi.fn(), onEditLast: vi.fn() };
    const { user } = renderWith(<Composer to="Bob" draft="helo" limits={LIMITS} editing {...calls} />);
    const field = screen.getByRole("textbox", { name: "Edit message" });
    expect(field).toHaveFocus();
    await user.keyboard("{Backspace}lo");
    expect(field).toHaveValue("hello");
    expect(calls.onTyping).not.toHaveBeenCalledWith(true);
    await user.click(screen.getByRole("button", { name: "Save" }));
    expect(calls.onSend).toHaveBeenCalledExactlyOnceWith("hello");
    await user.type(field, "{ArrowUp}{Escape}");
    expect(calls.onEditLast).not.toHaveBeenCalled();
    expect(calls.onCancel).toHaveBeenCalledOnce();
  });

  describe("typing signal", () => {
    beforeEach(() => { vi.useFakeTimers(); });
    afterEach(() => { vi.useRealTimers(); });

    it("is given once in three seconds, and ends when one stops", () => {
      const { field, onTyping } = show();
      fill(field, "a");
      fill(field, "ab");
      expect(onTyping.mock.calls).toEqual([[true]]);
      vi.advanceTimersByTime(3000);
      fill(field, "abc");
      expect(onTyping.mock.calls).toEqual([[true], [true]]);
      vi.advanceTimersByTime(5000);
      expect(onTyping).toHaveBeenLastCalledWith(false);
      expect(onTyping).toHaveBeenCalledTimes(3);
    });

    it("ends at once when the message is sent", () => {
      const { field, onTyping } = show();
      fill(field, "a");
      fireEvent.keyDown(field, { key: "Enter" });
      expect(onTyping.mock.calls).toEqual([[true], [false]]);
    });
  });

  it("takes files by the button, by pasting and not where there is text too", async () => {
    const onFiles = vi.fn();
    const picture = new File(["x"], "boat.png", { type: "image/png" });
    const { user } = renderWith(
      <Composer to="Bob" draft="" limits={LIMITS} onSend={vi.fn()} onDraft={vi.fn()} onTyping={vi.fn()} attachments={{ ready: 0, busy: false, onFiles }} />,
    );
    expect(screen.getByRole("button", { name: "Attach files" })).toBeEnabled();
    await user.upload(screen.getByLabelText("Files to attach"), picture);
    expect(onFiles).toHaveBeenLastCalledWith([picture]);
    const field = screen.getByRole("textbox", { name: "Message Bob" });
    fireEvent.paste(field, { clipboardData: { files: [picture], types: ["Files"] } });
    expect(onFiles).toHaveBeenCalledTimes(2);
    fireEvent.paste(field, { clipboardData: { files: [picture], types: ["Files", "text/plain"] } });
    expect(onFiles).toHaveBeenCalledTimes(2);
  });

  it("sends files without a word, and waits for those on their way", async () => {
    const onSend = vi.fn();
    const composer = (attachments: { ready: number; busy: boolean }) => (
      <Composer to="Bob" draft="" limits={LIMITS} onSend={onSend} onDraft={vi.fn()} onTyping={vi.fn()} attachments={{ ...attachments, onFiles: vi.fn() }} />
    );
    const { user, unmount } = renderWith(composer({ ready: 1, busy: true }));
    expect(screen.getByRole("button", { name: "Send" })).toBeDisabled();
    await user.type(screen.getByRole("textbox"), "hi{Enter}");
    expect(onSend).not.toHaveBeenCalled();
    unmount();
    renderWith(composer({ ready: 1, busy: false }));
    await user.click(screen.getByRole("button", { name: "Send" }));
    expect(onSend).toHaveBeenCalledExactlyOnceWith("");
  });
});
