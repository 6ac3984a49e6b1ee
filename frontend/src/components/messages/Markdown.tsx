// The text of a message that has marks in it: bold, italic, lists, quotes, code, links. Builds elements and
// never HTML from the text: tags in it are shown as they were typed.
import { Check, Copy } from "lucide-react";
import { memo, useState, type ComponentProps, type ReactNode } from "react";
import ReactMarkdown, { type Components, type Options } from "react-markdown";
import remarkBreaks from "remark-breaks";
import remarkGfm from "remark-gfm";
import { nodeText } from "./nodeText";
import { safeAddress } from "./markup";

interface MarkdownProps {
  text: string;
  /** That of the message: only what is in the active one is on the way of Tab. */
  tabIndex: 0 | -1;
}

const PLUGINS: Options["remarkPlugins"] = [[remarkGfm, { singleTilde: false }], remarkBreaks];

const ALLOWED = [
  "p", "br", "strong", "em", "del", "code", "pre", "blockquote", "ul", "ol", "li", "a", "hr", "input",
  "h1", "h2", "h3", "h4", "h5", "h6", "img", "table", "thead", "tbody", "tr", "th", "td",
];

// A heading in a message is a line that stands out: the outline of the page is not the author's.
const Heading = ({ children }: { children?: ReactNode }) => <p><strong>{children}</strong></p>;

function CodeBlock({ children, tabIndex }: { children?: ReactNode; tabIndex: 0 | -1 }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(nodeText(children).replace(/\n$/u, ""));
    setCopied(true);
  };
  return (
    <div className="group/code relative">
      <pre dir="ltr" className="rounded-control border border-line bg-canvas p-2.5 pe-10 font-mono text-[0.8125rem] leading-5 whitespace-pre-wrap text-text">{children}</pre>
      <button
        type="button"
        tabIndex={tabIndex}
        aria-label={copied ? "Copied" : "Copy the code"}
        onClick={() => void copy()}
        onBlur={() => setCopied(false)}
        className="absolute end-1 top-1 grid size-8 place-items-center rounded-control bg-canvas text-muted hover:text-text"
      >
        {copied ? <Check aria-hidden size={16} /> : <Copy aria-hidden size={16} />}
      </button>
    </div>
  );
}

function Address({ href, tabIndex, children }: { href: string | undefined; tabIndex: 0 | -1; children?: ReactNode }) {
  const address = safeAddress(href);
  if (address === null) return <>{children}</>;
  // Where it leads is said also where the words say something else.
  return <a tabIndex={tabIndex} href={address} title={address} target="_blank" rel="noopener noreferrer" className="text-link underline underline-offset-2 [overflow-wrap:anywhere]">{children}</a>;
}

/** A picture from anywhere would tell its server who reads; it is a link instead. */
const picture = ({ src, alt }: ComponentProps<"img">) => ({ src: typeof src === "string" ? src : undefined, words: alt === undefined || alt === "" ? src : alt });

const componentsFor = (tabIndex: 0 | -1): Components => ({
  h1: Heading, h2: Heading, h3: Heading, h4: Heading, h5: Heading, h6: Heading,
  pre: ({ children }) => <CodeBlock tabIndex={tabIndex}>{children}</CodeBlock>,
  a: ({ href, children }) => <Address href={href} tabIndex={tabIndex}>{children}</Address>,
  img: (image) => {
    const { src, words } = picture(image);
    return <Address href={src} tabIndex={tabIndex}>{typeof words === "string" ? words : null}</Address>;
  },
  input: ({ checked }) => <input type="checkbox" checked={checked === true} disabled aria-label={checked === true ? "done" : "to do"} className="me-1.5 align-[-2px]" />,
});

const COMPONENTS = { "0": componentsFor(0), "-1": componentsFor(-1) };

// Addresses are judged where they become links.
const asTheyAre = (url: string) => url;

export const Markdown = memo(function Markdown({ text, tabIndex }: MarkdownProps) {
  return (
    <div className="marked whitespace-normal">
      <ReactMarkdown remarkPlugins={PLUGINS} allowedElements={ALLOWED} unwrapDisallowed components={COMPONENTS[tabIndex]} urlTransform={asTheyAre}>
        {text}
      </ReactMarkdown>
    </div>
  );
});
