import { runDurableObjectAlarm } from "cloudflare:test";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { newRunId } from "../../src/http/ids.ts";
import { Clock } from "./executor.ts";
import { moments, SCHEMAS, writeOlder } from "./older-runs.ts";
import { newStage, type Stage } from "./stage.ts";
import {
  crash,
  executorOf,
  finished,
  getRun,
  inRun,
  resultLines,
  rows,
  runOf,
  start,
  storedOutput,
} from "./support.ts";

let stage: Stage;
beforeEach(() => {
  stage = newStage();
});

type Version = keyof typeof SCHEMAS;
const versions = Object.keys(SCHEMAS);
const cases = versions.flatMap((version) => Object.keys(moments).map((moment) => [version, moment]));

/** A run as an earlier version left it, whose object is loaded by this one when it is next asked. */
async function older(version: string, moment: string): Promise<string> {
  const id = newRunId();
  await inRun(id, (storage) => writeOlder(storage, id, SCHEMAS[version as Version], moments[moment] as never));
  await crash(runOf(id));
  return id;
}

const OUTPUT = {
  users: [{ name: "ada since 5" }, { name: "alan since 5" }],
  list: [1, 2, 3, 4, 10, 20, 30, 40],
  log: [{ isSame: [true, true], since: new Date(5) }, "each prep", "each post", "inner done", [1, 3, 3]],
};

/** Lets an executor's lease end that was there when the earlier version was, and calls it again. */
async function loseExecutor(id: string): Promise<void> {
  await new Clock().pass(id, 8000);
  vi.restoreAllMocks();
  await runDurableObjectAlarm(executorOf(id, 1));
}

describe("a run that an earlier version has begun", () => {
  it.each(cases)("of %s goes on where it was: %s", async (version, moment) => {
    const id = await older(version, moment);
    stage.open("gather", "each", "each post", "inner post");
    if (moment.includes("held")) await loseExecutor(id);
    const run = await finished(id);
    expect(run).toMatchObject({ status: "completed", items: { total: 8, succeeded: 8 }, error: null, warnings: [] });
    expect(run.executions).toBe(moments[moment]?.executions);
    expect(await storedOutput(id)).toEqual(OUTPUT);
    expect(await resultLines(id, "?node=Gather")).toEqual([
      lineOf(
        0,
        OUTPUT.users.map(({ name }) => name),
      ),
    ]);
    expect(await resultLines(id, "?node=Each")).toEqual([10, 20, 30, 40].map((result, index) => lineOf(index, result)));
  });

  it.each(versions)("of %s then has the tables of a new run", async (version) => {
    const older = await loaded(version, "its inner flow is in post");
    const fresh = (await start("older", { users: [], list: [], log: [] })).id;
    expect(await tablesOf(older)).toEqual(await tablesOf(fresh));
  });

  it.each(versions)("of %s is brought up to date once, however often it is loaded", async (version) => {
    const id = await loaded(version, "its inner flow is in post");
    const before = await rows(id, "select * from step");
    await crash(runOf(id));
    await getRun(id);
    expect(await rows(id, "select * from step")).toEqual(before);
    stage.open("inner post");
    expect(await finished(id)).toMatchObject({ status: "completed" });
  });
});

const lineOf = (index: number, result: unknown) => JSON.stringify({ index, status: "succeeded", result });

/** An older run that was loaded, and halts. */
async function loaded(version: string, moment: string): Promise<string> {
  const id = await older(version, moment);
  await getRun(id);
  await stage.heard("inner post");
  return id;
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
