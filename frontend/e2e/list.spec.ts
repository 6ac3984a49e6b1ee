// The scroll contract of the message list in a real browser: nothing moves under the eyes of a reader.
import { expect, test, type Page } from "@playwright/test";

test.use({ viewport: { width: 1280, height: 800 } });

const scroller = (page: Page) => page.getByRole("log").locator("..");

const open = async (page: Page, scene: string) => {
  await page.goto(`/__gallery?scene=${scene}`);
  await expect(page.getByRole("article").last()).toBeVisible();
  await page.waitForTimeout(200);
};

/** Distance of what is seen from the end of the list. */
const gap = (page: Page) => scroller(page).evaluate((list) => Math.round(list.scrollHeight - list.scrollTop - list.clientHeight));

/** A message in the middle of the screen, and where it stands. */
const anchor = (page: Page) =>
  page.evaluate(() => {
    const middle = window.innerHeight / 2;
    const article = [...document.querySelectorAll("article")].find((one) => one.getBoundingClientRect().bottom > middle);
    return { key: article?.getAttribute("data-message") ?? "", top: article?.getBoundingClientRect().top ?? 0 };
  });
const topOf = (page: Page, key: string) => page.evaluate((wanted) => document.querySelector(`[data-message="${wanted}"]`)?.getBoundingClientRect().top, key);

const receive = (page: Page, text: string) => page.evaluate((words) => window.receive?.(words), text);

test("opens at the end and follows what comes", async ({ page }) => {
  await open(page, "long");
  expect(await gap(page)).toBe(0);
  await receive(page, "One more, with a few words to make it long.\nAnd a second line.");
  await expect(page.getByRole("article", { name: /And a second line/ })).toBeVisible();
  await page.waitForTimeout(200);
  expect(await gap(page)).toBe(0);
});

test("older pages do not move the message that is read", async ({ page }) => {
  await open(page, "long");
  // Also at the very top, where the first row loses the line of its day.
  for (const position of [1000, 0, 300, 0, 0, 0]) {
    const before = await page.getByRole("log").evaluate((log) => log.clientHeight);
    // To within reach of the next page, then still.
    await scroller(page).evaluate((list, to) => { list.scrollTop = to; }, position);
    await page.waitForTimeout(150);
    const { key, top } = await anchor(page);
    await expect.poll(() => page.getByRole("log").evaluate((log) => log.clientHeight)).toBeGreaterThan(before + 500);
    for (const pause of [50, 500]) {
      await page.waitForTimeout(pause);
      expect(Math.abs((await topOf(page, key) ?? Number.NaN) - top), `from ${position}, after ${pause} ms`).toBeLessThanOrEqual(1);
    }
  }
});

test("scrolling up through many pages never loses its place", async ({ page }) => {
  await open(page, "long");
  await scroller(page).hover();
  let smallest = 10_000;
  for (let i = 0; i < 30; i += 1) {
    await page.mouse.wheel(0, -700);
    await page.waitForTimeout(80);
    const { key } = await anchor(page);
    const seq = Number(key.slice(2));
    expect(seq, "always further back").toBeLessThanOrEqual(smallest);
    smallest = seq;
  }
  expect(smallest).toBeLessThan(9850);
});

test("a message that comes while one reads above moves nothing and is counted", async ({ page }) => {
  await open(page, "long");
  await scroller(page).hover();
  await page.mouse.wheel(0, -900);
  await page.waitForTimeout(300);
  const { key, top } = await anchor(page);
  await receive(page, "Somebody wrote");
  const jump = page.getByRole("button", { name: "Jump to latest, 1 new message" });
  await expect(jump).toBeVisible();
  expect(await topOf(page, key)).toBe(top);
  await jump.click();
  await expect(page.getByRole("article", { name: /Somebody wrote/ })).toBeVisible();
  await expect.poll(() => gap(page)).toBe(0);
  await expect(page.getByRole("button", { name: /Jump to latest/ })).not.toBeVisible();
});

test("one's own message is shown wherever one was", async ({ page }) => {
  await open(page, "long");
  await scroller(page).hover();
  await page.mouse.wheel(0, -1500);
  await page.waitForTimeout(300);
  await page.getByRole("textbox", { name: /Message/ }).fill("Here I am");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("article", { name: /You, .*Here I am/ })).toBeVisible();
  await expect.poll(() => gap(page)).toBe(0);
});

test("a growing composer keeps the last message in view", async ({ page }) => {
  await open(page, "long");
  await page.getByRole("textbox", { name: /Message/ }).fill("1\n2\n3\n4\n5\n6\n7\n8\n9");
  await page.waitForTimeout(100);
  expect(await gap(page)).toBe(0);
});

test("the connection bar comes and goes without moving what is read", async ({ page }) => {
  const offline = () => page.evaluate(() => window.connect?.({ at: "offline", waitingSends: 0 }));
  const online = () => page.evaluate(() => window.connect?.({ at: "online", since: 0, justBack: false }));
  await open(page, "long");
  for (const up of [0, 900]) {
    await scroller(page).hover();
    await page.mouse.wheel(0, -up);
    await page.waitForTimeout(300);
    const { key, top } = await anchor(page);
    for (const change of [offline, online]) {
      await change();
      await page.waitForTimeout(150);
      expect(Math.abs((await topOf(page, key) ?? Number.NaN) - top), `scrolled up by ${up}`).toBeLessThanOrEqual(1);
    }
  }
});

test("only what is near the screen is in the page", async ({ page }) => {
  await open(page, "long");
  await scroller(page).hover();
  for (let i = 0; i < 10; i += 1) {
    await page.mouse.wheel(0, -1500);
    await page.waitForTimeout(100);
  }
  expect(await page.getByRole("article").count()).toBeLessThan(60);
});

test("a visit with few unread begins at the first of them", async ({ page }) => {
  await open(page, "few-unread");
  await expect(page.getByRole("separator", { name: "New messages" })).toBeInViewport();
});

test("more unread than loaded: starts at the end, the pill leads up, the cross marks read", async ({ page }) => {
  await open(page, "many-unread");
  expect(await gap(page)).toBe(0);
  await page.getByRole("button", { name: "Mark as read" }).click();
  await expect(page.getByRole("button", { name: "120 unread" })).not.toBeVisible();
});

test("the arrows move among the messages, Escape leads back to writing", async ({ page }) => {
  await open(page, "conversation");
  await page.getByRole("textbox", { name: /Message/ }).press("Shift+F6");
  await expect(page.getByRole("article", { name: /Noted/ })).toBeFocused();
  await page.keyboard.press("ArrowUp");
  await expect(page.getByRole("article", { name: /no peanuts/ })).toBeFocused();
  await page.keyboard.press("Home");
  await expect(page.getByRole("article", { name: /ferry timetable/ })).toBeFocused();
  await expect(page.getByRole("article", { name: /ferry timetable/ })).toBeInViewport();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("textbox", { name: /Message/ })).toBeFocused();
  await page.keyboard.press("Control+End");
  await expect.poll(() => gap(page)).toBe(0);
});

test("a letter typed anywhere lands in the composer", async ({ page }) => {
  await open(page, "conversation");
  await page.getByRole("button", { name: "Details" }).focus();
  await page.keyboard.type("hello");
  await expect(page.getByRole("textbox", { name: /Message/ })).toHaveValue("hello");
});

test("Alt and the arrows walk through the conversations, with Shift through the unread ones", async ({ page }) => {
  await open(page, "conversation");
  await page.keyboard.press("Alt+ArrowDown");
  await expect(page.getByRole("main", { name: "East Ridge" })).toBeVisible();
  await page.keyboard.press("Alt+Shift+ArrowDown");
  await expect(page.getByRole("main", { name: "Ana Duarte" })).toBeVisible();
  await page.keyboard.press("Alt+Shift+ArrowDown");
  await expect(page.getByRole("main", { name: "Climbing gym Thursdays" })).toBeVisible();
});
