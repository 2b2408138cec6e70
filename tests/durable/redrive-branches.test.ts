import { beforeEach, describe, expect, it } from "vitest";
import { newWorld, type World } from "./failing.ts";
import type { Listed, Nested } from "./failing-branches.ts";
import { atRest, look, newKey, seen } from "./limited.ts";
import { itemsOf, redriven, repeated, retry, twice, unharmed } from "./redriving.ts";
import { newStage, type Stage } from "./stage.ts";
import { crash, finished, getRun, post, type Run, ran, runOf, start } from "./support.ts";

let world: World;
let stage: Stage;
beforeEach(() => {
  stage = newStage();
  world = newWorld();
});

const ALL_SUCCEEDED = { status: "completed", completionReason: "all-succeeded", error: null };
const TOLERATED = { status: "completed", completionReason: "failures-tolerated", error: null };

const listed = (branches: number, items = 3): Listed => ({ branches, items, lists: {}, tails: {}, ends: 0 });
const nested = (width = 2): Nested => ({ width, leaves: {}, lasts: {}, inner: {} });

/** A redriven run is as one in which nothing failed. */
async function expectWhole(run: Run, input: object): Promise<void> {
  expect(run).toMatchObject(ALL_SUCCEEDED);
  const whole = await unharmed(world, run.flow, input);
  expect(run.output).toEqual(whole.output);
  expect(run.items).toEqual(whole.items);
}

const errorOf = (n: number) => `Error: item ${n} is broken`;

describe("a redrive of failed branches", () => {
  it.each(["collecting branches", "collecting branches in turn"])("of %s goes on where they failed", async (flow) => {
    for (const n of [3, 7]) world.broken.add(n);
    for (const n of [4, 9]) world.brokenHooks.add(n);
    for (const n of [0, 11]) world.brokenPreps.add(n);
    const first = await ran(flow, { count: 12 });
    expect(first).toMatchObject(TOLERATED);
    expect((first.output as { results: unknown[] }).results).toEqual([
      "Error: prep 0 is broken",
      2,
      3,
      errorOf(3),
      "Error: hook 4 is broken",
      6,
      7,
      errorOf(7),
      9,
      "Error: hook 9 is broken",
      11,
      "Error: prep 11 is broken",
    ]);
    expect((await look(first.id)).items).toMatchObject({ total: 17, succeeded: 15, failed: 2 });
    world.mend();
    world.calls.length = 0;
    const second = await redriven(first.id);
    expect(world.callsOf("Load").sort((a, b) => a - b)).toEqual([0, 3, 7, 11]);
    expect(world.callsOf("Save").sort((a, b) => a - b)).toEqual([100, 103, 104, 107, 109, 111]);
    await expectWhole(second, { count: 12 });
  });

  it("of which some fail again", async () => {
    for (const n of [0, 2]) world.broken.add(n);
    for (const n of [1, 3]) world.brokenHooks.add(n);
    const { id } = await ran("collecting branches", { count: 5 });
    world.broken.delete(0);
    world.brokenHooks.delete(1);
    const second = await redriven(id);
    expect(second).toMatchObject({
      ...TOLERATED,
      output: { results: [1, 2, errorOf(2), "Error: hook 3 is broken", 5], log: ["branched", "summed"] },
    });
    world.mend();
    const third = await redriven(id);
    expect(third.redriveCount).toBe(2);
    expect(repeated(world.calls, "Load")).toEqual({ 0: 2, 2: 3 });
    expect(repeated(world.calls, "Save")).toEqual({});
    await expectWhole(third, { count: 5 });
  });

  it("of more than are tolerated", async () => {
    for (const n of [1, 2, 3]) world.broken.add(n);
    const first = await ran("tolerating 2, branches at once", { count: 6 });
    expect(first).toMatchObject({ status: "failed", completionReason: "tolerance-exceeded" });
    await look(first.id);
    world.broken.delete(2);
    const second = await redriven(first.id);
    expect(second).toMatchObject({ ...TOLERATED, items: { failed: 2 } });
    world.mend();
    const third = await redriven(first.id);
    expect(repeated(world.calls, "Load")).toEqual({ 1: 3, 2: 2, 3: 3 });
    await expectWhole(third, { count: 6 });
  });
});

describe("branches with a batch of their own", () => {
  it("that collect: a run is taken up where the first of them saw failures, the others being wherever they were", async () => {
    for (const n of [20, 41]) world.broken.add(n);
    // When branch 2 goes on 0 and 5 have ended, 1 is in its tail, 3 and 4 are in their batches; 4 has failures of its own, later.
    for (const n of [22, 30, 41, 1001]) world.gated.add(n);
    const { id } = await start("collecting in branches", listed(6));
    await stage.heard("Tail 1000");
    for (const words of ["Tail 1001", "Tail 1005", "Many 30", "Many 41", "Many 22"]) await stage.heard(words);
    await seen(id, { items: { running: 4 } });
    stage.open("item 22");
    await stage.heard("Tail 1002");
    stage.open("item 1001", "item 30");
    await stage.heard("Tail 1003");
    stage.open("item 41");
    const first = await finished(id);
    expect(first).toMatchObject({ ...TOLERATED, items: { total: 25, succeeded: 23, failed: 2 } });
    expect(first.output).toMatchObject({ lists: { 2: [errorOf(20), 210, 220], 4: [400, errorOf(41), 420] }, ends: 1 });
    world.mend();
    const calls = world.calls.length;
    const second = await redriven(id);
    const again = world.calls.slice(calls);
    expect(
      again
        .filter(({ node }) => node === "Many")
        .map(({ n }) => n)
        .sort(),
    ).toEqual([20, 41]);
    // What had ended before is not done over.
    expect(again.filter(({ node }) => node === "Tail").map(({ n }) => n)).not.toContain(1000);
    expect(again.filter(({ node }) => node === "Tail").map(({ n }) => n)).toEqual(expect.arrayContaining([1002, 1004]));
    await expectWhole(second, listed(6));
  });

  it("that collect, half of them with failures, are whole again after a redrive in which some fail again", async () => {
    for (let n = 0; n < 10; n += 2) world.broken.add(10 * n + (n % 3));
    const { id } = await ran("collecting in branches", listed(10));
    world.broken.delete(0);
    world.broken.delete(41);
    expect(await redriven(id)).toMatchObject({ ...TOLERATED, items: { total: 41, failed: 3 } });
    world.mend();
    const third = await redriven(id);
    expect(repeated(world.calls, "Many")).toEqual({ ...twice(0, 41), 22: 3, 60: 3, 82: 3 });
    await expectWhole(third, listed(10));
  });

  it("that collect, in branches that are collected: items, hooks and tails fail", async () => {
    for (const n of [11, 1003]) world.broken.add(n);
    world.brokenHooks.add(2);
    world.brokenPreps.add(4);
    const { id } = await ran("collecting in collecting branches", listed(6));
    const first = await look(id);
    expect(first).toMatchObject({ ...TOLERATED, items: { total: 20, succeeded: 18, failed: 2 } });
    expect(first.output).toMatchObject({
      lists: { 0: [0, 10, 20], 1: [100, errorOf(11), 120], 3: [300, 310, 320], 5: [500, 510, 520] },
      tails: { 0: 1, 1: 1, 5: 1 },
      told: { 2: "Error: hook 2 is broken", 3: errorOf(1003), 4: "Error: prep 4 is broken" },
    });
    world.mend();
    const second = await redriven(id);
    expect(repeated(world.calls, "Many")).toEqual(twice(11));
    await expectWhole(second, listed(6));
  });

  it("that do not collect, in branches that are collected", async () => {
    for (const n of [10, 12, 31]) world.broken.add(n);
    const { id } = await ran("strict in collecting branches", listed(5));
    const first = await look(id);
    expect(first).toMatchObject({ ...TOLERATED, output: { tails: { 0: 1, 2: 1, 4: 1 }, ends: 1 } });
    expect((first.output as Listed).told?.[3]).toBe(errorOf(31));
    world.mend();
    const second = await redriven(id);
    expect(Object.values(repeated(world.calls, "Many")).every((times) => times === 2)).toBe(true);
    await expectWhole(second, listed(5));
  });

  it("that is canceled and redriven again and again, is whole in the end", async () => {
    for (const n of [20, 41, 1001]) world.broken.add(n);
    const { id } = await start("collecting in collecting branches", listed(6));
    for (let times = 0; times < 8; times++) {
      await stage.until(() => world.calls.length >= 2 * times);
      await post(`/runs/${id}/cancel`);
      await look(id);
      await retry(id);
      await look(id);
    }
    const tolerated = await finished(id);
    expect(tolerated).toMatchObject(TOLERATED);
    world.mend();
    const run = await redriven(id);
    expect(run.redriveCount).toBeGreaterThan(1);
    await expectWhole(run, listed(6));
  });

  it("is whole whatever was lost on the way", async () => {
    for (const n of [1, 20, 41]) world.broken.add(n);
    world.brokenHooks.add(3);
    const { id } = await start("collecting in collecting branches", listed(6));
    for (let times = 0; times < 4; times++) {
      await crash(runOf(id));
      await getRun(id);
    }
    expect(await finished(id)).toMatchObject(TOLERATED);
    world.mend();
    await retry(id);
    for (let times = 0; times < 4; times++) {
      await crash(runOf(id));
      await getRun(id);
    }
    const run = await finished(id);
    expect(repeated(world.calls, "Many")).toEqual(twice(1, 20, 41));
    await expectWhole(run, listed(6));
  });
});

describe("items that are in exec when their branch fails", () => {
  it("hold nothing up, and count as canceled; a redrive executes them", async () => {
    world.broken.add(10);
    for (const n of [10, 11, 12]) world.gated.add(n);
    const { id } = await start("strict in collecting branches", listed(3));
    for (const words of ["Many 11", "Many 12", "Tail 1000", "Tail 1002"]) await stage.heard(words);
    stage.open("item 10");
    const first = await finished(id);
    expect(first).toMatchObject({ ...TOLERATED, output: { tails: { 0: 1, 2: 1 } } });
    expect((await look(id)).items).toMatchObject({ total: 12, succeeded: 9, failed: 1, canceled: 2, running: 0 });
    stage.open("item 11", "item 12");
    world.mend();
    const second = await redriven(id);
    await expectWhole(second, listed(3));
  });

  it("while the run goes on count as canceled until they end; a result is kept, and not executed again", async () => {
    world.broken.add(10);
    for (const n of [10, 11, 12, 20]) world.gated.add(n);
    const { id } = await start("strict in collecting branches", listed(3));
    for (const words of ["Many 11", "Many 12", "Many 20", "Tail 1000"]) await stage.heard(words);
    await seen(id, { items: { running: 4 } });
    stage.open("item 10");
    await seen(id, { status: "running", items: { failed: 1, canceled: 2, running: 1 } });
    expect((await itemsOf(id)).filter(({ branch }) => branch === "1").map(({ status }) => status)).toEqual([
      "failed",
      "canceled",
      "canceled",
    ]);
    await crash(runOf(id));
    world.broken.add(12);
    stage.open("item 11", "item 12");
    await seen(id, { status: "running", items: { succeeded: 7, failed: 1, canceled: 1, running: 1 } });
    stage.open("item 20");
    expect(await finished(id)).toMatchObject({ ...TOLERATED, items: { succeeded: 10, failed: 1, canceled: 1 } });
    expect((await itemsOf(id, "&status=succeeded")).filter(({ branch }) => branch === "1")).toMatchObject([
      { index: 1 },
    ]);
    world.mend();
    const second = await redriven(id);
    expect(repeated(world.calls, "Many")).toEqual(twice(10, 12));
    await expectWhole(second, listed(3));
  });

  it("are left where they are by a redrive that comes meanwhile, and what comes of them counts", async () => {
    world.broken.add(10);
    for (const n of [10, 11, 12]) world.gated.add(n);
    const { id } = await start("strict in collecting branches", listed(3));
    for (const words of ["Many 11", "Many 12", "Tail 1000", "Tail 1002"]) await stage.heard(words);
    stage.open("item 10");
    await finished(id);
    world.mend();
    await retry(id);
    await stage.heard("Many 10", 2);
    stage.open("item 11", "item 12");
    const run = await finished(id);
    await look(id);
    expect(repeated(world.calls, "Many")).toEqual(twice(10));
    await expectWhole(run, listed(3));
  });

  it("have their permits given back, and the run's next items get them", async () => {
    world.tenant = newKey();
    world.broken.add(1);
    const first = await ran("collecting branches on lane", { count: 4 });
    expect(first).toMatchObject({ ...TOLERATED, items: { failed: 1 } });
    await atRest("lane", world.tenant);
    world.mend();
    const second = await redriven(first.id);
    await atRest("lane", world.tenant);
    expect(repeated(world.calls, "Load")).toEqual(twice(1));
    await expectWhole(second, { count: 4 });
  });
});

describe("batch flows within batch flows, which collect, fail and collect", () => {
  it("are whole after a redrive: leaves failed in the inner, and a last node in the middle", async () => {
    for (const n of [0, 111, 1001]) world.broken.add(n);
    const { id } = await ran("collect in fail in collect", nested());
    const first = await look(id);
    expect(first).toMatchObject({ ...TOLERATED, items: { failed: 3 } });
    const { outer, lasts } = first.output as Nested;
    expect(outer?.[0]).toBe(errorOf(1001));
    expect(lasts).toMatchObject({ "1/0": 1, "1/1": 1 });
    world.mend();
    const second = await redriven(id);
    expect(repeated(world.calls, "Leaf")).toEqual(twice(0, 111));
    await expectWhole(second, nested());
  });

  it("are whole after two redrives, of which the first meets other failures", async () => {
    for (const n of [0, 12, 101, 1000, 1011]) world.broken.add(n);
    const { id } = await ran("collect in fail in collect", nested(3));
    await look(id);
    world.broken.delete(0);
    world.broken.delete(1000);
    world.broken.add(1001);
    await redriven(id);
    world.mend();
    const third = await redriven(id);
    await expectWhole(third, nested(3));
  });

  it("run no post again that ended after its branch had failed", async () => {
    world.broken.add(1);
    for (const n of [1, 10]) world.gated.add(n);
    world.heldPosts.add(0);
    const { id } = await start("late posts", nested());
    await stage.heard("post 0");
    stage.open("item 1");
    await seen(id, { items: { failed: 1 } });
    // The run goes on with its other branch meanwhile, and stores what the post writes.
    stage.open("post 0");
    await stage.heard("posted 0");
    stage.open("item 10");
    expect(await finished(id)).toMatchObject({ ...TOLERATED, output: { leaves: { "0/0": 1, "1/0": 1, "1/1": 1 } } });
    world.mend();
    const second = await redriven(id);
    expect(stage.count("posted 0")).toBe(1);
    expect(repeated(world.calls, "Late")).toEqual(twice(1));
    await expectWhole(second, nested());
  });

  it("that are canceled in the middle go on from there", async () => {
    for (const n of [0, 12]) world.broken.add(n);
    for (const n of [11, 1010]) world.gated.add(n);
    const { id } = await start("collect in fail in collect", nested());
    for (const words of ["Leaf 11", "Last 1010", "Last 1011"]) await stage.heard(words);
    await post(`/runs/${id}/cancel`);
    await look(id);
    stage.open("item 11", "item 1010");
    world.mend();
    const run = await redriven(id);
    expect(run.redriveCount).toBe(1);
    // One that a post has seen as failed was seen so: another redrive mends that as well.
    const last = run.completionReason === "all-succeeded" ? run : await redriven(id);
    await expectWhole(last, nested());
  });
});
