import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { runDurable } from "./random-programs/durable.ts";
import { programs, schedules } from "./random-programs/generate.ts";
import type { Kill } from "./random-programs/kills.ts";
import { type End, endInMemory, Watch } from "./random-programs/memory.ts";
import type { Shared } from "./random-programs/program.ts";

// A failure prints its seed and the path to the smallest program found. To repeat that one alone:
//
//   VITE_SEED=… VITE_PATH=… npx vitest run --project workerd tests/durable/random.test.ts

declare global {
  interface ImportMeta {
    readonly env: { VITE_SEED?: string; VITE_PATH?: string; VITE_RUNS?: string; VITE_SOAK?: string };
  }
}

const { VITE_SEED, VITE_PATH, VITE_RUNS } = import.meta.env;
const seed = Number(VITE_SEED ?? Math.floor(Math.random() * 2 ** 31));
const numRuns = Number(VITE_RUNS ?? 40);

/** Programs of more moments are passed over. */
const MOST_MOMENTS = 120;
/** A run that has not ended by then hangs. */
const DEADLINE_MS = 10_000;
/** The same where executors are lost: their leases are waited for. */
const LATE_DEADLINE_MS = 20_000;
/** How long to look for a program that fails, and then for a smaller one. */
const PATIENCE_MS = Math.max(100_000, 2_000 * numRuns);
const BOUNDS = { timeout: 2 * LATE_DEADLINE_MS, interruptAfterTimeLimit: PATIENCE_MS, markInterruptAsFailure: true };
const TIME = { timeout: 1.5 * PATIENCE_MS };

function deadlineOf(schedule: Kill[]): number {
  return schedule.some(({ what }) => what === "executors") ? LATE_DEADLINE_MS : DEADLINE_MS;
}

/** What a hook counts at its begin it has counted at its end as well. */
function expectNothingHalf({ sums, branches }: Shared): void {
  for (const { begun, ended } of [sums, ...Object.values(branches)]) expect(begun).toBe(ended);
}

/** What there was in a run. */
function* featuresOf({ shared }: End): Generator<string> {
  if (!shared) return;
  const paths = Object.keys(shared.branches);
  if (paths.some((path) => path.split("/").length === 2)) yield "branches";
  if (paths.some((path) => path.split("/").length > 2)) yield "branches in branches";
  const visits = Object.values(shared.branches).flatMap(({ visits }) => Object.values(visits));
  if (visits.some((count) => count > 1)) yield "loops";
}

describe("a random program", () => {
  it("ends the same in memory, however long its pauses take", async () => {
    const seen = new Set<string>();
    const property = fc.asyncProperty(programs, async (program) => {
      const watch = new Watch(MOST_MOMENTS);
      const end = await endInMemory(program, watch);
      fc.pre(!watch.isTooLong);
      if (end.shared) expectNothingHalf(end.shared);
      for (const feature of featuresOf(end)) seen.add(feature);
      let pauses = 0;
      expect(await endInMemory(program, new Watch(MOST_MOMENTS, () => (7 * pauses++) % 5))).toStrictEqual(end);
    });
    await fc.assert(property, { seed, numRuns: 80 });
    expect([...seen].sort()).toEqual(["branches", "branches in branches", "loops"]);
  });

  it("ends durable as in memory, whatever is killed, and no half of a hook is ever stored", TIME, async () => {
    let killed = 0;
    const property = fc.asyncProperty(schedules, programs, async (schedule, program) => {
      const watch = new Watch(MOST_MOMENTS);
      const inMemory = await endInMemory(program, watch);
      fc.pre(!watch.isTooLong);
      const { end, stored, kills } = await runDurable(program, schedule, deadlineOf(schedule));
      expect(end).toStrictEqual(inMemory);
      for (const shared of stored) expectNothingHalf(shared);
      if (inMemory.shared) expect(stored.at(-1)).toStrictEqual(inMemory.shared);
      killed += kills;
    });
    const path = VITE_PATH ? { path: VITE_PATH } : {};
    await fc.assert(property, { seed, numRuns, ...path, ...BOUNDS });
    if (!VITE_PATH) expect(killed).toBeGreaterThan(0);
  });
});
