// The server dies in the middle of a conversation and comes back: nothing is lost, doubled or moved.
import type { Page } from "@playwright/test";
import { bar, expect, LONG, message, seeEverything, test, texts, write } from "./chat";

test.setTimeout(240_000);

const EACH = 24;
const KILLED_AFTER = 9;

const settled = (page: Page) => page.getByRole("log").locator("[data-state=sent], [data-state=delivered], [data-state=read]");

/** What this page has told its user about: texts of own messages with at least one tick. */
const shownAsSent = (page: Page): Promise<string[]> =>
  page.getByRole("article").filter({ has: page.locator("[data-state=sent], [data-state=delivered], [data-state=read]") }).evaluateAll((all) =>
    all.flatMap((article) => /(ann|ben)-\d\d/.exec(article.textContent)?.[0] ?? []),
  );

test("a kill in the middle of a burst: both end with the same complete conversation", async ({ chat }) => {
  const ann = await chat.person("ann", "Ann Lind");
  const ben = await chat.person("ben", "Ben Moreau");
  const conversation = await chat.direct(ann, ben);
  const pages = { ann: await chat.device(ann, `/c/${conversation}`), ben: await chat.device(ben, `/c/${conversation}`) };
  await write(pages.ann, "first");
  await expect(message(pages.ben, "first")).toBeVisible();
  for (const page of Object.values(pages)) await seeEverything(page);

  let promised: string[] = [];
  const burst = async (name: "ann" | "ben") => {
    for (let i = 1; i <= EACH; i += 1) {
      await write(pages[name], `${name}-${String(i).padStart(2, "0")}`);
      if (name === "ann" && i === KILLED_AFTER) {
        await chat.server.kill();
        promised = [...(await shownAsSent(pages.ann)), ...(await shownAsSent(pages.ben))];
      }
    }
  };
  await Promise.all([burst("ann"), burst("ben")]);
  expect(promised.length).toBeGreaterThan(0);
  await expect(bar(pages.ann)).toContainText("Can’t reach the server", LONG);
  await expect(bar(pages.ann)).toContainText("waiting");
  await chat.server.run();

  for (const page of Object.values(pages)) {
    await expect(settled(page)).toHaveCount(page === pages.ann ? EACH + 1 : EACH, LONG);
    await expect(page.getByRole("article").filter({ hasText: /first|ann-|ben-/ })).toHaveCount(2 * EACH + 1, LONG);
  }
  const stored = await chat.stored(ann, ben);
  const words = stored.map(({ content }) => content);
  expect(new Set(words).size, "nothing twice").toBe(2 * EACH + 1);
  expect(await texts(pages.ann)).toEqual(words);
  expect(await texts(pages.ben)).toEqual(words);
  for (const name of ["ann", "ben"]) {
    const own = words.filter((word) => word.startsWith(name));
    expect(own, `${name}'s in the order typed`).toEqual([...own].sort());
  }
  expect(words).toEqual(expect.arrayContaining(promised));

  // What was seen is also what a fresh look at the server shows.
  await pages.ann.reload();
  await expect(message(pages.ann, `ben-${EACH}`)).toBeVisible();
  await expect.poll(() => texts(pages.ann)).toEqual(words);
});
