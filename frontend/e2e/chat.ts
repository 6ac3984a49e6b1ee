// What the tests against the real server share: a server of their own, people with accounts, and
// devices, each of which is a browser of its own and is watched for what no page of this chat may do.
import { expect, test as base, type BrowserContext, type BrowserContextOptions, type Locator, type Page } from "@playwright/test";
import { ChatServer } from "./server";

export interface Person {
  userId: string;
  name: string;
  displayName: string;
  password: string;
  token: string;
}

/** A message as `GET /messages` tells it. */
interface StoredMessage {
  seq: number;
  from: string;
  content: string;
  key?: string;
}

export const PASSWORD = "correct horse battery";
/** For what has to wait for a back-off or a sweep of the server; noisy machines included. */
export const LONG = { timeout: 60_000 };

export class Fixture {
  private readonly contexts: BrowserContext[] = [];
  readonly wrong: string[] = [];

  constructor(readonly server: ChatServer, private readonly newContext: (options: BrowserContextOptions) => Promise<BrowserContext>) {}

  // ---- people, made and moved over HTTP ----

  async person(name: string, displayName = name): Promise<Person> {
    const body = { name, display_name: displayName, password: PASSWORD };
    const { user_id: userId, token } = await this.ask<{ user_id: string; token: string }>("POST", "/user/register", null, body);
    return { userId, name, displayName, password: PASSWORD, token };
  }

  /** Somebody of the demonstration. */
  async known(name: string): Promise<Person> {
    const password = this.server.passwordOf(name);
    const { user_id: userId, token } = await this.ask<{ user_id: string; token: string }>("POST", "/user/login", null, { identifier: name, password });
    const { display_name: displayName } = await this.ask<{ display_name: string }>("GET", "/user", token);
    return { userId, name, displayName, password, token };
  }

  async direct(one: Person, other: Person): Promise<string> {
    return (await this.ask<{ id: string }>("POST", "/conversations", one.token, { kind: "direct", user: other.userId })).id;
  }

  async group(by: Person, title: string, members: Person[]): Promise<{ id: string }> {
    return this.ask("POST", "/conversations", by.token, { kind: "group", title, members: members.map(({ userId }) => userId) });
  }

  async remove(by: Person, conversation: string, whom: Person): Promise<void> {
    await this.ask("DELETE", `/conversations/${conversation}/members/${whom.userId}`, by.token);
  }

  async conversation(of: Person, title: string): Promise<{ id: string; head: number }> {
    const all = await this.ask<{ id: string; head: number; title?: string }[]>("GET", "/conversations", of.token);
    const found = all.find((each) => each.title === title);
    if (found === undefined) throw new Error(`no conversation “${title}”`);
    return found;
  }

  async say(by: Person, conversation: string, text: string): Promise<void> {
    await this.ask("POST", `/conversations/${conversation}/messages`, by.token, { text });
  }

  async stored(one: Person, other: Person): Promise<StoredMessage[]> {
    return this.ask<StoredMessage[]>("GET", `/messages?with=${other.userId}&limit=100`, one.token);
  }

  private async ask<T>(method: string, path: string, token: string | null, body?: unknown): Promise<T> {
    for (;;) {
      const answer = await fetch(this.server.url + path, {
        method,
        headers: { ...(token !== null && { authorization: `Bearer ${token}` }), ...(body !== undefined && { "content-type": "application/json" }) },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      const text = await answer.text();
      if (answer.ok) return (text === "" ? null : JSON.parse(text)) as T;
      if (answer.status !== 429) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
      await new Promise((done) => setTimeout(done, Number(answer.headers.get("retry-after") ?? 1) * 1000));
    }
  }

  // ---- devices ----

  /** A browser that nobody has used. */
  async browser(options: BrowserContextOptions = {}): Promise<BrowserContext> {
    const context = await this.newContext({ baseURL: this.server.url, ...options });
    this.contexts.push(context);
    const { host } = new URL(this.server.url);
    context.on("request", (request) => {
      const to = new URL(request.url());
      if (to.host !== host && !["data:", "blob:"].includes(to.protocol)) this.wrong.push(`request to another host: ${request.url()}`);
    });
    context.on("console", (message) => {
      if (/content security policy/i.test(message.text())) this.wrong.push(message.text());
    });
    context.on("weberror", (error) => this.wrong.push(`uncaught in a page: ${error.error().stack ?? error.error().message}`));
    return context;
  }

  /** A browser in which somebody has signed in before. */
  async signedIn(who: Person, options: BrowserContextOptions = {}): Promise<BrowserContext> {
    const session = { token: who.token, user_id: who.userId, name: who.name, display_name: who.displayName };
    const localStorage = [{ name: "chat.session", value: JSON.stringify(session) }];
    return this.browser({ ...options, storageState: { cookies: [], origins: [{ origin: this.server.url, localStorage }] } });
  }

  /** The page of such a browser, connected. */
  async device(who: Person, path = "/", options: BrowserContextOptions = {}): Promise<Page> {
    const page = await (await this.signedIn(who, options)).newPage();
    await page.goto(path);
    // In any language.
    await expect(page.getByRole("navigation")).toBeAttached();
    return page;
  }

  async close(): Promise<void> {
    for (const context of this.contexts) await context.close();
  }
}

/** Each test has a server of its own, fresh and empty. `demo` in `test.use` starts the demonstration instead. */
export const test = base.extend<{ demo: boolean; chat: Fixture }>({
  demo: [false, { option: true }],
  chat: async ({ browser, demo }, provide, info) => {
    const server = await ChatServer.start({ demo });
    const chat = new Fixture(server, (options) => browser.newContext(options));
    await provide(chat);
    if (info.status !== info.expectedStatus) await info.attach("server.log", { body: server.log, contentType: "text/plain" });
    await chat.close();
    await server.dispose();
    expect(chat.wrong).toEqual([]);
    expect(server.log.split("\n").filter((line) => /"level":"ERROR"|panicked/.test(line))).toEqual([]);
  },
});

export { expect };

// ---- what people do and see ----

export const composer = (page: Page): Locator => page.getByRole("main").getByRole("textbox", { name: /^Message / });

export async function write(page: Page, text: string): Promise<void> {
  await composer(page).fill(text);
  await composer(page).press("Enter");
}

export const message = (page: Page, text: string): Locator => page.getByRole("main").getByRole("article").filter({ hasText: text });

/** A row of the list on the side. */
export const row = (page: Page, name: string): Locator => page.getByRole("navigation", { name: "Conversations" }).getByRole("link", { name: new RegExp(`^${name}, `) });

export const tick = (page: Page, text: string, state: string): Locator => message(page, text).locator(`[data-state=${state}]`);

export const bar = (page: Page): Locator => page.getByRole("group", { name: "Connection" });

/** Finds somebody by the beginning of a name and opens the chat with them. */
export async function find(page: Page, beginning: string, displayName: string): Promise<void> {
  await page.getByRole("button", { name: "New message" }).click();
  await page.getByRole("combobox", { name: "Person to write to" }).fill(beginning);
  await page.getByRole("option", { name: new RegExp(`^${displayName}, `) }).click();
  await expect(page.getByRole("main", { name: displayName })).toBeVisible();
}

export async function signIn(page: Page, name: string, password: string): Promise<void> {
  await page.getByLabel("User name").fill(name);
  await page.getByLabel("Password", { exact: true }).fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

export async function signOut(page: Page): Promise<void> {
  await page.getByRole("button", { name: /^Your account/ }).click();
  await page.getByRole("menuitem", { name: "Sign out" }).click();
}

/** The texts on the screen from top to bottom, without what stands beside them. */
export const texts = (page: Page): Promise<string[]> =>
  page.getByRole("log").evaluate((log) =>
    [...log.querySelectorAll("article")]
      .sort((one, other) => one.getBoundingClientRect().top - other.getBoundingClientRect().top)
      .flatMap((article) => {
        const body = article.querySelector("div.whitespace-pre-wrap")?.cloneNode(true);
        if (!(body instanceof Element)) return [];
        body.querySelector("span[dir=ltr]")?.remove();
        return [body.textContent];
      }),
  );

/** Opens the window so far that the list has no reason to leave a row out. */
export const seeEverything = (page: Page): Promise<void> => page.setViewportSize({ width: 1280, height: 6000 });
