import { expect, test } from "vitest";
import { cancel, ended, readRun } from "./client.ts";
import { expectAllSucceed, open, startCalls } from "./limiting.ts";
import { until } from "./until.ts";
import { type Call, peakInFlight, startsBetween } from "./windows.ts";

test("a run of ten calls is not starved by one of a hundred thousand on the same limit", async () => {
  const scene = await open({ fair: { latencyMs: 20 } });
  const { site, vendor } = scene;
  const big = await startCalls(scene, "fair", "big", 100_000, ["fair"]);
  await until("the big run is held back", async () => (await readRun(site.url, big.id)).items.deferred > 0);
  const small = await startCalls(scene, "fair", "small", 10, ["fair"]);
  const { nowMs: startedMs } = await vendor.now();
  await expectAllSucceed(scene, [small]);
  expect(await readRun(site.url, big.id)).not.toHaveProperty("status", "completed");
  await cancel(site.url, big.id);
  expect(await ended(site.url, big.id)).toMatchObject({ status: "canceled" });
  const calls = await vendor.calls();
  const tenthMs = Math.max(...named(calls, "small").map(({ arrivedMs }) => arrivedMs));
  const others = startsBetween(named(calls, "big"), startedMs, tenthMs);
  console.log(`${others} other calls began before the tenth of the small run`);
  expect(others).toBeLessThanOrEqual(30);
});

test("two runs share five places, and both get through", async () => {
  const scene = await open({ five: { concurrency: 5, latencyMs: 50 } });
  const starts = ["one", "other"].map((name) => startCalls(scene, "five", name, 100, ["five"]));
  await expectAllSucceed(scene, await Promise.all(starts));
  const calls = await scene.vendor.calls();
  expect(calls.map(({ status }) => status)).toEqual(Array(200).fill(200));
  expect(peakInFlight(calls)).toBe(5);
});

function named(calls: readonly Call[], run: string): Call[] {
  return calls.filter(({ item }) => item.startsWith(run));
}
