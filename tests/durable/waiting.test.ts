import { abortAllDurableObjects, evictDurableObject, runDurableObjectAlarm } from "cloudflare:test";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { FlowRunObject } from "../../src/durable/run.ts";
import { Waits } from "../../src/durable/waits.ts";
import { keyedRunId } from "../../src/http/ids.ts";
import { Clock } from "./executor.ts";
import { look, seen } from "./limited.ts";
import { woken } from "./orders.ts";
import { newStage, type Stage } from "./stage.ts";
import { call, crash, finished, getRun, inRun, post, type Run, ran, rows, runOf, start } from "./support.ts";
import { Lost, lose, watchCommits } from "./waiting-kills.ts";

let stage: Stage;
let unwatch: () => void;
beforeAll(() => {
  unwatch = watchCommits(FlowRunObject);
});
beforeEach(() => {
  stage = newStage();
});
afterEach(() => {
  vi.restoreAllMocks();
});
afterAll(() => unwatch());

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** An alarm that is a heartbeat is no farther away. */
const NEAR = 5_000;

interface ItemRow {
  node: string;
  branch: string;
  step: number;
  status: string;
  attempts: number;
  result?: unknown;
}

/** A run once all of it waits. */
async function waiting(flow: string, input: object = {}, deferred = 1): Promise<Run> {
  return seen((await start(flow, input)).id, { status: "waiting", items: { deferred } });
}

async function send(id: string, name: string, body: unknown = {}, key?: string): Promise<Run> {
  const headers = key === undefined ? {} : { "idempotency-key": key };
  const response = await post(`/runs/${id}/signals/${name}`, JSON.stringify(body), headers as never);
  expect(response.status).toBe(202);
  return response.json();
}

async function turn(id: string, what: "pause" | "resume" | "cancel" | "retry"): Promise<Run> {
  const response = await post(`/runs/${id}/${what}`);
  expect(response.status).toBe(202);
  return response.json();
}

async function itemsOf(id: string): Promise<ItemRow[]> {
  return (await (await call(`/runs/${id}/items?limit=1000`)).json<{ items: ItemRow[] }>()).items;
}

/** What the posts of a run's nodes have noted. */
function gotOf({ output }: Run): unknown[] {
  return (output as { got: unknown[] }).got;
}

/** The alarm rings, whenever it was set for. */
async function ring(id: string): Promise<void> {
  await runDurableObjectAlarm(runOf(id));
}

/** In how many milliseconds the alarm rings. */
async function alarmIn(id: string): Promise<number> {
  return ((await inRun(id, (storage) => storage.getAlarm())) ?? Number.NaN) - Date.now();
}

/** The run goes to rest: its last heartbeat, which is not called back, rings, and finds that there is nothing to do. */
async function atRest(id: string): Promise<void> {
  await ring(id);
  expect(await look(id)).toMatchObject({ status: "waiting" });
}

/** A run whose commits, alarms and rows are counted. */
async function watched(flow: string, input: object): Promise<{ id: string; lost: Lost }> {
  const key = crypto.randomUUID();
  const id = await keyedRunId(flow, key);
  const lost = lose(id, new Lost(Number.POSITIVE_INFINITY, "stored"));
  expect((await post(`/flows/${flow}/runs`, input, { "idempotency-key": key })).status).toBe(202);
  return { id, lost };
}

/** Nobody was ever called to execute anything. */
async function expectNobodyCalled(id: string): Promise<void> {
  expect(await look(id)).toMatchObject({ executions: 0, executors: 0 });
  expect(await rows(id, "select * from slot")).toEqual([]);
}

describe("a run that sleeps", () => {
  it("says until when, and at which node, and nobody executes anything", async () => {
    const untilMs = Date.now() + 2 * DAY;
    const { id } = await waiting("sleeper", { untilMs });
    const until = new Date(untilMs).toISOString();
    expect(await look(id)).toMatchObject({
      status: "waiting",
      resumesAt: until,
      step: { node: "Sleeper", phase: "exec" },
      waitsFor: [{ node: "Sleeper", branch: "", step: 2, signal: null, until }],
      items: { total: 1, deferred: 1 },
      finishedAt: null,
    });
    expect(await itemsOf(id)).toMatchObject([{ node: "Sleeper", status: "deferred", attempts: 0 }]);
    expect((await itemsOf(id))[0]).not.toHaveProperty("result");
    const deferred = await (await call(`/runs/${id}/items?status=deferred`)).json<{ items: object[] }>();
    expect(deferred.items).toHaveLength(1);
    await expectNobodyCalled(id);
  });

  it.each<[string, object, number]>([
    ["seconds", { time: 7200 }, 2 * HOUR],
    ["a duration", { time: "3d" }, 3 * DAY],
    ["a fraction of a second", { time: 90.5 }, 90_500],
  ])("%s from when it began to", async (_, input, ms) => {
    const clock = vi.spyOn(Date, "now").mockReturnValue(Date.now());
    const { id, resumesAt } = await waiting("sleeper", input);
    expect(Date.parse(resumesAt as string)).toBe(Date.now() + ms);
    clock.mockRestore();
    await turn(id, "cancel");
  });

  it("goes on when it is time, not before, and its item has succeeded with nothing", async () => {
    const clock = new Clock();
    const untilMs = Date.now() + 2 * DAY;
    const { id } = await waiting("sleeper", { untilMs });
    clock.forward(2 * DAY - MINUTE);
    await ring(id);
    expect(await look(id)).toMatchObject({ status: "waiting", resumesAt: new Date(untilMs).toISOString() });
    clock.forward(MINUTE);
    await ring(id);
    const run = await finished(id);
    expect(run).toMatchObject({ status: "completed", executions: 1, waitsFor: [], resumesAt: null });
    expect(gotOf(run)).toEqual(["marked"]);
    expect((await itemsOf(id))[0]).toMatchObject({ node: "Sleeper", status: "succeeded", result: null });
  });

  it("meets a time that is near without its alarm", async () => {
    const { id } = await start("sleeper", { time: 0.3 });
    const alarm = vi.spyOn(FlowRunObject.prototype, "alarm");
    expect(gotOf(await finished(id))).toEqual(["marked"]);
    expect(alarm.mock.contexts.filter((object) => (object as never as { id: string }).id === id)).toEqual([]);
  });

  it.each<[string, object]>([
    ["0 seconds", { time: 0 }],
    ["until a moment that is past", { untilMs: 5 }],
    ["until now", { untilMs: Date.now() }],
  ])("%s goes on at once", async (_, input) => {
    const run = await ran("sleeper", input);
    expect(run).toMatchObject({ status: "completed", items: { total: 2, succeeded: 2 } });
    expect(gotOf(run)).toEqual(["marked"]);
  });

  it("keeps what it wrote before, and its post writes when it wakes", async () => {
    const clock = new Clock();
    const { id } = await waiting("writer", { time: "2d" });
    await crash(runOf(id));
    clock.forward(2 * DAY);
    await ring(id);
    expect(gotOf(await finished(id))).toEqual(["lies down", "gets up with undefined", "marked"]);
  });

  it("within flows of flows", async () => {
    const clock = new Clock();
    const { id } = await waiting("sleeper, nested", { time: "2d" }, 1);
    expect((await look(id)).waitsFor).toMatchObject([{ node: "Writer", branch: "" }]);
    await evictDurableObject(runOf(id));
    clock.forward(2 * DAY);
    await ring(id);
    expect(gotOf(await finished(id))).toEqual(["marked", "lies down", "gets up with undefined", "marked"]);
  });

  it.each(["3d", "3650d"])("for %s is woken by its alarm, which is never more than a day away", async (time) => {
    const { id } = await waiting("sleeper", { time });
    await atRest(id);
    expect(await alarmIn(id)).toBeGreaterThan(DAY - MINUTE);
    expect(await alarmIn(id)).toBeLessThanOrEqual(DAY);
  });

  it("for less than a day has its alarm at the time that it sleeps until", async () => {
    const untilMs = Date.now() + 3 * HOUR;
    const { id } = await waiting("sleeper", { untilMs });
    await atRest(id);
    expect(await inRun(id, (storage) => storage.getAlarm())).toBe(untilMs);
  });
});

describe("a run that waits for a signal", () => {
  it("without a timeout says so: it goes on at no time that is known", async () => {
    const { id } = await waiting("approval");
    expect(await look(id)).toMatchObject({
      status: "waiting",
      resumesAt: null,
      step: { node: "Approval", phase: "exec" },
      waitsFor: [{ node: "Approval", branch: "", step: 2, signal: "approval", until: null }],
    });
    expect(await itemsOf(id)).toMatchObject([{ node: "Approval", status: "deferred", attempts: 0 }]);
    await expectNobodyCalled(id);
    await atRest(id);
    expect(await alarmIn(id)).toBeGreaterThan(DAY - MINUTE);
    expect(await alarmIn(id)).toBeLessThanOrEqual(DAY);
  });

  it("with a timeout says until when", async () => {
    vi.spyOn(Date, "now").mockReturnValue(Date.now());
    const { resumesAt, waitsFor } = await waiting("approval in two days");
    expect(Date.parse(resumesAt as string)).toBe(Date.now() + 2 * DAY);
    expect(waitsFor).toMatchObject([{ signal: "approval", until: resumesAt }]);
  });

  it("takes it, and its post and its item have what was sent, and when", async () => {
    const { id } = await waiting("approval, exactly");
    const payload = { by: "Ada", list: [1, null, { a: "ä" }] };
    vi.spyOn(Date, "now").mockReturnValue(Date.now() + 1234);
    const at = new Date(Date.now()).toISOString();
    await send(id, "approval", payload);
    vi.restoreAllMocks();
    const run = await finished(id);
    const signal = { name: "approval", payload, at };
    expect(gotOf(run)).toEqual([{ name: "approval", signal, isDate: true }]);
    expect(run).toMatchObject({ status: "completed", executions: 0, executors: 0, waitsFor: [], signals: [] });
    expect(await itemsOf(id)).toMatchObject([{ status: "succeeded", attempts: 0, result: signal }]);
    await expectNobodyCalled(id);
  });

  it("gets nothing after its timeout, and goes on all the same", async () => {
    const clock = new Clock();
    const { id } = await waiting("approval, exactly");
    clock.forward(2 * DAY);
    await ring(id);
    const run = await finished(id);
    expect(gotOf(run)).toEqual([{ name: "approval", signal: null, isDate: false }]);
    expect(run.action).toBe("timeout");
    expect(await itemsOf(id)).toMatchObject([{ status: "succeeded", result: null }]);
  });

  it("times out near, by a timer", async () => {
    const { id } = await start("approval-in-time", {});
    expect(gotOf(await finished(id))).toEqual(["approval timed out", "marked"]);
  });

  it("that was sent before takes it at once, however short it waits", async () => {
    const { id } = await waiting("approvals and marks", { names: ["a", "b"] }, 2);
    await send(id, "c", 1);
    expect(await look(id)).toMatchObject({ status: "waiting", signals: [{ name: "c" }], items: { deferred: 2 } });
    const early = await start("approval in no time", {});
    await send(early.id, "approval", "early");
    expect(gotOf(await finished(early.id))).toEqual(["early", "marked"]);
  });

  it("of no time, with none that came, times out at once", async () => {
    const { id } = await start("approval in no time", {});
    expect(gotOf(await finished(id))).toEqual(["approval timed out", "marked"]);
  });

  it("takes the first of a name, and keeps those after it, and those of other names", async () => {
    const { id } = await start("approval, then halts", {});
    await turn(id, "pause");
    for (const [name, n] of [
      ["other", 0],
      ["approval", 1],
      ["approval", 2],
    ] as const)
      await send(id, name, n);
    await turn(id, "resume");
    await stage.heard("halts");
    expect((await look(id)).signals).toMatchObject([{ name: "other" }, { name: "approval" }]);
    stage.open("halt");
    const run = await finished(id);
    expect(gotOf(run)).toEqual([1, "halted"]);
    expect(run.signals).toMatchObject([{ name: "other" }, { name: "approval" }]);
  });

  it("takes a long one, of which nothing is left but the result", async () => {
    const { id } = await waiting("approval, exactly");
    const payload = { words: Array.from({ length: 30_000 }, (_, n) => `word ${n}`) };
    await send(id, "approval", payload);
    expect(gotOf(await finished(id))).toMatchObject([{ signal: { payload } }]);
    expect(await rows(id, "select body from signal")).toEqual([{ body: "" }]);
  });

  it.each([[null], [0], [""], [false], [[]], [{}]])("takes %j", async (payload) => {
    const { id } = await waiting("approval, exactly");
    await send(id, "approval", payload);
    expect(gotOf(await finished(id))).toMatchObject([{ signal: { payload } }]);
  });
});

describe("what a node cannot wait for fails the run, by the node's name:", () => {
  it.each<[string, object, string]>([
    ["sleeper", { time: -1 }, "Expected the time of Sleeper to be seconds (0 or more), a duration"],
    ["sleeper", { time: 3650 * 86_400 + 1 }, "Expected the time of Sleeper to be seconds"],
    ["sleeper", { time: "soon" }, "Expected `time` of Sleeper to be a duration from"],
    ["sleeper", { time: "3651d" }, "Expected `time` of Sleeper to be a duration from"],
    ["sleeper", { odd: "nothing" }, "Expected the time of Sleeper to be seconds"],
    ["sleeper", { odd: "no date" }, "got `Invalid Date`"],
    ["sleeper", { odd: "a list" }, "Expected the time of Sleeper"],
    ["sleeper", { odd: "an object" }, "Expected the time of Sleeper"],
    ["approval, odd", { odd: "nothing" }, "Expected the signal of Odd to be a name"],
    ["approval, odd", { odd: "a number" }, "Expected the signal of Odd to be a name"],
    ["approval, odd", { odd: "a list" }, "Expected the signal of Odd to be a name"],
    ["approval, odd", { names: [""] }, "Expected the signal of Odd to be a name"],
    ["approval, odd", { names: ["a b"] }, "got `a b`"],
    ["approval, odd", { names: ["x".repeat(65)] }, "Expected the signal of Odd to be a name"],
  ])("%s, %j", async (flow, input, message) => {
    const run = await ran(flow, input);
    expect(run).toMatchObject({
      status: "failed",
      error: { message: expect.stringContaining(message), node: flow === "sleeper" ? "Sleeper" : "Odd" },
      items: { total: 0 },
      waitsFor: [],
    });
    expect(run.error?.message.length).toBeLessThan(300);
  });
});

describe("a run that waits, and whose object is lost,", () => {
  it.each<[string, object]>([
    ["sleeper", { time: "2d" }],
    ["approval in two days", {}],
  ])("has the same time as before: %s", async (flow, input) => {
    const { id, resumesAt, waitsFor } = await waiting(flow, input);
    const clock = new Clock();
    clock.forward(HOUR);
    for (const lose of [() => crash(runOf(id)), () => evictDurableObject(runOf(id)), () => abortAllDurableObjects()]) {
      await lose();
      expect(await seen(id, { status: "waiting" })).toMatchObject({ resumesAt, waitsFor, items: { deferred: 1 } });
    }
    expect(resumesAt).not.toBeNull();
    clock.forward(2 * DAY - HOUR);
    await ring(id);
    expect(await finished(id)).toMatchObject({ status: "completed" });
  });

  it("and whose time came meanwhile, goes on when its alarm rings", async () => {
    const { id } = await waiting("sleeper", { time: "2d" });
    const clock = new Clock();
    await evictDurableObject(runOf(id));
    clock.forward(3 * DAY);
    await ring(id);
    expect(await finished(id)).toMatchObject({ status: "completed" });
  });

  it.each<[string, object, object]>([
    ["approval, after a while", {}, { signal: "approval", until: null }],
    ["sleeper, after a while", { time: "2d" }, { signal: null, until: expect.any(String) }],
  ])("has what it had before, where its prep was stored as under way: %s", async (flow, input, wait) => {
    const { id } = await start(flow, input);
    await stage.heard("halts");
    await crash(runOf(id));
    await getRun(id);
    await stage.heard("halts", 2);
    stage.open("halt");
    const before = await seen(id, { status: "waiting", items: { deferred: 1 } });
    expect(before.waitsFor).toMatchObject([wait]);
    await crash(runOf(id));
    expect(await seen(id, { status: "waiting" })).toMatchObject({
      waitsFor: before.waitsFor,
      resumesAt: before.resumesAt,
    });
    await atRest(id);
    expect(await alarmIn(id)).toBeGreaterThan(DAY - MINUTE);
    const clock = new Clock();
    clock.forward(3 * DAY);
    await send(id, "approval", "yes");
    await ring(id);
    const got = flow.startsWith("sleeper") ? ["gets up with undefined"] : ["yes"];
    expect(gotOf(await finished(id))).toEqual(got);
  });

  it("takes a signal that was kept before it waited for it", async () => {
    const { id } = await start("approval, then halts", {});
    await turn(id, "pause");
    await send(id, "approval", "early");
    await crash(runOf(id));
    expect((await look(id)).signals).toMatchObject([{ name: "approval" }]);
    await turn(id, "resume");
    await stage.heard("halts");
    await crash(runOf(id));
    stage.open("halt");
    const run = await finished(id);
    expect(gotOf(run)).toEqual(["early", "halted"]);
    expect(run.signals).toEqual([]);
  });

  it("waits on in the order in which its branches began", async () => {
    const { id } = await waiting("approvals", { names: ["a", "b", "a", "a"] }, 4);
    await crash(runOf(id));
    expect((await look(id)).waitsFor.map(({ branch }) => branch)).toEqual(["0", "1", "2", "3"]);
    for (const payload of [1, 2, 3]) await send(id, "a", payload);
    await send(id, "b", "b");
    await finished(id);
    const results = (await itemsOf(id)).map(({ branch, result }) => [branch, (result as { payload: unknown }).payload]);
    expect(results).toEqual([
      ["0", 1],
      ["1", "b"],
      ["2", 2],
      ["3", 3],
    ]);
  });

  it("is loaded once, though it has taken a signal of the name that it waits for", async () => {
    const { id } = await waiting("approvals in rounds", { rounds: 2 });
    await send(id, "approval", 1);
    await seen(id, { status: "waiting", items: { succeeded: 1, deferred: 1 } });
    await crash(runOf(id));
    const loads = () => woken.filter((name) => name === id).length;
    const before = loads();
    await atRest(id);
    await atRest(id);
    expect(loads()).toBe(before + 1);
  });

  it("at rest reads no signal that was taken, and counts as before", async () => {
    const { id } = await waiting("approvals, then sleeps", { names: ["a", "b"] }, 2);
    await send(id, "a", 1);
    await seen(id, { status: "waiting", items: { total: 3, succeeded: 1, deferred: 2 } });
    const before = await look(id);
    await crash(runOf(id));
    expect(await seen(id, { status: "waiting" })).toEqual(before);
  });
});

type Ending = { flow: string; input: object; got: unknown[]; signals: readonly (readonly [string, unknown])[] };

/** Runs that wait, whose signals are sent as soon as they may be, and how they end. */
const ENDINGS: Ending[] = [
  { flow: "writer", input: { time: 0.02 }, got: ["lies down", "gets up with undefined", "marked"], signals: [] },
  { flow: "approval", input: {}, got: ["yes", "marked"], signals: [["approval", "yes"]] },
  { flow: "approval in a moment", input: {}, got: ["approval timed out", "marked"], signals: [["other", 1]] },
  {
    flow: "approvals in rounds",
    input: { rounds: 3 },
    got: [1, 2, 3],
    signals: [
      ["approval", 1],
      ["approval", 2],
      ["approval", 3],
    ],
  },
  {
    flow: "approvals and marks",
    input: { names: ["a", "b"] },
    got: ["A", "marked", "B", "marked"],
    signals: [
      ["a", "A"],
      ["b", "B"],
    ],
  },
];

/** A run with a signal for each of its waits, whose object is lost at one commit. Signals are sent until they are answered. */
async function runLosing({ flow, input, signals }: Ending, lost: Lost): Promise<Run> {
  const key = crypto.randomUUID();
  const id = await keyedRunId(flow, key);
  lose(id, lost);
  await untilAnswered(() => post(`/flows/${flow}/runs`, input, { "idempotency-key": key }));
  for (const [at, [name, payload]] of signals.entries()) {
    const headers = { "idempotency-key": `signal ${at}` };
    await untilAnswered(() => post(`/runs/${id}/signals/${name}`, JSON.stringify(payload), headers));
  }
  return finished(id);
}

async function untilAnswered(ask: () => Promise<Response>): Promise<void> {
  for (;;) {
    const response = await ask().catch(() => undefined);
    if (response?.status === 202) return;
    expect(response?.status ?? 500).toBeGreaterThanOrEqual(500);
    await scheduler.wait(1);
  }
}

describe("whichever commit an object is lost at,", () => {
  /** Its alarm is what finds a run that is lost: it must not be set for the time of a wait while there is something to do. */
  it.each(ENDINGS)(
    "each signal is taken once, each post takes effect once, and its alarm is near: $flow",
    async (ending) => {
      const { commits } = await losing(ending, Number.POSITIVE_INFINITY, "stored");
      expect(commits).toBeGreaterThan(3);
      let looks = 0;
      for (let at = 1; at <= commits; at++) {
        for (const how of ["undone", "stored"] as const) looks += (await losing(ending, at, how)).looks;
      }
      expect(looks).toBeGreaterThan(0);
    },
    60_000,
  );

  async function losing(ending: Ending, at: number, how: "undone" | "stored"): Promise<Lost> {
    stage = newStage();
    const lost = new Lost(at, how);
    const run = await runLosing(ending, lost);
    expect(run).toMatchObject({ status: "completed", waitsFor: [], error: null, warnings: [] });
    expect([...gotOf(run)].sort()).toEqual([...ending.got].sort());
    expect(run.items).toMatchObject({ total: run.items.succeeded, deferred: 0 });
    const taken = await rows<{ taken: number | null }>(run.id, "select taken from signal where name <> 'other'");
    expect(new Set(taken.map(({ taken }) => taken)).size).toBe(taken.length);
    expect(taken.every(({ taken }) => taken !== null)).toBe(true);
    expect(lost.farAlarms).toEqual([]);
    return lost;
  }
});

describe("while others wait without end, the alarm is near for", () => {
  /** A run with branches that wait, watched, whose alarm is far away. */
  async function withFarAlarm(flow: string, names: string[]): Promise<{ id: string; lost: Lost }> {
    const { id, lost } = await watched(flow, { names });
    await seen(id, { status: "waiting", items: { deferred: names.length } });
    await expectFar(id);
    return { id, lost };
  }

  /** The run rests: as soon as its last heartbeat has rung. */
  async function expectFar(id: string): Promise<void> {
    const look = async () => {
      await ring(id);
      return alarmIn(id);
    };
    await expect.poll(look).toBeGreaterThan(HOUR);
    expect(await alarmIn(id)).toBeLessThanOrEqual(DAY);
  }

  it("one that a signal has woken", async () => {
    const { id } = await withFarAlarm("approvals and marks", ["a", "b"]);
    await send(id, "a", 1);
    expect(await alarmIn(id)).toBeLessThan(NEAR);
    await seen(id, { status: "waiting", items: { succeeded: 2 } });
    await expectFar(id);
  });

  it.each(["prep", "post"])("a %s that is under way", async (hook) => {
    const { id, lost } = await withFarAlarm(`approvals, each then in ${hook}`, ["a", "b"]);
    await send(id, "a", 1);
    await stage.heard("halts");
    expect(await look(id)).toMatchObject({ status: "running" });
    expect(await alarmIn(id)).toBeLessThan(NEAR);
    await ring(id);
    expect(await alarmIn(id)).toBeLessThan(NEAR);
    expect(lost.farAlarms).toEqual([]);
    stage.open("halt");
    await seen(id, { status: "waiting", items: { succeeded: 2 } });
    await expectFar(id);
  });

  it.each(["prep", "post"])("a %s that was under way when the object was lost", async (hook) => {
    const { id, lost } = await withFarAlarm(`approvals, each then in ${hook}`, ["a", "b"]);
    await send(id, "a", 1);
    await stage.heard("halts");
    await crash(runOf(id));
    await ring(id);
    await stage.heard("halts", 2);
    expect(await alarmIn(id)).toBeLessThan(NEAR);
    expect(lost.looks).toBeGreaterThan(0);
    expect(lost.farAlarms).toEqual([]);
  });

  it("hooks that are performed one to a turn, after one of them has ended the object", async () => {
    const { id, lost } = await withFarAlarm("approvals, each then in prep", ["a", "b", "c"]);
    await send(id, "a", 1);
    await stage.heard("halts");
    await crash(runOf(id));
    await getRun(id);
    await stage.heard("halts", 2);
    await crash(runOf(id));
    await getRun(id);
    await stage.heard("halts", 3);
    await send(id, "b", 1);
    await stage.heard("halts", 4);
    expect(lost.looks).toBeGreaterThan(0);
    expect(lost.farAlarms).toEqual([]);
    stage.open("halt");
    await seen(id, { status: "waiting", items: { succeeded: 4 } });
  });
});

describe("a paused run", () => {
  it("takes the signal that came meanwhile when it goes on", async () => {
    const { id } = await waiting("approval");
    expect(await turn(id, "pause")).toMatchObject({ status: "paused", resumesAt: null });
    const run = await send(id, "approval", "meanwhile");
    expect(run).toMatchObject({ status: "paused", signals: [{ name: "approval" }], items: { deferred: 1 } });
    expect(run.waitsFor).toMatchObject([{ signal: "approval" }]);
    await crash(runOf(id));
    await ring(id);
    expect(await look(id)).toMatchObject({ status: "paused", signals: [{ name: "approval" }] });
    expect(stage.count("post of approval")).toBe(0);
    await turn(id, "resume");
    const end = await finished(id);
    expect(gotOf(end)).toEqual(["meanwhile", "marked"]);
    expect(end.signals).toEqual([]);
  });

  it.each<[string, object, string[]]>([
    ["approval in two days", {}, ["approval timed out", "marked"]],
    ["sleeper", { time: "2d" }, ["marked"]],
  ])("whose time came meanwhile goes on when it is let: %s", async (flow, input, got) => {
    const clock = new Clock();
    const { id } = await waiting(flow, input);
    await turn(id, "pause");
    clock.forward(3 * DAY);
    await ring(id);
    expect(await look(id)).toMatchObject({ status: "paused", items: { deferred: 1 } });
    await turn(id, "resume");
    expect(gotOf(await finished(id))).toEqual(got);
  });

  it("takes the signal first, where both came meanwhile", async () => {
    const clock = new Clock();
    const { id } = await waiting("approval in two days");
    await turn(id, "pause");
    clock.forward(3 * DAY);
    await send(id, "approval", "late");
    await turn(id, "resume");
    expect(gotOf(await finished(id))).toEqual(["late", "marked"]);
  });

  it("waits on, with the same time, where nothing came", async () => {
    const { id, resumesAt } = await waiting("approval in two days");
    await turn(id, "pause");
    expect(await turn(id, "resume")).toMatchObject({ status: "waiting", resumesAt, items: { deferred: 1 } });
  });
});

describe("a run that waits and is canceled", () => {
  it.each<[string, object]>([
    ["sleeper", { time: "2d" }],
    ["approval in two days", {}],
  ])("waits for nothing any more: %s", async (flow, input) => {
    const clock = new Clock();
    const { id } = await waiting(flow, input);
    await turn(id, "cancel");
    const run = await look(id);
    expect(run).toMatchObject({
      status: "canceled",
      resumesAt: null,
      waitsFor: [],
      items: { deferred: 0, canceled: 1 },
    });
    expect(await itemsOf(id)).toMatchObject([{ status: "canceled" }]);
    expect((await post(`/runs/${id}/signals/approval`, "1")).status).toBe(409);
    clock.forward(3 * DAY);
    await ring(id);
    expect(await look(id)).toEqual(run);
  });

  it.each<[string, object, string[]]>([
    ["approval in two days", {}, ["approval timed out", "marked"]],
    ["sleeper", { time: "2d" }, ["marked"]],
  ])("has the same time as before once it is taken up again: %s", async (flow, input, got) => {
    const clock = new Clock();
    const { id, resumesAt, waitsFor } = await waiting(flow, input);
    await turn(id, "cancel");
    clock.forward(DAY);
    await turn(id, "retry");
    expect(await seen(id, { status: "waiting" })).toMatchObject({ resumesAt, waitsFor, items: { deferred: 1 } });
    await crash(runOf(id));
    expect(await seen(id, { status: "waiting" })).toMatchObject({ resumesAt, waitsFor, redriveCount: 1 });
    clock.forward(DAY);
    await ring(id);
    const run = await finished(id);
    expect(gotOf(run)).toEqual(got);
    expect(run.items).toMatchObject({ total: 2, succeeded: 2 });
  });

  it("takes a signal that was sent before, once it is taken up again and comes to it", async () => {
    const { id } = await waiting("approvals in rounds", { rounds: 2 });
    await send(id, "later", 0);
    await turn(id, "cancel");
    expect((await look(id)).signals).toMatchObject([{ name: "later" }]);
    await turn(id, "retry");
    await send(id, "approval", 1);
    await send(id, "approval", 2);
    const run = await finished(id);
    expect(gotOf(run)).toEqual([1, 2]);
    expect(run).toMatchObject({ status: "completed", signals: [{ name: "later" }] });
  });
});

describe("the deadline of a run that waits", () => {
  it.each<[string, object]>([
    ["approval in an hour", {}],
    ["sleeper in an hour", { time: "2d" }],
  ])("ends it: %s", async (flow, input) => {
    const clock = new Clock();
    const { id } = await waiting(flow, input);
    await atRest(id);
    expect(await alarmIn(id)).toBeLessThanOrEqual(HOUR);
    expect(await alarmIn(id)).toBeGreaterThan(HOUR - MINUTE);
    clock.forward(HOUR);
    await ring(id);
    const run = await finished(id);
    expect(run).toMatchObject({
      status: "failed",
      completionReason: "deadline-exceeded",
      ...{ waitsFor: [], resumesAt: null, items: { deferred: 0, canceled: 1 } },
    });
    expect((await post(`/runs/${id}/signals/approval`, "1")).status).toBe(409);
    const before = await look(id);
    await turn(id, "retry");
    await seen(id, { status: "waiting", items: { deferred: 1, canceled: 0 } });
    expect(before.items.total).toBe(1);
  });
});

describe("a run that failed", () => {
  it("after its wait does not wait once more", async () => {
    const { id } = await waiting("approval, then fails");
    await send(id, "approval", "yes");
    stage.open("fragile");
    expect(await finished(id)).toMatchObject({ status: "failed", items: { succeeded: 1, failed: 1 } });
    stage.say("healed");
    await turn(id, "retry");
    const run = await finished(id);
    expect(gotOf(run)).toEqual(["yes", "healed"]);
    expect(await rows(id, "select taken from signal")).toEqual([{ taken: 2 }]);
  });

  it("and goes back before its wait waits anew, for another signal", async () => {
    const { id, resumesAt } = await waiting("items, then approval", {}, 1);
    await send(id, "approval", "first", "the first");
    expect(gotOf(await finished(id))).toEqual([2, "first", "marked"]);
    stage.say("healed");
    await turn(id, "retry");
    const again = await seen(id, { status: "waiting", items: { deferred: 1, succeeded: 4 } });
    expect(Date.parse(again.resumesAt as string)).toBeGreaterThan(Date.parse(resumesAt as string));
    expect(again.waitsFor).toMatchObject([{ node: "Approval", signal: "approval" }]);
    // What was taken is not sent once more by who sends it again.
    expect(await send(id, "approval", "first", "the first")).toMatchObject({ status: "waiting" });
    await send(id, "approval", "second", "the second");
    expect(gotOf(await finished(id))).toEqual([4, "second", "marked"]);
  });
});

describe("branches that wait", () => {
  it("for one name take what comes in the order in which they began, one each", async () => {
    const { id } = await waiting("approvals", { names: ["a", "b", "a", "a"] }, 4);
    expect((await look(id)).waitsFor.map(({ branch, signal }) => `${branch} ${signal}`)).toEqual([
      ...["0 a", "1 b", "2 a", "3 a"],
    ]);
    await send(id, "a", "first");
    await seen(id, { status: "waiting", items: { deferred: 3, succeeded: 1 } });
    expect((await look(id)).waitsFor.map(({ branch }) => branch)).toEqual(["1", "2", "3"]);
    for (const [name, payload] of [
      ["a", "second"],
      ["c", "nobody's"],
      ["a", "third"],
      ["b", "b"],
    ] as const)
      await send(id, name, payload);
    const run = await finished(id);
    expect(gotOf(run)).toEqual(["first", "second", "third", "b"]);
    expect(run.signals).toMatchObject([{ name: "c" }]);
    const results = (await itemsOf(id)).map(({ result }) => (result as { payload: unknown }).payload);
    expect(results).toEqual(["first", "b", "second", "third"]);
    await expectNobodyCalled(id);
  });

  it("take those that came early, of each name in the order in which they came", async () => {
    const { id } = await start("approvals", { names: ["a", "b", "a"] });
    await turn(id, "pause");
    for (const [name, payload] of [
      ["b", 1],
      ["a", 2],
      ["a", 3],
    ] as const)
      await send(id, name, payload);
    await turn(id, "resume");
    const run = await finished(id);
    const results = (await itemsOf(id)).map(({ result }) => (result as { payload: unknown }).payload);
    expect(results).toEqual([2, 1, 3]);
    expect(run.signals).toEqual([]);
  });

  it("in turn: each begins to wait when there is room for it", async () => {
    const names = Array.from({ length: 7 }, (_, n) => `signal-${n}`);
    const { id } = await waiting("approvals, three at a time", { names }, 3);
    await send(id, "signal-6", 6);
    expect(await look(id)).toMatchObject({ status: "waiting", signals: [{ name: "signal-6" }] });
    for (let n = 0; n < 6; n++) {
      await send(id, `signal-${n}`, n);
      if (n < 3) await seen(id, { status: "waiting", items: { deferred: 3, succeeded: n + 1 } });
    }
    expect([...gotOf(await finished(id))].sort()).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });

  it("resume at the first time that comes, and then at the next", async () => {
    const clock = new Clock();
    const { id } = await start("naps", { times: ["3d", "1d", "2d"] });
    const hours = async () => {
      const { resumesAt } = await seen(id, { status: "waiting" });
      return Math.round((Date.parse(resumesAt as string) - Date.now()) / HOUR);
    };
    await seen(id, { status: "waiting", items: { deferred: 3 } });
    for (const left of [3, 2, 1]) {
      await seen(id, { status: "waiting", items: { deferred: left } });
      expect(await hours()).toBe(24);
      clock.forward(DAY);
      await ring(id);
    }
    const run = await finished(id);
    expect(gotOf(run)).toEqual([1, 2, 0]);
  });

  it("many: a hundred of them are shown, and all of them listed", async () => {
    const names = Array.from({ length: 150 }, (_, n) => `signal-${n}`);
    const { id } = await waiting("approvals", { names }, 150);
    const { waitsFor } = await look(id);
    expect(waitsFor.map(({ signal }) => signal)).toEqual(names.slice(0, 100));
    expect(new Set((await itemsOf(id)).map(({ status }) => status))).toEqual(new Set(["deferred"]));
    expect(await itemsOf(id)).toHaveLength(150);
    for (const name of names.slice(0, 120)) await send(id, name);
    await seen(id, { status: "waiting", items: { deferred: 30 } });
    expect((await look(id)).waitsFor.map(({ signal }) => signal)).toEqual(names.slice(120));
  });

  it("a node that goes round waits each time, with a step of its own", async () => {
    const { id } = await waiting("approvals in rounds", { rounds: 3 });
    const steps: number[] = [];
    for (const n of [1, 2, 3]) {
      const { waitsFor } = await seen(id, { status: "waiting", items: { deferred: 1, succeeded: n - 1 } });
      steps.push(waitsFor[0]?.step ?? 0);
      await send(id, "approval", n, `key ${n}`);
      await send(id, "approval", n, `key ${n}`);
    }
    const run = await finished(id);
    expect(gotOf(run)).toEqual([1, 2, 3]);
    expect(run.items).toMatchObject({ total: 3, succeeded: 3 });
    expect(await rows(id, "select taken from signal order by seq")).toEqual(steps.map((taken) => ({ taken })));
    expect(new Set(steps).size).toBe(3);
  });
});

describe("branches that wait and are stopped", () => {
  const INPUT = { names: ["a", "fragile", "sleep", "b"], time: "2d" };

  it("with a run that fails are canceled, and wait on as before once it is taken up again", async () => {
    const { id } = await start("approvals, some of which stop", INPUT);
    const { resumesAt, waitsFor } = await seen(id, { items: { deferred: 3, running: 1 } });
    expect(resumesAt).toBeNull();
    expect(waitsFor.map(({ signal }) => signal)).toEqual(["a", null, "b"]);
    await send(id, "b", "before");
    await seen(id, { items: { deferred: 2 } });
    stage.open("fragile");
    expect(await finished(id)).toMatchObject({
      status: "failed",
      waitsFor: [],
      items: { failed: 1, canceled: 2, deferred: 0 },
    });
    stage.say("healed");
    await turn(id, "retry");
    const again = await seen(id, { status: "waiting", items: { deferred: 2, canceled: 0, failed: 0 } });
    expect(again.waitsFor).toEqual(waitsFor.slice(0, 2));
    expect(again.resumesAt).toBe(waitsFor[1]?.until);
    await send(id, "a", "after");
    const clock = new Clock();
    clock.forward(2 * DAY);
    await ring(id);
    const run = await finished(id);
    expect(gotOf(run)).toEqual(["lies down", "before", "healed", "after", "gets up with undefined"]);
    expect(run).toMatchObject({ status: "completed", completionReason: "all-succeeded" });
  });

  it("with a branch around them are canceled, take nothing, and wait on once the run is taken up again", async () => {
    const { id } = await start("approvals, some of which stop, collected", INPUT);
    const { waitsFor } = await seen(id, { items: { deferred: 3, running: 1 } });
    stage.open("fragile");
    const first = await finished(id);
    expect(first).toMatchObject({ status: "completed", completionReason: "failures-tolerated", waitsFor: [] });
    expect(first.items).toMatchObject({ failed: 1, canceled: 3, deferred: 0 });
    expect(gotOf(first)).toEqual(["lies down", [false], "marked"]);
    const items = (await itemsOf(id)).filter(({ node }) => node === "Named" || node === "Writer");
    expect(items.map(({ status }) => status)).toEqual(["canceled", "canceled", "canceled"]);
    stage.say("healed");
    await turn(id, "retry");
    const again = await seen(id, { status: "waiting", items: { deferred: 3, canceled: 0, failed: 0 } });
    expect(again.waitsFor.map(({ signal, until }) => [signal, until]).sort()).toEqual(
      waitsFor.map(({ signal, until }) => [signal, until]).sort(),
    );
    await crash(runOf(id));
    expect(await seen(id, { status: "waiting" })).toMatchObject({ items: { deferred: 3 }, resumesAt: again.resumesAt });
    await send(id, "a", "A");
    await send(id, "b", "B");
    const clock = new Clock();
    clock.forward(2 * DAY);
    await ring(id);
    const run = await finished(id);
    expect(gotOf(run)).toEqual(["lies down", "healed", "A", "B", "gets up with undefined", [true], "marked"]);
    expect(run).toMatchObject({ status: "completed", completionReason: "all-succeeded" });
  });

  it("after they have taken their signal take no other once they go on", async () => {
    const { id } = await start("approvals, some of which stop, collected", { names: ["slow", "fragile", "a"] });
    await seen(id, { items: { deferred: 2, running: 1 } });
    await send(id, "slow", "first");
    await stage.heard("halts");
    stage.open("fragile");
    expect(gotOf(await finished(id))).toEqual([[false], "marked"]);
    stage.say("healed");
    await turn(id, "retry");
    await stage.heard("halts", 2);
    expect((await look(id)).waitsFor).toMatchObject([{ signal: "a" }]);
    await send(id, "slow", "second");
    await send(id, "a", "A");
    stage.open("halt");
    const run = await finished(id);
    expect(gotOf(run)).toEqual(expect.arrayContaining(["first", "healed", "A", [true], "marked"]));
    expect(run.signals).toMatchObject([{ name: "slow" }]);
  });

  it("while the run goes on take no signal, and it stays for others", async () => {
    const { id } = await start("approvals, some of which stop, collected, then approval", INPUT);
    await seen(id, { items: { deferred: 3, running: 1 } });
    stage.open("fragile");
    await seen(id, { status: "waiting", waitsFor: [{ node: "Approval" }] });
    await send(id, "a", "nobody's");
    expect(await look(id)).toMatchObject({ status: "waiting", signals: [{ name: "a" }] });
    await send(id, "approval", "yes");
    const run = await finished(id);
    expect(gotOf(run)).toEqual(["lies down", [false], "yes"]);
    expect(run.signals).toMatchObject([{ name: "a" }]);
    stage.say("healed");
    await turn(id, "retry");
    // It was kept for whoever waits for it.
    await seen(id, { status: "waiting", items: { deferred: 2 } });
    expect((await look(id)).signals).toEqual([]);
  });
});

describe("many branches that sleep", () => {
  /** A run whose branches sleep until they are woken by the clock. Returns the rows that were written for each of them. */
  async function rowsEach(count: number): Promise<number> {
    const clock = new Clock();
    const { id, lost } = await watched("dormitory", { rounds: count, time: "2d" });
    await expect.poll(() => getRun(id)).toMatchObject({ status: "waiting", items: { deferred: count } });
    expect((await getRun(id)).waitsFor).toHaveLength(100);
    await crash(runOf(id));
    await expect.poll(() => getRun(id)).toMatchObject({ status: "waiting", items: { deferred: count } });
    clock.forward(2 * DAY);
    await ring(id);
    expect(await finished(id)).toMatchObject({ status: "completed", items: { succeeded: count }, executions: 0 });
    vi.restoreAllMocks();
    return lost.rowsWritten / count;
  }

  it("cost the same rows each, ten thousand of them as five hundred", async () => {
    const [few, many] = [await rowsEach(500), await rowsEach(10_000)];
    console.log(`rows written for each branch: ${few.toFixed(2)} of 500, ${many.toFixed(2)} of 10,000`);
    expect(many).toBeLessThan(1.1 * few);
  }, 60_000);

  it.each<[string, (n: number) => number]>([
    ["all until one time", () => 5],
    ["each until a later time", (n) => n],
    ["each until an earlier time", (n) => 10_000 - n],
  ])("are looked at a few times each when they wake: %s", (_, untilMs) => {
    const looksEach = (count: number) => {
      const waits = new Waits();
      let looks = 0;
      for (let n = 0; n < count; n++) {
        const wait = {
          signal: null,
          get untilMs() {
            looks++;
            return untilMs(n);
          },
        };
        waits.add(n, wait);
      }
      for (const [step] of waits.due(Number.POSITIVE_INFINITY)) waits.drop(step);
      expect(waits.size).toBe(0);
      expect(waits.dueMs).toBeNull();
      return looks / count;
    };
    expect(looksEach(4000)).toBeLessThan(4 * looksEach(100));
  });
});

describe("waits in memory", () => {
  it("know the first time, whatever is added and dropped", () => {
    const waits = new Waits();
    const times = [50, 20, null, 40, 20, 70];
    for (const [step, untilMs] of times.entries()) waits.add(step, { signal: null, untilMs });
    const due: (number | null)[] = [];
    for (const step of [1, 3, 3, 4, 9, 0, 2, 5]) {
      waits.drop(step);
      due.push(waits.dueMs);
    }
    expect(due).toEqual([20, 20, 20, 50, 50, 70, 70, null]);
  });

  it("know who has waited longest for a signal, and which are over", () => {
    const waits = new Waits();
    for (const [step, signal] of ["a", "b", "a", null].entries())
      waits.add(step, { signal, untilMs: step === 1 ? null : 10 * step });
    expect([waits.first("a"), waits.first("b"), waits.first("c")]).toEqual([0, 1, undefined]);
    waits.drop(0);
    expect(waits.first("a")).toBe(2);
    waits.drop(2);
    expect([waits.first("a"), waits.areForSignals]).toEqual([undefined, true]);
    waits.drop(1);
    expect(waits.areForSignals).toBe(false);
    expect(waits.due(29)).toEqual([]);
    expect(waits.due(30).map(([step]) => step)).toEqual([3]);
    expect([waits.size, waits.has(3), waits.has(2)]).toEqual([1, true, false]);
  });
});

describe("a run that an earlier version has begun", () => {
  it("has the columns of signals that are taken, and takes those that were kept before", async () => {
    const { id } = await start("approvals in rounds", { rounds: 3 });
    await turn(id, "pause");
    for (const n of [1, 2]) await send(id, "approval", n, `key ${n}`);
    await inRun(id, ({ sql }) => {
      sql.exec("alter table signal drop column digest");
      sql.exec("alter table signal drop column taken");
    });
    await crash(runOf(id));
    expect((await look(id)).signals).toMatchObject([{ id: "key key 1" }, { id: "key key 2" }]);
    const columns = await rows<{ name: string }>(id, "select name from pragma_table_info('signal') order by name");
    expect(columns.map(({ name }) => name)).toEqual(["at_ms", "body", "digest", "id", "name", "seq", "taken"]);
    // What was sent is not known to compare it with: it is the same by its key.
    await send(id, "approval", 1, "key 1");
    await turn(id, "resume");
    await seen(id, { status: "waiting", items: { succeeded: 2, deferred: 1 } });
    await crash(runOf(id));
    expect((await look(id)).signals).toEqual([]);
    await send(id, "approval", 1, "key 1");
    await send(id, "approval", 3, "key 3");
    expect(gotOf(await finished(id))).toEqual([1, 2, 3]);
  });

  it("which waited for nothing has steps that wait for nothing", async () => {
    const { id } = await start("approval, then fails", {});
    await seen(id, { status: "waiting" });
    await send(id, "approval", 1);
    await stage.heard("fragile");
    await inRun(id, ({ sql }) => {
      sql.exec("update step set body = json_remove(body, '$.wait') where node = 'Fragile'");
    });
    await crash(runOf(id));
    expect(await look(id)).toMatchObject({ status: "running", waitsFor: [], resumesAt: null, items: { deferred: 0 } });
    stage.say("healed");
    stage.open("fragile");
    expect(gotOf(await finished(id))).toEqual([1, "healed"]);
  });
});
