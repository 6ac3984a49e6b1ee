// All conversations, the last active first. One Tab stop; arrows move, Enter opens.
import { useRovingFocus } from "../../a11y/useRovingFocus";
import type { ConversationId, ConversationItem } from "../../model/types";
import { Button } from "../ui/Button";
import { EmptyState } from "../ui/EmptyState";
import { ListSkeleton } from "../ui/Skeleton";
import { useNow } from "../useNow";
import { t } from "../../i18n/text";
import { ConversationRow } from "./ConversationRow";

interface ConversationListProps {
  items: ConversationItem[];
  state: "loading" | "ready" | "failed";
  selected: ConversationId | null;
  onOpen: (id: ConversationId) => void;
  onNewChat: () => void;
  onRetry: () => void;
}

const MINUTE_MS = 60_000;

export function ConversationList({ items, state, selected, onOpen, onNewChat, onRetry }: ConversationListProps) {
  const now = useNow(MINUTE_MS);
  const roving = useRovingFocus(items.map((item) => item.id), selected);

  if (items.length === 0) {
    if (state === "loading") return <ListSkeleton />;
    if (state === "failed") {
      return (
        <EmptyState title={t("list.failed")} action={<Button onClick={onRetry}>{t("common.tryAgain")}</Button>}>
          {t("list.failedHint")}
        </EmptyState>
      );
    }
    return (
      <EmptyState title={t("list.empty")} action={<Button tone="accent" onClick={onNewChat}>{t("list.start")}</Button>}>
        {t("list.emptyHint")}
      </EmptyState>
    );
  }
  return (
    <ul {...roving.container} className="min-h-0 flex-1 overflow-y-auto px-2 pb-2">
      {items.map((item) => (
        <li key={item.id}>
          <ConversationRow item={item} selected={item.id === selected} now={now} onOpen={onOpen} focus={roving.item(item.id)} />
        </li>
      ))}
    </ul>
  );
}
