// Tests in a real browser. Without CHAT_E2E_URL they look at the gallery of a development server that
// they start themselves; the tests against the real server start that one (e2e/server.ts).
import { defineConfig, devices } from "@playwright/test";

const GALLERY_URL = "http://127.0.0.1:5199";
const given = process.env.CHAT_E2E_URL;

export default defineConfig({
  testDir: "e2e",
  outputDir: "test-results",
  fullyParallel: true,
  workers: 2,
  timeout: 120_000,
  // Long: no test is about how fast a machine is. What has to wait for the server says so itself.
  expect: { timeout: 30_000 },
  // A crowded machine may starve a browser for longer than that; what fails twice is broken. A test
  // that needed its second try is listed as flaky.
  retries: process.env.CI === undefined ? 0 : 1,
  forbidOnly: process.env.CI !== undefined,
  reporter: [["list"]],
  use: {
    ...devices["Desktop Chrome"],
    baseURL: given ?? GALLERY_URL,
    locale: "en-GB",
    timezoneId: "Europe/Lisbon",
    actionTimeout: 30_000,
    trace: "retain-on-failure",
    screenshot: "only-on-failure",
    launchOptions: {
      executablePath: "/usr/bin/chromium",
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    },
  },
  ...(given === undefined && {
    webServer: { command: "npx vite --host 127.0.0.1 --port 5199 --strictPort", url: `${GALLERY_URL}/__gallery`, reuseExistingServer: true },
  }),
});
