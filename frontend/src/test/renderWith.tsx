// Renders a component as the app would: with a client (the gallery's, which notes its calls) around it.
import { render } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import type { ReactNode } from "react";
import { Announcer } from "../a11y/Announcer";
import { FakeClient, type World } from "../gallery/FakeClient";
import { world } from "../gallery/fixtures";
import { ChatProvider } from "../hooks/ChatProvider";

// What jsdom has not: it lays nothing out, so no query matches and nothing scrolls.
window.matchMedia ??= (media: string) =>
  ({ media, matches: false, addEventListener() {}, removeEventListener() {} }) as unknown as MediaQueryList;
Element.prototype.scrollIntoView ??= () => {};

export function renderWith(children: ReactNode, change: Partial<World> = {}) {
  const client = new FakeClient({ ...world, ...change });
  const user = userEvent.setup();
  const view = render(<Announcer><ChatProvider client={client}>{children}</ChatProvider></Announcer>);
  return { client, user, ...view };
}
