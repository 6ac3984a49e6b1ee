// The name of a group or channel; admins can change it in place.
import { Pencil } from "lucide-react";
import { useState, type FormEvent } from "react";
import { Button } from "../ui/Button";
import { IconButton } from "../ui/IconButton";
import { TextField } from "../ui/TextField";

interface GroupTitleProps {
  title: string;
  what: "group" | "channel";
  mayChange: boolean;
  onChange: (title: string) => Promise<boolean>;
}

export function GroupTitle({ title, what, mayChange, onChange }: GroupTitleProps) {
  const [edited, setEdited] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);

  const save = async (event: FormEvent) => {
    event.preventDefault();
    const next = edited?.trim() ?? "";
    if (next === "") return;
    setBusy(true);
    // A refused change leaves the field open with what was typed.
    if (next === title || (await onChange(next))) setEdited(null);
    setBusy(false);
  };

  if (edited === null) {
    return (
      <div className="flex items-center justify-center gap-1">
        <h3 className="min-w-0 text-[1.0625rem] leading-6 font-semibold [overflow-wrap:anywhere]"><bdi>{title}</bdi></h3>
        {mayChange && <IconButton label={`Rename ${what}`} icon={Pencil} onClick={() => setEdited(title)} className="[&_svg]:size-4" />}
      </div>
    );
  }
  return (
    <form onSubmit={(event) => void save(event)} onKeyDown={(event) => { if (event.key === "Escape") { event.stopPropagation(); setEdited(null); } }} className="w-full text-start">
      <TextField label={what === "channel" ? "Channel name" : "Group name"} dir="auto" autoFocus autoComplete="off" value={edited} onChange={(event) => setEdited(event.target.value)} />
      <div className="mt-2 flex justify-end gap-2">
        <Button size="small" onClick={() => setEdited(null)}>Cancel</Button>
        <Button size="small" type="submit" tone="accent" busy={busy}>Save</Button>
      </div>
    </form>
  );
}
