// What is pinned in a conversation, the latest first. A click goes there.
import { Pin } from "lucide-react";
import * as format from "../../format";
import { usePins } from "../../hooks/usePins";
import { useProfile } from "../../hooks/useProfile";
import type { ConversationId, PinnedMessage, UserId } from "../../model/types";
import { nameOf } from "../nameOf";
import { Spinner } from "../ui/Spinner";
import { useNow } from "../useNow";
import { t } from "../../i18n/text";

interface PinListProps {
  conversation: ConversationId;
  onJump: (seq: number) => void;
}

function Author({ user }: { user: UserId }) {
  return <bdi className="min-w-0 truncate font-semibold text-text">{nameOf(useProfile(user))}</bdi>;
}

function PinRow({ pin, now, onJump }: { pin: PinnedMessage; now: number; onJump: () => void }) {
  return (
    <li>
      <button type="button" onClick={onJump} className="block w-full rounded-control px-2 py-2 text-start hover:bg-hover">
        <span className="flex items-baseline justify-between gap-3 text-meta text-muted">
          {pin.from === null ? <span className="font-semibold text-text">{t("person.system")}</span> : <Author user={pin.from} />}
          <time dateTime={format.isoTime(pin.at)} className="shrink-0">{format.listTime(pin.at, now)}</time>
        </span>
        <span dir="auto" className="mt-0.5 line-clamp-3 text-[0.875rem] leading-5 [overflow-wrap:anywhere]">{pin.text}</span>
      </button>
    </li>
  );
}

export function PinList({ conversation, onJump }: PinListProps) {
  const { state, messages } = usePins(conversation);
  const now = useNow(60_000);
  return (
    <section aria-label={t("details.pinned")} className="border-t border-line pt-3">
      <h3 className="flex min-h-9 items-center gap-1.5 text-[0.8125rem] font-semibold text-muted"><Pin aria-hidden size={14} /> {t("details.pinned")}</h3>
      {state === "loading" && <div className="py-2"><Spinner /></div>}
      {state === "failed" && <p className="text-[0.8125rem] text-muted">{t("details.pinnedFailed")}</p>}
      {state === "ready" && messages.length === 0 && <p className="text-[0.8125rem] text-muted">{t("details.pinnedNone")}</p>}
      <ul className="-mx-2">
        {messages.map((pin) => <PinRow key={pin.seq} pin={pin} now={now} onJump={() => onJump(pin.seq)} />)}
      </ul>
    </section>
  );
}
