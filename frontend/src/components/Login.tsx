// Sign in, sign up, and the very first account: one form in three shapes.
import { useEffect, useRef, useState, type FormEvent, type MouseEvent } from "react";
import { useAnnounce } from "../a11y/Announcer";
import { useChat } from "../hooks/ChatProvider";
import { t } from "../i18n/text";
import type { Outcome, ProblemView, Profile } from "../model/types";
import { LoginProblem } from "./LoginProblem";
import { Button } from "./ui/Button";
import { TextField } from "./ui/TextField";

export type LoginMode = { at: "login" } | { at: "signup" } | { at: "setup"; code: string };

interface LoginProps {
  mode: LoginMode;
  /** Why a session ended by itself. */
  reason: "revoked" | "ended" | null;
  /** Whose it was. */
  name: string | null;
  onNavigate: (path: string) => void;
}

const words = () => ({
  login: { title: t("login.title"), lead: null, action: t("login.action") },
  signup: { title: t("signup.title"), lead: null, action: t("signup.action") },
  setup: { title: t("setup.title"), lead: t("setup.lead"), action: t("setup.action") },
});

const other = () => ({
  login: { question: t("login.question"), label: t("login.signup"), path: "/signup" },
  signup: { question: t("signup.question"), label: t("login.title"), path: "/login" },
  setup: { question: t("setup.question"), label: t("login.title"), path: "/login" },
});

function Elsewhere({ question, label, path, onNavigate }: { question: string; label: string; path: string; onNavigate: (path: string) => void }) {
  const go = (event: MouseEvent) => { event.preventDefault(); onNavigate(path); };
  return (
    <p className="mt-6 text-center text-[0.875rem] text-muted">
      {question}{" "}
      <a href={path} onClick={go} className="inline-flex min-h-6 items-center font-medium text-accent-text underline underline-offset-2 pointer-coarse:min-h-11">{label}</a>
    </p>
  );
}

export function Login({ mode, reason, name, onNavigate }: LoginProps) {
  const chat = useChat();
  const [handle, setHandle] = useState(name ?? "");
  const [displayName, setDisplayName] = useState("");
  const [password, setPassword] = useState("");
  const [code, setCode] = useState(mode.at === "setup" ? mode.code : "");
  const [busy, setBusy] = useState(false);
  // A fresh object for each refusal, so that the same one twice moves the focus twice.
  const [problem, setProblem] = useState<{ view: ProblemView } | null>(null);
  const message = useRef<HTMLDivElement>(null);
  const { title, lead, action } = words()[mode.at];

  const announce = useAnnounce();
  const ended = reason === null ? null : t(reason === "revoked" ? "login.revoked" : "login.ended");
  useEffect(() => { if (ended !== null) announce.assertive(ended); }, [ended, announce]);
  useEffect(() => { if (problem !== null) message.current?.focus(); }, [problem]);

  const ask = (): Promise<Outcome<Profile>> => {
    const shown = displayName.trim() === "" ? handle.trim() : displayName.trim();
    switch (mode.at) {
      case "login": return chat.signIn(handle.trim(), password);
      case "signup": return chat.signUp(handle.trim(), shown, password);
      case "setup": return chat.setUp(code.trim(), handle.trim(), shown, password);
    }
  };

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    const outcome = await ask();
    setBusy(false);
    if (!outcome.ok) setProblem({ view: outcome.problem });
  };

  return (
    <main className="h-dvh overflow-y-auto bg-sidebar">
      <div className="mx-auto flex min-h-full w-full max-w-[400px] flex-col justify-center px-5 py-10">
        <img src="/icon.svg" alt="" width={44} height={44} className="mx-auto mb-5" />
        <h1 className="text-center text-[1.375rem] leading-8 font-semibold">{title}</h1>
        {lead !== null && <p className="mt-1 text-center text-muted">{lead}</p>}
        {ended !== null && <p className="mt-4 rounded-control bg-warn px-3 py-2 text-[0.875rem] leading-5 text-on-warn">{ended}</p>}
        <form onSubmit={(event) => void submit(event)} className="mt-6 space-y-4 rounded-bubble border border-line bg-raised p-5 sm:p-6">
          {problem !== null && <LoginProblem ref={message} problem={problem.view} />}
          {mode.at === "setup" && (
            <TextField label={t("setup.code")} hint={t("setup.codeHint")} dir="ltr" required autoComplete="off" value={code} onChange={(event) => setCode(event.target.value)} />
          )}
          <TextField
            label={t("login.userName")}
            {...(mode.at !== "login" && { hint: t("login.userNameHint") })}
            dir="ltr"
            required
            autoFocus={name === null}
            autoComplete="username"
            autoCapitalize="none"
            spellCheck={false}
            value={handle}
            onChange={(event) => setHandle(event.target.value)}
          />
          {mode.at !== "login" && (
            <TextField label={t("login.displayName")} hint={t("login.displayNameHint")} dir="auto" autoComplete="name" value={displayName} onChange={(event) => setDisplayName(event.target.value)} />
          )}
          <TextField
            label={t("login.password")}
            {...(mode.at !== "login" && { hint: t("login.passwordHint") })}
            dir="ltr"
            type="password"
            required
            autoFocus={name !== null}
            autoComplete={mode.at === "login" ? "current-password" : "new-password"}
            value={password}
            onChange={(event) => setPassword(event.target.value)}
          />
          <Button type="submit" tone="accent" busy={busy} className="w-full">{busy ? t("login.busy") : action}</Button>
        </form>
        <Elsewhere {...other()[mode.at]} onNavigate={onNavigate} />
      </div>
    </main>
  );
}
