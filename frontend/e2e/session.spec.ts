// Who is signed in, and how that ends.
import { bar, composer, expect, LONG, message, PASSWORD, row, signIn, signOut, test, texts, tick, write } from "./chat";

test.setTimeout(180_000);

test("a wrong password says so; signing out leaves nothing behind; signing in brings it back", async ({ chat }) => {
  const ann = await chat.person("ann", "Ann Lind");
  const ben = await chat.person("ben", "Ben Moreau");
  await chat.say(ann, await chat.direct(ann, ben), "Hello Ben");
  const page = await (await chat.browser()).newPage();
  await page.goto("/");
  await signIn(page, "ann", "not the one");
  await expect(page.getByRole("alert").filter({ hasText: "Wrong username or password." })).toBeFocused();
  await signIn(page, "nobody", "not the one");
  await expect(page.getByRole("alert").filter({ hasText: "Wrong username or password." })).toBeFocused();
  await signIn(page, "ann", PASSWORD);
  await row(page, "Ben Moreau").click();
  await expect(message(page, "Hello Ben")).toBeVisible();

  await signOut(page);
  await expect(page.getByRole("heading", { name: "Sign in" })).toBeVisible();
  await expect(page.getByText("Hello Ben")).toHaveCount(0);
  const left = await page.evaluate(async () => {
    const names = Object.keys(localStorage).filter((name) => name !== "chat.theme");
    const database = await new Promise<IDBDatabase>((resolve, reject) => {
      const opening = indexedDB.open("chat");
      opening.onsuccess = () => resolve(opening.result);
      opening.onerror = () => reject(new Error("no database"));
    });
    const counts = await Promise.all([...database.objectStoreNames].map((store) => new Promise<number>((resolve) => {
      const count = database.transaction(store).objectStore(store).count();
      count.onsuccess = () => resolve(count.result);
    })));
    database.close();
    return { names, rows: counts.reduce((sum, count) => sum + count, 0) };
  });
  expect(left).toEqual({ names: [], rows: 0 });

  await signIn(page, "ann", PASSWORD);
  await expect(row(page, "Ben Moreau")).toBeVisible();
});

test("signing out ends every tab of this device and no other device", async ({ chat }) => {
  const ann = await chat.person("ann", "Ann Lind");
  const device = await chat.browser();
  const [one, other] = [await device.newPage(), await device.newPage()];
  await one.goto("/");
  await other.goto("/");
  await signIn(one, "ann", PASSWORD);
  await expect(one.getByText("No conversations yet")).toBeVisible();
  // The other tab follows in, and out.
  await expect(other.getByText("No conversations yet")).toBeVisible();
  const elsewhere = await chat.device(ann);
  await signOut(one);
  await expect(one.getByRole("heading", { name: "Sign in" })).toBeVisible();
  await expect(other.getByRole("heading", { name: "Sign in" })).toBeVisible();
  await elsewhere.reload();
  await expect(elsewhere.getByText("No conversations yet")).toBeVisible();
});

test("signing out with unsent messages asks first", async ({ chat }) => {
  const ann = await chat.person("ann", "Ann Lind");
  const ben = await chat.person("ben", "Ben Moreau");
  const conversation = await chat.direct(ann, ben);
  const page = await chat.device(ann, `/c/${conversation}`);
  await expect(composer(page)).toBeVisible();
  // With all its parts: what opens later cannot be fetched later.
  await page.waitForLoadState("networkidle");
  await page.context().setOffline(true);
  await page.getByRole("button", { name: "Details" }).click();
  await expect(page.getByRole("heading", { name: "Details" })).toBeVisible();
  await page.getByRole("button", { name: "Close details" }).or(page.getByRole("button", { name: "Close" })).click();
  await write(page, "not sent yet");
  await expect(tick(page, "not sent yet", "queued")).toBeVisible();
  await signOut(page);
  const question = page.getByRole("dialog", { name: "Sign out and drop unsent messages?" });
  await question.getByRole("button", { name: "Cancel" }).click();
  await expect(message(page, "not sent yet")).toBeVisible();
  await signOut(page);
  await question.getByRole("button", { name: "Sign out anyway" }).click();
  await expect(page.getByRole("heading", { name: "Sign in" })).toBeVisible();
  await page.context().setOffline(false);
  await signIn(page, "ann", PASSWORD);
  await row(page, "Ben Moreau").click();
  await expect(composer(page)).toBeVisible();
  // Asked by Ben: Ann's own first session has ended with the sign-out.
  expect((await chat.stored(ben, ann)).map(({ content }) => content)).toEqual([]);
});

test("a disabled user lands on the sign-in page with the reason", async ({ chat }) => {
  const ann = await chat.person("ann", "Ann Lind");
  const page = await chat.device(ann);
  await expect(page.getByText("No conversations yet")).toBeVisible();
  await chat.server.user("disable", "ann");
  await expect(page.getByText("You have been signed out. Sign in again.", { exact: true }).last()).toBeVisible(LONG);
  await expect(page.getByLabel("User name")).toHaveValue("ann");
  await expect(page.getByLabel("Password", { exact: true })).toBeFocused();
  await signIn(page, "ann", PASSWORD);
  await expect(page.getByRole("alert").filter({ hasText: "Wrong username or password." })).toBeVisible();
  await chat.server.user("enable", "ann");
  await signIn(page, "ann", PASSWORD);
  await expect(page.getByText("No conversations yet")).toBeVisible();
});

test("a session that ended while offline keeps what waits, for the same user's return", async ({ chat }) => {
  const ann = await chat.person("ann", "Ann Lind");
  const ben = await chat.person("ben", "Ben Moreau");
  const conversation = await chat.direct(ann, ben);
  const page = await chat.device(ann, `/c/${conversation}`);
  await write(page, "before");
  await expect(tick(page, "before", "delivered").or(tick(page, "before", "sent"))).toBeVisible();
  await page.context().setOffline(true);
  await expect(bar(page)).toContainText("You are offline");
  await write(page, "one");
  await write(page, "two");
  await composer(page).fill("a draft");
  await expect(bar(page)).toContainText("2 waiting");

  await chat.server.user("disable", "ann");
  await page.context().setOffline(false);
  await expect(page.getByRole("heading", { name: "Sign in" })).toBeVisible(LONG);
  await expect(page.getByText(/Sign in again\./).first()).toBeVisible();
  await chat.server.user("enable", "ann");
  await signIn(page, "ann", PASSWORD);
  await expect(tick(page, "two", "sent")).toBeVisible(LONG);
  await expect(composer(page)).toHaveValue("a draft");
  expect(await texts(page)).toEqual(["before", "one", "two"]);
  expect((await chat.stored(ben, ann)).map(({ content }) => content)).toEqual(["before", "one", "two"]);
});

test("the link of the first start makes the administrator, once", async ({ chat }) => {
  const page = await (await chat.browser()).newPage();
  await page.goto(chat.server.setUpLink);
  await expect(page.getByRole("heading", { name: "Set up this chat" })).toBeVisible();
  await expect(page.getByLabel("Set-up code")).toHaveValue(/.+/);
  await page.getByLabel("User name").fill("root");
  await page.getByLabel("Display name").fill("Ruth Root");
  await page.getByLabel("Password", { exact: true }).fill(PASSWORD);
  await page.getByRole("button", { name: "Create administrator" }).click();
  await expect(page.getByText("No conversations yet")).toBeVisible();
  await expect(page).toHaveURL(/\/$/);
  expect(await chat.server.user("list")).toMatch(/root.*admin/);

  const late = await (await chat.browser()).newPage();
  await late.goto(chat.server.setUpLink);
  await late.getByLabel("User name").fill("second");
  await late.getByLabel("Password", { exact: true }).fill(PASSWORD);
  await late.getByRole("button", { name: "Create administrator" }).click();
  await expect(late.getByRole("main").getByRole("alert")).toHaveText(/\w+/);
  expect(await chat.server.user("list")).not.toMatch(/second/);
});

test("an address leads to its conversation, over a reload and over signing in", async ({ chat }) => {
  const ann = await chat.person("ann", "Ann Lind");
  const ben = await chat.person("ben", "Ben Moreau");
  const eva = await chat.person("eva", "Eva Sato");
  const conversation = await chat.direct(ann, ben);
  await chat.say(ben, conversation, "Read this");
  const page = await (await chat.browser()).newPage();
  await page.goto(`/c/${conversation}`);
  await signIn(page, "ann", PASSWORD);
  await expect(message(page, "Read this")).toBeVisible();
  await page.reload();
  await expect(message(page, "Read this")).toBeVisible();
  await expect(page).toHaveURL(new RegExp(`/c/${conversation}$`));

  // Somebody else's, and one that never was, look the same.
  const stranger = await chat.device(eva, `/c/${conversation}`);
  await expect(stranger.getByRole("heading", { name: "This conversation is not here" })).toBeVisible();
  await stranger.goto("/c/00000000-0000-4000-8000-000000000000");
  await expect(stranger.getByRole("heading", { name: "This conversation is not here" })).toBeVisible();
  await stranger.getByRole("button", { name: "Back to the conversations" }).click();
  await expect(stranger.getByText("No conversations yet")).toBeVisible();
});
