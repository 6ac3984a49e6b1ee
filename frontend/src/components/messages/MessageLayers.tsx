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

function Row({ label, hint, icon: Icon, danger = false, onClick }: { label: string; hint: string; icon: LucideIcon; danger?: boolean; onClick: () => void }) {
  return (
    <Menu.Item className={`${row} ${danger ? "text-danger" : ""}`} onClick={onClick}>
      <Icon aria-hidden size={16} />
      <span className="flex-1">{label}</span>
      <kbd aria-hidden className="text-meta text-muted pointer-coarse:hidden">{hint}</kbd>
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
    <div role="group" aria-label="React" className="flex justify-between gap-0.5 px-1 pb-1">
      {QUICK.map((emoji) => (
        <Menu.Item
          key={emoji}
          aria-label={`React with ${emoji}`}
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
            <Menu.Popup finalFocus={back} aria-label="Message actions" className="w-64 animate-appear rounded-bubble border border-line bg-raised p-1.5 text-[0.875rem] text-text outline-none pointer-coarse:w-72">
              {may.react && quick}
              {may.react && <Menu.Separator className="my-1 h-px bg-line" />}
              {may.react && <Row label="More reactions" hint="+" icon={SmilePlus} onClick={away(() => actions.open("picker", message))} />}
              {may.reply && <Row label="Reply" hint="R" icon={Reply} onClick={away(() => actions.reply(message))} />}
              {may.edit && <Row label="Edit" hint="E" icon={Pencil} onClick={away(() => actions.edit(message))} />}
              <Row label="Copy text" hint="C" icon={Copy} onClick={() => actions.copy(message)} />
              {may.pin && <Row label={message.pinned ? "Unpin" : "Pin"} hint="P" icon={message.pinned ? PinOff : Pin} onClick={() => actions.pin(message)} />}
              {message.editedAt !== null && <Row label="Earlier versions" hint="H" icon={History} onClick={away(() => actions.open("history", message))} />}
              {may.delete && <Menu.Separator className="my-1 h-px bg-line" />}
              {may.delete && <Row label="Delete" hint="Del" icon={Trash2} danger onClick={away(() => actions.open("delete", message))} />}
            </Menu.Popup>
          </Menu.Positioner>
        </Menu.Portal>
      </Menu.Root>
      <Popover.Root open={layer === "picker"} onOpenChange={(open) => { if (!open) onClose(); }}>
        <Popover.Portal>
          <Popover.Positioner anchor={anchor} sideOffset={4} align={side} collisionPadding={8} className="z-40">
            <Popover.Popup finalFocus={back} aria-label="Choose an emoji" className="h-[360px] max-h-[calc(100dvh-1rem)] w-[min(340px,calc(100vw-1rem))] animate-appear overflow-hidden rounded-bubble border border-line bg-raised text-text outline-none">
              <Suspense fallback={<div className="grid h-full place-items-center"><Spinner /></div>}>
                <EmojiPicker onChoose={(emoji) => { actions.react(message, emoji); onClose(); }} />
              </Suspense>
            </Popover.Popup>
          </Popover.Positioner>
        </Popover.Portal>
      </Popover.Root>
      <Confirm
        open={layer === "delete"}
        title="Delete this message?"
        description={message.mine ? "It disappears for everybody, with its reactions. This cannot be undone." : `It is by ${author} and disappears for everybody. This cannot be undone.`}
        action="Delete"
        finalFocus={() => articleOf(message.key)}
        onConfirm={onDelete}
        onClose={onClose}
      />
      <EditHistory open={layer === "history"} versions={versions} finalFocus={() => articleOf(message.key)} onClose={onClose} />
    </>
  );
}
