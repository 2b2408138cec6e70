import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it, vi } from "vitest";
import type * as api from "../../src/http/api.ts";
import { newRunId } from "../../src/http/ids.ts";
import { pieces, setOptions } from "../durable/chunk-pieces.ts";
import { Clock, HandRun } from "../durable/executor.ts";
import { newWorld, type World } from "../durable/failing.ts";
import { type Task, tasks } from "../durable/flows.ts";
import { newStage, type Stage } from "../durable/stage.ts";
import { call, crash, finished, getRun, inRun, post, ran, runOf, start } from "../durable/support.ts";
import { errorsOf, gridOf, itemOf, itemsIn, pagesOf, read, stepOf, stepsOf } from "./looking.ts";
import { problemOf } from "./problem.ts";

let stage: Stage;
let world: World;
beforeEach(() => {
  stage = newStage();
  world = newWorld();
  setOptions({ batchSize: 4 });
});

async function canceled(id: string): Promise<void> {
  expect((await post(`/runs/${id}/cancel`)).status).toBe(202);
  stage.open("go");
}

describe("GET /runs/:id/grid", () => {
  it("has a letter for each item, by steps", async () => {
    const many = [{ n: 0 }, { n: 1, failures: 1 }, ...tasks(20, { gate: "go" })];
    const { id } = await start("retried later", { tasks: many });
    await stage.heard("start", 18);
    await expect.poll(async () => (await getRun(id)).items).toMatchObject({ deferred: 1, succeeded: 1 });
    expect(await gridOf(id, "AtOnce")).toEqual([[2, `sd${"r".repeat(16)}pppp`]]);
    await canceled(id);
    expect(await gridOf(id, "AtOnce")).toEqual([[2, `s${"c".repeat(21)}`]]);
  });

  it("has chunks item by item, and branches step by step", async () => {
    setOptions({ batchSize: 3, onItemError: "collect" });
    const chunked = await ran("chunked", { pieces: pieces(7, { 3: { spoils: 1 } }) });
    expect(await gridOf(chunked.id, "Together")).toEqual([[2, "sssfffs"]]);
    const branched = await ran("approvals", { names: [], log: [] });
    expect(await gridOf(branched.id, "Named")).toEqual([]);
    world.broken.add(1);
    const { id } = await ran("collecting branches", { count: 3 });
    const steps = await gridOf(id, "Load");
    expect(steps.map(([, letters]) => letters)).toEqual(["s", "f", "s"]);
    expect(steps.map(([step]) => step)).toEqual((await itemsIn(id, { node: "Load" })).map(({ step }) => step));
  });

  it("has nothing of a node that there is not, and is refused without one", async () => {
    const { id } = await ran("work", { tasks: tasks(1) });
    expect(await gridOf(id, "Nothing")).toEqual([]);
    const problem = await problemOf(await call(`/runs/${id}/grid`));
    expect(problem).toMatchObject({ status: 400, detail: expect.stringContaining("Expected `node` to be the id of") });
  });
});

describe("GET /runs/:id/steps", () => {
  it.each([1, 2, 3, 1_000])("gives each step once, in order, %i at a time", async (limit) => {
    const { id } = await ran("stages", { tasks: tasks(3) });
    const pages = await pagesOf<api.Step>(`/runs/${id}/steps`, "steps", limit);
    expect(pages.flat().map(({ node }) => node)).toEqual(["Flow", "First", "Second", "Third"]);
    for (const page of pages.slice(0, -1)) expect(page).toHaveLength(limit);
    expect(pages.flat()[1]).toEqual({
      ...{ id: 2, node: "First", branch: "", phase: "done", total: 3, succeeded: 3, failed: 0 },
      startedAt: expect.stringMatching(/Z$/),
      finishedAt: expect.stringMatching(/Z$/),
    });
    const starts = pages.flat().map(({ startedAt }) => startedAt as string);
    expect(starts).toEqual(starts.toSorted());
  });

  it("gives a step no end while it is open, nor when it was taken up again", async () => {
    world.broken.add(1);
    const { id } = await ran("collecting", { count: 3 });
    const step = await stepOf(id, "Collecting");
    const before = await stepsOf(id);
    expect(before.every(({ finishedAt }) => finishedAt !== null)).toBe(true);
    world.mend();
    world.gated.add(1);
    expect((await post(`/runs/${id}/retry`)).status).toBe(202);
    await stage.heard("Collecting 1", 2);
    const again = (await stepsOf(id)).find((each) => each.id === step);
    expect(again).toMatchObject({ finishedAt: null, phase: "exec", startedAt: before[1]?.startedAt });
    stage.open("item 1");
    await finished(id);
    const after = (await stepsOf(id)).find((each) => each.id === step);
    expect(after).toMatchObject({ phase: "done", succeeded: 3, failed: 0, startedAt: before[1]?.startedAt });
    expect(Date.parse(after?.finishedAt as string)).toBeGreaterThanOrEqual(Date.parse(before[1]?.finishedAt as string));
  });
});

/** Items that fail in words that differ. */
const failing = (words: (string | undefined)[]) => ({
  tries: words.map((message, n) =>
    message === undefined ? { word: `w${n}` } : { word: `w${n}`, failures: 2, message },
  ),
});
const WORDS = ["no answer 17", undefined, "busy", "no answer 4", undefined, "Busy again", "no answer 20", "busy"];

async function failed(): Promise<string> {
  const input = failing(WORDS);
  stage.open(...input.tries.map(({ word }) => word));
  return (await ran("emitting, collecting", input)).id;
}

describe("GET /runs/:id/items, with a filter", () => {
  it("of a text finds it in index, branch, result and error, whatever its case", async () => {
    const id = await failed();
    const all = await itemsIn(id);
    const textsOf = ({ index, branch, result, error }: api.Item) =>
      [String(index), branch, JSON.stringify(result) ?? "", error ? `${error.name}: ${error.message}` : ""].map(
        (each) => each.toLowerCase(),
      );
    for (const text of [
      "busy",
      "BUSY",
      "answer 1",
      "1",
      "w4",
      "error:",
      "nothing like it",
      "",
      '"',
      "%",
      "_",
      "null",
    ]) {
      const expected = all.filter((item) => textsOf(item).some((each) => each.includes(text.toLowerCase())));
      expect([text, await itemsIn(id, { text })]).toEqual([text, expected]);
      for (const limit of [1, 2, 3])
        expect([text, limit, await itemsIn(id, { text }, limit)]).toEqual([text, limit, expected]);
    }
    expect((await itemsIn(id, { text: "busy" })).map(({ index }) => index)).toEqual([2, 5, 7]);
  });

  it("of an error finds those of its kind, and no others", async () => {
    const id = await failed();
    const groups = await errorsOf(id);
    expect(groups.map(({ message, count }) => [message, count])).toEqual([
      ["no answer 17", 3],
      ["busy", 2],
      ["Busy again", 1],
    ]);
    expect(groups.reduce((sum, { count }) => sum + count, 0)).toBe((await getRun(id)).items.failed);
    const found = await Promise.all(groups.map((group) => itemsIn(id, { error: group.id }, 2)));
    expect(found.map((items) => items.map(({ index }) => index))).toEqual([[0, 3, 6], [2, 7], [5]]);
    expect(found.map(([item]) => ({ step: item?.step, index: item?.index }))).toEqual(groups.map(({ first }) => first));
    expect(await itemsIn(id, { error: groups[0]?.id as string, text: "17" })).toMatchObject([{ index: 0 }]);
    expect(await itemsIn(id, { error: groups[0]?.id as string, status: "succeeded" })).toEqual([]);
    expect(await itemsIn(id, { error: "nothing" })).toEqual([]);
    expect(await errorsOf((await ran("work", { tasks: tasks(2) })).id)).toEqual([]);
  });

  it("of an error with odd words finds it by what its group says", async () => {
    const odd = [
      `${"x".repeat(292)}💩${"y".repeat(400)}`,
      "a & b = c # d % e + f",
      "<b>'quoted' \"twice\"</b>",
      "\u202eleft",
      "line\nbreak",
    ];
    const input = failing(odd);
    stage.open(...input.tries.map(({ word }) => word));
    const { id } = await ran("emitting, collecting", input);
    const groups = await errorsOf(id);
    expect(groups).toHaveLength(odd.length);
    for (const group of groups) {
      const items = await read<api.ItemList>(`/runs/${id}/items?error=${encodeURIComponent(group.id)}`);
      expect(items.items.map(({ step, index }) => ({ step, index }))).toEqual([group.first]);
    }
  });
});

describe("GET /runs/:id/items/:step/:index", () => {
  it("shows what a batch's item was given, its result, and the calls of it that failed", async () => {
    const { id } = await ran("retried", { tasks: [{ n: 0 }, { n: 1, failures: 2 }, { n: 2, failures: 9 }] });
    const [zero, one, two] = [await itemOf(id, 2, 0), await itemOf(id, 2, 1), await itemOf(id, 2, 2)];
    const listed = await itemsIn(id);
    expect(zero).toEqual({ ...listed[0], input: { n: 0 }, tries: [], nextAt: null });
    expect(one).toMatchObject({ ...listed[1], input: { n: 1, failures: 2 }, attempts: 3, result: 10 });
    const triesOf = (item: api.ItemDetail) => item.tries.map(({ outcome, error }) => [outcome, error?.message]);
    const failures = (n: number, count: number) =>
      Array.from({ length: count }, (_, at) => ["failed", `task ${n} failed at attempt ${at + 1}`]);
    expect([triesOf(one), triesOf(two)]).toEqual([failures(1, 2), failures(2, 3)]);
    expect(two.error).toMatchObject({
      name: "Error",
      message: "task 2 failed at attempt 3",
      stack: expect.any(String),
    });
    for (const { startedAt, finishedAt, error } of [...one.tries, ...two.tries]) {
      expect(Date.parse(finishedAt)).toBeGreaterThanOrEqual(Date.parse(startedAt as string));
      expect(error?.stack).toContain("Error: task");
    }
  });

  it("shows those of plain nodes, in branches too", async () => {
    const { id } = await ran("stages", { tasks: [{ n: 7, failures: 0 }] });
    expect(await itemOf(id, 4, 0)).toMatchObject({ node: "Third", input: { n: 7, failures: 0 }, result: 70 });
    world.broken.add(1);
    const branched = await ran("collecting branches", { count: 3 });
    for (const item of await itemsIn(branched.id)) {
      const { input, tries, nextAt, ...detail } = await itemOf(branched.id, item.step, item.index);
      expect({ ...detail, ...(detail.error ? { error: item.error } : {}) }).toEqual(item);
      expect(tries).toHaveLength(item.status === "failed" ? 1 : 0);
      if (item.node === "Load") expect(input).toBe(Number(item.branch));
      expect(nextAt).toBeNull();
    }
  });

  it.each([
    ["sleeper", { time: "1h", log: [] }],
    ["writer", { time: "1h", log: [] }],
    ["approval", { log: [] }],
    ["approvals", { names: ["a", "b"], log: [] }],
    ["naps", { times: ["1h", "2h"], log: [] }],
  ])("shows those of nodes that wait: %s", async (flow, input) => {
    const { id } = await start(flow, input);
    await expect.poll(async () => (await getRun(id)).status).toBe("waiting");
    const items = await itemsIn(id);
    for (const wait of (await getRun(id)).waitsFor) {
      const response = await call(`/runs/${id}/items/${wait.step}/0`);
      expect([wait.node, response.status, items.some(({ step }) => step === wait.step)]).toEqual([
        wait.node,
        items.some(({ step }) => step === wait.step) ? 200 : 404,
        items.some(({ step }) => step === wait.step),
      ]);
    }
    for (const { step, index } of items) expect((await itemOf(id, step, index)).tries).toEqual([]);
    await canceled(id);
    for (const { step, index } of items) expect((await itemOf(id, step, index)).status).toBe("canceled");
  });

  it("shows what was lost with its executor", async () => {
    const run = await HandRun.start("by hand", tasks(2));
    const [order] = await run.orders(1);
    const executor = await run.entered(order as never, "entry");
    expect(executor.given).toEqual([0, 1]);
    await executor.report({ failed: [1] });
    const clock = new Clock();
    for (const ms of [8_000, 4_000]) await clock.pass(run.id, ms);
    vi.restoreAllMocks();
    const [lost, failed] = [await itemOf(run.id, 2, 0), await itemOf(run.id, 2, 1)];
    const times = { startedAt: expect.any(String), finishedAt: expect.any(String) };
    expect(lost.tries).toEqual([{ outcome: "lost", error: null, ...times }]);
    expect(failed.tries).toEqual([{ outcome: "failed", error: { name: "Error", message: "busy" }, ...times }]);
    await crash(runOf(run.id));
    expect((await itemOf(run.id, 2, 0)).tries).toEqual(lost.tries);
    await post(`/runs/${run.id}/cancel`);
  });

  it("shows a chunk's calls at each of its items, and a part's at its own", async () => {
    setOptions({ batchSize: 3, onItemError: "collect", maxRetries: 2 });
    const { id } = await ran("chunked", { pieces: pieces(7, { 1: { spoils: 1 }, 5: { errors: 2 } }) });
    const all = await Promise.all([0, 1, 2, 3, 4, 5, 6].map((index) => itemOf(id, 2, index)));
    expect(all.map(({ tries }) => tries.map(({ error }) => error?.message))).toEqual([
      ...[["1 spoils all"], ["1 spoils all"], ["1 spoils all"]],
      ...[[], [], ["5 fails", "5 fails"], []],
    ]);
    expect(all.map(({ input }) => (input as { n: number }).n)).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });

  it("shows when a deferred one is due, and nothing of that later", async () => {
    const { id } = await start("retried later", {
      tasks: [
        { n: 0, failures: 1 },
        { n: 1, gate: "go" },
      ],
    });
    await expect.poll(async () => (await getRun(id)).items.deferred).toBe(1);
    const { nextAt, tries } = await itemOf(id, 2, 0);
    const dueMs = Date.parse(nextAt as string) - Date.parse(tries[0]?.finishedAt as string);
    // An hour, and its jitter.
    expect(dueMs).toBeGreaterThan(1_000_000);
    expect((await itemOf(id, 2, 1)).nextAt).toBeNull();
    await canceled(id);
    expect(await itemOf(id, 2, 0)).toMatchObject({ status: "canceled" });
  });

  it("shows the calls before and after a redrive", async () => {
    world.broken.add(1);
    const { id } = await ran("collecting", { count: 2 });
    const step = await stepOf(id, "Collecting");
    await post(`/runs/${id}/retry`);
    await finished(id);
    expect(await itemOf(id, step, 1)).toMatchObject({ status: "failed", attempts: 1, redrives: 1 });
    expect((await itemOf(id, step, 1)).tries).toHaveLength(2);
    world.mend();
    await post(`/runs/${id}/retry`);
    await finished(id);
    const mended = await itemOf(id, step, 1);
    expect(mended).toMatchObject({ status: "succeeded", redrives: 2, result: 10 });
    expect(mended.tries.map(({ error }) => error?.message)).toEqual(["item 1 is broken", "item 1 is broken"]);
    expect(mended).not.toHaveProperty("error");
  });

  it.each([
    "2/1",
    "3/0",
    "1/0",
    "0/0",
    "2/-1",
    "x/0",
    "2/x",
    "2/0.0",
    "2/%30%20",
    `${"9".repeat(15)}/0`,
    `${"9".repeat(40)}/0`,
  ])("is 404 where there is no such item: %s", async (place) => {
    const { id } = await ran("work", { tasks: tasks(1) });
    const problem = await problemOf(await call(`/runs/${id}/items/${place}`));
    expect(problem).toMatchObject({ status: 404, detail: expect.stringMatching(/^There is no item .* of run /) });
    expect(problem.detail.length).toBeLessThan(200);
  });
});

describe("GET /runs/:id/input", () => {
  const inputOf = (id: string) => read<unknown>(`/runs/${id}/input`);

  it("is what the run was started with, as it was sent, whatever became of it", async () => {
    const given = { tasks: tasks(2) as Task[], odd: ["é💩\u2028", null, 1e300, -0.5, { deep: [[[]]] }], "": 0 };
    const { id } = await ran("work", given);
    expect(await inputOf(id)).toEqual(given);
    await crash(runOf(id));
    expect(await inputOf(id)).toEqual(given);
  });

  it.each<[string, object]>([
    ["words by zod", { words: ["a", "bb"], tag: " x " }],
    ["words by valibot", { words: ["a"], tag: " y " }],
    ["words by arktype", { words: ["a"], tag: " z " }],
    ["words, enriched", { words: ["a", "bb"] }],
    ["words, and no others", { words: ["a"] }],
  ])("is what was sent, not what a schema made of it: %s", async (flow, given) => {
    const { id } = await ran(flow, given);
    expect(await inputOf(id)).toEqual(given);
    const again = await start(flow, (await inputOf(id)) as object);
    expect((await finished(again.id)).output).toEqual((await getRun(id)).output);
  });

  it("of a run that has written over it stays as it was", async () => {
    const { id } = await ran("stages", { tasks: tasks(2) });
    expect((await getRun(id)).output).not.toEqual({ tasks: tasks(2) });
    expect(await inputOf(id)).toEqual({ tasks: tasks(2) });
  });

  it("may be long", async () => {
    const given = { tasks: [], text: "€".repeat(2_000_000) };
    const { id } = await ran("work", given);
    expect(JSON.stringify(await inputOf(id))).toBe(JSON.stringify(given));
  });

  it("of a run that an earlier version has started is 404, and says why", async () => {
    const { id } = await ran("work", { tasks: [] });
    await inRun(id, ({ sql }) => sql.exec("delete from long_text where owner = 'input'").toArray());
    const problem = await problemOf(await call(`/runs/${id}/input`));
    expect(problem).toMatchObject({ status: 404, detail: expect.stringContaining("was not kept") });
  });

  it("is gone with its run", async () => {
    const { id } = await ran("work", { tasks: [] });
    expect((await call(`/runs/${id}`, { method: "DELETE" })).status).toBe(204);
    expect((await call(`/runs/${id}/input`)).status).toBe(404);
    const left = await inRun(id, ({ sql }) =>
      sql.exec("select name from sqlite_master where name = 'long_text'").toArray(),
    );
    expect(left).toEqual([]);
  });
});

describe("GET /runs/:id/log", () => {
  it("has the kept events, page by page, and their data as it was", async () => {
    const { id } = await ran("emitting quickly", { count: 250, every: 1 });
    const pages: api.Log[] = [];
    for (let after = 0; ; ) {
      const page: api.Log = await read(`/runs/${id}/log?after=${after}`);
      if (page.events.length === 0) {
        expect(page.last).toBe(after);
        break;
      }
      pages.push(page);
      expect(page.last).toBe(page.events.at(-1)?.id);
      after = page.last;
    }
    const ids = pages.flatMap(({ events }) => events.map((event) => event.id));
    expect(ids).toEqual(ids.toSorted((a, b) => a - b));
    expect(new Set(ids).size).toBe(250);
    const data = pages.flatMap(({ events }) => events.map((event) => (event.type === "emit" ? event.data : null)));
    expect(data.toSorted((a, b) => Number(a) - Number(b))).toEqual(data.map((_, at) => at));
    const again: api.Log = await read(`/runs/${id}/log`);
    expect(again).toEqual(pages[0]);
    for (const page of pages) expect(page.events.length).toBeLessThanOrEqual(100);
  });

  it("has what nodes told and what failed, in order", async () => {
    const id = await failed();
    const { events } = await read<api.Log>(`/runs/${id}/log`);
    const failures = events.filter((event) => event.type === "item-failed");
    expect(failures.map(({ index, attempts, error }) => [index, attempts, error.message]).toSorted()).toEqual(
      WORDS.flatMap((message, index) => (message === undefined ? [] : [[index, 2, message]])).toSorted(),
    );
    const told = events.flatMap((event) => (event.type === "emit" ? [event.data] : []));
    expect(told).toContain("w0");
    expect(told.at(-1)).toBe("closed");
  });
});

describe("a run that there is not", () => {
  it.each(["nodes", "grid?node=A", "steps", "items?text=a", "items/2/0", "errors", "log", "input"])(
    "has no %s",
    async (part) => {
      for (const id of [newRunId(), "x"]) {
        expect((await problemOf(await call(`/runs/${id}/${part}`))).detail).toBe(`There is no run ${id}`);
      }
    },
  );
});

describe("GET /queue", () => {
  it("says what waits on the queue of executors, and on the one of those that were given up", async () => {
    expect(await read<api.Queue>("/queue")).toEqual({
      backlog: { count: expect.any(Number), bytes: expect.any(Number), oldestAt: null },
      dead: { count: 0, bytes: 0, oldestAt: null },
    });
    for (const text of ["one", "two"]) await env.EXECUTIONS_DEAD?.send(text);
    const { dead } = await read<api.Queue>("/queue");
    expect(dead).toEqual({ count: 2, bytes: expect.any(Number), oldestAt: expect.stringMatching(/^20.*Z$/) });
    expect(dead?.bytes).toBeGreaterThan(0);
  });
});

describe("GET /webhooks", () => {
  it("lists the webhooks and their flows, and nothing of how they are verified", async () => {
    const { webhooks } = await read<api.WebhookList>("/webhooks");
    expect(webhooks).toContainEqual({ name: "custom", flow: expect.any(String) });
    for (const webhook of webhooks) expect(Object.keys(webhook).sort()).toEqual(["flow", "name"]);
  });
});
