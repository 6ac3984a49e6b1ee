// The settings are places with an address, are saved at once, and hold in every tab of the browser.
import AxeBuilder from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import { composer, expect, message, row, test, write } from "./chat";

const PICTURES = "playwright-report/chat";
const picture = (page: Page, name: string) => page.screenshot({ path: `${PICTURES}/${name}.png`, animations: "disabled" });
const axe = async (page: Page) => expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);

test.use({ demo: true });

test("each part has its address, is changed at once, and the other tab follows", async ({ chat }) => {
  const alice = await chat.known("alice");
  const context = await chat.signedIn(alice);
  const [page, other] = [await context.newPage(), await context.newPage()];
  await other.goto("/");
  await expect(row(other, "Boathouse")).toBeVisible();
  await page.goto("/");
  await row(page, "Boathouse").click();
  await expect(composer(page)).toBeVisible();
  await page.getByRole("button", { name: /^Your account/ }).click();
  await page.getByRole("menuitem", { name: "Settings" }).click();
  await page.getByRole("link", { name: /^Appearance/ }).click();
  await expect(page).toHaveURL(/\/settings\/appearance$/);
  await expect(page.getByRole("heading", { name: "Appearance" })).toBeFocused();
  await axe(page);

  await page.getByRole("radio", { name: "Dark" }).check();
  await expect(page.getByText("Saved", { exact: true }).first()).toBeVisible();
  await picture(page, "settings-wide-dark");
  for (const each of [page, other]) await expect(each.locator("html")).toHaveAttribute("data-theme", "dark");
  await page.getByRole("radio", { name: /^Compact/ }).check();
  await expect(other.locator("html")).toHaveAttribute("data-density", "compact");
  await expect.poll(async () => (await row(other, "Boathouse").boundingBox())?.height).toBe(54);
  await page.getByRole("switch", { name: "Enter sends the message" }).uncheck();
  await page.reload();
  await expect(page.getByRole("switch", { name: "Enter sends the message" })).not.toBeChecked();
  await expect(page.getByRole("radio", { name: "Dark" })).toBeChecked();
  await axe(page);

  // Back to where one was.
  await page.getByRole("button", { name: "Back to the chat" }).click();
  await row(other, "Boathouse").click();
  await composer(other).fill("one line");
  await composer(other).press("Enter");
  await composer(other).pressSequentially("and another");
  await expect(composer(other)).toHaveValue("one line\nand another");
  await composer(other).press("Control+Enter");
  await expect(message(other, "and another")).toBeVisible();
  await picture(other, "compact-wide-dark");
});

test("keys of one letter can be switched off", async ({ chat }) => {
  const alice = await chat.known("alice");
  const page = await chat.device(alice, "/settings/appearance");
  await page.getByRole("switch", { name: "Keys of one letter on messages" }).uncheck();
  await page.keyboard.press("Escape");
  await row(page, "Boathouse").click();
  await write(page, "Who has the oars?");
  await message(page, "Who has the oars?").focus();
  await page.keyboard.press("e");
  await expect(page.getByRole("textbox", { name: "Edit message" })).toHaveCount(0);
  await page.keyboard.press("Control+/");
  await expect(page.getByRole("dialog", { name: "Keyboard shortcuts" })).toContainText("switched off in the settings");
});

test("who types is not shown when that is switched off", async ({ chat }) => {
  const [alice, bob] = [await chat.known("alice"), await chat.known("bob")];
  const conversation = await chat.direct(alice, bob);
  const his = await chat.device(bob, `/c/${conversation}`);
  const hers = await chat.device(alice, `/c/${conversation}`);
  await composer(hers).pressSequentially("hm");
  await expect(his.getByRole("main").getByText("Alice Ahlberg is typing…")).toBeVisible();
  await composer(hers).fill("");
  await hers.goto("/settings/privacy");
  await hers.getByRole("switch", { name: "Show others when I am typing" }).uncheck();
  const typed: string[] = [];
  hers.on("websocket", (socket) => socket.on("framesent", ({ payload }) => { if (payload.toString().includes('"typing"')) typed.push(payload.toString()); }));
  await hers.goto(`/c/${conversation}`);
  await composer(hers).pressSequentially("nobody sees this");
  await write(hers, "but this");
  await expect(message(his, "but this")).toBeVisible();
  expect(typed).toEqual([]);
});

test("English, German, Arabic: chosen in the settings, the same in the other tab, and there at the first paint", async ({ chat }) => {
  const alice = await chat.known("alice");
  const context = await chat.signedIn(alice);
  const [page, other] = [await context.newPage(), await context.newPage()];
  await other.goto("/");
  await page.goto("/settings/language");
  await page.getByRole("radio", { name: "Deutsch" }).check();
  await expect(page.getByRole("heading", { name: "Sprache" }).first()).toBeVisible();
  await expect(page.locator("html")).toHaveAttribute("lang", "de");
  await expect(other.getByRole("navigation", { name: "Unterhaltungen" })).toBeVisible();
  await axe(page);
  await picture(page, "settings-language-wide-light");
  for (const tab of ["account", "appearance", "notifications", "privacy"]) {
    await page.goto(`/settings/${tab}`);
    await expect(page.getByRole("main").getByRole("heading").first()).toBeVisible();
  }
  await page.goto("/settings/language");
  await page.getByRole("radio", { name: "العربية" }).check();
  await expect(page.locator("html")).toHaveAttribute("dir", "rtl");
  await expect(other.locator("html")).toHaveAttribute("dir", "rtl");
  await expect(page.getByRole("radio", { name: "العربية" })).toBeFocused();
  await axe(page);
  await picture(page, "settings-arabic-wide-light");

  // Before any of our code but the first has run.
  await other.route("**/assets/*.js", (route) => route.abort());
  await other.reload({ waitUntil: "domcontentloaded" });
  await expect(other.locator("html")).toHaveAttribute("lang", "ar");
  await expect(other.locator("html")).toHaveAttribute("dir", "rtl");
});

test("the browser says which language it is at first", async ({ chat }) => {
  const page = await (await chat.browser({ locale: "de-AT" })).newPage();
  await page.goto("/login");
  await expect(page.getByRole("heading", { name: "Anmelden" })).toBeVisible();
  await page.getByLabel("Benutzername").fill("nobody");
  await page.getByLabel("Passwort", { exact: true }).fill("wrong words");
  await page.getByRole("button", { name: "Anmelden" }).click();
  await expect(page.getByRole("alert").filter({ hasText: "Benutzername oder Passwort ist falsch." })).toBeFocused();
  await picture(page, "login-german-wide-light");
});

test("Arabic on a phone in the dark", async ({ chat }) => {
  const alice = await chat.known("alice");
  const page = await chat.device(alice, "/settings", { locale: "ar-EG", colorScheme: "dark", viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  await expect(page.getByRole("link", { name: /^المظهر/ })).toBeVisible();
  await axe(page);
  await picture(page, "settings-arabic-phone-dark");
  await page.getByRole("link", { name: /^المظهر/ }).click();
  await expect(page.getByRole("radio", { name: "داكنة" })).toBeVisible();
  await axe(page);
  await picture(page, "settings-appearance-arabic-phone-dark");
  await page.goto("/");
  const list = page.getByRole("navigation", { name: "المحادثات" });
  await expect(list.getByRole("link").first()).toBeVisible();
  await axe(page);
  await picture(page, "list-arabic-phone-dark");
  await list.getByRole("link", { name: /Boathouse/ }).click();
  await expect(page.getByRole("article").last()).toBeVisible();
  await page.getByRole("textbox", { name: /^رسالة إلى/ }).fill("أنا أحضر القهوة والكعك ☕");
  await page.getByRole("button", { name: "إرسال" }).click();
  await expect(page.getByRole("article").filter({ hasText: "أنا أحضر القهوة" })).toBeVisible();
  await axe(page);
  await picture(page, "conversation-arabic-phone-dark");
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  expect(wide, "nothing to scroll sideways").toBe(0);
  // One's own at the end, which is the left here.
  const own = await page.locator("article").filter({ hasText: "أنا أحضر القهوة" }).locator("[data-bubble]").boundingBox();
  expect((own?.x ?? 390) + (own?.width ?? 0)).toBeLessThan(380);
  expect(own?.x).toBeLessThan(40);
});
