import {
  abortAllDurableObjects,
  createScheduledController,
  evictDurableObject,
  runDurableObjectAlarm,
  runInDurableObject,
} from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Trigger } from "../../src/durable/index-entry.ts";
import { RunIndexObject } from "../../src/durable/run-index.ts";
import type { RunSummary } from "../../src/durable/view.ts";
import { newRunId } from "../../src/http/ids.ts";
import { tasks } from "../durable/flows.ts";
import { entry } from "../durable/indexing.ts";
import { begun, newKey } from "../durable/limited.ts";
import { limitedTasks } from "../durable/limited-flows.ts";
import { woken } from "../durable/orders.ts";
import { newStage, type Stage } from "../durable/stage.ts";
import { call, crash, finished, getRun, inRun, post, type Run, ran, runOf, start } from "../durable/support.ts";
import worker from "../durable/worker.ts";
import { idsIn, LATER, list, pagesOf, rowOf, SOON, summaryOf, theIndex } from "./client.ts";
import { problemOf } from "./problem.ts";

let stage: Stage;
beforeEach(() => {
  stage = newStage();
});
afterEach(() => {
  vi.restoreAllMocks();
});

const GATED = { tasks: tasks(1, { gate: "go" }) };
const RETRIED_LATER = { tasks: tasks(1, { failures: 1 }) };

/** The run once the list shows so much of it. */
async function listed(run: Run, expected: Partial<RunSummary> = {}): Promise<RunSummary> {
  await expect.poll(() => rowOf(run), LATER).toMatchObject({ id: run.id, ...expected });
  return (await rowOf(run)) as RunSummary;
}

async function turned(id: string, turn: "cancel" | "pause" | "resume" | "retry"): Promise<Run> {
  const response = await post(`/runs/${id}/${turn}`);
  expect(response.status).toBe(202);
  return response.json();
}

/** Starts a run as a cron or a webhook does. */
async function startBy(trigger: Trigger): Promise<string> {
  const id = newRunId();
  await runOf(id).start({ id, flow: "single", input: GATED, inputDigest: null, trigger, callback: null });
  return id;
}

describe("GET /runs", () => {
  it("lists a run that was started within two seconds, as it is, the newest first", async () => {
    const first = await start("narrow", GATED);
    const second = await start("narrow", { tasks: tasks(2, { gate: "go" }) });
    await expect.poll(() => idsIn({ flow: "narrow" }), SOON).toEqual([second.id, first.id]);
    await listed(second, { status: "running", items: expect.objectContaining({ total: 2 }) });
    expect((await list({ flow: "narrow" })).cursor).toBeNull();
    stage.open("go");
  });

  it("shows the run's own fields but its output, and none that grows", async () => {
    const run = await ran("work", { tasks: tasks(3) });
    expect(await listed(run, { status: "completed" })).toEqual(summaryOf(run));
    expect(await rowOf(run)).not.toHaveProperty("output");
  });

  it("shows the fields of a run that goes on as well", async () => {
    const run = await start("single, retried later", RETRIED_LATER);
    await listed(run, { status: "waiting" });
    await expect.poll(async () => [await rowOf(run)], LATER).toEqual([summaryOf(await getRun(run.id))]);
  });

  it("cuts a message that is long", async () => {
    const run = await ran("single", { tasks: [{ n: "x".repeat(5_000), failures: 1 }] });
    const { error } = await listed(run, { status: "failed" });
    expect(run.error?.message.length).toBeGreaterThan(5_000);
    expect(error).toEqual({ ...run.error, message: run.error?.message.slice(0, 1_000) });
  });

  it("finds runs by status, whichever it is", async () => {
    const running = await start("single", GATED);
    const paused = await start("single", GATED);
    await turned(paused.id, "pause");
    const canceled = await start("single", GATED);
    await turned(canceled.id, "cancel");
    const waiting = await start("single, retried later", RETRIED_LATER);
    const failed = await ran("single", { tasks: tasks(1, { failures: 1 }) });
    const completed = await ran("single", { tasks: tasks(1) });
    const all = { running, paused, canceled, waiting, failed, completed };
    for (const [status, run] of Object.entries(all)) {
      await expect.poll(() => idsIn({ status, limit: 1000 }), LATER).toContain(run.id);
      const { runs } = await list({ status, limit: 1000 });
      expect(new Set(runs.map((row) => row.status))).toEqual(new Set([status]));
    }
    expect((await list({ status: "queued" })).runs.map(({ id }) => id)).not.toContain(paused.id);
    stage.open("go");
  });

  it("finds runs by flow, alone or with a status", async () => {
    const failed = await ran("retried", { tasks: tasks(1, { failures: 3 }) });
    const completed = await ran("retried", { tasks: tasks(1) });
    await listed(failed, { status: "failed" });
    await listed(completed, { status: "completed" });
    expect(await idsIn({ flow: "retried" })).toEqual([completed.id, failed.id]);
    expect(await idsIn({ flow: "retried", status: "failed" })).toEqual([failed.id]);
    expect(await idsIn({ flow: "retried", status: "paused" })).toEqual([]);
    expect(await idsIn({ flow: "no such flow" })).toEqual([]);
    expect(await idsIn({ flow: "' or 1 = 1 --" })).toEqual([]);
  });

  it("finds runs by what started them, and by its name", async () => {
    const cron = await startBy({ type: "cron", name: "nightly" });
    const webhook = await startBy({ type: "webhook", name: "orders" });
    const http = await start("single", GATED);
    await expect.poll(() => idsIn({ limit: 1000 }), LATER).toEqual(expect.arrayContaining([cron, webhook, http.id]));
    expect(await idsIn({ trigger: "cron", name: "nightly" })).toEqual([cron]);
    expect(await idsIn({ trigger: "webhook" })).toEqual([webhook]);
    expect(await idsIn({ name: "orders" })).toEqual([webhook]);
    expect(await idsIn({ trigger: "cron", name: "orders" })).toEqual([]);
    const byHttp = await idsIn({ trigger: "http", limit: 1000 });
    expect(byHttp).toContain(http.id);
    expect(byHttp).not.toContain(cron);
    expect((await rowOf({ id: cron, flow: "single" }))?.trigger).toEqual({ type: "cron", name: "nightly" });
    stage.open("go");
  });

  it("finds runs that were created from a time on, and before one", async () => {
    const first = await ran("in order", { tasks: tasks(1) });
    const second = await ran("in order", { tasks: tasks(1) });
    await listed(first);
    await listed(second);
    const flow = "in order";
    expect(second.createdAt > first.createdAt).toBe(true);
    expect(await idsIn({ flow, from: first.createdAt })).toEqual([second.id, first.id]);
    expect(await idsIn({ flow, from: second.createdAt })).toEqual([second.id]);
    expect(await idsIn({ flow, to: second.createdAt })).toEqual([first.id]);
    expect(await idsIn({ flow, from: first.createdAt, to: first.createdAt })).toEqual([]);
    expect(await idsIn({ flow, from: "1999-12-31", to: "2000-01-01" })).toEqual([]);
    const inBerlin = new Date(Date.parse(second.createdAt) + 3_600_000).toISOString().replace("Z", "+01:00");
    expect(await idsIn({ flow, from: inBerlin })).toEqual([second.id]);
  });

  it.each([
    ["limit", "0"],
    ["limit", "1001"],
    ["limit", "-1"],
    ["limit", "many"],
    ["limit", ""],
    ["limit", "NaN"],
    ["status", "done"],
    ["status", ""],
    ["status", "Running"],
    ["trigger", "clock"],
    ["from", "yesterday"],
    ["from", "1700000000000"],
    ["from", "2026-13-45"],
    ["to", ""],
    ["to", "2026"],
    ["cursor", ""],
    ["cursor", "x"],
    ["cursor", "1-"],
    ["cursor", "1-01ARZ3NDEKTSV4RRFFQ69G5FAV"],
    ["cursor", `${"9".repeat(16)}-${"0".repeat(30)}`],
    ["cursor", `1-${"0".repeat(30)}' or 1 = 1 --`],
    ["cursor", "x".repeat(5_000)],
  ])("refuses %s=%s", async (name, value) => {
    const problem = await problemOf(await call(`/runs?${name}=${encodeURIComponent(value)}`));
    expect(problem.status).toBe(400);
    expect(problem.detail).toContain(`Expected \`${name}\` `);
    expect(problem.detail).toContain(`got \`${value.slice(0, 64)}\``);
    expect(problem.detail.length).toBeLessThan(300);
  });
});

describe("the pages of GET /runs", () => {
  const flow = "by queue";

  it("are together all runs, and none twice, also while runs are added", async () => {
    const there = await Promise.all(Array.from({ length: 9 }, () => start(flow, GATED)));
    await expect.poll(async () => (await idsIn({ flow })).length, LATER).toBe(9);
    const all = await idsIn({ flow });
    expect(new Set(all)).toEqual(new Set(there.map(({ id }) => id)));
    for (const limit of [1, 2, 4, 8.9, 9, 1000]) {
      const pages = await pagesOf({ flow, limit });
      expect(pages.flat().map(({ id }) => id)).toEqual(all);
      expect(pages.slice(0, -1).every((page) => page.length === Math.floor(limit))).toBe(true);
    }
    // Newer ones come before the first page: no page that follows is moved by them.
    const added: Run[] = [];
    const while_ = await pagesOf({ flow, limit: 2 }, async () => {
      const run = await start(flow, GATED);
      added.push(run);
      await listed(run);
    });
    expect(while_.flat().map(({ id }) => id)).toEqual(all);
    expect(await idsIn({ flow })).toEqual([...added.map(({ id }) => id).reverse(), ...all]);
    stage.open("go");
  });

  it("go on where the run at which the last one ended has been deleted, and is filtered", async () => {
    const flow = "few to an executor";
    const runs: Run[] = [];
    for (let count = 0; count < 5; count++) runs.push(await ran(flow, { tasks: tasks(1) }));
    for (const run of runs) await listed(run, { status: "completed" });
    const [oldest, older, middle] = runs as [Run, Run, Run];
    const query = { flow, status: "completed", limit: 2 };
    const first = await list(query);
    const second = await list({ ...query, cursor: first.cursor as string });
    expect(second.runs.map(({ id }) => id)).toEqual([middle.id, older.id]);
    expect((await call(`/runs/${older.id}`, { method: "DELETE" })).status).toBe(204);
    const last = await list({ ...query, cursor: second.cursor as string });
    expect(last).toMatchObject({ runs: [{ id: oldest.id }], cursor: null });
  });
});

describe("a run's row", () => {
  it("follows its status to the end", async () => {
    const run = await start("stages", { tasks: tasks(2, { gate: "go" }) });
    await listed(run, { status: "running" });
    await turned(run.id, "pause");
    await listed(run, { status: "paused" });
    await turned(run.id, "resume");
    await listed(run, { status: "running" });
    stage.open("go");
    const end = await finished(run.id);
    expect(await listed(run, { status: "completed" })).toEqual(summaryOf(end));
  });

  it("follows it though all is lost in the middle", async () => {
    const run = await start("narrow", { tasks: tasks(3, { gate: "go" }) });
    await listed(run, { status: "running" });
    await abortAllDurableObjects();
    expect(await rowOf(run)).toMatchObject({ status: "running" });
    stage.open("go");
    const end = await finished(run.id);
    expect(await listed(run, { status: "completed" })).toEqual(summaryOf(end));
  });

  it("comes where the run was lost before the list had heard of it", async () => {
    const put = vi.spyOn(RunIndexObject.prototype, "put").mockImplementation(() => {
      throw new Error("The list is not to be reached");
    });
    const run = await ran("work", { tasks: tasks(1) });
    await expect.poll(() => put.mock.calls.length, LATER).toBeGreaterThan(0);
    await crash(runOf(run.id));
    expect(await rowOf(run)).toBeUndefined();
    put.mockRestore();
    // The alarm of a run of whose end the list has not heard is near: it is not waited for here.
    expect(await runDurableObjectAlarm(runOf(run.id))).toBe(true);
    expect(await listed(run)).toEqual(summaryOf(run));
  });

  it("comes by itself where the list could not be reached for a moment", async () => {
    const flow = "with an output";
    const { put } = RunIndexObject.prototype;
    let refused = 0;
    vi.spyOn(RunIndexObject.prototype, "put").mockImplementation(function (this: RunIndexObject, entry) {
      if (entry.flow === flow && refused++ === 0) throw new Error("The list is not to be reached");
      return put.call(this, entry);
    });
    const run = await ran(flow, { tasks: tasks(1) });
    expect(await listed(run, { status: "completed" })).toEqual(summaryOf(run));
    expect(refused).toBeGreaterThan(1);
  });

  it("shows what ended late in a run that was canceled", async () => {
    const run = await start("single", GATED);
    await stage.heard("start");
    await turned(run.id, "cancel");
    const { items } = await listed(run, { status: "canceled" });
    expect(items).toMatchObject({ total: 1, succeeded: 0 });
    stage.open("go");
    await expect.poll(async () => (await getRun(run.id)).items.succeeded).toBe(1);
    await expect.poll(() => rowOf(run), LATER).toEqual(summaryOf(await getRun(run.id)));
  });

  it("is written seldom, however often the run waits and goes on", async () => {
    const key = newKey();
    const body = JSON.stringify({ key, requests: 1, periodMs: 120 });
    const headers = { "content-type": "application/json" };
    expect((await call("/limits/hourly", { method: "PATCH", headers, body })).status).toBe(200);
    const put = vi.spyOn(RunIndexObject.prototype, "put");
    const run = await finished((await start("on hourly", { tasks: limitedTasks(20, { key }) })).id);
    expect(run).toMatchObject({ status: "completed", items: { succeeded: 20 } });
    expect(begun(key)).toHaveLength(20);
    // Each of them had to wait for the one before.
    const tookMs = Date.parse(run.finishedAt as string) - Date.parse(run.createdAt);
    expect(tookMs).toBeGreaterThan(19 * 120);
    await listed(run, { status: "completed" });
    const told = put.mock.calls.filter(([{ id }]) => id === run.id).map(([{ status }]) => status);
    expect(told.length).toBeLessThanOrEqual(3);
    expect(told.at(-1)).toBe("completed");
  });

  it("shows a run that is taken up again as one that goes on, and then as it ended", async () => {
    const run = await ran("kept by default", { count: 3, failing: [1] });
    const failed = await listed(run, { status: "failed" });
    expect(failed).toEqual(summaryOf(run));
    stage.say("healed");
    await turned(run.id, "retry");
    await listed(run, { status: "running", finishedAt: null, error: null, redriveCount: 1 });
    expect(await idsIn({ flow: run.flow, status: "failed" })).toEqual([]);
    stage.open("heal");
    const end = await finished(run.id);
    expect(await listed(run, { status: "completed" })).toEqual(summaryOf(end));
  });

  it("is gone at once when the run is deleted, and stays away", async () => {
    const run = await ran("work", { tasks: tasks(1) });
    await listed(run);
    expect((await call(`/runs/${run.id}`, { method: "DELETE" })).status).toBe(204);
    expect(await rowOf(run)).toBeUndefined();
    expect(await idsIn({ limit: 1000 })).not.toContain(run.id);
    await abortAllDurableObjects();
    expect(await rowOf(run)).toBeUndefined();
  });

  it("stays while the run may not be deleted", async () => {
    const run = await start("work", GATED);
    await listed(run);
    expect((await call(`/runs/${run.id}`, { method: "DELETE" })).status).toBe(409);
    await listed(run);
    stage.open("go");
  });

  it("is gone when the run's day has come", async () => {
    const run = await start("forgotten soon", { count: 1, waiting: [0] });
    await listed(run, { status: "running" });
    stage.open("go");
    await expect.poll(() => rowOf(run), { timeout: 5_000, interval: 20 }).toBeUndefined();
    expect((await call(`/runs/${run.id}`)).status).toBe(404);
  });

  it("of a key that was used, deleted and used again is that of the new run", async () => {
    const body = { tasks: tasks(1) };
    const again = async (): Promise<Run> =>
      (await post("/flows/single/runs?wait=10", body, { "idempotency-key": "twice" })).json();
    const first = await again();
    await listed(first, { status: "completed" });
    expect((await call(`/runs/${first.id}`, { method: "DELETE" })).status).toBe(204);
    const second = await again();
    expect(second.id).toBe(first.id);
    await listed(second, { status: "completed", createdAt: second.createdAt });
    const rows = (await pagesOf({ flow: "single", limit: 1000 })).flat().filter(({ id }) => id === first.id);
    expect(rows).toEqual([summaryOf(second)]);
  });
});

describe("a run whose deletion the list could not be told of", () => {
  const body = { tasks: tasks(1) };

  /** It is stored that the run is deleted, and not more. */
  async function halfDeleted(key: string): Promise<{ run: Run; again: () => Promise<Response>; heal: () => void }> {
    const again = () => post("/flows/single/runs", body, { "idempotency-key": key });
    const run = await finished((await (await again()).json<Run>()).id);
    await listed(run, { status: "completed" });
    const remove = vi.spyOn(RunIndexObject.prototype, "remove").mockImplementation(() => {
      throw new Error("The list is not to be reached");
    });
    expect((await call(`/runs/${run.id}`, { method: "DELETE" })).status).toBe(204);
    expect(remove).toHaveBeenCalled();
    expect((await call(`/runs/${run.id}`)).status).toBe(404);
    return { run, again, heal: () => remove.mockRestore() };
  }

  /** What is stored in its object, and whether it will be awake. */
  const left = ({ id }: Run) =>
    inRun(id, async (storage) => ({
      tables: storage.sql.exec("select name from sqlite_master where substr(name, 1, 1) <> '_'").toArray(),
      hasAlarm: (await storage.getAlarm()) !== null,
    }));

  it("comes back to that by itself, and is finished with when somebody wakes it", async () => {
    const { run, heal } = await halfDeleted("poked");
    expect(await left(run)).toMatchObject({ tables: expect.arrayContaining([{ name: "run" }]), hasAlarm: true });
    heal();
    expect(await runOf(run.id).poke()).toBe(false);
    expect(await left(run)).toEqual({ tables: [], hasAlarm: false });
    expect(await rowOf(run)).toBeUndefined();
  });

  it("is in the way of another of its Idempotency-Key for as long: 503", async () => {
    const { run, again, heal } = await halfDeleted("in the way");
    expect(await problemOf(await again())).toMatchObject({
      status: 503,
      detail: `The run that had this key, ${run.id}, is being deleted: try again in a few seconds.`,
    });
    // Asked in vain, it has started nothing.
    expect((await call(`/runs/${run.id}`)).status).toBe(404);
    heal();
    const response = await again();
    expect([response.status, response.headers.get("idempotent-replayed")]).toEqual([202, null]);
    const later = await finished((await response.json<Run>()).id);
    expect(later).toMatchObject({ id: run.id, status: "completed" });
    expect(later.createdAt > run.createdAt).toBe(true);
    await expect.poll(() => rowOf(later), LATER).toEqual(summaryOf(later));
    // What was left to be done of the earlier one does not touch it.
    expect(await runOf(run.id).poke()).toBe(true);
    expect(await getRun(run.id)).toEqual(later);
  });
});

describe("the watchdog", () => {
  const MINUTE_MS = 60_000;
  const tick = () => worker.scheduled(createScheduledController({ cron: "* * * * *", scheduledTime: Date.now() }));

  /** A run that waits for an hour, as the list knows. */
  async function waiting(): Promise<Run> {
    const run = await start("single, retried later", RETRIED_LATER);
    await listed(run, { status: "waiting" });
    return run;
  }

  /** What the platform does that loses an alarm: nobody would ever wake the run. */
  async function lose({ id }: Run, change: string): Promise<void> {
    await runInDurableObject(runOf(id), async (_, { storage }) => {
      await storage.deleteAlarm();
      storage.sql.exec(change);
      await storage.sync();
    });
    await crash(runOf(id));
  }

  /** Makes the list believe that a run wanted to be awake so long ago. */
  function overdue(id: string, byMs: number): Promise<void> {
    const wakeMs = Date.now() - byMs;
    return runInDurableObject(theIndex(), (_, { storage }) => {
      const slot = Math.floor(wakeMs / (5 * MINUTE_MS));
      storage.sql.exec("update entry set wake_ms = ?, wake_slot = ? where id = ?", wakeMs, slot, id);
    });
  }

  it("wakes a run whose alarm was lost, and it goes on to its end; others it leaves alone", async () => {
    const [lost, late, resting] = [await waiting(), await waiting(), await waiting()];
    await lose(lost, "update item set due_ms = 1 where status = 'deferred'");
    await overdue(lost.id, 3 * MINUTE_MS);
    // Not so long overdue that its alarm cannot be on its way.
    await overdue(late.id, 1.5 * MINUTE_MS);
    for (const { id } of [late, resting]) await evictDurableObject(runOf(id));
    const before = woken.length;
    await tick();
    const own = [lost, late, resting].map(({ id }) => id);
    expect(woken.slice(before).filter((id) => own.includes(id))).toEqual([lost.id]);
    expect(await finished(lost.id)).toMatchObject({ status: "completed" });
    await listed(lost, { status: "completed" });
    expect(await theIndex().overdue(Date.now() - 2 * MINUTE_MS, 10)).toEqual([]);
  });

  it("makes a run that is awake after all say so: it is not looked for again", async () => {
    const run = await waiting();
    await overdue(run.id, 10 * MINUTE_MS);
    expect(await theIndex().overdue(Date.now() - 2 * MINUTE_MS, 10)).toMatchObject([{ id: run.id }]);
    await tick();
    await expect.poll(() => theIndex().overdue(Date.now() - 2 * MINUTE_MS, 10), LATER).toEqual([]);
    expect(await getRun(run.id)).toMatchObject({ status: "waiting", executions: 1 });
  });

  it("lets a finished run be forgotten whose day has passed unseen", async () => {
    const run = await ran("work", { tasks: tasks(1) });
    await listed(run, { status: "completed" });
    await lose(run, "update run set state = json_set(state, '$.finishedMs', 1)");
    await overdue(run.id, 3 * MINUTE_MS);
    await tick();
    expect(await rowOf(run)).toBeUndefined();
    expect((await call(`/runs/${run.id}`)).status).toBe(404);
  });

  it("removes a row of a run that there is not, and none of one that there is", async () => {
    const run = await waiting();
    const ghosts = [newRunId(), newRunId()];
    for (const id of ghosts) await theIndex().put(entry(id, { flow: "ghost", wakeMs: 1 }));
    await overdue(run.id, 3 * MINUTE_MS);
    expect(await idsIn({ flow: "ghost" })).toHaveLength(2);
    await tick();
    expect(await idsIn({ flow: "ghost" })).toEqual([]);
    await listed(run);
  });

  it("wakes the others where one cannot be woken", async () => {
    const ids = [newRunId(), newRunId()];
    for (const id of ids) await theIndex().put(entry(id, { flow: "ghost", wakeMs: 1 }));
    const remove = vi.spyOn(RunIndexObject.prototype, "remove").mockImplementationOnce(() => {
      throw new Error("The list is not to be reached");
    });
    await tick();
    expect(remove).toHaveBeenCalledTimes(2);
    expect(await idsIn({ flow: "ghost" })).toHaveLength(1);
    await tick();
    expect(await idsIn({ flow: "ghost" })).toEqual([]);
  });
});
