// A name and some people make a group or a channel.
import { useRef, useState, type FormEvent, type RefObject } from "react";
import { useChat } from "../../hooks/ChatProvider";
import { useSession } from "../../hooks/useSession";
import type { ConversationId, UserId } from "../../model/types";
import { Button } from "../ui/Button";
import { Modal } from "../ui/Modal";
import { TextField } from "../ui/TextField";
import { Chips } from "./Chips";
import { PeoplePicker } from "./PeoplePicker";
import { usePeopleChoice } from "./usePeopleChoice";

interface NewGroupProps {
  open: boolean;
  onClose: () => void;
  onOpenConversation: (id: ConversationId) => void;
}

const KINDS = [
  { value: "group", label: "A group, in which everybody writes" },
  { value: "channel", label: "A channel, in which few write and all read" },
] as const;

function GroupForm({ onClose, onOpenConversation, titleRef }: Omit<NewGroupProps, "open"> & { titleRef: RefObject<HTMLInputElement | null> }) {
  const chat = useChat();
  const session = useSession();
  const choice = usePeopleChoice();
  const [title, setTitle] = useState("");
  const [kind, setKind] = useState<"group" | "channel">("group");
  const [problem, setProblem] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const without = new Set<UserId>(choice.people.map((person) => person.userId));
  if (session.at === "signed-in") without.add(session.me.userId);

  const create = async (event: FormEvent) => {
    event.preventDefault();
    if (title.trim() === "") {
      setProblem(`Give the ${kind} a name.`);
      titleRef.current?.focus();
      return;
    }
    setBusy(true);
    const outcome = await chat.createGroup(title.trim(), choice.people.map((person) => person.userId), kind);
    setBusy(false);
    if (!outcome.ok) return setProblem(outcome.problem.message);
    onOpenConversation(outcome.value);
    onClose();
  };

  return (
    <form onSubmit={(event) => void create(event)} className="flex min-h-0 flex-1 flex-col" noValidate>
      <fieldset className="mb-4 flex flex-col gap-1">
        <legend className="sr-only">Who writes</legend>
        {KINDS.map(({ value, label }) => (
          <label key={value} className="flex min-h-9 items-center gap-2.5 pointer-coarse:min-h-11">
            <input type="radio" name="kind" checked={kind === value} onChange={() => setKind(value)} className="size-4 accent-accent" />
            {label}
          </label>
        ))}
      </fieldset>
      <TextField ref={titleRef} label={kind === "channel" ? "Channel name" : "Group name"} dir="auto" autoComplete="off" value={title} onChange={(event) => setTitle(event.target.value)} className="mb-4" />
      <Chips people={choice.people} onRemove={choice.remove} />
      <PeoplePicker
        label="People to add"
        query={choice.query}
        onQuery={choice.setQuery}
        search={choice.search}
        without={without}
        onChoose={choice.add}
        onBackspace={choice.removeLast}
      />
      {problem !== null && <p role="alert" className="mt-2 text-danger">{problem}</p>}
      <Button type="submit" tone="accent" busy={busy} className="mt-4">Create {kind}</Button>
    </form>
  );
}

export function NewGroup({ open, onClose, onOpenConversation }: NewGroupProps) {
  const title = useRef<HTMLInputElement>(null);
  return (
    <Modal title="New group" open={open} onClose={onClose} initialFocus={title}>
      <GroupForm titleRef={title} onClose={onClose} onOpenConversation={onOpenConversation} />
    </Modal>
  );
}
