import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type HalfWritten, halfWritten, inputOf, NO_PAUSES, polling } from "./half-written.ts";
import { type halfWrittenFlows, type Kill, type Killed, newKilled, watch } from "./half-written-kills.ts";
import { tallyOf, tallyOfSteps } from "./half-written-stored.ts";
import { crash, executorOf, finished, type Run, rows, runOf, start, storedOutput } from "./support.ts";

// A failure prints its seed. To repeat its kills, as nearly as two cores allow:
//
//   VITE_SEED=… npx vitest run --project workerd tests/durable/half-written.test.ts

const seed = Number(import.meta.env.VITE_SEED ?? Math.floor(Math.random() * 2 ** 31));

const KILLS = import.meta.env.VITE_SOAK ? 200 : 80;
const BRANCHES = 100;
const AT_ONCE = 6;
/** The one that polls, and those that it waits for. */
const POLLED = 21;
/** Runs that end before all their kills have come must not go on for ever. */
const MOST_RUNS = 40;
/** So many items at most does the end of one executor repeat. */
const PER_EXECUTOR = 6;

/** A kill after so many moments of a life. */
function killAfter(min: number, max: number, what: readonly Kill["what"][]): fc.Arbitrary<Kill> {
  return fc.record({
    what: fc.constantFrom(...what),
    after: fc.integer({ min, max: Math.floor(max) }),
    isHeld: fc.constantFrom(true, true, true, false),
    lag: fc.integer({ min: 0, max: 100 }),
  });
}

/**
 * The kills of each run with so many branches. Much is stored in a life, and then little in the next one; in every fourth run
 * nothing is in some that follow, so that its hooks are performed one by one.
 */
function schedules(branches: number): Kill[][] {
  const often = [...Array<"run">(7).fill("run"), "executor"] as const;
  const two = [killAfter(2 * branches, 3 * branches, often), killAfter(1, 1.6 * branches, often)];
  const three = [0.6, 0.1, 0.1].map((most) => killAfter(1, most * branches, ["run"]));
  const [few, many] = [sampled(5, two), sampled(4, [...two, ...three])];
  return few.map((some, run) => (run % 4 === 3 ? (many[run] as Kill[]) : some));
}

/** For each run so many times these kills. */
function sampled(times: number, kills: fc.Arbitrary<Kill>[]): Kill[][] {
  const lives = fc.array(fc.tuple(...kills), { minLength: times, maxLength: times });
  return fc.sample(lives, { seed, numRuns: MOST_RUNS }).map((some) => some.flat());
}

interface End {
  run: Run;
  killed: Killed;
}

/** A run that is killed as the schedule says, or as much of that as comes before its end. */
async function endOf(flow: keyof typeof halfWrittenFlows, count: number, schedule: Kill[]): Promise<End> {
  const name = crypto.randomUUID();
  const killed = newKilled(name, schedule);
  const { id } = await start(flow, inputOf(count, name));
  watch(id, killed);
  const killing = killed.strike(async (what, item) => {
    if (what === "run") return crash(runOf(id));
    return Promise.all((await slotsOf(id, item)).map((slot) => crash(executorOf(id, slot))));
  });
  const run = await finished(id).finally(() => killed.end());
  await killing;
  return { run, killed };
}

/** The slot that holds an item. Items that follow each other are written as one. */
async function slotsOf(id: string, { step, index }: { step: number; index: number }): Promise<number[]> {
  const sql = `select slot.id from slot, json_each(held)
    where value ->> 0 = ? and ? between value ->> 1 and (value ->> 1) + (value ->> 2) - 1`;
  return (await rows<{ id: number }>(id, sql, step, index)).map(({ id }) => id);
}

/** What each new object found stored is what the hooks had written that had ended: of no other anything, and nothing twice. */
function expectWhole({ found, struck }: Killed): void {
  let before = new Set<string>();
  for (const one of found) {
    if ("error" in one) throw new Error(one.error);
    expect(tallyOf(one.shared)).toEqual(tallyOfSteps(one.steps));
    const ended = one.shared.ended ?? new Set<string>();
    expect([...before].filter((word) => !ended.has(word))).toEqual([]);
    before = ended;
  }
  expect(found).toHaveLength(struck.run);
}

/** Everything is counted once, as in memory, and no execution is repeated but those of executors that were killed. */
async function expectCounted({ run, killed }: End, flow: { run(shared: HalfWritten): unknown }): Promise<void> {
  expectWhole(killed);
  expect(run, run.error?.message).toMatchObject({ status: "completed", items: { failed: 0 } });
  const shared = (await storedOutput(run.id)) as HalfWritten;
  const inMemory = inputOf(shared.count);
  await flow.run(inMemory);
  expect(tallyOf(shared)).toEqual(tallyOf(inMemory));
  const repeated = run.executions - run.items.total;
  expect(repeated).toBeLessThanOrEqual(PER_EXECUTOR * killed.struck.executor);
}

function sum(ends: readonly End[], of: (killed: Killed) => number): number {
  return ends.reduce((sum, { killed }) => sum + of(killed), 0);
}

function killsOf({ struck }: Killed): number {
  return struck.run + struck.executor;
}

/** So many kills of runs, a few of which are under way at once: they wait for much that takes no time of the machine. */
async function killRuns(kills: number): Promise<End[]> {
  const ahead = schedules(BRANCHES);
  const ends: End[] = [];
  let left = kills;
  const goOn = async () => {
    for (let schedule = ahead.shift(); schedule && left > 0; schedule = ahead.shift()) {
      const own = schedule.slice(0, left);
      left -= own.length;
      const flow = ahead.length % 3 === 0 ? "half-written, ten at a time" : "half-written";
      const end = await endOf(flow, BRANCHES, own);
      await expectCounted(end, halfWritten(NO_PAUSES));
      left += own.length - killsOf(end.killed);
      ends.push(end);
    }
  };
  // Where one has failed, the others go on no longer than to the end of their runs.
  await Promise.all(Array.from({ length: AT_ONCE }, goOn)).finally(() => ahead.splice(0));
  return ends;
}

describe("a hundred branches whose hooks write, wait and write again", () => {
  it("count everything once, whatever is killed half way, and nothing half written is ever loaded", async () => {
    console.log(`seed ${seed}`);
    const ends = await killRuns(KILLS);
    const kills = sum(ends, killsOf);
    const executors = sum(ends, ({ struck }) => struck.executor);
    const halfWay = sum(ends, (killed) => killed.halfWay);
    console.log(
      `${kills} kills of ${ends.length} runs, ${executors} of them of executors: ${halfWay} hooks were half way`,
    );
    expect(kills).toBe(KILLS);
    expect(halfWay).toBeGreaterThan(KILLS);
  }, 180_000);
});

describe("a prep that polls what twenty other branches write, from their first node to their last", () => {
  it("ends when they are through, and holds up none of them", async () => {
    const end = await endOf("half-written, polled", POLLED, []);
    await expectCounted(end, polling(NO_PAUSES));
    expect((await storedOutput(end.run.id)) as HalfWritten).toMatchObject({ seen: 20 });
  });

  it("does so too whatever is killed meanwhile", async () => {
    const [, , , schedule = []] = schedules(POLLED);
    console.log(`seed ${seed}`);
    const end = await endOf("half-written, polled", POLLED, schedule);
    console.log(`${killsOf(end.killed)} of ${schedule.length} kills`);
    await expectCounted(end, polling(NO_PAUSES));
    expect(killsOf(end.killed)).toBeGreaterThan(5);
  }, 60_000);
});
