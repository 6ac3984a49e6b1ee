// Light, dark, or as the system says. `public/theme.js` puts the same choice on the page before the
// first paint; this file changes it afterwards and follows the system and other tabs.
import { useSyncExternalStore } from "react";

export type Theme = "system" | "light" | "dark";

/** Shared with public/theme.js; "system" is stored as nothing. */
const STORAGE_KEY = "chat.theme";

const darkSystem = () => window.matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set<() => void>();

export function isTheme(value: unknown): value is Theme {
  return value === "system" || value === "light" || value === "dark";
}

export function theme(): Theme {
  try {
    const stored = localStorage.getItem(STORAGE_KEY);
    return isTheme(stored) ? stored : "system";
  } catch {
    return "system";
  }
}

export function setTheme(next: Theme): void {
  try {
    if (next === "system") localStorage.removeItem(STORAGE_KEY);
    else localStorage.setItem(STORAGE_KEY, next);
  } catch {
    // Storage is switched off: the choice then lasts as long as the page.
  }
  apply(next);
}

function apply(chosen: Theme): void {
  const dark = chosen === "dark" || (chosen === "system" && darkSystem().matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  document.documentElement.style.colorScheme = dark ? "dark" : "light";
  for (const listener of listeners) listener();
}

/** Keeps the page in step with the system and with other tabs, for as long as the page lives. */
export function followTheme(): void {
  darkSystem().addEventListener("change", () => apply(theme()));
  window.addEventListener("storage", (event) => {
    if (event.key === STORAGE_KEY || event.key === null) apply(theme());
  });
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function useTheme(): Theme {
  return useSyncExternalStore(subscribe, theme, theme);
}
