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

/** A run that waits for a signal `approval`, as often as is said. */
async function waiting(rounds = 1): Promise<string> {
  const { id } = await start("approvals in rounds", { rounds });
  await expect.poll(async () => (await getRun(id)).status).toBe("waiting");
  return id;
}

/** A run that has taken a signal, and goes on until the test ends. */
async function afterSignal(body: unknown, key?: string): Promise<string> {
  const { id } = await start("approval, then halts", {});
  await expect.poll(async () => (await getRun(id)).status).toBe("waiting");
  await sent(id, "approval", body, key === undefined ? {} : { "idempotency-key": key });
  await stage.heard("halts");
  return id;
}

const gotIn = ({ output }: Run) => (output as { got: unknown[] }).got;

describe("a signal that a node takes", () => {
  it("is shown no more, and what was sent is kept as the node's result alone", async () => {
    const id = await afterSignal({ by: "Ada" });
    expect((await getRun(id)).signals).toEqual([]);
    expect(await rows(id, "select name, body, taken from signal")).toEqual([{ name: "approval", body: "", taken: 2 }]);
    stage.open("halt");
    const run = await finished(id);
    expect(gotIn(run)).toEqual([{ by: "Ada" }, "halted"]);
    expect(run.signals).toEqual([]);
  });

  it("is answered with the run as it then is", async () => {
    const id = await waiting(2);
    const run = await sent(id, "approval", 1);
    expect(run).toMatchObject({ id, signals: [], items: { succeeded: 1, deferred: 0 } });
    expect(run.status).toBe("running");
  });

  it("may come before the node waits: it is kept until then", async () => {
    const { id } = await start("approval", {});
    await post(`/runs/${id}/pause`);
    expect(namesIn(await sent(id, "approval", '"early"'))).toEqual(["approval"]);
    expect(namesIn(await sent(id, "unwanted"))).toEqual(["approval", "unwanted"]);
    await post(`/runs/${id}/resume`);
    const run = await finished(id);
    expect(gotIn(run)).toEqual(["early", "marked"]);
    expect(namesIn(run)).toEqual(["unwanted"]);
  });

  it("may come too late: then it is kept, and shown", async () => {
    const { id } = await start("approval in no time, then halts", {});
    await stage.heard("halts");
    expect(namesIn(await sent(id, "approval", '"late"'))).toEqual(["approval"]);
    stage.open("halt");
    const run = await finished(id);
    expect(gotIn(run)).toEqual(["approval timed out", "halted"]);
    expect(namesIn(run)).toEqual(["approval"]);
    expect(await keptIn(id)).toEqual([{ name: "approval", body: "late" }]);
  });

  it("that is sent twice without a key is two", async () => {
    const id = await waiting(2);
    await sent(id, "approval", '"same"');
    await sent(id, "approval", '"same"');
    expect(gotIn(await finished(id))).toEqual(["same", "same"]);
  });

  it("that is sent again with its key is one, also once it was taken, and after a crash", async () => {
    const id = await waiting(2);
    const key = { "idempotency-key": "one and the same" };
    await Promise.all(Array.from({ length: 5 }, () => sent(id, "approval", { n: 1, m: 2 }, key)));
    await expect.poll(async () => (await getRun(id)).status).toBe("waiting");
    for (const lose of [async () => undefined, () => crash(runOf(id)), () => abortAllDurableObjects()]) {
      await lose();
      expect((await sent(id, "approval", '{ "n":1,  "m":2 }', key)).signals).toEqual([]);
      await expect.poll(async () => (await getRun(id)).items).toMatchObject({ succeeded: 1, deferred: 1 });
    }
    await sent(id, "approval", '"the second"', { "idempotency-key": "another" });
    const run = await finished(id);
    expect(gotIn(run)).toEqual([{ n: 1, m: 2 }, "the second"]);
    // Of a run that has finished it is known as well.
    expect(await sent(id, "approval", { n: 1, m: 2 }, key)).toMatchObject({ status: "completed", signals: [] });
  });

  it.each<[string, string, unknown]>([
    ["another body", "approval", { n: 2 }],
    ["another body, to nothing", "approval", null],
    ["another name", "other", { n: 1 }],
  ])("has a key that is refused with %s: 422, before it was taken and after", async (_, name, body) => {
    const key = { "idempotency-key": "used" };
    const { id } = await start("approval, then halts", {});
    await post(`/runs/${id}/pause`);
    await sent(id, "approval", { n: 1 }, key);
    const refused = async () => {
      const problem = await problemOf(await send(id, name, JSON.stringify(body), key));
      expect(problem).toMatchObject({ status: 422, detail: expect.stringContaining("Idempotency-Key `used`") });
      expect(problem.detail).toContain("send a new one with a new key");
    };
    await refused();
    expect(namesIn(await getRun(id))).toEqual(["approval"]);
    await post(`/runs/${id}/resume`);
    await stage.heard("halts");
    await refused();
    await crash(runOf(id));
    await refused();
    await sent(id, "approval", { n: 1 }, key);
    expect(await rows(id, "select count(*) as count from signal")).toEqual([{ count: 1 }]);
    stage.open("halt");
    expect(gotIn(await finished(id))).toEqual([{ n: 1 }, "halted"]);
    await refused();
  });

  it("does not count among those that a run may keep", async () => {
    const id = await waiting(3);
    await inRun(id, ({ sql }) => {
      const all = `with recursive n (i) as (select 1 union all select i + 1 from n where i < 2 * ${MOST} - 1)`;
      const fill =
        "insert into signal (id, name, at_ms, body, taken) select 'signal ' || i, 'many', i, '0', iif(i < ?, 1, null) from n";
      sql.exec(`${all} ${fill}`, MOST);
    });
    // It is loaded anew: what was put there is what it knows.
    await crash(runOf(id));
    // Of those that it may keep it has all.
    expect((await getRun(id)).signals).toHaveLength(MOST);
    expect((await problemOf(await send(id, "one-more"))).status).toBe(409);
    await inRun(id, ({ sql }) => {
      sql.exec("delete from signal where id = ?", `signal ${MOST + 5}`);
    });
    // One of the wanted name is taken as it comes, and leaves its place to the next.
    for (const n of [1, 2, 3]) {
      await expect.poll(async () => (await getRun(id)).items).toMatchObject({ succeeded: n - 1, deferred: 1 });
      await sent(id, "approval", n);
    }
    expect(gotIn(await finished(id))).toEqual([1, 2, 3]);
  });

  it("is remembered for as long as a thousand others were not taken after it", async () => {
    const id = await waiting(4);
    const key = { "idempotency-key": "the first" };
    await sent(id, "approval", 1, key);
    await expect.poll(async () => (await getRun(id)).items).toMatchObject({ succeeded: 1, deferred: 1 });
    await inRun(id, ({ sql }) => {
      sql.exec("insert into signal (id, name, at_ms, body) values ('unwanted', 'unwanted', 5, '0')");
      const all = `with recursive n (i) as (select 2 union all select i + 1 from n where i < ${MOST})`;
      sql.exec(
        `${all} insert into signal (id, name, at_ms, body, taken) select 'signal ' || i, 'many', i, '', 2 from n`,
      );
    });
    // A thousand are remembered: it is the first of them, and still known.
    await sent(id, "approval", 1, key);
    expect(await rows(id, "select count(*) as count from signal where taken is not null")).toEqual([{ count: MOST }]);
    await sent(id, "approval", 2);
    await expect.poll(async () => (await getRun(id)).items).toMatchObject({ succeeded: 2, deferred: 1 });
    const remembered = await rows<{ id: string }>(id, "select id from signal where taken is not null order by seq");
    expect(remembered).toHaveLength(MOST);
    expect(remembered[0]).toEqual({ id: "signal 2" });
    // So the key is new to the run. What nobody has taken was not forgotten.
    await sent(id, "approval", 3, key);
    await sent(id, "approval", 4);
    const run = await finished(id);
    expect(gotIn(run)).toEqual([1, 2, 3, 4]);
    expect(namesIn(run)).toEqual(["unwanted"]);
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
