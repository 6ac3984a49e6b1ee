// People whose name begins like the query, asked for as one types.
import { useEffect, useState } from "react";
import { useChat } from "../../hooks/ChatProvider";
import type { Profile } from "../../model/types";

export interface PeopleSearch {
  people: Profile[];
  state: "idle" | "searching" | "done" | "failed";
}

/** Long enough that a word typed at normal speed is one question to the server. */
const PAUSE_MS = 150;
const IDLE: PeopleSearch = { people: [], state: "idle" };

export function usePeopleSearch(query: string): PeopleSearch {
  const chat = useChat();
  const wanted = query.trim();
  const [answer, setAnswer] = useState<PeopleSearch & { for: string }>({ ...IDLE, for: "" });

  useEffect(() => {
    if (wanted === "") return;
    let current = true;
    const timer = setTimeout(() => {
      void chat.searchPeople(wanted).then((outcome) => {
        // An answer that was overtaken by further typing is of no interest.
        if (!current) return;
        setAnswer(outcome.ok ? { people: outcome.value, state: "done", for: wanted } : { people: [], state: "failed", for: wanted });
      });
    }, PAUSE_MS);
    return () => { current = false; clearTimeout(timer); };
  }, [chat, wanted]);

  if (wanted === "") return IDLE;
  // The previous answer stays on screen while the next one is on its way: no flicker per letter.
  return answer.for === wanted ? answer : { people: answer.people, state: "searching" };
}
