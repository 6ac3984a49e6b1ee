// A group or channel from the inside: its name and topic, who is in it, and the way out.
import { LogOut, UserPlus } from "lucide-react";
import { useState, type ReactNode } from "react";
import { useChat } from "../../hooks/ChatProvider";
import { useMembers } from "../../hooks/useMembers";
import { useSession } from "../../hooks/useSession";
import type { ConversationItem, Outcome, UserId } from "../../model/types";
import { byRank, mayDecideOn, mayManage, rolesToGive } from "../../model/permissions";
import { Avatar } from "../ui/Avatar";
import { Button } from "../ui/Button";
import { Confirm } from "../ui/Confirm";
import { t } from "../../i18n/text";
import { AddMembers } from "./AddMembers";
import { Entrance } from "./Entrance";
import { GroupTitle } from "./GroupTitle";
import { Links } from "./Links";
import { MemberRow } from "./MemberRow";
import { Topic } from "./Topic";
import { problemWords } from "../problemWords";

interface GroupDetailsProps {
  item: ConversationItem;
  /** After leaving there is nothing to stay for. */
  onLeft: () => void;
  /** Stands between what the group is and who is in it. */
  children: ReactNode;
}

type Open = { dialog: "add" } | { dialog: "leave" } | { dialog: "remove"; user: UserId; name: string } | null;

export function GroupDetails({ item, onLeft, children }: GroupDetailsProps) {
  const chat = useChat();
  const session = useSession();
  const members = [...useMembers(item.id)].sort(byRank);
  const [open, setOpen] = useState<Open>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const manages = mayManage(item);
  const what = item.kind === "channel" ? "channel" : "group";
  const leaveWords = t(what === "channel" ? "details.leaveChannel" : "details.leaveGroup");
  const close = () => setOpen(null);

  const run = async (outcome: Promise<Outcome<null>>): Promise<boolean> => {
    setProblem(null);
    const result = await outcome;
    if (!result.ok) setProblem(problemWords(result.problem));
    return result.ok;
  };
  const leave = async () => { if (await run(chat.leave(item.id))) onLeft(); };
  const askToRemove = (user: UserId) => setOpen({ dialog: "remove", user, name: chat.profile(user).get()?.displayName || t("details.thisPerson") });

  return (
    <>
      <div className="flex flex-col items-center gap-2 pt-2 pb-5 text-center">
        <Avatar seed={item.id} name={item.name} shape="group" size="large" />
        <GroupTitle title={item.name} what={what} mayChange={manages} onChange={(title) => run(chat.setTitle(item.id, title))} />
        <Topic topic={item.topic} mayChange={manages} onChange={(topic) => run(chat.setTopic(item.id, topic))} />
        <p className="text-[0.8125rem] text-muted">{t("list.members", { count: item.memberCount })}</p>
      </div>
      {problem !== null && <p role="alert" className="mb-3 rounded-control bg-fault px-3 py-2 text-[0.875rem] text-on-fault">{problem}</p>}
      {children}
      <section aria-label={t("details.members")} className="mt-4 border-t border-line pt-3">
        <div className="flex min-h-9 items-center justify-between">
          <h3 className="text-[0.8125rem] font-semibold text-muted">{t("details.members")}</h3>
          {manages && <Button size="small" onClick={() => setOpen({ dialog: "add" })}><UserPlus aria-hidden size={16} /> {t("details.add")}</Button>}
        </div>
        <ul className="mt-1">
          {members.map((member) => (
            <MemberRow
              key={member.user}
              member={member}
              me={session.at === "signed-in" && session.me.userId === member.user}
              roles={rolesToGive(item, member.role)}
              removable={mayDecideOn(item, member.role) ? what : null}
              onRole={(role) => void run(chat.setRole(item.id, member.user, role))}
              onRemove={() => askToRemove(member.user)}
            />
          ))}
        </ul>
      </section>
      <Entrance
        access={item.access}
        history={item.history}
        mayChange={manages}
        onAccess={(access) => void run(chat.setAccess(item.id, access))}
        onHistory={(history) => void run(chat.setHistory(item.id, history))}
      />
      {manages && <Links conversation={item.id} />}
      <Button className="mt-4 w-full !text-danger" onClick={() => setOpen({ dialog: "leave" })}><LogOut aria-hidden size={16} className="rtl:-scale-x-100" /> {leaveWords}</Button>

      <AddMembers conversation={item.id} what={what} members={members.map((member) => member.user)} open={open?.dialog === "add"} onClose={close} />
      <Confirm
        open={open?.dialog === "leave"}
        title={t("details.leaveTitle", { name: item.name })}
        description={t("details.leaveText")}
        action={leaveWords}
        onConfirm={() => void leave()}
        onClose={close}
      />
      <Confirm
        open={open?.dialog === "remove"}
        title={open?.dialog === "remove" ? t("details.removeTitle", { name: open.name }) : ""}
        description={t(what === "channel" ? "details.removeFromChannelText" : "details.removeFromGroupText")}
        action={t("common.remove")}
        onConfirm={() => { if (open?.dialog === "remove") void run(chat.removeMember(item.id, open.user)); }}
        onClose={close}
      />
    </>
  );
}
