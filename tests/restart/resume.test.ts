import { expect, test } from "vitest";
import { ended, readRun, startBatch } from "./client.ts";
import { heldAtKill } from "./disk.ts";
import { inMemory } from "./memory.ts";
import { chance } from "./seed.ts";
import { Site } from "./server.ts";
import { until } from "./until.ts";
import { Vendor } from "./vendor.ts";

const INPUT = { count: 80, ms: 200 };

test.for([
  // Measured within 0.1 s; the rest is for machines that are busy.
  { flow: "few", home: "in executor objects", withinMs: 3_000 },
  // A local queue forgets its messages: the run's object finds that out by itself, within a lease.
  { flow: "queued", home: "on the queue", withinMs: 12_000 },
])("after a kill, work $home goes on by itself soon after the server is up", async ({ flow, withinMs }) => {
  const { vendor, site, luck } = await open();
  const run = await startBatch(site.url, flow, INPUT);
  const moment = luck.between(1, 50);
  await until(`${moment} items are answered`, () => vendor.answered >= moment);
  await site.kill();
  await until("the vendor has seen the connections close", () => vendor.inFlight === 0);
  const held = heldAtKill(site.state);
  const killedMs = performance.now();
  await site.start();
  // Nobody asks for the run meanwhile: a look at it would wake it.
  const { atMs } = await until("the vendor is called", () => vendor.firstCallAfter(killedMs), withinMs);
  const last = await ended(site.url, run.id);
  const resumedMs = Math.round(atMs - site.upMs);
  console.log(
    `seed ${luck.seed}: ${flow} resumed ${resumedMs} ms after the server was up, ${held} in flight at the kill`,
  );
  expect(resumedMs).toBeLessThan(withinMs);
  expect(last).toMatchObject({ status: "completed", output: await inMemory(flow, INPUT) });
  expect(last.executions - INPUT.count).toBeLessThanOrEqual(held);
});

test("a second run on the queue progresses while a first one holds it", async () => {
  const { vendor, site, luck } = await open();
  const first = await startBatch(site.url, "queued", { count: 1_000, ms: 1_000 });
  // By then the first has handed over once, and is in a delivery of the longer kind.
  await until("the first run is well under way", () => vendor.answered >= 36);
  const second = await startBatch(site.url, "queued", { count: 40, ms: 50 });
  const startedMs = performance.now();
  const progressed = await until(
    "the second run progresses",
    async () => {
      const run = await readRun(site.url, second.id);
      return run.items.succeeded > 0 ? run : undefined;
    },
    40_000,
  );
  const { status, items } = await readRun(site.url, first.id);
  const waitedSec = ((performance.now() - startedMs) / 1000).toFixed(1);
  console.log(
    `seed ${luck.seed}: the second run had ${progressed.items.succeeded} items after ${waitedSec} s, the first ${items.succeeded} of ${items.total}`,
  );
  expect(status).toBe("running");
  expect(await ended(site.url, second.id)).toMatchObject({ status: "completed", items: { succeeded: 40 } });
  expect(await readRun(site.url, first.id)).toMatchObject({ status: "running" });
});

async function open() {
  const vendor = await Vendor.open();
  const site = new Site(vendor.url);
  await site.start();
  return { vendor, site, luck: chance() };
}
