// Who may come into a group or channel by themselves, and what newcomers see. Admins change it, the others read it.
import { useId } from "react";
import { t } from "../../i18n/text";
import type { Access, History } from "../../protocol";

interface EntranceProps {
  access: Access;
  history: History;
  mayChange: boolean;
  onAccess: (access: Access) => void;
  onHistory: (history: History) => void;
}

interface RowProps<T extends string> {
  label: string;
  value: T;
  options: readonly (readonly [value: T, label: string])[];
  mayChange: boolean;
  onChange: (value: T) => void;
}

function Row<T extends string>({ label, value, options, mayChange, onChange }: RowProps<T>) {
  const id = useId();
  const shown = options.find(([each]) => each === value)?.[1];
  return (
    <div className="flex min-h-11 flex-wrap items-center justify-between gap-x-3 py-1.5">
      <label htmlFor={mayChange ? id : undefined} className="text-[0.8125rem] text-muted">{label}</label>
      {mayChange ? (
        <select
          id={id}
          value={value}
          onChange={(event) => { const chosen = options.find(([each]) => each === event.target.value); if (chosen !== undefined) onChange(chosen[0]); }}
          className="min-h-8 max-w-full rounded-control border border-field bg-canvas px-2 text-[0.875rem] pointer-coarse:min-h-11 pointer-coarse:text-base"
        >
          {options.map(([each, words]) => <option key={each} value={each}>{words}</option>)}
        </select>
      ) : <span className="text-[0.875rem]">{shown}</span>}
    </div>
  );
}

export function accessOptions() {
  return [["private", t("entrance.private")], ["public", t("entrance.public")]] as const;
}

export function historyOptions() {
  return [["all", t("entrance.historyAll")], ["since_joining", t("entrance.historySinceJoining")]] as const;
}

export function Entrance({ access, history, mayChange, onAccess, onHistory }: EntranceProps) {
  return (
    <section aria-label={t("entrance.title")} className="mt-4 border-t border-line pt-3">
      <h3 className="mb-1 text-[0.8125rem] font-semibold text-muted">{t("entrance.title")}</h3>
      <Row label={t("entrance.access")} value={access} options={accessOptions()} mayChange={mayChange} onChange={onAccess} />
      <Row label={t("entrance.history")} value={history} options={historyOptions()} mayChange={mayChange} onChange={onHistory} />
    </section>
  );
}
