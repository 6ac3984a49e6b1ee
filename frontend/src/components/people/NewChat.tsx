// Start a direct chat with somebody; an existing one is simply opened.
import { Compass, Users } from "lucide-react";
import { useRef, useState, type RefObject } from "react";
import { useChat } from "../../hooks/ChatProvider";
import { useSession } from "../../hooks/useSession";
import type { ConversationId, Profile } from "../../model/types";
import { Button } from "../ui/Button";
import { Modal } from "../ui/Modal";
import { t } from "../../i18n/text";
import { PeoplePicker } from "./PeoplePicker";
import { usePeopleSearch } from "./usePeopleSearch";
import { problemWords } from "../problemWords";

interface NewChatProps {
  open: boolean;
  onClose: () => void;
  onOpenConversation: (id: ConversationId) => void;
  onNewGroup: () => void;
  onBrowse: () => void;
}

function Search({ onClose, onOpenConversation, inputRef }: Omit<NewChatProps, "open" | "onNewGroup" | "onBrowse"> & { inputRef: RefObject<HTMLInputElement | null> }) {
  const chat = useChat();
  const session = useSession();
  const [query, setQuery] = useState("");
  const [problem, setProblem] = useState<string | null>(null);
  const search = usePeopleSearch(query);
  const me = session.at === "signed-in" ? [session.me.userId] : [];

  const choose = async (person: Profile) => {
    const outcome = await chat.openDirect(person.userId);
    if (!outcome.ok) return setProblem(problemWords(outcome.problem));
    onOpenConversation(outcome.value);
    onClose();
  };

  return (
    <>
      {problem !== null && <p role="alert" className="mb-2 text-danger">{problem}</p>}
      <PeoplePicker
        label={t("people.toWrite")}
        query={query}
        onQuery={setQuery}
        search={search}
        without={new Set(me)}
        onChoose={(person) => void choose(person)}
        inputRef={inputRef}
      />
    </>
  );
}

export function NewChat({ open, onClose, onOpenConversation, onNewGroup, onBrowse }: NewChatProps) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <Modal title={t("list.newMessage")} open={open} onClose={onClose} initialFocus={input}>
      <Search inputRef={input} onClose={onClose} onOpenConversation={onOpenConversation} />
      <div className="mt-2 flex flex-col gap-2 border-t border-line pt-4">
        <Button onClick={onNewGroup} className="w-full"><Users aria-hidden size={18} strokeWidth={1.75} /> {t("newGroup.title")}</Button>
        <Button onClick={onBrowse} className="w-full"><Compass aria-hidden size={18} strokeWidth={1.75} /> {t("browse.title")}</Button>
      </div>
    </Modal>
  );
}
