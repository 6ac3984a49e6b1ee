// The one voice of the app for screen readers. Two live regions: a polite one that speaks at most once
// a second and merges what came in between, and an assertive one for what must not wait. The message
// list itself is not live: it is virtual, and a live log would read out recycled rows.
import { createContext, use, useEffect, useMemo, useRef, useState, type ReactNode } from "react";
import { t } from "../i18n/text";

export interface Announce {
  /** Somebody else's message in the open conversation. */
  message(spoken: string): void;
  polite(spoken: string): void;
  /** Only for: connection lost, message not sent, signed out. */
  assertive(spoken: string): void;
}

const INTERVAL_MS = 1000;
const silent: Announce = { message() {}, polite() {}, assertive() {} };
const AnnounceContext = createContext<Announce>(silent);

export function useAnnounce(): Announce {
  return use(AnnounceContext);
}

/** A region that is set to the same text stays silent; an invisible difference makes it speak again. */
const again = (previous: string, next: string) => (previous === next ? `${next}\u00a0` : next);

export function Announcer({ children }: { children: ReactNode }) {
  const [polite, setPolite] = useState("");
  const [assertive, setAssertive] = useState("");
  const waiting = useRef<{ messages: string[]; others: string[] }>({ messages: [], others: [] });
  const timer = useRef<ReturnType<typeof setTimeout> | null>(null);

  const announce = useMemo<Announce>(() => {
    const flush = () => {
      timer.current = null;
      const { messages, others } = waiting.current;
      waiting.current = { messages: [], others: [] };
      const merged = messages.length > 1 ? [t("messages.newCount", { count: messages.length })] : messages;
      const spoken = [...others, ...merged].join(". ");
      if (spoken === "") return;
      setPolite((previous) => again(previous, spoken));
      timer.current = setTimeout(flush, INTERVAL_MS);
    };
    // The first waits for the end of the current task only, the next ones for their second.
    const soon = () => { timer.current ??= setTimeout(flush, 0); };
    return {
      message: (spoken) => { waiting.current.messages.push(spoken); soon(); },
      polite: (spoken) => { waiting.current.others.push(spoken); soon(); },
      assertive: (spoken) => setAssertive((previous) => again(previous, spoken)),
    };
  }, []);

  useEffect(() => () => { if (timer.current !== null) clearTimeout(timer.current); }, []);

  return (
    <AnnounceContext value={announce}>
      {children}
      <div className="sr-only" role="status" aria-live="polite" data-testid="polite">{polite}</div>
      <div className="sr-only" role="alert" aria-live="assertive" data-testid="assertive">{assertive}</div>
    </AnnounceContext>
  );
}
