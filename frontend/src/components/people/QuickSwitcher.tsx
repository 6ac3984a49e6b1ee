// Ctrl+K: any conversation by a few letters of its name, and people one has not talked to yet.
import { useRef, useState, type RefObject } from "react";
import * as format from "../../format";
import { useChat } from "../../hooks/ChatProvider";
import { useConversations } from "../../hooks/useConversations";
import { useSession } from "../../hooks/useSession";
import type { ConversationId, ConversationItem } from "../../model/types";
import { Modal } from "../ui/Modal";
import { match } from "./match";
import { PersonLine } from "./PersonLine";
import { Picker, type Choice } from "./Picker";
import { usePeopleSearch } from "./usePeopleSearch";

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
  const detail = item.kind !== "direct" ? format.count(item.memberCount, "member", "members") : item.online ? "online" : "direct chat";
  return {
    id: `c:${item.id}`,
    label: item.unread > 0 ? `${item.name}, ${item.unread} unread` : item.name,
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
    ...found.map((item) => conversationChoice(item, query.trim() === "" ? "Recent" : "Conversations")),
    ...people.map((person) => ({
      id: `p:${person.userId}`,
      label: `${person.displayName}, @${person.name}`,
      group: "People",
      content: <PersonLine seed={person.userId} name={person.displayName} detail={`@${person.name}`} />,
    })),
    // Behind the people: somebody who types “car” means Carol, not aliCe AhlbeRg.
    ...guessed.map((item) => conversationChoice(item, "Similar names")),
  ];

  const choose = async (id: string) => {
    const item = items.find((one) => `c:${one.id}` === id);
    const person = people.find((one) => `p:${one.userId}` === id);
    if (item) onOpenConversation(item.id);
    else if (person) {
      const outcome = await chat.openDirect(person.userId);
      if (!outcome.ok) return setProblem(outcome.problem.message);
      onOpenConversation(outcome.value);
    }
    onClose();
  };

  return (
    <>
      {problem !== null && <p role="alert" className="mb-2 text-danger">{problem}</p>}
      <Picker
        inputRef={inputRef}
        label="Conversation or person"
        placeholder="Find a conversation or a person"
        query={query}
        onQuery={setQuery}
        choices={choices}
        onChoose={(id) => void choose(id)}
        empty={
          search.state === "searching" ? "Searching…"
          : search.state === "failed" ? "Could not search for people. Try again in a moment."
          : query === "" ? "Type a name."
          : <>No results for “<bdi>{query.trim()}</bdi>”. Try the beginning of a name.</>
        }
      />
    </>
  );
}

export function QuickSwitcher({ open, onClose, onOpenConversation }: QuickSwitcherProps) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <Modal title="Go to" open={open} onClose={onClose} initialFocus={input}>
      <Switcher inputRef={input} onClose={onClose} onOpenConversation={onOpenConversation} />
    </Modal>
  );
}
