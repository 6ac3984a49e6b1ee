// Bring more people into a group or channel.
import { useRef, useState, type RefObject } from "react";
import { useChat } from "../../hooks/ChatProvider";
import type { ConversationId, UserId } from "../../model/types";
import { Chips } from "../people/Chips";
import { PeoplePicker } from "../people/PeoplePicker";
import { usePeopleChoice } from "../people/usePeopleChoice";
import { Button } from "../ui/Button";
import { Modal } from "../ui/Modal";

interface AddMembersProps {
  conversation: ConversationId;
  what: "group" | "channel";
  members: UserId[];
  open: boolean;
  onClose: () => void;
}

function AddForm({ conversation, what, members, onClose, inputRef }: Omit<AddMembersProps, "open"> & { inputRef: RefObject<HTMLInputElement | null> }) {
  const chat = useChat();
  const choice = usePeopleChoice();
  const [problem, setProblem] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const chosen = choice.people.map((person) => person.userId);

  const add = async () => {
    setBusy(true);
    const outcome = await chat.addMembers(conversation, chosen);
    setBusy(false);
    if (outcome.ok) onClose();
    else setProblem(outcome.problem.message);
  };

  return (
    <>
      <Chips people={choice.people} onRemove={choice.remove} />
      <PeoplePicker
        label="People to add"
        query={choice.query}
        onQuery={choice.setQuery}
        search={choice.search}
        without={new Set([...members, ...chosen])}
        onChoose={choice.add}
        onBackspace={choice.removeLast}
        inputRef={inputRef}
      />
      {problem !== null && <p role="alert" className="mt-2 text-danger">{problem}</p>}
      <Button tone="accent" disabled={chosen.length === 0} busy={busy} onClick={() => void add()} className="mt-4">Add to {what}</Button>
    </>
  );
}

export function AddMembers({ conversation, what, members, open, onClose }: AddMembersProps) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <Modal title="Add people" open={open} onClose={onClose} initialFocus={input}>
      <AddForm conversation={conversation} what={what} members={members} onClose={onClose} inputRef={input} />
    </Modal>
  );
}
