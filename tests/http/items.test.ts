import { beforeEach, describe, expect, it } from "vitest";
import { resultsOf, tasks } from "../durable/flows.ts";
import { newStage, type Stage } from "../durable/stage.ts";
import { call, finished, getRun, ran, start } from "../durable/support.ts";
import { problemOf } from "./problem.ts";

let stage: Stage;
beforeEach(() => {
  stage = newStage();
});

interface Item {
  node: string;
  index: number;
  status: string;
}

async function itemsOf(id: string, query = ""): Promise<{ items: Item[]; cursor: string | null }> {
  const response = await call(`/runs/${id}/items${query}`);
  expect(response.status).toBe(200);
  return response.json();
}

/** Follows cursors to the end. Returns the pages. */
async function walk(id: string, query: string, from?: string): Promise<Item[][]> {
  const pages: Item[][] = [];
  for (let cursor = from; pages.length < 1000; ) {
    const page = await itemsOf(id, `?${query}${cursor === undefined ? "" : `&cursor=${cursor}`}`);
    pages.push(page.items);
    if (page.cursor === null) return pages;
    cursor = page.cursor;
  }
  throw new Error("Expected the cursors to come to an end");
}

describe("GET /runs/:id/items", () => {
  it("shows each item with the documented fields", async () => {
    const { id } = await ran("retried", { tasks: [{ n: 0 }, { n: 1, failures: 1 }, { n: 2, failures: 9 }] });
    const { items, cursor } = await itemsOf(id);
    expect(cursor).toBeNull();
    const time = expect.stringMatching(/^\d{4}-.*Z$/);
    const common = { node: "AtOnce", branch: "", step: 2, redrives: 0, startedAt: time, finishedAt: time };
    expect(items).toEqual([
      { ...common, index: 0, status: "succeeded", attempts: 1, result: 0 },
      { ...common, index: 1, status: "succeeded", attempts: 2, result: 10 },
      {
        ...common,
        index: 2,
        status: "failed",
        attempts: 3,
        error: { name: "Error", message: "task 2 failed at attempt 3" },
      },
    ]);
  });

  it("shows what has not ended without an end, and what never will as canceled", async () => {
    const { id } = await start("retried later", {
      tasks: [{ n: 0 }, { n: 1, failures: 1 }, ...tasks(20, { gate: "go" })],
    });
    await stage.heard("start", 18);
    await expect
      .poll(async () => (await getRun(id)).items)
      .toMatchObject({ deferred: 1, succeeded: 1, running: 16, pending: 4 });
    const { items } = await itemsOf(id);
    const statuses = ["succeeded", "deferred", ...Array(16).fill("running"), ...Array(4).fill("pending")];
    expect(items.map(({ status }) => status)).toEqual(statuses);
    expect(items[1]).toMatchObject({ attempts: 1, startedAt: expect.any(String), finishedAt: null });
    expect(items[2]).toMatchObject({ attempts: 0, startedAt: expect.any(String), finishedAt: null });
    expect(items[21]).toMatchObject({ attempts: 0, startedAt: null, finishedAt: null });
    for (const item of items.slice(1)) expect(item).not.toHaveProperty("result");
    for (const status of new Set(statuses)) {
      expect((await itemsOf(id, `?status=${status}`)).items).toEqual(items.filter((item) => item.status === status));
    }
    await call(`/runs/${id}/cancel`, { method: "POST" });
    const canceled = await itemsOf(id, "?status=canceled");
    expect(canceled.items.map(({ index }) => index)).toEqual(items.slice(1).map(({ index }) => index));
  });

  it.each([1, 2, 7, 24, 25, 1000])("gives every item exactly once, in order, at most %i at a time", async (limit) => {
    const { id } = await ran("stages", { tasks: tasks(12) });
    const pages = await walk(id, `limit=${limit}`);
    const all = (await itemsOf(id, "?limit=1000")).items;
    expect(pages.flat()).toEqual(all);
    expect(all.map(({ node, index }) => `${node} ${index}`)).toEqual([
      ...resultsOf(12).map((_, index) => `First ${index}`),
      ...resultsOf(12).map((_, index) => `Second ${index}`),
      "Third 0",
    ]);
    for (const page of pages.slice(0, -1)) expect(page).toHaveLength(limit);
    expect(pages.at(-1)?.length).toBeGreaterThan(0);
  });

  it("gives every item of one kind exactly once, however far apart they are", async () => {
    const failing = [3, 250, 251, 420];
    const work = tasks(421).map((task) => ({ ...task, failures: failing.includes(task.n) ? 1 : 0 }));
    const { id } = await ran("retried", { tasks: work });
    const pages = await walk(id, "limit=3&status=succeeded");
    expect(pages.flat().map(({ index }) => index)).toEqual(work.map(({ n }) => n));
    expect((await walk(id, "limit=3&status=failed")).flat()).toEqual([]);
  });

  it("goes on from its cursor after the run has moved on: nothing is skipped and nothing comes twice", async () => {
    const { id } = await start("stages", { tasks: tasks(8, { gate: "go" }) });
    await stage.heard("start", 8);
    const first = await itemsOf(id, "?limit=5");
    expect(first.items.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4]);
    stage.open("go");
    await finished(id);
    const rest = await walk(id, "limit=5", first.cursor as string);
    expect(rest.flat().map(({ node, index }) => `${node} ${index}`)).toEqual([
      ...[5, 6, 7].map((index) => `First ${index}`),
      ...[0, 1, 2, 3, 4, 5, 6, 7].map((index) => `Second ${index}`),
      "Third 0",
    ]);
  });

  it("gives a hundred items unless told otherwise", async () => {
    const { id } = await ran("work", { tasks: tasks(101) });
    const { items, cursor } = await itemsOf(id);
    expect(items).toHaveLength(100);
    expect((await itemsOf(id, `?cursor=${cursor}`)).items).toMatchObject([{ index: 100 }]);
  });

  it("gives the items of one node, and none of a node that there is not", async () => {
    const { id } = await ran("stages", { tasks: tasks(3) });
    expect((await itemsOf(id, "?node=Second")).items.map(({ node }) => node)).toEqual(["Second", "Second", "Second"]);
    expect((await itemsOf(id, "?node=Fourth")).items).toEqual([]);
    expect((await itemsOf(id, "?node=Second&status=failed")).items).toEqual([]);
    const pages = await walk(id, "node=Second&limit=2");
    expect(pages.map((page) => page.map(({ index }) => index))).toEqual([[0, 1], [2]]);
  });

  it("gives nothing of a run that has not got there", async () => {
    const { id } = await start("halting", { at: ["prep"], log: [], list: [1] });
    await stage.heard("prep");
    expect(await itemsOf(id)).toEqual({ items: [], cursor: null });
    stage.open("prep");
    await finished(id);
  });

  it.each([
    [
      "status=done",
      "Expected `status` to be one of pending, running, deferred, succeeded, failed, canceled, got `done`",
    ],
    ["limit=0", "Expected `limit` to be a number from 1 to 1000, got `0`"],
    ["limit=1001", "Expected `limit` to be a number from 1 to 1000, got `1001`"],
    ["limit=ten", "Expected `limit` to be a number from 1 to 1000, got `ten`"],
    ["cursor=here", "Expected `cursor` as an earlier answer gave it, got `here`"],
    ["cursor=", "Expected `cursor` as an earlier answer gave it, got ``"],
  ])("refuses ?%s", async (query, detail) => {
    const { id } = await ran("work", { tasks: [] });
    expect(await problemOf(await call(`/runs/${id}/items?${query}`))).toMatchObject({ status: 400, detail });
  });
});
