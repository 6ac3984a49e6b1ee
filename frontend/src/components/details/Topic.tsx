// What a group or channel is about; admins can change it in place.
import { Pencil } from "lucide-react";
import { useId, useState, type FormEvent, type KeyboardEvent } from "react";
import { Button } from "../ui/Button";
import { IconButton } from "../ui/IconButton";

interface TopicProps {
  topic: string | null;
  mayChange: boolean;
  /** `null`: there is none any more. */
  onChange: (topic: string | null) => Promise<boolean>;
}

/** As many as the server takes. */
const CHARACTERS_MAX = 1000;

export function Topic({ topic, mayChange, onChange }: TopicProps) {
  const [edited, setEdited] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const field = useId();

  const save = async (event?: FormEvent) => {
    event?.preventDefault();
    const next = edited?.trim() ?? "";
    setBusy(true);
    // A refused change leaves the field open with what was typed.
    if (next === (topic ?? "") || (await onChange(next === "" ? null : next))) setEdited(null);
    setBusy(false);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Escape") {
      event.stopPropagation();
      setEdited(null);
    } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) void save();
  };

  if (edited === null) {
    if (topic === null) {
      return mayChange ? <Button size="small" onClick={() => setEdited("")}>Add a topic</Button> : null;
    }
    return (
      <div className="flex items-start justify-center gap-1">
        <p className="min-w-0 text-[0.875rem] [overflow-wrap:anywhere] whitespace-pre-line text-muted"><bdi>{topic}</bdi></p>
        {mayChange && <IconButton label="Change the topic" icon={Pencil} onClick={() => setEdited(topic)} className="-mt-2 [&_svg]:size-4" />}
      </div>
    );
  }
  return (
    <form onSubmit={(event) => void save(event)} onKeyDown={onKeyDown} className="w-full text-start">
      <label htmlFor={field} className="mb-1 block text-[0.8125rem] font-medium">Topic</label>
      <textarea
        id={field}
        dir="auto"
        autoFocus
        rows={3}
        maxLength={CHARACTERS_MAX}
        value={edited}
        onChange={(event) => setEdited(event.target.value)}
        className="w-full resize-y rounded-control border border-field bg-canvas px-3 py-2 text-text pointer-coarse:text-base"
      />
      <div className="mt-2 flex justify-end gap-2">
        <Button size="small" onClick={() => setEdited(null)}>Cancel</Button>
        <Button size="small" type="submit" tone="accent" busy={busy}>Save</Button>
      </div>
    </form>
  );
}
