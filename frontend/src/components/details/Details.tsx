// About the open conversation: a pane where there is room, a sheet where there is not.
import { X } from "lucide-react";
import { useMediaQuery, WIDE } from "../../a11y/useMediaQuery";
import { useProfile } from "../../hooks/useProfile";
import type { ConversationItem, UserId } from "../../model/types";
import { Avatar } from "../ui/Avatar";
import { IconButton } from "../ui/IconButton";
import { Modal } from "../ui/Modal";
import { GroupDetails } from "./GroupDetails";
import { PinList } from "./PinList";

interface DetailsProps {
  item: ConversationItem;
  onJump: (seq: number) => void;
  onClose: () => void;
  onLeft: () => void;
}

function PersonDetails({ item, peer }: { item: ConversationItem; peer: UserId }) {
  const profile = useProfile(peer);
  return (
    <div className="flex flex-col items-center gap-1 pt-2 pb-5 text-center">
      <Avatar seed={peer} name={item.name} size="large" online={item.online} />
      <h3 className="mt-2 text-[1.0625rem] leading-6 font-semibold [overflow-wrap:anywhere]"><bdi>{item.name}</bdi></h3>
      {profile !== null && <p className="text-muted">@{profile.name}</p>}
      {item.online && <p className="text-[0.8125rem] text-presence">online</p>}
    </div>
  );
}

export function Details({ item, onJump, onClose, onLeft }: DetailsProps) {
  const pane = useMediaQuery(WIDE);
  const pins = <PinList conversation={item.id} onJump={onJump} />;
  const content = item.kind !== "direct" ? (
    <GroupDetails item={item} onLeft={onLeft}>{pins}</GroupDetails>
  ) : (
    <>
      {item.peer !== null && <PersonDetails item={item} peer={item.peer} />}
      {pins}
    </>
  );
  if (!pane) return <Modal shape="sheet" title="Details" open onClose={onClose}>{content}</Modal>;
  return (
    <aside aria-label="Details" data-region="details" tabIndex={-1} className="flex w-[340px] shrink-0 flex-col border-s border-line outline-none">
      <div className="flex h-14 shrink-0 items-center justify-between border-b border-line ps-5 pe-3">
        <h2 className="font-semibold">Details</h2>
        <IconButton label="Close details" icon={X} onClick={onClose} />
      </div>
      <div className="min-h-0 flex-1 overflow-y-auto px-5 py-4">{content}</div>
    </aside>
  );
}
