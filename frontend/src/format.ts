// Every date, time, number and list of names on screen goes through here, so that they agree.
// `now` is a parameter: what "Today" means is the caller's business, and tests can say it.
import { speech } from "./i18n/language";

interface Formats {
  clock: Intl.DateTimeFormat;
  weekday: Intl.DateTimeFormat;
  shortWeekday: Intl.DateTimeFormat;
  dayOfYear: Intl.DateTimeFormat;
  fullDay: Intl.DateTimeFormat;
  exact: Intl.DateTimeFormat;
  relativeDay: Intl.RelativeTimeFormat;
  list: Intl.ListFormat;
  whole: Intl.NumberFormat;
}

/** Making one costs more than using it a thousand times. */
const made = new Map<string, Formats>();

function formats(): Formats {
  const { locale } = speech();
  const found = made.get(locale);
  if (found !== undefined) return found;
  const all: Formats = {
    clock: new Intl.DateTimeFormat(locale, { timeStyle: "short" }),
    weekday: new Intl.DateTimeFormat(locale, { weekday: "long" }),
    shortWeekday: new Intl.DateTimeFormat(locale, { weekday: "short" }),
    dayOfYear: new Intl.DateTimeFormat(locale, { day: "numeric", month: "short" }),
    fullDay: new Intl.DateTimeFormat(locale, { day: "numeric", month: "short", year: "numeric" }),
    exact: new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "short" }),
    relativeDay: new Intl.RelativeTimeFormat(locale, { numeric: "auto" }),
    list: new Intl.ListFormat(locale, { type: "conjunction" }),
    whole: new Intl.NumberFormat(locale),
  };
  made.set(locale, all);
  return all;
}

/** From midnight to midnight, which need not be 24 hours. */
export interface Day {
  start: number;
  end: number;
}

/** The local calendar day of a moment. */
export function dayOf(at: number): Day {
  const midnight = new Date(at);
  const start = midnight.setHours(0, 0, 0, 0);
  return { start, end: midnight.setDate(midnight.getDate() + 1) };
}

/** Whole calendar days from `at` to `now`, counted over noon so that daylight saving cannot shift it. */
function daysAgo(at: number, now: number): number {
  const noon = (time: number) => new Date(time).setHours(12, 0, 0, 0);
  return Math.round((noon(now) - noon(at)) / 86_400_000);
}

const capitalised = (text: string) => text.charAt(0).toLocaleUpperCase(speech().locale) + text.slice(1);

/** 14:03 */
export function time(at: number): string {
  return formats().clock.format(at);
}

/** Today / Yesterday / Monday / 3 Nov 2026 */
export function day(at: number, now: number): string {
  const ago = daysAgo(at, now);
  if (ago === 0 || ago === 1) return capitalised(formats().relativeDay.format(-ago, "day"));
  if (ago > 1 && ago < 7) return formats().weekday.format(at);
  return formats().fullDay.format(at);
}

/** As short as a list row wants it: 14:03 / Yesterday / Mon / 3 Nov / 3 Nov 2025 */
export function listTime(at: number, now: number): string {
  const ago = daysAgo(at, now);
  if (ago <= 0) return time(at);
  if (ago === 1) return capitalised(formats().relativeDay.format(-1, "day"));
  if (ago < 7) return formats().shortWeekday.format(at);
  return new Date(at).getFullYear() === new Date(now).getFullYear() ? formats().dayOfYear.format(at) : formats().fullDay.format(at);
}

/** For a tooltip: nothing left to guess. */
export function exactTime(at: number): string {
  return formats().exact.format(at);
}

/** For the `datetime` of a `<time>`. */
export function isoTime(at: number): string {
  return new Date(at).toISOString();
}

/** Rounded up: a countdown that shows 0 is already over. */
export function secondsUntil(at: number, now: number): number {
  return Math.max(0, Math.ceil((at - now) / 1000));
}

export function number(value: number): string {
  return formats().whole.format(value);
}

const SIZES = [
  [1_000_000_000, "gigabyte"],
  [1_000_000, "megabyte"],
  [1_000, "kilobyte"],
] as const;

/** The size of a file, as people say it. */
export function bytes(value: number): string {
  const [scale, unit] = SIZES.find(([least]) => value >= least) ?? [1, "byte"];
  const digits = value / scale < 10 && scale > 1 ? 1 : 0;
  return new Intl.NumberFormat(speech().locale, { style: "unit", unit, unitDisplay: unit === "byte" ? "long" : "short", maximumFractionDigits: digits }).format(value / scale);
}

/** A badge stays narrow; the accessible name beside it has the exact number. */
export function badge(count: number): string {
  return count > 99 ? "99+" : formats().whole.format(count);
}

/** "Ann, Bob and Carol" */
export function names(all: string[]): string {
  return formats().list.format(all);
}

/** The same with elements: each of `all` in its place, and the words of the language between them. */
export function around<T>(all: readonly T[]): (T | string)[] {
  const parts = formats().list.formatToParts(all.map((_, index) => String(index)));
  return parts.map(({ type, value }) => (type === "element" ? (all[Number(value)] ?? value) : value));
}
