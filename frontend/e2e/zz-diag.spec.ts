import { expect, test } from "@playwright/test";
test.use({ viewport: { width: 1280, height: 800 } });
test.setTimeout(200_000);
for (const rate of [1, 6, 12]) test(`jumps at ${rate}`, async ({ page }) => {
  await page.goto("/__gallery?scene=long");
  await expect(page.getByRole("article").last()).toBeVisible();
  await page.waitForTimeout(500);
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("Emulation.setCPUThrottlingRate", { rate });
  const out: string[] = [];
  for (let i = 0; i < 12; i++) {
    const r = await page.evaluate(async (pos) => {
      const list = document.querySelector("[role=log]")!.parentElement!;
      list.scrollTop = pos;
      await new Promise((r) => setTimeout(r, 30));
      const mid = window.innerHeight / 2;
      const a = [...document.querySelectorAll("article")].find((x) => x.getBoundingClientRect().bottom > mid)!;
      const key = a.getAttribute("data-message")!;
      const h0 = list.scrollHeight;
      const samples: [number, number, number][] = [];
      const t0 = performance.now();
      while (performance.now() - t0 < 2500) {
        await new Promise<void>((r) => requestAnimationFrame(() => { const c = new MessageChannel(); c.port1.onmessage = () => r(); c.port2.postMessage(0); }));
        const top = document.querySelector(`[data-message="${key}"]`)?.getBoundingClientRect().top ?? NaN;
        samples.push([Math.round(performance.now() - t0), Math.round(top), list.scrollHeight - h0]);
      }
      return samples.filter((s, j) => j === 0 || s[1] !== samples[j - 1]![1] || s[2] !== samples[j - 1]![2]);
    }, i % 2 ? 0 : 300);
    out.push(`${i}: ${JSON.stringify(r)}`);
  }
  console.log(`rate ${rate}\n${out.join("\n")}`);
});
