// Takes the screenshots of the documentation. Run `SCREENSHOTS=docs tests/peers/run.sh web`.
import { add, checkbox, edit, saved, test } from "./user";

const { SCREENSHOTS } = process.env;

const SIZES = { desktop: { width: 1000, height: 720 }, phone: { width: 390, height: 844 } };

test("screenshots", async ({ context, user: page }) => {
  await add(page, "Book the train to Vienna", { Due: "2026-12-18" });
  await add(page, "Water the plants");
  await add(page, "Reply to the landlord", { Description: "Ask about the second key as well", Due: "2026-12-04" });
  await add(page, "Buy milk", { Description: "2 litres" });
  await checkbox(page, "Water the plants").check();
  await saved(page, "Water the plants");
  for (const [name, size] of Object.entries(SIZES)) {
    await page.setViewportSize(size);
    await page.mouse.move(0, 0);
    await page.screenshot({ path: `${SCREENSHOTS}/web-${name}.png` });
  }

  // Two tabs edit the same task.
  const other = await context.newPage();
  await other.goto("/");
  const [mine, theirs] = [await edit(page, "Buy milk"), await edit(other, "Buy milk")];
  await theirs.getByLabel("Title").fill("Buy oat milk");
  await theirs.getByRole("button", { name: "Save" }).click();
  await saved(other, "Buy oat milk");
  await mine.getByLabel("Title").fill("Buy soy milk");
  await mine.getByRole("button", { name: "Save" }).click();
  await page.getByRole("button", { name: "Keep mine" }).waitFor();
  await page.mouse.click(1, 1);
  await page.screenshot({ path: `${SCREENSHOTS}/web-conflict.png` });
});
