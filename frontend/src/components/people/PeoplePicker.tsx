// Search for people: the picker with what the server finds, less those who are already in.
import type { RefObject } from "react";
import type { Profile, UserId } from "../../model/types";
import { PersonLine } from "./PersonLine";
import { Picker } from "./Picker";
import type { PeopleSearch } from "./usePeopleSearch";

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
    search.state === "idle" ? "Type the beginning of a name."
    : search.state === "searching" ? "Searching…"
    : search.state === "failed" ? "Could not search for people. Try again in a moment."
    : <>Nobody found for “<bdi>{query.trim()}</bdi>”. Try the beginning of a name.</>;
  return (
    <Picker
      label={label}
      placeholder="Search people by name"
      query={query}
      onQuery={onQuery}
      choices={offered.map((person) => ({
        id: person.userId,
        label: `${person.displayName}, @${person.name}`,
        group: "People",
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
