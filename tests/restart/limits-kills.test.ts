import { expect, test } from "vitest";
import { expectAllSucceed, open, type Scene, startCalls } from "./limiting.ts";
import { chance } from "./seed.ts";
import { until } from "./until.ts";
import { mostStarts, peakInFlight } from "./windows.ts";

const RUNS = 5;
const KILLS = 2;
const CONCURRENCY = 20;

interface Case {
  account: string;
  count: number;
  requests: number;
  windowMs: number;
}

const FAST: Case = { account: "fast", count: 1_000, requests: 50, windowMs: 1_000 };
// Longer than a server takes to start again: what was called before a kill counts after it.
const LONG: Case = { account: "long", count: 250, requests: 100, windowMs: 4_000 };

test("calls of five runs are never more than a window allows, though their server is killed twice", async () => {
  // Each on a server of its own.
  await Promise.all([FAST, LONG].map(expectBound));
});

async function expectBound({ account, count, ...window }: Case): Promise<void> {
  const scene = await open({ [account]: { ...window, concurrency: CONCURRENCY, latencyMs: 20 } });
  const luck = chance();
  const starts = Array.from({ length: RUNS }, (_, at) =>
    startCalls(scene, account, `run ${at}`, count / RUNS, [account]),
  );
  const runs = await Promise.all(starts);
  for (const moment of luck.moments(KILLS, count / 20, 0.9 * count, count / 4)) {
    await until(`${moment} calls have begun`, async () => (await begun(scene, account)) >= moment);
    await scene.site.kill();
    await scene.site.start();
  }
  await expectAllSucceed(scene, runs);
  const calls = await scene.vendor.calls();
  const most = mostStarts(calls, window.windowMs);
  console.log(
    `seed ${luck.seed}: ${most} calls in the fullest window, peak ${peakInFlight(calls)}, ${calls.length - count} repeated`,
  );
  const answered = new Set(calls.filter(({ status }) => status === 200).map(({ item }) => item));
  expect(calls.filter(({ status }) => status === 429)).toEqual([]);
  expect(most).toBeLessThanOrEqual(window.requests);
  expect(peakInFlight(calls)).toBeLessThanOrEqual(CONCURRENCY);
  expect(answered.size).toBe(count);
  // At each kill so many could be under way.
  expect(calls.length - count).toBeLessThanOrEqual(KILLS * CONCURRENCY);
}

async function begun({ vendor }: Scene, account: string): Promise<number> {
  return (await vendor.now()).calls[account] as number;
}
