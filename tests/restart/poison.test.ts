import { expect, test } from "vitest";
import { ended, readItems, start } from "./client.ts";
import { isHealthy, Site } from "./server.ts";
import { until } from "./until.ts";
import { type Call, Vendor } from "./vendor.ts";

const POISON = 10;
/** Most are done before the poison has its effect; these are caught in it again and again. */
const SLOW = [4, 9, 12, 17];
const MS = Array.from({ length: 20 }, (_, index): number => (SLOW.includes(index) ? 500 : 20));

test("an item that ends its executor's process each time fails alone", async () => {
  const vendor = await Vendor.open();
  const site = new Site(vendor.url);
  await site.start();
  const { run } = await start(site.url, "poisoned", { ms: MS.with(POISON, 200), poison: POISON });
  const health = watch(site.url);
  const last = await ended(site.url, run.id, 100_000);
  const answeredMs = health.stop();
  const items = await readItems(site.url, run.id);
  const poisonings = vendor.callsOf(`patient ${POISON}`);
  const answers = between(poisonings, answeredMs);
  console.log(
    `${poisonings.length} crashes in ${((performance.now() - site.upMs) / 1000).toFixed(1)} s, ` +
      `${answers.join(", ")} answers of /health between them, ${last.executions} executions of ${items.length} items`,
  );
  expect(last).toMatchObject({ status: "failed", items: { succeeded: 19, failed: 1 }, error: { index: POISON } });
  for (const { index, status, attempts } of items.toSpliced(POISON, 1)) {
    expect({ index, status, attempts }).toEqual({ index, status: "succeeded", attempts: 1 });
  }
  expect(items[POISON]).toMatchObject({ status: "failed", attempts: 0, error: { name: "ExecutorLost" } });
  expect(items[POISON]?.error?.message).toMatch(/^exec ended its executor 5 times, .* more memory or CPU time/);
  expect(poisonings).toHaveLength(5);
  expect(Math.min(...answers)).toBeGreaterThan(0);
});

/** Asks for the server's health all the time, and keeps the moments at which it answered. */
function watch(url: string): { stop: () => number[] } {
  const answeredMs: number[] = [];
  let isStopped = false;
  const loop = until(
    "the watch is stopped",
    async () => {
      if (await isHealthy(url)) answeredMs.push(performance.now());
      return isStopped;
    },
    110_000,
  );
  return {
    stop: () => {
      isStopped = true;
      void loop;
      return answeredMs;
    },
  };
}

/** How many of the moments lie between one call and the next. */
function between(calls: Call[], momentsMs: number[]): number[] {
  return calls.slice(1).map(({ atMs }, before) => {
    const { atMs: fromMs } = calls[before] as Call;
    return momentsMs.filter((ms) => ms > fromMs && ms < atMs).length;
  });
}
