// The lines between messages: a day begins, the unread ones begin.
import { useNow } from "../useNow";
import * as format from "../../format";
import { t } from "../../i18n/text";

const MINUTE_MS = 60_000;

export function DayLabel({ at }: { at: number }) {
  // "Today" turns into "Yesterday" at midnight, also on a page that nobody touched.
  return format.day(at, useNow(MINUTE_MS));
}

export function DaySeparator({ at }: { at: number }) {
  const label = format.day(at, useNow(MINUTE_MS));
  return (
    <div role="separator" aria-label={label} className="flex justify-center pt-5 pb-1">
      <span className="rounded-full border border-line bg-canvas px-3 py-0.5 text-meta font-medium text-muted">{label}</span>
    </div>
  );
}

export function UnreadDivider() {
  return (
    <div role="separator" aria-label={t("messages.new")} className="flex items-center gap-3 pt-4 pb-1 text-meta font-semibold text-accent-text">
      <span className="h-px flex-1 bg-accent" />
      {t("messages.new")}
      <span className="h-px flex-1 bg-accent" />
    </div>
  );
}
