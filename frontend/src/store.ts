// A value that can be watched. Knows no framework. `get` answers the same object until the value
// changed, which is what makes it fit for `useSyncExternalStore`.
import type { Readable } from "./model/types";

export interface Store<T> extends Readable<T> {
  set(value: T): void;
  update(change: (value: T) => T): void;
}

export function createStore<T>(initial: T): Store<T> {
  let value = initial;
  const listeners = new Set<() => void>();
  const set = (next: T): void => {
    if (Object.is(next, value)) return;
    value = next;
    for (const listener of [...listeners]) listener();
  };
  return {
    get: () => value,
    set,
    update: (change) => set(change(value)),
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}

/** Computed anew only when a source changed; `compute` may be given what it answered last, to reuse. */
export function derive<T>(sources: readonly Readable<unknown>[], compute: (previous: T | null) => T): Readable<T> {
  let seen: unknown[] | null = null;
  let value: T | null = null;
  return {
    get() {
      const now = sources.map((source) => source.get());
      if (value === null || seen === null || now.some((each, index) => !Object.is(each, seen?.[index]))) {
        value = compute(value);
        seen = now;
      }
      return value;
    },
    subscribe(listener) {
      const ends = sources.map((source) => source.subscribe(listener));
      return () => ends.forEach((end) => end());
    },
  };
}

/** The readable that `pick` names for the present value of `source`, also after that changed. */
export function follow<S, T>(source: Readable<S>, pick: (value: S) => Readable<T>): Readable<T> {
  return {
    get: () => pick(source.get()).get(),
    subscribe(listener) {
      let endInner = pick(source.get()).subscribe(listener);
      const endOuter = source.subscribe(() => {
        endInner();
        endInner = pick(source.get()).subscribe(listener);
        listener();
      });
      return () => {
        endOuter();
        endInner();
      };
    },
  };
}

export function constant<T>(value: T): Readable<T> {
  return { get: () => value, subscribe: () => () => {} };
}
