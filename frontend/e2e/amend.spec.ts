// Messages are answered, reacted to, changed, deleted and pinned: by one person with the keyboard alone,
// and seen by another one at once.
import AxeBuilder from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import { composer, expect, message, row, test, tick, write } from "./chat";

test.setTimeout(180_000);

const editing = (page: Page) => page.getByRole("main").getByRole("textbox", { name: "Edit message" });
const focused = (page: Page) => page.locator("article:focus");

async function expectAccessible(page: Page): Promise<void> {
  // Later than every appearance: half transparent text has no contrast yet.
  await page.waitForTimeout(400);
  // A menu floats outside every landmark, and is not content that a landmark would hold.
  const { violations } = await new AxeBuilder({ page }).exclude('[role="menu"]').analyze();
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" | ")}`)).toEqual([]);
}

/** From the composer into the list, and up to a message. */
async function goTo(page: Page, text: string): Promise<void> {
  await page.keyboard.press("Shift+F6");
  await page.keyboard.press("End");
  await expect(focused(page)).toHaveCount(1);
  for (let step = 0; step < 20; step += 1) {
    if (((await focused(page).getAttribute("aria-label")) ?? "").includes(text)) return;
    await page.keyboard.press("ArrowUp");
    await expect(focused(page)).toHaveCount(1);
  }
  throw new Error(`no way to “${text}”`);
}

test("reply, react, edit, pin and delete with the keyboard alone; another user sees each", async ({ chat }) => {
  const ann = await chat.person("ann", "Ann Lind");
  const ben = await chat.person("ben", "Ben Moreau");
  const id = await chat.direct(ann, ben);
  await chat.say(ben, id, "Shall we take the early boat?");
  const page = await chat.device(ann, `/c/${id}`);
  const other = await chat.device(ben, `/c/${id}`);
  await expect(message(page, "early boat")).toBeVisible();
  await expect(composer(page)).toBeFocused();

  // Reply: R on the message, and the quote is above the field and above what was sent.
  await goTo(page, "early boat");
  await page.keyboard.press("r");
  await expect(composer(page)).toBeFocused();
  await expect(page.getByRole("group", { name: "Replying" })).toContainText("Reply to Ben Moreau");
  await page.keyboard.type("Yes, the one at sevn");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("group", { name: "Replying" })).not.toBeVisible();
  await expect(message(other, "Yes, the one at sevn").getByRole("button", { name: "In reply to You: Shall we take the early boat?" })).toBeVisible();

  // Edit: ↑ in the empty field; Escape leaves everything as it was.
  await expect(tick(page, "sevn", "read")).toBeVisible();
  await page.keyboard.press("ArrowUp");
  await expect(editing(page)).toBeFocused();
  await expect(editing(page)).toHaveValue("Yes, the one at sevn");
  await page.keyboard.press("Escape");
  await expect(composer(page)).toBeFocused();
  await expect(composer(page)).toHaveValue("");
  await page.keyboard.press("ArrowUp");
  await expect(editing(page)).toBeFocused();
  await page.keyboard.press("Backspace");
  await page.keyboard.type("en");
  await page.keyboard.press("Enter");
  await expect(composer(page)).toBeFocused();
  await expect(message(other, "Yes, the one at seven")).toBeVisible();
  await expect(message(other, "Yes, the one at seven").getByRole("button", { name: "edited" })).toBeVisible();
  await expect(message(page, "Yes, the one at seven").locator("[data-amending]")).toHaveCount(0);

  // The earlier text is still to be read, by both.
  await other.getByRole("button", { name: "edited" }).click();
  const versions = other.getByRole("dialog", { name: "Earlier versions" });
  await expect(versions.getByRole("listitem")).toHaveText([/Now.*at seven$/, /At first.*at sevn$/]);
  await other.keyboard.press("Escape");
  await expect(versions).not.toBeVisible();

  // React: + and a word; the picker asks no server for anything.
  await goTo(page, "Ben Moreau, ");
  const asked: string[] = [];
  page.on("request", (request) => { if (!request.url().includes("/assets/")) asked.push(request.url()); });
  await page.keyboard.press("+");
  const search = page.getByRole("searchbox", { name: "Search emojis" });
  await expect(search).toBeFocused();
  await page.keyboard.type("sailboat");
  await expect(page.getByRole("dialog", { name: "Choose an emoji" }).getByText("Sailboat", { exact: true }).last()).toBeVisible();
  await expectAccessible(page);
  await page.keyboard.press("Enter");
  await expect(search).not.toBeVisible();
  expect(asked).toEqual([]);
  await expect(message(page, "Shall we take").getByRole("button", { name: /^⛵.* 1: You$/ })).toHaveAttribute("aria-pressed", "true");
  const theirs = message(other, "Shall we take").getByRole("button", { name: /^⛵.* 1: Ann Lind$/ });
  await expect(theirs).toHaveAttribute("aria-pressed", "false");
  await theirs.click();
  await expect(message(page, "Shall we take").getByRole("button", { name: /^⛵.* 2: You and Ben Moreau$/ })).toBeVisible();
  // Off again: into the message, to the chip, and the space bar.
  await expect(focused(page)).toHaveAccessibleName(/early boat/);
  await page.keyboard.press("Enter");
  for (let step = 0; step < 12 && !(await message(page, "Shall we take").getByRole("button", { name: /⛵/ }).evaluate((button) => button === document.activeElement)); step += 1) await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Space");
  await expect(message(other, "Shall we take").getByRole("button", { name: /^⛵.* 1: You$/ })).toBeVisible();
  await page.keyboard.press("Escape");

  // Pin: P, and the list in the details knows it on both sides.
  await page.keyboard.press("p");
  await expect(focused(page)).toHaveAccessibleName(/pinned/);
  await other.getByRole("button", { name: "Details" }).click();
  const pins = other.getByRole("region", { name: "Pinned messages" });
  await expect(pins.getByRole("button", { name: /Shall we take the early boat/ })).toBeVisible();
  await expectAccessible(other);
  await page.keyboard.press("p");
  await expect(pins.getByText("Nothing is pinned yet.")).toBeVisible();

  // What cannot be done is not done: this message is not Ann's.
  await page.keyboard.press("Delete");
  await expect(page.getByRole("dialog")).not.toBeVisible();
  await page.keyboard.press("e");
  await expect(editing(page)).not.toBeVisible();

  // Delete: asks once; Escape and Cancel keep it.
  await page.keyboard.press("End");
  await expect(focused(page)).toHaveAccessibleName(/at seven/);
  await page.keyboard.press("Delete");
  const question = page.getByRole("dialog", { name: "Delete this message?" });
  await expect(question.getByRole("button", { name: "Cancel" })).toBeFocused();
  await expectAccessible(page);
  await page.keyboard.press("Enter");
  await expect(question).not.toBeVisible();
  await expect(message(other, "at seven")).toBeVisible();
  await expect(focused(page)).toHaveAccessibleName(/at seven/);
  await page.keyboard.press("Delete");
  await expect(question.getByRole("button", { name: "Cancel" })).toBeFocused();
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await expect(focused(page)).toHaveAccessibleName(/Message deleted/);
  await expect(message(other, "at seven")).not.toBeVisible();
  await expect(message(other, "Message deleted")).toBeVisible();
  await expectAccessible(page);

  // And all of it is so after a reload.
  await page.reload();
  await expect(message(page, "Message deleted")).toBeVisible();
  await expect(message(page, "Shall we take").getByRole("button", { name: /^⛵.* 1: Ben Moreau$/ })).toHaveAttribute("aria-pressed", "false");
});

test("a quote from far back and a pin lead there and mark it", async ({ chat }) => {
  const ann = await chat.person("ann", "Ann Lind");
  const ben = await chat.person("ben", "Ben Moreau");
  const id = await chat.direct(ann, ben);
  await chat.say(ben, id, "The code of the door is 4711");
  for (let number = 1; number <= 140; number += 1) await chat.say(ben, id, `message ${number}`);
  const other = await chat.device(ben, `/c/${id}`);
  const page = await chat.device(ann, `/c/${id}`);
  await expect(message(page, "message 140")).toBeVisible();

  // Over HTTP, as somebody with another program would.
  const answer = await fetch(`${chat.server.url}/conversations/${id}/messages`, {
    method: "POST",
    headers: { authorization: `Bearer ${ben.token}`, "content-type": "application/json" },
    body: JSON.stringify({ text: "here it is", reply_to: 2 }),
  });
  expect(answer.status).toBe(201);
  const quote = message(page, "here it is").getByRole("button", { name: /^In reply to Ben Moreau: The code of the door/ });
  await quote.click();
  await expect(message(page, "The code of the door is 4711").first()).toBeInViewport();
  await expect(focused(page)).toHaveAccessibleName(/code of the door/);
  await page.keyboard.press("p");
  await expect(focused(page)).toHaveAccessibleName(/pinned/);

  await other.getByRole("button", { name: "Details" }).click();
  await other.getByRole("region", { name: "Pinned messages" }).getByRole("button", { name: /The code of the door/ }).click();
  await expect(focused(other)).toHaveAccessibleName(/code of the door/);
  await expect(focused(other)).toBeInViewport();
});

test("an edit made while the server is away arrives when it is back", async ({ chat }) => {
  const ann = await chat.person("ann", "Ann Lind");
  const ben = await chat.person("ben", "Ben Moreau");
  const id = await chat.direct(ann, ben);
  const page = await chat.device(ann, `/c/${id}`);
  await write(page, "first words");
  await expect(tick(page, "first words", "sent")).toBeVisible();
  await chat.server.kill();
  await composer(page).press("ArrowUp");
  await editing(page).fill("second words");
  await editing(page).press("Enter");
  await expect(message(page, "second words").locator("[data-amending]")).toBeVisible();
  await chat.server.run();
  await expect(message(page, "second words").locator("[data-amending]")).toHaveCount(0, { timeout: 60_000 });
  expect((await chat.stored(ann, ben)).map(({ content }) => content)).toEqual(["second words"]);
});

test("with the mouse: the toolbar, its menu, and the way out of each", async ({ chat }) => {
  const ann = await chat.person("ann", "Ann Lind");
  const ben = await chat.person("ben", "Ben Moreau");
  const id = await chat.direct(ann, ben);
  await chat.say(ben, id, "one");
  await chat.say(ann, id, "two");
  const page = await chat.device(ann, `/c/${id}`);
  const tool = (name: string) => page.getByRole("toolbar", { name: "Message actions" }).getByRole("button", { name });

  // The height of nothing changes when the toolbar comes.
  const before = await message(page, "two").boundingBox();
  await message(page, "one").hover();
  await expect(tool("Reply")).toBeVisible();
  await expect(tool("Edit")).toHaveCount(0);
  expect(await message(page, "two").boundingBox()).toEqual(before);
  await tool("Reply").click();
  await expect(composer(page)).toBeFocused();
  await page.getByRole("button", { name: "Do not reply" }).click();
  await expect(page.getByRole("group", { name: "Replying" })).not.toBeVisible();

  // A draft survives an edit in between.
  await composer(page).fill("half a thought");
  await message(page, "two").hover();
  await tool("Edit").click();
  await expect(editing(page)).toBeFocused();
  await editing(page).fill("two and a half");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(message(page, "two and a half")).toBeVisible();
  await expect(composer(page)).toHaveValue("half a thought");

  await message(page, "two and a half").hover();
  await tool("More").click();
  await page.getByRole("menuitem", { name: "Pin" }).click();
  await expect(message(page, "two and a half")).toHaveAccessibleName(/pinned/);
  await message(page, "one").hover();
  await tool("React").click();
  await page.getByRole("searchbox", { name: "Search emojis" }).fill("party popper");
  await page.getByRole("gridcell", { name: "Party popper" }).click();
  await expect(message(page, "one").getByRole("button", { name: "🎉 1: You" })).toBeVisible();
  await message(page, "two and a half").hover();
  await tool("Delete").click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await expect(message(page, "Message deleted")).toBeVisible();
});

test("on a phone a long press opens the actions", async ({ chat }) => {
  const ann = await chat.person("ann", "Ann Lind");
  const ben = await chat.person("ben", "Ben Moreau");
  const id = await chat.direct(ann, ben);
  await chat.say(ben, id, "Look at this");
  const page = await chat.device(ann, "/", { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  await row(page, "Ben Moreau").tap();
  await expect(message(page, "Look at this")).toBeVisible();
  const box = (await message(page, "Look at this").locator("[data-bubble]").boundingBox())!;
  const at = { x: box.x + box.width / 2, y: box.y + box.height / 2 };
  const session = await page.context().newCDPSession(page);
  await session.send("Input.dispatchTouchEvent", { type: "touchStart", touchPoints: [at] });
  await expect(page.getByRole("menuitem", { name: "Reply" })).toBeVisible();
  await session.send("Input.dispatchTouchEvent", { type: "touchEnd", touchPoints: [] });
  await expect(page.getByRole("menuitem", { name: "Reply" })).toBeVisible();
  await expectAccessible(page);
  await page.screenshot({ path: "playwright-report/chat/actions-phone.png" });
  await page.getByRole("menuitem", { name: "React with ❤️" }).tap();
  await expect(message(page, "Look at this").getByRole("button", { name: "❤️ 1: You" })).toHaveAttribute("aria-pressed", "true");
});
