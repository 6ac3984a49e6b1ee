// The text of a message: as typed, with line breaks, and web addresses to click on.
import { Fragment, memo } from "react";
import { linkify } from "./linkify";

export const LinkedText = memo(function LinkedText({ text }: { text: string }) {
  return linkify(text).map((piece, index) =>
    piece.kind === "text" ? (
      <Fragment key={index}>{piece.text}</Fragment>
    ) : (
      <a key={index} href={piece.href} target="_blank" rel="noopener noreferrer" className="text-link underline underline-offset-2 [overflow-wrap:anywhere]">
        {piece.text}
      </a>
    ),
  );
});
