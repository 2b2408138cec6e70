import { beforeEach, describe, expect, it } from "vitest";
import { newWorld, type World } from "./failing.ts";
import { atRest, limitOf, look, newKey, seen } from "./limited.ts";
import { itemsOf, keysOf, redriven, repeated, retry, twice, unharmed } from "./redriving.ts";
import { newStage, type Stage } from "./stage.ts";
import { crash, finished, getRun, post, type Run, ran, resultLines, rows, runOf, start } from "./support.ts";

let world: World;
let stage: Stage;
beforeEach(() => {
  stage = newStage();
  world = newWorld();
});

async function cancel(id: string): Promise<void> {
  expect((await post(`/runs/${id}/cancel`)).status).toBe(202);
}

/** The problem that a refused redrive is answered with. */
async function refusal(id: string): Promise<{ status: number; detail: string }> {
  const response = await post(`/runs/${id}/retry`);
  expect(response.status).toBe(409);
  return response.json();
}

const ALL_SUCCEEDED = { status: "completed", completionReason: "all-succeeded", error: null };

describe("a redrive of a run with failed items", () => {
  it("executes the 37 of 1,000 that failed, and gives what a run gives in which nothing failed", async () => {
    for (let n = 0; n < 37; n++) world.broken.add(n * 27);
    const first = await ran("collecting", { count: 1000 });
    expect(first).toMatchObject({ status: "completed", completionReason: "failures-tolerated", redriveCount: 0 });
    expect(first.items).toMatchObject({ total: 1001, succeeded: 964, failed: 37 });
    const broken = [...world.broken];
    world.mend();
    world.calls.length = 0;
    const second = await redriven(first.id);
    expect(world.callsOf("Collecting").sort((a, b) => a - b)).toEqual(broken);
    const whole = await unharmed(world, "collecting", { count: 1000 });
    expect(second.output).toEqual(whole.output);
    expect(second).toMatchObject({
      ...{ ...ALL_SUCCEEDED, redriveCount: 1 },
      redrives: [{ status: "completed", completionReason: "failures-tolerated", failed: 37 }],
    });
    expect(second.items).toEqual(whole.items);
    expect(await resultLines(second.id)).toEqual(await resultLines(whole.id));
    expect((await refusal(first.id)).detail).toContain("completed");
  });

  it("of a batch that fails with its first failure executes what has no result", async () => {
    world.broken.add(500);
    const first = await ran("strict", { count: 1000 });
    expect(first).toMatchObject({ status: "failed", completionReason: "item-failed", error: { index: 500 } });
    world.mend();
    const second = await redriven(first.id);
    expect(second).toMatchObject({ ...ALL_SUCCEEDED, redriveCount: 1, executions: 1002 });
    expect(repeated(world.calls, "Strict")).toEqual(twice(500));
    expect(new Set(world.callsOf("Strict")).size).toBe(1000);
    expect(second.output).toEqual((await unharmed(world, "strict", { count: 1000 })).output);
  });

  it("of which some fail again may be redriven again, and tells of each time", async () => {
    for (const n of [1, 3, 5, 7]) world.broken.add(n);
    const { id } = await ran("collecting", { count: 9 });
    world.broken.delete(3);
    world.broken.delete(7);
    const second = await redriven(id);
    expect(second).toMatchObject({ completionReason: "failures-tolerated", items: { failed: 2, succeeded: 8 } });
    expect(second.output).toMatchObject({
      results: { 1: "Error: item 1 is broken", 3: 30 },
      log: ["collected", "summed"],
    });
    world.mend();
    const third = await redriven(id);
    const before = { at: expect.any(String), status: "completed", completionReason: "failures-tolerated" };
    expect(third).toMatchObject({
      ...{ ...ALL_SUCCEEDED, redriveCount: 2 },
      redrives: [
        { ...before, failed: 4 },
        { ...before, failed: 2 },
      ],
    });
    expect(repeated(world.calls, "Collecting")).toEqual({ ...twice(3, 7), 1: 3, 5: 3 });
    expect((await itemsOf(id)).slice(0, 6).map(({ redrives }) => redrives)).toEqual([0, 2, 0, 1, 0, 2]);
    const whole = await unharmed(world, "collecting", { count: 9 });
    expect([third.output, third.items]).toEqual([whole.output, whole.items]);
  });

  it("of a completed run does over what came after the batch, a batch of its own among it", async () => {
    for (const n of [0, 4]) world.broken.add(n);
    const { id, output } = await ran("collecting, then a batch", { count: 6 });
    expect(output).toMatchObject({ doubled: [20, 40, 60, 100], sums: [110], log: ["collected", "doubled", "summed"] });
    world.mend();
    const calls = world.calls.length;
    const second = await redriven(id);
    expect(
      world.calls
        .slice(calls)
        .map(({ node, n }) => `${node} ${n}`)
        .sort(),
    ).toEqual(
      ["Collecting 0", "Collecting 4", ...[0, 10, 20, 30, 40, 50].map((n) => `Doubling ${1000 + n}`), "Sum -1"].sort(),
    );
    const whole = await unharmed(world, "collecting, then a batch", { count: 6 });
    expect([second.output, second.items]).toEqual([whole.output, whole.items]);
    expect(await resultLines(id)).toEqual(await resultLines(whole.id));
    // What is done over are other calls than those that vendors may know.
    const keys = world.calls.filter(({ key }) => key.startsWith(id)).map(({ key }) => key);
    expect(new Set(keys).size).toBe(keys.length);
  });

  it("of one that failed goes on there, and once it is completed goes back to the failures before that", async () => {
    for (const n of [2, 503, 505]) world.broken.add(n);
    const first = await ran("collecting, then strict", { count: 8 });
    expect(first).toMatchObject({ status: "failed", completionReason: "item-failed", error: { node: "Strict" } });
    world.broken.delete(503);
    world.broken.delete(505);
    const second = await redriven(first.id);
    expect(second).toMatchObject({ status: "completed", completionReason: "failures-tolerated", items: { failed: 1 } });
    expect(repeated(world.calls, "Strict")).toEqual(twice(503, 505));
    expect(repeated(world.calls, "Collecting")).toEqual({});
    world.mend();
    const third = await redriven(first.id);
    expect(third).toMatchObject({
      ...{ ...ALL_SUCCEEDED, redriveCount: 2 },
      redrives: [
        { status: "failed", completionReason: "item-failed" },
        { status: "completed", completionReason: "failures-tolerated", failed: 1 },
      ],
    });
    expect(repeated(world.calls, "Collecting")).toEqual(twice(2));
    const whole = await unharmed(world, "collecting, then strict", { count: 8 });
    expect([third.output, third.items]).toEqual([whole.output, whole.items]);
  });
});

describe("attempts of a redrive", () => {
  it("are counted anew, under keys that no attempt with an outcome has had", async () => {
    world.broken.add(1);
    const { id } = await ran("collecting, retried", { count: 3 });
    const second = await redriven(id);
    expect(second).toMatchObject({ completionReason: "failures-tolerated", items: { failed: 1 } });
    expect(world.calls.filter(({ n }) => n === 1).map(({ attempt }) => attempt)).toEqual([1, 2, 3, 1, 2, 3]);
    const keys = keysOf(world.calls, "Collecting", 1);
    expect(new Set(keys).size).toBe(6);
    expect((await itemsOf(id))[1]).toMatchObject({ status: "failed", attempts: 3, redrives: 1 });
    world.mend();
    await redriven(id);
    const last = world.calls.filter(({ n }) => n === 1).at(-1);
    expect(last?.attempt).toBe(1);
    expect(keys).not.toContain(last?.key);
    expect((await itemsOf(id))[1]).toMatchObject({ status: "succeeded", attempts: 1, redrives: 2 });
  });

  it("are counted anew for items that waited for their next one", async () => {
    world.broken.add(0).add(2);
    const { id } = await start("collecting, retried later", { count: 4 });
    await seen(id, { status: "waiting", items: { deferred: 2, succeeded: 2 } });
    await cancel(id);
    expect(await look(id)).toMatchObject({ status: "canceled", items: { canceled: 2, succeeded: 2 } });
    await retry(id);
    await seen(id, { status: "waiting", items: { deferred: 2, succeeded: 2 } });
    expect(world.calls.filter(({ n }) => n === 0).map(({ attempt }) => attempt)).toEqual([1, 1]);
    expect(new Set(keysOf(world.calls, "Collecting", 0)).size).toBe(2);
    await cancel(id);
    world.mend();
    expect(await redriven(id)).toMatchObject({ ...ALL_SUCCEEDED, redriveCount: 2, items: { total: 5, succeeded: 5 } });
    expect(repeated(world.calls, "Collecting")).toEqual({ 0: 3, 2: 3 });
  });

  it("have the key of one of which no outcome is known", async () => {
    world.broken.add(1);
    const { id } = await ran("collecting", { count: 3 });
    world.gated.add(1);
    await retry(id);
    await stage.heard("Collecting 1", 2);
    await cancel(id);
    await stage.heard("aborted 1");
    // It ends as aborted calls do: with an error that nobody is told of.
    stage.open("item 1");
    await expect.poll(() => rows(id, "select id from slot where state <> 'idle'")).toEqual([]);
    expect(await redriven(id)).toMatchObject({ completionReason: "failures-tolerated", items: { failed: 1 } });
    world.mend();
    expect(await redriven(id)).toMatchObject({ ...ALL_SUCCEEDED, redriveCount: 3 });
    const keys = keysOf(world.calls, "Collecting", 1);
    expect(keys).toHaveLength(4);
    expect(keys[2]).toBe(keys[1]);
    expect(new Set(keys).size).toBe(3);
  });
});

describe("a redrive of a canceled run", () => {
  it("begins one that had not begun", async () => {
    const { id } = await start("collecting", { count: 3 });
    await cancel(id);
    expect(await look(id)).toMatchObject({ status: "canceled", startedAt: null, items: { total: 0 } });
    const run = await retry(id);
    expect(run).toMatchObject({ status: "queued", finishedAt: null, completionReason: null, redriveCount: 1 });
    expect(await finished(id)).toMatchObject({ ...ALL_SUCCEEDED, executions: 4, startedAt: expect.any(String) });
  });

  it("keeps successes that came late, and does not execute those again", async () => {
    for (const n of [1, 2]) world.gated.add(n);
    const { id } = await start("collecting", { count: 4 });
    await stage.heard("Collecting 2");
    await seen(id, { items: { succeeded: 2 } });
    await cancel(id);
    stage.open("item 1", "item 2");
    await seen(id, { status: "canceled", items: { succeeded: 4, canceled: 0 } });
    expect(await redriven(id)).toMatchObject({ ...ALL_SUCCEEDED, executions: 5 });
    expect(repeated(world.calls, "Collecting")).toEqual({});
  });

  it("leaves to their executor those that are in exec still, and takes what comes of them", async () => {
    for (const n of [1, 2]) world.gated.add(n);
    const { id } = await start("collecting", { count: 4 });
    await stage.heard("Collecting 2");
    await seen(id, { items: { succeeded: 2 } });
    await cancel(id);
    expect(await retry(id)).toMatchObject({ status: "running", items: { total: 4, succeeded: 2, running: 2 } });
    stage.open("item 1", "item 2");
    expect(await finished(id)).toMatchObject({ ...ALL_SUCCEEDED, executions: 5 });
    expect(repeated(world.calls, "Collecting")).toEqual({});
  });

  it("leaves its sole item to the call that the run's own object makes", async () => {
    const { id } = await start("single", { tasks: [{ n: 3, gate: "go" }] });
    await stage.heard("start 3");
    await cancel(id);
    await stage.heard("abort 3: AbortError");
    await retry(id);
    stage.open("go");
    expect(await finished(id)).toMatchObject({ ...ALL_SUCCEEDED, executions: 1, output: { results: [30], posts: 1 } });
    expect(stage.count("start 3")).toBe(1);
  });

  it.each(["prep", "post"])("runs %s once more that was under way, and nothing of the first is left", async (hook) => {
    const { id } = await start("halting", { at: [hook], log: [], list: [1, 2] });
    await stage.heard(hook);
    await cancel(id);
    await retry(id);
    await stage.heard(`${hook} over`);
    stage.open(hook);
    await stage.heard(`${hook} over`, 2);
    const log = ["prep began", "prep ended", "post began", "post ended"];
    expect(await finished(id)).toMatchObject({
      ...ALL_SUCCEEDED,
      output: { log, list: [1, 2, 10, 20] },
      executions: 2,
    });
  });

  it("makes no page of items twice of a prep that gave some already", async () => {
    const { id } = await start("halting pages", { at: ["pages"], log: [], list: [] });
    await stage.heard("pages");
    await cancel(id);
    await retry(id);
    await stage.heard("pages", 2);
    stage.open("pages");
    const list = Array.from({ length: 2100 }, (_, index) => index);
    expect(await finished(id)).toMatchObject({ ...ALL_SUCCEEDED, output: { list }, items: { total: 2100 } });
  });

  it("that was paused before", async () => {
    world.broken.add(0);
    const { id } = await start("collecting, retried later", { count: 3 });
    await seen(id, { items: { deferred: 1, succeeded: 2 } });
    await post(`/runs/${id}/pause`);
    await cancel(id);
    world.mend();
    expect(await redriven(id)).toMatchObject({ ...ALL_SUCCEEDED, items: { total: 4, succeeded: 4 } });
    expect(repeated(world.calls, "Collecting")).toEqual(twice(0));
  });
});

describe("a redrive whose run is lost", () => {
  const expectWhole = async (run: Run, count: number, ...again: number[]) => {
    expect(run).toMatchObject({ ...ALL_SUCCEEDED, redriveCount: 1, redrives: [{ failed: again.length }] });
    expect(repeated(world.calls, "Collecting")).toEqual(twice(...again));
    const whole = await unharmed(world, "collecting, then a batch", { count });
    expect([run.output, run.items]).toEqual([whole.output, whole.items]);
  };

  it("right after it was accepted is made all the same", async () => {
    for (const n of [2, 3]) world.broken.add(n);
    const { id } = await ran("collecting, then a batch", { count: 6 });
    world.mend();
    await retry(id);
    await crash(runOf(id));
    await expectWhole(await finished(id), 6, 2, 3);
  });

  it("again and again still moves", async () => {
    for (const n of [2, 3]) world.broken.add(n);
    const { id } = await ran("collecting, then a batch", { count: 6 });
    world.mend();
    await retry(id);
    for (let times = 0; times < 6; times++) {
      await crash(runOf(id));
      await getRun(id);
    }
    await expectWhole(await finished(id), 6, 2, 3);
  });

  it("while its items are in exec takes what comes of them", async () => {
    for (const n of [2, 3]) world.broken.add(n);
    const { id } = await ran("collecting, then a batch", { count: 6 });
    world.mend();
    world.gated.add(3);
    await retry(id);
    await stage.heard("Collecting 3", 2);
    await crash(runOf(id));
    expect(await look(id)).toMatchObject({ status: "running", redriveCount: 1 });
    stage.open("item 3");
    await expectWhole(await finished(id), 6, 2, 3);
  });
});

describe("a redrive under limits", () => {
  beforeEach(() => {
    world.tenant = newKey();
  });

  it.each(["collecting on pair", "strict on pair"])("of %s uses permits, and gives all back", async (flow) => {
    for (const n of [1, 4, 5]) world.broken.add(n);
    const { id } = await ran(flow, { count: 8 });
    await atRest("pair", world.tenant);
    world.mend();
    world.gated.add(4).add(5);
    await retry(id);
    await stage.until(() => world.callsOf(flow.startsWith("strict") ? "Strict" : "Collecting").length >= 2);
    await seen(id, { items: { running: 2 } });
    expect(await limitOf("pair", world.tenant)).toMatchObject({ inFlight: 2 });
    stage.open("item 4", "item 5");
    expect(await finished(id)).toMatchObject(ALL_SUCCEEDED);
    await atRest("pair", world.tenant);
  });

  it("of a canceled run takes permits for what waited for them", async () => {
    world.gated.add(0).add(1);
    const { id } = await start("collecting on pair", { count: 6 });
    await seen(id, { items: { running: 2 } });
    await cancel(id);
    stage.open("item 0", "item 1");
    await seen(id, { items: { succeeded: 2 } });
    await atRest("pair", world.tenant);
    expect(await redriven(id)).toMatchObject({ ...ALL_SUCCEEDED, executions: 7 });
    await atRest("pair", world.tenant);
    expect(repeated(world.calls, "Collecting")).toEqual({});
  });
});

describe("a redrive is refused, by the status that the run has,", () => {
  it("while it goes on", async () => {
    world.gated.add(1);
    world.broken.add(0);
    const { id } = await start("collecting", { count: 3 });
    await seen(id, { items: { failed: 1, running: 1 } });
    expect((await refusal(id)).detail).toMatch(/got one that is running$/);
    await post(`/runs/${id}/pause`);
    expect((await refusal(id)).detail).toMatch(/got one that is paused$/);
    expect(await look(id)).toMatchObject({ status: "paused", redriveCount: 0 });
    await post(`/runs/${id}/resume`);
    stage.open("item 1");
    await finished(id);
    await retry(id);
    await finished(id);
  });

  it("while it waits, or has not begun", async () => {
    world.broken.add(0);
    const { id } = await start("collecting, retried later", { count: 2 });
    expect((await refusal(id)).detail).toMatch(/got one that is (queued|running)$/);
    await seen(id, { status: "waiting" });
    expect((await refusal(id)).detail).toMatch(/got one that is waiting$/);
    await cancel(id);
  });

  it("when it is completed and nothing in it has failed", async () => {
    const { id } = await ran("collecting", { count: 2 });
    expect((await refusal(id)).detail).toMatch(/got one that is completed, and nothing in it has failed$/);
    expect(await look(id)).toMatchObject({ redriveCount: 0, status: "completed" });
  });
});
