// The main screen: list, conversation, details. Composes; the parts know the rest.
import clsx from "clsx";
import { lazy, Suspense, useEffect, useRef, useState } from "react";
import { useAnnounce } from "../a11y/Announcer";
import { ONE_PANE, useMediaQuery, WIDE } from "../a11y/useMediaQuery";
import { focusRegion } from "../a11y/regions";
import { MOD, useShortcuts } from "../a11y/useShortcuts";
import { useChat } from "../hooks/ChatProvider";
import { useConnection } from "../hooks/useConnection";
import { useConversations } from "../hooks/useConversations";
import { rich, t } from "../i18n/text";
import type { ConversationId, ConversationItem, Profile, Seq } from "../model/types";
import { ConnectionBar, spokenConnection } from "./ConnectionBar";
import { Conversation, type ConversationHandle } from "./Conversation";
import { ErrorBoundary } from "./ErrorBoundary";
import type { Layer } from "./Layers";
import { Sidebar } from "./Sidebar";
import { Button } from "./ui/Button";
import { EmptyState } from "./ui/EmptyState";

interface ChatProps {
  me: Profile;
  selected: ConversationId | null;
  onSelect: (id: ConversationId | null) => void;
  /** A message of the open conversation that is to be shown. */
  goTo?: Seq | null;
  /** It is shown, or cannot be. */
  onGone?: () => void;
}

// Loaded right after the screen stands, not when asked for: there may be no network by then.
const Layers = lazy(() => import("./Layers").then((module) => ({ default: module.Layers })));
const loadDetails = () => import("./details/Details");
const Details = lazy(() => loadDetails().then((module) => ({ default: module.Details })));

/** The conversation `step` places away in the list; only unread ones, if wanted. */
function neighbour(items: ConversationItem[], selected: ConversationId | null, step: 1 | -1, unreadOnly: boolean): ConversationId | null {
  const from = items.findIndex((item) => item.id === selected);
  for (let i = from === -1 && step === -1 ? items.length - 1 : from + step; i >= 0 && i < items.length; i += step) {
    const item = items[i];
    if (item !== undefined && (!unreadOnly || item.unread > 0)) return item.id;
  }
  return null;
}

function NothingOpen() {
  return (
    <EmptyState title={t("app.choose")}>
      {rich("app.chooseHint", { key: <kbd dir="ltr" className="rounded-md border border-line bg-sidebar px-1.5 py-0.5 text-meta">{`${MOD}K`}</kbd> })}
    </EmptyState>
  );
}

function NotFound({ onBack }: { onBack: () => void }) {
  return (
    <EmptyState title={t("app.notHere")} action={<Button onClick={onBack}>{t("app.back")}</Button>}>
      {t("app.notHereHint")}
    </EmptyState>
  );
}

export function Chat({ me, selected, onSelect, goTo = null, onGone = () => {} }: ChatProps) {
  const chat = useChat();
  const { items, state } = useConversations();
  const connection = useConnection();
  const announce = useAnnounce();
  const onePane = useMediaQuery(ONE_PANE);
  const wide = useMediaQuery(WIDE);
  const conversation = useRef<ConversationHandle>(null);
  const [layer, setLayer] = useState<Layer>(null);
  const [details, setDetails] = useState(false);
  const open = items.find((item) => item.id === selected) ?? null;

  useEffect(() => { loadDetails().catch(() => { /* Asked for again when it is wanted. */ }); }, []);
  useEffect(() => {
    const spoken = spokenConnection(connection);
    if (spoken !== null) announce[spoken.assertive ? "assertive" : "polite"](spoken.text);
  }, [connection, announce]);

  const step = (by: 1 | -1, unreadOnly: boolean) => () => {
    const id = neighbour(items, selected, by, unreadOnly);
    if (id !== null) onSelect(id);
  };
  useShortcuts({
    "mod+k": () => setLayer("switcher"),
    "mod+/": () => setLayer("shortcuts"),
    "alt+ArrowUp": step(-1, false),
    "alt+ArrowDown": step(1, false),
    "alt+shift+ArrowUp": step(-1, true),
    "alt+shift+ArrowDown": step(1, true),
    F6: () => focusRegion(1),
    "mod+F6": () => focusRegion(1),
    "shift+F6": () => focusRegion(-1),
    "mod+shift+F6": () => focusRegion(-1),
  });

  const back = () => onSelect(null);
  const retry = () => chat.retryConnection();
  return (
    <div className="flex h-dvh ps-[env(safe-area-inset-left)] pe-[env(safe-area-inset-right)] pt-[env(safe-area-inset-top)]">
      <header className="sr-only"><h1>{t("app.name")}</h1></header>
      {open !== null && (
        <a
          href="#conversation"
          onClick={(event) => { event.preventDefault(); document.getElementById("conversation")?.focus(); }}
          className="sr-only focus:not-sr-only focus:absolute focus:start-2 focus:top-2 focus:z-50 focus:rounded-control focus:bg-accent focus:px-3 focus:py-2 focus:text-on-accent"
        >
          {t("app.skip")}
        </a>
      )}
      <div className={clsx("flex min-h-0 flex-col border-line bg-sidebar max-md:w-full md:w-[280px] md:shrink-0 md:border-e xl:w-[320px]", selected !== null && "max-md:hidden")}>
        {onePane && selected === null && <ConnectionBar connection={connection} onRetry={retry} onReload={() => window.location.reload()} />}
        <ErrorBoundary>
          <Sidebar
            me={me}
            selected={selected}
            onOpen={onSelect}
            onNewChat={() => setLayer("new-chat")}
            onSwitch={() => setLayer("switcher")}
            onShortcuts={() => setLayer("shortcuts")}
            onRetry={retry}
          />
        </ErrorBoundary>
      </div>
      <main
        id="conversation"
        tabIndex={-1}
        aria-label={open?.name ?? t("app.conversation")}
        // Out of sight, not out of the page: there is always one main part.
        className={clsx("flex min-h-0 min-w-0 flex-1 flex-col outline-none", selected === null && "max-md:sr-only")}
      >
        <ErrorBoundary resetKey={selected ?? ""} onBack={back}>
          {open !== null ? (
            <Conversation key={open.id} ref={conversation} item={open} goTo={goTo} onGone={onGone} detailsOpen={details} onDetails={() => setDetails(!details)} onBack={back} />
          ) : (
            <>
              {!onePane && <ConnectionBar connection={connection} onRetry={retry} onReload={() => window.location.reload()} />}
              {selected === null ? <NothingOpen /> : state === "ready" && <NotFound onBack={back} />}
            </>
          )}
        </ErrorBoundary>
      </main>
      {open !== null && details && (
        <ErrorBoundary resetKey={open.id}>
          <Suspense>
            <Details
              item={open}
              onJump={(seq) => {
                // A sheet would stand before what was asked for.
                if (!wide) setDetails(false);
                conversation.current?.jumpTo(seq);
              }}
              onClose={() => setDetails(false)}
              onLeft={() => { setDetails(false); back(); }}
            />
          </Suspense>
        </ErrorBoundary>
      )}
      <ErrorBoundary>
        <Suspense><Layers layer={layer} onLayer={setLayer} onOpenConversation={onSelect} /></Suspense>
      </ErrorBoundary>
    </div>
  );
}
