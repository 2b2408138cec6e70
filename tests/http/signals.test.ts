import { abortAllDurableObjects } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { keyedRunId, newRunId } from "../../src/http/ids.ts";
import { tasks } from "../durable/flows.ts";
import { woken } from "../durable/orders.ts";
import { newStage, type Stage } from "../durable/stage.ts";
import { call, crash, finished, getRun, inRun, post, type Run, ran, rows, runOf, start } from "../durable/support.ts";
import { problemOf } from "./problem.ts";

let stage: Stage;
beforeEach(() => {
  stage = newStage();
});
afterEach(() => {
  vi.restoreAllMocks();
});

const LONGEST = 600_000;
const MOST = 1_000;

/** A run that goes on until the test ends. */
function going(): Promise<Run> {
  return start("single", { tasks: tasks(1, { gate: "go" }) });
}

function send(id: string, name: string, body: unknown = {}, headers: { [name: string]: string } = {}) {
  return post(`/runs/${id}/signals/${encodeURIComponent(name)}`, body, headers);
}

async function sent(id: string, name: string, body: unknown = {}, headers = {}): Promise<Run> {
  const response = await send(id, name, body, headers);
  expect(response.status).toBe(202);
  expect(response.headers.get("content-type")).toBe("application/json");
  return response.json();
}

/** What is kept, with what was sent. */
async function keptIn(id: string): Promise<{ name: string; body: unknown }[]> {
  const kept = await rows<{ name: string; body: string }>(id, "select name, body from signal order by at_ms, id");
  return kept.map(({ name, body }) => ({ name, body: JSON.parse(body) }));
}

const namesIn = ({ signals }: Run) => signals.map(({ name }) => name);

describe("POST /runs/:id/signals/:name", () => {
  it("answers 202 with the run, which shows the signal without what was sent", async () => {
    const { id } = await going();
    const run = await sent(id, "approved", { by: "Ada" });
    expect(run).toMatchObject({ id, flow: "single" });
    expect(run.signals).toEqual([
      { id: expect.stringMatching(/^\w{26}$/), name: "approved", at: expect.stringMatching(/^\d{4}-.*Z$/) },
    ]);
    expect((await getRun(id)).signals).toEqual(run.signals);
    expect(await keptIn(id)).toEqual([{ name: "approved", body: { by: "Ada" } }]);
  });

  it.each([[[1, { a: null }]], ["text"], [5], [null], [false], [{}]])("keeps any JSON: %j", async (body) => {
    const { id } = await going();
    await sent(id, "any", JSON.stringify(body));
    expect(await keptIn(id)).toEqual([{ name: "any", body }]);
  });

  it("takes no body for an empty object", async () => {
    const { id } = await going();
    expect((await call(`/runs/${id}/signals/bare`, { method: "POST" })).status).toBe(202);
    expect(await keptIn(id)).toEqual([{ name: "bare", body: {} }]);
  });

  it("keeps several of one name", async () => {
    const { id } = await going();
    for (const body of [1, 2, 3]) await sent(id, "again", body);
    expect(namesIn(await getRun(id))).toEqual(["again", "again", "again"]);
    expect((await keptIn(id)).map(({ body }) => body).sort()).toEqual([1, 2, 3]);
  });

  it("shows those of one millisecond in the order in which they came", async () => {
    const { id } = await going();
    vi.spyOn(Date, "now").mockReturnValue(Date.now());
    // By their ids, and by their names, they would be in another order.
    const names = Array.from({ length: 10 }, (_, at) => String(9 - at));
    for (const name of names) await sent(id, name, {}, { "idempotency-key": name });
    const unkeyed = Array.from({ length: 10 }, (_, at) => `unkeyed-${9 - at}`);
    for (const name of unkeyed) await sent(id, name);
    vi.restoreAllMocks();
    const run = await getRun(id);
    expect(new Set(run.signals.map(({ at }) => at)).size).toBe(1);
    expect(namesIn(run)).toEqual([...names, ...unkeyed]);
    await crash(runOf(id));
    expect(namesIn(await getRun(id))).toEqual([...names, ...unkeyed]);
  });

  it("keeps one that is sent again with its Idempotency-Key once, also at the same time", async () => {
    const { id } = await going();
    const key = { "idempotency-key": "one and the same" };
    await Promise.all(Array.from({ length: 10 }, () => sent(id, "once", { n: 1 }, key)));
    await sent(id, "once", { n: 2 }, { "idempotency-key": "another" });
    const { signals } = await sent(id, "once", { n: 1 }, key);
    expect(signals).toHaveLength(2);
    expect(new Set(signals.map((signal) => signal.id)).size).toBe(2);
  });

  it("keeps what was sent to one run from another, whatever the key", async () => {
    const [one, other] = [await going(), await going()];
    const key = { "idempotency-key": "shared by chance" };
    await sent(one.id, "mine", 1, key);
    await sent(other.id, "mine", 2, key);
    expect(await keptIn(other.id)).toEqual([{ name: "mine", body: 2 }]);
  });

  it("takes signals of a run that is paused, and of one that waits", async () => {
    const paused = await going();
    await post(`/runs/${paused.id}/pause`);
    expect(await sent(paused.id, "early")).toMatchObject({ status: "paused", signals: [{ name: "early" }] });
    const { id } = await start("single, retried later", { tasks: tasks(1, { failures: 1 }) });
    await expect.poll(async () => (await getRun(id)).status).toBe("waiting");
    expect(await sent(id, "early")).toMatchObject({ status: "waiting", signals: [{ name: "early" }] });
  });

  it("has stored what it answered for: a crash loses none, and the run goes on", async () => {
    const { id } = await going();
    const key = { "idempotency-key": "before the crash" };
    const { signals } = await sent(id, "kept", { n: 1 }, key);
    await crash(runOf(id));
    expect((await getRun(id)).signals).toEqual(signals);
    await abortAllDurableObjects();
    expect((await sent(id, "kept", { n: 1 }, key)).signals).toEqual(signals);
    expect(await keptIn(id)).toEqual([{ name: "kept", body: { n: 1 } }]);
    stage.open("go");
    expect(await finished(id)).toMatchObject({ status: "completed", signals });
  });

  it.each(["a", "a.b-c_1", "A".repeat(64), "constructor", "__proto__", "0"])("takes the name %s", async (name) => {
    const { id } = await going();
    expect(namesIn(await sent(id, name))).toEqual([name]);
  });
});

describe("a signal that is refused", () => {
  let id: string;
  beforeEach(async () => {
    id = (await going()).id;
  });

  it.each(["a b", "é", "A".repeat(65), "x".repeat(10_000), "a/b", "\0", "😀", "a\nb", "'", " "])(
    "for its name: 400, %j",
    async (name) => {
      const problem = await problemOf(await send(id, name));
      expect(problem).toMatchObject({ status: 400, detail: expect.stringContaining("Expected a signal's name to be") });
      expect(problem.detail).toContain(`got \`${name.slice(0, 64)}\``);
      expect(problem.detail.length).toBeLessThan(200);
      expect(await keptIn(id)).toEqual([]);
    },
  );

  it.each<[number, string, string | object, { [name: string]: string }]>([
    [400, "is not JSON", "{", {}],
    [400, "is blank", " ", {}],
    [415, "is of another type", "{}", { "content-type": "text/plain" }],
    [422, "has the key __proto__", '{"a":[{"__proto__":1}]}', {}],
    [422, "is nested too deep", "[".repeat(100_000) + "]".repeat(100_000), {}],
    [413, "is too long", JSON.stringify("x".repeat(LONGEST - 1)), {}],
    [413, "is longer than any body may be", JSON.stringify("x".repeat(11 * 1024 * 1024)), {}],
    [400, "comes with a key that is too long", {}, { "idempotency-key": "k".repeat(256) }],
  ])("with %i where it %s", async (status, _, body, headers) => {
    expect((await problemOf(await send(id, "refused", body, headers))).status).toBe(status);
    expect(await keptIn(id)).toEqual([]);
    expect((await getRun(id)).signals).toEqual([]);
  });

  it("names the place of a key that may not be", async () => {
    const problem = await problemOf(await send(id, "refused", '{"a":[{"b/c":{"__proto__":1}}]}'));
    expect(problem).toMatchObject({
      detail: "Expected a signal without the key `__proto__`",
      errors: [{ pointer: "/a/0/b~1c/__proto__" }],
    });
  });

  it("not where it is just as long as it may be, and white space does not count", async () => {
    const text = JSON.stringify("x".repeat(LONGEST - 2));
    await sent(id, "long", `   ${text}\n\n`);
    expect(await keptIn(id)).toEqual([{ name: "long", body: JSON.parse(text) }]);
  });

  it("with 409 where the run keeps as many as it may, but not one that it has", async () => {
    await sent(id, "first", 1, { "idempotency-key": "the first" });
    const fill = `with recursive n (i) as (select 2 union all select i + 1 from n where i < ${MOST})
      insert into signal (id, name, at_ms, body) select 'signal ' || i, 'many', i, '0' from n`;
    await inRun(id, (storage) => {
      storage.sql.exec(fill);
    });
    const problem = await problemOf(await send(id, "one-more"));
    expect(problem).toMatchObject({ status: 409, detail: expect.stringContaining(`keeps ${MOST} already`) });
    const run = await sent(id, "first", 1, { "idempotency-key": "the first" });
    expect(run.signals).toHaveLength(MOST);
    expect(namesIn(run)).not.toContain("one-more");
  });

  it("not where it is the last that the run may keep", async () => {
    const fill = `with recursive n (i) as (select 2 union all select i + 1 from n where i < ${MOST})
      insert into signal (id, name, at_ms, body) select 'signal ' || i, 'many', i, '0' from n`;
    await inRun(id, (storage) => {
      storage.sql.exec(fill);
    });
    expect((await sent(id, "the-last")).signals).toHaveLength(MOST);
  });
});

describe("a signal to a run", () => {
  it("that has finished is 409, which names its status; one that it had before is known", async () => {
    const { id } = await going();
    const key = { "idempotency-key": "in time" };
    await sent(id, "in-time", {}, key);
    stage.open("go");
    await finished(id);
    const failed = await ran("single", { tasks: tasks(1, { failures: 1 }) });
    const canceled = await start("single", { tasks: tasks(1, { gate: "never" }) });
    await post(`/runs/${canceled.id}/cancel`);
    for (const [run, status] of [
      [id, "completed"],
      [failed.id, "failed"],
      [canceled.id, "canceled"],
    ] as const) {
      const before = await getRun(run);
      const problem = await problemOf(await send(run, "late"));
      expect(problem).toMatchObject({ status: 409, detail: `Expected a run that goes on, got one that is ${status}` });
      expect(await getRun(run)).toEqual(before);
    }
    expect(namesIn(await sent(id, "in-time", {}, key))).toEqual(["in-time"]);
  });

  it("that there is not is 404, and nothing is stored", async () => {
    const unknown = newRunId();
    for (const id of [unknown, await keyedRunId("single", "nobody")]) {
      expect(await problemOf(await send(id, "hello"))).toMatchObject({ status: 404, detail: `There is no run ${id}` });
    }
    const tables = "select name from sqlite_master where substr(name, 1, 1) <> '_'";
    expect(await inRun(unknown, ({ sql }) => sql.exec(tables).toArray())).toEqual([]);
    const madeUp = "01ARZ3NDEKTSV4RRFFQ69G5FAV0000";
    expect((await problemOf(await send(madeUp, "hello"))).status).toBe(404);
    expect(woken).not.toContain(madeUp);
  });

  it("that was deleted is 404", async () => {
    const { id } = await ran("single", { tasks: tasks(1) });
    expect((await call(`/runs/${id}`, { method: "DELETE" })).status).toBe(204);
    expect((await problemOf(await send(id, "late"))).status).toBe(404);
  });

  it("that is taken up again is kept once more", async () => {
    const { id } = await ran("kept by default", { count: 3, failing: [1] });
    expect((await send(id, "between")).status).toBe(409);
    stage.say("healed");
    expect((await post(`/runs/${id}/retry`)).status).toBe(202);
    expect(namesIn(await sent(id, "after"))).toEqual(["after"]);
    stage.open("heal");
    expect(await finished(id)).toMatchObject({ status: "completed", signals: [{ name: "after" }] });
  });
});
