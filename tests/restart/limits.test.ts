import { expect, test } from "vitest";
import { expectAllSucceed, open, startCalls } from "./limiting.ts";
import { type Call, mostStarts, mostTokens, overdraft, peakInFlight, spanSec } from "./windows.ts";

const COUNT = 1_000;
const RATE = 50;
const FAST = { requests: RATE, windowMs: 1_000, concurrency: 20, latencyMs: 20 };
const SLOW = { requests: RATE, windowMs: 1_000, concurrency: 200, latencyMs: 2_000 };

test.for([
  { how: "in one run", account: "fast", vendor: FAST, flows: ["fast"], share: 0.95 },
  { how: "in five runs at once", account: "fast", vendor: FAST, flows: Array(5).fill("fast"), share: 0.95 },
  { how: "in two flows at once", account: "fast", vendor: FAST, flows: ["fast", "alsoFast"], share: 0.95 },
  { how: "of two seconds each", account: "slow", vendor: SLOW, flows: ["slow"], share: 0.9 },
])("a thousand calls $how use what the limit allows, and never more", async ({ account, vendor: options, ...rest }) => {
  const { flows, share } = rest;
  const scene = await open({ [account]: options });
  const starts = flows.map((flow, at) => startCalls(scene, flow, `run ${at}`, COUNT / flows.length, [account]));
  await expectAllSucceed(scene, await Promise.all(starts));
  const calls = await scene.vendor.calls();
  const used = calls.length / (RATE * spanSec(calls));
  console.log(
    `${(100 * used).toFixed(1)} % of the limit, ${mostStarts(calls, 1_000)} calls in the fullest window, peak ${peakInFlight(calls)}`,
  );
  expect(refused(calls)).toEqual([]);
  expect(new Set(calls.map(({ item }) => item)).size).toBe(COUNT);
  expect(calls.length).toBe(COUNT);
  expect(mostStarts(calls, 1_000)).toBeLessThanOrEqual(RATE);
  expect(peakInFlight(calls)).toBeLessThanOrEqual(options.concurrency);
  expect(used).toBeGreaterThanOrEqual(share);
});

test("calls that use other tokens than estimated use what the limit allows, and no more than nobody could know", async () => {
  const budget = { tokens: 10_000, estimate: 100, concurrency: 20 };
  const scene = await open({ tokens: { latencyMs: 20 } });
  await expectAllSucceed(scene, [await startCalls(scene, "tokens", "run", 600, ["tokens"])]);
  const calls = await scene.vendor.calls();
  const tokens = calls.reduce((sum, call) => sum + call.tokens, 0);
  const used = tokens / (budget.tokens * spanSec(calls));
  const worst = overdraft(calls, 1_000, budget);
  console.log(
    `${(100 * used).toFixed(1)} % of the limit, ${mostTokens(calls, 1_000)} tokens in the fullest window, overdraft ${worst}`,
  );
  expect(calls.length).toBe(600);
  expect(peakInFlight(calls)).toBeLessThanOrEqual(budget.concurrency);
  expect(worst).toBeLessThanOrEqual(0);
  expect(used).toBeGreaterThanOrEqual(0.9);
});

function refused(calls: readonly Call[]): Call[] {
  return calls.filter(({ status }) => status === 429);
}
