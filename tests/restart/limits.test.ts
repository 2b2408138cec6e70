import { expect, test } from "vitest";
import { expectAllSucceed, open, startCalls } from "./limiting.ts";
import { type Call, mostStarts, mostTokens, overdraft, peakInFlight, spanSec } from "./windows.ts";

const COUNT = 1_000;
const RATE = 50;
const FAST = { requests: RATE, windowMs: 1_000, concurrency: 20, latencyMs: 20 };
const SLOW = { requests: RATE, windowMs: 1_000, concurrency: 200, latencyMs: 2_000 };

interface Case {
  how: string;
  account: string;
  vendor: typeof FAST;
  flows: string[];
  share: number;
}

const IN_ONE_RUN = { how: "in one run", account: "fast", vendor: FAST, flows: ["fast"], share: 0.95 };
const IN_FIVE_RUNS = { ...IN_ONE_RUN, how: "in five runs at once", flows: Array<string>(5).fill("fast") };
const IN_TWO_FLOWS = { ...IN_ONE_RUN, how: "in two flows at once", flows: ["fast", "alsoFast"] };
const SLOWLY = { how: "of two seconds each", account: "slow", vendor: SLOW, flows: ["slow"], share: 0.9 };

// Two servers at a time, each with a vendor of its own: both have little to do but wait.
test.for<{ one: Case; other: Case }>([
  { one: IN_ONE_RUN, other: SLOWLY },
  { one: IN_FIVE_RUNS, other: IN_TWO_FLOWS },
])(
  "a thousand calls $one.how, and as many $other.how, use what the limit allows, and never more",
  async ({ one, other }) => {
    await Promise.all([expectUse(one), expectUse(other)]);
  },
);

async function expectUse({ how, account, vendor: options, flows, share }: Case): Promise<void> {
  const scene = await open({ [account]: options });
  const starts = flows.map((flow, at) => startCalls(scene, flow, `run ${at}`, COUNT / flows.length, [account]));
  await expectAllSucceed(scene, await Promise.all(starts));
  const calls = await scene.vendor.calls();
  const used = calls.length / (RATE * spanSec(calls));
  console.log(
    `${how}: ${(100 * used).toFixed(1)} % of the limit, ${mostStarts(calls, 1_000)} calls in the fullest window, peak ${peakInFlight(calls)}`,
  );
  expect(refused(calls)).toEqual([]);
  expect(new Set(calls.map(({ item }) => item)).size).toBe(COUNT);
  expect(calls.length).toBe(COUNT);
  expect(mostStarts(calls, 1_000)).toBeLessThanOrEqual(RATE);
  expect(peakInFlight(calls)).toBeLessThanOrEqual(options.concurrency);
  expect(used).toBeGreaterThanOrEqual(share);
}

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
