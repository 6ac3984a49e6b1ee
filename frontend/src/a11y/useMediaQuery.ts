// For the few decisions that CSS cannot take: a pane or a dialog, focus the composer or not.
import { useCallback, useSyncExternalStore } from "react";

export const WIDE = "(min-width: 1280px)";
export const ONE_PANE = "(max-width: 767.98px)";
export const TOUCH = "(pointer: coarse)";

export function useMediaQuery(query: string): boolean {
  const subscribe = useCallback(
    (listener: () => void) => {
      const list = window.matchMedia(query);
      list.addEventListener("change", listener);
      return () => list.removeEventListener("change", listener);
    },
    [query],
  );
  return useSyncExternalStore(subscribe, () => window.matchMedia(query).matches, () => false);
}
