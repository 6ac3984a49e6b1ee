// What stands in the corner of a message: whether it is pinned or was edited, its time, its state.
import clsx from "clsx";
import { Clock3, Pin } from "lucide-react";
import * as format from "../../format";
import type { TimelineMessage } from "../../model/types";
import { Tip } from "../ui/Tip";
import { direction, speech } from "../../i18n/language";
import { t } from "../../i18n/text";
import { MessageTick } from "./MessageTick";

interface MessageMetaProps {
  message: TimelineMessage;
  endsRun: boolean;
  onHistory: () => void;
}

/**
 * Floats into the last line when there is room, below it when not. In the direction of the screen: the place
 * of the time must not depend on the language of the text.
 */
export function MessageMeta({ message, endsRun, onHistory }: MessageMetaProps) {
  const { mine, state, at, editedAt, pinned, amending } = message;
  return (
    <span
      dir={direction(speech().language)}
      className={clsx("relative float-right rtl:float-left mt-2 -mb-0.5 flex h-4 items-center gap-1 text-[0.6875rem] leading-4 whitespace-nowrap select-none", mine ? "ms-4 text-own-muted" : "ms-3 text-peer-muted")}
    >
      {pinned && <Tip label={t("message.isPinned")}><span className="inline-grid size-3.5 place-items-center"><Pin aria-hidden size={12} className="fill-current" /></span></Tip>}
      {editedAt !== null && (
        <button type="button" tabIndex={-1} title={t("message.editedAt", { time: format.exactTime(editedAt) })} onClick={onHistory} className="rounded-sm hover:underline">{t("message.edited")}</button>
      )}
      <time dateTime={format.isoTime(at)} title={format.exactTime(at)}>{format.time(at)}</time>
      {/* What is answered at once shows no clock: it would only flicker. */}
      {amending && <span data-amending className="animate-[appear_120ms_500ms_both]"><Clock3 aria-hidden size={13} /><span className="sr-only">{t("common.saving")}</span></span>}
      {state !== null && !amending && <MessageTick state={state} at={at} quiet={!endsRun} />}
    </span>
  );
}
