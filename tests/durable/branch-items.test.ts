import { beforeEach, describe, expect, it } from "vitest";
import type { BranchEnd } from "../../src/index.ts";
import type { Branching } from "./branching.ts";
import { newStage, type Stage } from "./stage.ts";
import { call, crash, finished, getRun, ran, resultLines, rows, runOf, start, storedOutput } from "./support.ts";

let stage: Stage;
beforeEach(() => {
  stage = newStage();
});

const input = (count: number, at: string[] = []): Branching => ({ count, at, log: [], done: [] });

/** The most things that were under way at once, by what was said when they began and when they ended. */
function mostAtOnce(begin: RegExp, end: RegExp): number {
  let [most, now] = [0, 0];
  for (const words of stage.said) {
    now += Number(begin.test(words)) - Number(end.test(words));
    most = Math.max(most, now);
  }
  return most;
}

const begunCalls = () => stage.said.filter((words) => words.startsWith("begin ")).length;

describe("what is under way at once", () => {
  it("is no more branches than the parallel batch flow allows", async () => {
    const { id } = await start("branching, three at a time", input(10));
    await stage.until(() => begunCalls() === 3);
    expect(await getRun(id)).toMatchObject({ items: { total: 3, running: 3 }, executions: 3 });
    stage.open("go");
    expect(await finished(id)).toMatchObject({ status: "completed", items: { total: 10, succeeded: 10 } });
    expect(mostAtOnce(/^in /, /^out /)).toBe(3);
  });

  it("is no more calls of a plain node than it allows, however many branches have come to it", async () => {
    const { id } = await start("branching, two calls at a time", input(9));
    await stage.until(() => begunCalls() === 2);
    expect(await getRun(id)).toMatchObject({ items: { total: 9, running: 2, pending: 7 }, executions: 2 });
    stage.open("go");
    expect(await finished(id)).toMatchObject({ status: "completed", executions: 9 });
    expect(mostAtOnce(/^begin /, /^end /)).toBe(2);
    expect(mostAtOnce(/^in /, /^out /)).toBe(9);
  });

  it("is no more calls of a batch node than it allows, over the lists of all branches", async () => {
    const { id } = await start("branching, many, four calls at a time", input(5));
    await stage.until(() => begunCalls() === 4);
    expect(await getRun(id)).toMatchObject({ items: { total: 15, running: 4, pending: 11 }, executions: 4 });
    stage.open("go");
    expect(await finished(id)).toMatchObject({ status: "completed", executions: 15 });
    expect(mostAtOnce(/^begin /, /^end /)).toBe(4);
  });

  it("is no more than that after the run's object was lost", async () => {
    const { id } = await start("branching, two calls at a time", input(6));
    await stage.until(() => begunCalls() === 2);
    await crash(runOf(id));
    expect(await getRun(id)).toMatchObject({ items: { running: 2, pending: 4 } });
    stage.open("go");
    expect(await finished(id)).toMatchObject({ status: "completed", executions: 6 });
    expect(mostAtOnce(/^begin /, /^end /)).toBe(2);
  });

  it("is one item of each branch's list where a batch goes in order", async () => {
    const { id } = await start("branching, each in turn", input(3));
    await stage.until(() => begunCalls() === 3);
    expect(stage.said.toSorted()).toEqual(["begin 0a", "begin 1a", "begin 2a"]);
    stage.open("go 1a", "go 1b");
    await stage.heard("begin 1c");
    expect(await getRun(id)).toMatchObject({ items: { running: 3, succeeded: 2, pending: 4 } });
    stage.open(...[0, 1, 2].flatMap((n) => ["a", "b", "c"].map((item) => `go ${n}${item}`)));
    expect(await finished(id)).toMatchObject({ status: "completed", executions: 9 });
    for (const n of [0, 1, 2]) expect(mostAtOnce(RegExp(`begin ${n}`), RegExp(`end ${n}`))).toBe(1);
  });

  it("is one branch where they go in order", async () => {
    stage.open("go");
    await ran("branching, in order", input(4));
    expect(stage.said.filter((words) => /^(in|out) /.test(words))).toEqual(
      [0, 1, 2, 3].flatMap((n) => [`in ${n}`, `out ${n}`]),
    );
  });
});

describe("the run's own object", () => {
  const inlineCalls = (id: string) => rows(id, "select sum(claimed) as calls from slot where home = 'inline'");

  it("executes no item while branches are under way at once, though one is left", async () => {
    stage.open("go");
    const { id, executions } = await ran("branching, long and short", input(2));
    expect(executions).toBe(5);
    expect(await inlineCalls(id)).toEqual([{ calls: null }]);
  });

  it("leaves them to the queue where their node says so", async () => {
    stage.open("go");
    const { id } = await ran("branching, by queue", input(4));
    expect(await rows(id, "select home, sum(claimed) as calls from slot group by home")).toEqual([
      { home: "queue", calls: 4 },
    ]);
  });

  it("executes those of branches that go in order", async () => {
    stage.open("go");
    const { id } = await ran("branching, in order", input(4));
    expect(await inlineCalls(id)).toEqual([{ calls: 4 }]);
  });
});

interface Item {
  node: string;
  branch: string;
  index: number;
}

async function itemsOf(id: string, query = ""): Promise<Item[]> {
  const response = await call(`/runs/${id}/items${query}`);
  expect(response.status).toBe(200);
  return (await response.json<{ items: Item[] }>()).items;
}

describe("items of branches", () => {
  it("are listed with the way to their branch", async () => {
    stage.open("go");
    const { id } = await ran("branching, in pairs", input(4));
    const items = await itemsOf(id);
    expect(items.map(({ branch }) => branch)).toEqual([0, 1, 2, 3].flatMap((n) => [`${n}/0`, `${n}/1`]));
    expect(items.at(-1)).toMatchObject({
      node: "Said",
      index: 0,
      status: "succeeded",
      result: "result 3",
      attempts: 1,
    });
  });

  it("of a batch are listed by branch and index, page by page", async () => {
    stage.open("go");
    const { id } = await ran("branching, many, four calls at a time", input(4));
    const places = (await itemsOf(id)).map(({ branch, index }) => `${branch}:${index}`);
    expect(places).toEqual([0, 1, 2, 3].flatMap((n) => [0, 1, 2].map((index) => `${n}:${index}`)));
    const first = await (await call(`/runs/${id}/items?limit=5`)).json<{ items: Item[]; cursor: string }>();
    expect(first.items.map(({ branch, index }) => `${branch}:${index}`)).toEqual(places.slice(0, 5));
  });

  it("have the results of the node's last visit, whichever branch that was on", async () => {
    stage.open("go");
    const { id } = await ran("branching to each end", input(4));
    expect(await resultLines(id, "?node=Said")).toEqual(['{"index":0,"status":"succeeded","result":"result 3"}']);
    const lines = await resultLines(id, "?node=SaidMany");
    const last = (await itemsOf(id, "?node=SaidMany")).at(-1)?.branch;
    expect(lines).toEqual(
      ["a", "b", "c"].map((item, index) => `{"index":${index},"status":"succeeded","result":"result ${last}${item}"}`),
    );
    expect(["1", "3"]).toContain(last);
  });
});

describe("post of a batch flow", () => {
  const ENDS: BranchEnd[] = [
    { action: undefined, result: "result 0" },
    { action: "many", result: ["result 1a", "result 1b", "result 1c"] },
    { action: undefined, result: "result 2" },
  ];

  it("is told how each branch ended, in the order of the branches", async () => {
    stage.open("go");
    const { id, action } = await ran("branching to each end", input(3));
    expect(action).toBe("told");
    expect(((await storedOutput(id)) as Branching).told).toEqual(ENDS);
  });

  it("is told the same after the run's object was lost", async () => {
    stage.open("go");
    const { id } = await start("branching to each end", input(3, ["told"]));
    await stage.heard("told");
    await crash(runOf(id));
    await finished(id);
    expect(((await storedOutput(id)) as Branching).told).toEqual(ENDS);
    expect(stage.count("told")).toBe(2);
  });

  it("is told of no result of a branch that ends in branches of its own", async () => {
    stage.open("go");
    const { id } = await ran("branching, in pairs", input(2));
    const paired = { action: "paired", result: undefined };
    expect(((await storedOutput(id)) as Branching).told).toEqual([paired, paired]);
  });
});
