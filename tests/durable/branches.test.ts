import { runDurableObjectAlarm } from "cloudflare:test";
import { beforeEach, describe, expect, it } from "vitest";
import { Journal } from "../../src/core/journal.ts";
import { JournalStore } from "../../src/durable/journal-store.ts";
import { LongText } from "../../src/durable/text.ts";
import type { Branching } from "./branching.ts";
import { newStage, type Stage } from "./stage.ts";
import { crash, finished, getRun, inRun, rows, runOf, start, storedOutput } from "./support.ts";

let stage: Stage;
beforeEach(() => {
  stage = newStage();
});

const NOTHING: Branching = { count: 3, at: [], log: [], done: [] };

/** `shared` as a run that lost its object now would find it. */
function storedShared(id: string): Promise<Branching> {
  return inRun(id, ({ sql }) => {
    const { snapshot, entries } = new JournalStore(sql, new LongText(sql)).read();
    return structuredClone((Journal.read(snapshot, entries).root as { shared: Branching }).shared);
  });
}

function nodesOf(id: string): Promise<{ node: string; count: number }[]> {
  return rows(id, "select node, count(*) as count from step group by node order by node");
}

/** Three branches, of which the first has written in its post and halts there; the others have come to their second node. */
async function heldBack(more: Partial<Branching> = {}): Promise<string> {
  const { id } = await start("branching", { ...NOTHING, at: ["post 0"], ...more });
  await stage.heard("exec 0");
  stage.open("exec 0");
  await stage.heard("post 0");
  stage.open("exec 1", "exec 2");
  return id;
}

async function expectAllCounted(id: string): Promise<void> {
  expect(await finished(id)).toMatchObject({ status: "completed", action: "told", items: { total: 6, succeeded: 6 } });
  const { log, done } = (await storedOutput(id)) as Branching;
  const words = [0, 1, 2].flatMap((n) => [`post ${n} began`, `post ${n} ended`]);
  expect([...log].sort()).toEqual(words);
  expect([...done].sort()).toEqual([0, 1, 2]);
}

describe("a post that has written and waits", () => {
  it("holds back what other branches would store, so that none of their items begins, and then all go on", async () => {
    const id = await heldBack();
    for (const n of [1, 2]) await stage.heard(`second prep ${n}`);
    await runDurableObjectAlarm(runOf(id));
    expect(await nodesOf(id)).toEqual([
      { node: "AtOnce", count: 1 },
      { node: "First", count: 3 },
    ]);
    expect(await getRun(id)).toMatchObject({ status: "running", executions: 3, items: { total: 3, succeeded: 3 } });
    expect([1, 2].map((n) => stage.count(`second exec ${n}`))).toEqual([0, 0]);
    expect(await storedShared(id)).toEqual({ ...NOTHING, at: ["post 0"] });
    stage.open("post 0");
    await expectAllCounted(id);
    expect([0, 1, 2].map((n) => stage.count(`second prep ${n}`))).toEqual([1, 1, 1]);
  });

  it("has never been where the run's object is lost meanwhile: nothing is half written, and everything counts once", async () => {
    const id = await heldBack();
    for (const n of [1, 2]) await stage.heard(`second prep ${n}`);
    await crash(runOf(id));
    expect(await storedShared(id)).toEqual({ ...NOTHING, at: ["post 0"] });
    await expectAllCounted(id);
    expect(await getRun(id)).toMatchObject({ executions: 6 });
    // What was not stored has run again: the hooks, and no exec.
    expect([0, 1, 2].map((n) => stage.count(`exec ${n}`))).toEqual([1, 1, 1]);
    expect([1, 2].map((n) => stage.count(`second prep ${n}`))).toEqual([2, 2]);
  });

  it("is stored with the others once it has ended, though more of them wait", async () => {
    const id = await heldBack({ at: ["post 0", "post 2"] });
    await stage.heard("second prep 1");
    await stage.heard("post 2");
    stage.open("post 0");
    await stage.heard("second prep 0");
    expect((await storedShared(id)).log).toEqual([]);
    stage.open("post 2");
    await expectAllCounted(id);
  });

  it("does not hide that another hook throws: the run fails at once, and what was not stored is not stored", async () => {
    const id = await heldBack({ failing: 1 });
    const run = await finished(id);
    expect(run).toMatchObject({
      status: "failed",
      error: { message: "post 1 failed", node: "First", branch: "1", index: null },
    });
    const before = await storedShared(id);
    expect(before).toEqual({ ...NOTHING, at: ["post 0"], failing: 1 });
    stage.open("post 0");
    await stage.heard("post 0 over");
    expect(await getRun(id)).toEqual(run);
    expect(await storedShared(id)).toEqual(before);
    expect(stage.count("second prep 0")).toBe(0);
    await crash(runOf(id));
    expect(await getRun(id)).toEqual(run);
  });

  it("does not hide that an item fails: the run fails at once, and what was not stored is not stored", async () => {
    stage.say("fail 1");
    const id = await heldBack();
    const run = await finished(id);
    expect(run).toMatchObject({
      status: "failed",
      error: { message: "exec 1 failed", node: "First", branch: "1", index: 0, attempts: 1 },
    });
    expect(await storedShared(id)).toEqual({ ...NOTHING, at: ["post 0"] });
    stage.open("post 0");
    await stage.heard("post 0 over");
    await crash(runOf(id));
    expect(await getRun(id)).toMatchObject({ status: "failed", error: run.error, finishedAt: run.finishedAt });
    expect((await storedShared(id)).log).toEqual([]);
  });

  it("does not keep the run from being canceled, with whatever other hooks are under way", async () => {
    const id = await heldBack({ at: ["post 0", "post 1"] });
    await stage.heard("post 1");
    await stage.heard("second prep 2");
    await runOf(id).cancel();
    const run = await getRun(id);
    expect(run).toMatchObject({ status: "canceled", output: null, executions: 3 });
    stage.open("post 0", "post 1");
    for (const n of [0, 1]) await stage.heard(`post ${n} over`);
    expect(await getRun(id)).toEqual(run);
    expect(await storedShared(id)).toEqual({ ...NOTHING, at: ["post 0", "post 1"] });
    expect([0, 1].map((n) => stage.count(`second prep ${n}`))).toEqual([0, 0]);
    await crash(runOf(id));
    expect(await getRun(id)).toEqual(run);
  });
});

describe("a prep that only reads", () => {
  it("may wait for what other branches write: it holds nothing back", async () => {
    const { id } = await start("branching, waiting", NOTHING);
    expect(await finished(id)).toMatchObject({ status: "completed", executions: 3 });
    expect(((await storedOutput(id)) as Branching).done.at(-1)).toBe(0);
  });
});

describe("more branches than one turn begins", () => {
  it("all run once, though the run's object is lost while they begin", async () => {
    const count = 700;
    const { id } = await start("branching, waiting", { ...NOTHING, count });
    await stage.heard("waiting 499");
    await crash(runOf(id));
    expect(await finished(id)).toMatchObject({ status: "completed", items: { total: count, succeeded: count } });
    const { done } = (await storedOutput(id)) as Branching;
    expect([...done].sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, n) => n));
    expect(done.at(-1)).toBe(0);
  });
});
