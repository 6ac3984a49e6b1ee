// Behind an invitation: what one is invited to, and the way in.
import { useEffect, useState } from "react";
import { useChat } from "../hooks/ChatProvider";
import { t } from "../i18n/text";
import type { ConversationId, Outcome, ProblemView } from "../model/types";
import type { BehindLink } from "../protocol";
import { problemWords } from "./problemWords";
import { Avatar } from "./ui/Avatar";
import { Button } from "./ui/Button";
import { EmptyState } from "./ui/EmptyState";
import { Spinner } from "./ui/Spinner";

interface InvitationProps {
  token: string;
  onOpen: (conversation: ConversationId) => void;
  onBack: () => void;
}

function why(problem: ProblemView): string {
  if (problem.code === "not_found") return t("invitation.ended");
  if (problem.code === "forbidden") return t("invitation.barred");
  if (problem.code === "invalid") return t("invitation.full");
  return problemWords(problem);
}

export function Invitation({ token, onOpen, onBack }: InvitationProps) {
  const chat = useChat();
  const [behind, setBehind] = useState<Outcome<BehindLink> | null>(null);
  const [problem, setProblem] = useState<ProblemView | null>(null);
  const [busy, setBusy] = useState(false);

  useEffect(() => {
    let gone = false;
    void chat.lookIn(token).then((found) => { if (!gone) setBehind(found); });
    return () => { gone = true; };
  }, [chat, token]);

  const join = async () => {
    setBusy(true);
    const joined = await chat.join(token);
    setBusy(false);
    if (joined.ok) onOpen(joined.value);
    else setProblem(joined.problem);
  };

  const back = <Button onClick={onBack}>{t("invitation.back")}</Button>;
  if (behind === null) return <main className="grid h-dvh place-items-center" aria-label={t("invitation.title")}><Spinner /></main>;
  if (!behind.ok) return <main className="flex h-dvh bg-canvas" aria-label={t("invitation.title")}><EmptyState title={t("invitation.title")} action={back}>{why(behind.problem)}</EmptyState></main>;
  const { id, kind, title, topic, memberCount, member } = behind.value;
  const name = title ?? "";
  return (
    <main className="flex h-dvh flex-col overflow-y-auto bg-sidebar p-4" aria-label={t("invitation.title")}>
      <div className="m-auto flex w-full max-w-[26rem] flex-col items-center gap-2 rounded-bubble border border-line bg-raised px-6 py-8 text-center">
        <Avatar seed={id} name={name} shape="group" size="large" />
        <p className="mt-2 text-[0.875rem] text-muted">{t(member ? "invitation.already" : kind === "channel" ? "invitation.toChannel" : "invitation.toGroup")}</p>
        <h1 className="text-[1.25rem] leading-7 font-semibold [overflow-wrap:anywhere]"><bdi>{name}</bdi></h1>
        {topic !== null && <p className="text-[0.875rem] [overflow-wrap:anywhere] whitespace-pre-line text-muted"><bdi>{topic}</bdi></p>}
        <p className="text-[0.8125rem] text-muted">{t("list.members", { count: memberCount })}</p>
        {problem !== null && <p role="alert" className="mt-2 rounded-control bg-fault px-3 py-2 text-[0.875rem] text-on-fault">{why(problem)}</p>}
        <div className="mt-4 flex flex-wrap justify-center gap-2">
          {back}
          {member
            ? <Button tone="accent" onClick={() => onOpen(id)}>{t("invitation.open")}</Button>
            : <Button tone="accent" busy={busy} onClick={() => void join()}>{t("invitation.join")}</Button>}
        </div>
      </div>
    </main>
  );
}
