// The text of a message: as typed, with line breaks, and web addresses to click on.
import { Fragment, memo } from "react";
import { linkify } from "./linkify";

interface LinkedTextProps {
  text: string;
  /** That of the message: only the links of the active one are on the way of Tab. */
  tabIndex: 0 | -1;
}

export const LinkedText = memo(function LinkedText({ text, tabIndex }: LinkedTextProps) {
  return linkify(text).map((piece, index) =>
    piece.kind === "text" ? (
      <Fragment key={index}>{piece.text}</Fragment>
    ) : (
      <a key={index} tabIndex={tabIndex} href={piece.href} target="_blank" rel="noopener noreferrer" className="text-link underline underline-offset-2 [overflow-wrap:anywhere]">
        {piece.text}
      </a>
    ),
  );
});
