// Whom one talks to, and the ways back and into the details.
import { ArrowLeft, PanelRight } from "lucide-react";
import * as format from "../format";
import { useProfile } from "../hooks/useProfile";
import type { ConversationItem, UserId } from "../model/types";
import { Avatar } from "./ui/Avatar";
import { IconButton } from "./ui/IconButton";

interface ConversationHeaderProps {
  item: ConversationItem;
  detailsOpen: boolean;
  onDetails: () => void;
  onBack: () => void;
}

function Handle({ user }: { user: UserId }) {
  const profile = useProfile(user);
  return profile === null ? null : `@${profile.name}`;
}

function Subtitle({ item }: { item: ConversationItem }) {
  if (item.typing.length > 0) return <span className="text-accent-text">{item.kind === "direct" ? "typing…" : format.typing(item.typing)}</span>;
  if (item.kind !== "direct") {
    const people = format.count(item.memberCount, "member", "members");
    return item.topic === null ? people : <>{people} · <bdi>{item.topic}</bdi></>;
  }
  if (item.online) return "online";
  return item.peer === null ? null : <Handle user={item.peer} />;
}

export function ConversationHeader({ item, detailsOpen, onDetails, onBack }: ConversationHeaderProps) {
  return (
    <header data-region="header" tabIndex={-1} className="flex h-14 shrink-0 items-center gap-3 border-b border-line px-2 outline-none md:px-4">
      <IconButton label="Back to the conversations" icon={ArrowLeft} onClick={onBack} className="md:hidden rtl:-scale-x-100" />
      <Avatar seed={item.peer ?? item.id} name={item.name} shape={item.kind !== "direct" ? "group" : "person"} online={item.online} size="small" />
      <div className="min-w-0 flex-1">
        <h2 className="truncate leading-5 font-semibold"><bdi>{item.name}</bdi></h2>
        <p className="h-4 truncate text-meta text-muted"><Subtitle item={item} /></p>
      </div>
      <IconButton label="Details" icon={PanelRight} aria-pressed={detailsOpen} onClick={onDetails} className="aria-pressed:bg-selected aria-pressed:text-text rtl:-scale-x-100" />
    </header>
  );
}
