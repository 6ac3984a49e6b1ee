// A group or channel from the inside: its name and topic, who is in it, and the way out.
import { LogOut, UserPlus } from "lucide-react";
import { useState, type ReactNode } from "react";
import * as format from "../../format";
import { useChat } from "../../hooks/ChatProvider";
import { useMembers } from "../../hooks/useMembers";
import { useSession } from "../../hooks/useSession";
import type { ConversationItem, Outcome, UserId } from "../../model/types";
import { byRank, mayDecideOn, mayManage, rolesToGive } from "../../model/permissions";
import { Avatar } from "../ui/Avatar";
import { Button } from "../ui/Button";
import { Confirm } from "../ui/Confirm";
import { AddMembers } from "./AddMembers";
import { GroupTitle } from "./GroupTitle";
import { MemberRow } from "./MemberRow";
import { Topic } from "./Topic";

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
  const close = () => setOpen(null);

  const run = async (outcome: Promise<Outcome<null>>): Promise<boolean> => {
    setProblem(null);
    const result = await outcome;
    if (!result.ok) setProblem(result.problem.message);
    return result.ok;
  };
  const leave = async () => { if (await run(chat.leave(item.id))) onLeft(); };
  const askToRemove = (user: UserId) => setOpen({ dialog: "remove", user, name: chat.profile(user).get()?.displayName ?? "this person" });

  return (
    <>
      <div className="flex flex-col items-center gap-2 pt-2 pb-5 text-center">
        <Avatar seed={item.id} name={item.name} shape="group" size="large" />
        <GroupTitle title={item.name} what={what} mayChange={manages} onChange={(title) => run(chat.setTitle(item.id, title))} />
        <Topic topic={item.topic} mayChange={manages} onChange={(topic) => run(chat.setTopic(item.id, topic))} />
        <p className="text-[0.8125rem] text-muted">{format.count(item.memberCount, "member", "members")}</p>
      </div>
      {problem !== null && <p role="alert" className="mb-3 rounded-control bg-fault px-3 py-2 text-[0.875rem] text-on-fault">{problem}</p>}
      {children}
      <section aria-label="Members" className="mt-4 border-t border-line pt-3">
        <div className="flex min-h-9 items-center justify-between">
          <h3 className="text-[0.8125rem] font-semibold text-muted">Members</h3>
          {manages && <Button size="small" onClick={() => setOpen({ dialog: "add" })}><UserPlus aria-hidden size={16} /> Add</Button>}
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
      <Button className="mt-4 w-full !text-danger" onClick={() => setOpen({ dialog: "leave" })}><LogOut aria-hidden size={16} className="rtl:-scale-x-100" /> Leave {what}</Button>

      <AddMembers conversation={item.id} what={what} members={members.map((member) => member.user)} open={open?.dialog === "add"} onClose={close} />
      <Confirm
        open={open?.dialog === "leave"}
        title={`Leave “${item.name}”?`}
        description="You will no longer see its messages. An admin can add you again."
        action={`Leave ${what}`}
        onConfirm={() => void leave()}
        onClose={close}
      />
      <Confirm
        open={open?.dialog === "remove"}
        title={open?.dialog === "remove" ? `Remove ${open.name}?` : ""}
        description={`They will no longer see the messages of this ${what}.`}
        action="Remove"
        onConfirm={() => { if (open?.dialog === "remove") void run(chat.removeMember(item.id, open.user)); }}
        onClose={close}
      />
    </>
  );
}
