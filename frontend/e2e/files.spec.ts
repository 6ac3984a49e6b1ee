// Files: one person attaches them, by the button, by letting them go over the window; another one sees
// them. What a browser might run does not run.
import { deflateSync } from "node:zlib";
import { composer, expect, message, test } from "./chat";

test.setTimeout(180_000);

/** A picture of one colour, as a real PNG. */
function png(width: number, height: number): Buffer {
  const crc = (bytes: Buffer): number => {
    let sum = ~0;
    for (const byte of bytes) {
      sum ^= byte;
      for (let bit = 0; bit < 8; bit += 1) sum = (sum >>> 1) ^ (0xedb88320 & -(sum & 1));
    }
    return ~sum >>> 0;
  };
  const chunk = (name: string, data: Buffer): Buffer => {
    const body = Buffer.concat([Buffer.from(name), data]);
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    sum.writeUInt32BE(crc(body));
    return Buffer.concat([length, body, sum]);
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 2, 0, 0, 0], 8);
  const row = Buffer.concat([Buffer.from([0]), Buffer.alloc(width * 3, 0x66)]);
  const rows = deflateSync(Buffer.concat(Array.from({ length: height }, () => row)));
  return Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), chunk("IHDR", head), chunk("IDAT", rows), chunk("IEND", Buffer.alloc(0))]);
}

const EVIL_SVG = `<svg xmlns="http://www.w3.org/2000/svg"><script>document.title = "it ran"; window.top.evil = 1;</script></svg>`;
const EVIL_HTML = `<!doctype html><title>calm</title><script>document.title = "it ran"; window.top.evil = 1;</script>`;

test("a picture goes without a word, another user sees it, and what might run is only saved", async ({ chat }) => {
  const ann = await chat.person("ann", "Ann Lind");
  const ben = await chat.person("ben", "Ben Moreau");
  const id = await chat.direct(ann, ben);
  const page = await chat.device(ann, `/c/${id}`);
  const other = await chat.device(ben, `/c/${id}`);

  await page.getByLabel("Files to attach").setInputFiles([
    { name: "harbour.png", mimeType: "image/png", buffer: png(800, 400) },
    { name: "evil.svg", mimeType: "image/svg+xml", buffer: Buffer.from(EVIL_SVG) },
    { name: "evil.html", mimeType: "text/html", buffer: Buffer.from(EVIL_HTML) },
  ]);
  await expect(page.getByRole("list", { name: "Files of this message" }).getByRole("listitem")).toHaveCount(3);
  await expect(page.getByRole("button", { name: "Send" })).toBeEnabled();
  await expect(composer(page)).toBeFocused();
  await page.keyboard.press("Enter");

  const seen = message(other, "evil.svg");
  const picture = seen.getByRole("img", { name: "harbour.png" });
  await expect(picture).toBeVisible();
  // It is loaded, and small.
  await expect.poll(() => picture.evaluate((image) => (image instanceof HTMLImageElement ? image.naturalWidth : 0))).toBe(640);
  await expect(page.getByRole("list", { name: "Files of this message" })).not.toBeVisible();

  for (const name of ["evil.svg", "evil.html"]) {
    const link = seen.getByRole("link", { name });
    const [download] = await Promise.all([other.waitForEvent("download"), link.click()]);
    expect(download.suggestedFilename()).toBe(name);
    // Nor does it run for who opens the address as a page: that is a download as well.
    const address = await link.getAttribute("href");
    const tab = await other.context().newPage();
    const [again] = await Promise.all([tab.waitForEvent("download"), tab.goto(address ?? "").catch(() => null)]);
    expect(again.suggestedFilename()).toBe(name);
    expect(await tab.title()).not.toBe("it ran");
    await tab.close();
  }
  expect(await other.evaluate(() => "evil" in window)).toBe(false);
  await page.screenshot({ path: test.info().outputPath("files.png") });
  await other.screenshot({ path: test.info().outputPath("files-seen.png") });
});

test("an upload is cancelled, and one that fails is tried again", async ({ chat }) => {
  const ann = await chat.person("ann", "Ann Lind");
  const ben = await chat.person("ben", "Ben Moreau");
  const id = await chat.direct(ann, ben);
  const page = await chat.device(ann, `/c/${id}`);

  // Pieces wait until they may go on.
  let open = (): void => {};
  let gate = new Promise<void>((done) => { open = done; });
  let broken = false;
  await page.route(/\/files\/f_[0-9a-f]+$/, async (route) => {
    if (route.request().method() === "DELETE") return route.continue();
    await gate;
    return broken ? route.abort() : route.continue();
  });
  const bytes = Buffer.alloc(1_500_000, 7);
  await page.getByLabel("Files to attach").setInputFiles({ name: "long.bin", mimeType: "", buffer: bytes });
  await expect(page.getByRole("progressbar", { name: "Uploading long.bin" })).toBeVisible();
  await expect(page.getByRole("button", { name: "Send" })).toBeDisabled();
  await page.screenshot({ path: test.info().outputPath("uploading.png") });
  const given = page.waitForRequest((request) => request.method() === "DELETE" && request.url().includes("/files/"));
  await page.getByRole("button", { name: "Cancel long.bin" }).click();
  await given;
  await expect(page.getByRole("list", { name: "Files of this message" })).not.toBeVisible();

  broken = true;
  open();
  await page.getByLabel("Files to attach").setInputFiles({ name: "again.bin", mimeType: "", buffer: bytes });
  await expect(page.getByRole("button", { name: "Try again.bin again" })).toBeVisible({ timeout: 60_000 });
  await page.screenshot({ path: test.info().outputPath("failed.png") });
  broken = false;
  gate = Promise.resolve();
  await page.getByRole("button", { name: "Try again.bin again" }).click();
  await expect(page.getByRole("button", { name: "Send" })).toBeEnabled();
  await page.keyboard.type("here it is");
  await page.getByRole("button", { name: "Send" }).click();
  await expect(message(page, "here it is").getByRole("link", { name: "again.bin" })).toBeVisible();
});
