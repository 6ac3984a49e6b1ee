// Which language the screen speaks: the person's choice, else the browser's first one that there is.
// `public/theme.js` puts `lang` and `dir` on the page before the first paint; this file changes them afterwards.
import { useSyncExternalStore } from "react";
import { en } from "./en";
import type { Catalogue } from "./template";

export const LANGUAGES = ["en", "de", "ar"] as const;
export type Language = (typeof LANGUAGES)[number];
export type LanguageChoice = Language | "system";

/** Each in its own words: who is lost in a foreign language looks for their own. */
export const LANGUAGE_NAMES: Record<Language, string> = { en: "English", de: "Deutsch", ar: "العربية" };

/** Shared with public/theme.js; "system" is stored as nothing. */
export const LANGUAGE_STORAGE = "chat.language";

/** English is always there; the others come when they are asked for. */
const LOADERS: Record<Language, () => Promise<Catalogue>> = {
  en: () => Promise.resolve(en),
  de: () => import("./de").then((module) => module.de),
  ar: () => import("./ar").then((module) => module.ar),
};

interface Speech {
  language: Language;
  /** With the region of the browser's own, where it is the same language: 24 hours or 12, day or month first. */
  locale: string;
  catalogue: Catalogue;
  plurals: Intl.PluralRules;
}

const listeners = new Set<() => void>();
let chosen: LanguageChoice = "system";
let present: Speech = speechOf("en", en);
/** Counts the wishes, so that a slow answer to an earlier one does not win. */
let wishes = 0;

export function isLanguage(value: unknown): value is Language {
  return LANGUAGES.some((language) => language === value);
}

export function direction(language: Language): "ltr" | "rtl" {
  return language === "ar" ? "rtl" : "ltr";
}

/** The first of `wanted` that there is; `de-AT` is German. */
export function negotiate(wanted: readonly string[]): Language {
  for (const tag of wanted) {
    const base = tag.toLowerCase().split("-")[0];
    if (isLanguage(base)) return base;
  }
  return "en";
}

function localeOf(language: Language): string {
  return navigator.languages.find((tag) => tag.toLowerCase().split("-")[0] === language) ?? language;
}

function speechOf(language: Language, catalogue: Catalogue): Speech {
  const locale = localeOf(language);
  return { language, locale, catalogue, plurals: new Intl.PluralRules(locale) };
}

function stored(): LanguageChoice {
  try {
    const value = localStorage.getItem(LANGUAGE_STORAGE);
    return isLanguage(value) ? value : "system";
  } catch {
    return chosen;
  }
}

async function speak(choice: LanguageChoice): Promise<void> {
  wishes += 1;
  const wish = wishes;
  const language = choice === "system" ? negotiate(navigator.languages) : choice;
  const catalogue = await LOADERS[language]();
  if (wish !== wishes) return;
  chosen = choice;
  present = speechOf(language, catalogue);
  document.documentElement.lang = language;
  document.documentElement.dir = direction(language);
  for (const listener of [...listeners]) listener();
}

/** Before the first render, so that nothing is shown in another language first. */
export async function beginSpeaking(): Promise<void> {
  // A language that does not come is no reason for a blank page.
  await speak(stored()).catch(() => speak("en"));
  window.addEventListener("storage", ({ key }) => {
    if (key === LANGUAGE_STORAGE || key === null) speak(stored()).catch(() => { /* As before, until the next page. */ });
  });
  window.addEventListener("languagechange", () => {
    if (chosen === "system") speak("system").catch(() => { /* As before. */ });
  });
}

/** Fails when the language cannot be loaded; then everything stays as it was. */
export async function setLanguage(choice: LanguageChoice): Promise<void> {
  await speak(choice);
  try {
    if (choice === "system") localStorage.removeItem(LANGUAGE_STORAGE);
    else localStorage.setItem(LANGUAGE_STORAGE, choice);
  } catch {
    // Storage is switched off: the choice then lasts as long as the page.
  }
}

export function speech(): Speech {
  return present;
}

export function languageChoice(): LanguageChoice {
  return chosen;
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Whoever uses it renders anew when the language changes. The app does so from its root; memoised parts do so themselves. */
export function useLanguage(): Language {
  return useSyncExternalStore(subscribe, () => present.language);
}
