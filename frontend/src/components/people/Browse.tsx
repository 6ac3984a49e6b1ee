// The public conversations: found by their titles, joined by a click.
import { useEffect, useRef, useState, type RefObject } from "react";
import { useChat } from "../../hooks/ChatProvider";
import { useConversations } from "../../hooks/useConversations";
import { t } from "../../i18n/text";
import type { ConversationId } from "../../model/types";
import type { Listing } from "../../protocol";
import { problemWords } from "../problemWords";
import { Button } from "../ui/Button";
import { Modal } from "../ui/Modal";
import { PersonLine } from "./PersonLine";
import { Picker } from "./Picker";

interface BrowseProps {
  open: boolean;
  onClose: () => void;
  onOpenConversation: (id: ConversationId) => void;
}

interface Found {
  listings: readonly Listing[];
  /** Where to go on; null: these are all. */
  next: string | null;
}

function Directory({ onClose, onOpenConversation, inputRef }: Omit<BrowseProps, "open"> & { inputRef: RefObject<HTMLInputElement | null> }) {
  const chat = useChat();
  const { items } = useConversations();
  const [query, setQuery] = useState("");
  const [found, setFound] = useState<Found | null>(null);
  const [problem, setProblem] = useState<string | null>(null);

  const load = async (cursor: string | null) => {
    const page = await chat.directory(cursor);
    if (!page.ok) return setProblem(problemWords(page.problem));
    setProblem(null);
    setFound((before) => ({ listings: [...(cursor === null ? [] : (before?.listings ?? [])), ...page.value.listings], next: page.value.next }));
  };
  // Once, when it opens.
  const begun = useRef(false);
  useEffect(() => {
    if (begun.current) return;
    begun.current = true;
    void load(null);
  });

  const inside = new Set(items.map((item) => item.id));
  const choose = async (id: ConversationId) => {
    const joined = inside.has(id) ? { ok: true as const, value: id } : await chat.joinPublic(id);
    if (!joined.ok) return setProblem(problemWords(joined.problem));
    onOpenConversation(joined.value);
    onClose();
  };

  const wanted = query.trim().toLocaleLowerCase();
  const shown = (found?.listings ?? []).filter(({ title }) => (title ?? "").toLocaleLowerCase().includes(wanted));
  const choices = shown.map(({ id, title, topic, memberCount }) => {
    const members = t("list.members", { count: memberCount });
    const state = inside.has(id) ? t("browse.inside") : members;
    return {
      id,
      label: [title ?? "", state, topic ?? ""].filter((part) => part !== "").join(", "),
      group: t("browse.title"),
      content: <PersonLine seed={id} name={title ?? ""} detail={topic === null ? state : `${state} · ${topic}`} shape="group" />,
    };
  });

  return (
    <>
      {problem !== null && <p role="alert" className="mb-2 text-danger">{problem}</p>}
      <Picker
        label={t("browse.label")}
        placeholder={t("browse.placeholder")}
        query={query}
        onQuery={setQuery}
        choices={choices}
        onChoose={(id) => { const one = shown.find((listing) => listing.id === id); if (one !== undefined) void choose(one.id); }}
        empty={found === null ? (problem === null ? t("common.loading") : null) : t(query === "" ? "browse.none" : "browse.noneFound")}
        inputRef={inputRef}
      />
      {found !== null && found.next !== null && <Button className="mt-3" onClick={() => void load(found.next)}>{t("browse.more")}</Button>}
    </>
  );
}

export function Browse({ open, onClose, onOpenConversation }: BrowseProps) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <Modal title={t("browse.title")} open={open} onClose={onClose} initialFocus={input}>
      <Directory onClose={onClose} onOpenConversation={onOpenConversation} inputRef={input} />
    </Modal>
  );
}
