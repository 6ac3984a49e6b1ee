// Search for people: the picker with what the server finds, less those who are already in.
import type { RefObject } from "react";
import type { Profile, UserId } from "../../model/types";
import { PersonLine } from "./PersonLine";
import { Picker } from "./Picker";
import type { PeopleSearch } from "./usePeopleSearch";
import { rich, t } from "../../i18n/text";

interface PeoplePickerProps {
  label: string;
  query: string;
  onQuery: (query: string) => void;
  search: PeopleSearch;
  /** Not offered. */
  without: ReadonlySet<UserId>;
  onChoose: (person: Profile) => void;
  inputRef?: RefObject<HTMLInputElement | null>;
  onBackspace?: () => void;
}

export function PeoplePicker({ label, query, onQuery, search, without, onChoose, inputRef, onBackspace }: PeoplePickerProps) {
  const offered = search.people.filter((person) => !without.has(person.userId));
  const empty =
    search.state === "idle" ? t("people.typeBeginning")
    : search.state === "searching" ? t("common.searching")
    : search.state === "failed" ? t("people.failed")
    : rich("people.nobody", { query: <bdi>{query.trim()}</bdi> });
  return (
    <Picker
      label={label}
      placeholder={t("people.placeholder")}
      query={query}
      onQuery={onQuery}
      choices={offered.map((person) => ({
        id: person.userId,
        label: `${person.displayName}, @${person.name}`,
        group: t("people.label"),
        content: <PersonLine seed={person.userId} name={person.displayName} detail={`@${person.name}`} />,
      }))}
      onChoose={(id) => {
        const person = offered.find((one) => one.userId === id);
        if (person) onChoose(person);
      }}
      empty={empty}
      {...(inputRef && { inputRef })}
      {...(onBackspace && { onBackspace })}
    />
  );
}
