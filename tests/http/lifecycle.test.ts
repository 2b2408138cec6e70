import { beforeEach, describe, expect, it } from "vitest";
import { keyedRunId, newRunId } from "../../src/http/ids.ts";
import { newWorld, type World } from "../durable/failing.ts";
import { atRest, limitOf, look, newKey, seen } from "../durable/limited.ts";
import { itemsOf } from "../durable/redriving.ts";
import { newStage, type Stage } from "../durable/stage.ts";
import { call, crash, finished, getRun, inRun, post, type Run, ran, runOf, start } from "../durable/support.ts";
import { type Done, Follower, type StreamEvent } from "./follow.ts";
import { type ProblemJson, problemOf } from "./problem.ts";

let world: World;
let stage: Stage;
beforeEach(() => {
  stage = newStage();
  world = newWorld();
});

type Verb = "pause" | "resume" | "cancel" | "retry" | "delete";

function ask(id: string, verb: Verb): Promise<Response> {
  return verb === "delete" ? call(`/runs/${id}`, { method: "DELETE" }) : post(`/runs/${id}/${verb}`);
}

/** What is asked of a run is done: returns the run as it is then. */
async function accepted(id: string, verb: Exclude<Verb, "delete">): Promise<Run> {
  const response = await ask(id, verb);
  expect(response.status).toBe(202);
  expect(response.headers.get("content-type")).toBe("application/json");
  return response.json();
}

/** What is asked of a run is not possible, and leaves it as it is. */
async function refused(id: string, verb: Verb): Promise<ProblemJson> {
  const before = await getRun(id);
  const problem = await problemOf(await ask(id, verb));
  expect(problem.status).toBe(409);
  expect(problem.detail).toContain(before.status);
  expect(await getRun(id)).toEqual(before);
  return problem;
}

async function deleted(id: string): Promise<void> {
  const response = await ask(id, "delete");
  expect([response.status, await response.text()]).toEqual([204, ""]);
}

/** A run of four items, two of which are in exec until their gates are opened, `item 1` and `item 2`. */
async function halfDone(flow = "collecting"): Promise<string> {
  world.gated.add(1).add(2);
  const { id } = await start(flow, { count: 4 });
  await seen(id, { items: { succeeded: 2, running: 2 } });
  return id;
}

const RESULTS = [0, 10, 20, 30];

describe("a run that there is not", () => {
  it.each<Verb>(["pause", "resume", "cancel", "retry", "delete"])(
    "is 404 for %s, and nothing is stored",
    async (verb) => {
      const id = newRunId();
      for (const unknown of [id, await keyedRunId("work", "nobody at all"), "01K", "..%2Fa"]) {
        const problem = await problemOf(await ask(unknown, verb));
        expect(problem).toMatchObject({ status: 404, detail: expect.stringContaining("There is no run ") });
      }
      const stored = await inRun(id, (storage) => storage.getAlarm());
      expect(stored).toBeNull();
      expect((await call(`/runs/${id}`)).status).toBe(404);
    },
  );
});

describe("POST /runs/:id/pause", () => {
  it("answers 202 with the run, in which what is in exec ends and nothing begins", async () => {
    const id = await halfDone();
    const run = await accepted(id, "pause");
    expect(run).toMatchObject({ id, status: "paused", finishedAt: null, items: { running: 2, succeeded: 2 } });
    stage.open("item 1", "item 2");
    const drained = await seen(id, { status: "paused", items: { running: 0, succeeded: 4, total: 4 } });
    expect(drained).toMatchObject({
      step: { node: "Collecting" },
      executions: 4,
      output: null,
      completionReason: null,
    });
    await scheduler.wait(50);
    expect(await look(id)).toEqual(drained);
    expect(world.callsOf("Sum")).toEqual([]);
    expect(await accepted(id, "resume")).toMatchObject({ status: "running" });
    expect(await finished(id)).toMatchObject({ completionReason: "all-succeeded", output: { results: RESULTS } });
  });

  it("leaves items that have not begun where they are", async () => {
    world.gated.add(0);
    const { id } = await start("tolerating any, in order", { count: 3 });
    await seen(id, { items: { running: 1, pending: 2 } });
    await accepted(id, "pause");
    stage.open("item 0");
    await seen(id, { status: "paused", items: { running: 0, succeeded: 1, pending: 2 } });
    await scheduler.wait(50);
    expect(await look(id)).toMatchObject({ executions: 1, items: { succeeded: 1, pending: 2 } });
    await accepted(id, "resume");
    expect(await finished(id)).toMatchObject({ completionReason: "all-succeeded", executions: 4 });
  });

  it("leaves deferred items deferred", async () => {
    world.broken.add(0).add(2);
    const { id } = await start("collecting, retried soon", { count: 4 });
    await seen(id, { items: { deferred: 2, succeeded: 2 } });
    expect(await accepted(id, "pause")).toMatchObject({ status: "paused", items: { deferred: 2 }, resumesAt: null });
    // Their time comes, and goes.
    await scheduler.wait(400);
    expect(await look(id)).toMatchObject({ status: "paused", executions: 4, items: { deferred: 2, running: 0 } });
    world.mend();
    await accepted(id, "resume");
    expect(await finished(id)).toMatchObject({ completionReason: "all-succeeded", executions: 7 });
  });

  it("before the first step holds the run back, and whatever is lost leaves it paused", async () => {
    const { id } = await start("collecting", { count: 4 });
    expect(await accepted(id, "pause")).toMatchObject({
      status: "paused",
      startedAt: null,
      step: null,
      items: { total: 0 },
    });
    await crash(runOf(id));
    await scheduler.wait(50);
    expect(await look(id)).toMatchObject({ status: "paused", startedAt: null, step: null });
    await accepted(id, "resume");
    expect(await finished(id)).toMatchObject({ completionReason: "all-succeeded", startedAt: expect.any(String) });
    expect(world.callsOf("Collecting").sort()).toEqual([0, 1, 2, 3]);
  });

  it("and resume may be asked twice, and resume of a run that never was paused", async () => {
    const id = await halfDone();
    expect(await accepted(id, "resume")).toMatchObject({ status: "running", items: { running: 2 } });
    const once = await accepted(id, "pause");
    expect(await accepted(id, "pause")).toEqual(once);
    stage.open("item 1", "item 2");
    await seen(id, { items: { succeeded: 4 } });
    await Promise.all([accepted(id, "resume"), accepted(id, "resume")]);
    expect(await finished(id)).toMatchObject({ completionReason: "all-succeeded", executions: 5 });
  });

  it("lasts while the run's object is lost, with what is in exec", async () => {
    const id = await halfDone();
    await accepted(id, "pause");
    await crash(runOf(id));
    expect(await look(id)).toMatchObject({ status: "paused" });
    stage.open("item 1", "item 2");
    await seen(id, { status: "paused", items: { succeeded: 4 } });
    await accepted(id, "resume");
    expect(await finished(id)).toMatchObject({ completionReason: "all-succeeded", executions: 5 });
  });

  it("lets a hook end that is under way, and begins none", async () => {
    const { id } = await start("halting", { at: ["prep"], log: [], list: [1, 2] });
    await stage.heard("prep");
    await accepted(id, "pause");
    stage.open("prep");
    await stage.heard("prep over");
    await scheduler.wait(50);
    expect(await look(id)).toMatchObject({ status: "paused", executions: 0 });
    await accepted(id, "resume");
    const log = ["prep began", "prep ended", "post began", "post ended"];
    expect(await finished(id)).toMatchObject({ status: "completed", output: { log, list: [1, 2, 10, 20] } });
    expect([stage.count("prep"), stage.count("post")]).toEqual([1, 1]);
  });

  it("gives permits back, and resume takes them again", async () => {
    world.tenant = newKey();
    world.gated.add(0).add(1);
    const { id } = await start("collecting on pair", { count: 6 });
    await seen(id, { items: { running: 2 } });
    await expect.poll(() => limitOf("pair", world.tenant)).toMatchObject({ inFlight: 2, waiting: 4 });
    await accepted(id, "pause");
    await expect.poll(() => limitOf("pair", world.tenant)).toMatchObject({ inFlight: 2, waiting: 0 });
    stage.open("item 0", "item 1");
    await atRest("pair", world.tenant);
    expect(await look(id)).toMatchObject({ status: "paused", executions: 2, items: { succeeded: 2 } });
    await accepted(id, "resume");
    expect(await finished(id)).toMatchObject({ completionReason: "all-succeeded", executions: 7 });
    await atRest("pair", world.tenant);
  });

  it("of a waiting run shows that it is paused; that may be canceled", async () => {
    world.broken.add(0);
    const { id } = await start("collecting, retried later", { count: 2 });
    await seen(id, { status: "waiting", resumesAt: expect.any(String) });
    expect(await accepted(id, "pause")).toMatchObject({ status: "paused", resumesAt: null });
    expect(await accepted(id, "cancel")).toMatchObject({ status: "canceled", completionReason: "canceled" });
  });

  it("lets a run fail whose items drain", async () => {
    world.gated.add(1);
    const { id } = await start("strict", { count: 2 });
    await stage.heard("Strict 1");
    await accepted(id, "pause");
    world.broken.add(1);
    stage.open("item 1");
    expect(await seen(id, { status: "failed" })).toMatchObject({
      completionReason: "item-failed",
      error: { index: 1 },
    });
  });
});

describe("what is asked of a run that has finished", () => {
  it("is refused with its status, 409: all of a completed one in which nothing failed", async () => {
    const { id } = await ran("collecting", { count: 2 });
    for (const verb of ["pause", "resume", "cancel", "retry"] as const) await refused(id, verb);
  });

  it("is refused, but for retry, of a failed one, of a canceled one, and of one with failures", async () => {
    world.broken.add(1);
    const failed = await ran("strict", { count: 2 });
    const tolerated = await ran("collecting", { count: 2 });
    const waits = await start("collecting, retried later", { count: 2 });
    await accepted(waits.id, "cancel");
    for (const { id } of [failed, tolerated, waits]) {
      for (const verb of ["pause", "resume", "cancel"] as const) await refused(id, verb);
    }
    world.mend();
    for (const [id, before] of [
      [failed.id, { status: "failed", completionReason: "item-failed" }],
      [tolerated.id, { status: "completed", completionReason: "failures-tolerated" }],
      [waits.id, { status: "canceled", completionReason: "canceled" }],
    ] as const) {
      const run = await accepted(id, "retry");
      expect(run).toMatchObject({
        ...{ completionReason: null, finishedAt: null, output: null, error: null, redriveCount: 1 },
        redrives: [{ ...before, at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/), failed: expect.any(Number) }],
      });
      expect(Object.keys(run.redrives[0] ?? {}).sort()).toEqual(["at", "completionReason", "failed", "status"]);
      expect(await finished(id)).toMatchObject({
        status: "completed",
        completionReason: "all-succeeded",
        redriveCount: 1,
      });
    }
  });
});

describe("DELETE /runs/:id", () => {
  it("answers 204, and the run is known no more, by any path", async () => {
    const { id } = await ran("collecting", { count: 3 });
    await deleted(id);
    for (const path of ["", "/items", "/results", "/events"]) {
      expect(await problemOf(await call(`/runs/${id}${path}`))).toMatchObject({ status: 404 });
    }
    for (const verb of ["pause", "resume", "cancel", "retry", "delete"] as const) {
      expect(await problemOf(await ask(id, verb))).toMatchObject({ status: 404 });
    }
    const sql = "select name from sqlite_master where name not like '\\_cf%' escape '\\'";
    expect(await inRun(id, (storage) => storage.sql.exec(sql).toArray())).toEqual([]);
    expect(await inRun(id, (storage) => storage.getAlarm())).toBeNull();
  });

  it("is refused while the run goes on: 409, which names its status and says what to do", async () => {
    const id = await halfDone();
    expect((await refused(id, "delete")).detail).toBe(
      "Expected a run that has finished, got one that is running: cancel it first",
    );
    await accepted(id, "pause");
    expect((await refused(id, "delete")).detail).toContain("paused");
    await accepted(id, "cancel");
    await deleted(id);
    stage.open("item 1", "item 2");
    expect((await call(`/runs/${id}`)).status).toBe(404);
  });

  it("of a run that was redriven is refused until that has finished", async () => {
    world.broken.add(1);
    const { id } = await ran("collecting", { count: 2 });
    world.gated.add(1);
    await accepted(id, "retry");
    await refused(id, "delete");
    stage.open("item 1");
    await finished(id);
    await deleted(id);
  });

  it("leaves nothing that a lost object would bring back", async () => {
    const { id } = await ran("collecting", { count: 3 });
    await deleted(id);
    await crash(runOf(id));
    expect((await call(`/runs/${id}`)).status).toBe(404);
  });

  it("lets the same Idempotency-Key start a new run, with another body", async () => {
    const key = { "idempotency-key": "used twice" };
    const first = await (await post("/flows/collecting/runs?wait=10", { count: 2 }, key)).json<Run>();
    await deleted(first.id);
    const response = await post("/flows/collecting/runs?wait=10", { count: 3 }, key);
    expect([response.status, response.headers.get("idempotent-replayed")]).toEqual([200, null]);
    const second = await response.json<Run>();
    expect(second).toMatchObject({
      id: first.id,
      status: "completed",
      output: { results: [0, 10, 20] },
      executions: 4,
    });
    expect(world.callsOf("Collecting").sort()).toEqual([0, 0, 1, 1, 2]);
  });

  it("leaves calls of exec behind whose results the next run with the same key does not take for its own", async () => {
    const key = { "idempotency-key": "still in exec" };
    const startWith = async (tasks: object[]) => (await post("/flows/work/runs", { tasks }, key)).json<Run>();
    const { id } = await startWith([{ n: 7, gate: "old" }, { n: 8 }]);
    await stage.heard("start 7");
    await accepted(id, "cancel");
    await stage.heard("abort 7: AbortError");
    await deleted(id);
    expect((await startWith([{ n: 1, gate: "new" }, { n: 2 }])).id).toBe(id);
    await stage.heard("start 1");
    stage.open("old");
    await stage.heard("end 7");
    await scheduler.wait(50);
    expect((await itemsOf(id))[0]).toMatchObject({ status: "running", attempts: 0 });
    stage.open("new");
    expect(await finished(id)).toMatchObject({ output: { results: [10, 20] }, executions: 2 });
  });

  it("ends the stream of those who listen: they are told that the run was deleted, or how it ended", async () => {
    const id = await halfDone();
    const follower = await Follower.of(id);
    expect(await follower.block()).toMatch(/^:/);
    await accepted(id, "cancel");
    await deleted(id);
    await follower.all();
    const [last, ...others] = follower.told as (StreamEvent & { data: Done })[];
    expect(others).toEqual([]);
    if (last?.data.run === null) expect(last.data.status).toBe("deleted");
    else expect(last?.data).toMatchObject({ status: "canceled", run: { id, status: "canceled" } });
    stage.open("item 1", "item 2");
  });
});

describe("GET /runs/:id", () => {
  it("tells of redrives with the run, in it and in all answers", async () => {
    world.broken.add(0);
    const { id } = await ran("collecting", { count: 2 });
    const none = { completionReason: "failures-tolerated", redriveCount: 0, redrives: [] };
    expect(await getRun(id)).toMatchObject(none);
    await accepted(id, "retry");
    await finished(id);
    const again = { status: "completed", completionReason: "failures-tolerated", failed: 1 };
    expect(await getRun(id)).toMatchObject({ redriveCount: 1, redrives: [again] });
    expect((await itemsOf(id)).map(({ redrives }) => redrives)).toEqual([1, 0, 0]);
    await crash(runOf(id));
    expect(await getRun(id)).toMatchObject({ redriveCount: 1, redrives: [again] });
  });

  it("tells of a new run that nothing has ended it", async () => {
    const run = await start("collecting", { count: 1 });
    expect(run).toMatchObject({ status: "queued", completionReason: null, redriveCount: 0, redrives: [] });
    await finished(run.id);
  });
});

describe("the body of a retry", () => {
  const item = { step: 2, index: 0 };
  const WRONG: [string, unknown, number, pointer: string | null][] = [
    ["no object", [item], 422, ""],
    ["another key", { item }, 422, "/item"],
    ["no list", { items: item }, 422, "/items"],
    ["an empty list", { items: [] }, 422, "/items"],
    ["too many items", { items: Array(1_001).fill(item) }, 422, "/items"],
    ["an item that is none", { items: [item, "2-0"] }, 422, "/items/1"],
    ["half an item", { items: [{ step: 2 }] }, 422, "/items/0/index"],
    ["more than an item", { items: [{ ...item, node: "A" }] }, 422, "/items/0/node"],
    ["a negative index", { items: [{ ...item, index: -1 }] }, 422, "/items/0/index"],
    ["half a step", { items: [{ ...item, step: 1.5 }] }, 422, "/items/0/step"],
    ["a number beyond numbers", { items: [{ ...item, index: 2 ** 53 }] }, 422, "/items/0/index"],
  ];

  it.each(WRONG)("is refused with %s, and nothing is done", async (_, body, status, pointer) => {
    world.broken.add(1);
    const { id } = await ran("collecting", { count: 3 });
    const before = await getRun(id);
    const problem = await problemOf(await post(`/runs/${id}/retry`, body as object));
    expect(problem).toMatchObject({ status, errors: [{ pointer }] });
    expect(problem.detail).toMatch(/^Expected /);
    expect(await getRun(id)).toEqual(before);
  });

  it("may be left out, or say nothing: then all that has failed is meant", async () => {
    for (const body of [undefined, {}]) {
      world.broken.add(1).add(2);
      const { id } = await ran("collecting", { count: 3 });
      world.broken.clear();
      expect((await post(`/runs/${id}/retry`, body)).status).toBe(202);
      await finished(id);
      expect(await getRun(id)).toMatchObject({ completionReason: "all-succeeded", redrives: [{ failed: 2 }] });
    }
  });
});
