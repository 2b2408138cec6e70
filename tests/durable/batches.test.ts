import { beforeEach, describe, expect, it } from "vitest";
import { resultsOf, tasks } from "./flows.ts";
import { newStage, type Stage } from "./stage.ts";
import { call, finished, getRun, ran, start, storedOutput } from "./support.ts";

let stage: Stage;
beforeEach(() => {
  stage = newStage();
});

/** How many items were in exec at once, at most. */
function widest(): number {
  let now = 0;
  let most = 0;
  for (const said of stage.said) {
    if (said === "start") most = Math.max(most, ++now);
    if (said === "end") now--;
  }
  return most;
}

describe("a parallel batch", () => {
  it.each([
    ["work", 16, 3],
    ["narrow", 2, 1],
    ["few to an executor", 6, 3],
  ])(
    "of the flow `%s` has %i items in exec at once, in %i executors, and never more",
    async (flow, width, executors) => {
      const { id } = await start(flow, { tasks: tasks(40, { gate: "all" }) });
      // Hangs here if fewer than so many ever are in exec together.
      await stage.heard("start", width);
      const { items } = await getRun(id);
      expect(items).toMatchObject({ total: 40, running: width, pending: 40 - width, succeeded: 0 });
      stage.open("all");
      const run = await finished(id);
      expect(widest()).toBe(width);
      expect(run).toMatchObject({ status: "completed", executions: 40, executors });
      expect(await storedOutput(id)).toMatchObject({ results: resultsOf(40), posts: 1 });
    },
  );

  it("begins the next item as soon as one has ended, without waiting for those that began with it", async () => {
    const { id } = await start("narrow", {
      tasks: [{ n: 0, gate: "first" }, ...tasks(9).map(({ n }) => ({ n: n + 1 }))],
    });
    await stage.heard("end", 9);
    expect(stage.count("end 0")).toBe(0);
    stage.open("first");
    expect((await finished(id)).output).toMatchObject({ results: resultsOf(10) });
  });

  it("ends at once when an item fails for good: what has not started never does", async () => {
    const failing = { n: 0, gate: "fail", failures: 9 };
    const { id } = await start("narrow", { tasks: [failing, { n: 1, gate: "late" }, ...tasks(8)] });
    await stage.heard("start", 2);
    stage.open("fail");
    const run = await finished(id);
    expect(run).toMatchObject({
      status: "failed",
      output: null,
      error: { message: "task 0 failed at attempt 1", node: "AtOnce", branch: "", index: 0, attempts: 1 },
    });
    stage.open("late");
    await stage.heard("end 1");
    expect(stage.count("start")).toBe(2);
    expect(stage.count("post")).toBe(0);
  });

  it("keeps what ends late, since somebody paid for it, and moves no further for it", async () => {
    const failing = { n: 0, gate: "fail", failures: 9 };
    const { id } = await start("narrow", { tasks: [failing, { n: 1, gate: "late" }, ...tasks(8)] });
    await stage.heard("start", 2);
    stage.open("fail");
    const early = await finished(id);
    expect(early.items).toMatchObject({ total: 10, succeeded: 0, failed: 1, canceled: 9, running: 0, pending: 0 });
    stage.open("late");
    await expect.poll(async () => (await getRun(id)).items.succeeded, { timeout: 5000 }).toBe(1);
    const late = await getRun(id);
    expect({ ...late, items: null }).toEqual({ ...early, items: null });
    expect(late.items).toMatchObject({ total: 10, succeeded: 1, failed: 1, canceled: 8 });
    const { items } = await (await call(`/runs/${id}/items?status=succeeded`)).json<{ items: object[] }>();
    expect(items).toMatchObject([{ index: 1, result: 10, attempts: 1 }]);
  });

  it("says which error was the first in time, not in order", async () => {
    const { id } = await start("work", {
      tasks: [
        { n: 0, gate: "late", failures: 9 },
        { n: 1, gate: "early", failures: 9 },
      ],
    });
    await stage.heard("start", 2);
    stage.open("early");
    expect((await finished(id)).error).toMatchObject({ index: 1 });
    stage.open("late");
    await stage.heard("end 0");
    expect((await getRun(id)).error).toMatchObject({ index: 1 });
  });
});

describe("a batch", () => {
  it("has one item in exec at a time, in order", async () => {
    const { status } = await ran("in order", { tasks: tasks(7) });
    expect(status).toBe("completed");
    expect(widest()).toBe(1);
    expect(stage.said.filter((said) => /^start \d/.test(said))).toEqual([0, 1, 2, 3, 4, 5, 6].map((n) => `start ${n}`));
  });

  it("begins no item before the one ahead of it has succeeded, however often that is tried", async () => {
    const { status } = await ran("in order, retried", {
      tasks: [{ n: 0, failures: 2 }, { n: 1, failures: 1 }, { n: 2 }],
    });
    expect(status).toBe("completed");
    expect(stage.said.filter((said) => /^start \d/.test(said)).join()).toBe(
      "start 0,start 0,start 0,start 1,start 1,start 2",
    );
  });

  it("stops at the item that fails; what came before stays", async () => {
    const run = await ran("in order", { tasks: [{ n: 0 }, { n: 1 }, { n: 2, failures: 1 }, { n: 3 }] });
    expect(run).toMatchObject({ status: "failed", executions: 3, error: { index: 2 } });
    expect(run.items).toMatchObject({ succeeded: 2, failed: 1, canceled: 1 });
    expect(stage.count("start 3")).toBe(0);
  });
});

describe("a run", () => {
  it("waits for a retry that is far off, and says until when", async () => {
    const { id } = await start("retried later", { tasks: [{ n: 0, failures: 1 }, { n: 1 }] });
    await expect.poll(async () => (await getRun(id)).status).toBe("waiting");
    const run = await getRun(id);
    expect(run.items).toMatchObject({ deferred: 1, succeeded: 1, running: 0, pending: 0 });
    const inMs = Date.parse(run.resumesAt as string) - Date.now();
    expect(inMs).toBeGreaterThan(3_500_000);
    expect(inMs).toBeLessThanOrEqual(3_600_000);
    await call(`/runs/${id}/cancel`, { method: "POST" });
  });

  it("records an end that no node declared, and none that one did", async () => {
    const undeclared = await ran("an action that nobody takes, in the TypeScript spelling", { log: [] });
    expect(undeclared).toMatchObject({ action: "typo", warnings: ["Flow ends at a: 'typo' not found in [type]"] });
    const declared = await ran("batches in a row and in a loop, in the seed's spelling", { log: [], numbers: [9] });
    expect(declared).toMatchObject({ action: "enough", warnings: [] });
  });

  it("counts an execution for each attempt, and an attempt for each outcome", async () => {
    const run = await ran("retried", { tasks: [{ n: 0, failures: 2 }, { n: 1 }, { n: 2, failures: 1 }] });
    expect(run).toMatchObject({ status: "completed", executions: 6 });
    const { items } = await (await call(`/runs/${run.id}/items`)).json<{ items: { attempts: number }[] }>();
    expect(items.map(({ attempts }) => attempts)).toEqual([3, 1, 2]);
  });
});
