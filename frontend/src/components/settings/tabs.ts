// The parts of the settings, as they stand in the address and in the list. What is the same on all devices
// of a person (muted conversations, blocked people) belongs into `privacy` and `notifications`.
import { Bell, Languages, Lock, Palette, UserRound, type LucideIcon } from "lucide-react";
import type { SettingsTab } from "../../hooks/useRoute";

export const TABS = [
  { tab: "account", icon: UserRound, label: "settings.account", hint: "settings.accountHint" },
  { tab: "appearance", icon: Palette, label: "settings.appearance", hint: "settings.appearanceHint" },
  { tab: "language", icon: Languages, label: "settings.language", hint: "settings.languageHint" },
  { tab: "notifications", icon: Bell, label: "settings.notifications", hint: "settings.notificationsHint" },
  { tab: "privacy", icon: Lock, label: "settings.privacy", hint: "settings.privacyHint" },
] as const satisfies readonly { tab: SettingsTab; icon: LucideIcon; label: string; hint: string }[];
