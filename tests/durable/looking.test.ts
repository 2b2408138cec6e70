import { evictDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { plain } from "../core/spelling.ts";
import { expectAgreement, gridOf, nodesOf, stepsOf } from "../http/looking.ts";
import { pieces, setOptions } from "./chunk-pieces.ts";
import { newWorld, type World } from "./failing.ts";
import { tasks } from "./flows.ts";
import { written } from "./programs/index.ts";
import { newStage, type Stage } from "./stage.ts";
import { crash, finished, getRun, post, ran, runOf, start } from "./support.ts";

// What is told of nodes, steps, grids and items is read in different ways: here they say the same, of any run at any time.

let stage: Stage;
let world: World;
let going: string[] = [];
beforeEach(() => {
  stage = newStage();
  world = newWorld();
  setOptions({ batchSize: 4 });
});
afterEach(async () => {
  for (const id of going) await post(`/runs/${id}/cancel`);
  going = [];
});

async function expectSo(id: string): Promise<void> {
  await expectAgreement(id);
  await evictDurableObject(runOf(id));
  await expectAgreement(id);
}

describe("a run that has ended is told of alike everywhere, from memory and from its rows:", () => {
  // What is counted does not hang on how a program's words are put: every third will do, and all of them where there is time.
  const every = import.meta.env.VITE_SOAK ? 1 : 3;
  const programs = written.filter(({ spelling }) => spelling === plain.spelling).filter((_, at) => at % every === 0);
  it.each(programs.map(({ sentence, name, input }) => [sentence, name, input] as const))(
    "%s",
    async (_, name, input) => {
      const { id } = await ran(name, input);
      await expectAgreement(id);
      await crash(runOf(id));
      await expectAgreement(id);
    },
  );
});

/** Runs at rest somewhere on their way, each with what is then known of its items. */
const MOMENTS: { [moment: string]: () => Promise<[id: string, items: object]> } = {
  "items of every kind": async () => {
    const many = [{ n: 0 }, { n: 1, failures: 1 }, ...tasks(20, { gate: "go" })];
    const { id } = await start("retried later", { tasks: many });
    await stage.heard("start", 18);
    return [id, { deferred: 1, succeeded: 1, running: 16, pending: 4 }];
  },
  "a plain node in exec": async () => {
    const { id } = await start("single", { tasks: tasks(1, { gate: "go" }) });
    await stage.heard("start 0");
    return [id, { total: 1, running: 1 }];
  },
  "branches of which some are ahead": async () => {
    const { id } = await start("branching", { count: 5, at: [], log: [], done: [] });
    for (const n of [0, 1, 2, 3, 4]) await stage.heard(`exec ${n}`);
    stage.open("exec 1", "exec 3");
    return [id, { total: 7, running: 3, succeeded: 4 }];
  },
  "chunks, one of them deferred": async () => {
    setOptions({ batchSize: 4, maxRetries: 2, wait: 3600, concurrency: 2, perExecutor: 1 });
    const { id } = await start("chunked", {
      pieces: pieces(14, { 1: { spoils: 1 }, 5: { gate: "go" }, 9: { gate: "go" } }),
    });
    await stage.heard("start 5");
    await stage.heard("start 9");
    return [id, { total: 14, deferred: 4, running: 8, pending: 2 }];
  },
  "a chunk that has told of some": async () => {
    setOptions({ batchSize: 4, onItemError: "collect", maxRetries: 2, wait: 3600 });
    const { id } = await start("chunked", { pieces: pieces(6, { 1: { errors: 1 } }) });
    return [id, { total: 6, succeeded: 5, deferred: 1 }];
  },
};

describe("a run that goes on is told of alike everywhere, and so when it has ended otherwise:", () => {
  it.each(Object.keys(MOMENTS))("%s", async (moment) => {
    const [id, items] = await (MOMENTS[moment] as () => Promise<[string, object]>)();
    going.push(id);
    await expect.poll(async () => (await getRun(id)).items).toMatchObject(items);
    await expectAgreement(id);
    expect((await post(`/runs/${id}/pause`)).status).toBe(202);
    await expectAgreement(id);
    expect((await post(`/runs/${id}/resume`)).status).toBe(202);
    await post(`/runs/${id}/cancel`);
    await expectAgreement(id);
    // What is in exec is no more the run's; an object in which something is under way cannot be evicted.
    stage.open("go", ...[0, 2, 4].map((n) => `exec ${n}`));
    await expectSo(id);
  });

  it.each([
    ["sleeper", { time: "1h", log: [] }],
    ["approval", { log: [] }],
  ])("%s, as it waits", async (flow, input) => {
    const { id } = await start(flow, input);
    going.push(id);
    await expect.poll(async () => (await getRun(id)).status).toBe("waiting");
    await expectSo(id);
    expect((await nodesOf(id)).reduce((sum, { open }) => sum + open, 0)).toBe(
      (await stepsOf(id)).filter(({ finishedAt }) => finishedAt === null).length,
    );
    await post(`/runs/${id}/cancel`);
    await expectSo(id);
  });

  it("a node that has failed, and what was not begun with it", async () => {
    const { id } = await ran("narrow", { tasks: [{ n: 0 }, { n: 1, failures: 1 }, ...tasks(6)] });
    await expectSo(id);
    const [[, letters] = [0, ""]] = await gridOf(id, "AtOnce");
    expect(letters).toMatch(/^sf[sc]{6}$/);
  });
});

/** Flows of which parts fail, and how they are started. */
const BROKEN: { [flow: string]: object } = {
  collecting: { count: 6 },
  strict: { count: 6 },
  "collecting in branches": { branches: 3, items: 3, lists: {}, tails: {}, ends: 0 },
  "collecting in collecting branches": { branches: 3, items: 3, lists: {}, tails: {}, ends: 0 },
  "strict in collecting branches": { branches: 3, items: 3, lists: {}, tails: {}, ends: 0 },
  "collect in fail in collect": { width: 2, leaves: {}, lasts: {}, inner: {} },
};

describe("a run that is taken up again is told of alike everywhere, before and after:", () => {
  it.each(Object.keys(BROKEN))("%s", async (flow) => {
    for (const n of [1, 11, 20]) world.broken.add(n);
    const { id } = await ran(flow, BROKEN[flow]);
    await expectSo(id);
    world.broken.delete(11);
    world.broken.delete(20);
    const before = await stepsOf(id);
    if ((await post(`/runs/${id}/retry`)).status === 409) return;
    await finished(id);
    await expectSo(id);
    const failed = (await getRun(id)).items.failed;
    world.mend();
    if (failed > 0) {
      expect((await post(`/runs/${id}/retry`)).status).toBe(202);
      await finished(id);
      await expectSo(id);
    }
    expect(await getRun(id)).toMatchObject({ status: "completed", items: { failed: 0, canceled: 0 } });
    expect(before.length).toBeGreaterThan(0);
  });

  it("while it goes on: what will go on is open, and what was failed is none any more", async () => {
    for (const n of [1, 11, 20]) world.broken.add(n);
    const { id } = await ran("strict in collecting branches", BROKEN["strict in collecting branches"]);
    world.mend();
    for (const n of [1, 11, 20]) world.gated.add(n);
    going.push(id);
    expect((await post(`/runs/${id}/retry`)).status).toBe(202);
    await expect.poll(async () => (await getRun(id)).items).toMatchObject({ running: 3, failed: 0 });
    await expectAgreement(id);
    await crash(runOf(id));
    await expect.poll(async () => (await getRun(id)).items).toMatchObject({ running: 3, failed: 0 });
    await expectAgreement(id);
    stage.open("item 1", "item 11", "item 20");
    await finished(id);
    await expectSo(id);
  });

  it("while a branch goes on whose turn it is, and another waits for its own", async () => {
    world.broken.add(1).add(2);
    const { id } = await ran("collecting branches in turn", { count: 4 });
    world.mend();
    world.gated.add(1).add(2);
    going.push(id);
    expect((await post(`/runs/${id}/retry`)).status).toBe(202);
    await expect.poll(async () => (await getRun(id)).items).toMatchObject({ running: 1, pending: 1, failed: 0 });
    await expectAgreement(id);
    stage.open("item 1", "item 2");
    await finished(id);
    await expectSo(id);
  });
});
