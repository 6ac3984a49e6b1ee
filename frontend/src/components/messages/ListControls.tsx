// What floats over the message list: the day while scrolling, the way to the unread ones, the way down.
import clsx from "clsx";
import { ArrowDown, ArrowUp, X } from "lucide-react";
import * as format from "../../format";
import { t } from "../../i18n/text";
import { DayLabel } from "./separators";

export function FloatingDate({ at, shown }: { at: number | null; shown: boolean }) {
  return (
    // The separators in the list say it to screen readers.
    <div aria-hidden className={clsx("pointer-events-none absolute inset-x-0 top-2 flex justify-center transition-opacity", shown && at !== null ? "opacity-100" : "opacity-0")}>
      <span className="rounded-full border border-line bg-raised px-3 py-0.5 text-meta font-medium text-muted">{at !== null && <DayLabel at={at} />}</span>
    </div>
  );
}

interface UnreadPillProps {
  count: number;
  onJump: () => void;
  onMarkRead: () => void;
}

export function UnreadPill({ count, onJump, onMarkRead }: UnreadPillProps) {
  return (
    <div className="absolute inset-x-0 top-2 z-10 flex justify-center">
      <div className="flex items-center rounded-full bg-accent text-[0.8125rem] font-medium text-on-accent">
        <button type="button" onClick={onJump} className="flex min-h-8 items-center gap-1.5 rounded-s-full ps-3 pe-1.5 hover:bg-accent-hover pointer-coarse:min-h-11">
          <ArrowUp aria-hidden size={16} />
          {t("list.unread", { count })}
        </button>
        <button
          type="button"
          aria-label={t("messages.markRead")}
          onClick={onMarkRead}
          className="grid min-h-8 place-items-center rounded-e-full ps-1.5 pe-2.5 hover:bg-accent-hover pointer-coarse:min-h-11"
        >
          <X aria-hidden size={16} />
        </button>
      </div>
    </div>
  );
}

export function JumpToLatest({ count, onJump }: { count: number; onJump: () => void }) {
  return (
    <button
      type="button"
      onClick={onJump}
      aria-label={count > 0 ? t("messages.jumpLatestNew", { count }) : t("messages.jumpLatest")}
      // Beside the column of messages where there is room, over its end where there is not.
      className="absolute end-[max(1rem,calc(50%-440px))] bottom-3 z-10 grid size-11 animate-appear place-items-center rounded-full border border-line bg-raised text-muted hover:bg-hover hover:text-text"
    >
      <ArrowDown aria-hidden size={20} strokeWidth={1.75} />
      {count > 0 && (
        <span className="badge absolute -top-2 grid h-5 min-w-5 place-items-center rounded-full bg-accent px-1.5 text-[0.6875rem] font-semibold text-on-accent tabular-nums">
          {format.badge(count)}
        </span>
      )}
    </button>
  );
}
