import { beforeEach, describe, expect, it } from "vitest";
import { resultsOf, tasks } from "../durable/flows.ts";
import { newStage, type Stage } from "../durable/stage.ts";
import { finished, getRun, ran, resultLines, start } from "../durable/support.ts";

let stage: Stage;
beforeEach(() => {
  stage = newStage();
});

async function resultsFrom(id: string, query = ""): Promise<unknown[]> {
  return (await resultLines(id, query)).map((line) => JSON.parse(line));
}

const line = (index: number) => ({ index, status: "succeeded", result: 10 * index });

describe("GET /runs/:id/results", () => {
  it("gives the last batch's results, a line each, in input order", async () => {
    const { id } = await ran("stages", { tasks: tasks(25) });
    expect(await resultsFrom(id)).toEqual(resultsOf(25).map((_, index) => line(index)));
    expect(await resultsFrom(id, "?node=First")).toEqual(resultsOf(25).map((_, index) => line(index)));
  });

  it("gives a named node's results, be it no batch, and none of a node that there is not", async () => {
    const { id } = await ran("stages", { tasks: tasks(3) });
    expect(await resultsFrom(id, "?node=Third")).toEqual([line(0)]);
    expect(await resultsFrom(id, "?node=Fourth")).toEqual([]);
  });

  it("gives the latest visit's results where a node was visited more than once", async () => {
    const name = "batches in a row and in a loop, in the TypeScript spelling";
    const { id, output } = await ran(name, { log: [], numbers: [1, 2, 3] });
    const results = (await resultsFrom(id)) as { result: number }[];
    expect(results.map(({ result }) => result)).toEqual((output as { numbers: number[] }).numbers);
  });

  it("gives failed items with their error, and those that never ended by their status alone", async () => {
    const { id } = await start("narrow", {
      tasks: [{ n: 0 }, { n: 1, gate: "late" }, { n: 2, failures: 1 }, { n: 3 }],
    });
    await finished(id);
    stage.open("late");
    await expect.poll(async () => (await getRun(id)).items.succeeded).toBe(2);
    expect(await resultsFrom(id)).toEqual([
      line(0),
      line(1),
      { index: 2, status: "failed", error: { name: "Error", message: "task 2 failed at attempt 1" } },
      { index: 3, status: "canceled" },
    ]);
  });

  it("gives what there is of a run that goes on: the items that have ended", async () => {
    const { id } = await start("narrow", { tasks: [{ n: 0 }, { n: 1, gate: "go" }, { n: 2 }, { n: 3 }] });
    await stage.heard("end", 3);
    await expect.poll(() => resultsFrom(id)).toEqual([line(0), line(2), line(3)]);
    stage.open("go");
    await finished(id);
    expect(await resultsFrom(id)).toEqual([0, 1, 2, 3].map(line));
  });

  it("is empty for a batch of nothing, and for a run without a batch", async () => {
    expect(await resultsFrom((await ran("work", { tasks: [] })).id)).toEqual([]);
    expect(await resultsFrom((await ran("single", { tasks: tasks(1) })).id)).toEqual([]);
  });

  it("gives results of every kind as JSON", async () => {
    const { id } = await ran("items and results of every kind, in the TypeScript spelling", { log: [] });
    const results = (await resultsFrom(id)) as { result: unknown }[];
    expect(results.map(({ result }) => result)).toEqual(
      expect.arrayContaining([new Date(1e12).toJSON(), ["a", new Date(0).toJSON()], null, [0, 255]]),
    );
  });

  it("streams more than one call between objects carries, whole and in order", async () => {
    const { id } = await ran("heavy", { count: 24 });
    const results = (await resultsFrom(id)) as { index: number; result: string }[];
    expect(results.map(({ index, result }) => [index, result.length])).toEqual(
      Array.from({ length: 24 }, (_, index) => [index, 500_000 + index]),
    );
  });
});
