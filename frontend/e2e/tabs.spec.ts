// Two tabs of one browser are one device: one outbox, one read state, the same drafts.
import type { Page } from "@playwright/test";
import { bar, composer, expect, LONG, message, row, test, texts, tick, write } from "./chat";

test.setTimeout(180_000);

/** The keys of all sends that this page writes to its connections. */
function sends(page: Page): string[] {
  const keys: string[] = [];
  page.on("websocket", (socket) => socket.on("framesent", ({ payload }) => {
    const frame = JSON.parse(payload.toString()) as { type: string; key?: string };
    if (frame.type === "send" && frame.key !== undefined) keys.push(frame.key);
  }));
  return keys;
}

test("what either tab writes is sent once, by one of them", async ({ chat }) => {
  const ann = await chat.person("ann", "Ann Lind");
  const ben = await chat.person("ben", "Ben Moreau");
  const conversation = await chat.direct(ann, ben);
  const context = await chat.signedIn(ann);
  const [one, other] = [await context.newPage(), await context.newPage()];
  const written = { one: sends(one), other: sends(other) };
  await one.goto(`/c/${conversation}`);
  await expect(composer(one)).toBeVisible();
  await other.goto(`/c/${conversation}`);
  await expect(composer(other)).toBeVisible();

  const words: string[] = [];
  for (let i = 1; i <= 4; i += 1) {
    await write(one, `one ${i}`);
    await write(other, `other ${i}`);
    words.push(`one ${i}`, `other ${i}`);
  }
  for (const page of [one, other]) {
    await expect(page.locator("[data-state=queued], [data-state=sending]")).toHaveCount(0, LONG);
    await expect.poll(async () => (await texts(page)).length).toBe(words.length);
  }
  const stored = (await chat.stored(ann, ben)).map(({ content }) => content);
  expect([...stored].sort()).toEqual([...words].sort());
  for (const name of ["one", "other"]) {
    const own = stored.filter((word) => word.startsWith(name));
    expect(own, "in the order typed").toEqual([...own].sort());
  }
  expect(await texts(one)).toEqual(stored);
  expect(await texts(other)).toEqual(stored);
  const keys = [...written.one, ...written.other];
  expect(new Set(keys).size, "each written once").toBe(keys.length);
  expect(keys.length).toBe(words.length);
  expect(written.other, "the tab that was first sends for both").toEqual([]);

  // The other takes over when the first is closed, also what was still waiting.
  await context.setOffline(true);
  await expect(bar(one)).toContainText("You are offline");
  await write(one, "left behind");
  await expect(tick(other, "left behind", "queued")).toBeVisible();
  await one.close();
  await context.setOffline(false);
  await expect(tick(other, "left behind", "sent")).toBeVisible(LONG);
  expect((await chat.stored(ann, ben)).map(({ content }) => content)).toEqual([...stored, "left behind"]);
});

test("what was read in one tab is read in the other, and drafts follow", async ({ chat }) => {
  const ann = await chat.person("ann", "Ann Lind");
  const ben = await chat.person("ben", "Ben Moreau");
  const conversation = await chat.direct(ann, ben);
  const context = await chat.signedIn(ann);
  const [one, other] = [await context.newPage(), await context.newPage()];
  for (const page of [one, other]) await page.goto("/");
  await chat.say(ben, conversation, "Hello?");
  for (const page of [one, other]) {
    await expect(row(page, "Ben Moreau")).toHaveAccessibleName(/1 unread/);
    await expect(page).toHaveTitle("(1) Chat");
  }
  await row(one, "Ben Moreau").click();
  await expect(message(one, "Hello?")).toBeVisible();
  for (const page of [one, other]) {
    await expect(row(page, "Ben Moreau")).not.toHaveAccessibleName(/unread/);
    await expect(page).toHaveTitle("Chat");
  }
  await composer(one).fill("Coming");
  await expect(row(other, "Ben Moreau")).toHaveAccessibleName(/draft: Coming/);
  await row(other, "Ben Moreau").click();
  await expect(composer(other)).toHaveValue("Coming");
});
