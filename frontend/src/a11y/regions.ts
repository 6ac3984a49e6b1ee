// F6 walks through the parts of the page, in the order in which they stand: list, header, messages,
// composer, details. A part is an element with `data-region`.

/** A list keeps its place: its Tab stop comes before whatever stands above it. */
const TAB_STOP = '[data-message][tabindex="0"], [data-roving][tabindex="0"]';
const FOCUSABLE = '[tabindex="0"], a[href]:not([tabindex="-1"]), button:not(:disabled):not([tabindex="-1"]), input, textarea';

/** A pane that the phone layout hides has no box. */
const isShown = (element: Element) => element.getClientRects().length > 0;

export function focusRegion(step: 1 | -1): void {
  const regions = [...document.querySelectorAll<HTMLElement>("[data-region]")].filter(isShown);
  if (regions.length === 0) return;
  const at = regions.findIndex((region) => region.contains(document.activeElement));
  const next = regions[at === -1 ? (step === 1 ? 0 : regions.length - 1) : (at + step + regions.length) % regions.length];
  (next?.querySelector<HTMLElement>(TAB_STOP) ?? next?.querySelector<HTMLElement>(FOCUSABLE) ?? next)?.focus();
}
