// Choosing several people one after the other, for a new group and for additions to one.
import { useState } from "react";
import type { Profile } from "../../model/types";
import { usePeopleSearch } from "./usePeopleSearch";

export function usePeopleChoice() {
  const [people, setPeople] = useState<Profile[]>([]);
  const [query, setQuery] = useState("");
  const search = usePeopleSearch(query);
  return {
    people,
    query,
    setQuery,
    search,
    add: (person: Profile) => {
      setPeople((all) => (all.some((one) => one.userId === person.userId) ? all : [...all, person]));
      setQuery("");
    },
    remove: (person: Profile) => setPeople((all) => all.filter((one) => one.userId !== person.userId)),
    removeLast: () => setPeople((all) => all.slice(0, -1)),
  };
}
