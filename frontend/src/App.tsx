// From the address and the session to a screen.
import { CSPProvider } from "@base-ui/react/csp-provider";
import { Tooltip } from "@base-ui/react/tooltip";
import { lazy, Suspense, useEffect, useState, type ReactNode } from "react";
import { Announcer } from "./a11y/Announcer";
import { Chat } from "./components/Chat";
import { ErrorBoundary } from "./components/ErrorBoundary";
import { Login, type LoginMode } from "./components/Login";
import { ChatProvider } from "./hooks/ChatProvider";
import { useNotifications } from "./hooks/useNotifications";
import { conversationPath, invitationPath, useRoute, type Route } from "./hooks/useRoute";
import { useSession } from "./hooks/useSession";
import { useLanguage } from "./i18n/language";
import type { ChatClient, Profile } from "./model/types";

const Invitation = lazy(() => import("./components/Invitation").then((module) => ({ default: module.Invitation })));
const SettingsScreen = lazy(() => import("./components/settings/SettingsScreen").then((module) => ({ default: module.SettingsScreen })));

/** Where a tab keeps the invitation that it came with. */
const INVITATION = "chat-invitation";

function loginMode(route: Route): LoginMode {
  return route.at === "signup" || route.at === "setup" ? route : { at: "login" };
}

function SignedIn({ me, route, navigate }: { me: Profile; route: Route; navigate: (path: string, options?: { replace?: boolean }) => void }) {
  useNotifications(route.at === "chat" ? route.conversation : null);
  useEffect(() => {
    if (route.at === "chat" || route.at === "settings" || route.at === "invitation") return;
    const token = sessionStorage.getItem(INVITATION);
    sessionStorage.removeItem(INVITATION);
    navigate(token === null ? "/" : invitationPath(token), { replace: true });
  }, [route, navigate]);
  // Where the settings lead back to.
  const [last, setLast] = useState<string>("/");
  const here = route.at === "chat" ? (route.conversation === null ? "/" : conversationPath(route.conversation)) : last;
  if (here !== last) setLast(here);
  if (route.at === "invitation") {
    return (
      <Suspense>
        <Invitation token={route.token} onOpen={(id) => navigate(conversationPath(id), { replace: true })} onBack={() => navigate("/", { replace: true })} />
      </Suspense>
    );
  }
  if (route.at === "settings") {
    return (
      <Suspense>
        <SettingsScreen me={me} tab={route.tab} onGo={(path) => navigate(path)} onClose={() => navigate(last)} />
      </Suspense>
    );
  }
  return (
    <Chat
      me={me}
      selected={route.at === "chat" ? route.conversation : null}
      goTo={(route.at === "chat" && route.message) || null}
      onGone={() => { if (route.at === "chat" && route.conversation !== null) navigate(conversationPath(route.conversation), { replace: true }); }}
      onSelect={(id) => navigate(id === null ? "/" : conversationPath(id))}
    />
  );
}

function Screens() {
  const session = useSession();
  const { route, navigate } = useRoute();
  // Who signs in or up on the way in goes on from there.
  const invitation = route.at === "invitation" && session.at !== "signed-in" ? route.token : null;
  useEffect(() => { if (invitation !== null) sessionStorage.setItem(INVITATION, invitation); }, [invitation]);
  if (session.at === "signed-in") return <SignedIn me={session.me} route={route} navigate={navigate} />;
  const mode = loginMode(route);
  return <Login key={mode.at} mode={mode} reason={session.reason} name={session.name} onNavigate={navigate} />;
}

/** What every screen needs around it. */
export function Surroundings({ children }: { children: ReactNode }) {
  return (
    <ErrorBoundary>
      {/* The content security policy allows no inline <style>. */}
      <CSPProvider disableStyleElements>
        <Tooltip.Provider>
          <Announcer>{children}</Announcer>
        </Tooltip.Provider>
      </CSPProvider>
    </ErrorBoundary>
  );
}

export function App({ client }: { client: ChatClient }) {
  // Sentences are asked for while rendering: a change of the language renders everything anew, from here.
  useLanguage();
  return (
    <Surroundings>
      <ChatProvider client={client}><Screens /></ChatProvider>
    </Surroundings>
  );
}
