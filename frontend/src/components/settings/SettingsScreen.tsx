// The settings: a list of parts beside the one that is open, or one after the other where there is no room.
import clsx from "clsx";
import { ArrowLeft, Check, ChevronRight } from "lucide-react";
import { useEffect, useRef, useState, type MouseEvent } from "react";
import { useAnnounce } from "../../a11y/Announcer";
import { ONE_PANE, useMediaQuery } from "../../a11y/useMediaQuery";
import { useShortcuts } from "../../a11y/useShortcuts";
import type { SettingsTab } from "../../hooks/useRoute";
import { settingsPath } from "../../hooks/useRoute";
import { t } from "../../i18n/text";
import type { Profile } from "../../model/types";
import { ErrorBoundary } from "../ErrorBoundary";
import { IconButton } from "../ui/IconButton";
import { NotificationsPage } from "./NotificationsPage";
import { AccountPage, AppearancePage, LanguagePage, PrivacyPage } from "./pages";
import { TABS } from "./tabs";

interface SettingsScreenProps {
  me: Profile;
  /** `null`: the list alone, where there is room for only one. */
  tab: SettingsTab | null;
  onGo: (path: string) => void;
  onClose: () => void;
}

const PAGES = { account: AccountPage, appearance: AppearancePage, language: LanguagePage, notifications: NotificationsPage, privacy: PrivacyPage };
const SAVED_MS = 2_000;

/** Says “Saved” for a moment; again when it is true again. */
function useSaved(): { saved: boolean; onSaved: () => void } {
  const announce = useAnnounce();
  const [savedAt, setSavedAt] = useState<number | null>(null);
  useEffect(() => {
    if (savedAt === null) return;
    const timer = setTimeout(() => setSavedAt(null), SAVED_MS);
    return () => clearTimeout(timer);
  }, [savedAt]);
  return {
    saved: savedAt !== null,
    onSaved: () => {
      setSavedAt(performance.now());
      announce.polite(t("settings.saved"));
    },
  };
}

export function SettingsScreen({ me, tab, onGo, onClose }: SettingsScreenProps) {
  const shown = tab ?? "account";
  const Page = PAGES[shown];
  const title = t(TABS.find((each) => each.tab === shown)?.label ?? "settings.title");
  // The main part stays on the page, without anything to get to in it.
  const listOnly = useMediaQuery(ONE_PANE) && tab === null;
  const { saved, onSaved } = useSaved();
  const heading = useRef<HTMLHeadingElement>(null);
  useShortcuts({ Escape: onClose });
  // Who chose a part wants to hear where they are now.
  useEffect(() => { if (tab !== null) heading.current?.focus(); }, [tab]);
  const go = (path: string) => (event: MouseEvent) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    onGo(path);
  };
  return (
    <div className="flex h-dvh ps-[env(safe-area-inset-left)] pe-[env(safe-area-inset-right)] pt-[env(safe-area-inset-top)]">
      <header className="sr-only"><h1>{t("settings.title")}</h1></header>
      <nav aria-label={t("settings.sections")} className={clsx("flex min-h-0 flex-col border-line bg-sidebar max-md:w-full md:w-[280px] md:shrink-0 md:border-e xl:w-[320px]", tab !== null && "max-md:hidden")}>
        <div className="flex h-14 shrink-0 items-center gap-1 ps-2 pe-4">
          <IconButton label={t("settings.backToChat")} icon={ArrowLeft} onClick={onClose} className="[&_svg]:rtl:-scale-x-100" />
          <p aria-hidden className="text-[1.0625rem] font-semibold">{t("settings.title")}</p>
        </div>
        <ul className="min-h-0 flex-1 overflow-y-auto px-2 pb-2">
          {TABS.map(({ tab: each, icon: Icon, label, hint }) => (
            <li key={each}>
              <a
                href={settingsPath(each)}
                onClick={go(settingsPath(each))}
                aria-current={each === tab ? "page" : undefined}
                className={clsx("flex min-h-14 items-center gap-3 rounded-control px-3 py-2 -outline-offset-2", each === shown ? "md:bg-selected max-md:hover:bg-hover" : "hover:bg-hover")}
              >
                <Icon aria-hidden size={20} strokeWidth={1.75} className="shrink-0 text-muted" />
                <span className="min-w-0 flex-1">
                  <span className="block font-medium">{t(label)}</span>
                  <span className={clsx("block text-meta", each === shown ? "text-muted md:text-selected-muted" : "text-muted")}>{t(hint)}</span>
                </span>
                <ChevronRight aria-hidden size={18} className="shrink-0 text-muted md:hidden rtl:-scale-x-100" />
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <main className={clsx("flex min-h-0 min-w-0 flex-1 flex-col", tab === null && "max-md:sr-only")}>
        <div className="flex h-14 shrink-0 items-center gap-1 border-b border-line px-2 md:px-4">
          {tab !== null && <IconButton label={t("settings.backToSections")} icon={ArrowLeft} onClick={() => onGo(settingsPath(null))} className="md:hidden [&_svg]:rtl:-scale-x-100" />}
          <div className="mx-auto flex w-full max-w-[640px] min-w-0 items-center gap-3">
            <h2 ref={heading} tabIndex={-1} className="truncate text-[1.0625rem] font-semibold outline-none">{title}</h2>
            {saved && <span aria-hidden className="flex animate-appear items-center gap-1 rounded-full bg-good px-2.5 py-0.5 text-meta font-medium text-on-good"><Check size={13} /> {t("settings.saved")}</span>}
          </div>
        </div>
        <div className="min-h-0 flex-1 overflow-y-auto px-4 pt-6 pb-[max(2rem,env(safe-area-inset-bottom))]">
          <div className="mx-auto w-full max-w-[640px]">
            <ErrorBoundary resetKey={shown}>
              {!listOnly && <Page me={me} onSaved={onSaved} />}
              {!listOnly && shown !== "account" && <p className="mt-6 text-meta text-muted">{t("settings.onThisDevice")}</p>}
            </ErrorBoundary>
          </div>
        </div>
      </main>
    </div>
  );
}
