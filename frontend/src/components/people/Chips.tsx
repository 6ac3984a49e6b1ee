// People already chosen, each with a way out.
import { X } from "lucide-react";
import type { Profile } from "../../model/types";
import { t } from "../../i18n/text";

interface ChipsProps {
  people: Profile[];
  onRemove: (person: Profile) => void;
}

export function Chips({ people, onRemove }: ChipsProps) {
  if (people.length === 0) return null;
  return (
    <ul aria-label={t("people.chosen")} className="mb-2 flex flex-wrap gap-1.5">
      {people.map((person) => (
        <li key={person.userId} className="flex h-8 items-center gap-1 rounded-full bg-selected ps-3 pe-1 text-[0.8125rem]">
          <bdi>{person.displayName}</bdi>
          <button
            type="button"
            aria-label={t("people.removeOne", { name: person.displayName })}
            onClick={() => onRemove(person)}
            className="grid size-6 place-items-center rounded-full hover:bg-hover"
          >
            <X aria-hidden size={14} />
          </button>
        </li>
      ))}
    </ul>
  );
}
