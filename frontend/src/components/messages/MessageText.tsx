// What a message says.
import { lazy, Suspense } from "react";
import { LinkedText } from "./LinkedText";
import { hasMarks } from "./markup";

// A chunk of its own that is asked for at once: it comes while the first messages do, and the first
// screen does not wait for it.
const markdown = import("./Markdown");
const Markdown = lazy(() => markdown.then((module) => ({ default: module.Markdown })));

interface MessageTextProps {
  text: string;
  tabIndex: 0 | -1;
}

/** Plain text, which most is, is shown with every space as it was typed. */
export function MessageText({ text, tabIndex }: MessageTextProps) {
  const plain = <LinkedText text={text} tabIndex={tabIndex} />;
  return hasMarks(text) ? <Suspense fallback={plain}><Markdown text={text} tabIndex={tabIndex} /></Suspense> : plain;
}
