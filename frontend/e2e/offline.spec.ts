// Without a network one goes on writing; what was written goes out once, in order, when it is back.
import { bar, composer, expect, LONG, message, row, test, texts, tick, write } from "./chat";

test.setTimeout(180_000);

test("messages wait while offline, also over a reload, and are sent once and in order", async ({ chat }) => {
  const ann = await chat.person("ann", "Ann Lind");
  const ben = await chat.person("ben", "Ben Moreau");
  const conversation = await chat.direct(ann, ben);
  const context = await chat.signedIn(ann);
  const page = await context.newPage();
  const other = await chat.device(ben, `/c/${conversation}`);
  await page.goto(`/c/${conversation}`);
  await write(page, "before");
  await expect(tick(page, "before", "read")).toBeVisible();

  await context.setOffline(true);
  await expect(bar(page)).toContainText("You are offline");
  await write(page, "one");
  await write(page, "two");
  for (const text of ["one", "two"]) await expect(tick(page, text, "queued")).toBeVisible();
  await expect(bar(page)).toContainText("2 waiting");
  await expect(composer(page)).toBeEnabled();
  // Nobody knows now who else is here.
  await expect(page.getByRole("main").getByText("online", { exact: true })).not.toBeVisible();
  await chat.say(ben, conversation, "meanwhile");

  // The browser has the page itself in its cache; everything else stays out of reach. It does not know
  // that such a page came from this machine, and has to be told that it may talk to it.
  await context.grantPermissions(["local-network-access"]);
  await context.route(/\/(c\/[^/]*|assets\/.*|theme\.js|icon\.svg)$/, async (route) => route.fulfill({ response: await route.fetch() }));
  await page.reload();
  await expect(message(page, "before")).toBeVisible();
  for (const text of ["one", "two"]) await expect(tick(page, text, "queued")).toBeVisible();
  await expect(bar(page)).toContainText("2 waiting");
  await write(page, "three");
  await expect(bar(page)).toContainText("3 waiting");
  await expect(row(page, "Ben Moreau")).toHaveAccessibleName(/last message: you: three/);

  await context.setOffline(false);
  await expect(tick(page, "three", "read")).toBeVisible(LONG);
  await expect(bar(page)).not.toBeVisible(LONG);
  const words = ["before", "meanwhile", "one", "two", "three"];
  await expect.poll(() => texts(page)).toEqual(words);
  await expect.poll(() => texts(other)).toEqual(words);
  expect((await chat.stored(ann, ben)).map(({ content }) => content)).toEqual(words);

  await page.reload();
  await expect.poll(() => texts(page)).toEqual(words);
  await expect(page.locator("[data-state=queued], [data-state=sending]")).toHaveCount(0);
});

test("a server that is away is said to be, and Retry now finds it when it is back", async ({ chat }) => {
  const ann = await chat.person("ann", "Ann Lind");
  const ben = await chat.person("ben", "Ben Moreau");
  const conversation = await chat.direct(ann, ben);
  const page = await chat.device(ann, `/c/${conversation}`);
  await write(page, "before");
  await expect(tick(page, "before", "sent")).toBeVisible();
  await chat.server.kill();
  await expect(bar(page)).toContainText("Can’t reach the server", LONG);
  await write(page, "waits");
  await expect(tick(page, "waits", "queued")).toBeVisible();
  await expect(bar(page)).toContainText("1 waiting");
  await chat.server.run();
  // It may have come back by itself in the same moment.
  await bar(page).getByRole("button", { name: "Retry now" }).click({ timeout: 2_000 }).catch(() => {});
  await expect(tick(page, "waits", "sent")).toBeVisible(LONG);
  await expect(bar(page)).not.toBeVisible(LONG);
});
