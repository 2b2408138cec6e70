import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Registry } from "../../src/durable/registry.ts";
import { Flow, Node } from "../../src/index.ts";
import { deployEntries, NEW, OLD } from "./deploying.ts";
import { Clock } from "./executor.ts";
import { newStage, type Stage } from "./stage.ts";
import {
  call,
  crash,
  executorOf,
  finished,
  getRun,
  inRun,
  post,
  type Run,
  ran,
  rows,
  runOf,
  start,
} from "./support.ts";

let stage: Stage;
beforeEach(() => {
  stage = newStage();
});
afterEach(() => {
  vi.restoreAllMocks();
  deployEntries(OLD);
});

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

interface Left {
  tables: unknown[];
  keys: number;
  alarmMs: number | null;
}

const NOTHING: Left = { tables: [], keys: 0, alarmMs: null };

/** What an object has stored. The platform's own tables begin with an underscore. */
async function left(stub: DurableObjectStub): Promise<Left> {
  return runInDurableObject(stub, async (_, { storage }) => {
    const tables = storage.sql.exec("select name from sqlite_master where substr(name, 1, 1) <> '_'").toArray();
    return { tables, keys: (await storage.list()).size, alarmMs: await storage.getAlarm() };
  });
}

/** Nothing is left of a run: neither in its object, nor in those of its executors, nor for who asks. */
async function expectGone(id: string, executors: number): Promise<void> {
  expect(await left(runOf(id))).toEqual(NOTHING);
  for (let slot = 0; slot <= executors; slot++) {
    await expect.poll(() => left(executorOf(id, slot)), { timeout: 2000 }).toEqual(NOTHING);
  }
  for (const path of ["", "/items", "/results", "/events"]) expect((await call(`/runs/${id}${path}`)).status).toBe(404);
  for (const turn of ["cancel", "pause", "resume", "retry"]) {
    expect((await post(`/runs/${id}/${turn}`)).status).toBe(404);
  }
  expect((await call(`/runs/${id}`, { method: "DELETE" })).status).toBe(404);
  // To be asked for it has left nothing either.
  expect(await left(runOf(id))).toEqual(NOTHING);
}

async function untilGone(id: string): Promise<void> {
  await expect.poll(async () => (await left(runOf(id))).alarmMs, { interval: 20 }).toBeNull();
}

async function alarmMs(id: string): Promise<number> {
  return (await inRun(id, (storage) => storage.getAlarm())) as number;
}

/** All that is stored of a run. */
function changes(id: string): Promise<object> {
  return inRun(id, async ({ sql }) => {
    const tables = sql.exec<{ name: string }>("select name from sqlite_master where type = 'table'").toArray();
    const own = tables.filter(({ name }) => !name.startsWith("_"));
    return own.map(({ name }) => [name, sql.exec(`select * from ${name}`).toArray()]);
  });
}

/** The time for which a finished run is kept from its end on, as its alarm says. */
async function keptMs(run: Run): Promise<number> {
  // The last heartbeat is not called back: when it rings, it sets the alarm for the day.
  await runDurableObjectAlarm(runOf(run.id));
  return (await alarmMs(run.id)) - Date.parse(run.finishedAt as string);
}

async function failing(flow: string): Promise<Run> {
  const run = await ran(flow, { count: 30, failing: [4] });
  expect(run).toMatchObject({ status: "failed" });
  return run;
}

async function canceled(flow: string): Promise<Run> {
  const { id } = await start(flow, { count: 30, waiting: [4] });
  await stage.heard("start 4");
  expect((await post(`/runs/${id}/cancel`)).status).toBe(202);
  stage.open("go");
  return finished(id);
}

describe("a finished run is kept", () => {
  it.each<[string, (flow: string) => Promise<Run>, string, number]>([
    ["completed, for thirty days", (flow) => ran(flow, { count: 30 }), "kept by default", 30 * DAY],
    ["failed, for thirty days", failing, "kept by default", 30 * DAY],
    ["canceled, for thirty days", canceled, "kept by default", 30 * DAY],
    [
      "completed, for as long as its flow says",
      (flow) => ran(flow, { count: 30 }),
      "kept for an hour, and twelve",
      HOUR,
    ],
    ["failed, for as long as its flow says", failing, "kept for an hour, and twelve", 12 * HOUR],
    ["canceled, as if it had failed", canceled, "kept for an hour, and twelve", 12 * HOUR],
    [
      "failed, for thirty days where its flow says something of completed ones",
      failing,
      "forgotten once completed",
      30 * DAY,
    ],
    ["completed, likewise", (flow) => ran(flow, { count: 3 }), "forgotten once failed", 30 * DAY],
  ])("%s", async (_, end, flow, expectedMs) => {
    const run = await end(flow);
    expect(await keptMs(run)).toBe(expectedMs);
    expect(await getRun(run.id)).toEqual(run);
  });

  it("for as long as serve says, where its flow does not", () => {
    const flow = () => new Flow(new Node());
    const options = { home: "object" as const, limits: [], retain: { completed: "2d", failed: "90d" } };
    const registry = new Registry({ plain: flow, half: { flow, retain: { failed: "1h" } } }, options);
    expect(registry.make("plain").retainMs).toEqual({ completed: 2 * DAY, failed: 90 * DAY });
    expect(registry.make("half").retainMs).toEqual({ completed: 2 * DAY, failed: HOUR });
  });

  it("until its day, whatever wakes it before", async () => {
    const run = await ran("kept by default", { count: 3 });
    const clock = new Clock();
    clock.forward(30 * DAY - HOUR);
    await runDurableObjectAlarm(runOf(run.id));
    expect(await getRun(run.id)).toEqual(run);
    expect((await alarmMs(run.id)) - Date.parse(run.finishedAt as string)).toBe(30 * DAY);
    clock.forward(2 * HOUR);
    await runDurableObjectAlarm(runOf(run.id));
    await expectGone(run.id, run.executors);
  });

  it("and to look at it writes no row, and sets no alarm", async () => {
    const run = await ran("kept by default", { count: 30, failing: [7] });
    await keptMs(run);
    const written = await changes(run.id);
    await crash(runOf(run.id));
    // Loaded by the first of these. The alarm that is set is the only thing that could be written again.
    const spied = await inRun(run.id, (storage) => vi.spyOn(storage, "setAlarm"));
    for (const path of ["", "/items", "/results", "/items?status=failed"]) {
      expect((await call(`/runs/${run.id}${path}`)).status).toBe(200);
    }
    await scheduler.wait(20);
    expect(await changes(run.id)).toEqual(written);
    expect(spied.mock.calls).toEqual([]);
  });

  it("for as long as its flow said, though that version is gone when somebody looks at it", async () => {
    stage.open("A", "B", "C", "D", "E");
    deployEntries({ ...OLD, version: "1", retain: { completed: "365d" } });
    const run = await ran("versioned", { log: [] });
    expect(await keptMs(run)).toBe(365 * DAY);
    deployEntries({ ...NEW, version: "2" });
    await crash(runOf(run.id));
    expect(await getRun(run.id)).toEqual(run);
    await scheduler.wait(20);
    expect((await alarmMs(run.id)) - Date.parse(run.finishedAt as string)).toBe(365 * DAY);
  });

  it("until it is deleted, which leaves nothing", async () => {
    const run = await ran("kept by default", { count: 30 });
    expect((await call(`/runs/${run.id}`, { method: "DELETE" })).status).toBe(204);
    await expectGone(run.id, run.executors);
  });
});

describe("after its time nothing is left of a run", () => {
  it("that has completed", async () => {
    const { id } = await start("forgotten soon", { count: 30 });
    await stage.heard("last");
    await untilGone(id);
    await expectGone(id, 5);
  });

  it("that has failed", async () => {
    const { id } = await start("forgotten soon", { count: 30, failing: [4], waiting: [5, 6, 7] });
    await stage.heard("start 4");
    await untilGone(id);
    // What was in exec ends after its run is gone.
    stage.open("go");
    await expectGone(id, 5);
  });

  it("that was canceled while executors were at work", async () => {
    const { id } = await start("forgotten soon", { count: 30, waiting: [0, 1, 2, 3, 4, 5, 6, 7, 8] });
    await stage.heard("start 8");
    expect((await post(`/runs/${id}/cancel`)).status).toBe(202);
    await untilGone(id);
    stage.open("go");
    await expectGone(id, 5);
  });

  it("that completed with failures, of which a checkpoint was kept", async () => {
    const { id } = await start("forgotten soon, collecting", { count: 30, failing: [4] });
    await stage.heard("last");
    await untilGone(id);
    await expectGone(id, 5);
  });

  it("whose object was lost before the alarm", async () => {
    const run = await ran("kept by default", { count: 30 });
    const clock = new Clock();
    await keptMs(run);
    await crash(runOf(run.id));
    clock.forward(30 * DAY + 1000);
    await runDurableObjectAlarm(runOf(run.id));
    await expectGone(run.id, run.executors);
  });

  it("whose server was away until long after that, when its last heartbeat rings", async () => {
    const run = await ran("kept by default", { count: 30 });
    // The alarm is that of the run's last heartbeat still.
    expect(await alarmMs(run.id)).toBeLessThan(Date.now() + HOUR);
    await crash(runOf(run.id));
    new Clock().forward(31 * DAY);
    await runDurableObjectAlarm(runOf(run.id));
    await expectGone(run.id, run.executors);
  });

  it("whose alarm was lost, once it is looked at", async () => {
    const run = await ran("kept by default", { count: 3 });
    await inRun(run.id, (storage) => storage.deleteAlarm());
    await crash(runOf(run.id));
    await getRun(run.id);
    await expect.poll(() => alarmMs(run.id)).toBe(Date.parse(run.finishedAt as string) + 30 * DAY);
  });

  it("and its idempotency key starts another one", async () => {
    const headers = { "idempotency-key": `"again"` };
    const first = await (await post("/flows/forgotten%20soon/runs?wait=5", { count: 3 }, headers)).json<Run>();
    await untilGone(first.id);
    const response = await post("/flows/forgotten%20soon/runs", { count: 4 }, headers);
    expect({ status: response.status, replayed: response.headers.get("idempotent-replayed") }).toEqual({
      status: 202,
      replayed: null,
    });
    expect((await response.json<Run>()).id).toBe(first.id);
    await stage.heard("last", 2);
    await untilGone(first.id);
  });
});

describe("a redriven run", () => {
  it.each(["kept by default", "kept, collecting"])("is not deleted while it goes on: %s", async (flow) => {
    const run = await ran(flow, { count: 30, failing: [4] });
    await keptMs(run);
    stage.say("healed");
    expect((await post(`/runs/${run.id}/retry`)).status).toBe(202);
    await stage.heard("start 4", 2);
    new Clock().forward(31 * DAY);
    await runDurableObjectAlarm(runOf(run.id));
    expect(await getRun(run.id)).toMatchObject({ status: "running", redriveCount: 1 });
    vi.restoreAllMocks();
    stage.open("heal");
    const again = await finished(run.id);
    expect(again).toMatchObject({ status: "completed", completionReason: "all-succeeded", redriveCount: 1 });
    // It is kept from its new end on.
    expect(await keptMs(again)).toBe(30 * DAY);
  });

  it("is not deleted though the alarm for that was set already", async () => {
    const run = await failing("forgotten once failed");
    await expect.poll(() => rows(run.id, "select id from slot where state <> 'idle'"), { interval: 1 }).toEqual([]);
    stage.say("healed");
    expect((await post(`/runs/${run.id}/retry`)).status).toBe(202);
    await crash(runOf(run.id));
    await scheduler.wait(400);
    expect(await getRun(run.id)).toMatchObject({ status: "running", redriveCount: 1 });
    stage.open("heal");
    expect(await finished(run.id)).toMatchObject({ status: "completed", redriveCount: 1 });
  });

  it("executes what failed while the executor that had it is at work with something else", {
    timeout: 5_000,
  }, async () => {
    // Items 6 to 11 are with an executor of their own, which learns nothing of the failure until it reports the next time.
    const { id } = await start("kept, tolerating one", { count: 12, failing: [4, 7], late: [4], waiting: [8] });
    await expect.poll(async () => (await getRun(id)).items.succeeded).toBe(9);
    stage.open("late");
    await runOf(id).wait(10_000);
    expect(await getRun(id)).toMatchObject({ status: "failed", completionReason: "tolerance-exceeded" });
    stage.say("healed");
    expect((await post(`/runs/${id}/retry`)).status).toBe(202);
    await stage.heard("start 4", 2);
    await stage.heard("start 7", 2);
    stage.open("go", "heal");
    expect(await finished(id)).toMatchObject({ status: "completed", completionReason: "all-succeeded" });
  });
});

describe("a deadline", () => {
  const LATE = {
    name: "DeadlineExceededError",
    message: "Expected the run to finish within 0.3 s (deadline), and it did not",
  };

  it("ends a run in time, though executors are at work", async () => {
    const { id } = await start("in no time", { count: 3, waiting: [0] });
    await stage.heard("start 0");
    const run = await finished(id);
    expect(run).toMatchObject({ status: "failed", completionReason: "deadline-exceeded", error: LATE });
    const tookMs = Date.parse(run.finishedAt as string) - Date.parse(run.createdAt);
    expect(tookMs).toBeGreaterThanOrEqual(300);
    expect(tookMs).toBeLessThan(2_000);
    expect(run.items).toMatchObject({ running: 0, pending: 0, canceled: 1, succeeded: 2 });
    stage.open("go");
    expect(await keptMs(run)).toBe(12 * HOUR);
    expect(stage.count("last")).toBe(0);
  });

  it("is honoured across a kill, without anybody asking", async () => {
    const { id } = await start("in time", { count: 3, waiting: [0] });
    await stage.heard("start 0");
    const clock = new Clock();
    await crash(runOf(id));
    clock.forward(HOUR + 1000);
    await runDurableObjectAlarm(runOf(id));
    expect(await getRun(id)).toMatchObject({ status: "failed", completionReason: "deadline-exceeded" });
    stage.open("go");
    await crash(runOf(id));
    expect(await getRun(id)).toMatchObject({ status: "failed", completionReason: "deadline-exceeded" });
  });

  it("is not over before its time across a kill", async () => {
    const { id } = await start("in time", { count: 3, waiting: [0] });
    await stage.heard("start 0");
    const clock = new Clock();
    clock.forward(HOUR - 60_000);
    await crash(runOf(id));
    await runDurableObjectAlarm(runOf(id));
    expect(await getRun(id)).toMatchObject({ status: "running" });
    stage.open("go");
    expect(await finished(id)).toMatchObject({ status: "completed" });
  });

  it("ends a run that is paused, for which the alarm is set", async () => {
    const { id } = await start("in no time", { count: 3, waiting: [0] });
    await stage.heard("start 0");
    expect((await post(`/runs/${id}/pause`)).status).toBe(202);
    await crash(runOf(id));
    expect(await getRun(id)).toMatchObject({ status: "paused" });
    expect(await finished(id)).toMatchObject({ status: "failed", completionReason: "deadline-exceeded", error: LATE });
    stage.open("go");
  });

  it("ends nothing that has finished", async () => {
    const run = await ran("in no time", { count: 3 });
    await scheduler.wait(350);
    await crash(runOf(run.id));
    expect(await getRun(run.id)).toEqual(run);
  });

  it("counts anew after a redrive", async () => {
    const { id } = await start("in time", { count: 3, waiting: [0] });
    await stage.heard("start 0");
    const clock = new Clock();
    clock.forward(HOUR + 1000);
    await runDurableObjectAlarm(runOf(id));
    expect(await finished(id)).toMatchObject({ status: "failed", completionReason: "deadline-exceeded" });
    clock.forward(5 * HOUR);
    expect((await post(`/runs/${id}/retry`)).status).toBe(202);
    await crash(runOf(id));
    clock.forward(HOUR - 60_000);
    await runDurableObjectAlarm(runOf(id));
    expect(await getRun(id)).toMatchObject({ status: "running", redriveCount: 1 });
    clock.forward(60_000);
    await runDurableObjectAlarm(runOf(id));
    expect(await getRun(id)).toMatchObject({ status: "failed", completionReason: "deadline-exceeded" });
    expect((await post(`/runs/${id}/retry`)).status).toBe(202);
    stage.open("go");
    expect(await finished(id)).toMatchObject({ status: "completed", redriveCount: 2 });
  });
});
