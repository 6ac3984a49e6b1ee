// The start side: who one is, the way to anybody, and the conversations.
import { Search, SquarePen } from "lucide-react";
import { lazy, Suspense } from "react";
import { MOD } from "../a11y/useShortcuts";
import { useConnection } from "../hooks/useConnection";
import { useConversations } from "../hooks/useConversations";
import { t } from "../i18n/text";
import type { ConversationId, Profile } from "../model/types";
import { ConversationList } from "./conversations/ConversationList";
import { NotifyPrompt } from "./NotifyPrompt";
import { Avatar } from "./ui/Avatar";
import { IconButton } from "./ui/IconButton";

// Menus weigh more than the rest of the list; the picture stands in until it can be pressed.
const UserMenu = lazy(() => import("./UserMenu").then((module) => ({ default: module.UserMenu })));

interface SidebarProps {
  me: Profile;
  selected: ConversationId | null;
  onOpen: (id: ConversationId) => void;
  onNewChat: () => void;
  onSwitch: () => void;
  onShortcuts: () => void;
  onRetry: () => void;
}

export function Sidebar({ me, selected, onOpen, onNewChat, onSwitch, onShortcuts, onRetry }: SidebarProps) {
  const { items, state } = useConversations();
  const connection = useConnection();
  // The list comes from this device at once and is corrected by the server: say so while that lasts.
  const updating = items.length > 0 && (state === "loading" || connection.at === "connecting");
  return (
    <nav aria-label={t("list.label")} data-region="list" className="flex min-h-0 flex-1 flex-col">
      <div className="flex h-14 shrink-0 items-center gap-2 ps-4 pe-3">
        <Suspense fallback={<span className="grid size-9 place-items-center pointer-coarse:size-11"><Avatar seed={me.userId} name={me.displayName} size="small" /></span>}>
          <UserMenu me={me} onShortcuts={onShortcuts} />
        </Suspense>
        <h2 className="min-w-0 flex-1 truncate ps-1 text-[1.0625rem] font-semibold">{t(updating ? "list.updating" : "list.title")}</h2>
        <IconButton label={t("list.newMessage")} icon={SquarePen} onClick={onNewChat} />
      </div>
      <div className="px-3 pb-2">
        <button
          type="button"
          onClick={onSwitch}
          className="flex h-9 w-full items-center gap-2 rounded-control border border-line bg-canvas px-3 text-start text-[0.8125rem] text-muted hover:border-field pointer-coarse:h-11"
        >
          <Search aria-hidden size={16} />
          <span className="flex-1">{t("list.search")}</span>
          <kbd aria-hidden dir="ltr" className="text-meta max-md:hidden">{`${MOD}K`}</kbd>
        </button>
      </div>
      <ConversationList items={items} state={state} selected={selected} onOpen={onOpen} onNewChat={onNewChat} onRetry={onRetry} />
      {items.length > 0 && <NotifyPrompt />}
    </nav>
  );
}
