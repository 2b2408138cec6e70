import { beforeEach, describe, expect, it } from "vitest";
import { keyedRunId, newRunId } from "../../src/http/ids.ts";
import { tasks } from "../durable/flows.ts";
import { woken } from "../durable/orders.ts";
import { newStage, type Stage } from "../durable/stage.ts";
import { call, finished, getRun, inRun, post, ran, start } from "../durable/support.ts";
import { problemOf } from "./problem.ts";

let stage: Stage;
beforeEach(() => {
  stage = newStage();
});

const ROUTES: [method: string, path: string][] = [
  ["GET", ""],
  ["GET", "/items"],
  ["GET", "/results"],
  ["POST", "/cancel"],
];

describe("a run that there is not", () => {
  it.each(ROUTES)("is 404 for %s /runs/:id%s", async (method, path) => {
    for (const id of [newRunId(), await keyedRunId("work", "nobody"), "01K", "x".repeat(3000), "%00", "..%2Fa"]) {
      const problem = await problemOf(await call(`/runs/${id}${path}`, { method }));
      expect(problem).toMatchObject({ status: 404, detail: expect.stringContaining("There is no run ") });
      expect(problem.detail.length).toBeLessThan(100);
    }
  });

  it("is not begun by asking for it: nothing is stored and no alarm is set", async () => {
    const id = newRunId();
    for (const [method, path] of ROUTES) await call(`/runs/${id}${path}`, { method });
    const stored = await inRun(id, async (storage) => [
      storage.sql.exec("select name from sqlite_master where name not like '\\_cf%' escape '\\'").toArray(),
      await storage.getAlarm(),
    ]);
    expect(stored).toEqual([[], null]);
  });

  it("wakes no object where the id is made up, or mistyped", async () => {
    const id = newRunId();
    await call(`/runs/${id}`);
    expect(woken.at(-1)).toBe(id);
    const before = woken.length;
    const mistyped = Array.from(id, (letter, at) => id.slice(0, at) + (letter === "7" ? "8" : "7") + id.slice(at + 1));
    for (const other of [...mistyped, id.slice(1), `${id}0`, id.toLowerCase()]) await call(`/runs/${other}`);
    expect(woken.slice(before)).toEqual([]);
  });
});

describe("GET /runs/:id", () => {
  it("shows where the run is, and what its items do", async () => {
    const { id } = await start("narrow", { tasks: tasks(5, { gate: "go" }) });
    await stage.heard("start", 2);
    expect(await getRun(id)).toMatchObject({
      status: "running",
      step: { node: "AtOnce", phase: "exec" },
      items: { total: 5, pending: 3, running: 2, deferred: 0, succeeded: 0, failed: 0, canceled: 0 },
      executions: 2,
      finishedAt: null,
      output: null,
    });
    stage.open("go");
    const run = await finished(id);
    expect(run).toMatchObject({ status: "completed", step: null, action: null });
    const [createdAt, startedAt, finishedAt] = [run.createdAt, run.startedAt, run.finishedAt].map((at) =>
      Date.parse(at ?? ""),
    );
    expect(createdAt).toBeLessThanOrEqual(startedAt as number);
    expect(startedAt).toBeLessThanOrEqual(finishedAt as number);
  });

  it("counts the items of every step so far", async () => {
    const run = await ran("stages", { tasks: tasks(4) });
    expect(run.items).toMatchObject({ total: 9, succeeded: 9 });
  });

  it("shows what the flow's own output makes of shared, or why it could not", async () => {
    const run = await ran("with an output", { tasks: tasks(3) });
    expect(run).toMatchObject({ status: "completed", output: { sum: 30 } });
    const failed = await ran("with a bad output", { tasks: tasks(1) });
    expect(failed).toMatchObject({ status: "failed", output: null, error: { message: "no sum", node: "Flow" } });
  });

  it("is answered while a step of the run is being made", async () => {
    const { id } = await start("halting", { at: ["prep"], log: [], list: [1] });
    await stage.heard("prep");
    // Its second hook has written and goes on, so that nothing was stored since the first began: that is where the run is.
    expect(await getRun(id)).toMatchObject({ status: "running", step: { node: "Flow", phase: "prep" } });
    stage.open("prep");
    await finished(id);
  });
});

describe("POST /runs/:id/cancel", () => {
  it("answers 202 with the run, which is canceled at once", async () => {
    const { id } = await start("narrow", { tasks: tasks(9, { gate: "go" }) });
    await stage.heard("start", 2);
    const response = await call(`/runs/${id}/cancel`, { method: "POST" });
    expect(response.status).toBe(202);
    expect(await response.json()).toMatchObject({
      id,
      status: "canceled",
      finishedAt: expect.any(String),
      items: { total: 9, canceled: 9, running: 0, pending: 0 },
    });
  });

  it("ends what is in exec by its signal, and nothing new begins", async () => {
    const { id } = await start("narrow", { tasks: tasks(9, { gate: "go" }) });
    await stage.heard("start", 2);
    await call(`/runs/${id}/cancel`, { method: "POST" });
    await stage.heard("abort 0: AbortError");
    await stage.heard("abort 1: AbortError");
    stage.open("go");
    // What ends late is kept, and moves nothing.
    await expect.poll(async () => (await getRun(id)).items.succeeded).toBe(2);
    expect(await getRun(id)).toMatchObject({ status: "canceled", executions: 2, items: { canceled: 7 } });
    expect(stage.count("start")).toBe(2);
    expect(stage.count("post")).toBe(0);
  });

  it("ends a sole item that is executed in the run's own object as well", async () => {
    const { id } = await start("single", { tasks: tasks(1, { gate: "go" }) });
    await stage.heard("start 0");
    await call(`/runs/${id}/cancel`, { method: "POST" });
    await stage.heard("abort 0: AbortError");
    expect(await getRun(id)).toMatchObject({ status: "canceled" });
  });

  it("ends a run that waits, and one that has not begun", async () => {
    const { id } = await start("single, retried later", { tasks: [{ n: 0, failures: 1 }] });
    await expect.poll(async () => (await getRun(id)).status).toBe("waiting");
    expect((await call(`/runs/${id}/cancel`, { method: "POST" })).status).toBe(202);
    const fresh = await start("work", { tasks: tasks(3) });
    expect((await call(`/runs/${fresh.id}/cancel`, { method: "POST" })).status).toBe(202);
    expect(await getRun(fresh.id)).toMatchObject({ status: "canceled" });
  });

  it("of a finished run is 409, which names its status, and leaves it as it is", async () => {
    const completed = await ran("work", { tasks: tasks(1) });
    const failed = await ran("work", { tasks: [{ n: 0, failures: 1 }] });
    const { id } = await start("work", { tasks: tasks(1, { gate: "never" }) });
    await call(`/runs/${id}/cancel`, { method: "POST" });
    const canceled = await getRun(id);
    for (const run of [completed, failed, canceled]) {
      const problem = await problemOf(await post(`/runs/${run.id}/cancel`));
      expect(problem).toMatchObject({
        status: 409,
        detail: `Expected a run that goes on, got one that is ${run.status}`,
      });
      expect(await getRun(run.id)).toEqual(run);
    }
  });
});
