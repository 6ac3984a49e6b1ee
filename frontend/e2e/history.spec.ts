// A conversation of many pages: reading up through it, and coming back, without losing the place.
import type { Page } from "@playwright/test";
import { expect, LONG, message, test, write } from "./chat";

test.setTimeout(180_000);
test.use({ demo: true, viewport: { width: 1280, height: 800 } });

const scroller = (page: Page) => page.getByRole("log").locator("..");
const heightOfLog = (page: Page) => page.getByRole("log").evaluate((log) => log.clientHeight);
const gap = (page: Page) => scroller(page).evaluate((list) => Math.round(list.scrollHeight - list.scrollTop - list.clientHeight));
const jump = (page: Page) => page.getByRole("button", { name: /^Jump to latest/ });

/** A message in the middle of the screen, and where it stands. */
const anchor = (page: Page) =>
  page.evaluate(() => {
    const middle = window.innerHeight / 2;
    const article = [...document.querySelectorAll("article")].find((one) => one.getBoundingClientRect().bottom > middle);
    return { key: article?.getAttribute("data-message") ?? "", top: article?.getBoundingClientRect().top ?? 0 };
  });
const topOf = (page: Page, key: string) => page.evaluate((wanted) => document.querySelector(`[data-message="${wanted}"]`)?.getBoundingClientRect().top, key);

/** One page older than what is loaded; fails when anything moved by it. */
async function readUp(page: Page): Promise<void> {
  const before = await heightOfLog(page);
  await scroller(page).evaluate((list) => { list.scrollTop = 0; });
  await page.waitForTimeout(50);
  const { key, top } = await anchor(page);
  await expect.poll(() => heightOfLog(page), LONG).toBeGreaterThan(before + 500);
  for (const pause of [50, 500]) {
    await page.waitForTimeout(pause);
    expect(Math.abs((await topOf(page, key) ?? Number.NaN) - top), `${key} after ${pause} ms`).toBeLessThanOrEqual(1);
  }
}

test("older pages come in without moving what is read, and the way back is one press", async ({ chat }) => {
  const alice = await chat.known("alice");
  const { id } = await chat.conversation(alice, "Boathouse");
  const page = await chat.device(alice, `/c/${id}`);
  await expect(page.getByRole("article").last()).toBeVisible();
  await page.waitForTimeout(500);
  for (let pages = 0; pages < 5; pages += 1) await readUp(page);
  expect(await page.getByRole("article").count(), "only what is near the screen").toBeLessThan(80);

  await jump(page).click();
  await expect.poll(() => gap(page)).toBe(0);
  await expect(jump(page)).not.toBeVisible();
  await expect(page.getByRole("article").last()).toBeInViewport();
  await expect(page.getByRole("article").last()).toContainText("And I bring the coffee");
});

test("all the way up is the beginning", async ({ chat }) => {
  const bob = await chat.known("bob");
  const page = await chat.device(bob);
  await page.getByRole("link", { name: /^Alice Ahlberg, / }).click();
  await expect(page.getByRole("article").last()).toBeVisible();
  const beginning = page.getByText("This is the beginning of your chat with Alice Ahlberg.");
  await expect(async () => {
    await scroller(page).evaluate((list) => { list.scrollTop = 0; });
    await expect(beginning).toBeVisible({ timeout: 500 });
  }).toPass(LONG);
  // Some days ago, and the first row says which.
  await expect(page.getByRole("separator").first()).toHaveAccessibleName(/^(\w+day|\d+ \w+ \d{4})$/);
  await expect(page.getByRole("separator").first()).not.toHaveAccessibleName("Today");
});

test("the visit begins where the unread ones do", async ({ chat }) => {
  const alice = await chat.known("alice");
  const { id } = await chat.conversation(alice, "Boathouse");
  const page = await chat.device(alice);
  const link = page.getByRole("link", { name: /^Boathouse, / });
  await expect(link).toHaveAccessibleName(/3 unread/);
  await page.goto(`/c/${id}`);
  await expect(page.getByRole("separator", { name: "New messages" })).toBeInViewport();
  await expect(link).not.toHaveAccessibleName(/unread/);
  // The line stays for this visit, and is gone in the next one.
  await expect(page.getByRole("separator", { name: "New messages" })).toBeInViewport();
  await page.reload();
  await expect(page.getByRole("article").last()).toBeVisible();
  await expect(page.getByRole("separator", { name: "New messages" })).toHaveCount(0);
});

test("more unread than one page: the pill leads to the first of them", async ({ chat }) => {
  const [alice, carol] = [await chat.known("alice"), await chat.known("carol")];
  const conversation = await chat.direct(alice, carol);
  for (let i = 1; i <= 80; i += 1) await chat.say(carol, conversation, `Thing ${i} of eighty that somebody should look at`);
  const page = await chat.device(alice, `/c/${conversation}`);
  const pill = page.getByRole("button", { name: "80 unread" });
  await expect(pill).toBeVisible();
  expect(await gap(page)).toBe(0);
  await pill.click();
  await expect(async () => {
    if (await pill.isVisible()) await pill.click();
    await expect(page.getByRole("separator", { name: "New messages" })).toBeInViewport({ timeout: 500 });
    await expect(message(page, "Thing 1 of eighty")).toBeInViewport({ timeout: 500 });
  }).toPass(LONG);
  await expect(pill).not.toBeVisible();
});

test("what comes while one reads above moves nothing, is counted, and stays unread", async ({ chat }) => {
  const [alice, bob] = [await chat.known("alice"), await chat.known("bob")];
  const { id } = await chat.conversation(alice, "Boathouse");
  const page = await chat.device(bob, `/c/${id}`);
  await expect(page.getByRole("article").last()).toBeVisible();
  await page.waitForTimeout(500);
  await readUp(page);
  const { key, top } = await anchor(page);
  await chat.say(alice, id, "Who left the lamp on?");
  await chat.say(alice, id, "Never mind, it was me.");
  await expect(jump(page)).toHaveAccessibleName("Jump to latest, 2 new messages");
  expect(Math.abs((await topOf(page, key) ?? Number.NaN) - top)).toBeLessThanOrEqual(1);
  await expect(page).toHaveTitle("(2) Chat");

  await jump(page).click();
  await expect(message(page, "Never mind, it was me.")).toBeInViewport();
  await expect(page).toHaveTitle("Chat");

  // One's own message is shown wherever one was.
  await readUp(page);
  await write(page, "I turned it off");
  await expect(message(page, "I turned it off")).toBeInViewport();
  await expect.poll(() => gap(page)).toBe(0);
});
