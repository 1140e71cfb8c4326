// Uses /docs in headless Chromium: authorizes, reloads, creates two tasks and reads one back. The page must
// show an operation at once, have a dark mode and no accessibility problems of its own, and must
// not violate its content security policy, log an error or send a request to another origin.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import AxeBuilder from "@axe-core/playwright";
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
  console.log(`/docs has shown the operations after ${Date.now() - started} ms`);

  const { y } = await page.locator(".opblock").first().boundingBox();
  assert(y < 800, `the first operation is ${y} pixels down`);

  assert((await page.locator("#operations-tag-plain").textContent()).includes("/plain"));

  await page.locator("button.authorize").first().click();
  const dialog = await page.locator(".modal-ux").textContent();
  for (const fact of ["cargo dev token", "authClient.token()"]) assert(dialog.includes(fact), fact);
  await page.locator(".modal-ux input").fill(`Bearer ${token}`);
  await page.locator(".modal-ux button.authorize").click();
  await page.locator(".modal-ux button.btn-done").click();
  await page.reload();

  const title = `Made in the browser ${started}`;
  const create = await open(page, "#operations-envelope-createTask");
  const userId = create.locator("tr[data-param-name=user_id] input");
  assert.equal(await userId.inputValue(), user, "the user is filled in from the token, also after a reload");
  await create.locator("textarea.body-param__text").fill(JSON.stringify({ title }));
  const created = await execute(page, create);
  assert.equal(created.status, "201");
  assert.equal(created.body.data.title, title);
  const fields = ["id", "user_id", "title", "description", "due_date", "priority", "tags", "completed", "completed_at"];
  assert.deepEqual(await shownFields(create), [...fields, "created_at", "updated_at"]);
  const again = await execute(page, create);
  assert.equal(again.status, "201");
  assert.notEqual(again.body.data.id, created.body.data.id, "a second Execute creates a second task");

  const errors = create.locator(".responses-table:not(.live-responses-table) .response:not([data-code='201'])");
  const { responses } = JSON.parse(await (await fetch(`${url}/openapi.json`)).text()).paths["/api/{user_id}/tasks"].post;
  const codes = await errors.evaluateAll((rows) => rows.map((row) => row.dataset.code));
  assert.deepEqual(codes, Object.keys(responses).filter((code) => code !== "201"));
  assert.equal(await errors.locator("pre").count(), 0, "errors are collapsed");
  await errors.locator("button.show-error").first().click();
  await errors.first().locator("pre").first().waitFor();

  const get = await open(page, "#operations-envelope-getTask");
  await get.locator("tr[data-param-name=task_id] input").fill(created.body.data.id);
  const read = await execute(page, get);
  assert.equal(read.status, "200");
  assert.deepEqual(read.body, created.body);

  // Headings, landmarks, and inputs and buttons without a name or the focus are Swagger UI's own elements.
  const rules = [
    "button-name", "heading-order", "label", "landmark-unique", "nested-interactive",
    "scrollable-region-focusable", "select-name",
  ];
  await page.locator("details.introduction summary").click();
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    await page.waitForTimeout(500); // Colors fade.
    const { violations } = await new AxeBuilder({ page }).disableRules(rules).analyze();
    const found = violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]);
    assert.deepEqual(found, [], colorScheme);
  }
  const background = await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  assert(background !== "rgba(0, 0, 0, 0)" && background !== "rgb(255, 255, 255)", "the page is dark");

  await page.setViewportSize({ width: 390, height: 844 });
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.equal(overflow, 0, "the page is not wider than a phone");

  if (screenshot) await page.screenshot({ path: screenshot });
  assert.deepEqual(faults, []);
  console.log("browser: authorized, created two tasks and read one back");
} finally {
  await browser.close();
  await rm(profile, { recursive: true, force: true });
}

/** Opens an operation and its form ("Try it out"). */
async function open(page, selector) {
  const operation = page.locator(selector);
  await operation.locator(".opblock-summary-control").click();
  await operation.locator("button.try-out__btn").click();
  return operation;
}

/**
 * Returns the names of the task's fields in the example response, in the order in which the page shows them.
 */
async function shownFields(operation) {
  const text = await operation.locator("[data-code='201'] .highlight-code pre").first().textContent();
  return Object.keys(JSON.parse(text).data);
}

/** Executes an operation and returns the response that the page shows. */
async function execute(page, operation) {
  const answered = page.waitForResponse((response) => response.url().startsWith(`${url}/api/`));
  await operation.locator("button.execute").click();
  const answer = await answered;
  const { "x-request-id": id } = answer.headers();
  const shown = operation.locator(".live-responses-table .response").filter({ hasText: id });
  await shown.waitFor();
  const status = (await shown.locator(".response-col_status").textContent()).trim();
  assert.equal(status, String(answer.status()));
  const text = await shown.locator(".highlight-code pre").first().textContent();
  return { status, body: JSON.parse(text) };
}
