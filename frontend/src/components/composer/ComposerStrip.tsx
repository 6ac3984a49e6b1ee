// What one is about to answer or to change, above the field, with the way out.
import { Pencil, Reply, X } from "lucide-react";
import type { TimelineMessage } from "../../model/types";
import { useQuoteWords } from "../messages/QuoteBlock";
import { IconButton } from "../ui/IconButton";

interface ComposerStripProps {
  doing: "reply" | "edit";
  message: TimelineMessage;
  onJump: () => void;
  onCancel: () => void;
}

export function ComposerStrip({ doing, message, onJump, onCancel }: ComposerStripProps) {
  const { who } = useQuoteWords({ seq: message.seq ?? 0, from: message.from, text: message.text, state: "said" });
  const Icon = doing === "reply" ? Reply : Pencil;
  const title = doing === "edit" ? "Edit message" : message.mine ? "Reply to yourself" : <>Reply to <bdi>{who}</bdi></>;
  return (
    <div role="group" aria-label={doing === "edit" ? "Editing" : "Replying"} className="mb-1 flex items-center gap-2 rounded-control bg-sidebar py-1 ps-3 pe-1">
      <Icon aria-hidden size={17} strokeWidth={1.75} className="shrink-0 text-accent-text rtl:-scale-x-100" />
      <button type="button" onClick={onJump} className="min-w-0 flex-1 rounded-sm text-start text-meta">
        <span className="block truncate font-semibold text-accent-text">{title}</span>
        <span dir="auto" className="block truncate text-muted">{message.text}</span>
      </button>
      <IconButton label={doing === "edit" ? "Stop editing" : "Do not reply"} icon={X} side="top" onClick={onCancel} />
    </div>
  );
}
