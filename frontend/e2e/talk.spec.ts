// Two people meet and talk, and a second device of one of them sees it all.
import { bar, composer, expect, find, LONG, message, PASSWORD, row, test, tick, write } from "./chat";
import type { Page } from "@playwright/test";

test.setTimeout(120_000);

async function signUp(page: Page, name: string, displayName: string): Promise<void> {
  await page.goto("/");
  await page.getByRole("link", { name: "Create an account" }).click();
  await page.getByLabel("User name").fill(name);
  await page.getByLabel("Display name").fill(displayName);
  await page.getByLabel("Password", { exact: true }).fill(PASSWORD);
  await page.getByRole("button", { name: "Create account" }).click();
  await expect(page.getByText("No conversations yet")).toBeVisible();
}

test("two people sign up, find each other and talk; a second device sees everything", async ({ chat }) => {
  const ann = await (await chat.browser()).newPage();
  const ben = await (await chat.browser()).newPage();
  await signUp(ann, "ann", "Ann Lind");
  await signUp(ben, "ben", "Ben Moreau");

  await find(ann, "mor", "Ben Moreau");
  await expect(ann.getByText("This is the beginning of your chat with Ben Moreau.")).toBeVisible();
  await expect(composer(ann)).toBeFocused();
  await expect(ann.getByRole("main").getByText("online", { exact: true })).toBeVisible();

  // Ben has the list on screen but not the conversation: delivered, not read.
  await write(ann, "Hello Ben");
  await expect(row(ben, "Ann Lind")).toHaveAccessibleName(/1 unread.*last message: Hello Ben/);
  await expect(tick(ann, "Hello Ben", "delivered")).toBeVisible();
  await expect(ben).toHaveTitle("(1) Chat");

  await row(ben, "Ann Lind").click();
  await expect(message(ben, "Hello Ben")).toBeVisible();
  await expect(tick(ann, "Hello Ben", "read")).toBeVisible();
  await expect(ben).toHaveTitle("Chat");
  await expect(row(ben, "Ann Lind")).not.toHaveAccessibleName(/unread/);

  await composer(ben).pressSequentially("Hi A");
  await expect(ann.getByRole("main").getByText("Ben Moreau is typing…")).toBeVisible();
  await composer(ben).pressSequentially("nn");
  await composer(ben).press("Enter");
  await expect(message(ann, "Hi Ann")).toBeVisible();
  await expect(ann.getByText("Ben Moreau is typing…")).not.toBeVisible();

  // Another device of Ben: everything so far, and from now on both follow each other.
  const phone = await (await chat.browser({ viewport: { width: 390, height: 844 } })).newPage();
  await phone.goto("/");
  await phone.getByLabel("User name").fill("ben");
  await phone.getByLabel("Password", { exact: true }).fill(PASSWORD);
  await phone.getByRole("button", { name: "Sign in" }).click();
  await row(phone, "Ann Lind").click();
  await expect(message(phone, "Hello Ben")).toBeVisible();
  await expect(message(phone, "Hi Ann")).toBeVisible();
  await write(phone, "On the train now");
  await expect(message(ben, "On the train now")).toBeVisible();
  await expect(message(ann, "On the train now")).toBeVisible();
  await expect(tick(ben, "On the train now", "read")).toBeVisible();
  await expect(tick(phone, "On the train now", "read")).toBeVisible();

  // Presence ends with the last device only.
  await ben.context().close();
  await write(ann, "Still there?");
  await expect(tick(ann, "Still there?", "read")).toBeVisible();
  await expect(ann.getByRole("main").getByText("online", { exact: true })).toBeVisible();
  await phone.context().close();
  await expect(ann.getByRole("main").getByText("online", { exact: true })).not.toBeVisible(LONG);
  await write(ann, "Sleep well");
  await expect(tick(ann, "Sleep well", "sent")).toBeVisible();
  await expect(bar(ann)).not.toBeVisible();
});

test("drafts stay with their conversation, and unread counts with theirs", async ({ chat }) => {
  const ann = await chat.person("ann", "Ann Lind");
  const ben = await chat.person("ben", "Ben Moreau");
  const eva = await chat.person("eva", "Eva Sato");
  const withBen = await chat.direct(ann, ben);
  const withEva = await chat.direct(ann, eva);
  await chat.say(ben, withBen, "from Ben");
  await chat.say(eva, withEva, "from Eva");

  const page = await chat.device(ann, `/c/${withBen}`);
  await expect(message(page, "from Ben")).toBeVisible();
  await expect(page).toHaveTitle("(1) Chat");
  await composer(page).fill("half a thought");
  await row(page, "Eva Sato").click();
  await expect(message(page, "from Eva")).toBeVisible();
  await expect(composer(page)).toHaveValue("");
  await expect(row(page, "Ben Moreau")).toHaveAccessibleName(/draft: half a thought/);
  await chat.say(ben, withBen, "are you there?");
  await chat.say(ben, withBen, "no hurry");
  await expect(row(page, "Ben Moreau")).toHaveAccessibleName(/2 unread/);
  await expect(page).toHaveTitle("(2) Chat");

  await page.reload();
  await expect(page).toHaveTitle("(2) Chat");
  await row(page, "Ben Moreau").click();
  await expect(page.getByRole("separator", { name: "New messages" })).toBeVisible();
  await expect(composer(page)).toHaveValue("half a thought");
  await composer(page).press("Enter");
  await expect(message(page, "half a thought").locator("[data-state]")).toBeAttached();
  await expect(composer(page)).toHaveValue("");
  await expect(row(page, "Ben Moreau")).not.toHaveAccessibleName(/draft|unread/);
  await expect(page).toHaveTitle("Chat");
});
