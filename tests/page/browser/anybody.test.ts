import type { Locator, Page } from "playwright-core";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { violations } from "./axe.ts";
import { itemRows, openTab, status } from "./hands.ts";
import { Site } from "./site.ts";
import { useTabs } from "./tabs.ts";

// Whoever looks at the page, and whatever with: a screen reader, a keyboard, a phone, a link that somebody sent.

const MOST_TABS = 60;
const PHONE = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true };

const open = useTabs();
let site: Site;
let failed: string;
let nested: string;
let waiting: string;
beforeAll(async () => {
  site = await Site.open(inject("worker"));
  failed = (await site.ended("summarize", { count: 60, fail: 7 })).id;
  nested = (await site.ended("tour", { rounds: 2 })).id;
  await site.ended("import", {});
  await site.startRun("summarize", { count: 40, hold: 30 });
  waiting = (await site.startRun("approve", {})).id;
});
afterAll(() => site?.close());

/** Every place of the page: how to get there, and what is there once it is shown. */
const places = (): { [name: string]: [place: string, act?: (page: Page) => Promise<unknown>] } => ({
  list: ["#/runs", (page) => page.getByRole("table").waitFor()],
  run: [`#/runs/${failed}`, (page) => status(page, "completed")],
  nested: [`#/runs/${nested}`, (page) => status(page, "completed")],
  output: [`#/runs/${nested}?tab=output`],
  items: [`#/runs/${failed}?tab=items`, (page) => page.getByRole("table").waitFor()],
  errors: [`#/runs/${failed}?tab=errors`],
  timeline: [`#/runs/${failed}?tab=timeline`],
  events: [`#/runs/${failed}?tab=events`],
  waiting: [`#/runs/${waiting}`, (page) => status(page, "waiting")],
  flows: ["#/flows", (page) => page.getByRole("table").waitFor()],
  start: ["#/flows/summarize", (page) => page.getByRole("textbox").first().waitFor()],
  limits: ["#/limits", (page) => page.getByRole("heading", { name: "llm" }).waitFor()],
  limitForm: ["#/limits", (page) => page.getByRole("button", { name: "Edit…" }).first().click()],
  crons: ["#/crons", (page) => page.getByRole("heading", { name: "mornings" }).waitFor()],
  webhooks: ["#/webhooks", (page) => page.getByRole("heading", { name: "orders" }).waitFor()],
  question: [`#/runs/${failed}`, (page) => page.getByRole("button", { name: "Retry failed" }).click()],
  drawer: [`#/runs/${failed}?tab=items`, (page) => itemRows(page).nth(3).click()],
});

test("axe-core finds nothing serious anywhere, in neither theme", async () => {
  const { page } = await open(site);
  const found: string[] = [];
  for (const [name, [place, act]] of Object.entries(places())) {
    await page.goto("about:blank");
    await page.goto(`${site.url}/${place}`);
    await act?.(page);
    await page.waitForLoadState("networkidle");
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme });
      found.push(...(await violations(page)).map((violation) => `${name}, ${colorScheme}: ${violation}`));
    }
  }
  expect(found).toEqual([]);
});

test("no view is wider than a phone", async () => {
  const { page } = await open(site, "", PHONE);
  const wide: string[] = [];
  for (const [name, [place, act]] of Object.entries(places())) {
    await page.goto("about:blank");
    await page.goto(`${site.url}/${place}`);
    await act?.(page);
    await page.waitForLoadState("networkidle");
    const [width, room] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth] as const);
    if (width > room) wide.push(`${name}: ${width} of ${room}`);
  }
  expect(wide).toEqual([]);
});

test("a run is started and an item opened without a mouse", async () => {
  const { page } = await open(site, "#/flows/summarize");
  await page.getByRole("textbox", { name: /^count/ }).waitFor();
  await tabTo(page, page.getByRole("textbox", { name: /^count/ }));
  await page.keyboard.type("4");
  await page.keyboard.press("Enter");
  await status(page, "completed");
  await tabTo(page, page.getByRole("tab", { selected: true }));
  while (!(await isFocused(page.getByRole("tab", { name: "Items" })))) await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Enter");
  const row = itemRows(page).first();
  await row.waitFor();
  const opener = await tabInto(page, row);
  await page.keyboard.press("Enter");
  const drawer = page.getByRole("dialog");
  await drawer.waitFor();
  await page.keyboard.press("Escape");
  await drawer.waitFor({ state: "detached" });
  expect(await focused(page)).toBe(opener);
});

test("the address holds what is shown, and back goes back", async () => {
  const { page } = await open(site, `#/runs/${failed}`);
  await openTab(page, "Items");
  await page.getByRole("combobox", { name: "Status" }).selectOption("failed");
  await page.getByRole("searchbox").fill("T-1013");
  await expect.poll(() => itemRows(page).count()).toBe(1);
  await itemRows(page).first().click();
  await page.getByRole("dialog").waitFor();
  const isSame = async (other: Page) => {
    await other
      .getByRole("dialog")
      .getByText("The vendor has no room for T-1013")
      .or(other.getByText("to T-1013"))
      .first()
      .waitFor();
    expect(await other.getByRole("tab", { name: "Items" }).getAttribute("aria-selected")).toBe("true");
    expect(await other.getByRole("combobox", { name: "Status" }).inputValue()).toBe("failed");
    expect(await other.getByRole("searchbox").inputValue()).toBe("T-1013");
    await expect.poll(() => itemRows(other).count()).toBe(1);
  };
  const [, hash = ""] = page.url().split("#");
  await page.reload();
  await isSame(page);
  await isSame((await open(site, `#${hash}`)).page);

  await page.goto(`${site.url}/#/limits`);
  await page.getByRole("heading", { name: "llm" }).waitFor();
  await page.goBack();
  await isSame(page);
});

/** Goes on with the Tab key until something has the focus, and it shows. */
async function tabTo(page: Page, target: Locator): Promise<void> {
  for (let pressed = 0; !(await isFocused(target)); pressed++) {
    if (pressed > MOST_TABS) throw new Error(`Expected to get to ${target} by ${MOST_TABS} presses of Tab`);
    await page.keyboard.press("Tab");
  }
  await expectOutlined(page);
}

/** The same for the first thing in something, or itself; returns what has the focus. */
async function tabInto(page: Page, room: Locator): Promise<string> {
  const isInside = () => room.evaluate((element) => element.contains(document.activeElement));
  for (let pressed = 0; !(await isInside()); pressed++) {
    if (pressed > MOST_TABS) throw new Error(`Expected to get into ${room} by ${MOST_TABS} presses of Tab`);
    await page.keyboard.press("Tab");
  }
  await expectOutlined(page);
  return focused(page);
}

function isFocused(target: Locator): Promise<boolean> {
  return target.evaluate((element) => element === document.activeElement);
}

function focused(page: Page): Promise<string> {
  return page.evaluate(() => document.activeElement?.outerHTML.slice(0, 120) ?? "");
}

async function expectOutlined(page: Page): Promise<void> {
  const outline = await page.evaluate(() => {
    const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(document.activeElement as Element);
    return { outlineStyle, outlineWidth, boxShadow };
  });
  expect(outline.outlineStyle !== "none" || outline.boxShadow !== "none", JSON.stringify(outline)).toBe(true);
}
