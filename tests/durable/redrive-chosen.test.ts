import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { keyOfCall } from "../../src/durable/keys.ts";
import type { Order } from "../../src/durable/protocol.ts";
import { ChunkedByHand, fatal, partsOf } from "./chunk-hands.ts";
import { chunked, pieces, setOptions } from "./chunk-pieces.ts";
import { newWorld, type World } from "./failing.ts";
import type { Listed, Nested } from "./failing-branches.ts";
import { type Job, newBureau } from "./jobbing.ts";
import { look, seen } from "./limited.ts";
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

const listed = (branches: number, items = 3): Listed => ({ branches, items, lists: {}, tails: {}, ends: 0 });
const nested = (width = 2): Nested => ({ width, leaves: {}, lasts: {}, inner: {} });
const errorOf = (n: number) => `Error: item ${n} is broken`;

/** The failed item of a node on a branch that is so many places from its first. */
async function failedOn(id: string, node: string, branch: string, index = 0): Promise<Place> {
  const failed = await itemsOf(id, `&node=${node}&status=failed`);
  const found = failed.find((item) => item.branch === branch && item.index === index);
  if (!found) throw new Error(`Item ${index} of ${node} on branch ${branch} has not failed`);
  return { step: found.step, index };
}

/** After a redrive of all that is left a run is as one in which nothing failed. */
async function expectWhole(id: string, input: object): Promise<void> {
  world.mend();
  world.gated.clear();
  const last = await redriven(id);
  expect(last.completionReason).toBe("all-succeeded");
  const whole = await unharmed(world, last.flow, input);
  expect([last.output, last.items]).toEqual([whole.output, whole.items]);
}

describe("a redrive of chosen items of a run with more behind them", () => {
  it("does over what came after their post, and refuses what it would execute anew with that", async () => {
    world.broken.add(20).add(1002);
    const { id } = await ran("collecting in collecting branches", listed(3));
    world.mend();
    expect(await refusal(id, [await failedOn(id, "Tail", "2")])).toContain("executes this step anew");
    const run = await redrivenWith(id, [await failedOn(id, "Many", "2")]);
    expect(repeated(world.calls, "Many")).toEqual(twice(20));
    expect(repeated(world.calls, "Tail")).toMatchObject(twice(1002));
    const whole = await unharmed(world, run.flow, listed(3));
    expect([run.output, run.items]).toEqual([whole.output, whole.items]);
  });

  it("makes a later batch of what there is then", async () => {
    world.broken.add(0).add(4);
    const { id } = await ran("collecting, then a batch", { count: 6 });
    world.mend();
    const run = await redrivenWith(id, await failedOf(id, "Collecting", 4));
    expect(run).toMatchObject({
      completionReason: "failures-tolerated",
      items: { total: 12, succeeded: 11, failed: 1 },
    });
    expect(run.output).toMatchObject({ doubled: [20, 40, 60, 80, 100], log: ["collected", "doubled", "summed"] });
    await expectWhole(id, { count: 6 });
  });

  it("of a canceled run goes on with all that had no outcome, and leaves what is in exec still to its executor", async () => {
    for (const n of [1, 3]) world.broken.add(n);
    world.gated.add(4);
    const { id } = await start("collecting", { count: 6 });
    await stage.heard("Collecting 4");
    await seen(id, { items: { failed: 2, succeeded: 3, running: 1 } });
    expect((await post(`/runs/${id}/cancel`)).status).toBe(202);
    world.mend();
    expect((await ask(id, await failedOf(id, "Collecting", 3))).status).toBe(202);
    stage.open("item 4");
    await finished(id);
    expect(await look(id)).toMatchObject({
      ...{ completionReason: "failures-tolerated", items: { failed: 1, succeeded: 6 } },
      redrives: [{ status: "canceled", failed: 1 }],
    });
    expect(repeated(world.calls, "Collecting")).toEqual(twice(3));
    await expectWhole(id, { count: 6 });
  });
});

describe("a redrive of chosen items in branches", () => {
  it("counts the failures of their batch once that stay with them", async () => {
    for (const n of [20, 21]) world.broken.add(n);
    world.brokenHooks.add(2);
    const { id } = await ran("collecting in collecting branches", listed(4));
    expect(await look(id)).toMatchObject({ items: { total: 16, succeeded: 14, failed: 2 } });
    world.mend();
    const run = await redrivenWith(id, [await failedOn(id, "Many", "2")]);
    expect(run).toMatchObject({ items: { total: 17, succeeded: 16, failed: 1, canceled: 0 } });
    expect(run.output).toMatchObject({ lists: { 2: [200, errorOf(21), 220] }, tails: { 2: 1 } });
    expect(repeated(world.calls, "Many")).toEqual(twice(20));
    await expectWhole(id, listed(4));
  });

  it("counts what ended late of a branch that stays as it failed", async () => {
    for (const n of [10, 30]) world.broken.add(n);
    for (const n of [10, 11, 30]) world.gated.add(n);
    const { id } = await start("strict in collecting branches", listed(4));
    for (const words of ["Many 11", "Many 30", "Tail 1000", "Tail 1002"]) await stage.heard(words);
    await seen(id, { items: { running: 3, pending: 0 } });
    stage.open("item 10", "item 30");
    await finished(id);
    await seen(id, { items: { total: 15, succeeded: 12, failed: 2, canceled: 1 } });
    stage.open("item 11");
    await seen(id, { items: { succeeded: 13, failed: 2, canceled: 0 } });
    world.mend();
    const run = await redrivenWith(id, [await failedOn(id, "Many", "3")]);
    expect(run).toMatchObject({ items: { total: 16, succeeded: 15, failed: 1, canceled: 0 } });
    expect(run.output).toMatchObject({ told: { 1: errorOf(10) }, tails: { 0: 1, 2: 1, 3: 1 } });
    await expectWhole(id, listed(4));
    expect(
      repeated(
        world.calls.filter(({ key }) => key.startsWith(id)),
        "Many",
      ),
    ).toEqual(twice(10, 30));
  });

  it("runs no hooks of others again", async () => {
    world.broken.add(3);
    for (const n of [1, 4]) world.brokenHooks.add(n);
    world.brokenPreps.add(5);
    const { id } = await ran("collecting branches", { count: 6 });
    world.mend();
    const run = await redrivenWith(id, [await failedOn(id, "Load", "3")]);
    expect(run).toMatchObject({ completionReason: "failures-tolerated", items: { failed: 0 } });
    expect(run.output).toMatchObject({
      results: [1, "Error: hook 1 is broken", 3, 4, "Error: hook 4 is broken", "Error: prep 5 is broken"],
    });
    await expectWhole(id, { count: 6 });
  });

  it("is refused where what has failed beside them would stop them at once", async () => {
    for (const n of [0, 1001]) world.broken.add(n);
    for (const n of [1, 1001]) world.gated.add(n);
    const { id } = await start("collect in fail in collect", nested());
    await stage.heard("Last 1001");
    stage.open("item 1");
    // A post has seen what failed: a redrive goes back to where the other last node was in exec.
    await stage.heard("Last 1000");
    stage.open("item 1001");
    expect(await finished(id)).toMatchObject({ completionReason: "failures-tolerated", items: { failed: 2 } });
    world.mend();
    const leaf = await failedOn(id, "Leaf", "0/0/0");
    expect(await refusal(id, [leaf])).toContain("1 would stay failed, which is more than `Last` tolerates");
    const run = await redrivenWith(id, [leaf, await failedOn(id, "Last", "0/1")]);
    expect(repeated(world.calls, "Leaf")).toEqual(twice(0));
    const whole = await unharmed(world, run.flow, nested());
    expect([run.output, run.items]).toEqual([whole.output, whole.items]);
  });

  it("leaves a branch that fails again at once to its flow, which tolerates that", async () => {
    for (const n of [20, 1003]) world.broken.add(n);
    for (const n of [22, 1003]) world.gated.add(n);
    const { id } = await start("collecting in collecting branches", listed(4));
    await stage.heard("Tail 1003");
    stage.open("item 22");
    // The post before it has seen what failed: a redrive goes back to where branch 3 was at its tail.
    await stage.heard("Tail 1002");
    stage.open("item 1003");
    await finished(id);
    expect(await look(id)).toMatchObject({ items: { failed: 2 } });
    world.mend();
    const run = await redrivenWith(id, [await failedOn(id, "Many", "2")]);
    expect(run).toMatchObject({
      completionReason: "failures-tolerated",
      items: { total: 17, succeeded: 16, failed: 1 },
    });
    expect(run.output).toMatchObject({
      told: { 3: errorOf(1003) },
      tails: { 0: 1, 1: 1, 2: 1 },
      lists: { 2: [200, 210, 220] },
    });
    expect(repeated(world.calls, "Tail")).toEqual(twice(1002));
    await expectWhole(id, listed(4));
  });

  it("is refused where more branches would stay failed than their flow tolerates", async () => {
    for (const n of [0, 1, 2, 3]) breakLate(n);
    const { id } = await start("tolerating 2, branches at once", { count: 8 });
    for (const n of [0, 1, 2, 3]) await stage.heard(`Load ${n}`);
    for (const n of [0, 1, 2, 3]) stage.open(`item ${n}`);
    expect(await finished(id)).toMatchObject({ status: "failed", completionReason: "tolerance-exceeded" });
    await expect.poll(async () => (await itemsOf(id, "&status=failed")).length).toBe(4);
    world.mend();
    world.gated.clear();
    const [first, second] = await Promise.all(["0", "1"].map((branch) => failedOn(id, "Load", branch)));
    expect(await refusal(id, [first as Place])).toMatch(
      /^Expected the other failed branches of step \d+ as well: 3 would stay failed, which is more than `Branches` tolerates\./,
    );
    const run = await redrivenWith(id, [first, second] as Place[]);
    expect(run).toMatchObject({ completionReason: "failures-tolerated", items: { failed: 2 } });
    expect(run.output).toMatchObject({ results: [1, 2, errorOf(2), errorOf(3), 5, 6, 7, 8] });
    expect(repeated(world.calls, "Load")).toEqual(twice(0, 1));
    await expectWhole(id, { count: 8 });
  });

  it("of a flow within others leaves what failed beside them there", async () => {
    for (const n of [110, 112]) world.broken.add(n);
    const { id } = await ran("collect in fail in collect", nested(3));
    world.mend();
    const run = await redrivenWith(id, [await failedOn(id, "Leaf", "1/1/2")]);
    expect(run).toMatchObject({ completionReason: "failures-tolerated", items: { failed: 1, canceled: 0 } });
    expect((run.output as Nested).inner["1/1"]?.[0]).toBe(errorOf(110));
    expect((run.output as Nested).leaves).toMatchObject({ "1/1/1": 1, "1/1/2": 1 });
    expect(repeated(world.calls, "Leaf")).toEqual(twice(112));
    await expectWhole(id, nested(3));
    expect(
      repeated(
        world.calls.filter(({ key }) => key.startsWith(id)),
        "Leaf",
      ),
    ).toEqual(twice(110, 112));
  });

  it("executes no others in a flow that was stopped with them: these fail as they did", async () => {
    for (const n of [0, 1001]) world.broken.add(n);
    world.gated.add(1);
    const { id } = await start("collect in fail in collect", nested());
    await stage.heard("Leaf 1");
    await finished(id);
    expect(await look(id)).toMatchObject({ items: { failed: 2, canceled: 1 } });
    world.mend();
    expect((await ask(id, [await failedOn(id, "Last", "0/1")])).status).toBe(202);
    await stage.heard("Last 1001", 2);
    stage.open("item 1");
    await finished(id);
    const run = await look(id);
    expect(run).toMatchObject({ completionReason: "failures-tolerated", items: { failed: 1, canceled: 0 } });
    expect(run.output).toMatchObject({ leaves: { "0/0/1": 1 }, lasts: { "0/0": 1, "0/1": 1 } });
    expect((run.output as Nested).inner["0/0"]?.[0]).toBe(errorOf(0));
    expect(repeated(world.calls, "Leaf")).toEqual({});
    await expectWhole(id, nested());
  });

  it("lets what was stopped with their branch go on with it, and nothing of another", async () => {
    for (const n of [1001, 1011]) world.broken.add(n);
    for (const n of [1000, 1001, 1010, 1011]) world.gated.add(n);
    const { id } = await start("collect in fail in collect", nested());
    for (const n of world.gated) await stage.heard(`Last ${n}`);
    stage.open("item 1001", "item 1011");
    await finished(id);
    expect(await look(id)).toMatchObject({ items: { total: 12, succeeded: 8, failed: 2, canceled: 2 } });
    world.mend();
    world.gated.clear();
    expect((await ask(id, [await failedOn(id, "Last", "0/1")])).status).toBe(202);
    await stage.heard("Last 1001", 2);
    stage.open("item 1000");
    await finished(id);
    const run = await look(id);
    expect(run).toMatchObject({ items: { total: 12, succeeded: 10, failed: 1, canceled: 1 } });
    expect(run.output).toMatchObject({ lasts: { "0/0": 1, "0/1": 1 }, outer: { 1: errorOf(1011) } });
    stage.open("item 1010");
    await seen(id, { items: { succeeded: 11, failed: 1, canceled: 0 } });
    await expectWhole(id, nested());
    expect(
      repeated(
        world.calls.filter(({ key }) => key.startsWith(id)),
        "Last",
      ),
    ).toEqual(twice(1001, 1011));
  });
});

const COLLECT = { onItemError: "collect" } as const;

describe("a redrive of chosen items of chunks", () => {
  /** What is called for with these items, which are mended. */
  async function callsOf(id: string, indexes: number[]): Promise<{ run: Run; lists: number[][] }> {
    const before = chunked.calls.length;
    const run = await redrivenWith(id, await failedOf(id, "Together", ...indexes));
    return { run, lists: chunked.calls.slice(before).map(({ items }) => items) };
  }

  it.each([
    ["together", { ...COLLECT, batchSize: 4 }, { 1: { errors: 9 }, 2: { errors: 9 }, 5: { errors: 9 } }],
    ["in halves", { ...COLLECT, batchSize: 4, split: true }, { 1: { spoils: 9 }, 2: { spoils: 9 }, 5: { spoils: 9 } }],
  ] as const)("calls for these alone, under other keys: %s", async (_, options, bad) => {
    setOptions(options);
    const list = pieces(8, bad);
    const { id } = await ran("chunked", { pieces: list });
    expect(await look(id)).toMatchObject({ items: { succeeded: 5, failed: 3 } });
    chunked.isMended = true;
    const second = await callsOf(id, [2]);
    expect(second.lists).toEqual([[2]]);
    expect(second.run).toMatchObject({ completionReason: "failures-tolerated", items: { succeeded: 6, failed: 2 } });
    const third = await callsOf(id, [1]);
    expect(third.lists).toEqual([[1]]);
    expect((await itemsOf(id)).map(({ redrives }) => redrives > 0)).toEqual([0, 1, 1, 0, 0, 0, 0, 0].map(Boolean));
    await crash(runOf(id));
    const last = await redriven(id);
    expect(last).toMatchObject({ completionReason: "all-succeeded", items: { succeeded: 8 } });
    expect(last.output).toMatchObject({ results: [0, 10, 20, 30, 40, 50, 60, 70] });
    const keys = chunked.calls.map(({ key }) => key);
    expect(new Set(keys).size).toBe(keys.length);
  });

  it("whose results came of a stale call calls for the next one by another key", async () => {
    setOptions({ ...COLLECT, batchSize: 4 });
    const run = await ChunkedByHand.start(pieces(4));
    const { id } = run;
    const entered = async (entry: string, wakes: number) =>
      run.entered((await run.orders(wakes)).at(-1) as Order, entry);
    const first = await entered("first", 1);
    await first.report([partsOf(first.claim, { 1: fatal, 3: fatal })]);
    await finished(id);
    await ask(id, await failedOf(id, "Together", 1));
    const stale = await entered("stale", 2);
    const { claim } = stale;
    // Who comes after it in its slot has the call anew. That one's outcome is never heard.
    await entered("next", 2);
    await stale.report([partsOf(claim)]);
    expect(await finished(id)).toMatchObject({ items: { succeeded: 3, failed: 1 } });
    await ask(id, await failedOf(id, "Together", 3));
    const last = await entered("last", 3);
    expect([claim, last.claim].map(({ chunk }) => chunk?.indexes)).toEqual([[1], [3]]);
    expect(keyOfCall(id, last.claim)).not.toBe(keyOfCall(id, claim));
    await last.report([partsOf(last.claim)]);
    expect(await finished(id)).toMatchObject({ completionReason: "all-succeeded", items: { succeeded: 4 } });
  });

  it("makes jobs of these alone", async () => {
    const bureau = newBureau();
    bureau.habits.collect = ({ lines }: Job) =>
      lines.map(({ id, item }) => (item < 0 ? { id, error: new Error(`${item} is bad`) } : { id, result: 2 * item }));
    const items = [0, 1, -2, 3, -4, 5];
    const { id } = await ran("jobbing once", { items });
    expect(await look(id)).toMatchObject({ items: { succeeded: 4, failed: 2 } });
    bureau.habits.collect = ({ lines }: Job) => lines.map(({ id, item }) => ({ id, result: 2 * item }));
    const run = await redrivenWith(id, await failedOf(id, "Doubling", 4));
    expect(run).toMatchObject({ completionReason: "failures-tolerated", items: { succeeded: 5, failed: 1 } });
    expect(run.output).toMatchObject({ results: [0, 2, "-2 is bad", 6, -8, 10] });
    const last = await redriven(id);
    expect(last.output).toMatchObject({ results: [0, 2, -4, 6, -8, 10] });
    expect(bureau.all.map(({ lines }) => lines.map(({ item }) => item))).toEqual([items, [-4], [-2]]);
  });
});

describe("whatever fails, and whatever is chosen of it", () => {
  const rounds = fc.array(fc.record({ chosen: fc.nat(127), mends: fc.boolean(), crashes: fc.nat(2) }), {
    minLength: 1,
    maxLength: 3,
    size: "max",
  });
  const numbers = fc.uniqueArray(fc.nat(6), { minLength: 1, maxLength: 5, size: "max" });

  it.each([
    ["collecting, then a batch", "Collecting"],
    ["collecting branches", "Load"],
  ])(
    "a redrive of all makes it whole in the end, and executes what was not chosen as often as ever: %s",
    async (flow, node) => {
      await fc.assert(
        fc.asyncProperty(numbers, rounds, async (broken, all) => {
          world = newWorld();
          for (const n of broken) world.broken.add(n);
          const { id } = await ran(flow, { count: 7 });
          const everChosen = new Set<number>();
          for (const { chosen, mends, crashes } of all) {
            if (mends) world.mend();
            // On branches each is the only item of its step.
            const failed = await itemsOf(id, `&node=${node}&status=failed`);
            const numberOf = ({ branch, index }: Item) => (branch === "" ? index : Number(branch));
            const meant = failed.filter((item) => chosen & (1 << numberOf(item)));
            if (meant.length === 0) continue;
            for (const item of meant) everChosen.add(numberOf(item));
            const calls = world.calls.length;
            expect(
              (
                await ask(
                  id,
                  meant.map(({ step, index }) => ({ step, index })),
                )
              ).status,
            ).toBe(202);
            for (let times = 0; times < crashes; times++) {
              await crash(runOf(id));
              await getRun(id);
            }
            await finished(id);
            const left = failed.length - (world.broken.size === 0 ? meant.length : 0);
            expect(await look(id)).toMatchObject({ status: "completed", items: { failed: left, canceled: 0 } });
            const made = world.calls.slice(calls).filter((call) => call.node === node);
            expect(new Set(made.map(({ n }) => n))).toEqual(new Set(meant.map(numberOf)));
          }
          world.mend();
          const before = await look(id);
          const last = before.completionReason === "all-succeeded" ? before : await redriven(id);
          const counts = repeated(world.calls, node);
          for (let n = 0; n < 7; n++) if (!everChosen.has(n)) expect(counts[n] ?? 1).toBe(broken.includes(n) ? 2 : 1);
          const whole = await unharmed(world, flow, { count: 7 });
          expect([last.output, last.items]).toEqual([whole.output, whole.items]);
        }),
        { numRuns: 8, seed: 7 },
      );
    },
  );
});
