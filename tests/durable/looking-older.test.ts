import { beforeEach, describe, expect, it } from "vitest";
import type * as api from "../../src/http/api.ts";
import { newRunId } from "../../src/http/ids.ts";
import { errorsOf, gridOf, itemOf, itemsIn, nodesOf, read, stepsOf } from "../http/looking.ts";
import { known, lookAt } from "../http/onlooker.ts";
import { moments, SCHEMAS, writeOlder } from "./older-runs.ts";
import { newStage, type Stage } from "./stage.ts";
import { call, crash, finished, getRun, inRun, post, ran, runOf } from "./support.ts";

// Runs that a version stored which kept no times of steps, no calls that failed, and no inputs.

let stage: Stage;
beforeEach(() => {
  stage = newStage();
});

/** Puts back what the tables of a run were before steps had times. */
async function forgetTimes(id: string): Promise<void> {
  await inRun(id, ({ sql }) => {
    sql.exec(`alter table step drop column started_ms; alter table step drop column finished_ms; drop table try;
      delete from long_text where owner = 'input'`);
  });
  await crash(runOf(id));
}

describe("a run that a version before steps had times has stored", () => {
  it("is told of all the same, and says nothing of what was not kept", async () => {
    const { id } = await ran("retried", { tasks: [{ n: 0 }, { n: 1, failures: 1 }, { n: 2, failures: 9 }] });
    const before = [await nodesOf(id), await gridOf(id, "AtOnce"), await itemsIn(id), await errorsOf(id)];
    await forgetTimes(id);
    expect([await nodesOf(id), await gridOf(id, "AtOnce"), await itemsIn(id), await errorsOf(id)]).toEqual(before);
    for (const step of await stepsOf(id)) expect(step).toMatchObject({ startedAt: null, finishedAt: null });
    for (const index of [0, 1, 2]) expect((await itemOf(id, 2, index)).tries).toEqual([]);
    expect((await itemOf(id, 2, 2)).error).toMatchObject({ message: "task 2 failed at attempt 3" });
    expect((await call(`/runs/${id}/input`)).status).toBe(404);
    expect(await read<api.Log>(`/runs/${id}/log`)).toMatchObject({ events: [{ type: "item-failed" }] });
  });

  it("keeps all that from then on: a redrive's steps have an end, and its calls are told of", async () => {
    const { id } = await ran("retried", { tasks: [{ n: 0 }, { n: 2, failures: 9 }] });
    await forgetTimes(id);
    expect((await post(`/runs/${id}/retry`)).status).toBe(202);
    await finished(id);
    expect((await itemOf(id, 2, 1)).tries).toHaveLength(3);
    const steps = await stepsOf(id);
    expect(steps.map(({ startedAt }) => startedAt)).toEqual(steps.map(() => null));
    await crash(runOf(id));
    expect(await stepsOf(id)).toEqual(steps);
    expect((await itemOf(id, 2, 1)).tries).toHaveLength(3);
  });

  it.each(Object.keys(SCHEMAS))("can be looked at while it goes on: of %s", async (version) => {
    const id = newRunId();
    const moment = moments["its inner flow is in post"] as never;
    await inRun(id, (storage) => writeOlder(storage, id, SCHEMAS[version as keyof typeof SCHEMAS], moment));
    await crash(runOf(id));
    await stage.until(() => true);
    const onlooker = await lookAt(id);
    expect(known(onlooker.messages)).toMatchObject({ run: { id, status: "running" }, events: [] });
    const nodes = new Map((await nodesOf(id)).map((node) => [node.node, node]));
    expect(nodes.get("Each")).toMatchObject({ steps: 1, open: 0, items: { total: 4, succeeded: 4 } });
    expect(nodes.get("Gather")).toMatchObject({ steps: 1, open: 0, items: { total: 1, succeeded: 1 } });
    expect((await itemOf(id, 4, 2)).input).toBe(3);
    expect(await gridOf(id, "Each")).toEqual([[4, "ssss"]]);
    stage.open("gather", "each", "each post", "inner post");
    await finished(id);
    const later = (await stepsOf(id)).filter((step) => step.id > 4);
    expect(later.length).toBeGreaterThan(0);
    for (const { startedAt, finishedAt } of later) expect([startedAt, finishedAt]).not.toContain(null);
    await expect.poll(() => known(onlooker.messages).run).toMatchObject({ status: "completed" });
    expect((await getRun(id)).items).toMatchObject({ total: 8, succeeded: 8 });
    onlooker.leave();
  });
});
