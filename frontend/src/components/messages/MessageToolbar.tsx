// The actions of a message, floating over its edge while it is pointed at or focused: nothing moves.
// On touch only the way to the menu is shown, which a long press opens as well.
import clsx from "clsx";
import { Ellipsis, Pencil, Pin, PinOff, Reply, SmilePlus, Trash2, type LucideIcon } from "lucide-react";
import type { Permissions } from "../../model/permissions";
import type { TimelineMessage } from "../../model/types";
import { Tip } from "../ui/Tip";
import type { MessageActions } from "./actions";

interface MessageToolbarProps {
  message: TimelineMessage;
  may: Permissions;
  actions: MessageActions;
  /** Under the message: above it would be cut off. */
  below?: boolean;
  tabIndex: 0 | -1;
}

interface ToolProps {
  label: string;
  icon: LucideIcon;
  tabIndex: 0 | -1;
  danger?: boolean;
  /** Stays on touch. */
  touch?: boolean;
  /** Points the other way where one reads the other way. */
  mirrored?: boolean;
  opens?: "menu" | "dialog";
  onClick: () => void;
}

function Tool({ label, icon: Icon, tabIndex, danger = false, touch = false, mirrored = false, opens, onClick }: ToolProps) {
  return (
    <Tip label={label}>
      <button
        type="button"
        aria-label={label}
        aria-haspopup={opens}
        tabIndex={tabIndex}
        onClick={onClick}
        className={clsx(
          "grid size-7 place-items-center rounded-md text-muted transition-colors hover:bg-hover",
          danger ? "hover:text-danger" : "hover:text-text",
          touch ? "pointer-coarse:size-11" : "pointer-coarse:hidden",
        )}
      >
        <Icon aria-hidden size={17} strokeWidth={1.75} className={clsx(mirrored && "rtl:-scale-x-100")} />
      </button>
    </Tip>
  );
}

export function MessageToolbar({ message, may, actions, below = false, tabIndex }: MessageToolbarProps) {
  return (
    <div
      role="toolbar"
      aria-label="Message actions"
      className={clsx("absolute z-10 flex animate-appear gap-px rounded-control border border-line bg-raised p-0.5", below ? "top-full -mt-1.5" : "bottom-full -mb-1.5", message.mine ? "end-1" : "start-1")}
    >
      {may.react && <Tool label="React" icon={SmilePlus} tabIndex={tabIndex} opens="dialog" onClick={() => actions.open("picker", message)} />}
      {may.reply && <Tool label="Reply" icon={Reply} mirrored tabIndex={tabIndex} onClick={() => actions.reply(message)} />}
      {may.edit && <Tool label="Edit" icon={Pencil} tabIndex={tabIndex} onClick={() => actions.edit(message)} />}
      {may.pin && <Tool label={message.pinned ? "Unpin" : "Pin"} icon={message.pinned ? PinOff : Pin} tabIndex={tabIndex} onClick={() => actions.pin(message)} />}
      {may.delete && <Tool label="Delete" icon={Trash2} danger tabIndex={tabIndex} opens="dialog" onClick={() => actions.open("delete", message)} />}
      <Tool label="More" icon={Ellipsis} touch tabIndex={tabIndex} opens="menu" onClick={() => actions.open("menu", message)} />
    </div>
  );
}
