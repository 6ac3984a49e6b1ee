// Coming in by oneself: by a link, into a public channel, and what a newcomer sees.
import AxeBuilder from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import { expect, message, PASSWORD, row, test, write } from "./chat";

const PICTURES = "playwright-report/chat";
const picture = (page: Page, name: string) => page.screenshot({ path: `${PICTURES}/${name}.png`, animations: "disabled" });
const axe = async (page: Page) => expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);

test.setTimeout(180_000);
test.use({ viewport: { width: 1440, height: 900 } });

async function make(page: Page, name: string, channel = false): Promise<void> {
  await page.getByRole("button", { name: "New message" }).click();
  await page.getByRole("button", { name: "New group" }).click();
  await page.getByLabel("Group name").fill(name);
  if (channel) await page.getByRole("radio", { name: /^A channel/ }).check();
  await page.getByRole("button", { name: channel ? "Create channel" : "Create group" }).click();
  await expect(page.getByRole("main", { name })).toBeVisible();
}

test("a link lets people in until it is revoked, and newcomers see what comes", async ({ chat }) => {
  const ann = await chat.person("ann", "Ann Lind");
  const ben = await chat.person("ben", "Ben Moreau");
  const eva = await chat.person("eva", "Eva Sato");
  const pages = { ann: await chat.device(ann), ben: await chat.device(ben), eva: await chat.device(eva) };
  await make(pages.ann, "Boats");
  await write(pages.ann, "A secret from before");

  await pages.ann.getByRole("button", { name: "Details" }).click();
  const details = pages.ann.getByRole("complementary", { name: "Details" });
  await details.getByLabel("New members see").selectOption("since_joining");
  await expect(pages.ann.getByText("You hid earlier messages from new members")).toBeVisible();
  const links = details.getByRole("region", { name: "Invitation links" });
  await links.getByRole("button", { name: "New link" }).click();
  const dialog = pages.ann.getByRole("dialog", { name: "New invitation link" });
  await dialog.getByLabel("How many may join by it").selectOption("10");
  await axe(pages.ann);
  await dialog.getByRole("button", { name: "Create link" }).click();
  const address = await dialog.getByLabel("Invitation link").inputValue();
  expect(address).toMatch(/\/invite\/[0-9a-f]{32}$/);
  await picture(pages.ann, "link-made");
  await dialog.getByRole("button", { name: "Close" }).last().click();
  await expect(links.getByRole("listitem")).toContainText("0 of 10 joined");

  await pages.ben.goto(address);
  const card = pages.ben.getByRole("main", { name: "Invitation" });
  await expect(card).toContainText("You are invited to the group");
  await expect(card).toContainText("1 member");
  await axe(pages.ben);
  await picture(pages.ben, "invitation");
  await card.getByRole("button", { name: "Join" }).click();
  await expect(pages.ben.getByRole("main", { name: "Boats" })).toBeVisible();
  await expect(pages.ben.getByText("You joined by an invitation link")).toBeVisible();
  await expect(pages.ben.getByText("You see the messages since you joined.")).toBeVisible();
  await expect(message(pages.ben, "A secret from before")).toHaveCount(0);
  await expect(pages.ann.getByText("Ben Moreau joined by an invitation link")).toBeVisible();
  await write(pages.ann, "Welcome");
  await expect(message(pages.ben, "Welcome")).toBeVisible();
  await picture(pages.ben, "joined-by-link");
  await pages.ben.reload();
  await expect(message(pages.ben, "Welcome")).toBeVisible();
  await expect(message(pages.ben, "A secret from before")).toHaveCount(0);

  await links.getByRole("button", { name: "Revoke" }).click();
  await pages.ann.getByRole("dialog", { name: "Revoke this link?" }).getByRole("button", { name: "Revoke" }).click();
  await expect(links.getByText("There are none.")).toBeVisible();
  await pages.eva.goto(address);
  await expect(pages.eva.getByText("This invitation does not hold, or not any more. Ask for a new one.")).toBeVisible();
  await picture(pages.eva, "invitation-ended");
  await pages.eva.getByRole("button", { name: "Not now" }).click();
  await expect(pages.eva).toHaveURL(/\/$/);
});

test("a public channel is found, joined, and lost by who is removed", async ({ chat }) => {
  const ann = await chat.person("ann", "Ann Lind");
  const ben = await chat.person("ben", "Ben Moreau");
  const pages = { ann: await chat.device(ann), ben: await chat.device(ben) };
  await make(pages.ann, "News of the harbour", true);
  await write(pages.ann, "The harbour is open");
  await pages.ann.getByRole("button", { name: "Details" }).click();
  const details = pages.ann.getByRole("complementary", { name: "Details" });
  await details.getByLabel("Who may join").selectOption("public");
  await expect(pages.ann.getByText("You opened the conversation to everybody")).toBeVisible();

  await pages.ben.getByRole("button", { name: "New message" }).click();
  await pages.ben.getByRole("button", { name: "Public conversations" }).click();
  const browse = pages.ben.getByRole("dialog", { name: "Public conversations" });
  await browse.getByRole("combobox").fill("harb");
  await expect(browse.getByRole("option", { name: /^News of the harbour, 1 member/ })).toBeVisible();
  await axe(pages.ben);
  await picture(pages.ben, "browse");
  await browse.getByRole("combobox").press("Enter");
  await expect(message(pages.ben, "The harbour is open")).toBeVisible();
  await expect(pages.ben.getByText("You can read here, but not write.")).toBeVisible();
  await expect(pages.ann.getByText("Ben Moreau joined")).toBeVisible();

  await details.getByRole("button", { name: "Actions for Ben Moreau" }).click();
  await pages.ann.getByRole("menuitem", { name: "Remove from channel" }).click();
  await pages.ann.getByRole("dialog", { name: "Remove Ben Moreau?" }).getByRole("button", { name: "Remove" }).click();
  await expect(row(pages.ben, "News of the harbour")).toHaveCount(0);
  await pages.ben.getByRole("button", { name: "New message" }).click();
  await pages.ben.getByRole("button", { name: "Public conversations" }).click();
  await browse.getByRole("option", { name: /^News of the harbour/ }).click();
  await expect(browse.getByRole("alert")).toHaveText("You are not allowed to do this.");
});

test("who has to sign in first goes on to the invitation, on a phone in Arabic too", async ({ chat }) => {
  const ann = await chat.person("ann", "Ann Lind");
  await chat.person("ben", "Ben Moreau");
  const page = await chat.device(ann);
  await make(page, "Boats");
  await page.getByRole("button", { name: "Details" }).click();
  await page.getByRole("complementary", { name: "Details" }).getByRole("button", { name: "New link" }).click();
  const dialog = page.getByRole("dialog", { name: "New invitation link" });
  await dialog.getByRole("button", { name: "Create link" }).click();
  const address = await dialog.getByLabel("Invitation link").inputValue();

  const phone = await (await chat.browser({ viewport: { width: 390, height: 844 }, locale: "ar", colorScheme: "dark" })).newPage();
  await phone.goto(address);
  await phone.locator('input[autocomplete="username"]').fill("ben");
  await phone.locator('input[type="password"]').fill(PASSWORD);
  await phone.locator('button[type="submit"]').click();
  await expect(phone.getByRole("main", { name: "دعوة" })).toContainText("أنت مدعو إلى المجموعة");
  await axe(phone);
  await picture(phone, "invitation-arabic-phone-dark");
  await phone.getByRole("button", { name: "انضمام" }).click();
  await expect(phone.getByText("انضممتَ عبر رابط دعوة")).toBeVisible();
});
