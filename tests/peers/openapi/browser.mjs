// A person at /docs, in headless Chromium: authorises, makes a task and reads it back. Nothing of the page may break
// its content security policy, log an error or ask another origin for anything.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const { TASK_API_URL: url, TASK_API_USER: user, TASK_API_TOKEN: token, SCREENSHOT: screenshot } = process.env;

const profile = await mkdtemp(join(tmpdir(), "docs-"));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: "/usr/bin/chromium",
  headless: true,
  viewport: { width: 1280, height: 1600 },
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});
try {
  const page = await browser.newPage();
  const faults = [];
  page.on("console", (message) => message.type() === "error" && faults.push(message.text()));
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("request", (request) => {
    if (!request.url().startsWith(url) && !request.url().startsWith("data:")) faults.push(request.url());
  });

  const started = Date.now();
  await page.goto(`${url}/docs`);
  await page.locator("#operations-envelope-createTask").waitFor();
  console.log(`/docs shows the operations after ${Date.now() - started} ms`);

  await page.locator("button.authorize").first().click();
  await page.locator(".modal-ux input").fill(token);
  await page.locator(".modal-ux button.authorize").click();
  await page.locator(".modal-ux button.btn-done").click();

  const title = `Made in the browser ${started}`;
  const created = await execute(page, "#operations-envelope-createTask", async (operation) => {
    await operation.locator("tr[data-param-name=user_id] input").fill(user);
    await operation.locator("tr[data-param-name=Idempotency-Key] input").fill(`key-${started}`);
    await operation.locator("textarea.body-param__text").fill(JSON.stringify({ title }));
  });
  assert.equal(created.status, "201");
  assert.equal(created.body.data.title, title);

  const read = await execute(page, "#operations-envelope-getTask", async (operation) => {
    await operation.locator("tr[data-param-name=user_id] input").fill(user);
    await operation.locator("tr[data-param-name=task_id] input").fill(created.body.data.id);
  });
  assert.equal(read.status, "200");
  assert.deepEqual(read.body, created.body);

  if (screenshot) await page.screenshot({ path: screenshot });
  assert.deepEqual(faults, []);
  console.log("browser: authorised, made a task and read it back");
} finally {
  await browser.close();
  await rm(profile, { recursive: true, force: true });
}

/** Tries an operation as a person would, and gives the answer that the page shows. */
async function execute(page, selector, fill) {
  const operation = page.locator(selector);
  await operation.locator(".opblock-summary-control").click();
  await operation.locator("button.try-out__btn").click();
  await fill(operation);
  const answered = page.waitForResponse((response) => response.url().startsWith(`${url}/api/`));
  await operation.locator("button.execute").click();
  const answer = await answered;
  const shown = operation.locator(".live-responses-table .response");
  await shown.waitFor();
  const status = (await shown.locator(".response-col_status").textContent()).trim();
  assert.equal(status, String(answer.status()));
  const text = await shown.locator(".highlight-code pre").first().textContent();
  return { status, body: JSON.parse(text) };
}
