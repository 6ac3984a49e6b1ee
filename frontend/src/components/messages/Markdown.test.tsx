import { act, render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { describe, expect, it, vi } from "vitest";
import { hasMarks, safeAddress } from "./markup";
import { MessageText } from "./MessageText";

// What reads the marks comes in a chunk of its own.
const show = async (text: string) => {
  await import("./Markdown");
  return (await act(async () => render(<MessageText text={text} tabIndex={0} />))).container;
};

describe("a text with marks", async () => {
  it("is bold, italic, struck, code, quote and list", async () => {
    const shown = await show("**b** _i_ ~~s~~ `c`\n\n> q\n\n- one\n- two\n\n3. three");
    for (const [tag, words] of [["strong", "b"], ["em", "i"], ["del", "s"], ["code", "c"], ["ul li", "one"], ["ol li", "three"]] as const) {
      expect(shown.querySelector(tag)?.textContent).toBe(words);
    }
    expect(shown.querySelector("blockquote")?.textContent.trim()).toBe("q");
    expect(shown.querySelector("ol")?.getAttribute("start")).toBe("3");
  });

  it("keeps each line that was typed", async () => {
    expect((await show("*one*\ntwo")).querySelectorAll("br")).toHaveLength(1);
  });

  it("has no headings, only a line that stands out", async () => {
    const shown = await show("# Big\n\ntext");
    expect(screen.queryByRole("heading")).toBeNull();
    expect(shown.querySelector("strong")?.textContent).toBe("Big");
  });

  it("gives the code to the clipboard, without what is around it", async () => {
    const user = userEvent.setup();
    const write = vi.spyOn(navigator.clipboard, "writeText");
    await show("see\n```rust\nlet a = 1;\n  b();\n```");
    await user.click(screen.getByRole("button", { name: "Copy the code" }));
    expect(write).toHaveBeenCalledWith("let a = 1;\n  b();");
    expect(screen.getByRole("button", { name: "Copied" })).toBeDefined();
  });
});

describe("a hostile text", () => {
  it("is no HTML", async () => {
    const html = "*x* <img src=x onerror=alert(1)> <script>alert(1)</script> <b>bold</b>";
    const shown = await show(html);
    expect(shown.querySelector("img, script, b, iframe, svg")).toBeNull();
    expect(shown.textContent).toContain("<img src=x onerror=alert(1)>");
    expect(shown.textContent).toContain("<script>alert(1)</script>");
  });

  it.each(["javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd", "/relative", "#here", "//host/x"])("leads nowhere with %s", async (address) => {
    const shown = await show(`[click **me**](${address}) ![p](${address})`);
    expect(shown.querySelector("a, img")).toBeNull();
    expect(shown.textContent).toContain("click me");
  });

  it("fetches no picture: it is a link that says where it leads", async () => {
    const shown = await show("![cat](https://a.example/cat.png) [https://good.example](https://evil.example)");
    expect(shown.querySelector("img")).toBeNull();
    const links = [...shown.querySelectorAll("a")].map((link) => [link.textContent, link.href, link.title, link.rel]);
    expect(links).toEqual([
      ["cat", "https://a.example/cat.png", "https://a.example/cat.png", "noopener noreferrer"],
      ["https://good.example", "https://evil.example/", "https://evil.example/", "noopener noreferrer"],
    ]);
  });

  it.each([
    "> ".repeat(4000), "- ".repeat(4000), "1. ".repeat(2600), ">".repeat(8000), "*".repeat(8000), "*a **b ".repeat(1100), "[".repeat(8000),
    "![".repeat(4000), "`".repeat(8000), "_a_".repeat(2600), "<".repeat(8000), "|-".repeat(4000), "~~a".repeat(2600), "**a** ".repeat(66),
  ])("of %# is shown all the same", async (text) => {
    expect((await show(text)).textContent.length).toBeGreaterThan(0);
  });
});

describe("marks", async () => {
  it.each(["hello", "2 - 1 = 1", "a-b", "well...", "https://a.example/x-y", "50% > 40%", "#general", "(see below)", "o/ \\o", "a  b\n   c"])("are not in %j", async (text) => {
    expect(hasMarks(text)).toBe(false);
    expect((await show(text)).textContent).toBe(text);
  });

  it.each(["**a**", "`a`", "> a", "- a", "1. a", "[a](https://a.example)", "# a"])("are in %j", (text) => {
    expect(hasMarks(text)).toBe(true);
  });
});

describe("an address", () => {
  it("may be followed if it is of the web, or of a person", () => {
    expect(safeAddress("https://a.example/x?y=1")).toBe("https://a.example/x?y=1");
    expect(safeAddress("mailto:ann@a.example")).toBe("mailto:ann@a.example");
    for (const bad of [undefined, "", "https://", "a.example", "javascript:x", "ftp://a.example"]) expect(safeAddress(bad)).toBeNull();
  });
});
