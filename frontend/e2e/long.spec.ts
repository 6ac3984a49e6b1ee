// A conversation of a hundred thousand messages, read up to its beginning: nothing moves under the eyes of the
// reader, and the page stays small.
import { expect, message, test } from "./chat";

const MESSAGES = 100_000;
const WORDS = ["The ferry leaves at nine.", "Who has the key to the boathouse?", "I do.", "See you there!", "It rained all night and the lower meadow is under water again, so we shall have to go around by the mill.", "👍", "Two more want to come along\nand one of them cannot swim.", "Soup is on."];

test.setTimeout(300_000);
test.use({ viewport: { width: 1280, height: 800 } });

test("100,000 messages, scrolled to the top with nothing jumping", async ({ chat }) => {
  const [ann, ben] = [await chat.person("ann", "Ann Lind"), await chat.person("ben", "Ben Moreau")];
  const conversation = await chat.direct(ann, ben);
  const filled = Date.now();
  await chat.server.refill((records) => {
    const start = Date.now() - MESSAGES * 240_000;
    const last = records.findLastIndex((record) => record.event?.conversation === conversation);
    const events = Array.from({ length: MESSAGES }, (_, index) => ({
      event: {
        conversation,
        seq: (records[last]?.event?.seq ?? 0) + index + 1,
        at: new Date(start + index * 240_000).toISOString(),
        from: Math.floor(index / 3) % 2 === 0 ? ann.userId : ben.userId,
        key: `past-${index}`,
        event: { type: "message", text: `${WORDS[index % WORDS.length]} (${index + 1})` },
      },
    }));
    const first = records[last]?.event;
    if (first !== undefined) first.at = new Date(start - 60_000).toISOString();
    return [...records.slice(0, last + 1), ...events, ...records.slice(last + 1)];
  });
  console.log(`filled in ${Math.round((Date.now() - filled) / 1000)} s`);

  const page = await chat.device(ann, `/c/${conversation}`);
  await expect(message(page, `(${MESSAGES})`)).toBeVisible();
  await page.waitForTimeout(500);
  const began = Date.now();
  // In the page, as fast as it goes: a row in view is remembered, and has to stand where it stood after
  // everything that came in above it; then to the top of what is held.
  const seen = await page.evaluate(async (beginning) => {
    const log = document.querySelector<HTMLElement>('[role="log"]')!;
    const list = log.parentElement!;
    const frame = () => new Promise((done) => requestAnimationFrame(done));
    const wait = async (until: () => boolean) => {
      for (let frames = 0; frames < 1_800; frames += 1) {
        if (until()) return true;
        await frame();
      }
      return false;
    };
    const at = () => {
      const middle = window.innerHeight / 2;
      const article = [...document.querySelectorAll<HTMLElement>("article[data-message]")].find((one) => one.getBoundingClientRect().bottom > middle)!;
      return { key: article.dataset["message"]!, top: article.getBoundingClientRect().top };
    };
    const topOf = (key: string) => document.querySelector(`[data-message="${CSS.escape(key)}"]`)?.getBoundingClientRect().top ?? Number.NaN;
    const begun = () => [...log.querySelectorAll("bdi")].some((one) => one.textContent === beginning);
    let [loads, jump, rowsMax] = [0, 0, 0];
    for (; !begun(); loads += 1) {
      const before = log.clientHeight;
      list.scrollTop = 0;
      await frame();
      await frame();
      const { key, top } = at();
      if (!(await wait(() => log.clientHeight > before + 300 || begun()))) throw new Error(`nothing came after ${loads} loads`);
      await frame();
      await frame();
      const now = topOf(key);
      if (Number.isNaN(now)) throw new Error(`${key} is not on the screen any more after ${loads} loads`);
      jump = Math.max(jump, Math.abs(now - top));
      rowsMax = Math.max(rowsMax, document.querySelectorAll("article").length);
    }
    return { loads, jump, rowsMax };
  }, "This is the beginning of your chat with Ben Moreau.");
  const seconds = (Date.now() - began) / 1000;
  console.log(`${seen.loads} loads in ${Math.round(seconds)} s; largest shift ${seen.jump} px; at most ${seen.rowsMax} rows`);
  expect(seen.jump, "pixels that a row moved under the eyes").toBeLessThanOrEqual(1);
  expect(seen.rowsMax, "only what is near the screen is on the page").toBeLessThan(100);
  await page.evaluate(() => { document.querySelector('[role="log"]')!.parentElement!.scrollTop = 0; });
  await expect(message(page, "(1)")).toBeInViewport();
  await page.screenshot({ path: "playwright-report/chat/beginning-of-100000-wide-light.png", animations: "disabled" });
  // And back in one press.
  await page.getByRole("button", { name: /^Jump to latest/ }).click();
  await expect(message(page, `(${MESSAGES})`)).toBeInViewport();
});
