// Notifications of the browser, as far as a browser without a desktop can show them: what the page hands to
// it is noted, and a click is the event that a click would be.
import type { BrowserContext, Page } from "@playwright/test";
import { composer, expect, message, row, test, type Person, type Fixture } from "./chat";

interface Noted { title: string; body: string; tag: string; closed: boolean }

/** Notes every notification of every page of the browser, and allows them when asked. */
async function noting(context: BrowserContext, answer: NotificationPermission = "granted"): Promise<void> {
  await context.addInitScript((given) => {
    if (location.protocol === "about:") return;
    const noted: { title: string; body: string; tag: string; closed: boolean; shown: EventTarget }[] = [];
    let permission: NotificationPermission = localStorage.getItem("test.permission") as NotificationPermission | null ?? "default";
    class Recorded extends EventTarget {
      onclick: (() => void) | null = null;
      onclose: (() => void) | null = null;
      private readonly note;
      constructor(title: string, { body = "", tag = "" }: NotificationOptions = {}) {
        super();
        this.note = { title, body, tag, closed: false, shown: this };
        for (const each of noted) if (each.tag === tag) each.closed = true;
        noted.push(this.note);
      }
      static get permission() { return permission; }
      static requestPermission() {
        permission = given;
        localStorage.setItem("test.permission", given);
        return Promise.resolve(permission);
      }
      close() { this.note.closed = true; this.onclose?.(); }
    }
    Object.assign(window, { Notification: Recorded, noted });
  }, answer);
}

const noted = (page: Page): Promise<Noted[]> =>
  page.evaluate(() => (window as unknown as { noted: Noted[] }).noted.map(({ title, body, tag, closed }) => ({ title, body, tag, closed })));
const click = (page: Page): Promise<void> =>
  page.evaluate(() => (window as unknown as { noted: { shown: { onclick: (() => void) | null } }[] }).noted.at(-1)?.shown.onclick?.());

async function people(chat: Fixture): Promise<{ ann: Person; ben: Person; cleo: Person; withBen: string; withCleo: string }> {
  const [ann, ben, cleo] = [await chat.person("ann", "Ann Lind"), await chat.person("ben", "Ben Moreau"), await chat.person("cleo", "Cleo Park")];
  return { ann, ben, cleo, withBen: await chat.direct(ann, ben), withCleo: await chat.direct(ann, cleo) };
}

test("a notification opens its message; one for several tabs, none for what is looked at", async ({ chat }) => {
  const { ann, ben, cleo, withBen, withCleo } = await people(chat);
  await chat.say(ben, withBen, "Before");
  await chat.say(cleo, withCleo, "Before that");
  const context = await chat.signedIn(ann);
  await noting(context);
  const page = await context.newPage();
  await page.goto("/");
  // Nobody is asked before a click.
  await expect(page.getByText("Be told of new messages while this page is open?")).toBeVisible();
  await page.screenshot({ path: "playwright-report/chat/notify-prompt-wide-light.png", animations: "disabled" });
  expect(await page.evaluate(() => Notification.permission)).toBe("default");
  await page.getByRole("button", { name: "Turn on" }).click();
  await expect(page.getByText("Be told of new messages")).toHaveCount(0);
  await row(page, "Ben Moreau").click();
  await expect(composer(page)).toBeVisible();
  const others = [await context.newPage(), await context.newPage()];
  for (const other of others) {
    await other.goto("/settings/notifications");
    await expect(other.getByRole("switch", { name: "Show notifications of new messages" })).toBeChecked();
  }
  await page.bringToFront();
  await expect.poll(() => page.evaluate(() => document.hasFocus())).toBe(true);

  await chat.say(ben, withBen, "You see this anyway");
  await expect(message(page, "You see this anyway")).toBeVisible();
  await chat.say(cleo, withCleo, "The lake is frozen");
  const all = async () => (await Promise.all([page, ...others].map(noted))).flat();
  await expect.poll(async () => (await all()).length).toBe(1);
  expect(await all()).toEqual([{ title: "Cleo Park", body: "The lake is frozen", tag: withCleo, closed: false }]);
  await expect(page).toHaveTitle("(2) Chat");
  await expect(page.locator("link[rel=icon]")).toHaveAttribute("href", "/icon-unread.svg");

  // The second of the same conversation takes the place of the first.
  await chat.say(cleo, withCleo, "Bring your skates");
  await expect.poll(async () => (await all()).map(({ body, closed }) => [body, closed])).toEqual([["The lake is frozen", true], ["Bring your skates", false]]);
  const told = (await noted(page)).length > 0 ? page : (await noted(others[0]!)).length > 0 ? others[0]! : others[1]!;
  await click(told);
  await expect(message(told, "Bring your skates")).toBeInViewport();
  await expect(told.getByRole("main", { name: "Cleo Park" })).toBeVisible();
  await expect(told).toHaveURL(new RegExp(`/c/${withCleo}$`));
  await told.screenshot({ path: "playwright-report/chat/notification-opens-wide-light.png", animations: "disabled" });
  await told.bringToFront();
  for (const each of [page, ...others]) await expect(each).toHaveTitle("Chat");
  await expect(page.locator("link[rel=icon]")).toHaveAttribute("href", "/icon.svg");
});

test("read on another device: the notification goes away", async ({ chat }) => {
  const { ann, ben, withBen } = await people(chat);
  await chat.say(ben, withBen, "Before");
  const context = await chat.signedIn(ann);
  await noting(context);
  const page = await context.newPage();
  await page.goto("/settings/notifications");
  await page.getByRole("switch", { name: "Show notifications of new messages" }).check();
  await page.getByRole("switch", { name: "Show the text of the message" }).uncheck();
  await chat.say(ben, withBen, "Something private");
  await expect.poll(() => noted(page)).toEqual([{ title: "Ben Moreau", body: "New message", tag: withBen, closed: false }]);
  const phone = await chat.device(ann, `/c/${withBen}`);
  await expect(message(phone, "Something private")).toBeVisible();
  await expect.poll(async () => (await noted(page)).map(({ closed }) => closed)).toEqual([true]);
});

test("a browser that was told no says so, and nothing is switched on", async ({ chat }) => {
  const ann = await chat.person("ann", "Ann Lind");
  const context = await chat.signedIn(ann);
  await noting(context, "denied");
  const page = await context.newPage();
  await page.goto("/settings/notifications");
  await page.getByRole("switch", { name: "Show notifications of new messages" }).click();
  await expect(page.getByText("This browser blocks notifications of this page.")).toBeVisible();
  await expect(page.getByRole("switch", { name: "Show notifications of new messages" })).not.toBeChecked();
});
