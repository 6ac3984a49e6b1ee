// Links by which people come into a group or channel, for its admins: made, shown once, revoked.
import { Copy, Link2, Trash2 } from "lucide-react";
import { useEffect, useState, type FormEvent } from "react";
import { useAnnounce } from "../../a11y/Announcer";
import * as format from "../../format";
import { useChat } from "../../hooks/ChatProvider";
import { invitationPath } from "../../hooks/useRoute";
import { t } from "../../i18n/text";
import type { ConversationId } from "../../model/types";
import type { InvitationLink } from "../../protocol";
import { PersonName } from "../PersonName";
import { problemWords } from "../problemWords";
import { Button } from "../ui/Button";
import { Confirm } from "../ui/Confirm";
import { IconButton } from "../ui/IconButton";
import { Modal } from "../ui/Modal";
import { useNow } from "../useNow";

const DAY_MS = 86_400_000;
const LASTS = [7, 1, 30, null] as const;
const USES = [null, 1, 10, 100] as const;

function hasEnded({ expiresAt, usesMax, uses }: InvitationLink, now: number): boolean {
  return (expiresAt !== null && expiresAt <= now) || (usesMax !== null && uses >= usesMax);
}

function stateWords(link: InvitationLink, now: number): string {
  const used = link.usesMax === null ? t("links.used", { count: link.uses }) : t("links.usedOf", { count: link.usesMax, uses: link.uses });
  if (hasEnded(link, now)) return `${t("links.ended")} · ${used}`;
  return link.expiresAt === null ? used : `${t("links.until", { time: format.exactTime(link.expiresAt) })} · ${used}`;
}

interface NewLinkProps {
  conversation: ConversationId;
  onMade: () => void;
  onClose: () => void;
}

/** First the choice, then the address, which is not to be had again. */
function NewLink({ conversation, onMade, onClose }: NewLinkProps) {
  const chat = useChat();
  const announce = useAnnounce();
  const [days, setDays] = useState<number | null>(7);
  const [uses, setUses] = useState<number | null>(null);
  const [address, setAddress] = useState<string | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);

  const make = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    const made = await chat.makeLink(conversation, days === null ? null : Date.now() + days * DAY_MS, uses);
    setBusy(false);
    if (!made.ok) return setProblem(problemWords(made.problem));
    setProblem(null);
    setAddress(window.location.origin + invitationPath(made.value));
    onMade();
  };
  const copy = async (text: string) => {
    await navigator.clipboard.writeText(text);
    announce.polite(t("message.didCopy"));
  };

  if (address !== null) {
    return (
      <>
        <p className="mb-2 text-muted">{t("links.once")}</p>
        <input readOnly autoFocus aria-label={t("links.address")} dir="ltr" value={address} onFocus={(event) => event.target.select()} className="h-11 w-full rounded-control border border-field bg-canvas px-3 font-mono text-[0.8125rem]" />
        <div className="mt-4 flex justify-end gap-2">
          <Button onClick={onClose}>{t("common.close")}</Button>
          <Button tone="accent" onClick={() => void copy(address)}><Copy aria-hidden size={16} /> {t("links.copy")}</Button>
        </div>
      </>
    );
  }
  const select = "mt-1 h-10 w-full rounded-control border border-field bg-canvas px-2 pointer-coarse:h-11 pointer-coarse:text-base";
  const numeric = (value: string) => (value === "" ? null : Number(value));
  return (
    <form onSubmit={(event) => void make(event)}>
      <label className="block text-[0.8125rem] font-medium">
        {t("links.lasts")}
        <select value={days ?? ""} onChange={(event) => setDays(numeric(event.target.value))} className={select}>
          {LASTS.map((each) => <option key={each ?? ""} value={each ?? ""}>{each === null ? t("links.forever") : t("links.days", { count: each })}</option>)}
        </select>
      </label>
      <label className="mt-3 block text-[0.8125rem] font-medium">
        {t("links.usesMax")}
        <select value={uses ?? ""} onChange={(event) => setUses(numeric(event.target.value))} className={select}>
          {USES.map((each) => <option key={each ?? ""} value={each ?? ""}>{each === null ? t("links.anyNumber") : format.number(each)}</option>)}
        </select>
      </label>
      {problem !== null && <p role="alert" className="mt-3 text-danger">{problem}</p>}
      <div className="mt-4 flex justify-end gap-2">
        <Button onClick={onClose}>{t("common.cancel")}</Button>
        <Button type="submit" tone="accent" busy={busy}>{t("links.make")}</Button>
      </div>
    </form>
  );
}

export function Links({ conversation }: { conversation: ConversationId }) {
  const chat = useChat();
  const now = useNow(60_000);
  const [links, setLinks] = useState<readonly InvitationLink[] | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [making, setMaking] = useState(false);
  const [revoking, setRevoking] = useState<string | null>(null);
  /** Counts what changed them, so that they are asked for again. */
  const [round, setRound] = useState(0);
  const again = () => setRound((before) => before + 1);

  useEffect(() => {
    let gone = false;
    void chat.links(conversation).then((found) => {
      if (gone) return;
      setProblem(found.ok ? null : problemWords(found.problem));
      if (found.ok) setLinks(found.value);
    });
    return () => { gone = true; };
  }, [chat, conversation, round]);

  const revoke = async (link: string) => {
    const done = await chat.revokeLink(conversation, link);
    if (done.ok) again();
    else setProblem(problemWords(done.problem));
  };

  return (
    <section aria-label={t("links.title")} className="mt-4 border-t border-line pt-3">
      <div className="flex min-h-9 items-center justify-between">
        <h3 className="text-[0.8125rem] font-semibold text-muted">{t("links.title")}</h3>
        <Button size="small" onClick={() => setMaking(true)}><Link2 aria-hidden size={16} /> {t("links.new")}</Button>
      </div>
      {problem !== null && <p role="alert" className="mt-1 text-[0.875rem] text-danger">{problem}</p>}
      {links?.length === 0 && <p className="mt-1 text-[0.875rem] text-muted">{t("links.none")}</p>}
      <ul className="mt-1">
        {(links ?? []).map((link) => (
          <li key={link.id} className="flex min-h-11 items-center gap-2 py-1">
            <div className="min-w-0 flex-1 text-[0.875rem]">
              <span className="block truncate">{link.by === null ? t("note.system") : <PersonName user={link.by} />}</span>
              <span className="block text-meta text-muted">{stateWords(link, now)}</span>
            </div>
            <IconButton label={t("links.revoke")} icon={Trash2} onClick={() => setRevoking(link.id)} />
          </li>
        ))}
      </ul>
      <Modal title={t("links.newTitle")} open={making} onClose={() => setMaking(false)}>
        <NewLink conversation={conversation} onMade={again} onClose={() => setMaking(false)} />
      </Modal>
      <Confirm
        open={revoking !== null}
        title={t("links.revokeTitle")}
        description={t("links.revokeText")}
        action={t("links.revoke")}
        onConfirm={() => { if (revoking !== null) void revoke(revoking); }}
        onClose={() => setRevoking(null)}
      />
    </section>
  );
}
