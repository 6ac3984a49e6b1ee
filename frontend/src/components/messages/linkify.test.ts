import { describe, expect, it } from "vitest";
import { linkify } from "./linkify";

const links = (text: string) => linkify(text).flatMap((piece) => (piece.kind === "link" ? [piece.text] : []));

describe("linkify", () => {
  it.each<[string, string[]]>([
    ["nothing here", []],
    ["https://a.example", ["https://a.example"]],
    ["(https://a.example/x)", ["https://a.example/x"]],
    ["https://a.example/x_(y)", ["https://a.example/x_(y)"]],
    ["https://a.example/?q=1, then http://b.example.", ["https://a.example/?q=1", "http://b.example"]],
    ["HTTPS://A.example!", ["HTTPS://A.example"]],
    ["javascript:alert(1) data:text/html,x ftp://a.example file:///etc/passwd", []],
    ["https://", []],
    ["<https://a.example>", ["https://a.example"]],
  ])("finds the addresses of %j", (text, found) => {
    expect(links(text)).toEqual(found);
  });

  it("keeps every character, in order", () => {
    const text = "a https://x.example/(1) b\nhttp://y.example, c https:// d";
    expect(linkify(text).map((piece) => piece.text).join("")).toBe(text);
  });
});
