import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Clock } from "./executor.ts";
import { deployed, resultsOf, tasks } from "./flows.ts";
import { newStage, type Stage } from "./stage.ts";
import {
  call,
  crash,
  executorOf,
  finished,
  getRun,
  inRun,
  type Run,
  ran,
  resultLines,
  runOf,
  start,
} from "./support.ts";

let stage: Stage;
beforeEach(() => {
  stage = newStage();
});
afterEach(() => {
  deployed.version = "first";
  vi.restoreAllMocks();
});

/** A deploy: the run's object is loaded anew, with the flow as it now is. */
async function deploy(version: string, id: string): Promise<Run> {
  deployed.version = version;
  await crash(runOf(id));
  return getRun(id);
}

/** A run of which three items are in exec. */
async function atWork(): Promise<string> {
  const { id } = await start("changing", { tasks: tasks(3, { gate: "go" }) });
  await stage.heard("start", 3);
  return id;
}

describe("a run that was started by the first version of this code", () => {
  it("goes on after a deploy, and repeats nothing", async () => {
    const id = await atWork();
    await inRun(id, ({ sql }) => sql.exec("alter table run drop column lives; alter table page drop column needs"));
    await crash(runOf(id));
    stage.open("go");
    expect(await finished(id)).toMatchObject({ status: "completed", executions: 4 });
  });
});

describe("a run whose flow was changed meanwhile", () => {
  it.each([
    ["longer", "node `More` was added; edge `Single -default->` was added"],
    ["without the batch", "node `AtOnce` was removed; edge `AtOnce -default->` was removed"],
    ["broken", "Error: no such module"],
  ])("is paused as it was, with an error that names what changed: %s", async (version, change) => {
    const id = await atWork();
    const before = await getRun(id);
    const run = await deploy(version, id);
    expect(run).toMatchObject({ status: "paused", error: { name: "GraphChanged" } });
    expect(run.error?.message).toContain(
      `Flow \`changing\` has changed since the run began, in what the run still has to do: ${change}. The run is paused`,
    );
    expect({ ...run, status: "running", error: null }).toEqual(before);
    expect((await call(`/runs/${id}/items`)).status).toBe(200);
  });

  it("goes on by itself when the flow is as it was, and repeats nothing", async () => {
    const id = await atWork();
    await deploy("longer", id);
    expect(await deploy("first", id)).toMatchObject({ status: "running", error: null });
    stage.open("go");
    expect(await finished(id)).toMatchObject({ status: "completed", output: { results: [0], posts: 2 } });
    expect(stage.count("start")).toBe(4);
  });

  it("keeps what ends while it is paused, and runs no hook for it", async () => {
    const id = await atWork();
    await deploy("longer", id);
    stage.open("go");
    await expect.poll(async () => (await getRun(id)).items.succeeded).toBe(3);
    expect(await getRun(id)).toMatchObject({ status: "paused" });
    expect(stage.count("post")).toBe(0);
    await deploy("first", id);
    expect(await finished(id)).toMatchObject({ status: "completed", output: { posts: 2 } });
    expect(stage.count("start")).toBe(4);
  });

  it("keeps what ends while it is paused, though its node is gone", async () => {
    const id = await atWork();
    await deploy("without the batch", id);
    stage.open("go");
    await expect.poll(async () => (await getRun(id)).items.succeeded).toBe(3);
    await deploy("first", id);
    expect(await finished(id)).toMatchObject({ status: "completed", output: { posts: 2 } });
  });

  it("judges no failure while it is paused: the item is executed once more, as if its executor had been lost", async () => {
    const clock = new Clock();
    const failing = [1, 2].map((n) => ({ n, gate: "go", failures: 1 }));
    const { id } = await start("changing", { tasks: [{ n: 0, gate: "go" }, ...failing] });
    await stage.heard("start", 3);
    await deploy("without the batch", id);
    stage.open("go");
    await expect
      .poll(() => runInDurableObject(executorOf(id, 0), (_, { storage }) => storage.kv.get("order")))
      .toBeUndefined();
    expect(await getRun(id)).toMatchObject({ status: "paused", items: { failed: 0, succeeded: 1 } });
    await deploy("first", id);
    await clock.pass(id, 8000);
    // Its wake is set by the clock that was put forward.
    await runDurableObjectAlarm(executorOf(id, 0));
    expect(await finished(id)).toMatchObject({ status: "completed", output: { posts: 2 } });
    const { items } = await (await call(`/runs/${id}/items?node=AtOnce`)).json<{ items: object[] }>();
    expect(items).toMatchObject([{ attempts: 1 }, { attempts: 2 }, { attempts: 2 }]);
  });

  it("before its first turn begins when the flow is as it was", async () => {
    deployed.version = "first";
    const { id } = await start("changing", { tasks: tasks(2) });
    const run = await deploy("longer", id);
    if (run.startedAt === null) expect(run).toMatchObject({ status: "paused" });
    await deploy("first", id);
    expect(await finished(id)).toMatchObject({ status: "completed", output: { posts: 2 } });
  });

  it("can be canceled", async () => {
    const id = await atWork();
    await deploy("longer", id);
    expect((await call(`/runs/${id}/cancel`, { method: "POST" })).status).toBe(202);
    expect(await deploy("first", id)).toMatchObject({ status: "canceled", items: { canceled: 3 } });
  });

  it("looks now and then whether its flow is as it was, and no oftener", async () => {
    const id = await atWork();
    await deploy("longer", id);
    await runDurableObjectAlarm(runOf(id));
    const alarmMs = await inRun(id, (storage) => storage.getAlarm());
    expect((alarmMs as number) - Date.now()).toBeGreaterThan(4 * 60_000);
    expect(await getRun(id)).toMatchObject({ status: "paused" });
  });
});

describe("a run that had finished before its flow was changed", () => {
  it.each(["longer", "without the batch", "broken"])("is as it was: %s", async (version) => {
    const before = await ran("changing", { tasks: tasks(3) });
    const look = async () => ({ run: await getRun(before.id), lines: await resultLines(before.id) });
    const seen = await look();
    expect(seen.lines).toEqual(
      resultsOf(3).map((result, index) => `{"index":${index},"status":"succeeded","result":${result}}`),
    );
    await deploy(version, before.id);
    expect(await look()).toEqual(seen);
  });
});
