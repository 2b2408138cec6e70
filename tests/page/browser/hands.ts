import type { Locator, Page } from "playwright-core";

// What a user's hands do, by roles and names.

/** Resolves once the run page says that the run has a status. */
export async function status(page: Page, text: string): Promise<void> {
  await page.locator(".run-head .chip").filter({ hasText: text }).waitFor();
}

/** The run whose page is open. */
export function runOf(page: Page): string {
  const [, id] = /#\/runs\/(\w+)/.exec(page.url()) ?? [];
  if (!id) throw new Error(`Expected the page of a run, got ${page.url()}`);
  return id;
}

export async function openTab(page: Page, name: string): Promise<void> {
  await page.getByRole("tab", { name }).click();
}

/** The rows of the table of items that are there: of a long one those that are seen. */
export function itemRows(page: Page): Locator {
  return page.getByRole("region", { name: "Items", exact: true }).locator("tbody tr");
}

/** Fills the form of a flow with an input, and starts a run. */
export async function fillStart(page: Page, input: { [field: string]: number }): Promise<void> {
  for (const [field, value] of Object.entries(input)) {
    await page.getByRole("textbox", { name: new RegExp(`^${field}`) }).fill(String(value));
  }
  await page.getByRole("button", { name: / Start$/ }).click();
}

/** Answers a question with yes, once it says what it would touch. */
export async function agree(page: Page, said: RegExp): Promise<void> {
  const dialog = page.getByRole("dialog");
  await dialog.getByText(said).first().waitFor();
  await dialog.locator("button.danger").click();
}
