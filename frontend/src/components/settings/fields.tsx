// What settings are made of: a group with a heading, a switch, a choice of one.
import clsx from "clsx";
import { useId, type ReactNode } from "react";

export function Group({ title, children }: { title: string; children: ReactNode }) {
  const id = useId();
  return (
    <section aria-labelledby={id} className="mt-7 first:mt-0">
      <h3 id={id} className="mb-2 text-[0.8125rem] font-semibold text-muted">{title}</h3>
      <div className="divide-y divide-line rounded-bubble border border-line bg-raised">{children}</div>
    </section>
  );
}

interface SwitchProps {
  label: string;
  hint?: ReactNode;
  checked: boolean;
  disabled?: boolean;
  onChange: (checked: boolean) => void;
}

export function Switch({ label, hint, checked, disabled = false, onChange }: SwitchProps) {
  const id = useId();
  return (
    <label className={clsx("flex min-h-14 items-center gap-4 px-4 py-3", disabled && "opacity-60")}>
      <span className="min-w-0 flex-1">
        <span id={id} className="block font-medium">{label}</span>
        {hint !== undefined && <span id={`${id}-hint`} className="mt-0.5 block text-[0.8125rem] leading-[1.125rem] text-muted">{hint}</span>}
      </span>
      <input
        type="checkbox"
        role="switch"
        aria-labelledby={id}
        aria-describedby={hint === undefined ? undefined : `${id}-hint`}
        checked={checked}
        disabled={disabled}
        onChange={(event) => onChange(event.target.checked)}
        className="switch shrink-0"
      />
    </label>
  );
}

export interface Option<T extends string> {
  value: T;
  label: ReactNode;
  hint?: ReactNode;
  /** Of the label, when it is not the language of the screen. */
  lang?: string;
}

interface ChoiceProps<T extends string> {
  label: string;
  value: T;
  options: readonly Option<T>[];
  onChange: (value: T) => void;
}

export function Choice<T extends string>({ label, value, options, onChange }: ChoiceProps<T>) {
  const name = useId();
  return (
    <div role="radiogroup" aria-label={label} className="divide-y divide-line">
      {options.map((option) => (
        <label key={option.value} className="flex min-h-12 items-center gap-3 px-4 py-2.5">
          <input type="radio" name={name} checked={value === option.value} onChange={() => onChange(option.value)} className="size-[1.125rem] shrink-0 accent-accent" />
          <span className="min-w-0 flex-1">
            <span lang={option.lang} className="block font-medium"><bdi>{option.label}</bdi></span>
            {option.hint !== undefined && <span className="block text-[0.8125rem] leading-[1.125rem] text-muted">{option.hint}</span>}
          </span>
        </label>
      ))}
    </div>
  );
}
