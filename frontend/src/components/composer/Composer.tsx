// Where one writes. Never disabled by the connection: what is sent offline waits in the outbox.
import clsx from "clsx";
import { Check, Paperclip, SendHorizontal } from "lucide-react";
import { useEffect, useId, useImperativeHandle, useLayoutEffect, useRef, useState, type FormEvent, type KeyboardEvent, type ReactNode, type Ref } from "react";
import { TOUCH, useMediaQuery } from "../../a11y/useMediaQuery";
import { useSettings } from "../../settings";
import { IconButton } from "../ui/IconButton";
import { t } from "../../i18n/text";
import { room, type TextLimits } from "./textLimits";
import { useTypingSignal } from "./useTypingSignal";

export interface ComposerHandle {
  focus(): void;
}

interface ComposerProps {
  /** Whom or what one writes to. */
  to: string;
  draft: string;
  limits: TextLimits;
  onDraft: (text: string) => void;
  onSend: (text: string) => void;
  onTyping: (on: boolean) => void;
  /** Files of the message; missing: none are taken here. */
  attachments?: { ready: number; busy: boolean; onFiles: (files: File[]) => void } | undefined;
  /** It holds a message that was sent: then the draft is its text, and sending saves it. */
  editing?: boolean;
  /** What is answered or changed. */
  above?: ReactNode;
  /** ↑ in an empty field. */
  onEditLast?: () => void;
  /** Escape, while there is something to leave. */
  onCancel?: (() => void) | undefined;
  ref?: Ref<ComposerHandle>;
}

/** Eight lines of 22 px and the padding; after that it scrolls. */
const HEIGHT_MAX_PX = 8 * 22 + 22;

export function Composer({ to, draft, limits, onDraft, onSend, onTyping, attachments, editing = false, above, onEditLast, onCancel, ref }: ComposerProps) {
  const id = useId();
  const touch = useMediaQuery(TOUCH);
  const { enterSends, showTyping } = useSettings();
  const [text, setText] = useState(draft);
  const field = useRef<HTMLTextAreaElement>(null);
  const { typed, stopped } = useTypingSignal(onTyping);
  const space = room(text, limits);
  const empty = text.trim() === "" && (attachments === undefined || attachments.ready === 0);
  // A message goes with all its files or not yet.
  const held = empty || space.at === "over" || attachments?.busy === true;
  const chooser = useRef<HTMLInputElement>(null);

  useImperativeHandle(ref, () => ({ focus: () => field.current?.focus() }));

  // Opening a conversation means to write; on touch it would pull up the keyboard over the messages.
  // An edit is asked for, so there it shall.
  useEffect(() => {
    if (touch && !editing) return;
    const area = field.current;
    area?.focus();
    area?.setSelectionRange(area.value.length, area.value.length);
  }, [touch, editing]);

  useLayoutEffect(() => {
    const area = field.current;
    if (area === null) return;
    area.style.height = "auto";
    area.style.height = `${Math.min(area.scrollHeight, HEIGHT_MAX_PX)}px`;
  }, [text]);

  const change = (next: string) => {
    setText(next);
    onDraft(next);
    if (next.trim() === "") stopped();
    else if (!editing && showTyping) typed();
  };

  const send = () => {
    if (held) return;
    stopped();
    onSend(text.trim());
    setText("");
    onDraft("");
    field.current?.focus();
  };

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Escape" && onCancel && !event.nativeEvent.isComposing) {
      event.preventDefault();
      onCancel();
      return;
    }
    if (event.key === "ArrowUp" && text === "" && !editing && onEditLast && !event.shiftKey && !event.altKey && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      onEditLast();
      return;
    }
    if (event.key !== "Enter" || event.shiftKey) return;
    const asked = event.ctrlKey || event.metaKey;
    if (!asked && (touch || !enterSends)) return;
    // While an input method composes, Enter chooses a word. Safari ends the composition before the
    // key arrives and marks that key with code 229.
    if (event.nativeEvent.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    send();
  };

  const onSubmit = (event: FormEvent) => {
    event.preventDefault();
    send();
  };

  const label = editing ? t("composer.editMessage") : t("composer.to", { name: to });
  return (
    <form aria-label={label} onSubmit={onSubmit} className="mx-auto w-full max-w-[760px] px-3 pb-[max(0.75rem,env(safe-area-inset-bottom))] sm:px-4">
      {above}
      <div className="flex items-end gap-1 rounded-bubble border border-field bg-canvas p-1 focus-within:border-ring">
        {attachments !== undefined && (
          <>
            <input
              ref={chooser}
              type="file"
              multiple
              hidden
              aria-label={t("files.choose")}
              onChange={(event) => {
                attachments.onFiles([...(event.target.files ?? [])]);
                // The same file may be chosen again.
                event.target.value = "";
                field.current?.focus();
              }}
            />
            <IconButton label={t("files.attach")} icon={Paperclip} side="top" onClick={() => chooser.current?.click()} />
          </>
        )}
        <textarea
          ref={field}
          rows={1}
          dir="auto"
          aria-label={label}
          aria-describedby={space.at === "plenty" ? undefined : `${id}-room`}
          aria-invalid={space.at === "over" || undefined}
          placeholder={t("composer.placeholder")}
          enterKeyHint={touch || !enterSends ? "enter" : "send"}
          value={text}
          onChange={(event) => change(event.target.value)}
          onKeyDown={onKeyDown}
          onBlur={stopped}
          onPaste={(event) => {
            // What was copied as text and picture at once, as by a word processor, is text.
            const files = [...event.clipboardData.files];
            if (attachments === undefined || files.length === 0 || event.clipboardData.types.includes("text/plain")) return;
            event.preventDefault();
            attachments.onFiles(files);
          }}
          className="min-h-9 min-w-0 flex-1 resize-none bg-transparent px-2.5 py-[7px] outline-none pointer-coarse:min-h-11 pointer-coarse:py-[11px] pointer-coarse:text-base"
        />
        <IconButton
          type="submit"
          label={editing ? t("common.save") : t("composer.send")}
          side="top"
          icon={editing ? Check : SendHorizontal}
          disabled={held}
          className="bg-accent !text-on-accent hover:!bg-accent-hover disabled:bg-transparent disabled:!text-muted rtl:-scale-x-100"
        />
      </div>
      {space.at !== "plenty" && (
        <p id={`${id}-room`} className={clsx("mt-1 px-1 text-end text-meta tabular-nums", space.at === "over" ? "font-medium text-danger" : "text-muted")}>
          {space.at === "over" && `${t("composer.tooLong")} `}
          {t(space.unit === "bytes" ? "composer.bytes" : "composer.chars", { used: space.used, limit: space.limit })}
        </p>
      )}
    </form>
  );
}
