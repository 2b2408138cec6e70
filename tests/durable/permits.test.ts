import { abortAllDurableObjects, runDurableObjectAlarm } from "cloudflare:test";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ExecutorObject } from "../../src/durable/homes.ts";
import { RateLimiterObject } from "../../src/durable/limiter.ts";
import type { Order } from "../../src/durable/protocol.ts";
import { FlowRunObject } from "../../src/durable/run.ts";
import { Clock } from "./executor.ts";
import {
  atRest,
  begun,
  change,
  inExec,
  itemsOf,
  LimitedHandRun,
  limiterOf,
  limitOf,
  look,
  newKey,
  ring,
  seen,
  slotsOf,
  widest,
} from "./limited.ts";
import { limitedTasks, permitFlows } from "./limited-flows.ts";
import { newStage, type Stage } from "./stage.ts";
import { crash, executorOf, finished, post, runOf, start, storedOutput } from "./support.ts";

const HOUR_MS = 3_600_000;

let stage: Stage;
let key: string;
beforeEach(() => {
  stage = newStage();
  key = newKey();
});
afterEach(() => {
  vi.restoreAllMocks();
});

async function cancel(id: string): Promise<void> {
  expect((await post(`/runs/${id}/cancel`)).status).toBe(202);
}

function resultsFrom(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, at) => 10 * (first + at));
}

describe("an item that waits for a permit", () => {
  it.each(["on hourly", "on hourly by queue"])(
    "is deferred: it holds no slot, costs no attempt and calls nobody, until it may go on: %s",
    async (flow) => {
      const { id } = await start(flow, { tasks: limitedTasks(5, { key }) });
      const counts = { total: 5, succeeded: 3, deferred: 2, pending: 0, running: 0 };
      const waiting = await seen(id, { status: "waiting", items: counts });
      expect(waiting).toMatchObject({ executions: 3, finishedAt: null });
      const inMs = Date.parse(waiting.resumesAt as string) - Date.now();
      expect(inMs).toBeGreaterThan(HOUR_MS - 60_000);
      expect(inMs).toBeLessThan(HOUR_MS + 10_000);
      const items = await itemsOf(id);
      expect(items.map(({ status }) => status)).toEqual([...Array(3).fill("succeeded"), "deferred", "deferred"]);
      expect(items.map(({ attempts }) => attempts)).toEqual([1, 1, 1, 0, 0]);
      const slots = await slotsOf(id);
      expect(slots.every(({ state, held }) => state === "idle" && held.length === 0)).toBe(true);
      for (let times = 0; times < 3; times++) await runDurableObjectAlarm(runOf(id));
      await ring("hourly", key);
      expect(await slotsOf(id)).toEqual(slots);
      expect(await look(id)).toEqual(waiting);
      expect(await limitOf("hourly", key)).toMatchObject({ used: { requests: 3 }, inFlight: 0, waiting: 2 });
      await change("hourly", key, { requests: 100 });
      expect(await finished(id)).toMatchObject({ status: "completed", executions: 5 });
      expect(await storedOutput(id)).toMatchObject({ results: resultsFrom(0, 5), posts: 1 });
      expect((await itemsOf(id)).map(({ attempts }) => attempts)).toEqual(Array(5).fill(1));
      expect(begun(key)).toEqual([0, 1, 2, 3, 4]);
      await atRest("hourly", key);
    },
  );

  it("of another run's concurrency waits without a known end, and without any executor", async () => {
    const { id: first } = await start("on pair", { tasks: limitedTasks(2, { key, gate: "first" }) });
    await stage.heard(`start ${key}`, 2);
    const { id } = await start("on pair", { tasks: limitedTasks(4, { key }, 10) });
    await seen(id, { status: "waiting", resumesAt: null, items: { deferred: 4, running: 0, succeeded: 0 } });
    expect(await slotsOf(id)).toEqual([]);
    expect(await limitOf("pair", key)).toMatchObject({ inFlight: 2, waiting: 4 });
    stage.open("first");
    expect(await finished(id)).toMatchObject({ status: "completed", executions: 4 });
    expect(await storedOutput(id)).toMatchObject({ results: resultsFrom(10, 4) });
    expect(await finished(first)).toMatchObject({ status: "completed" });
    expect(widest(key)).toBe(2);
    await atRest("pair", key);
  });

  it("waits on when its run's object is lost, and is found deferred again", async () => {
    const { id } = await start("on hourly", { tasks: limitedTasks(5, { key }) });
    const before = await seen(id, { status: "waiting", items: { deferred: 2, succeeded: 3 } });
    await crash(runOf(id));
    const after = await seen(id, { status: "waiting", items: { deferred: 2, succeeded: 3 } });
    expect(after.resumesAt).not.toBeNull();
    expect(after.executions).toBe(before.executions);
    expect(await limitOf("hourly", key)).toMatchObject({ used: { requests: 3 }, waiting: 2 });
    await change("hourly", key, { requests: 100 });
    expect(await finished(id)).toMatchObject({ status: "completed", executions: 5 });
    await atRest("hourly", key);
  });

  it("goes on by a limit without keys as well", async () => {
    const { id } = await start("on all of plain", { tasks: limitedTasks(9, { key }) });
    expect(await finished(id)).toMatchObject({ status: "completed", output: { results: resultsFrom(0, 9) } });
    await atRest("plain", "");
  });
});

describe("runs that share a concurrency", () => {
  it.each([
    ["on lane", "lane", 1],
    ["on pair", "pair", 2],
    ["on pair by queue", "pair", 2],
  ])("have no more in exec at once than it says, and all finish: %s", async (flow, limit, width) => {
    const one = await start(flow, { tasks: limitedTasks(5, { key, gate: "go" }) });
    const two = await start(flow, { tasks: limitedTasks(5, { key, gate: "go" }, 10) });
    await stage.heard(`start ${key}`, width);
    await seen(one.id, {});
    expect(inExec(key)).toBe(width);
    expect(await limitOf(limit, key)).toMatchObject({ inFlight: width });
    stage.open("go");
    expect(await finished(one.id)).toMatchObject({ status: "completed", executions: 5 });
    expect(await finished(two.id)).toMatchObject({ status: "completed", executions: 5 });
    expect(await storedOutput(one.id)).toMatchObject({ results: resultsFrom(0, 5) });
    expect(await storedOutput(two.id)).toMatchObject({ results: resultsFrom(10, 5) });
    expect(widest(key)).toBe(width);
    await atRest(limit, key);
  });

  it("do so one item at a time each, in turn", async () => {
    const one = await start("on lane", { tasks: limitedTasks(8, { key, gate: "go" }) });
    await stage.heard(`start ${key}`);
    const two = await start("on lane", { tasks: limitedTasks(3, { key }, 10) });
    await seen(two.id, { status: "waiting" });
    stage.open("go");
    await finished(two.id);
    // Between two of the small run's items there is one of the large one's.
    expect(begun(key).indexOf(12)).toBeLessThanOrEqual(6);
    await finished(one.id);
    await atRest("lane", key);
  });
});

describe("a canceled run", () => {
  it("gives back what it did not begin, as if it had never been", async () => {
    const run = await LimitedHandRun.of("by hand on trio", limitedTasks(5, { key }));
    await run.orders(1);
    await expect.poll(() => limitOf("trio", key)).toMatchObject({ inFlight: 3, waiting: 2, used: { requests: 3 } });
    await cancel(run.id);
    expect(await atRest("trio", key)).toMatchObject({ used: { requests: 0 } });
  });

  it("gives back what it had in exec when its executor has stopped, not before", async () => {
    const { id } = await start("on pair", { tasks: limitedTasks(4, { key, gate: "deaf" }) });
    await stage.heard(`start ${key}`, 2);
    const { id: next } = await start("on pair", { tasks: limitedTasks(2, { key }, 10) });
    await seen(next, { status: "waiting" });
    await cancel(id);
    await expect.poll(() => limitOf("pair", key)).toMatchObject({ inFlight: 2, waiting: 2 });
    await ring("pair", key);
    expect(await look(next)).toMatchObject({ status: "waiting", executions: 0 });
    stage.open("deaf");
    expect(await finished(next)).toMatchObject({ status: "completed" });
    expect(begun(key)).toEqual([0, 1, 10, 11]);
    await atRest("pair", key);
  });

  it("gives back at once what ends because it is aborted", async () => {
    const { id } = await start("on pair", { tasks: limitedTasks(4, { key, listens: true }) });
    await stage.heard(`start ${key}`, 2);
    await cancel(id);
    await atRest("pair", key);
    expect(await look(id)).toMatchObject({ items: { succeeded: 0, failed: 0, canceled: 4 } });
  });

  it("wants nothing more", async () => {
    const { id: first } = await start("on lane", { tasks: limitedTasks(2, { key, gate: "go" }) });
    await stage.heard(`start ${key}`);
    const { id } = await start("on lane", { tasks: limitedTasks(3, { key }, 10) });
    await seen(id, { status: "waiting" });
    await cancel(id);
    await expect.poll(() => limitOf("lane", key)).toMatchObject({ inFlight: 1, waiting: 1 });
    stage.open("go");
    expect(await finished(first)).toMatchObject({ status: "completed" });
    expect(begun(key)).toEqual([0, 1]);
    await atRest("lane", key);
  });

  it("loses what it had at the end of a lease where its executor is gone with it", async () => {
    const clock = new Clock();
    const run = await LimitedHandRun.of("by hand on trio", limitedTasks(3, { key }));
    await run.entered((await run.orders(1))[0] as Order, "one");
    await cancel(run.id);
    clock.forward(29_000);
    await ring("trio", key);
    expect(await limitOf("trio", key)).toMatchObject({ inFlight: 3 });
    clock.forward(2_000);
    await ring("trio", key);
    await atRest("trio", key);
  });

  it("between the answers of two limits gives back what the first of them gave", async () => {
    const second = newKey();
    const exchange = RateLimiterObject.prototype.exchange;
    vi.spyOn(RateLimiterObject.prototype, "exchange").mockImplementation(async function (
      this: RateLimiterObject,
      ...[place, request]
    ) {
      if (place.limit === "wide") {
        stage.say("asked");
        await stage.pass("answer");
      }
      return exchange.call(this, place, request);
    });
    const run = await LimitedHandRun.of("by hand on lane and wide", limitedTasks(2, { key, second }));
    await stage.heard("asked");
    expect(await limitOf("lane", key)).toMatchObject({ inFlight: 1 });
    await cancel(run.id);
    stage.open("answer");
    await atRest("wide", second);
    expect(await atRest("lane", key)).toMatchObject({ used: { requests: 0 } });
  });
});

describe("a failed run", () => {
  it("gives back what it did not begin at once, and the rest as it ends", async () => {
    const failing = { n: 0, key, gate: "fail", throws: ["busy" as const] };
    const { id } = await start("on pair", { tasks: [failing, ...limitedTasks(5, { key, gate: "late" }, 1)] });
    await stage.heard(`start ${key}`, 2);
    const { id: next } = await start("on pair", { tasks: limitedTasks(3, { key, gate: "next" }, 10) });
    await seen(next, { status: "waiting" });
    stage.open("fail");
    expect(await finished(id)).toMatchObject({ status: "failed", error: { index: 0, attempts: 1 } });
    await stage.heard(`start ${key} 10`);
    expect(await limitOf("pair", key)).toMatchObject({ inFlight: 2, waiting: 2 });
    stage.open("late");
    await stage.heard(`start ${key} 11`);
    stage.open("next");
    await finished(next);
    expect(begun(key)).toEqual([0, 1, 10, 11, 12]);
    expect(widest(key)).toBe(2);
    await atRest("pair", key);
  });
});

describe("an item whose executor was lost", () => {
  it("begins again under a permit of its own; the other one's is free", async () => {
    const run = await LimitedHandRun.of("by hand on pair", limitedTasks(2, { key }));
    const [order] = (await run.orders(1)) as [Order];
    expect((await run.entered(order, "one")).given).toEqual([0, 1]);
    await run.entered(order, "two");
    const again = await run.entered((await run.orders(2))[1] as Order, "three");
    expect(again.given).toEqual([0, 1]);
    expect(await limitOf("pair", key)).toMatchObject({ inFlight: 2, used: { requests: 4 } });
    await again.report({ done: [0, 1] });
    expect(await finished(run.id)).toMatchObject({ status: "completed", executions: 4 });
    await atRest("pair", key);
  });

  it("gives back the permit it has got once more where its first call has succeeded after all", async () => {
    const run = await LimitedHandRun.of("by hand on pair, narrow", limitedTasks(3, { key }));
    const [order] = (await run.orders(1)) as [Order];
    const lost = await run.entered(order, "one");
    expect(lost.given).toEqual([0, 1]);
    expect((await run.entered(order, "two")).given).toEqual([]);
    // Called again, since both have a permit anew.
    const [, again] = (await run.orders(2)) as [Order, Order];
    await lost.report({ done: [0, 1] });
    const last = await run.entered(again, "three");
    const next = last.last.isDone ? await run.entered((await run.orders(3))[2] as Order, "four") : last;
    await expect.poll(async () => (await next.report()) && [...next.hand.keys()]).toEqual([2]);
    expect(await limitOf("pair", key)).toMatchObject({ inFlight: 1, waiting: 0 });
    await next.report({ done: [2] });
    expect(await finished(run.id)).toMatchObject({ status: "completed" });
    await atRest("pair", key);
  });
});

it("a run that was silent for longer than a lease gets permits of numbers that none of its calls has", async () => {
  const clock = new Clock();
  const run = await LimitedHandRun.of("by hand on pair", limitedTasks(2, { key }));
  const executor = await run.entered((await run.orders(1))[0] as Order, "one");
  await expect.poll(() => limitOf("pair", key)).toMatchObject({ inFlight: 2 });
  clock.forward(31_000);
  await crash(runOf(run.id));
  await ring("pair", key);
  expect(await limitOf("pair", key)).toMatchObject({ inFlight: 0 });
  await executor.report({ failed: [1] });
  await expect.poll(async () => executor.given.length || (await executor.report()).items.length).toBe(1);
  expect(await limitOf("pair", key)).toMatchObject({ inFlight: 1 });
  // What the limiter has given up is gone for good: its end frees nobody else's permit.
  await executor.report({ done: [0] });
  expect(await limitOf("pair", key)).toMatchObject({ inFlight: 1 });
  await executor.report({ done: [1] });
  expect(await finished(run.id)).toMatchObject({ status: "completed" });
  await atRest("pair", key);
});

describe("two runs that lose anything at any moment", () => {
  const EACH = 6;
  const WIDTH = 3;
  const moment = fc.nat(2 * EACH - 1);
  const which = fc.nat(1);
  // What was lost twice would be executed alone, so that no more than one fault ends what is in exec.
  const faults = fc
    .tuple(
      fc.record({ moment, what: fc.constantFrom("executor", "all"), which }),
      fc.array(fc.record({ moment, what: fc.constantFrom("run", "limiter"), which }), { minLength: 1, maxLength: 4 }),
    )
    .map(([killing, others]) => [killing, ...others]);
  type Fault = { moment: number; what: string; which: number };

  /** Says which calls die with something before it does. */
  function die(numbers: number[]): void {
    for (const n of numbers) for (const name of [key, `${key} ${n}`]) stage.say(`lost ${name}`);
  }

  /** The numbers of the tasks in exec. */
  function underWay(): number[] {
    const numbers = [...new Set(begun(key))];
    return numbers.filter((n) => inExec(`${key} ${n}`) > 0);
  }

  async function strike(ids: string[], { what, which }: Fault): Promise<void> {
    const id = ids[which] as string;
    if (what === "run") await crash(runOf(id));
    if (what === "limiter") await crash(limiterOf("trio", key));
    if (what === "all") {
      die(underWay());
      await abortAllDurableObjects();
    }
    const slot = what === "executor" ? (await slotsOf(id)).find(({ held }) => held.length > 0) : undefined;
    if (slot === undefined) return;
    die(slot.held.map((index) => 100 * which + index));
    await crash(executorOf(id, slot.id));
  }

  async function succeeded(ids: string[]): Promise<number> {
    const runs = await Promise.all(ids.map(look));
    return runs.reduce((sum, { items }) => sum + items.succeeded, 0);
  }

  /** Lets one item after the other pass, with faults in between. */
  async function runThrough(faults: Fault[]): Promise<string[]> {
    const ids: string[] = [];
    for (const first of [0, 100]) {
      const gated = limitedTasks(EACH, { key }, first).map((task) => ({ ...task, gate: `${key} ${task.n}` }));
      ids.push((await start("on trio", { tasks: gated })).id);
    }
    for (let ended = 0; ended < 2 * EACH; ended++) {
      const isFull = () => inExec(key) === Math.min(WIDTH, 2 * EACH - ended);
      await stage.until(isFull);
      for (const fault of faults.filter(({ moment }) => moment === ended)) {
        // What has ended and was not reported is executed once more, which is not counted here.
        await expect.poll(() => succeeded(ids)).toBe(ended);
        await strike(ids, fault);
        await stage.until(isFull);
      }
      const [next] = underWay();
      stage.open(`${key} ${next}`);
      await stage.heard(`end ${key} ${next}`);
    }
    return ids;
  }

  it("never have more in exec than the limit says, and end as if nothing had been", async () => {
    await fc.assert(
      fc.asyncProperty(faults, async (faults) => {
        stage = newStage();
        key = newKey();
        const ids = await runThrough(faults);
        let executions = 0;
        for (const [at, id] of ids.entries()) {
          const run = await finished(id);
          expect(run).toMatchObject({ status: "completed", items: { total: EACH, succeeded: EACH } });
          expect(await storedOutput(id)).toMatchObject({ results: resultsFrom(100 * at, EACH), posts: 1 });
          expect((await itemsOf(id)).map(({ attempts }) => attempts)).toEqual(Array(EACH).fill(1));
          executions += run.executions;
        }
        expect(widest(key)).toBeLessThanOrEqual(WIDTH);
        expect(executions - 2 * EACH).toBe(stage.count(`lost ${key}`));
        await atRest("trio", key);
      }),
      { numRuns: 4, endOnFailure: true },
    );
  }, 60_000);
});

it("an item that ends its executor whenever it runs fails alone, and its permits all come back", async () => {
  const clock = new Clock();
  const run = await LimitedHandRun.of("by hand on trio", limitedTasks(3, { key }));
  let [order] = (await run.orders(1)) as [Order];
  const one = await run.entered(order, "one");
  await one.report({ done: [0, 1] });
  for (let crashes = 1; crashes < 5; crashes++) {
    await expect.poll(() => limitOf("trio", key)).toMatchObject({ inFlight: 1 });
    // The same wake enters once more, as an alarm does after its object was lost.
    expect((await run.entered(order, `after ${crashes} crashes`)).given).toEqual([]);
    if (crashes > 1) {
      await expect.poll(() => limitOf("trio", key)).toMatchObject({ inFlight: 0 });
      expect(await look(run.id)).toMatchObject({ status: "waiting", items: { deferred: 1, succeeded: 2 } });
      await clock.pass(run.id, 8000);
    }
    order = (await run.orders(crashes + 1))[crashes] as Order;
    expect((await run.entered(order, "alone")).given).toEqual([2]);
  }
  await run.enter(order, "after 5 crashes");
  expect(await finished(run.id)).toMatchObject({
    status: "failed",
    error: { name: "ExecutorLost", index: 2, attempts: 0 },
    items: { succeeded: 2, failed: 1 },
  });
  await atRest("trio", key);
});

describe("a node of another kind", () => {
  it("whose only item is executed where the run is waits like any other", async () => {
    const { id: first } = await start("on lane", { tasks: limitedTasks(2, { key, gate: "go" }) });
    await stage.heard(`start ${key}`);
    const { id } = await start("single on lane", { tasks: [{ n: 7, key }] });
    await seen(id, { status: "waiting", resumesAt: null, items: { total: 1, deferred: 1 }, executions: 0 });
    expect(await slotsOf(id)).toEqual([]);
    stage.open("go");
    expect(await finished(id)).toMatchObject({ status: "completed", executions: 1, output: { results: [70] } });
    expect(await slotsOf(id)).toMatchObject([{ home: "inline", state: "idle", held: [] }]);
    await finished(first);
    expect(widest(key)).toBe(1);
    await atRest("lane", key);
  });

  it("whose only item is lost with the run's object begins once more, and gives its first permit back", async () => {
    const { id } = await start("single on lane", { tasks: [{ n: 7, key, gate: "go" }] });
    await stage.heard(`start ${key}`);
    await crash(runOf(id));
    await stage.heard(`start ${key}`, 2);
    expect(await limitOf("lane", key)).toMatchObject({ inFlight: 1 });
    stage.open("go");
    expect(await finished(id)).toMatchObject({ status: "completed", executions: 2 });
    await atRest("lane", key);
  });

  it("whose items come one after the other keeps to that where the limit would allow more", async () => {
    const { id } = await start("in order on pair", { tasks: limitedTasks(6, { key, gate: "go" }) });
    await stage.heard(`start ${key}`);
    await seen(id, { items: { running: 1, succeeded: 0 } });
    expect(await limitOf("pair", key)).toMatchObject({ inFlight: 1, waiting: 0 });
    stage.open("go");
    expect(await finished(id)).toMatchObject({ status: "completed", executions: 6 });
    expect(begun(key)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(widest(key)).toBe(1);
    await atRest("pair", key);
  });
});

describe("a node with two limits", () => {
  it.each(["on lane and hourly", "on hourly and lane"])(
    "keeps nothing of one while it waits for the other, whichever comes first: %s",
    async (flow) => {
      const second = newKey();
      const { id: greedy } = await start("on hourly", { tasks: limitedTasks(3, { key: second }) });
      await finished(greedy);
      const { id } = await start(flow, { tasks: limitedTasks(2, { key, second }) });
      const waiting = await seen(id, { status: "waiting", items: { deferred: 2 } });
      expect(Date.parse(waiting.resumesAt as string) - Date.now()).toBeGreaterThan(HOUR_MS - 60_000);
      const { id: other } = await start("on lane", { tasks: limitedTasks(2, { key }, 10) });
      expect(await finished(other)).toMatchObject({ status: "completed" });
      expect(await atRest("lane", key)).toMatchObject({ used: { requests: 2 } });
      await change("hourly", second, { requests: 100 });
      expect(await finished(id)).toMatchObject({ status: "completed", executions: 2 });
      await atRest("lane", key);
      await atRest("hourly", second);
    },
  );

  it.each(["on lane and hourly", "on hourly and lane"])(
    "gives a request back while it waits for a place, so that another run may use it: %s",
    async (flow) => {
      const second = newKey();
      const { id: busy } = await start("on lane", { tasks: limitedTasks(2, { key, gate: "busy" }) });
      await stage.heard(`start ${key}`);
      const { id } = await start(flow, { tasks: limitedTasks(2, { key, second }, 10) });
      await seen(id, { status: "waiting", resumesAt: null, items: { deferred: 2 } });
      const { id: other } = await start("on hourly", { tasks: limitedTasks(3, { key: second }) });
      expect(await finished(other)).toMatchObject({ status: "completed" });
      expect(await limitOf("hourly", second)).toMatchObject({ used: { requests: 3 }, inFlight: 0 });
      expect(await look(id)).toMatchObject({ executions: 0 });
      stage.open("busy");
      await finished(busy);
      await seen(id, { status: "waiting", items: { deferred: 2 } });
      await atRest("lane", key);
      await change("hourly", second, { requests: 100 });
      expect(await finished(id)).toMatchObject({ status: "completed", executions: 2 });
      await atRest("lane", key);
      await atRest("hourly", second);
    },
  );
});

describe("the executors of a run under a limit", () => {
  it("are as many as its permits need, not one for each item", async () => {
    const { id } = await start("on trio", { tasks: limitedTasks(60, { key }) });
    expect(await finished(id)).toMatchObject({ status: "completed", executions: 60 });
    expect((await slotsOf(id)).length).toBeLessThanOrEqual(2);
    await atRest("trio", key);
  });

  it("take what is permitted later while they have room, though none of their calls has ended", async () => {
    const { id: first } = await start("on pair", { tasks: limitedTasks(2, { key, gate: "go" }) });
    await stage.heard(`start ${key}`, 2);
    const { id } = await start("on pair", { tasks: limitedTasks(8, { key, gate: "go" }, 10) });
    await seen(id, { status: "waiting" });
    for (let width = 3; width <= 8; width++) {
      await change("pair", key, { concurrency: width });
      await stage.heard(`start ${key}`, width);
    }
    expect(await look(id)).toMatchObject({ items: { running: 6, deferred: 2 }, executors: 1 });
    stage.open("go");
    await finished(id);
    await finished(first);
    await atRest("pair", key);
  });

  it("are told of each permit that comes, not only of the first", async () => {
    const nudge = vi.spyOn(ExecutorObject.prototype, "nudge");
    // Not by a heartbeat, which would find it in the end.
    vi.spyOn(FlowRunObject.prototype, "alarm").mockImplementation(async () => undefined);
    const { id } = await start("on trio", { tasks: [0, 1].map((n) => ({ n, key, gate: `gate ${n}` })) });
    await stage.heard(`start ${key}`, 2);
    const run = await LimitedHandRun.of("by hand on trio", limitedTasks(3, { key }, 10));
    const executor = await run.entered((await run.orders(1))[0] as Order, "one");
    await seen(run.id, { items: { running: 1, deferred: 2 } });
    const before = nudge.mock.calls.length;
    for (const n of [0, 1]) {
      stage.open(`gate ${n}`);
      await expect.poll(() => nudge.mock.calls.length, { timeout: 3000 }).toBe(before + n + 1);
      await executor.report();
      expect(executor.given).toEqual([n + 1]);
    }
    await executor.report({ done: [0, 1, 2] });
    await finished(run.id);
    await finished(id);
    await atRest("trio", key);
  });
});

it("in memory a limit holds nothing back, and settling does nothing", async () => {
  const shared = { tasks: limitedTasks(5, { key, gate: "all", settles: [10] }) };
  const run = permitFlows["on lane"]().run(shared);
  await stage.heard(`start ${key}`, 5);
  stage.open("all");
  await run;
  expect(shared).toMatchObject({ results: resultsFrom(0, 5) });
});
