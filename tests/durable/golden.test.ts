import { runDurableObjectAlarm } from "cloudflare:test";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { newRunId } from "../../src/http/ids.ts";
import { BROKEN, type Golden, golden, INPUT, placeOf } from "../golden/flow.ts";
import { Clock } from "./executor.ts";
import { GoldenWorld, newGoldenWorld } from "./golden.ts";
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
  resultLines,
  rows,
  runOf,
  storedOutput,
} from "./support.ts";

// Every release leaves a run half way through (`node tests/golden/make.ts`), and every later one must go on with it.

type Row = { [column: string]: string | number | null };

/** What a release had stored when its server was killed, and how its items stood, as it told them itself. */
interface Fixture {
  release: string;
  id: string;
  items: { node: string; branch: string; index: number; status: string; attempts: number }[];
  schema: string[];
  tables: { [table: string]: Row[] };
}

const found = (import.meta as unknown as { glob(pattern: string, options: object): { [file: string]: Fixture } }).glob(
  "../golden/*.json",
  { eager: true, import: "default" },
);
const fixtures = Object.values(found).map((fixture) => [fixture.release, fixture] as const);

beforeEach(() => {
  vi.restoreAllMocks();
});

/** What the flow gives in memory, and the calls that takes. */
async function inMemory(broken: readonly string[]): Promise<{ shared: Golden; calls: string[] }> {
  const world = new GoldenWorld(broken);
  const shared = structuredClone(INPUT);
  await golden(world).run(shared);
  return { shared, calls: world.calls.sort() };
}

/** Puts a fixture into an object's storage, in the tables of its release, under an id of its own. */
async function restored({ schema, tables }: Fixture): Promise<string> {
  const id = newRunId();
  await inRun(id, ({ sql }) => {
    for (const statement of schema) sql.exec(statement);
    for (const [table, rows] of Object.entries(tables)) {
      for (const row of rows) {
        const columns = Object.keys(row);
        const values = table === "run" ? { ...row, id } : row;
        sql.exec(
          `insert into ${table} (${columns}) values (${columns.map(() => "?")})`,
          ...columns.map((column) => (values as Row)[column]),
        );
      }
    }
  });
  await crash(runOf(id));
  return id;
}

/** The executors that the fixture's release had are no more: their leases end, and others are called. */
async function loseExecutors(id: string): Promise<void> {
  await getRun(id);
  await new Clock().pass(id, 8000);
  vi.restoreAllMocks();
  const slots = await rows<{ id: number }>(id, "select id from slot where home = 'object' and state <> 'idle'");
  // Their wakes were set by a clock that was put forward.
  for (const { id: slot } of slots) await runDurableObjectAlarm(executorOf(id, slot));
}

/** The calls that were over when the server was killed, as the release told them. */
function callsOf({ items }: Fixture): string[] {
  return items.flatMap(({ node, branch, index, attempts }) =>
    Array.from({ length: attempts }, (_, at) => `${placeOf(node, branch, index)}, attempt ${at + 1}`),
  );
}

function without(all: readonly string[], gone: readonly string[]): string[] {
  const left = [...all];
  for (const one of gone) {
    const at = left.indexOf(one);
    if (at < 0) throw new Error(`${one} was never called in memory`);
    left.splice(at, 1);
  }
  return left;
}

/** The columns of all tables, in whatever order, and the indexes. */
function tablesOf(id: string): Promise<object> {
  return inRun(id, ({ sql }) => {
    const columns = sql.exec(
      `select t.name as tab, c.name, lower(c.type) as type, c."notnull", c.pk
       from sqlite_master t, pragma_table_info(t.name) c
       where t.type = 'table' and t.name not like '\\_cf%' escape '\\' order by 1, 2`,
    );
    const indexes = sql.exec("select sql from sqlite_master where type = 'index' and sql is not null");
    return { columns: columns.toArray(), indexes: indexes.toArray() };
  });
}

/** The values, and which of them are one object. */
function aliases(shared: Golden): object {
  const { first, users, byName } = shared;
  return {
    isFirst: first === users[0],
    named: users.map(({ name }) => byName?.get(name) === users.find((user) => user.name === name)),
    loaded: byName?.get(placeOf("Load", 0, 0)) === first,
  };
}

it("there is a fixture of a release", () => {
  expect(fixtures.map(([release]) => release)).toContain("0.1.0");
});

describe.each(fixtures)("the run that %s left half way through", (_, fixture) => {
  it("is one that has something of everything", () => {
    const { tables, items } = fixture;
    const statuses = (node: string, branch: string) =>
      new Set(items.filter((item) => item.node === node && item.branch === branch).map(({ status }) => status));
    expect(statuses("Many", "3")).toEqual(new Set(["succeeded", "deferred", "failed", "running", "pending"]));
    expect(statuses("Load", "2")).toEqual(new Set(["running"]));
    expect(statuses("Save", "4")).toEqual(new Set(["running"]));
    expect(statuses("Save", "0")).toEqual(new Set(["succeeded"]));
    expect(statuses("Load", "5")).toEqual(new Set());
    for (const table of Object.keys(tables)) expect(tables[table]?.length, table).toBeGreaterThan(0);
    expect(JSON.stringify(fixture).length).toBeLessThan(200_000);
  });

  it("is shown as it was", async () => {
    newGoldenWorld(BROKEN);
    const id = await restored(fixture);
    const run = await getRun(id);
    expect(run).toMatchObject({ status: "running", error: null, finishedAt: null });
    const { items } = await (await call(`/runs/${id}/items?limit=1000`)).json<{ items: Fixture["items"] }>();
    const brief = ({ node, branch, index, attempts }: Fixture["items"][0]) => ({ node, branch, index, attempts });
    expect(items.map(brief)).toEqual(fixture.items.map(brief));
    const settled = (all: Fixture["items"]) =>
      all.filter(({ status }) => status === "succeeded" || status === "failed");
    expect(settled(items)).toEqual(settled(fixture.items));
    // What another object had in exec is believed to be there still; what the run's own had is lost with it.
    expect(items).toContainEqual(expect.objectContaining({ node: "Save", branch: "4", status: "running" }));
    // So that it does not go on beside other tests.
    await post(`/runs/${id}/cancel`);
  });

  it("then has the tables of a new run", async () => {
    newGoldenWorld(BROKEN);
    const id = await restored(fixture);
    await post(`/runs/${id}/cancel`);
    const fresh = await ran("golden", INPUT);
    expect(await tablesOf(id)).toEqual(await tablesOf(fresh.id));
  });

  it("goes on, executes nothing that had an outcome, and gives what the flow gives in memory", async () => {
    const world = newGoldenWorld(BROKEN);
    const memory = await inMemory(BROKEN);
    const id = await restored(fixture);
    await loseExecutors(id);
    const run = await finished(id);
    expect(run).toMatchObject({
      status: "completed",
      completionReason: "failures-tolerated",
      error: null,
      warnings: [],
      redriveCount: 0,
    });
    const output = (await storedOutput(id)) as Golden;
    expect(sorted(output)).toEqual(sorted(memory.shared));
    expect(aliases(output)).toEqual(aliases(memory.shared));
    expect(aliases(output)).toEqual({ isFirst: true, named: [true, true], loaded: true });
    expect(world.calls.toSorted()).toEqual(without(memory.calls, callsOf(fixture)));
    expect((await resultLines(id, "?node=Collect")).length).toBe(8);
  });

  it("can be redriven once it has completed", async () => {
    newGoldenWorld(BROKEN);
    const id = await restored(fixture);
    await loseExecutors(id);
    await finished(id);
    const world = newGoldenWorld([]);
    const response = await post(`/runs/${id}/retry`);
    expect(response.status).toBe(202);
    expect(await response.json<Run>()).toMatchObject({ redriveCount: 1, finishedAt: null });
    const run = await finished(id);
    expect(run).toMatchObject({ status: "completed", completionReason: "all-succeeded", redriveCount: 1 });
    const memory = await inMemory([]);
    const output = (await storedOutput(id)) as Golden;
    expect(sorted(output)).toEqual(sorted(memory.shared));
    expect(aliases(output)).toEqual(aliases(memory.shared));
    // Of the batch only what had failed; what came after the checkpoint is done anew.
    const before = /^(Gather|Collect):/;
    expect(world.calls.filter((made) => before.test(made))).toEqual(["Collect::2, attempt 1"]);
    expect(world.calls.filter((made) => !before.test(made)).sort()).toEqual(
      memory.calls.filter((made) => !before.test(made)),
    );
  });

  it("can be canceled half way, and taken up again where it stood", async () => {
    newGoldenWorld(BROKEN);
    const id = await restored(fixture);
    expect((await post(`/runs/${id}/cancel`)).status).toBe(202);
    expect(await getRun(id)).toMatchObject({ status: "canceled", items: { pending: 0, running: 0, deferred: 0 } });
    const world = newGoldenWorld([]);
    expect((await post(`/runs/${id}/retry`)).status).toBe(202);
    await loseExecutors(id);
    expect(await finished(id)).toMatchObject({ status: "completed", redriveCount: 1 });
    const { branches } = (await storedOutput(id)) as Golden;
    expect(branches).toEqual([0, 1, 2, 3, 4, 5].map((n) => `did ${placeOf("Save", n, 0)}`));
    // Nothing that had a result is executed.
    const done = fixture.items.filter(({ status }) => status === "succeeded");
    const places = new Set(done.map(({ node, branch, index }) => placeOf(node, branch, index)));
    expect(world.calls.filter((made) => places.has(made.split(",")[0] as string))).toEqual([]);
  });
});

/** Branches write in any order, in memory too. */
function sorted({ byName = new Map(), tags = new Set(), ...shared }: Golden): object {
  return { ...shared, byName: [...byName].sort(([a], [b]) => (a < b ? -1 : 1)), tags: [...tags].sort() };
}
