import { beforeEach, describe, expect, it } from "vitest";
import { resultsOf, tasks } from "../durable/flows.ts";
import { newStage, type Stage } from "../durable/stage.ts";
import { call, finished, getRun, post, type Run, start } from "../durable/support.ts";
import { problemOf } from "./problem.ts";

let stage: Stage;
beforeEach(() => {
  stage = newStage();
});

describe("GET /health", () => {
  it("says that the Worker is there, and its version", async () => {
    const response = await call("/health");
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ ok: true, version: expect.stringMatching(/^\d+\.\d+\.\d+/) });
  });
});

describe("GET /flows", () => {
  it("lists the registered flows", async () => {
    const { flows } = await (await call("/flows")).json<{ flows: { name: string }[] }>();
    expect(flows).toContainEqual({ name: "work" });
    expect(flows).toContainEqual({ name: "by hand, queue" });
  });
});

describe("POST /flows/:flow/runs", () => {
  it("answers 202 with the run and its place, as soon as it is stored", async () => {
    const response = await post("/flows/work/runs", { tasks: tasks(2) });
    expect(response.status).toBe(202);
    expect(response.headers.get("content-type")).toBe("application/json");
    const run = await response.json<Run>();
    expect(run).toMatchObject({ flow: "work", status: "queued", startedAt: null, step: null, output: null });
    expect(response.headers.get("location")).toBe(`/runs/${run.id}`);
    expect(response.headers.get("idempotent-replayed")).toBeNull();
    expect(await getRun(run.id)).toMatchObject({ id: run.id, createdAt: run.createdAt });
    expect((await finished(run.id)).output).toMatchObject({ results: resultsOf(2) });
  });

  it("shows a run with the documented fields, and those it adds", async () => {
    const run = await finished((await start("work", { tasks: tasks(2) })).id);
    const documented = ["id", "flow", "status", "createdAt", "startedAt", "finishedAt", "step", "items", "executions"];
    const added = [
      "version",
      "resumesAt",
      "executors",
      "warnings",
      "completionReason",
      "redriveCount",
      "redrives",
      "tokens",
    ];
    const outside = ["trigger", "waitsFor", "signals", "callback"];
    expect(Object.keys(run).sort()).toEqual([...documented, "action", "output", "error", ...added, ...outside].sort());
    const zero = { pending: 0, running: 0, deferred: 0, failed: 0, canceled: 0 };
    expect(run).toMatchObject({ items: { ...zero, total: 2, succeeded: 2 }, executions: 2, step: null, error: null });
    for (const time of [run.createdAt, run.startedAt, run.finishedAt]) {
      expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    }
  });

  it("takes no body for an empty one", async () => {
    const response = await call("/flows/halting%20always/runs", { method: "POST" });
    expect(response.status).toBe(202);
    const { id } = await response.json<Run>();
    await stage.heard("post");
    await call(`/runs/${id}/cancel`, { method: "POST" });
  });

  it.each(["application/json", "application/json; charset=utf-8", "application/vnd.mine+json", "Application/JSON"])(
    "takes a body of type %s",
    async (type) => {
      const response = await post("/flows/work/runs", { tasks: [] }, { "content-type": type });
      expect(response.status).toBe(202);
    },
  );

  it.each([
    ['{"tasks":[],"__proto__":{"a":1}}', "/__proto__"],
    ['{"tasks":[{"n":0},{"a":{"__proto__":[]}}]}', "/tasks/1/a/__proto__"],
  ])("refuses the key __proto__ wherever it is: %s", async (body, pointer) => {
    expect(await problemOf(await post("/flows/work/runs", body))).toMatchObject({
      status: 422,
      detail: "Expected a JSON object without the key `__proto__`",
      errors: [{ pointer }],
    });
  });
});

describe("POST /flows/:flow/runs?wait=SECONDS", () => {
  it.each<[string, object, string]>([
    ["completed", { tasks: tasks(3) }, "completed"],
    ["failed", { tasks: [{ n: 0, failures: 1 }] }, "failed"],
  ])("answers 200 with the run once it is %s", async (_, input, status) => {
    const response = await post("/flows/work/runs?wait=20", input);
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ status, finishedAt: expect.any(String) });
  });

  it("answers 200 when the run is canceled meanwhile", async () => {
    const waiting = post(
      "/flows/work/runs?wait=20",
      { tasks: [{ n: 7, gate: "never" }] },
      { "idempotency-key": "waited for" },
    );
    await stage.heard("start 7");
    const again = await post(
      "/flows/work/runs",
      { tasks: [{ n: 7, gate: "never" }] },
      { "idempotency-key": "waited for" },
    );
    const { id } = await again.json<Run>();
    await call(`/runs/${id}/cancel`, { method: "POST" });
    const response = await waiting;
    expect([response.status, await response.json()]).toMatchObject([200, { id, status: "canceled" }]);
  });

  it("answers 202 with the run as it is when it still goes on", async () => {
    const response = await post("/flows/work/runs?wait=2", { tasks: tasks(2, { gate: "go" }) });
    expect(response.status).toBe(202);
    expect(await response.json()).toMatchObject({ status: "running", items: { running: 2 } });
    stage.open("go");
  });

  it("is said by `Prefer: wait=SECONDS` as well", async () => {
    const response = await post("/flows/work/runs", { tasks: tasks(2) }, { prefer: "respond-async, wait=20" });
    expect(response.status).toBe(200);
    const ignored = await post("/flows/work/runs", { tasks: tasks(2) }, { prefer: "wait=soon" });
    expect(ignored.status).toBe(202);
  });

  it.each(["-1", "61", "soon", "", "Infinity", "NaN"])("refuses `%s`", async (wait) => {
    const response = await post(`/flows/work/runs?wait=${wait}`, { tasks: [] });
    expect(await problemOf(response)).toMatchObject({
      status: 400,
      detail: `Expected \`wait\` to be a number from 0 to 60, got \`${wait}\``,
    });
  });
});

describe("a start that is refused", () => {
  it("for a flow that there is not: 404, which says what there is", async () => {
    const problem = await problemOf(await post("/flows/works/runs"));
    expect(problem).toMatchObject({
      status: 404,
      detail: expect.stringContaining("There is no flow `works`; there are: "),
    });
  });

  it.each(["{", "", " ", "{a:1}", '{"a":}', "undefined"].filter((body) => body !== ""))(
    "for a body that is not JSON: 400, `%s`",
    async (body) => {
      const problem = await problemOf(await post("/flows/work/runs", body));
      expect(problem).toMatchObject({ status: 400, detail: expect.stringContaining("Expected a JSON body: ") });
    },
  );

  it.each<[unknown, string]>([
    [[1], "an array"],
    ["null", "null"],
    ["5", "5"],
    ['"text"', '"text"'],
  ])("for a body that is no object: 422, %j", async (body, got) => {
    const problem = await problemOf(await post("/flows/work/runs", body));
    expect(problem).toMatchObject({
      status: 422,
      detail: `Expected a JSON object, got ${got}: the body becomes the flow's shared store`,
      errors: [{ pointer: "", detail: `Expected a JSON object, got ${got}` }],
    });
  });

  it.each(["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""])(
    "for a body of type `%s`: 415",
    async (type) => {
      const problem = await problemOf(await post("/flows/work/runs", {}, { "content-type": type }));
      expect(problem).toMatchObject({ status: 415, detail: expect.stringContaining("application/json") });
    },
  );

  it.each(["with", "without"])("for a body of more than 10 MiB, %s its length told: 413", async (told) => {
    const body = `{"text":"${"x".repeat(10 * 1024 * 1024)}"}`;
    const stream = new Response(body).body as ReadableStream;
    const response = await call("/flows/work/runs", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: told === "with" ? body : stream,
    });
    expect(await problemOf(response)).toMatchObject({ status: 413, detail: expect.stringContaining("10485760 bytes") });
  });

  it("for none of these reasons at just under 10 MiB", async () => {
    const response = await post("/flows/work/runs?wait=20", {
      tasks: [],
      text: "€".repeat((10 * 1024 * 1024 - 40) / 3),
    });
    expect(response.status).toBe(200);
  });

  it("for a body nested deeper than can be walked: 422, and for no other", async () => {
    const nested = (levels: number) => `{"tasks":[],"deep":${"[".repeat(levels)}${"]".repeat(levels)}}`;
    for (const levels of [501, 100_000]) {
      const problem = await problemOf(await post("/flows/work/runs", nested(levels)));
      expect(problem).toMatchObject({
        status: 422,
        detail: "Expected a JSON object nested at most 500 levels deep, got a deeper one",
      });
    }
    const response = await post("/flows/work/runs?wait=20", nested(500), { "idempotency-key": "deep" });
    expect(await response.json()).toMatchObject({
      status: "completed",
      output: { deep: JSON.parse(nested(500)).deep },
    });
  });
});

describe("a path that there is not", () => {
  it.each([
    ["POST", "/"],
    ["GET", "/nowhere"],
    ["DELETE", "/flows"],
    ["GET", "/flows/work/runs"],
    ["PUT", "/flows/work/runs"],
  ])("is 404: %s %s", async (method, path) => {
    expect(await problemOf(await call(path, { method }))).toMatchObject({
      status: 404,
      detail: `There is no ${method} ${path}`,
    });
  });
});
