// Ctrl+K: any conversation by a few letters of its name, and people one has not talked to yet.
import { useRef, useState, type RefObject } from "react";
import * as format from "../../format";
import { useChat } from "../../hooks/ChatProvider";
import { useConversations } from "../../hooks/useConversations";
import { useSession } from "../../hooks/useSession";
import type { ConversationId, ConversationItem } from "../../model/types";
import { Modal } from "../ui/Modal";
import { rich, t } from "../../i18n/text";
import { match } from "./match";
import { PersonLine } from "./PersonLine";
import { Picker, type Choice } from "./Picker";
import { usePeopleSearch } from "./usePeopleSearch";
import { problemWords } from "../problemWords";

interface QuickSwitcherProps {
  open: boolean;
  onClose: () => void;
  onOpenConversation: (id: ConversationId) => void;
}

const SHOWN_MAX = 12;

/** Those whose name answers the query, and those that are a guess. */
function ranked(items: ConversationItem[], query: string): { found: ConversationItem[]; guessed: ConversationItem[] } {
  const all = items
    .flatMap((item) => {
      const score = match(item.name, query);
      return score === null ? [] : [{ item, score }];
    })
    // A stable sort: among equals the last active stays first.
    .sort((a, b) => b.score - a.score)
    .slice(0, SHOWN_MAX);
  const isGuess = ({ score }: { score: number }) => query.trim() !== "" && score === 0;
  return {
    found: all.filter((one) => !isGuess(one)).map(({ item }) => item),
    guessed: all.filter(isGuess).map(({ item }) => item),
  };
}

function conversationChoice(item: ConversationItem, group: string): Choice {
  const detail = item.kind !== "direct" ? t("list.members", { count: item.memberCount }) : item.online ? t("person.online") : t("list.direct");
  return {
    id: `c:${item.id}`,
    label: item.unread > 0 ? `${item.name}, ${t("list.unread", { count: item.unread })}` : item.name,
    group,
    content: (
      <PersonLine
        seed={item.peer ?? item.id}
        name={item.name}
        detail={detail}
        shape={item.kind !== "direct" ? "group" : "person"}
        online={item.online}
        end={item.unread > 0 && (
          <span className="badge rounded-full bg-accent px-1.5 text-[0.6875rem] leading-5 font-semibold text-on-accent tabular-nums">{format.badge(item.unread)}</span>
        )}
      />
    ),
  };
}

interface SwitcherProps extends Omit<QuickSwitcherProps, "open"> {
  inputRef: RefObject<HTMLInputElement | null>;
}

function Switcher({ onClose, onOpenConversation, inputRef }: SwitcherProps) {
  const chat = useChat();
  const { items } = useConversations();
  const session = useSession();
  const [query, setQuery] = useState("");
  const [problem, setProblem] = useState<string | null>(null);
  const search = usePeopleSearch(query);

  const known = new Set(items.map((item) => item.peer));
  if (session.at === "signed-in") known.add(session.me.userId);
  const people = search.people.filter((person) => !known.has(person.userId));
  const { found, guessed } = ranked(items, query);
  const choices: Choice[] = [
    ...found.map((item) => conversationChoice(item, t(query.trim() === "" ? "switcher.recent" : "switcher.conversations"))),
    ...people.map((person) => ({
      id: `p:${person.userId}`,
      label: `${person.displayName}, @${person.name}`,
      group: t("people.label"),
      content: <PersonLine seed={person.userId} name={person.displayName} detail={`@${person.name}`} />,
    })),
    // Behind the people: somebody who types “car” means Carol, not aliCe AhlbeRg.
    ...guessed.map((item) => conversationChoice(item, t("switcher.similar"))),
  ];

  const choose = async (id: string) => {
    const item = items.find((one) => `c:${one.id}` === id);
    const person = people.find((one) => `p:${one.userId}` === id);
    if (item) onOpenConversation(item.id);
    else if (person) {
      const outcome = await chat.openDirect(person.userId);
      if (!outcome.ok) return setProblem(problemWords(outcome.problem));
      onOpenConversation(outcome.value);
    }
    onClose();
  };

  return (
    <>
      {problem !== null && <p role="alert" className="mb-2 text-danger">{problem}</p>}
      <Picker
        inputRef={inputRef}
        label={t("switcher.label")}
        placeholder={t("switcher.placeholder")}
        query={query}
        onQuery={setQuery}
        choices={choices}
        onChoose={(id) => void choose(id)}
        empty={
          search.state === "searching" ? t("common.searching")
          : search.state === "failed" ? t("people.failed")
          : query === "" ? t("people.typeName")
          : rich("people.none", { query: <bdi>{query.trim()}</bdi> })
        }
      />
    </>
  );
}

export function QuickSwitcher({ open, onClose, onOpenConversation }: QuickSwitcherProps) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <Modal title={t("switcher.title")} open={open} onClose={onClose} initialFocus={input}>
      <Switcher inputRef={input} onClose={onClose} onOpenConversation={onOpenConversation} />
    </Modal>
  );
}
