// Two tabs of one browser are one device: one connection, one outbox, one read state, the same drafts.
import type { Page } from "@playwright/test";
import { bar, composer, expect, LONG, message, row, signIn, test, texts, tick, write } from "./chat";

test.setTimeout(180_000);

/** The keys of all sends that this page writes to its connections. */
function sends(page: Page): string[] {
  const keys: string[] = [];
  page.on("websocket", (socket) => socket.on("framesent", ({ payload }) => {
    const frame = JSON.parse(payload.toString()) as { type: string; key?: string };
    if (frame.type === "send" && frame.key !== undefined) keys.push(frame.key);
  }));
  return keys;
}

/** How many WebSockets this page has open. */
function connections(page: Page): () => number {
  let open = 0;
  page.on("websocket", (socket) => {
    open += 1;
    socket.on("close", () => { open -= 1; });
  });
  page.on("close", () => { open = 0; });
  return () => open;
}

test("two tabs and a second browser: one connection a browser, and everything follows", async ({ chat }) => {
  const ann = await chat.person("ann", "Ann Lind");
  const ben = await chat.person("ben", "Ben Moreau");
  const conversation = await chat.direct(ann, ben);
  const context = await chat.signedIn(ann);
  const [one, two] = [await context.newPage(), await context.newPage()];
  const open = [connections(one), connections(two)];
  const sum = () => open.reduce((total, each) => total + each(), 0);
  await one.goto(`/c/${conversation}`);
  await expect(composer(one)).toBeVisible();
  await two.goto(`/c/${conversation}`);
  await expect(composer(two)).toBeVisible();
  // Signed in by itself: a session of its own, which outlives that of the tabs.
  const second = await chat.browser({ viewport: { width: 900, height: 700 } });
  const elsewhere = await second.newPage();
  const openThere = connections(elsewhere);
  await elsewhere.goto("/login");
  await signIn(elsewhere, ann.name, ann.password);
  await expect(row(elsewhere, "Ben Moreau")).toBeVisible();
  await row(elsewhere, "Ben Moreau").click();
  await expect(composer(elsewhere)).toBeVisible();
  const everywhere = [one, two, elsewhere];

  await write(one, "from the first tab");
  await expect(message(two, "from the first tab")).toBeVisible();
  await write(two, "from the second tab");
  await expect(message(elsewhere, "from the second tab")).toBeVisible();
  await write(elsewhere, "from the other browser");
  await expect(message(one, "from the other browser")).toBeVisible();
  await chat.say(ben, conversation, "from Ben");
  const said = ["from the first tab", "from the second tab", "from the other browser", "from Ben"];
  for (const page of everywhere) await expect.poll(() => texts(page)).toEqual(said);
  expect(sum(), "one connection for both tabs").toBe(1);
  expect(openThere(), "one for the other browser").toBe(1);
  for (const page of everywhere) await expect(row(page, "Ben Moreau")).not.toHaveAccessibleName(/unread/);
  await one.screenshot({ path: "playwright-report/chat/tabs-one-wide-light.png", animations: "disabled" });
  await elsewhere.screenshot({ path: "playwright-report/chat/tabs-other-browser-wide-light.png", animations: "disabled" });

  // A change made in the tab without a connection of its own.
  await message(two, "from the second tab").focus();
  await two.keyboard.press("e");
  await two.getByRole("textbox", { name: "Edit message" }).fill("from the second tab, mended");
  await two.keyboard.press("Enter");
  for (const page of everywhere) await expect(message(page, "from the second tab, mended")).toContainText("edited");

  // Whichever has the connection goes without a word: the other takes over and has missed nothing.
  const leads = open[0]!() === 1 ? one : two;
  const follows = leads === one ? two : one;
  await leads.close();
  await chat.say(ben, conversation, "in between");
  await expect(message(follows, "in between")).toBeVisible(LONG);
  await write(follows, "still here");
  await expect(tick(follows, "still here", "sent")).toBeVisible(LONG);
  await expect(message(elsewhere, "still here")).toBeVisible();
  expect(sum()).toBe(1);

  // A new tab joins; theme, language and the way out are of the browser, not of the tab.
  const third = await context.newPage();
  const openThird = connections(third);
  await third.goto(`/c/${conversation}`);
  await expect.poll(() => texts(third)).toEqual(["from the first tab", "from the second tab, mended", "from the other browser", "from Ben", "in between", "still here"]);
  expect(openThird()).toBe(0);
  await third.goto("/settings/appearance");
  await third.getByRole("radio", { name: "Dark" }).check();
  await expect(follows.locator("html")).toHaveAttribute("data-theme", "dark");
  await third.getByRole("link", { name: /^Account/ }).click();
  await third.getByRole("button", { name: "Sign out" }).click();
  for (const page of [follows, third]) await expect(page.getByRole("heading", { name: "Sign in" })).toBeVisible();
  await expect.poll(() => sum() + openThird()).toBe(0);
  await expect(composer(elsewhere)).toBeVisible();
  await write(elsewhere, "the other browser stays");
  await expect(tick(elsewhere, "the other browser stays", "sent")).toBeVisible();
});

test("a tab that hangs while it has the connection loses it to one that does not", async ({ chat }) => {
  const ann = await chat.person("ann", "Ann Lind");
  const ben = await chat.person("ben", "Ben Moreau");
  const conversation = await chat.direct(ann, ben);
  const context = await chat.signedIn(ann);
  const [one, two] = [await context.newPage(), await context.newPage()];
  for (const page of [one, two]) {
    await page.goto(`/c/${conversation}`);
    await expect(composer(page)).toBeVisible();
  }
  await write(two, "before");
  await expect(tick(two, "before", "sent")).toBeVisible();
  // Its thread does nothing else until it is told: a message would be heard afterwards only.
  const hanging = one.evaluate(() => {
    const until = Date.now() + 45_000;
    while (Date.now() < until);
  });
  await two.bringToFront();
  await chat.say(ben, conversation, "is anybody there?");
  await expect(message(two, "is anybody there?")).toBeVisible(LONG);
  await write(two, "yes");
  await expect(tick(two, "yes", "sent")).toBeVisible(LONG);
  await hanging;
  for (const page of [one, two]) await expect.poll(() => texts(page), LONG).toEqual(["before", "is anybody there?", "yes"]);
});

test("what either tab writes is sent once, by one of them", async ({ chat }) => {
  const ann = await chat.person("ann", "Ann Lind");
  const ben = await chat.person("ben", "Ben Moreau");
  const conversation = await chat.direct(ann, ben);
  const context = await chat.signedIn(ann);
  const [one, other] = [await context.newPage(), await context.newPage()];
  const written = { one: sends(one), other: sends(other) };
  await one.goto(`/c/${conversation}`);
  await expect(composer(one)).toBeVisible();
  await other.goto(`/c/${conversation}`);
  await expect(composer(other)).toBeVisible();

  const words: string[] = [];
  for (let i = 1; i <= 4; i += 1) {
    await write(one, `one ${i}`);
    await write(other, `other ${i}`);
    words.push(`one ${i}`, `other ${i}`);
  }
  for (const page of [one, other]) {
    await expect(page.locator("[data-state=queued], [data-state=sending]")).toHaveCount(0, LONG);
    await expect.poll(async () => (await texts(page)).length).toBe(words.length);
  }
  const stored = (await chat.stored(ann, ben)).map(({ content }) => content);
  expect([...stored].sort()).toEqual([...words].sort());
  for (const name of ["one", "other"]) {
    const own = stored.filter((word) => word.startsWith(name));
    expect(own, "in the order typed").toEqual([...own].sort());
  }
  expect(await texts(one)).toEqual(stored);
  expect(await texts(other)).toEqual(stored);
  const keys = [...written.one, ...written.other];
  expect(new Set(keys).size, "each written once").toBe(keys.length);
  expect(keys.length).toBe(words.length);
  expect(written.other.length * written.one.length, "one of them sends for both").toBe(0);

  // The other takes over when the first is closed, also what was still waiting.
  await context.setOffline(true);
  await expect(bar(one)).toContainText("You are offline");
  await write(one, "left behind");
  await expect(tick(other, "left behind", "queued")).toBeVisible();
  await one.close();
  await context.setOffline(false);
  await expect(tick(other, "left behind", "sent")).toBeVisible(LONG);
  expect((await chat.stored(ann, ben)).map(({ content }) => content)).toEqual([...stored, "left behind"]);
});

test("what was read in one tab is read in the other, and drafts follow", async ({ chat }) => {
  const ann = await chat.person("ann", "Ann Lind");
  const ben = await chat.person("ben", "Ben Moreau");
  const conversation = await chat.direct(ann, ben);
  const context = await chat.signedIn(ann);
  const [one, other] = [await context.newPage(), await context.newPage()];
  for (const page of [one, other]) await page.goto("/");
  await chat.say(ben, conversation, "Hello?");
  for (const page of [one, other]) {
    await expect(row(page, "Ben Moreau")).toHaveAccessibleName(/1 unread/);
    await expect(page).toHaveTitle("(1) Chat");
  }
  await row(one, "Ben Moreau").click();
  await expect(message(one, "Hello?")).toBeVisible();
  for (const page of [one, other]) {
    await expect(row(page, "Ben Moreau")).not.toHaveAccessibleName(/unread/);
    await expect(page).toHaveTitle("Chat");
  }
  await composer(one).fill("Coming");
  await expect(row(other, "Ben Moreau")).toHaveAccessibleName(/draft: Coming/);
  await row(other, "Ben Moreau").click();
  await expect(composer(other)).toHaveValue("Coming");
});
