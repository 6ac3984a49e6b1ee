// The way out, with the question that comes before it when something is still unsent.
import { useState, type ReactNode } from "react";
import { useChat } from "../hooks/ChatProvider";
import { t } from "../i18n/text";
import { Confirm } from "./ui/Confirm";

export function useSignOut(): { signOut: () => Promise<void>; question: ReactNode } {
  const chat = useChat();
  const [asking, setAsking] = useState(false);
  const signOut = async () => {
    const outcome = await chat.signOut({ discard: false });
    if (!outcome.ok && outcome.problem.code === "unsent") setAsking(true);
  };
  const question = asking && (
    <Confirm
      open
      title={t("menu.dropTitle")}
      description={t("menu.dropText")}
      action={t("menu.dropAction")}
      onConfirm={() => void chat.signOut({ discard: true })}
      onClose={() => setAsking(false)}
    />
  );
  return { signOut, question };
}
