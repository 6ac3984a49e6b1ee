// The one place where React meets a `Readable`. Needs `get` to answer the same object until
// something changed, which `store.ts` promises.
import { useCallback, useSyncExternalStore } from "react";
import type { Readable } from "../model/types";

export function useReadable<T>(readable: Readable<T>): T {
  const subscribe = useCallback((listener: () => void) => readable.subscribe(listener), [readable]);
  const get = useCallback(() => readable.get(), [readable]);
  return useSyncExternalStore(subscribe, get, get);
}
