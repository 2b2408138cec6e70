// Pictures of the page: `npm run screenshots` writes them into screenshots/, of a server with runs of all kinds.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { buildWorker } from "../tests/page/browser/build.ts";
import { findChromium, launch } from "../tests/page/browser/chromium.ts";
import { Site } from "../tests/page/browser/site.ts";
import { until } from "../tests/restart/until.ts";
import { atExit } from "./lifetime.ts";

const FOLDER = join(import.meta.dirname, "../screenshots");
const SCREENS = {
  desktop: { viewport: { width: 1280, height: 800 } },
  phone: { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true },
};
const SCHEMES = ["light", "dark"] as const;
/** Takes a minute and a half: the pictures are of its middle. */
const RUNNING = { count: 2_000, ms: 1_000, fail: 31 };
const PICTURED_FROM = 450;

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "pocketflare-screenshots-"));
  atExit(() => rmSync(folder, { recursive: true, force: true, maxRetries: 10 }));
  const site = await Site.open(await buildWorker(folder));
  const browser = await launch(findChromium());
  try {
    mkdirSync(FOLDER, { recursive: true });
    await takeAll(browser, site, await seed(site));
  } finally {
    await browser.close();
    await site.close();
  }
}

/** Runs of all kinds, and the id of the one that is under way. */
async function seed(site: Site): Promise<string> {
  await site.ended("summarize", { count: 240 });
  await site.ended("tour", { rounds: 3 });
  await site.ended("import", {});
  await site.ended("sift", { count: 100_000 });
  await site.ended("summarize", { count: 120, fail: 12 });
  await site.startRun("approve", {});
  const { id } = await site.startRun("summarize", RUNNING);
  await until("the run is under way", async () => (await site.run(id)).items.succeeded > PICTURED_FROM, 60_000);
  return id;
}

async function takeAll(browser: Browser, { url }: Site, run: string): Promise<void> {
  const places = { list: "#/runs", run: `#/runs/${run}`, items: `#/runs/${run}?tab=items`, limits: "#/limits" };
  for (const [screen, { viewport, ...rest }] of Object.entries(SCREENS)) {
    for (const colorScheme of SCHEMES) {
      const context = await browser.newContext({ viewport, colorScheme, deviceScaleFactor: 2, ...rest });
      for (const [name, place] of Object.entries(places)) {
        const page = await context.newPage();
        await page.goto(`${url}/${place}`);
        await page.waitForLoadState("networkidle");
        if (place.includes(run)) await page.getByText(/\d items\/s/).waitFor();
        // Below all that is said of a run there is more than fits onto a screen.
        if (name === "items") await page.evaluate("document.getElementById('run-view').scrollIntoView()");
        const file = join(FOLDER, `${name}-${screen}-${colorScheme}.png`);
        await page.screenshot({ path: file });
        console.log(file);
        await page.close();
      }
      await context.close();
    }
  }
}

try {
  await main();
} catch (error) {
  console.error(`No pictures: ${(error as Error).message}`);
  process.exit(1);
}
