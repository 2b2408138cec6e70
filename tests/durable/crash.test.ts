import { abortAllDurableObjects, evictDurableObject } from "cloudflare:test";
import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { resultsOf, type Task, tasks } from "./flows.ts";
import { newStage, type Stage } from "./stage.ts";
import { call, crash, executorOf, finished, getRun, ran, runOf, start, storedOutput } from "./support.ts";

const ITEMS = 40;
/** How many items pass together, and how many groups of them are in exec at once. */
const GROUP = 8;
const WIDTH = 16;
const PER_EXECUTOR = 6;

let stage: Stage;
beforeEach(() => {
  stage = newStage();
});

/** Items that pass in groups, each when the test opens it: so every moment of a fault is one of the test's choosing. */
const grouped: Task[] = tasks(ITEMS).map(({ n }) => ({ n, gate: String(Math.floor(n / GROUP)) }));

interface Fault {
  /** Before which group passes. */
  group: number;
  what: "run" | "executor" | "all" | "evict";
  slot: number;
}

async function strike(id: string, { what, slot }: Fault): Promise<void> {
  if (what === "run") await crash(runOf(id));
  if (what === "executor") await crash(executorOf(id, slot));
  if (what === "evict") await evictDurableObject(runOf(id));
  if (what === "all") await abortAllDurableObjects();
}

/** Runs all items with faults on the way. Returns the run and how many calls of exec the faults may have cost at most. */
async function runThrough(faults: Fault[]) {
  const { id } = await start("work", { tasks: grouped });
  let lost = 0;
  for (let group = 0; group < ITEMS / GROUP; group++) {
    await allStarted(Math.min(ITEMS, group * GROUP + WIDTH));
    for (const fault of faults.filter((fault) => fault.group === group)) {
      const { running } = (await getRun(id)).items;
      lost += fault.what === "all" ? running : fault.what === "executor" ? Math.min(PER_EXECUTOR, running) : 0;
      await strike(id, fault);
    }
    stage.open(String(group));
  }
  return { run: await finished(id), lost };
}

/** Waits until the first so many items have been in exec. */
function allStarted(count: number): Promise<void> {
  return stage.until(() => new Set(stage.said.filter((said) => /^start \d/.test(said))).size >= count);
}

async function expectAllDone(id: string): Promise<void> {
  expect(await storedOutput(id)).toMatchObject({ results: resultsOf(ITEMS), posts: 1 });
  const { items } = await (await call(`/runs/${id}/items`)).json<{ items: object[] }>();
  expect(items).toMatchObject(
    resultsOf(ITEMS).map((result, index) => ({ index, result, status: "succeeded", attempts: 1 })),
  );
}

describe("a run whose own object is lost", () => {
  const moments = fc.array(
    fc.record({ group: fc.nat(4), what: fc.constantFrom("run", "evict"), slot: fc.constant(0) }),
    {
      minLength: 1,
      maxLength: 6,
    },
  );

  it("at any moment ends as if nothing had been, and no exec is repeated", async () => {
    await fc.assert(
      fc.asyncProperty(moments, async (faults) => {
        stage = newStage();
        const { run } = await runThrough(faults as Fault[]);
        expect(run).toMatchObject({ status: "completed", executions: ITEMS, items: { succeeded: ITEMS } });
        expect(stage.count("start")).toBe(ITEMS);
        await expectAllDone(run.id);
      }),
      { numRuns: 8 },
    );
  });

  it("while its sole item is in exec there executes that once more, elsewhere", async () => {
    const { id } = await start("single", { tasks: [{ n: 3, gate: "go" }] });
    await stage.heard("start 3");
    await crash(runOf(id));
    stage.open("go");
    const run = await finished(id);
    expect(run).toMatchObject({ status: "completed", executions: 2, output: { results: [30], posts: 1 } });
    expect(stage.count("start 3")).toBe(2);
  });

  it("before its first turn begins all the same", async () => {
    const { id } = await start("work", { tasks: tasks(3) });
    await crash(runOf(id));
    expect(await finished(id)).toMatchObject({ status: "completed", output: { results: resultsOf(3) } });
  });

  it("again and again still moves", async () => {
    const { id } = await start("stages", { tasks: tasks(20) });
    for (let times = 0; times < 10; times++) {
      await crash(runOf(id));
      await getRun(id);
    }
    expect(await finished(id)).toMatchObject({ status: "completed", output: { posts: 3 } });
  });
});

describe("a run that loses anything at any moment", () => {
  const faults = fc.array(
    fc.record({ group: fc.nat(4), what: fc.constantFrom("run", "executor", "executor", "all"), slot: fc.nat(2) }),
    { minLength: 1, maxLength: 3 },
  );

  it("ends as if nothing had been; exec is repeated for no more than what was in flight", async () => {
    await fc.assert(
      fc.asyncProperty(faults, async (faults) => {
        stage = newStage();
        const { run, lost } = await runThrough(faults as Fault[]);
        expect(run).toMatchObject({ status: "completed", items: { total: ITEMS, succeeded: ITEMS } });
        expect(run.executions - ITEMS).toBeLessThanOrEqual(lost);
        await expectAllDone(run.id);
      }),
      { numRuns: 3 },
    );
  }, 60_000);
});

describe("a client", () => {
  it("gets an answer while the run's object is being lost", async () => {
    const { id } = await start("work", { tasks: tasks(4, { gate: "all" }) });
    await stage.heard("start", 4);
    const looks: Promise<number>[] = [];
    for (let times = 0; times < 10; times++) {
      looks.push(call(`/runs/${id}`).then(({ status }) => status));
      await crash(runOf(id));
      looks.push(call(`/runs/${id}/items`).then(({ status }) => status));
    }
    expect(await Promise.all(looks)).toEqual(Array(20).fill(200));
    stage.open("all");
    expect(await finished(id)).toMatchObject({ status: "completed", executions: 4 });
  });

  it("still finds a finished run, word for word, after everything was lost", async () => {
    const before = await ran("stages", { tasks: tasks(5) });
    const look = async () => (await call(`/runs/${before.id}/items`)).text();
    const items = await look();
    await abortAllDurableObjects();
    expect(await getRun(before.id)).toEqual(before);
    expect(await look()).toBe(items);
  });
});
