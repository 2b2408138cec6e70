import { beforeEach, describe, expect, it } from "vitest";
import { newWorld, type World } from "./failing.ts";
import { look } from "./limited.ts";
import { type Item, itemsOf, keysOf, redriven, repeated, twice, unharmed } from "./redriving.ts";
import { newStage, type Stage } from "./stage.ts";
import { crash, finished, getRun, post, type Run, ran, runOf, start } from "./support.ts";

let world: World;
let stage: Stage;
beforeEach(() => {
  stage = newStage();
  world = newWorld();
});

type Place = Pick<Item, "step" | "index">;

/** The items of a node that have failed, of these numbers in its order. */
async function failedOf(id: string, node: string, ...indexes: number[]): Promise<Place[]> {
  const failed = (await itemsOf(id, `&node=${node}&status=failed`)).filter(({ index }) => indexes.includes(index));
  expect(failed).toHaveLength(indexes.length);
  return failed.map(({ step, index }) => ({ step, index }));
}

/** The item fails once its gate is opened. */
function breakLate(n: number): void {
  world.gated.add(n);
  world.broken.add(n);
}

const ask = (id: string, items: Place[]) => post(`/runs/${id}/retry`, { items });

async function redrivenWith(id: string, items: Place[]): Promise<Run> {
  expect((await ask(id, items)).status).toBe(202);
  await finished(id);
  return look(id);
}

/** Why a redrive with these items is refused; the run is as it was. */
async function refusal(id: string, items: Place[]): Promise<string> {
  const before = await getRun(id);
  const calls = world.calls.length;
  const response = await ask(id, items);
  expect(response.status).toBe(409);
  expect(await getRun(id)).toEqual(before);
  expect(world.calls.length).toBe(calls);
  return (await response.json<{ detail: string }>()).detail;
}

describe("a redrive of chosen items", () => {
  it("executes these alone, and post is given the others as they failed", async () => {
    for (const n of [1, 3, 5, 7]) world.broken.add(n);
    const { id } = await ran("collecting", { count: 9 });
    world.mend();
    const second = await redrivenWith(id, await failedOf(id, "Collecting", 3, 7));
    expect(second).toMatchObject({
      ...{ status: "completed", completionReason: "failures-tolerated", redriveCount: 1 },
      redrives: [{ status: "completed", completionReason: "failures-tolerated", failed: 2 }],
      items: { total: 10, succeeded: 8, failed: 2 },
    });
    expect(second.output).toMatchObject({
      results: [0, "Error: item 1 is broken", 20, 30, 40, "Error: item 5 is broken", 60, 70, 80],
      log: ["collected", "summed"],
    });
    expect(repeated(world.calls, "Collecting")).toEqual(twice(3, 7));
    expect((await itemsOf(id, "&node=Collecting")).map(({ redrives }) => redrives)).toEqual([
      0, 0, 0, 1, 0, 0, 0, 1, 0,
    ]);
    const third = await redriven(id);
    expect(third).toMatchObject({ completionReason: "all-succeeded", redriveCount: 2 });
    expect(repeated(world.calls, "Collecting")).toEqual(twice(1, 3, 5, 7));
    expect(new Set(keysOf(world.calls, "Collecting", 3)).size).toBe(2);
    expect(third.output).toEqual((await unharmed(world, "collecting", { count: 9 })).output);
  });

  it("is the same though the run crashes in between", async () => {
    for (const n of [1, 3, 5]) world.broken.add(n);
    const { id } = await ran("collecting", { count: 6 });
    world.mend();
    world.gated.add(3);
    const items = await failedOf(id, "Collecting", 3);
    expect((await ask(id, items)).status).toBe(202);
    await stage.heard("Collecting 3", 2);
    await crash(runOf(id));
    world.gated.clear();
    stage.open("item 3");
    await finished(id);
    const run = await look(id);
    expect(run).toMatchObject({ completionReason: "failures-tolerated", items: { succeeded: 5, failed: 2 } });
    expect(run.output).toMatchObject({
      results: [0, "Error: item 1 is broken", 20, 30, 40, "Error: item 5 is broken"],
    });
  });

  it("may fail again", async () => {
    for (const n of [1, 3]) world.broken.add(n);
    const { id } = await ran("collecting", { count: 5 });
    const items = await failedOf(id, "Collecting", 3);
    const again = await redrivenWith(id, items);
    expect(again).toMatchObject({ completionReason: "failures-tolerated", items: { failed: 2 }, redriveCount: 1 });
    world.mend();
    expect(await redrivenWith(id, items)).toMatchObject({ items: { failed: 1 }, redriveCount: 2 });
    expect(repeated(world.calls, "Collecting")).toEqual({ 3: 3 });
  });

  it("takes an item that is named twice as one", async () => {
    for (const n of [1, 3]) world.broken.add(n);
    const { id } = await ran("collecting", { count: 5 });
    world.mend();
    const [item] = (await failedOf(id, "Collecting", 3)) as [Place];
    expect(await redrivenWith(id, [item, item])).toMatchObject({ items: { failed: 1 }, redrives: [{ failed: 1 }] });
  });

  it("of a failed run is refused where more would stay failed than are tolerated, and says how many", async () => {
    for (const n of [0, 1, 2, 3]) breakLate(n);
    const { id } = await start("tolerating 2, at once", { count: 12 });
    await stage.heard("Collecting 3", 1);
    for (const n of [0, 1, 2, 3]) stage.open(`item ${n}`);
    await finished(id);
    await expect.poll(async () => (await getRun(id)).items.failed).toBe(4);
    world.mend();
    expect(await refusal(id, await failedOf(id, "Collecting", 0))).toBe(
      "Expected the other failed items of step 2 as well: 3 would stay failed, which is more than `Collecting` tolerates. " +
        "Retry these too, or all that has failed",
    );
    world.gated.clear();
    const run = await redrivenWith(id, await failedOf(id, "Collecting", 0, 2));
    expect(run).toMatchObject({ completionReason: "failures-tolerated", items: { failed: 2, succeeded: 11 } });
    expect(run.output).toMatchObject({ results: { 0: 0, 1: "Error: item 1 is broken", 2: 20 } });
  });

  it("of a batch that tolerates nothing has to take all that failed", async () => {
    for (const n of [0, 1]) breakLate(n);
    const { id } = await start("strict", { count: 4 });
    await stage.heard("Strict 1", 1);
    for (const n of [0, 1]) stage.open(`item ${n}`);
    await finished(id);
    await expect.poll(async () => (await getRun(id)).items.failed).toBe(2);
    world.mend();
    world.gated.clear();
    expect(await refusal(id, await failedOf(id, "Strict", 1))).toContain("1 would stay failed");
    const run = await redrivenWith(id, await failedOf(id, "Strict", 0, 1));
    expect(run).toMatchObject({ completionReason: "all-succeeded", output: { results: [0, 10, 20, 30] } });
  });

  it("is refused of items that have not failed, or that there are not", async () => {
    world.broken.add(1);
    const { id } = await ran("collecting", { count: 3 });
    const [{ step }] = (await failedOf(id, "Collecting", 1)) as [Place];
    for (const place of [
      { step, index: 0 },
      { step, index: 9 },
      { step: 99, index: 0 },
    ]) {
      const expected = `Expected items that have failed, got item ${place.index} of step ${place.step}, which has not`;
      expect(await refusal(id, [{ step, index: 1 }, place])).toBe(expected);
    }
  });

  it("is refused of items that a retry would execute anew anyway, or whose post is not run again", async () => {
    world.broken.add(1).add(-1);
    const failed = await ran("collecting", { count: 3 });
    expect(failed).toMatchObject({ status: "failed", error: { node: "Sum" } });
    expect(await refusal(failed.id, await failedOf(failed.id, "Collecting", 1))).toContain("no retry goes back");
    world.mend();
    expect(await redrivenWith(failed.id, await failedOf(failed.id, "Sum", 0))).toMatchObject({
      ...{ status: "completed", completionReason: "failures-tolerated", items: { failed: 1 } },
    });
  });

  it("is refused of a run that goes on, in which nothing has failed, or that there is not", async () => {
    const { id } = await ran("collecting", { count: 3 });
    const none = await ask(id, [{ step: 2, index: 0 }]);
    expect([none.status, (await none.json<{ detail: string }>()).detail]).toEqual([
      409,
      "Expected a run that has failed, was canceled, or has failed items, got one that is completed, and nothing in it has failed",
    ]);
    expect((await ask(`run_${"0".repeat(26)}`, [{ step: 2, index: 0 }])).status).toBe(404);
  });

  it("lets only the branches go on that hold them", async () => {
    for (const n of [1, 3, 4]) world.broken.add(n);
    const { id } = await ran("collecting branches", { count: 6 });
    world.mend();
    const [item] = (await itemsOf(id, "&node=Load&status=failed")).filter(({ branch }) => branch === "3") as [Item];
    const run = await redrivenWith(
      id,
      [item].map(({ step, index }) => ({ step, index })),
    );
    expect(run).toMatchObject({ completionReason: "failures-tolerated", items: { failed: 2 } });
    expect(run.output).toMatchObject({ results: [1, "Error: item 1 is broken", 3, 4, "Error: item 4 is broken", 6] });
    expect(repeated(world.calls, "Load")).toEqual(twice(3));
    const last = await redriven(id);
    expect(last.output).toEqual((await unharmed(world, "collecting branches", { count: 6 })).output);
  });
});
