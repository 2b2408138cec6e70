import { expect, test } from "vitest";
import { abort, ended, type Run, readResults, readRun, startBatch } from "./client.ts";
import { heldAtKill } from "./disk.ts";
import { inMemory } from "./memory.ts";
import { type Chance, chance } from "./seed.ts";
import { Site } from "./server.ts";
import { until } from "./until.ts";
import { Vendor } from "./vendor.ts";

const COUNT = 1000;
const WIDTH = 100;
const INPUT = { count: COUNT, ms: 100 };

interface Scene {
  vendor: Vendor;
  site: Site;
  luck: Chance;
  run: Run;
}

/** A server with a run of a thousand items under way. */
async function begin(): Promise<Scene> {
  const vendor = await Vendor.open();
  const site = new Site(vendor.url);
  await site.start();
  return { vendor, site, luck: chance(), run: await startBatch(site.url, "wide", INPUT) };
}

/** Every item has one result, in order, and the run's output is what it would be without any kill. */
async function expectWhole({ site, vendor, run }: Scene): Promise<Run> {
  const last = await ended(site.url, run.id);
  expect(last).toMatchObject({ status: "completed", items: { total: COUNT, succeeded: COUNT, failed: 0 } });
  expect(last.output).toEqual(await inMemory("wide", INPUT));
  const results = await readResults(site.url, run.id);
  expect(results.map(({ index }) => index)).toEqual(Array.from({ length: COUNT }, (_, index) => index));
  expect(new Set(results.map(({ result }) => result.call)).size).toBe(COUNT);
  expect(vendor.peak).toBeLessThanOrEqual(WIDTH);
  return last;
}

test("a thousand items survive three kills of the whole server", async () => {
  const scene = await begin();
  const { vendor, site, luck, run } = scene;
  const held: number[] = [];
  let told: string[] = [];
  for (const moment of luck.moments(3, 30, 900, 150)) {
    await until(`${moment} items are answered`, () => vendor.answered >= moment);
    told = (await readResults(site.url, run.id)).map((result) => JSON.stringify(result));
    await site.kill();
    await until("the vendor has seen the connections close", () => vendor.inFlight === 0);
    held.push(heldAtKill(site.state));
    await site.start();
    expect((await readResults(site.url, run.id)).map((result) => JSON.stringify(result))).toEqual(
      expect.arrayContaining(told),
    );
  }
  const last = await expectWhole(scene);
  const repeated = last.executions - COUNT;
  const inFlight = held.reduce((sum, count) => sum + count);
  console.log(
    `seed ${luck.seed}: ${repeated} executions repeated, ${held.join(" + ")} in flight at the kills, vendor peak ${vendor.peak}`,
  );
  expect(repeated).toBeLessThanOrEqual(inFlight);
  expect(vendor.calls.length).toBeLessThanOrEqual(COUNT + inFlight);
  expect(inFlight).toBeLessThanOrEqual(3 * WIDTH);
});

test("a run's object that is aborted alone repeats nothing: its executors go on", async () => {
  const scene = await begin();
  const { vendor, site, luck, run } = scene;
  for (const moment of luck.moments(3, 30, 900, 150)) {
    await until(`${moment} items are answered`, () => vendor.answered >= moment);
    await abort(site.url, "FlowRun", run.id);
  }
  const last = await expectWhole(scene);
  console.log(`seed ${luck.seed}: ${last.executions - COUNT} executions repeated, vendor peak ${vendor.peak}`);
  expect(last.executions).toBe(COUNT);
  expect(vendor.calls).toHaveLength(COUNT);
});

test("an executor that is aborted alone costs at most what it had in exec", async () => {
  const scene = await begin();
  const { vendor, site, luck, run } = scene;
  const moment = luck.between(30, 900);
  const slot = luck.between(0, Math.floor(WIDTH / 6));
  await until(`${moment} items are answered`, () => vendor.answered >= moment);
  await abort(site.url, "Executor", `${run.id}/${slot}`);
  const last = await expectWhole(scene);
  console.log(
    `seed ${luck.seed}: ${last.executions - COUNT} executions repeated, slot ${slot} aborted at ${moment}, vendor peak ${vendor.peak}`,
  );
  expect(last.executions - COUNT).toBeLessThanOrEqual(6);
  expect(await readRun(site.url, run.id)).toEqual(last);
});
