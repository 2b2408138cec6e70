import { readFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { Webhook } from "standardwebhooks";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import type { Limit, LimitList, Run, RunList } from "../../../src/http/api.ts";
import { until } from "../../restart/until.ts";
import { agree, fillStart, itemRows, openTab, runOf, status } from "./hands.ts";
import { Site } from "./site.ts";
import { useTabs } from "./tabs.ts";
import { HOOK_SECRET } from "./worker/flows.ts";

// What people do on the page, from the first click to what the API says afterwards.

const open = useTabs();
let site: Site;
beforeAll(async () => {
  site = await Site.open(inject("worker"));
});
afterAll(() => site?.close());

test("a run is started from the form, watched to its end, and what failed in it is retried", async () => {
  const { page } = await open(site, "#/flows/summarize");
  await fillStart(page, { count: 40, fail: 5 });
  await page.waitForURL(/#\/runs\/\w{30}$/);
  await status(page, "completed");
  const id = runOf(page);
  expect((await site.run(id)).items).toMatchObject({ total: 42, succeeded: 34, failed: 8 });

  await openTab(page, "Items");
  await page.getByRole("combobox", { name: "Status" }).selectOption("failed");
  await expect.poll(() => page.url()).toContain("status=failed");
  await expect.poll(() => itemRows(page).count()).toBe(8);
  await itemRows(page).filter({ hasText: "T-1004" }).click();
  const drawer = page.getByRole("dialog");
  await drawer.getByText("The invoice of T-1004 came twice.").first().waitFor();
  await drawer.getByText("The vendor answered 503 to T-1004").first().waitFor();
  expect(await drawer.getByText("The vendor answered 503 to T-1004").count()).toBeGreaterThan(1);

  await site.heal(id);
  await drawer.getByRole("button", { name: "Retry this item" }).click();
  await agree(page, /Retry 1 item.*Other failed items stay/s);
  await drawer.getByText("after 1 redrive").waitFor();
  await expect.poll(async () => (await site.run(id)).items).toMatchObject({ succeeded: 35, failed: 7 });
  await drawer.getByRole("button", { name: "Close" }).click();
  await status(page, "completed");

  await page.getByRole("button", { name: "Retry failed" }).click();
  await agree(page, /7 failed items/);
  await expect.poll(async () => (await site.run(id)).items.succeeded).toBe(42);
  await openTab(page, "Overview");
  await status(page, "completed");
  await page.getByText("0 failed").or(page.getByText("42 succeeded")).first().waitFor();
});

test("a long run is paused, resumed and canceled", async () => {
  const { id } = await site.startRun("summarize", { count: 100, hold: 30 });
  const { page } = await open(site, `#/runs/${id}`);
  await status(page, "running");
  await page.getByRole("button", { name: "Pause" }).click();
  await status(page, "paused");
  expect((await site.run(id)).status).toBe("paused");
  await page.getByRole("button", { name: "Resume" }).click();
  await status(page, "running");
  await page.getByRole("button", { name: "Cancel" }).click();
  await agree(page, /70 items of 101/);
  await status(page, "canceled");
  expect((await site.run(id)).status).toBe("canceled");
});

test("a run is started again with the same input, and its results are downloaded", async () => {
  const { id } = await site.ended("summarize", { count: 25 });
  const { page } = await open(site, `#/runs/${id}`);
  const downloaded = async (format: string) => {
    const button = page.getByRole("button", { name: `Download ${format.toUpperCase()}` });
    const [download] = await Promise.all([page.waitForEvent("download"), button.click()]);
    expect(download.suggestedFilename()).toBe(`${id}.${format}`);
    return readFileSync(await download.path(), "utf8")
      .trimEnd()
      .split("\n");
  };
  expect(await downloaded("ndjson")).toHaveLength(25);
  expect((await downloaded("csv"))[0]).toBe("index,status,result,error\r");

  await page.getByRole("button", { name: "Rerun" }).click();
  await agree(page, /input/);
  await page.waitForURL((url) => url.hash.startsWith("#/runs/") && !url.hash.includes(id));
  await status(page, "completed");
  expect((await site.run(runOf(page))).items.total).toBe(27);
});

test("a run that waits is sent its signal", async () => {
  const { id } = await site.startRun("approve", {});
  const { page } = await open(site, `#/runs/${id}`);
  await status(page, "waiting");
  await page.getByText("Send approval…").click();
  await page.getByLabel("Payload, as JSON").fill('{ "isApproved": true }');
  await page.getByRole("button", { name: "Send the signal" }).click();
  await status(page, "completed");
  expect((await site.run(id)).output).toEqual({ decision: { isApproved: true } });
});

test("two runs are canceled at once from the list", async () => {
  const runs = await Promise.all([1, 2].map(() => site.startRun("summarize", { count: 10, hold: 0 })));
  const { page } = await open(site, "#/runs?flow=summarize");
  for (const { id } of runs) await rowOf(page, id).getByRole("checkbox").check();
  await page.getByRole("button", { name: "Cancel 2 runs" }).click();
  await agree(page, /2 runs/);
  await expect
    .poll(async () => (await Promise.all(runs.map(({ id }) => site.run(id)))).map((run) => run.status))
    .toEqual(["canceled", "canceled"]);
  await page.goto(`${site.url}/#/runs?status=canceled`);
  for (const { id } of runs) await rowOf(page, id).waitFor();
});

test("runs that start elsewhere appear in the list by themselves", async () => {
  const { page } = await open(site, "#/runs");
  await page.getByRole("table").waitFor();
  const { id } = await site.ended("summarize", { count: 3 });
  await rowOf(page, id).getByText("completed").waitFor();
});

test("a limit is edited, and put back", async () => {
  const { page } = await open(site, "#/limits");
  const card = page.locator("section").filter({ has: page.getByRole("heading", { name: "llm" }) });
  await card.getByRole("button", { name: "Edit…" }).first().click();
  await page.getByLabel("In flight at once").fill("7");
  await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
  await expect.poll(() => concurrencyOf("llm")).toBe(7);
  await card.getByText("7").first().waitFor();
  await card.getByRole("button", { name: "Reset…" }).click();
  await agree(page, /configuration/);
  await expect.poll(() => concurrencyOf("llm")).toBe(60);
});

test("a cron is run now", async () => {
  const { page } = await open(site, "#/crons");
  await page.getByRole("button", { name: /mornings/ }).click();
  await page.getByRole("status").getByRole("link").click();
  await status(page, "completed");
  expect((await site.run(runOf(page))).trigger).toEqual({ type: "cron", name: "mornings" });
});

test("a webhook shows what was delivered", async () => {
  const { run } = await deliver({ count: 2 });
  const { page } = await open(site, "#/webhooks");
  await page.locator(`a[href="#/runs/${run.id}"]`).waitFor();
});

test("the page is the same where the API is mounted, with a slash and without", async () => {
  for (const base of ["/jobs", "/jobs/"]) {
    const { page, requests } = await open(site, `${base}#/flows/summarize`);
    await fillStart(page, { count: 3 });
    await page.waitForURL(/\/jobs\/?#\/runs\/\w{30}$/);
    await status(page, "completed");
    const paths = requests.map((url) => new URL(url).pathname);
    expect(paths.filter((path) => !path.startsWith("/jobs"))).toEqual([]);
  }
});

function rowOf(page: Page, run: string) {
  return page.getByRole("row").filter({ has: page.locator(`a[href*="${run}"]`) });
}

async function concurrencyOf(name: string): Promise<number | null | undefined> {
  const { limits } = await site.call<LimitList>("GET", "/limits");
  return limits.find((limit: Limit) => limit.name === name)?.keys[0]?.concurrency;
}

/** As a sender delivers it; resolves once the run is listed. */
async function deliver(payload: object): Promise<{ run: Run }> {
  const body = JSON.stringify(payload);
  const at = new Date();
  const headers = {
    "content-type": "application/json",
    "webhook-id": "msg_1",
    "webhook-timestamp": String(Math.floor(at.getTime() / 1_000)),
    "webhook-signature": new Webhook(HOOK_SECRET).sign("msg_1", at, body),
  };
  const response = await fetch(`${site.url}/webhooks/orders`, { method: "POST", headers, body });
  const received = (await response.json()) as { run: Run };
  await until("the run is listed", async () => {
    const { runs } = await site.call<RunList>("GET", "/runs?trigger=webhook");
    return runs.length > 0;
  });
  return received;
}
