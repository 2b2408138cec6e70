import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Registry } from "../../src/durable/registry.ts";
import { Flow, Node } from "../../src/index.ts";
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
    await crash(runOf(run.id));
    const written = await inRun(run.id, ({ sql }) => sql.exec("select total_changes() as changes").one());
    const setAlarm = await inRun(run.id, (storage) => {
      const spy = vi.spyOn(storage, "setAlarm");
      return async () => spy.mock.calls.length;
    });
    for (const path of ["", "/items", "/results", "/items?status=failed"]) {
      expect((await call(`/runs/${run.id}${path}`)).status).toBe(200);
    }
    await scheduler.wait(20);
    expect(await inRun(run.id, ({ sql }) => sql.exec("select total_changes() as changes").one())).toEqual(written);
    expect(await setAlarm()).toBe(0);
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
    const clock = new Clock();
    clock.forward(30 * DAY - 1000);
    stage.say("healed");
    // It waits at the gate now.
    await rows(run.id, "select 1");
    expect((await post(`/runs/${run.id}/retry`)).status).toBe(202);
    clock.forward(HOUR);
    await runDurableObjectAlarm(runOf(run.id));
    const again = await finished(run.id);
    expect(again).toMatchObject({ status: "completed", completionReason: "all-succeeded", redriveCount: 1 });
    // It is kept from its new end on.
    expect(await keptMs(again)).toBe(30 * DAY);
    expect(Date.parse(again.finishedAt as string)).toBeGreaterThan(Date.parse(run.finishedAt as string) + 29 * DAY);
  });

  it("is not deleted though its alarm for that was set, and its time is up before it ends", async () => {
    const { id } = await start("forgotten once failed", { count: 30, failing: [4], waiting: [5] });
    await stage.heard("start 5");
    await runOf(id).wait(10_000);
    stage.say("healed");
    const response = await post(`/runs/${id}/retry`);
    expect(response.status).toBe(202);
    await crash(runOf(id));
    await scheduler.wait(120);
    expect(await getRun(id)).toMatchObject({ status: "running", redriveCount: 1 });
    stage.open("go");
    expect(await finished(id)).toMatchObject({ status: "completed" });
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
