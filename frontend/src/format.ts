// Every date, time, number and list of names on screen goes through here, so that they agree.
// `now` is a parameter: what "Today" means is the caller's business, and tests can say it.

const locale = undefined; // the browser's

const clock = new Intl.DateTimeFormat(locale, { timeStyle: "short" });
const weekday = new Intl.DateTimeFormat(locale, { weekday: "long" });
const shortWeekday = new Intl.DateTimeFormat(locale, { weekday: "short" });
const dayOfYear = new Intl.DateTimeFormat(locale, { day: "numeric", month: "short" });
const fullDay = new Intl.DateTimeFormat(locale, { day: "numeric", month: "short", year: "numeric" });
const exact = new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "short" });
const relativeDay = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
const list = new Intl.ListFormat(locale, { type: "conjunction" });
const whole = new Intl.NumberFormat(locale);

/** Names the local calendar day; equal for two moments of the same day. */
export function dayKey(at: number): string {
  const date = new Date(at);
  return `${date.getFullYear()}-${date.getMonth() + 1}-${date.getDate()}`;
}

/** Whole calendar days from `at` to `now`, counted over noon so that daylight saving cannot shift it. */
function daysAgo(at: number, now: number): number {
  const noon = (time: number) => new Date(time).setHours(12, 0, 0, 0);
  return Math.round((noon(now) - noon(at)) / 86_400_000);
}

const capitalised = (text: string) => text.charAt(0).toLocaleUpperCase(locale) + text.slice(1);

/** 14:03 */
export function time(at: number): string {
  return clock.format(at);
}

/** Today / Yesterday / Monday / 3 Nov 2026 */
export function day(at: number, now: number): string {
  const ago = daysAgo(at, now);
  if (ago === 0 || ago === 1) return capitalised(relativeDay.format(-ago, "day"));
  if (ago > 1 && ago < 7) return weekday.format(at);
  return fullDay.format(at);
}

/** As short as a list row wants it: 14:03 / Yesterday / Mon / 3 Nov / 3 Nov 2025 */
export function listTime(at: number, now: number): string {
  const ago = daysAgo(at, now);
  if (ago <= 0) return time(at);
  if (ago === 1) return capitalised(relativeDay.format(-1, "day"));
  if (ago < 7) return shortWeekday.format(at);
  return new Date(at).getFullYear() === new Date(now).getFullYear() ? dayOfYear.format(at) : fullDay.format(at);
}

/** For a tooltip: nothing left to guess. */
export function exactTime(at: number): string {
  return exact.format(at);
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
  return whole.format(value);
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
  return new Intl.NumberFormat(undefined, { style: "unit", unit, unitDisplay: unit === "byte" ? "long" : "short", maximumFractionDigits: digits }).format(value / scale);
}

/** A badge stays narrow; the accessible name beside it has the exact number. */
export function badge(count: number): string {
  return count > 99 ? "99+" : whole.format(count);
}

/** "Ann, Bob and Carol" */
export function names(all: string[]): string {
  return list.format(all);
}

/** "1 message", "2 messages" */
export function count(value: number, one: string, many: string): string {
  return `${whole.format(value)} ${value === 1 ? one : many}`;
}

/** "Ann is typing…", "Ann and Bob are typing…", "Several people are typing…" */
export function typing(who: string[]): string {
  if (who.length === 0) return "";
  if (who.length === 1) return `${who[0]} is typing…`;
  return who.length === 2 ? `${names(who)} are typing…` : "Several people are typing…";
}
