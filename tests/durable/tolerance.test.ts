import { runDurableObjectAlarm } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Clock } from "./executor.ts";
import { type Bounds, KINDS, type Kind, newWorld, type World } from "./failing.ts";
import { look, seen } from "./limited.ts";
import { redriven, repeated, retry, twice, unharmed } from "./redriving.ts";
import { newStage, type Stage } from "./stage.ts";
import { executorOf, finished, post, type Run, ran, resultLines, start } from "./support.ts";

let world: World;
let stage: Stage;
beforeEach(() => {
  stage = newStage();
  world = newWorld();
});
afterEach(() => {
  vi.restoreAllMocks();
});

const nodeOf = (kind: Kind) => (KINDS[kind].parts === "items" ? KINDS[kind].node : "Load");

/** A run of which so many items, or branches, fail: others than the first and, where it can be, the last. */
async function failing(kind: Kind, bounds: Bounds, count: number, failed: number): Promise<Run> {
  for (let n = 0; n < failed; n++) world.broken.add((n + 1) % count);
  const run = await ran(`tolerating ${bounds}, ${kind}`, { count });
  return look(run.id);
}

/** Redrives a run and compares it with one in which nothing failed. */
async function expectMended(first: Run, kind: Kind, count: number): Promise<void> {
  const broken = [...world.broken];
  world.mend();
  const second = await redriven(first.id);
  expect(second).toMatchObject({
    status: "completed",
    completionReason: "all-succeeded",
    error: null,
    redriveCount: 1,
    redrives: [{ status: first.status, completionReason: first.completionReason, failed: first.items.failed }],
  });
  expect(repeated(world.calls, nodeOf(kind))).toEqual(twice(...broken));
  expect(second.executions).toBe(world.calls.length);
  const calls = world.calls.length;
  const whole = await unharmed(world, first.flow, { count });
  expect(second.output).toEqual(whole.output);
  expect(second.items).toEqual(whole.items);
  expect(await resultLines(first.id)).toEqual(await resultLines(whole.id));
  expect(world.calls.length).toBeGreaterThan(calls);
}

/** As many of so many fail as are tolerated. */
const TOLERATED: [bounds: Bounds, count: number, failed: number][] = [
  ["0 %", 8, 0],
  ["0", 8, 0],
  ["0 %", 0, 0],
  ["0", 0, 0],
  ["any", 0, 0],
  ["2", 8, 2],
  ["25 %", 8, 2],
  // The last one is over the bound, the one before it is not.
  ["25 %", 7, 1],
  // 29 / 100 * 100 is not 29.
  ["29 %", 100, 29],
  ["100 %", 5, 5],
  ["any", 5, 5],
  ["2", 1, 1],
  ["3 or 25 %", 8, 2],
  ["3 or 25 %", 40, 3],
  ["1 or 50 %", 2, 1],
];

/** One more fails than is tolerated. */
const EXCEEDED: [bounds: Bounds, count: number, failed: number][] = [
  ["0 %", 8, 1],
  ["0", 8, 1],
  ["0 %", 1, 1],
  ["2", 8, 3],
  ["2", 3, 3],
  ["25 %", 8, 3],
  ["25 %", 7, 2],
  ["29 %", 100, 30],
  ["3 or 25 %", 8, 3],
  ["3 or 25 %", 40, 4],
  ["1 or 50 %", 4, 2],
];

const ALL = Object.keys(KINDS) as Kind[];

describe.each(ALL)("%s", (kind) => {
  const { node, parts } = KINDS[kind];
  // Long lists are items only: they are about the arithmetic, which is the same for branches.
  const isOfKind = ([, count]: [bounds: Bounds, count: number, failed: number]) => parts === "items" || count < 40;

  it.each(TOLERATED.filter(isOfKind))(
    "tolerating %s of %i is completed where %i fail",
    async (bounds, count, failed) => {
      const run = await failing(kind, bounds, count, failed);
      const completionReason = failed > 0 ? "failures-tolerated" : "all-succeeded";
      expect(run).toMatchObject({ status: "completed", completionReason, error: null, redriveCount: 0, redrives: [] });
      const saved = parts === "branches" ? count - failed : 0;
      expect(run.items).toMatchObject({
        ...{ total: count + saved + 1, succeeded: count - failed + saved + 1, failed, canceled: 0 },
      });
      const { results = [], sums } = run.output as { results?: unknown[]; sums: number[] };
      expect(results.filter((result) => typeof result === "string")).toEqual(
        [...world.broken].sort((a, b) => a - b).map((n) => `Error: item ${n} is broken`),
      );
      expect([results.length, sums.length]).toEqual([count, 1]);
      if (failed === 0) expect((await post(`/runs/${run.id}/retry`)).status).toBe(409);
      else await expectMended(run, kind, count);
    },
  );

  it.each(EXCEEDED.filter(isOfKind))("tolerating %s of %i has failed where %i fail", async (bounds, count, failed) => {
    const run = await failing(kind, bounds, count, failed);
    expect(run).toMatchObject({
      ...{ status: "failed", completionReason: "tolerance-exceeded", output: null, redriveCount: 0 },
      error: {
        name: "ToleranceExceededError",
        message: `Expected at most ${bounds} of the ${count} ${parts} of ${node} to fail, got ${failed}`,
        ...{ node, branch: "", index: null, attempts: null },
      },
    });
    expect(run.items).toMatchObject({ failed, pending: 0, running: 0, deferred: 0 });
    expect(world.callsOf("Sum")).toEqual([]);
    await expectMended(run, kind, count);
  });
});

describe("a run that has failed for another reason", () => {
  it("says which item it was where none may fail", async () => {
    world.broken.add(2);
    const run = await ran("strict", { count: 4 });
    expect(run).toMatchObject({
      ...{ status: "failed", completionReason: "item-failed" },
      error: { name: "Error", message: "item 2 is broken", node: "Strict", branch: "", index: 2, attempts: 1 },
    });
  });

  it("says which hook it was", async () => {
    world.brokenHooks.add(-1);
    const run = await ran("collecting", { count: 4 });
    expect(run).toMatchObject({
      ...{ status: "failed", completionReason: "flow-failed", items: { total: 5, succeeded: 5 } },
      error: { name: "Error", message: "hook -1 is broken", node: "Sum", branch: "", index: null },
    });
    world.mend();
    const second = await redriven(run.id);
    expect(second).toMatchObject({ completionReason: "all-succeeded", redrives: [{ failed: 0 }], executions: 5 });
    expect(second.output).toEqual((await unharmed(world, "collecting", { count: 4 })).output);
  });

  it("says that its time was up, and has all of it again when it is redriven", async () => {
    const clock = new Clock();
    const ended = { status: "failed", completionReason: "deadline-exceeded", items: { succeeded: 2, canceled: 2 } };
    const waits = { status: "waiting", items: { succeeded: 2, deferred: 2 } };
    world.broken.add(1).add(2);
    const { id } = await start("collecting in a minute", { count: 4 });
    await seen(id, waits);
    await clock.pass(id, 50_000);
    expect(await look(id)).toMatchObject(waits);
    await clock.pass(id, 11_000);
    expect(await look(id)).toMatchObject({
      ...ended,
      error: { name: "DeadlineExceededError", message: expect.stringContaining("60 s"), node: null, index: null },
    });
    await retry(id);
    // Whose alarm was set by the clock that was put forward.
    await expect.poll(() => runDurableObjectAlarm(executorOf(id, 0))).toBe(true);
    await seen(id, waits);
    await clock.pass(id, 50_000);
    expect(await look(id)).toMatchObject(waits);
    await clock.pass(id, 11_000);
    expect(await look(id)).toMatchObject({ ...ended, redriveCount: 1 });
    vi.restoreAllMocks();
    world.mend();
    const again = { status: "failed", completionReason: "deadline-exceeded", failed: 0 };
    expect(await redriven(id)).toMatchObject({
      ...{ completionReason: "all-succeeded", items: { total: 5, succeeded: 5 } },
      ...{ redriveCount: 2, redrives: [again, again] },
    });
    expect(repeated(world.calls, "Collecting")).toEqual({ 1: 3, 2: 3 });
  });

  it("says that it was canceled", async () => {
    world.gated.add(1);
    const { id } = await start("collecting", { count: 4 });
    await stage.heard("Collecting 1");
    await post(`/runs/${id}/cancel`);
    expect(await look(id)).toMatchObject({ status: "canceled", completionReason: "canceled", error: null });
    stage.open("item 1");
    await finished(id);
  });

  it("says nothing while it goes on", async () => {
    world.gated.add(1);
    world.broken.add(2);
    const { id } = await start("collecting", { count: 4 });
    await expect.poll(async () => (await look(id)).items.failed).toBe(1);
    expect(await look(id)).toMatchObject({ status: "running", completionReason: null, error: null });
    stage.open("item 1");
    expect(await finished(id)).toMatchObject({ completionReason: "failures-tolerated" });
  });
});
