// For everybody: what axe finds, the keyboard alone, small screens and big letters. Pictures of what axe
// looked at land in playwright-report/chat.
import AxeBuilder from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import { composer, expect, message, row, test, tick } from "./chat";

test.setTimeout(180_000);
test.use({ demo: true });

async function expectAccessible(page: Page, picture: string): Promise<void> {
  // Later than every appearance: half transparent text has no contrast yet.
  await page.waitForTimeout(400);
  await page.screenshot({ path: `playwright-report/chat/${picture}.png` });
  // A menu floats outside every landmark, and is not content that a landmark would hold.
  const { violations } = await new AxeBuilder({ page }).exclude('[role="menu"]').analyze();
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" | ")}`)).toEqual([]);
}

async function expectNoSideways(page: Page): Promise<void> {
  expect(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth), "horizontal scrolling").toBeLessThanOrEqual(0);
  // What sticks out of the window, unless something around it may be scrolled.
  const outside = await page.evaluate(() =>
    [...document.querySelectorAll("button, a, input, textarea, article")].filter((element) => {
      const { left, right, width } = element.getBoundingClientRect();
      return width > 1 && (left < -1 || right > window.innerWidth + 1) && getComputedStyle(element).visibility !== "hidden" && element.closest(".sr-only") === null;
    }).map((element) => element.outerHTML.slice(0, 120)),
  );
  expect(outside).toEqual([]);
}

for (const { view, viewport } of [{ view: "wide", viewport: { width: 1440, height: 900 } }, { view: "phone", viewport: { width: 390, height: 844 } }]) {
  for (const colorScheme of ["light", "dark"] as const) {
    test(`axe finds nothing: ${view}, ${colorScheme}`, async ({ chat }) => {
      const stranger = await (await chat.browser({ viewport, colorScheme })).newPage();
      for (const path of ["/login", "/signup", "/setup?code=x"]) {
        await stranger.goto(path);
        await expect(stranger.getByRole("heading", { level: 1 })).toBeVisible();
        await expectAccessible(stranger, `${path.replace(/\W+/g, "")}-${view}-${colorScheme}`);
      }
      const alice = await chat.known("alice");
      const page = await chat.device(alice, "/", { viewport, colorScheme });
      await expect(row(page, "Boathouse")).toBeVisible();
      await expectAccessible(page, `list-${view}-${colorScheme}`);
      await row(page, "Boathouse").click();
      await expect(page.getByRole("article").last()).toBeVisible();
      await expectAccessible(page, `conversation-${view}-${colorScheme}`);
      await expectNoSideways(page);
      await page.getByRole("button", { name: "Details" }).click();
      await expect(page.getByRole("heading", { name: "Members" })).toBeVisible();
      await expectAccessible(page, `details-${view}-${colorScheme}`);
      await page.getByRole("button", { name: "Add", exact: true }).click();
      await expect(page.getByRole("dialog", { name: "Add people" })).toBeVisible();
      await expectAccessible(page, `add-people-${view}-${colorScheme}`);
      await page.keyboard.press("Escape");
      await expect(page.getByRole("dialog", { name: "Add people" })).not.toBeVisible();
      await page.getByRole("button", { name: "Leave group" }).click();
      await expect(page.getByRole("dialog", { name: /^Leave/ })).toBeVisible();
      await expectAccessible(page, `leave-group-${view}-${colorScheme}`);
      await page.keyboard.press("Escape");
      await expect(page.getByRole("dialog", { name: /^Leave/ })).not.toBeVisible();
      await page.getByRole("button", { name: "Close details" }).or(page.getByRole("dialog", { name: "Details" }).getByRole("button", { name: "Close" })).click();
      await page.keyboard.press("Control+k");
      await page.getByRole("combobox").fill("b");
      await expect(page.getByRole("option").first()).toBeVisible();
      await expectAccessible(page, `switcher-${view}-${colorScheme}`);
      await page.keyboard.press("Escape");
      await page.keyboard.press("Control+/");
      await expect(page.getByRole("dialog")).toBeVisible();
      await expectAccessible(page, `shortcuts-${view}-${colorScheme}`);
    });
  }
}

test("a conversation with the keyboard alone", async ({ chat }) => {
  const bob = await chat.known("bob");
  const page = await (await chat.browser()).newPage();
  await page.goto("/");
  await expect(page.getByLabel("User name")).toBeFocused();
  await page.keyboard.type("bob");
  await page.keyboard.press("Tab");
  await page.keyboard.type(bob.password);
  await page.keyboard.press("Enter");
  await expect(row(page, "Boathouse")).toBeVisible();

  await page.keyboard.press("Control+k");
  await expect(page.getByRole("combobox")).toBeFocused();
  await page.keyboard.type("car");
  await expect(page.getByRole("option", { name: /Carol Núñez/ })).toBeVisible();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("main", { name: "Carol Núñez" })).toBeVisible();
  await expect(composer(page)).toBeFocused();
  await page.keyboard.type("First line");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("second line");
  await page.keyboard.press("Enter");
  await expect(tick(page, "second line", "sent")).toBeVisible();
  await expect(composer(page)).toBeFocused();

  await page.keyboard.press("Control+k");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowUp");
  await page.keyboard.type("boat");
  await expect(page.getByRole("option", { name: /^Boathouse/ })).toHaveAttribute("aria-selected", "true");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("main", { name: "Boathouse" })).toBeVisible();
  await expect(page.getByRole("article").last()).toBeVisible();

  // Into the messages, up, and back to writing.
  await page.keyboard.press("Shift+F6");
  await expect(page.getByRole("article").last()).toBeFocused();
  await page.keyboard.press("ArrowUp");
  await page.keyboard.press("ArrowUp");
  await expect(page.locator("article:focus")).toHaveCount(1);
  await page.keyboard.press("Home");
  await expect(page.locator("article:focus")).toBeInViewport();
  await page.keyboard.press("Escape");
  await expect(composer(page)).toBeFocused();

  // Into the list, by arrows to another one.
  await page.keyboard.press("Alt+ArrowUp");
  await expect(page.getByRole("main", { name: "Boathouse" })).not.toBeVisible();
  await page.keyboard.press("F6");
  await expect(page.getByRole("navigation", { name: "Conversations" }).locator(":focus")).toHaveCount(1);

  await page.keyboard.press("Control+/");
  await expect(page.getByRole("dialog")).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog")).not.toBeVisible();
  await page.keyboard.press("Control+k");
  await expect(page.getByRole("combobox")).toBeFocused();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog")).not.toBeVisible();
});

test("320 pixels, and letters twice as big, need no sideways scrolling", async ({ chat }) => {
  const alice = await chat.known("alice");
  // A window of 1280 at 400 % is 320 wide; one of 1280 at 200 % is 640 with two device pixels to one.
  for (const options of [{ viewport: { width: 320, height: 568 } }, { viewport: { width: 640, height: 400 }, deviceScaleFactor: 2 }]) {
    const page = await chat.device(alice, "/", options);
    await expect(row(page, "Boathouse")).toBeVisible();
    await expectNoSideways(page);
    await row(page, "Boathouse").click();
    await expect(page.getByRole("article").last()).toBeVisible();
    await expectNoSideways(page);
    await composer(page).fill(`${"wide".repeat(60)} https://example.org/${"a".repeat(200)}`);
    await expectNoSideways(page);
    await page.getByRole("button", { name: "Send" }).click();
    await expect(message(page, "widewide").last()).toBeInViewport();
    await expectNoSideways(page);
    await page.getByRole("button", { name: "Details" }).click();
    await expect(page.getByRole("heading", { name: "Members" })).toBeVisible();
    await expectNoSideways(page);
    await page.keyboard.press("Escape");
    await page.keyboard.press("Control+k");
    await expect(page.getByRole("dialog")).toBeVisible();
    await expectNoSideways(page);
    await page.context().close();
  }
});
