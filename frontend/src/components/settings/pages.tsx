// The pages of the settings. Everything is saved the moment it is changed; `onSaved` says so.
import { LogOut, Monitor, Moon, Sun } from "lucide-react";
import { useState, type ReactNode } from "react";
import { MOD } from "../../a11y/useShortcuts";
import * as format from "../../format";
import { LANGUAGE_NAMES, LANGUAGES, languageChoice, setLanguage, type LanguageChoice } from "../../i18n/language";
import { rich, t } from "../../i18n/text";
import type { Profile } from "../../model/types";
import { changeSettings, useSettings, type Settings } from "../../settings";
import { setTheme, useTheme, type Theme } from "../../theme";
import { Avatar } from "../ui/Avatar";
import { Button } from "../ui/Button";
import { useNow } from "../useNow";
import { useSignOut } from "../useSignOut";
import { Choice, Group, Switch } from "./fields";

const MOD_ENTER = `${MOD}Enter`;

interface PageProps {
  me: Profile;
  onSaved: () => void;
}

const withIcon = (icon: ReactNode, words: string) => <span className="flex items-center gap-2.5">{icon}{words}</span>;

/** Changes one thing and says so. */
function useChange(onSaved: () => void): (change: Partial<Settings>) => void {
  return (change) => {
    changeSettings(change);
    onSaved();
  };
}

export function AppearancePage({ onSaved }: PageProps) {
  const { density, enterSends, letterKeys } = useSettings();
  const theme = useTheme();
  const change = useChange(onSaved);
  const choose = (next: Theme) => { setTheme(next); onSaved(); };
  return (
    <>
      <Group title={t("settings.theme")}>
        <Choice
          label={t("settings.theme")}
          value={theme}
          onChange={choose}
          options={[
            { value: "system", label: withIcon(<Monitor aria-hidden size={17} strokeWidth={1.75} />, t("settings.themeSystem")) },
            { value: "light", label: withIcon(<Sun aria-hidden size={17} strokeWidth={1.75} />, t("settings.themeLight")) },
            { value: "dark", label: withIcon(<Moon aria-hidden size={17} strokeWidth={1.75} />, t("settings.themeDark")) },
          ]}
        />
      </Group>
      <Group title={t("settings.density")}>
        <Choice
          label={t("settings.density")}
          value={density}
          onChange={(next) => change({ density: next })}
          options={[
            { value: "cosy", label: t("settings.densityCosy") },
            { value: "compact", label: t("settings.densityCompact"), hint: t("settings.densityHint") },
          ]}
        />
      </Group>
      <Group title={t("settings.keyboard")}>
        <Switch
          label={t("settings.enterSends")}
          hint={rich("settings.enterSendsHint", { key: <kbd dir="ltr">{MOD_ENTER}</kbd> })}
          checked={enterSends}
          onChange={(on) => change({ enterSends: on })}
        />
        <Switch label={t("settings.letterKeys")} hint={t("settings.letterKeysHint")} checked={letterKeys} onChange={(on) => change({ letterKeys: on })} />
      </Group>
    </>
  );
}

export function LanguagePage({ onSaved }: PageProps) {
  const [failed, setFailed] = useState(false);
  const now = useNow(60_000);
  // Marked at once: the sentences may be on their way for a moment.
  const [wanted, setWanted] = useState<LanguageChoice | null>(null);
  const choose = async (next: LanguageChoice) => {
    setWanted(next);
    try {
      await setLanguage(next);
      setFailed(false);
      onSaved();
    } catch {
      setFailed(true);
    } finally {
      setWanted(null);
    }
  };
  return (
    <>
      <Group title={t("settings.language")}>
        <Choice
          label={t("settings.language")}
          value={wanted ?? languageChoice()}
          onChange={(next) => void choose(next)}
          options={[
            { value: "system" as const, label: t("settings.languageSystem") },
            ...LANGUAGES.map((language) => ({ value: language, label: LANGUAGE_NAMES[language], lang: language })),
          ]}
        />
      </Group>
      {failed && <p role="alert" className="mt-3 text-danger">{t("settings.languageFailed")}</p>}
      <Group title={t("settings.formats")}>
        <p className="px-4 py-3">{format.exactTime(now)} · {format.number(1_234_567)}</p>
      </Group>
    </>
  );
}

export function PrivacyPage({ onSaved }: PageProps) {
  const { showTyping } = useSettings();
  const change = useChange(onSaved);
  return (
    <Group title={t("settings.privacy")}>
      <Switch label={t("settings.showTyping")} hint={t("settings.showTypingHint")} checked={showTyping} onChange={(on) => change({ showTyping: on })} />
    </Group>
  );
}

export function AccountPage({ me }: PageProps) {
  const { signOut, question } = useSignOut();
  return (
    <>
      <Group title={t("settings.signedInAs")}>
        <div className="flex items-center gap-4 px-4 py-4">
          <Avatar seed={me.userId} name={me.displayName} />
          <div className="min-w-0">
            <bdi className="block truncate font-semibold">{me.displayName}</bdi>
            <bdi className="block truncate text-[0.875rem] text-muted">@{me.name}</bdi>
          </div>
        </div>
      </Group>
      <div className="mt-7">
        <Button className="!text-danger" onClick={() => void signOut()}><LogOut aria-hidden size={16} className="rtl:-scale-x-100" /> {t("menu.signOut")}</Button>
        <p className="mt-2 text-[0.8125rem] leading-[1.125rem] text-muted">{t("settings.signOutHint")}</p>
      </div>
      {question}
    </>
  );
}
