import { beforeEach, describe, expect, it } from "vitest";
import { csvOf } from "../../src/http/csv.ts";
import { resultsOf, tasks } from "../durable/flows.ts";
import { newStage, type Stage } from "../durable/stage.ts";
import { call, finished, getRun, ran, resultLines, start } from "../durable/support.ts";

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

/** The rows of a CSV, read as RFC 4180 has it: lines end in CRLF, and in quotes everything is text, two quotes one of them. */
function rowsOf(csv: string): string[][] {
  expect(csv.endsWith("\r\n")).toBe(true);
  const rows: string[][] = [[]];
  for (const [, quoted, plain = "", end] of csv.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/g)) {
    rows.at(-1)?.push(quoted?.replaceAll('""', '"') ?? plain);
    if (end === "\r\n") rows.push([]);
  }
  return rows.slice(0, -1);
}

async function csvFrom(id: string): Promise<string[][]> {
  const response = await call(`/runs/${id}/results?format=csv`);
  expect([response.status, response.headers.get("content-type")]).toEqual([200, "text/csv; charset=utf-8"]);
  return rowsOf(new TextDecoder().decode(await response.arrayBuffer()));
}

const HEAD = ["index", "status", "result", "error"];

describe("GET /runs/:id/results?format=csv", () => {
  it("gives a row for each item under a head, those that failed with their error", async () => {
    const { id } = await start("narrow", {
      tasks: [{ n: 0 }, { n: 1, gate: "late" }, { n: 2, failures: 1 }, { n: 3 }],
    });
    await finished(id);
    stage.open("late");
    await expect.poll(async () => (await getRun(id)).items.succeeded).toBe(2);
    expect(await csvFrom(id)).toEqual([
      HEAD,
      ["0", "succeeded", "0", ""],
      ["1", "succeeded", "10", ""],
      ["2", "failed", "", "Error: task 2 failed at attempt 1"],
      ["3", "canceled", "", ""],
    ]);
  });

  it("is its head alone for a batch of nothing", async () => {
    expect(await csvFrom((await ran("work", { tasks: [] })).id)).toEqual([HEAD]);
  });

  it("streams more than one call between objects carries, under one head", async () => {
    const rows = await csvFrom((await ran("heavy", { count: 24 })).id);
    expect(rows.map(([index, , result]) => [index, result?.length])).toEqual([
      ["index", 6],
      ...Array.from({ length: 24 }, (_, index) => [String(index), 500_000 + index]),
    ]);
  });

  it("has texts as they are, and all else as JSON", () => {
    const results = [
      "a",
      "",
      'say "a, b"',
      "one\r\ntwo\nthree",
      -5,
      0.5,
      true,
      null,
      { a: [1, "x"] },
      ["="],
      "déjà 日本",
    ];
    const lines = results.map((result, index) => `${JSON.stringify({ index, status: "succeeded", result })}\n`);
    expect(rowsOf(csvOf(lines.join(""))).map(([, , result]) => result)).toEqual(
      results.map((result) => (typeof result === "string" ? result : JSON.stringify(result))),
    );
  });

  it("has nothing that a spreadsheet would calculate", () => {
    const formulas = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"];
    const lines = formulas.flatMap((text, index) => [
      JSON.stringify({ index, status: "succeeded", result: text }),
      JSON.stringify({ index, status: "failed", error: { name: text, message: "" } }),
    ]);
    const cells = rowsOf(csvOf(`${lines.join("\n")}\n`)).map(([, , result, error]) => result || error);
    expect(cells).toEqual(formulas.flatMap((text) => [`'${text}`, `'${text}: `]));
  });
});
