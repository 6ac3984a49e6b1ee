// Whether a message is pointed at or focused, so that it shows what can be done to it, and on which side
// there is room for that.
import { useState, type FocusEvent, type PointerEvent } from "react";
import { TOUCH } from "../../a11y/useMediaQuery";

/** What the toolbar needs above a message. */
const TOOLBAR_PX = 40;

export function useNear() {
  const [pointed, setPointed] = useState(false);
  const [focused, setFocused] = useState(false);
  const [below, setBelow] = useState(false);
  const place = (article: HTMLElement) => {
    const list = article.closest('[role="log"]')?.parentElement;
    setBelow(list !== null && list !== undefined && article.getBoundingClientRect().top - list.getBoundingClientRect().top < TOOLBAR_PX);
  };
  return {
    near: pointed || focused,
    /** There is no room above it. */
    below,
    handlers: {
      onPointerEnter: (event: PointerEvent<HTMLElement>) => {
        if (event.pointerType === "touch") return;
        place(event.currentTarget);
        setPointed(true);
      },
      onPointerLeave: () => setPointed(false),
      onBlur: (event: FocusEvent<HTMLElement>) => { if (!event.currentTarget.contains(event.relatedTarget)) setFocused(false); },
    },
    focus: ({ currentTarget, target }: FocusEvent<HTMLElement>) => {
      place(currentTarget);
      // A click with the mouse leaves the focus where it was; that must not leave a toolbar there.
      setFocused(target.matches(":focus-visible") || window.matchMedia(TOUCH).matches);
    },
  };
}
