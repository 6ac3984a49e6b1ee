// What is pinned in a conversation, the latest first. A click goes there.
import { Pin } from "lucide-react";
import * as format from "../../format";
import { usePins } from "../../hooks/usePins";
import { useProfile } from "../../hooks/useProfile";
import type { ConversationId, PinnedMessage, UserId } from "../../model/types";
import { UNKNOWN_NAME } from "../PersonName";
import { Spinner } from "../ui/Spinner";
import { useNow } from "../useNow";

interface PinListProps {
  conversation: ConversationId;
  onJump: (seq: number) => void;
}

function Author({ user }: { user: UserId }) {
  return <bdi className="min-w-0 truncate font-semibold text-text">{useProfile(user)?.displayName ?? UNKNOWN_NAME}</bdi>;
}

function PinRow({ pin, now, onJump }: { pin: PinnedMessage; now: number; onJump: () => void }) {
  return (
    <li>
      <button type="button" onClick={onJump} className="block w-full rounded-control px-2 py-2 text-start hover:bg-hover">
        <span className="flex items-baseline justify-between gap-3 text-meta text-muted">
          {pin.from === null ? <span className="font-semibold text-text">System</span> : <Author user={pin.from} />}
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
    <section aria-label="Pinned messages" className="border-t border-line pt-3">
      <h3 className="flex min-h-9 items-center gap-1.5 text-[0.8125rem] font-semibold text-muted"><Pin aria-hidden size={14} /> Pinned messages</h3>
      {state === "loading" && <div className="py-2"><Spinner /></div>}
      {state === "failed" && <p className="text-[0.8125rem] text-muted">Could not load them. Close the details and open them again.</p>}
      {state === "ready" && messages.length === 0 && <p className="text-[0.8125rem] text-muted">Nothing is pinned yet.</p>}
      <ul className="-mx-2">
        {messages.map((pin) => <PinRow key={pin.seq} pin={pin} now={now} onJump={() => onJump(pin.seq)} />)}
      </ul>
    </section>
  );
}
