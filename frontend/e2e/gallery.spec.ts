// Looks at every state of the screen: takes its picture and asks axe whether it is accessible. Pictures
// land in playwright-report/gallery. Wide and light in every run; with CHAT_GALLERY=all also narrow and
// dark, which takes four times as long.
import AxeBuilder from "@axe-core/playwright";
import { expect, test, type Page } from "@playwright/test";

const FIXED_TIME = new Date("2026-11-24T14:05:00Z");

interface Shot {
  name: string;
  scene: string;
  act?: (page: Page) => Promise<void>;
}

const plain = (scene: string): Shot => ({ name: scene, scene });

const submitSignIn = async (page: Page) => {
  await page.getByLabel("User name").fill("mira");
  await page.getByLabel("Password", { exact: true }).fill("not the one");
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("alert").filter({ hasText: /./ }).first()).toBeVisible();
};

const focusMessage = (page: Page, text: string) => page.getByRole("article").filter({ hasText: text }).last().focus();

const shots: Shot[] = [
  plain("sign-in"),
  { name: "sign-in-refused", scene: "sign-in-refused", act: submitSignIn },
  { name: "sign-in-too-often", scene: "sign-in-too-often", act: submitSignIn },
  ...["session-ended", "sign-up", "set-up", "list", "conversation", "group", "right-to-left", "typing", "message-states"].map(plain),
  ...["few-unread", "many-unread", "offline", "unreachable", "connecting", "back-online", "update-needed"].map(plain),
  ...["no-conversations", "loading-list", "list-failed", "loading-messages", "nothing-said", "not-found", "error"].map(plain),
  {
    name: "older-failed",
    scene: "older-failed",
    act: async (page) => {
      await page.getByRole("log").hover();
      await page.mouse.wheel(0, -3000);
      await page.waitForTimeout(1400);
    },
  },
  {
    name: "scrolled-up",
    scene: "long",
    act: async (page) => {
      await page.getByRole("log").hover();
      await page.mouse.wheel(0, -900);
      await page.waitForTimeout(200);
      await page.evaluate(() => { window.receive?.("One more"); window.receive?.("And another"); });
      await expect(page.getByRole("button", { name: "Jump to latest, 2 new messages" })).toBeVisible();
    },
  },
  { name: "switcher", scene: "conversation", act: (page) => page.keyboard.press("Control+k") },
  {
    name: "switcher-search",
    scene: "conversation",
    act: async (page) => {
      await page.keyboard.press("Control+k");
      await page.getByRole("combobox").fill("in");
      await expect(page.getByRole("option", { name: /Inès/ })).toBeVisible();
    },
  },
  {
    name: "switcher-nothing",
    scene: "conversation",
    act: async (page) => {
      await page.keyboard.press("Control+k");
      await page.getByRole("combobox").fill("xyzzy");
      await expect(page.getByText("No results for")).toBeVisible();
    },
  },
  { name: "new-chat", scene: "no-conversations", act: (page) => page.getByRole("button", { name: "Start a chat" }).click() },
  {
    name: "new-group",
    scene: "list",
    act: async (page) => {
      await page.getByRole("button", { name: "New message" }).click();
      await page.getByRole("button", { name: "New group" }).click();
      await page.getByLabel("Group name").fill("Saturday");
      await page.getByRole("combobox").fill("a");
      await page.getByRole("option", { name: /Ana/ }).click();
      await page.getByRole("combobox").fill("ke");
      await expect(page.getByRole("option", { name: /Kenji/ })).toBeVisible();
    },
  },
  { name: "details-group", scene: "group", act: (page) => page.getByRole("button", { name: "Details" }).click() },
  { name: "details-person", scene: "conversation", act: (page) => page.getByRole("button", { name: "Details" }).click() },
  {
    name: "leave-group",
    scene: "group",
    act: async (page) => {
      await page.getByRole("button", { name: "Details" }).click();
      await page.getByRole("button", { name: "Leave group" }).click();
    },
  },
  plain("marks"),
  plain("amended"),
  { name: "amended-toolbar", scene: "amended", act: (page) => focusMessage(page, "I booked the hut") },
  {
    name: "amended-menu",
    scene: "amended",
    act: async (page) => {
      await focusMessage(page, "I booked the hut");
      await page.getByRole("button", { name: "More" }).click();
      await expect(page.getByRole("menuitem", { name: "Earlier versions" })).toBeVisible();
    },
  },
  {
    name: "emoji-picker",
    scene: "amended",
    act: async (page) => {
      await focusMessage(page, "Which trail");
      await page.keyboard.press("+");
      await page.getByRole("searchbox", { name: "Search emojis" }).fill("boot");
      await expect(page.getByRole("button", { name: "Hiking boot" }).or(page.getByRole("gridcell", { name: "Hiking boot" })).first()).toBeVisible();
    },
  },
  {
    name: "emoji-picker-all",
    scene: "amended",
    act: async (page) => {
      await focusMessage(page, "Which trail");
      await page.keyboard.press("+");
      await expect(page.getByText("Smileys & emotion")).toBeVisible();
    },
  },
  {
    name: "replying",
    scene: "amended",
    act: async (page) => {
      await focusMessage(page, "Which trail");
      await page.keyboard.press("r");
      await page.keyboard.type("The east one has sun until three");
    },
  },
  { name: "editing", scene: "conversation", act: (page) => page.getByRole("textbox", { name: "Message Bob Okafor" }).press("ArrowUp") },
  {
    name: "edit-refused",
    scene: "amend-refused",
    act: async (page) => {
      await page.getByRole("textbox", { name: "Message Bob Okafor" }).press("ArrowUp");
      await page.keyboard.type(" and copied");
      await page.keyboard.press("Enter");
      await expect(page.getByRole("button", { name: "Edit again" })).toBeVisible();
    },
  },
  {
    name: "delete-message",
    scene: "amended",
    act: async (page) => {
      await focusMessage(page, "I booked the hut");
      await page.keyboard.press("Delete");
      await expect(page.getByRole("dialog", { name: "Delete this message?" })).toBeVisible();
    },
  },
  {
    name: "earlier-versions",
    scene: "amended",
    act: async (page) => {
      await focusMessage(page, "I booked the hut");
      await page.keyboard.press("h");
      await expect(page.getByRole("dialog", { name: "Earlier versions" })).toBeVisible();
    },
  },
  {
    name: "details-pins",
    scene: "amended",
    act: async (page) => {
      await page.getByRole("button", { name: "Details" }).click();
      await expect(page.getByRole("heading", { name: "Pinned messages" })).toBeVisible();
    },
  },
  { name: "user-menu", scene: "list", act: (page) => page.getByRole("button", { name: /Your account/ }).click() },
  { name: "shortcuts", scene: "conversation", act: (page) => page.keyboard.press("Control+/") },
  {
    name: "composer-long",
    scene: "conversation",
    act: (page) => page.getByRole("textbox", { name: "Message Bob Okafor" }).fill(`${"A line of some length, as people write them.\n".repeat(12)}${"x".repeat(7600)}`),
  },
];

const views = [
  { view: "wide", viewport: { width: 1440, height: 900 } },
  { view: "phone", viewport: { width: 390, height: 844 } },
];

const all = process.env.CHAT_GALLERY === "all";

for (const { view, viewport } of all ? views : views.slice(0, 1)) {
  for (const colorScheme of all ? (["light", "dark"] as const) : (["light"] as const)) {
    test.describe(`${view} ${colorScheme}`, () => {
      test.use({ viewport, colorScheme });
      for (const shot of shots) {
        test(shot.name, async ({ page }) => {
          await page.clock.setFixedTime(FIXED_TIME);
          await page.goto(`/__gallery?scene=${shot.scene}`);
          await expect(page.locator("#root > *").first()).toBeAttached();
          await page.evaluate(() => document.fonts.ready);
          await shot.act?.(page);
          // Later than every appearance and the patience of the skeletons.
          await page.waitForTimeout(450);
          await page.screenshot({ path: `playwright-report/gallery/${shot.name}-${view}-${colorScheme}.png` });
          // A menu floats outside every landmark, and is not content that a landmark would hold.
          const { violations } = await new AxeBuilder({ page }).exclude('[role="menu"]').analyze();
          expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" | ")}`)).toEqual([]);
          const width = await page.evaluate(() => document.documentElement.scrollWidth);
          expect(width, "no horizontal scrolling").toBeLessThanOrEqual(viewport.width);
        });
      }
    });
  }
}
