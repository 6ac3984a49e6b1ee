// A field and the list of what it finds. The focus stays in the field (WAI-ARIA combobox with a list):
// ↑ ↓ move the mark, Enter takes it. Used by the quick switcher, new chats and groups.
import clsx from "clsx";
import { Search } from "lucide-react";
import { useEffect, useId, useRef, useState, type KeyboardEvent, type ReactNode, type Ref } from "react";
import { useAnnounce } from "../../a11y/Announcer";
import { t } from "../../i18n/text";

export interface Choice {
  id: string;
  /** What a screen reader says. */
  label: string;
  /** A heading stands where the group changes. */
  group: string;
  content: ReactNode;
}

interface PickerProps {
  label: string;
  placeholder: string;
  query: string;
  onQuery: (query: string) => void;
  choices: Choice[];
  onChoose: (id: string) => void;
  /** Stands in place of the list when there is nothing in it. */
  empty: ReactNode;
  inputRef?: Ref<HTMLInputElement>;
  /** Backspace in an empty field, for chips above it. */
  onBackspace?: () => void;
}

export function Picker({ label, placeholder, query, onQuery, choices, onChoose, empty, inputRef, onBackspace }: PickerProps) {
  const id = useId();
  const announce = useAnnounce();
  const list = useRef<HTMLUListElement>(null);
  const [marked, setMarked] = useState(0);
  const at = Math.min(marked, choices.length - 1);
  const optionId = (index: number) => `${id}-option-${index}`;

  useEffect(() => {
    list.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: "nearest" });
  }, [at]);

  const found = choices.length;
  useEffect(() => {
    if (query !== "") announce.polite(found === 0 ? t("people.noResults") : t("people.results", { count: found }));
  }, [announce, found, query]);

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.nativeEvent.isComposing) return;
    const move = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const choice = choices[at];
    if (move !== undefined && found > 0) setMarked((at + move + found) % found);
    else if (event.key === "Enter" && choice !== undefined) onChoose(choice.id);
    else if (event.key === "Backspace" && query === "" && onBackspace) return onBackspace();
    else return;
    event.preventDefault();
  };

  return (
    <div className="flex min-h-0 flex-1 flex-col">
      <div className="relative">
        <Search aria-hidden size={18} className="pointer-events-none absolute start-3 top-1/2 -translate-y-1/2 text-muted" />
        <input
          ref={inputRef}
          role="combobox"
          aria-label={label}
          aria-expanded={found > 0}
          aria-controls={`${id}-list`}
          aria-autocomplete="list"
          aria-activedescendant={found > 0 ? optionId(at) : undefined}
          autoComplete="off"
          spellCheck={false}
          dir="auto"
          placeholder={placeholder}
          value={query}
          onChange={(event) => { setMarked(0); onQuery(event.target.value); }}
          onKeyDown={onKeyDown}
          className="h-11 w-full rounded-control border border-field bg-canvas ps-10 pe-3 pointer-coarse:text-base"
        />
      </div>
      <ul ref={list} id={`${id}-list`} role="listbox" aria-label={label} className="-mx-2 mt-2 min-h-0 flex-1 overflow-y-auto">
        {choices.map((choice, index) => (
          <li key={choice.id} role="presentation">
            {choice.group !== choices[index - 1]?.group && (
              <div aria-hidden className="px-3 pt-3 pb-1 text-meta font-semibold text-muted">{choice.group}</div>
            )}
            {/* The keyboard drives the field above; this is its echo for the mouse. */}
            <div
              id={optionId(index)}
              role="option"
              aria-selected={index === at}
              aria-label={choice.label}
              onPointerMove={() => setMarked(index)}
              onMouseDown={(event) => event.preventDefault()}
              onClick={() => onChoose(choice.id)}
              className={clsx("flex min-h-12 cursor-pointer items-center gap-3 rounded-control px-3 py-1.5", index === at && "bg-selected")}
            >
              {choice.content}
            </div>
          </li>
        ))}
      </ul>
      {found === 0 && <div className="px-1 py-6 text-center text-muted">{empty}</div>}
    </div>
  );
}
