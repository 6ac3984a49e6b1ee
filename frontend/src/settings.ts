// What a person has set on this device, beside theme and language, which have files of their own because
// the page needs them before it is painted. Knows how it is kept and told to other tabs, not what it does.
import { useSyncExternalStore } from "react";
import { flag, isObject, parse } from "./shape";

export interface Settings {
  density: "cosy" | "compact";
  /** Otherwise Enter begins a new line, and Ctrl+Enter or ⌘+Enter sends. */
  enterSends: boolean;
  /** R, E, P … on a message (WCAG 2.1.4 wants a way to switch them off). */
  letterKeys: boolean;
  /** Whether others see when this person types. */
  showTyping: boolean;
  /** Notifications of the browser; only ever true after the browser has allowed them. */
  notify: boolean;
  /** With the words of the message, not only who wrote. */
  notifyText: boolean;
  /** The question about notifications was answered, either way. */
  notifyAsked: boolean;
}

const DEFAULTS: Settings = {
  density: "cosy",
  enterSends: true,
  letterKeys: true,
  showTyping: true,
  notify: false,
  notifyText: true,
  notifyAsked: false,
};

/** Shared with public/theme.js. */
const STORAGE = "chat.settings";

const listeners = new Set<() => void>();
let present: Settings = read(stored());

function stored(): string | null {
  try {
    return localStorage.getItem(STORAGE);
  } catch {
    return null;
  }
}

/** Another version may have written it: what is missing or strange is as if never set. */
function read(text: string | null): Settings {
  const value = text === null ? null : parse(text);
  if (!isObject(value)) return DEFAULTS;
  const on = (name: keyof Settings, otherwise: boolean): boolean => flag(value[name]) ?? otherwise;
  return {
    density: value["density"] === "compact" ? "compact" : "cosy",
    enterSends: on("enterSends", DEFAULTS.enterSends),
    letterKeys: on("letterKeys", DEFAULTS.letterKeys),
    showTyping: on("showTyping", DEFAULTS.showTyping),
    notify: on("notify", DEFAULTS.notify),
    notifyText: on("notifyText", DEFAULTS.notifyText),
    notifyAsked: on("notifyAsked", DEFAULTS.notifyAsked),
  };
}

function take(next: Settings): void {
  present = next;
  document.documentElement.dataset["density"] = next.density;
  for (const listener of [...listeners]) listener();
}

export function settings(): Settings {
  return present;
}

export function changeSettings(change: Partial<Settings>): void {
  const next = { ...present, ...change };
  try {
    localStorage.setItem(STORAGE, JSON.stringify(next));
  } catch {
    // Storage is switched off: the choice then lasts as long as the page.
  }
  take(next);
}

/** Keeps the page in step with other tabs, for as long as it lives. */
export function followSettings(): void {
  take(present);
  window.addEventListener("storage", ({ key }) => {
    if (key === STORAGE || key === null) take(read(stored()));
  });
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function useSettings(): Settings {
  return useSyncExternalStore(subscribe, settings);
}
