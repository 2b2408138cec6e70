import { expect, test } from "vitest";
import { cancel } from "./client.ts";
import { expectAllSucceed, open, type Started, startCalls } from "./limiting.ts";
import { until } from "./until.ts";
import { type Call, inFlightAt, spanSec, startsBetween } from "./windows.ts";

const COUNT = 150;
const KEYED = { requests: 50, windowMs: 1_000, concurrency: 20, latencyMs: 20 };

test("after a refusal no call begins until the vendor wants some again, and no attempt is spent", async () => {
  const concurrency = 10;
  const scene = await open({ cool: { concurrency, latencyMs: 200 } });
  const run = await startCalls(scene, "cool", "run", COUNT, ["cool"]);
  await until("calls are under way", async () => ((await scene.vendor.now()).calls["cool"] as number) >= 50);
  await scene.vendor.refuseNext("cool", { retryAfter: 2 });
  await expectAllSucceed(scene, [run]);
  const calls = await scene.vendor.calls();
  const { endedMs } = refusedOf(calls);
  // What is under way then may still be on its way to the vendor. No more than the limit's places are: one was refused.
  const late = startsBetween(calls, endedMs, endedMs + 2_000);
  console.log(`${inFlightAt(calls, endedMs)} calls were under way at the refusal, ${late} arrived later`);
  expect(late + inFlightAt(calls, endedMs)).toBeLessThan(concurrency);
  expect(calls.length).toBe(COUNT + 1);
});

test.for([
  { how: "of another run", runs: [["cooling"], ["other"]] },
  { how: "of the same run", runs: [["cooling", "other"]] },
])("a key that cools down for ten seconds does not hold back one $how", async ({ runs: accountsOfRuns }) => {
  // What is under way at the refusal does not end, and make room for more, before anybody knows of it.
  const scene = await open({ alone: KEYED, cooling: { ...KEYED, latencyMs: 500 }, other: KEYED });
  const { site, vendor } = scene;
  await expectAllSucceed(scene, [await startCalls(scene, "keyed", "alone", COUNT, ["alone"])]);
  await vendor.refuseNext("cooling", { retryAfter: 10 });
  const runs: Started[] = [];
  for (const accounts of accountsOfRuns) {
    runs.push(await startCalls(scene, "keyed", `run ${runs.length}`, COUNT * accounts.length, accounts));
    await until("the key cools down", async () => (await vendor.now()).calls["cooling"]);
  }
  await until("the other key's calls have begun", async () => (await vendor.now()).calls["other"] === COUNT);
  const { nowMs } = await vendor.now();
  await cancel(site.url, (runs[0] as Started).id);
  const cooling = await vendor.calls("cooling");
  const { endedMs } = refusedOf(cooling);
  const late = startsBetween(cooling, endedMs, Math.min(nowMs, endedMs + 10_000));
  const ratio = spanSec(await vendor.calls("other")) / spanSec(await vendor.calls("alone"));
  console.log(`${ratio.toFixed(2)} times as long as alone, ${late} calls of the cooling key in ${nowMs - endedMs} ms`);
  expect(late + inFlightAt(cooling, endedMs)).toBeLessThan(KEYED.concurrency);
  expect(ratio).toBeLessThan(1.25);
});

/** The one call that was refused. */
function refusedOf(calls: readonly Call[]): Call {
  const refused = calls.filter(({ status }) => status === 429);
  expect(refused).toHaveLength(1);
  return refused[0] as Call;
}
