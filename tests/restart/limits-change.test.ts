import { expect, test } from "vitest";
import { patchLimit, readLimit, readRun, resetLimit } from "./client.ts";
import { expectAllSucceed, open, startCalls } from "./limiting.ts";
import { until } from "./until.ts";
import { startsBetween } from "./windows.ts";

const COUNT = 42;
const CODED = { requests: 2, periodMs: 10_000 };
const PATCHED = { requests: 500, periodMs: 1_000 };

test("a change of a limit is felt by a run that waits, outlives a kill, and can be undone", async () => {
  const scene = await open({ patched: { latencyMs: 20 } });
  const { site, vendor } = scene;
  const run = await startCalls(scene, "patched", "first", COUNT, ["patched"]);
  // For a moment after its last call nobody has asked the limiter yet when the next may begin.
  const waiting = await until("the run waits for a moment that is known", async () => {
    const seen = await readRun(site.url, run.id);
    return seen.status === "waiting" && seen.resumesAt !== null ? seen : undefined;
  });
  expect(Date.parse(waiting.resumesAt as string)).toBeGreaterThan(Date.now());
  expect(waiting.items.succeeded).toBe(CODED.requests);
  expect(waiting.items.deferred).toBeGreaterThan(0);
  expect(await readLimit(site.url, "patched")).toMatchObject({ ...CODED, waiting: expect.any(Number) });
  await patchLimit(site.url, "patched", PATCHED);
  const { nowMs: patchedMs } = await vendor.now();
  await expectAllSucceed(scene, [run]);
  const calls = await vendor.calls();
  const lastMs = Math.max(...calls.map(({ arrivedMs }) => arrivedMs));
  console.log(`the last call began ${(lastMs - patchedMs).toFixed(0)} ms after the change was acknowledged`);
  expect(calls.length).toBe(COUNT);
  expect(startsBetween(calls, 0, patchedMs + 1_000)).toBe(COUNT);

  await site.kill();
  await site.start();
  expect(await readLimit(site.url, "patched")).toMatchObject(PATCHED);
  await expectAllSucceed(scene, [await startCalls(scene, "patched", "second", COUNT, ["patched"])]);
  await resetLimit(site.url, "patched");
  expect(await readLimit(site.url, "patched")).toMatchObject(CODED);
  const third = await startCalls(scene, "patched", "third", CODED.requests + 1, ["patched"]);
  await until("the third run waits", async () => (await readRun(site.url, third.id)).status === "waiting");
});
