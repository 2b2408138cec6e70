import { expect, test } from "vitest";
import { expectAllSucceed, open, type Scene, startCalls } from "./limiting.ts";
import { chance } from "./seed.ts";
import { until } from "./until.ts";
import { mostStarts, peakInFlight } from "./windows.ts";

const COUNT = 1_000;
const RUNS = 5;
const RATE = 50;
const CONCURRENCY = 20;

test("a thousand calls in five runs never go above the limit, though the server is killed twice", async () => {
  const scene = await open({
    fast: { requests: RATE, windowMs: 1_000, concurrency: CONCURRENCY, latencyMs: 20 },
  });
  const luck = chance();
  const starts = Array.from({ length: RUNS }, (_, at) =>
    startCalls(scene, "fast", `run ${at}`, COUNT / RUNS, ["fast"]),
  );
  const runs = await Promise.all(starts);
  for (const moment of luck.moments(2, 50, 900, 150)) {
    await until(`${moment} calls have begun`, async () => (await begun(scene)) >= moment);
    await scene.site.kill();
    await scene.site.start();
  }
  await expectAllSucceed(scene, runs);
  const calls = await scene.vendor.calls();
  const answered = new Set(calls.filter(({ status }) => status === 200).map(({ item }) => item));
  console.log(
    `seed ${luck.seed}: ${mostStarts(calls, 1_000)} calls in the fullest window, peak ${peakInFlight(calls)}, ${calls.length - COUNT} repeated`,
  );
  expect(calls.filter(({ status }) => status === 429)).toEqual([]);
  expect(mostStarts(calls, 1_000)).toBeLessThanOrEqual(RATE);
  expect(peakInFlight(calls)).toBeLessThanOrEqual(CONCURRENCY);
  expect(answered.size).toBe(COUNT);
  expect(calls.length - COUNT).toBeLessThanOrEqual(2 * CONCURRENCY);
});

async function begun({ vendor }: Scene): Promise<number> {
  return (await vendor.now()).calls["fast"] as number;
}
