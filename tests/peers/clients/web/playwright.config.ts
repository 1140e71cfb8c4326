import { defineConfig } from "@playwright/test";

const { BETTER_AUTH_URL, SCREENSHOTS, TASK_API_URL, WORK } = process.env as Record<string, string>;

export default defineConfig({
  testMatch: SCREENSHOTS ? "screenshots.ts" : "web.ts",
  outputDir: `${WORK}/results`,
  // Generous, because a change in one tab takes up to 5 s to show in another.
  timeout: 60_000,
  expect: { timeout: 15_000 },
  workers: 2,
  fullyParallel: true,
  reporter: [["list"], ["./counts.ts"]],
  use: {
    baseURL: BETTER_AUTH_URL,
    trace: "retain-on-failure",
    launchOptions: {
      executablePath: "/usr/bin/chromium",
      args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-features=LocalNetworkAccessChecks"],
    },
  },
  webServer: {
    command: "npm start --prefix ../../../../examples/web",
    url: `${BETTER_AUTH_URL}/api/auth/ok`,
    env: { VITE_API_URL: TASK_API_URL!, AUTH_FOLDER: `${WORK}/auth` },
  },
});
