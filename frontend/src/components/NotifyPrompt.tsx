// One line that offers notifications, once. The browser itself is asked only after the click on it.
import { Bell } from "lucide-react";
import { useState } from "react";
import { t } from "../i18n/text";
import { allowNotifications, permission } from "../notifications";
import { changeSettings, useSettings } from "../settings";
import { Button } from "./ui/Button";

export function NotifyPrompt() {
  const { notifyAsked } = useSettings();
  const [possible] = useState(() => permission() === "default");
  if (notifyAsked || !possible) return null;
  const allow = async () => changeSettings({ notify: (await allowNotifications()) === "granted", notifyAsked: true });
  return (
    <div className="m-2 rounded-bubble border border-line bg-raised p-3">
      <p className="flex gap-2.5 text-[0.8125rem] leading-[1.125rem]">
        <Bell aria-hidden size={17} strokeWidth={1.75} className="mt-px shrink-0 text-accent-text" />
        {t("notify.ask")}
      </p>
      <div className="mt-2.5 flex flex-wrap justify-end gap-2">
        <Button size="small" onClick={() => changeSettings({ notifyAsked: true })}>{t("notify.later")}</Button>
        <Button size="small" tone="accent" onClick={() => void allow()}>{t("notify.allow")}</Button>
      </div>
    </div>
  );
}
