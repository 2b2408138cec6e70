import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import type { ItemDetail, Run } from "../../../src/http/api.ts";
import { itemRows, openTab, status } from "./hands.ts";
import { Site } from "./site.ts";
import { useTabs } from "./tabs.ts";
import { HOSTILE_FLOW, IMAGE, SCRIPT } from "./worker/hostile.ts";

// Whatever a flow's data contains is text: nothing runs, nothing is an element, and nothing is too long or too deep for the page.

const TABS = ["Overview", "Items", "Errors", "Timeline", "Events"];
const DEPTH = 10_000;

const open = useTabs();
let site: Site;
let run: Run;
beforeAll(async () => {
  site = await Site.open(inject("worker"));
  run = await site.ended(HOSTILE_FLOW, {});
});
afterAll(() => site?.close());

test("the views of all runs show names as text", async () => {
  for (const place of ["#/runs", "#/flows", `#/flows/${encodeURIComponent(HOSTILE_FLOW)}`, "#/limits"]) {
    const page = await openHostile(place);
    await seen(page, place === "#/limits" ? IMAGE : HOSTILE_FLOW);
    await expectHarmless(page);
  }
});

test("every tab of a run shows what is in it as text", async () => {
  const page = await openHostile(`#/runs/${run.id}`);
  await status(page, "failed");
  for (const tab of TABS) {
    await openTab(page, tab);
    await seen(page, tab === "Errors" ? IMAGE : SCRIPT.slice(0, 9));
    await expectHarmless(page);
  }
});

test("every item opens, however long or deep it is", async () => {
  const page = await openHostile(`#/runs/${run.id}?tab=items`);
  const rows = itemRows(page);
  await expect.poll(() => rows.count()).toBe(11);
  for (let at = 0; at < 11; at++) {
    await rows.nth(at).click();
    const drawer = page.getByRole("dialog");
    await drawer.waitFor();
    await drawer.getByRole("heading", { name: "Input" }).waitFor();
    await expectHarmless(page);
    await drawer.getByRole("button", { name: "Close" }).click();
    await drawer.waitFor({ state: "detached" });
  }
});

test("a value that is ten thousand levels deep opens", async () => {
  const deep = "[".repeat(DEPTH) + "]".repeat(DEPTH);
  const page = await openHostile(`#/runs/${run.id}?tab=items`, async (page) => {
    await page.route(/\/items\/\d+\/\d+$/, async (route) => {
      const detail = (await (await route.fetch()).json()) as ItemDetail;
      const body = JSON.stringify({ ...detail, input: "DEEP" }).replace('"DEEP"', deep);
      await route.fulfill({ body, contentType: "application/json" });
    });
  });
  await itemRows(page).first().click();
  await page.getByRole("dialog").getByText("[").first().waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Close" }).click();
  await itemRows(page).nth(1).click();
  await page.getByRole("dialog").getByText("[").first().waitFor();
});

async function openHostile(place: string, before?: (page: Page) => Promise<void>): Promise<Page> {
  const { page, faults } = await open(site, place, before ? { before } : {});
  page.on("dialog", (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  return page;
}

async function seen(page: Page, text: string): Promise<void> {
  await page.getByRole("main").getByText(text).filter({ visible: true }).first().waitFor();
}

async function expectHarmless(page: Page): Promise<void> {
  const found = await page.evaluate(() => ({
    images: document.querySelectorAll("img").length,
    scripts: document.scripts.length,
    isPwned: "isPwned" in window,
    isWide: document.documentElement.scrollWidth > innerWidth,
  }));
  expect(found).toEqual({ images: 0, scripts: 1, isPwned: false, isWide: false });
}
