// /__gallery: every state of the screen to look at, without a server. Only in development.
import { useState } from "react";
import { Chat } from "../components/Chat";
import { Login } from "../components/Login";
import { ChatProvider } from "../hooks/ChatProvider";
import { useSession } from "../hooks/useSession";
import type { ConnectionView } from "../model/types";
import { FakeClient } from "./FakeClient";
import { bob } from "./people";
import { BOB } from "./fixtures";
import { isSceneName, scenes, type Scene } from "./scenes";

declare global {
  interface Window {
    /** For tests: lets somebody else write. */
    receive?: (text: string) => void;
    /** For tests: lets the connection come and go. */
    connect?: (connection: ConnectionView) => void;
  }
}

function Screen({ scene }: { scene: Scene }) {
  const session = useSession();
  const [selected, setSelected] = useState(scene.selected);
  const [mode, setMode] = useState(scene.mode ?? { at: "login" as const });
  if (session.at === "signed-in") return <Chat me={session.me} selected={selected} onSelect={setSelected} />;
  return (
    <Login
      key={mode.at}
      mode={mode}
      reason={session.reason}
      name={session.name}
      onNavigate={(path) => setMode(path === "/signup" ? { at: "signup" } : { at: "login" })}
    />
  );
}

function Index() {
  return (
    <main className="h-dvh overflow-y-auto p-8">
      <h1 className="mb-4 text-xl font-semibold">Gallery</h1>
      <ul className="columns-2 sm:columns-3">
        {Object.keys(scenes).map((name) => (
          <li key={name}><a className="inline-block py-1 text-link underline" href={`/__gallery?scene=${name}`}>{name}</a></li>
        ))}
      </ul>
    </main>
  );
}

export function Gallery() {
  const name = new URLSearchParams(window.location.search).get("scene");
  const [client] = useState(() => {
    const fake = isSceneName(name) ? new FakeClient(scenes[name].world) : null;
    if (fake !== null && name === "error") fake.timeline = () => { throw new Error("a defect, on purpose"); };
    window.receive = (text) => fake?.receive(BOB, bob.userId, text);
    window.connect = (connection) => fake?.connection.set(connection);
    return fake;
  });
  if (client === null || !isSceneName(name)) return <Index />;
  return <ChatProvider client={client}><Screen scene={scenes[name]} /></ChatProvider>;
}
