import { beforeEach, describe, expect, it } from "vitest";
import { resultsOf, tasks } from "../durable/flows.ts";
import { newStage, type Stage } from "../durable/stage.ts";
import { crash, finished, post, type Run, runOf } from "../durable/support.ts";
import { problemOf } from "./problem.ts";

let stage: Stage;
beforeEach(() => {
  stage = newStage();
});

async function startAs(key: string, body: unknown, path = "/flows/work/runs") {
  const response = await post(path, body, { "idempotency-key": key });
  const isReplayed = response.headers.get("idempotent-replayed") === "true";
  return { response, status: response.status, isReplayed, run: await response.clone().json<Run>() };
}

describe("a start with an Idempotency-Key", () => {
  it("that comes twice is one run, and the second answer says so", async () => {
    const first = await startAs("twice", { tasks: tasks(3) });
    const second = await startAs("twice", { tasks: tasks(3) });
    expect([first.status, first.isReplayed]).toEqual([202, false]);
    expect([second.status, second.isReplayed]).toEqual([202, true]);
    expect(second.run.id).toBe(first.run.id);
    expect(second.response.headers.get("location")).toBe(`/runs/${first.run.id}`);
    await finished(first.run.id);
    expect(stage.count("start")).toBe(3);
  });

  it("that comes fifty times at once is one run", async () => {
    const starts = await Promise.all(
      Array.from({ length: 50 }, () => startAs("at once", { tasks: tasks(5) }, "/flows/work/runs?wait=20")),
    );
    expect(new Set(starts.map(({ run }) => run.id)).size).toBe(1);
    expect(starts.filter(({ isReplayed }) => !isReplayed)).toHaveLength(1);
    for (const { status, run } of starts) {
      expect([status, run.output]).toEqual([200, { tasks: tasks(5), results: resultsOf(5), posts: 1 }]);
    }
    expect(stage.count("start")).toBe(5);
  });

  it("takes equal JSON for the same body, whatever the order of keys and the blanks in it", async () => {
    const first = await startAs("equal", '{"tasks":[],"a":{"x":1,"y":[{"p":1,"q":null}]}}');
    const second = await startAs("equal", '{ "a": {"y": [ {"q": null, "p": 1.0} ], "x": 1e0}, "tasks": [ ] }');
    expect([second.status, second.isReplayed]).toEqual([202, true]);
    expect(second.run.id).toBe(first.run.id);
  });

  it.each<[string, string]>([
    ["a value", '{"tasks":[],"a":2}'],
    ["a key more", '{"tasks":[],"a":1,"b":null}'],
    ["a key less", '{"tasks":[]}'],
    ["the order of a list", '{"tasks":[],"a":1,"l":[2,1]}'],
    ["a number for a text", '{"tasks":[],"a":"1"}'],
  ])("refuses another body for the same key, 422: %s", async (name, other) => {
    const { run } = await startAs(
      name,
      name === "the order of a list" ? '{"tasks":[],"a":1,"l":[1,2]}' : '{"tasks":[],"a":1}',
    );
    const { response } = await startAs(name, other);
    const problem = await problemOf(response);
    expect(problem).toMatchObject({ status: 422, detail: expect.stringContaining(run.id) });
  });

  it("knows keys per flow", async () => {
    const one = await startAs("per flow", { tasks: [] });
    const other = await startAs("per flow", { tasks: [] }, "/flows/narrow/runs");
    expect(other).toMatchObject({ status: 202, isReplayed: false, run: { flow: "narrow" } });
    expect(other.run.id).not.toBe(one.run.id);
  });

  it("that replays a finished run answers with it as it ended", async () => {
    const first = await startAs("finished", { tasks: tasks(2) }, "/flows/work/runs?wait=20");
    const second = await startAs("finished", { tasks: tasks(2) }, "/flows/work/runs?wait=20");
    expect([second.status, second.isReplayed, second.run]).toEqual([200, true, first.run]);
  });

  it("is known again after the run's object was lost", async () => {
    const { run } = await startAs("lost", { tasks: tasks(2) });
    await crash(runOf(run.id));
    const second = await startAs("lost", { tasks: tasks(2) });
    expect([second.isReplayed, second.run.id]).toEqual([true, run.id]);
    expect(await finished(run.id)).toMatchObject({ status: "completed", executions: 2 });
  });

  it("may be any text of up to 255 characters", async () => {
    for (const key of ['k"e=y; /?~', "x".repeat(255)]) {
      const first = await startAs(key, { tasks: [] });
      expect((await startAs(key, { tasks: [] })).run.id).toBe(first.run.id);
    }
    expect(await problemOf((await startAs("x".repeat(256), {})).response)).toMatchObject({ status: 400 });
    expect(await problemOf((await startAs("", {})).response)).toMatchObject({ status: 400 });
  });

  it("starts nothing when the body is refused: the key is still free", async () => {
    expect((await startAs("refused", "[]")).status).toBe(422);
    expect(await startAs("refused", { tasks: [] })).toMatchObject({ status: 202, isReplayed: false });
  });
});

describe("a start without a key", () => {
  it("is a run of its own each time", async () => {
    const ids = await Promise.all(
      Array.from({ length: 5 }, async () => (await (await post("/flows/work/runs", { tasks: [] })).json<Run>()).id),
    );
    expect(new Set(ids).size).toBe(5);
  });
});
