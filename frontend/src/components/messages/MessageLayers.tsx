// What opens over a message: its menu, the emoji picker, the question before a deletion, its earlier
// texts. A chunk of its own: nobody needs it for the first look.
import { Menu } from "@base-ui/react/menu";
import { Popover } from "@base-ui/react/popover";
import { Copy, History, Pencil, Pin, PinOff, Reply, SmilePlus, Trash2, type LucideIcon } from "lucide-react";
import { lazy, Suspense, useRef } from "react";
import type { Permissions } from "../../model/permissions";
import type { TimelineMessage, Version } from "../../model/types";
import { Confirm } from "../ui/Confirm";
import { Spinner } from "../ui/Spinner";
import { t } from "../../i18n/text";
import { articleOf, QUICK, type MessageActions, type MessageLayer } from "./actions";
import { EditHistory } from "./EditHistory";

const EmojiPicker = lazy(() => import("../emoji/EmojiPicker").then((module) => ({ default: module.EmojiPicker })));

interface MessageLayersProps {
  layer: MessageLayer | null;
  message: TimelineMessage;
  author: string;
  may: Permissions;
  versions: readonly Version[];
  actions: MessageActions;
  onDelete: () => void;
  onClose: () => void;
}

const row = "flex min-h-9 cursor-default items-center gap-2.5 rounded-md px-2.5 outline-none select-none data-highlighted:bg-hover pointer-coarse:min-h-11";

function Row({ label, keyed, icon: Icon, danger = false, mirrored = false, onClick }: { label: string; /** The key that does the same. */ keyed: string; icon: LucideIcon; danger?: boolean; /** Points the other way where one reads the other way. */ mirrored?: boolean; onClick: () => void }) {
  return (
    <Menu.Item className={`${row} ${danger ? "text-danger" : ""}`} onClick={onClick}>
      <Icon aria-hidden size={16} className={mirrored ? "rtl:-scale-x-100" : undefined} />
      <span className="flex-1">{label}</span>
      <kbd aria-hidden className="text-meta text-muted pointer-coarse:hidden">{keyed}</kbd>
    </Menu.Item>
  );
}

export function MessageLayers({ layer, message, author, may, versions, actions, onDelete, onClose }: MessageLayersProps) {
  const anchor = () => articleOf(message.key)?.querySelector("[data-bubble]") ?? null;
  // Back to the message, unless what was chosen has a place of its own to go to.
  const elsewhere = useRef(false);
  const back = () => {
    if (!elsewhere.current) return articleOf(message.key) ?? false;
    elsewhere.current = false;
    return false;
  };
  const away = (act: () => void) => () => { elsewhere.current = true; act(); };
  const side = message.mine ? "end" : "start";
  const quick = (
    <div role="group" aria-label={t("message.react")} className="flex justify-between gap-0.5 px-1 pb-1">
      {QUICK.map((emoji) => (
        <Menu.Item
          key={emoji}
          aria-label={t("message.reactWith", { emoji })}
          onClick={() => actions.react(message, emoji)}
          className="grid size-9 cursor-default place-items-center rounded-md text-[1.25rem] outline-none data-highlighted:bg-hover pointer-coarse:size-11"
        >
          {emoji}
        </Menu.Item>
      ))}
    </div>
  );
  return (
    <>
      <Menu.Root open={layer === "menu"} onOpenChange={(open) => { if (!open) onClose(); }}>
        <Menu.Portal>
          <Menu.Positioner anchor={anchor} sideOffset={4} align={side} collisionPadding={8} className="z-40">
            <Menu.Popup finalFocus={back} aria-label={t("messages.actions")} className="w-64 animate-appear rounded-bubble border border-line bg-raised p-1.5 text-[0.875rem] text-text outline-none pointer-coarse:w-72">
              {may.react && quick}
              {may.react && <Menu.Separator className="my-1 h-px bg-line" />}
              {may.react && <Row label={t("message.moreReactions")} keyed="+" icon={SmilePlus} onClick={away(() => actions.open("picker", message))} />}
              {may.reply && <Row label={t("message.reply")} keyed="R" icon={Reply} mirrored onClick={away(() => actions.reply(message))} />}
              {may.edit && <Row label={t("common.edit")} keyed="E" icon={Pencil} onClick={away(() => actions.edit(message))} />}
              <Row label={t("message.copy")} keyed="C" icon={Copy} onClick={() => actions.copy(message)} />
              {may.pin && <Row label={t(message.pinned ? "message.unpin" : "message.pin")} keyed="P" icon={message.pinned ? PinOff : Pin} onClick={() => actions.pin(message)} />}
              {message.editedAt !== null && <Row label={t("message.history")} keyed="H" icon={History} onClick={away(() => actions.open("history", message))} />}
              {may.delete && <Menu.Separator className="my-1 h-px bg-line" />}
              {may.delete && <Row label={t("common.delete")} keyed="Del" icon={Trash2} danger onClick={away(() => actions.open("delete", message))} />}
            </Menu.Popup>
          </Menu.Positioner>
        </Menu.Portal>
      </Menu.Root>
      <Popover.Root open={layer === "picker"} onOpenChange={(open) => { if (!open) onClose(); }}>
        <Popover.Portal>
          <Popover.Positioner anchor={anchor} sideOffset={4} align={side} collisionPadding={8} className="z-40">
            <Popover.Popup finalFocus={back} aria-label={t("message.chooseEmoji")} className="h-[360px] max-h-[calc(100dvh-1rem)] w-[min(340px,calc(100vw-1rem))] animate-appear overflow-hidden rounded-bubble border border-line bg-raised text-text outline-none">
              <Suspense fallback={<div className="grid h-full place-items-center"><Spinner /></div>}>
                <EmojiPicker onChoose={(emoji) => { actions.react(message, emoji); onClose(); }} />
              </Suspense>
            </Popover.Popup>
          </Popover.Positioner>
        </Popover.Portal>
      </Popover.Root>
      <Confirm
        open={layer === "delete"}
        title={t("message.deleteTitle")}
        description={message.mine ? t("message.deleteOwn") : t("message.deleteOther", { name: author })}
        action={t("common.delete")}
        finalFocus={() => articleOf(message.key)}
        onConfirm={onDelete}
        onClose={onClose}
      />
      <EditHistory open={layer === "history"} versions={versions} finalFocus={() => articleOf(message.key)} onClose={onClose} />
    </>
  );
}
