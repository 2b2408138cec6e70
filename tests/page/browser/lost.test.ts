import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { violations } from "./axe.ts";
import { openTab, runOf, status } from "./hands.ts";
import { Site } from "./site.ts";
import { useTabs } from "./tabs.ts";

// What the page does when the server is gone, when sockets do not get through, and when it must be told a token.

const TOKEN = "test-token:+/=~";
/** What a browser itself says of a server that is not there. */
const UNREACHABLE = [
  /ERR_CONNECTION_REFUSED/,
  /ERR_CONNECTION_RESET/,
  /ERR_EMPTY_RESPONSE/,
  /ERR_INCOMPLETE_CHUNKED/,
  /ERR_SOCKET_NOT_CONNECTED/,
  /WebSocket connection to/,
];
const REFUSED = [/status of 401/, /WebSocket connection to .* failed/];

const open = useTabs();
let site: Site;
let closed: Site;
beforeAll(async () => {
  [site, closed] = await Promise.all([Site.open(inject("worker")), Site.open(inject("worker"), { token: TOKEN })]);
});
afterAll(() => Promise.all([site?.close(), closed?.close()]));

test("a run is followed through a SIGKILL and a restart of the server", async () => {
  const { id } = await site.startRun("summarize", { count: 60, hold: 20 });
  const { page } = await open(site, `#/runs/${id}`, { allowed: UNREACHABLE });
  await page.getByText("Live", { exact: true }).waitFor();
  await site.kill();
  await page.getByText("Reconnecting").waitFor();
  await page
    .getByText(/in \d+ s/)
    .first()
    .waitFor();
  await site.start();
  await page.getByText("Live", { exact: true }).waitFor({ timeout: 30_000 });
  await site.release(id);
  await status(page, "completed");
  const { items } = await site.run(id);
  expect(items.succeeded).toBe(62);
  await page
    .getByText(/62 succeeded/)
    .or(page.getByText(/60 succeeded/))
    .first()
    .waitFor();
});

test("where WebSockets are refused, the page asks until the end", async () => {
  const { id } = await site.startRun("summarize", { count: 30, hold: 10 });
  const { page } = await open(site, `#/runs/${id}`, {
    allowed: [/WebSocket/],
    before: (page) => page.routeWebSocket(/.*/, (socket) => socket.close()),
  });
  await status(page, "running");
  await page.getByText("Polling").waitFor({ timeout: 20_000 });
  await site.release(id);
  await status(page, "completed");
});

test("the token is asked once, kept for the tab alone, and told to nobody but the API", async () => {
  const { page, context, requests, logs } = await open(closed, "#/flows/summarize", { allowed: REFUSED });
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Token").waitFor();
  expect(await violations(page)).toEqual([]);
  await dialog.getByLabel("Token").fill("wrong");
  await dialog.getByRole("button", { name: "Use it" }).click();
  await dialog.getByRole("alert").filter({ hasText: "did not do" }).waitFor();
  await dialog.getByLabel("Token").fill(TOKEN);
  await dialog.getByRole("button", { name: "Use it" }).click();
  await dialog.waitFor({ state: "detached" });

  const { id } = await closed.startRun("summarize", { count: 5 });
  await page.goto(`${closed.url}/#/runs/${id}`);
  await status(page, "completed");
  await page.getByText("Live", { exact: true }).waitFor();
  await page.reload();
  await status(page, "completed");
  expect(await page.getByRole("dialog").count()).toBe(0);
  expect(runOf(page)).toBe(id);
  await openTab(page, "Items");

  const forms = [TOKEN, encodeURIComponent(TOKEN), Buffer.from(TOKEN).toString("base64url")];
  const { local, cookies } = await page.evaluate(() => {
    return { local: JSON.stringify(localStorage), cookies: document.cookie };
  });
  for (const text of [...requests, ...logs, local, cookies, page.url()]) {
    expect(forms.filter((form) => text.includes(form))).toEqual([]);
  }
  expect(requests.some((url) => url.startsWith("ws:"))).toBe(true);

  const other = await context.newPage();
  await other.goto(closed.url);
  await other.getByRole("dialog").getByLabel("Token").waitFor();
});
