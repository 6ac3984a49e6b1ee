// The page that tries the API: it loads nothing from elsewhere, asks the server it comes from, and axe
// finds nothing in it.
import AxeBuilder from "@axe-core/playwright";
import { expect, test } from "./chat";

test("an account is made and asked for on the page of the API", async ({ chat }) => {
  for (const { view, options } of [
    { view: "wide", options: { viewport: { width: 1100, height: 900 } } },
    { view: "phone-dark", options: { viewport: { width: 390, height: 844 }, colorScheme: "dark" as const } },
  ]) {
    const page = await (await chat.browser(options)).newPage();
    const asked: string[] = [];
    const refused: string[] = [];
    page.on("request", (request) => asked.push(request.url()));
    page.on("console", (line) => {
      if (line.type() === "error") refused.push(line.text());
    });
    await page.goto("/api");
    const operation = (method: string, path: string) =>
      page.locator("details").filter({ has: page.locator("summary", { has: page.locator(".path", { hasText: new RegExp(`^${path}$`) }) }).filter({ hasText: new RegExp(`^${method}`) }) });
    const register = operation("POST", "/user/register");
    await register.locator("summary").click();
    await register.getByRole("textbox", { name: "Body" }).fill(JSON.stringify({ name: `ann-${view}`, password: "correct horse" }));
    await register.getByRole("button", { name: "Send" }).click();
    await expect(register.getByText(/^201/).first()).toBeVisible();
    await register.locator("summary").click();
    // With the token that the page has from there.
    const me = operation("GET", "/user");
    await me.locator("summary").click();
    await me.getByRole("button", { name: "Send" }).click();
    await expect(me.getByText("200 OK")).toBeVisible();
    await expect(me.locator("pre").filter({ hasText: `"name": "ann-${view}"` })).toBeVisible();
    await page.screenshot({ path: `playwright-report/chat/api-${view}.png` });
    const { violations } = await new AxeBuilder({ page }).analyze();
    expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" | ")}`)).toEqual([]);
    expect(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)).toBeLessThanOrEqual(0);
    const origin = new URL(page.url()).origin;
    expect(asked.filter((url) => new URL(url).origin !== origin)).toEqual([]);
    expect(refused).toEqual([]);
  }
});
