import { expect, test as base, type Page } from "@playwright/test";

/** A page with a user who has just signed up. Fails if any tab gets a 401. */
export const test = base.extend<{ user: Page }>({
  user: async ({ context, page }, use) => {
    const unauthorized: string[] = [];
    context.on("response", (response) => {
      if (response.status() === 401) unauthorized.push(`${response.request().method()} ${response.url()}`);
    });
    await page.goto("/");
    await signUp(page);
    await use(page);
    expect(unauthorized).toEqual([]);
  },
});

export const PASSWORD = "correct horse battery";

export async function signUp(page: Page, name = "Ada Lovelace") {
  const email = `${crypto.randomUUID()}@example.com`;
  await page.getByRole("button", { name: "I am new here" }).click();
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("E-mail").fill(email);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Sign up" }).click();
  await expect(page.getByRole("heading", { name: "Tasks" })).toBeVisible();
  await expect(page.getByText(name)).toBeVisible();
  return email;
}

export const tasks = (page: Page) => page.getByRole("list", { name: "Tasks" }).getByRole("listitem");

export const task = (page: Page, title: string) => tasks(page).filter({ hasText: title });

export const checkbox = (page: Page, title: string) => page.getByRole("checkbox", { name: title, exact: true });

/** Adds a task and waits until the API has stored it. */
export async function add(page: Page, title: string, more: Partial<Record<"Description" | "Due" | "Tags" | "Priority", string>> = {}) {
  const form = page.getByRole("form", { name: "New task" });
  await form.getByLabel("Title").fill(title);
  const { Priority, ...texts } = more;
  if (Object.keys(more).length) await form.locator("summary").click();
  for (const [label, text] of Object.entries(texts)) await form.getByLabel(label).fill(text);
  if (Priority) await form.getByLabel("Priority").selectOption(Priority);
  await form.getByRole("button", { name: "Add" }).click();
  await saved(page, title);
  if (Object.keys(more).length) await form.locator("summary").click();
}

/** Waits until no request for a task is pending. */
export const saved = (page: Page, title: string) => expect(task(page, title)).toHaveAttribute("aria-busy", "false");

/** Opens the form for editing a task. */
export async function edit(page: Page, title: string) {
  await page.getByRole("button", { name: `Edit ${title}` }).click();
  const form = page.getByRole("form", { name: /^Edit / });
  await expect(form).toBeVisible();
  return form;
}
