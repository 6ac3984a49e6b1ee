// A group from its making to its end.
import { expect, find, LONG, message, row, test, tick, write } from "./chat";

test.setTimeout(180_000);
test.use({ viewport: { width: 1440, height: 900 } });

test("create, add, talk, rename, remove, leave", async ({ chat }) => {
  const ann = await chat.person("ann", "Ann Lind");
  const ben = await chat.person("ben", "Ben Moreau");
  const eva = await chat.person("eva", "Eva Sato");
  const pages = { ann: await chat.device(ann), ben: await chat.device(ben), eva: await chat.device(eva) };

  await pages.ann.getByRole("button", { name: "New message" }).click();
  await pages.ann.getByRole("button", { name: "New group" }).click();
  await pages.ann.getByLabel("Group name").fill("Boats");
  await pages.ann.getByRole("combobox", { name: "People to add" }).fill("ben");
  await pages.ann.getByRole("option", { name: /^Ben Moreau/ }).click();
  await pages.ann.getByRole("button", { name: "Create group" }).click();
  await expect(pages.ann.getByRole("main", { name: "Boats" })).toContainText("2 members");
  await expect(pages.ann.getByText("You created the group “Boats”")).toBeVisible();

  await row(pages.ben, "Boats").click();
  await expect(pages.ben.getByText("Ann Lind created the group “Boats”")).toBeVisible();
  await write(pages.ann, "Who is here?");
  await expect(message(pages.ben, "Who is here?")).toBeVisible();
  await expect(tick(pages.ann, "Who is here?", "read")).toBeAttached();

  // Somebody who comes later sees what was said before.
  await pages.ann.getByRole("button", { name: "Details" }).click();
  const details = pages.ann.getByRole("complementary", { name: "Details" });
  await details.getByRole("button", { name: "Add", exact: true }).click();
  const adding = pages.ann.getByRole("dialog", { name: "Add people" });
  await adding.getByRole("combobox").fill("sat");
  await adding.getByRole("option", { name: /^Eva Sato/ }).click();
  await adding.getByRole("button", { name: "Add to group" }).click();
  await expect(adding).not.toBeVisible();
  await expect(details.getByRole("region", { name: "Members" }).getByRole("listitem")).toHaveCount(3);
  await row(pages.eva, "Boats").click();
  await expect(message(pages.eva, "Who is here?")).toBeVisible();
  await expect(pages.eva.getByText("Ann Lind added you")).toBeVisible();
  await write(pages.eva, "I am");
  await expect(message(pages.ann, "I am")).toBeVisible();
  await expect(message(pages.ben, "I am")).toHaveAccessibleName(/^Eva Sato, /);

  await details.getByRole("button", { name: "Rename group" }).click();
  await details.getByLabel("Group name").fill("Boats and ships");
  await details.getByRole("button", { name: "Save" }).click();
  for (const page of Object.values(pages)) {
    await expect(page.getByRole("main", { name: "Boats and ships" })).toBeVisible();
    await expect(page.getByText(/changed the name to “Boats and ships”/)).toBeVisible();
  }

  // Who is removed loses it, also while looking at it, and hears nothing more.
  await details.getByRole("button", { name: "Actions for Eva Sato" }).click();
  await pages.ann.getByRole("menuitem", { name: "Remove from group" }).click();
  await pages.ann.getByRole("dialog", { name: "Remove Eva Sato?" }).getByRole("button", { name: "Remove" }).click();
  await expect(pages.eva.getByRole("heading", { name: "This conversation is not here" })).toBeVisible();
  await expect(row(pages.eva, "Boats and ships")).toHaveCount(0);
  await write(pages.ann, "Just us two");
  await expect(message(pages.ben, "Just us two")).toBeVisible();
  await pages.eva.reload();
  await expect(pages.eva.getByRole("heading", { name: "This conversation is not here" })).toBeVisible();
  await expect(pages.eva.getByText("Just us two")).toHaveCount(0);

  // Only owners may change anything; everybody may leave.
  await pages.ben.getByRole("button", { name: "Details" }).click();
  const bens = pages.ben.getByRole("complementary", { name: "Details" });
  await expect(bens.getByRole("button", { name: "Add", exact: true })).toHaveCount(0);
  await bens.getByRole("button", { name: "Leave group" }).click();
  await pages.ben.getByRole("dialog", { name: /^Leave/ }).getByRole("button", { name: "Leave group" }).click();
  await expect(pages.ben.getByText("No conversations yet")).toBeVisible();
  await expect(pages.ann.getByText("Ben Moreau left")).toBeVisible();
  await expect(pages.ann.getByRole("main")).toContainText("1 member");
});

test("a channel: its readers read, an admin does the daily work", async ({ chat }) => {
  const ann = await chat.person("ann", "Ann Lind");
  const ben = await chat.person("ben", "Ben Moreau");
  const eva = await chat.person("eva", "Eva Sato");
  const pages = { ann: await chat.device(ann), ben: await chat.device(ben), eva: await chat.device(eva) };

  await pages.ann.getByRole("button", { name: "New message" }).click();
  await pages.ann.getByRole("button", { name: "New group" }).click();
  await pages.ann.getByRole("radio", { name: /^A channel/ }).check();
  await pages.ann.getByLabel("Channel name").fill("Harbour news");
  for (const [query, name] of [["ben", /^Ben Moreau/], ["sat", /^Eva Sato/]] as const) {
    await pages.ann.getByRole("combobox", { name: "People to add" }).fill(query);
    await pages.ann.getByRole("option", { name }).click();
  }
  await pages.ann.getByRole("button", { name: "Create channel" }).click();
  await expect(pages.ann.getByText("You created the channel “Harbour news”")).toBeVisible();
  await write(pages.ann, "Closed today");

  // Readers read.
  await row(pages.ben, "Harbour news").click();
  await expect(message(pages.ben, "Closed today")).toBeVisible();
  await expect(pages.ben.getByText("You can read here, but not write.")).toBeVisible();
  await expect(pages.ben.getByRole("textbox", { name: /^Message/ })).toHaveCount(0);

  // The owner makes one of them an admin, who then may write, and say what it is about.
  await pages.ann.getByRole("button", { name: "Details" }).click();
  await pages.ann.getByRole("button", { name: "Actions for Ben Moreau" }).click();
  await pages.ann.getByRole("menuitem", { name: "Make admin" }).click();
  await expect(pages.ben.getByText("You can read here, but not write.")).toHaveCount(0);
  await write(pages.ben, "Open again");
  await expect(message(pages.ann, "Open again")).toBeVisible();
  await pages.ben.getByRole("button", { name: "Details" }).click();
  const details = pages.ben.getByRole("complementary", { name: "Details" });
  await details.getByRole("button", { name: "Add a topic" }).click();
  await details.getByRole("textbox", { name: "Topic" }).fill("When the harbour is open");
  await details.getByRole("button", { name: "Save" }).click();
  await expect(pages.ann.getByRole("banner").or(pages.ann.locator("header")).getByText("When the harbour is open")).toBeVisible();

  // Over the owner an admin has no say; over readers they have.
  await expect(details.getByRole("button", { name: "Actions for Ann Lind" })).toHaveCount(0);
  await details.getByRole("button", { name: "Actions for Eva Sato" }).click();
  await pages.ben.screenshot({ path: "playwright-report/chat/channel-roles.png" });
  await expect(pages.ben.getByRole("menuitem")).toHaveText(["Make member", "Remove from channel"]);
  await pages.ben.getByRole("menuitem", { name: "Make member" }).click();
  await row(pages.eva, "Harbour news").click();
  await write(pages.eva, "Thank you");
  await expect(message(pages.ben, "Thank you")).toBeVisible();
});

test("removed while away: gone at the return, and what waited says why it was not sent", async ({ chat }) => {
  const ann = await chat.person("ann", "Ann Lind");
  const eva = await chat.person("eva", "Eva Sato");
  const { id } = await chat.group(ann, "Boats", [eva]);
  const page = await chat.device(eva, `/c/${id}`);
  await write(page, "here");
  await expect(tick(page, "here", "sent").or(tick(page, "here", "delivered"))).toBeVisible();
  await page.context().setOffline(true);
  await write(page, "too late");
  await expect(tick(page, "too late", "queued")).toBeVisible();
  await chat.remove(ann, id, eva);
  await page.context().setOffline(false);
  await expect(page.getByRole("heading", { name: "This conversation is not here" })).toBeVisible(LONG);
  await expect(row(page, "Boats")).toHaveCount(0);
  await find(page, "ann", "Ann Lind");
});
