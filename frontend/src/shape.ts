// Small readers that look at parsed JSON without trusting it. They know nothing of this protocol;
// each answers null where the value is not what it should be.

export type Json = Record<string, unknown>;

export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function text(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

export function flag(value: unknown): boolean | null {
  return typeof value === "boolean" ? value : null;
}

/** A whole number from 0 that a double holds exactly. */
export function count(value: unknown): number | null {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : null;
}

/** RFC 3339 to milliseconds since the epoch. */
export function time(value: unknown): number | null {
  if (typeof value !== "string") return null;
  const milliseconds = Date.parse(value);
  return Number.isNaN(milliseconds) ? null : milliseconds;
}

/** All or nothing: one bad element spoils the list. */
export function list<T>(value: unknown, element: (value: unknown) => T | null): T[] | null {
  if (!Array.isArray(value)) return null;
  const out: T[] = [];
  for (const each of value) {
    const read = element(each);
    if (read === null) return null;
    out.push(read);
  }
  return out;
}

export function parse(source: string): unknown {
  try {
    const value: unknown = JSON.parse(source);
    return value;
  } catch {
    return undefined;
  }
}
