// One's own name, the theme, and the way out.
import { Menu } from "@base-ui/react/menu";
import { Check, Keyboard, LogOut, Monitor, Moon, Settings, Sun } from "lucide-react";
import type { ReactNode } from "react";
import { navigate, settingsPath } from "../hooks/useRoute";
import type { Profile } from "../model/types";
import { isTheme, setTheme, useTheme } from "../theme";
import { t } from "../i18n/text";
import { Avatar } from "./ui/Avatar";
import { useSignOut } from "./useSignOut";

interface UserMenuProps {
  me: Profile;
  onShortcuts: () => void;
}

const row = "flex min-h-9 cursor-default items-center gap-2.5 rounded-md px-2.5 outline-none select-none data-highlighted:bg-hover pointer-coarse:min-h-11";

const themes = (): { value: string; label: string; icon: ReactNode }[] => [
  { value: "system", label: t("settings.themeSystem"), icon: <Monitor aria-hidden size={16} /> },
  { value: "light", label: t("settings.themeLight"), icon: <Sun aria-hidden size={16} /> },
  { value: "dark", label: t("settings.themeDark"), icon: <Moon aria-hidden size={16} /> },
];

export function UserMenu({ me, onShortcuts }: UserMenuProps) {
  const theme = useTheme();
  const { signOut, question } = useSignOut();

  return (
    <>
      <Menu.Root>
        <Menu.Trigger aria-label={t("menu.account", { name: me.displayName })} className="grid size-9 shrink-0 place-items-center rounded-full pointer-coarse:size-11">
          <Avatar seed={me.userId} name={me.displayName} size="small" />
        </Menu.Trigger>
        <Menu.Portal>
          <Menu.Positioner sideOffset={6} align="start" className="z-40">
            <Menu.Popup className="w-60 animate-appear rounded-bubble border border-line bg-raised p-1.5 text-[0.875rem] text-text outline-none">
              <div className="px-2.5 pt-1.5 pb-2">
                <bdi className="block truncate font-semibold">{me.displayName}</bdi>
                <span dir="ltr" className="block truncate text-start text-meta text-muted">@{me.name}</span>
              </div>
              <Menu.Separator className="my-1 h-px bg-line" />
              <Menu.RadioGroup value={theme} onValueChange={(value: unknown) => { if (isTheme(value)) setTheme(value); }}>
                <Menu.GroupLabel className="px-2.5 pt-1 pb-0.5 text-meta font-semibold text-muted">{t("settings.theme")}</Menu.GroupLabel>
                {themes().map(({ value, label, icon }) => (
                  <Menu.RadioItem key={value} value={value} closeOnClick={false} className={row}>
                    {icon}
                    <span className="flex-1">{label}</span>
                    <Menu.RadioItemIndicator><Check aria-hidden size={16} /></Menu.RadioItemIndicator>
                  </Menu.RadioItem>
                ))}
              </Menu.RadioGroup>
              <Menu.Separator className="my-1 h-px bg-line" />
              <Menu.Item className={row} onClick={() => navigate(settingsPath(null))}><Settings aria-hidden size={16} /> {t("menu.settings")}</Menu.Item>
              <Menu.Item className={row} onClick={onShortcuts}><Keyboard aria-hidden size={16} /> {t("menu.shortcuts")}</Menu.Item>
              <Menu.Item className={row} onClick={() => void signOut()}><LogOut aria-hidden size={16} className="rtl:-scale-x-100" /> {t("menu.signOut")}</Menu.Item>
            </Menu.Popup>
          </Menu.Positioner>
        </Menu.Portal>
      </Menu.Root>
      {question}
    </>
  );
}
