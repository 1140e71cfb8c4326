// Uses examples/web in Chromium, with Better Auth and the API.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import AxeBuilder from "@axe-core/playwright";
import { expect, type Locator } from "@playwright/test";
import { add, checkbox, edit, PASSWORD, saved, signUp, task, tasks, test } from "./user";

const WEB = resolve(import.meta.dirname, "../../../../examples/web");
const API = `${process.env.TASK_API_URL}/api/**`;

test("a task survives a reload, and signing out and in", async ({ page }) => {
  await page.goto("/");
  const email = await signUp(page);
  await add(page, "Buy milk", { Description: "2 litres", Due: "2999-12-24" });
  await page.reload();
  await expect(task(page, "Buy milk")).toContainText("2 litres");
  await expect(task(page, "Buy milk")).toContainText("Due Dec 24, 2999");

  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("E-mail").fill(email);
  await page.getByLabel("Password").fill("a wrong password");
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("alert")).toHaveText("Invalid email or password");
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(task(page, "Buy milk")).toBeVisible();

  await page.getByRole("button", { name: "Sign out" }).click();
  await signUp(page, "Grace Hopper");
  await expect(page.getByText("No tasks.")).toBeVisible();
});

test("tasks are filtered, searched, edited, completed and deleted", async ({ user: page }) => {
  for (const title of ["Buy milk", "Übung", "Walk the dog"]) await add(page, title);
  await checkbox(page, "Buy milk").check();
  await saved(page, "Buy milk");
  await page.getByLabel("Open", { exact: true }).check();
  await expect(tasks(page)).toHaveCount(2);
  await page.getByLabel("Done", { exact: true }).check();
  await expect(tasks(page)).toHaveText([/Buy milk/]);
  await page.getByLabel("All", { exact: true }).check();
  await page.getByLabel("Search").fill("üb");
  await expect(tasks(page)).toHaveText([/Übung/]);
  await page.getByLabel("Search").fill("");
  await expect(tasks(page)).toHaveCount(3);

  const form = await edit(page, "Walk the dog");
  await form.getByLabel("Title").fill("Walk the cat");
  await form.getByRole("button", { name: "Save" }).click();
  await saved(page, "Walk the cat");
  await page.getByLabel("Search").fill("nowhere");
  await expect(page.getByText("No task matches.")).toBeVisible();
  await page.getByLabel("Search").fill("");
  await page.getByRole("button", { name: "Delete Übung" }).click();
  await page.reload();
  await expect(tasks(page)).toHaveText([/Walk the cat/, /Buy milk/]);
  await expect(checkbox(page, "Buy milk")).toBeChecked();
});

test("priority and tags are shown, edited and filtered", async ({ user: page }) => {
  await add(page, "Buy milk", { Tags: "home, shopping , home", Priority: "high" });
  await add(page, "Walk the dog", { Tags: "home" });
  await add(page, "Sleep");
  await expect(task(page, "Buy milk").locator(".labels")).toHaveText("High priorityhomeshopping");
  await page.getByLabel("Show priority").selectOption("high");
  await expect(tasks(page)).toHaveText([/Buy milk/]);
  await page.getByLabel("Show priority").selectOption("");
  await task(page, "Walk the dog").getByRole("button", { name: "tag home" }).click();
  await expect(tasks(page)).toHaveText([/Walk the dog/, /Buy milk/]);
  await page.getByRole("button", { name: "Tag home: show all tasks" }).click();
  await expect(tasks(page)).toHaveCount(3);

  const form = await edit(page, "Buy milk");
  await expect(form.getByLabel("Tags")).toHaveValue("home, shopping");
  await form.getByLabel("Tags").fill("");
  await form.getByLabel("Priority").selectOption("low");
  await form.getByRole("button", { name: "Save" }).click();
  await saved(page, "Buy milk");
  await page.reload();
  await expect(task(page, "Buy milk").locator(".labels")).toHaveText("Low priority");
});

test("a due date is the same day in every time zone", async ({ browser, user: page }) => {
  await add(page, "Christmas Eve", { Due: "2999-12-24" });
  const storageState = await page.context().storageState();
  for (const timezoneId of ["America/Los_Angeles", "Asia/Karachi", "Pacific/Auckland"]) {
    const context = await browser.newContext({ storageState, timezoneId });
    const there = await context.newPage();
    await there.goto("/");
    await expect(task(there, "Christmas Eve")).toContainText("Due Dec 24, 2999");
    const title = `From ${timezoneId}`;
    await add(there, title, { Due: "2999-12-31" });
    const form = await edit(there, title);
    await expect(form.getByLabel("Due")).toHaveValue("2999-12-31");
    await form.getByLabel("Due").fill("2999-12-24");
    await form.getByRole("button", { name: "Save" }).click();
    await saved(there, title);
    await expect(task(page, title)).toContainText("Due Dec 24, 2999");
    await context.close();
  }
});

test("more than a page of tasks is shown page by page", async ({ user: page }) => {
  await add(page, "The first");
  // Creates tasks directly through the API, with the URL and the token of the page's own request.
  const create = page.waitForRequest((request) => request.method() === "POST" && request.url().endsWith("/tasks"));
  await add(page, "The second");
  const { authorization } = await (await create).allHeaders();
  for (let number = 1; number <= 50; number++) {
    const data = { title: `Task ${number}` };
    const response = await page.request.post((await create).url(), {
      data,
      headers: { authorization: authorization! },
    });
    expect(response.status()).toBe(201);
  }
  await page.reload();
  await expect(tasks(page)).toHaveCount(50);
  await page.getByRole("button", { name: "Show more" }).click();
  await expect(tasks(page)).toHaveCount(52);
  await expect(tasks(page).last()).toContainText("The first");
});

test("a list that has not changed is not sent again", async ({ user: page }) => {
  await add(page, "Buy milk");
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("Network.enable");
  const statuses: number[] = [];
  devtools.on("Network.responseReceivedExtraInfo", ({ statusCode }) => statuses.push(statusCode));
  await expect.poll(() => statuses).toContain(304);
  expect(statuses).not.toContain(200);
  await expect(task(page, "Buy milk")).toBeVisible();
});

for (const choice of ["Keep mine", "Take theirs"]) {
  test(`two tabs edit one task: ${choice.toLowerCase()}`, async ({ context, user: page }) => {
    await add(page, "Buy milk");
    for (let number = 1; number <= 12; number++) await add(page, `Later ${number}`);
    await page.setViewportSize({ width: 390, height: 844 });
    const other = await context.newPage();
    await other.goto("/");
    const [mine, theirs] = [await edit(page, "Buy milk"), await edit(other, "Buy milk")];
    await theirs.getByLabel("Title").fill("Buy oat milk");
    await theirs.getByRole("button", { name: "Save" }).click();
    await saved(other, "Buy oat milk");

    const rejected = page.waitForResponse((response) => response.status() === 412);
    await mine.getByLabel("Title").fill("Buy soy milk");
    await mine.getByRole("button", { name: "Save" }).click();
    expect((await (await rejected).request().allHeaders())["if-match"]).toBeTruthy();
    const card = page.getByRole("region", { name: "Not saved: Buy milk" });
    await expect(card.getByRole("row", { name: "Title" })).toContainText("Buy soy milkBuy oat milk");
    await expect(card).toBeFocused();
    for (const name of ["Keep mine", "Take theirs"])
      await expect(card.getByRole("button", { name })).toBeInViewport({ ratio: 1 });
    await page.keyboard.press("Tab");
    if (choice === "Take theirs") await page.keyboard.press("Tab");
    await expect(page.locator(":focus")).toHaveText(choice);
    await page.keyboard.press("Enter");
    await expect(card).toBeHidden();
    await expect(page.locator(":focus")).toHaveAccessibleName(/^Edit Buy/);

    const title = choice === "Keep mine" ? "Buy soy milk" : "Buy oat milk";
    for (const tab of [page, other]) await expect(tasks(tab).last()).toHaveText(new RegExp(title));
  });
}

test("keys are rotated while two tabs work, and no request is answered with 401", async ({ context, user: page }) => {
  const kids = new Set<string>();
  context.on("request", async (request) => {
    const { authorization } = await request.allHeaders();
    const header = authorization?.split(/[ .]/)[1];
    if (header) kids.add(JSON.parse(Buffer.from(header, "base64url").toString()).kid);
  });
  await add(page, "Signed with the old key");
  rotateKeys();
  const other = await context.newPage();
  await other.goto("/");
  await add(other, "Signed with the new key");
  await checkbox(page, "Signed with the new key").check();
  await checkbox(other, "Signed with the old key").check();
  for (const tab of [page, other]) {
    await tab.reload();
    await expect(tab.getByRole("checkbox", { checked: true })).toHaveCount(2);
  }
  expect(kids.size).toBe(2);
});

test("errors are shown next to their fields", async ({ user: page }) => {
  const form = page.getByRole("form", { name: "New task" });
  await form.getByLabel("Title").fill(" ");
  await form.locator("summary").click();
  await form.getByLabel("Description").fill("x".repeat(2001));
  await form.getByRole("button", { name: "Add" }).click();

  const card = page.getByRole("region", { name: "Not saved: a task without a title" });
  await expect(card.getByRole("alert")).toHaveText("Please correct what is marked");
  const correction = page.getByRole("form", { name: "Correct" });
  const [title, description] = [correction.getByLabel("Title"), correction.getByLabel("Description")];
  await expect(title).toBeFocused();
  await expect(title).toHaveAccessibleDescription(/./);
  await expect(description).toHaveAccessibleDescription(/2000/);
  await expect(correction.getByLabel("Due")).toHaveAttribute("aria-invalid", "false");
  await title.fill("Buy milk");
  await description.fill("2 litres");
  await correction.getByRole("button", { name: "Save" }).click();
  await saved(page, "Buy milk");
  await expect(correction).toBeHidden();
  await page.reload();
  await expect(tasks(page)).toHaveText([/Buy milk.*2 litres/]);
});

test("canceling a correction moves the focus to the list", async ({ user: page }) => {
  await page.getByLabel("Title").fill(" ");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("form", { name: "Correct" }).getByLabel("Title")).toBeFocused();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("list", { name: "Tasks" })).toBeFocused();
});

test("a deletion can be undone until it is sent", async ({ context, user: page }) => {
  await add(page, "Buy milk");
  for (const isOffline of [false, true]) {
    await context.setOffline(isOffline);
    await page.getByRole("button", { name: "Delete Buy milk" }).click();
    await expect(page.getByRole("button", { name: "Undo deleting Buy milk" })).toBeFocused();
    await page.keyboard.press("Enter");
    await expect(page.getByRole("button", { name: "Edit Buy milk" })).toBeFocused();
  }
  await context.setOffline(false);
  await saved(page, "Buy milk");

  await page.getByRole("button", { name: "Delete Buy milk" }).click();
  await add(page, "Walk the dog"); // Sends the deletion first.
  await page.reload();
  await expect(tasks(page)).toHaveText([/Walk the dog/]);
});

test("overdue tasks and line breaks are visible", async ({ user: page }) => {
  await add(page, "Yesterday", { Description: "one\ntwo", Due: "2020-02-29" });
  await expect(task(page, "Yesterday")).toContainText("Overdue since Feb 29, 2020");
  expect(await task(page, "Yesterday").locator("p").innerText()).toBe("one\ntwo");
  await checkbox(page, "Yesterday").check();
  await expect(task(page, "Yesterday")).toContainText("Due Feb 29, 2020");
});

test("one message says that the API can't be reached", async ({ user: page }) => {
  await page.route(API, (route) => route.abort());
  await page.getByLabel("Title").fill("Buy milk");
  await page.keyboard.press("Enter");
  await page.getByLabel("Search").fill("dog");
  await expect(page.getByText("The server can't be reached")).toHaveText("The server can't be reached. Trying again…");
  // Longer than the list's retries.
  for (let poll = 0; poll < 60; poll++) {
    expect(await page.getByText("The server can't be reached").count()).toBeLessThanOrEqual(1);
    await page.waitForTimeout(200);
  }
});

test("everything can be done with the keyboard", async ({ user: page }) => {
  const press = async (...keys: string[]) => {
    for (const key of keys) await page.keyboard.press(key);
  };
  const focused = page.locator(":focus");
  await press("Tab", "Tab"); // Past "Sign out".
  await page.keyboard.type("Buy milk");
  await press("Enter");
  await saved(page, "Buy milk");
  await expect(focused).toHaveAccessibleName("Title");

  // The date field alone takes four.
  for (let tabs = 0; tabs < 12 && !(await isFocused(checkbox(page, "Buy milk"))); tabs++) await press("Tab");
  await press("Space");
  await expect(checkbox(page, "Buy milk")).toBeChecked();
  await saved(page, "Buy milk");
  await press("Tab");
  await expect(focused).toHaveAccessibleName("Edit Buy milk");
  await press("Enter");
  await expect(focused).toHaveAccessibleName("Title");
  await press("Escape");
  await expect(focused).toHaveAccessibleName("Edit Buy milk");
  await press("Tab");
  await expect(focused).toHaveAccessibleName("Delete Buy milk");
  await press("Enter");
  await expect(focused).toHaveAccessibleName("Undo deleting Buy milk");
  await expect(tasks(page)).toHaveCount(0);
  await expect(focused).toHaveAccessibleName("Tasks");
});

const isFocused = (locator: Locator) => locator.evaluate((element) => element === document.activeElement);

for (const width of [390, 1280]) {
  test(`${width} pixels: nothing overflows, and axe finds no accessibility problems`, async ({ page }) => {
    await page.setViewportSize({ width, height: 844 });
    const check = async (where: string) => {
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      expect(overflow, where).toBeLessThanOrEqual(0);
      for (const colorScheme of ["light", "dark"] as const) {
        await page.emulateMedia({ colorScheme });
        const { violations } = await new AxeBuilder({ page }).analyze();
        expect(
          violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]),
          `${where}, ${colorScheme}`,
        ).toEqual([]);
      }
    };
    await page.goto("/");
    await page.getByLabel("E-mail").waitFor();
    await check("sign-in");
    await signUp(page, `Ada ${"Lovelace".repeat(10)}`);
    await add(page, "Donaudampfschifffahrt".repeat(12), { Description: "x".repeat(500), Due: "2026-12-24" });
    await add(page, "Buy milk");
    await checkbox(page, "Buy milk").check();
    await saved(page, "Buy milk");
    const button = page.getByRole("button", { name: "Edit Donau" });
    expect((await button.boundingBox())!.height).toBeLessThan(60);
    await check("tasks");
    await page.context().setOffline(true);
    await page.getByRole("button", { name: "Delete Donau" }).click();
    await checkbox(page, "Buy milk").uncheck();
    await checkbox(page, "Buy milk").check();
    await check("pending");
    await page.context().setOffline(false);
    await saved(page, "Buy milk");
    await edit(page, "Buy milk");
    await page.getByRole("form", { name: "New task" }).getByLabel("Title").fill(" ");
    await page.getByRole("form", { name: "New task" }).getByRole("button", { name: "Add" }).click();
    await page.getByRole("form", { name: "Correct" }).waitFor();
    await check("forms");
  });
}

test("changes made offline are sent later, in order", async ({ context, user: page }) => {
  for (const title of ["Buy milk", "Walk the dog"]) await add(page, title);
  await context.setOffline(true);
  const form = page.getByRole("form", { name: "New task" });
  await form.getByLabel("Title").fill("Made offline");
  await form.getByRole("button", { name: "Add" }).click();
  await checkbox(page, "Buy milk").check();
  for (const title of ["Buy oat milk", "Buy soy milk"]) {
    const form = await edit(page, title === "Buy oat milk" ? "Buy milk" : "Buy oat milk");
    await form.getByLabel("Title").fill(title);
    await form.getByRole("button", { name: "Save" }).click();
  }
  await page.getByRole("button", { name: "Delete Walk the dog" }).click();
  await expect(page.getByRole("status")).toHaveText("Offline. 5 changes will be sent later.");
  await expect(tasks(page)).toHaveText([/Made offline/, /Deleted Walk the dog/, /Buy soy milk/]);

  await context.setOffline(false);
  await expect(page.getByRole("status")).toBeEmpty();
  await expect(page.locator("[aria-busy=true]")).toHaveCount(0);
  await page.reload();
  await expect(tasks(page)).toHaveText([/Made offline/, /Buy soy milk/]);
  await expect(checkbox(page, "Buy soy milk")).toBeChecked();
});

test("an edit made offline does not overwrite one made elsewhere meanwhile", async ({ browser, user: page }) => {
  await add(page, "Buy milk", { Description: "2 litres" });
  const elsewhere = await browser.newContext({ storageState: await page.context().storageState() });
  const other = await elsewhere.newPage();
  await other.goto("/");
  await page.context().setOffline(true);
  const mine = await edit(page, "Buy milk");
  await mine.getByLabel("Title").fill("Buy soy milk");
  await mine.getByRole("button", { name: "Save" }).click();
  await expect(task(page, "Buy soy milk")).toBeVisible();
  const theirs = await edit(other, "Buy milk");
  await theirs.getByLabel("Title").fill("Buy oat milk");
  await theirs.getByRole("button", { name: "Save" }).click();
  await saved(other, "Buy oat milk");

  await page.context().setOffline(false);
  await expect(page.getByRole("row", { name: "Title" })).toContainText("Buy soy milkBuy oat milk");
  await expect(tasks(page)).toHaveText([/Buy oat milk/]);
  await elsewhere.close();
});

test("a write whose response is lost is sent again after a reload and carried out once", async ({ user: page }) => {
  await add(page, "Buy milk");
  const keys: string[] = [];
  await page.route(API, async (route) => {
    const request = route.request();
    const key = request.headers()["idempotency-key"];
    if (!key) return route.continue();
    keys.push(key);
    if (keys.length < 3) {
      await route.fetch();
      return route.abort();
    }
    return route.continue();
  });
  const form = page.getByRole("form", { name: "New task" });
  await form.getByLabel("Title").fill("Walk the dog");
  await form.getByRole("button", { name: "Add" }).click();
  await expect(page.getByRole("status")).toHaveText("The server can't be reached. Trying again…");
  await page.reload();
  await expect.poll(() => keys.length).toBeGreaterThan(2);
  await page.reload();
  await expect(tasks(page)).toHaveText([/Walk the dog/, /Buy milk/]);
  expect(new Set(keys).size).toBe(1);
});

test("the built app runs with the policy in its README", async ({ page }) => {
  const [, policy] = /Content-Security-Policy: (.*)/.exec(readFileSync(`${WEB}/README.md`, "utf8"))!;
  const faults: string[] = [];
  page.on("console", (message) => message.text().includes("Content Security Policy") && faults.push(message.text()));
  await page.route(/^[^?]*localhost:\d+\/(?!api\/)/, (route) => {
    const { pathname } = new URL(route.request().url());
    const headers = { "content-security-policy": policy!.replace("https://api.example.com", process.env.TASK_API_URL!) };
    return route.fulfill({ path: `${WEB}/dist${pathname === "/" ? "/index.html" : pathname}`, headers });
  });
  await page.goto("/");
  await signUp(page);
  await add(page, "Buy milk");
  await expect(page.locator("script[src^='/assets/']")).toHaveCount(1);
  expect(faults).toEqual([]);
});

/** Makes Better Auth's current keys expire, as its `rotationInterval` would. */
function rotateKeys() {
  const Database = createRequire(`${WEB}/package.json`)("libsql");
  const database = new Database(`${process.env.WORK}/auth/auth.db`);
  database.prepare("update jwks set expiresAt = ?").run(new Date(Date.now() - 1000).toISOString());
  database.close();
}
