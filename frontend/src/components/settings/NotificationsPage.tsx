// Whether and how the browser tells of new messages. It is asked for its permission only after the click here.
import { useState } from "react";
import { t } from "../../i18n/text";
import { allowNotifications, permission, showNotification } from "../../notifications";
import { changeSettings, useSettings } from "../../settings";
import { Button } from "../ui/Button";
import { Group, Switch } from "./fields";

export function NotificationsPage({ onSaved }: { onSaved: () => void }) {
  const { notify, notifyText } = useSettings();
  const [may, setMay] = useState(permission);
  const turn = async (on: boolean) => {
    if (on) {
      const answer = await allowNotifications();
      setMay(answer);
      if (answer !== "granted") return;
    }
    changeSettings({ notify: on, notifyAsked: true });
    onSaved();
  };
  const active = notify && may === "granted";
  return (
    <>
      <Group title={t("settings.notifications")}>
        <Switch label={t("settings.notify")} hint={t("settings.notifyHint")} checked={active} disabled={may === "unsupported"} onChange={(on) => void turn(on)} />
        <Switch label={t("settings.notifyText")} hint={t("settings.notifyTextHint")} checked={notifyText} disabled={!active} onChange={(on) => { changeSettings({ notifyText: on }); onSaved(); }} />
      </Group>
      {may === "denied" && <p role="status" className="mt-3 rounded-control bg-warn px-3 py-2 text-[0.875rem] leading-5 text-on-warn">{t("settings.notifyDenied")}</p>}
      {may === "unsupported" && <p className="mt-3 rounded-control bg-warn px-3 py-2 text-[0.875rem] leading-5 text-on-warn">{t("settings.notifyUnsupported")}</p>}
      {active && (
        <Button className="mt-4" onClick={() => { showNotification({ tag: "test", title: t("app.name"), body: t("settings.notifyTestText"), onClick: () => {} }); }}>
          {t("settings.notifyTest")}
        </Button>
      )}
    </>
  );
}
