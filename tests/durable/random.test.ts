import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { programs, schedules } from "./random-programs/generate.ts";
import { Kills } from "./random-programs/kills.ts";
import { type End, endInMemory, Watch } from "./random-programs/memory.ts";
import { inputOf, type Program, type Shared } from "./random-programs/program.ts";
import { abortHere, play } from "./random-programs/stage.ts";
import { crash, executorOf, getRun, type Run, runOf, start, storedOutput } from "./support.ts";

// A failure prints its seed and the path to the smallest program found. To repeat that one alone:
//
//   VITE_SEED=… VITE_PATH=… npx vitest run tests/durable/random.test.ts

declare global {
  interface ImportMeta {
    readonly env: { VITE_SEED?: string; VITE_PATH?: string; VITE_RUNS?: string };
  }
}

const { VITE_SEED, VITE_PATH, VITE_RUNS } = import.meta.env;
const seed = Number(VITE_SEED ?? Math.floor(Math.random() * 2 ** 31));
const numRuns = Number(VITE_RUNS ?? 40);

/** Programs of more moments are passed over. */
const MOST_MOMENTS = 120;
/** A run that has not ended by then hangs. The longest wait that is meant is a lease. */
const DEADLINE_MS = 20_000;
/** How long to look for a smaller program that fails. */
const PATIENCE_MS = 100_000;

async function endOfRun(program: Program, kills: Kills): Promise<End> {
  play(program, kills);
  const { id } = await start("random", inputOf(program));
  const killing = kills.strike((what) => (what === "run" ? crash(runOf(id)) : crashExecutors(id)));
  const run = await finishedInTime(id).finally(() => kills.end());
  await killing;
  if (run.error !== null) return { error: { name: run.error.name, message: run.error.message } };
  return { shared: (await storedOutput(id)) as Shared, action: run.action };
}

function crashExecutors(id: string): Promise<unknown> {
  return Promise.all([0, 1, 2].map((slot) => crash(executorOf(id, slot))));
}

async function finishedInTime(id: string): Promise<Run> {
  for (const deadline = Date.now() + DEADLINE_MS; ; ) {
    // An object that is lost meanwhile breaks the call: the next look loads it anew.
    await runOf(id)
      .wait(deadline - Date.now())
      .catch(() => undefined);
    const run = await getRun(id);
    if (run.finishedAt !== null) return run;
    if (Date.now() >= deadline) throw new Error(`The run hangs: ${JSON.stringify(run)}`);
  }
}

describe("a random program", () => {
  it("ends the same in memory, however long its pauses take", async () => {
    const property = fc.asyncProperty(programs, async (program) => {
      const watch = new Watch(MOST_MOMENTS);
      const end = await endInMemory(program, watch);
      fc.pre(!watch.isTooLong);
      expect(end.shared?.sums.begun).toBe(end.shared?.sums.ended);
      let pauses = 0;
      expect(await endInMemory(program, new Watch(MOST_MOMENTS, () => (7 * pauses++) % 5))).toStrictEqual(end);
    });
    await fc.assert(property, { seed, numRuns: 100 });
  });

  it(
    "ends durable as in memory, whatever is killed meanwhile",
    async () => {
      const property = fc.asyncProperty(schedules, programs, async (schedule, program) => {
        const watch = new Watch(MOST_MOMENTS);
        const inMemory = await endInMemory(program, watch);
        fc.pre(!watch.isTooLong);
        expect(await endOfRun(program, new Kills(schedule, abortHere))).toStrictEqual(inMemory);
      });
      const path = VITE_PATH ? { path: VITE_PATH } : {};
      await fc.assert(property, {
        seed,
        numRuns,
        ...path,
        timeout: 2 * DEADLINE_MS,
        interruptAfterTimeLimit: PATIENCE_MS,
        markInterruptAsFailure: true,
      });
    },
    1.5 * PATIENCE_MS,
  );
});
