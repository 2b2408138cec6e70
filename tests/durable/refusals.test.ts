import { runDurableObjectAlarm } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { RateLimiterObject } from "../../src/durable/limiter.ts";
import { Clock } from "./executor.ts";
import { atRest, begun, inExec, itemsOf, limitOf, look, newKey, ring, seen, slotsOf } from "./limited.ts";
import { limitedTasks, type Thrown } from "./limited-flows.ts";
import { newStage, type Stage } from "./stage.ts";
import { call, crash, executorOf, finished, ran, runOf, start, storedOutput } from "./support.ts";

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

/** An hour later. Executors ask for alarms by the same clock, so they are woken by hand. */
async function anHourLater(clock: Clock, id: string, ...keys: string[]): Promise<void> {
  clock.forward(HOUR_MS + 60_000);
  for (const key of keys) await ring("wide", key);
  await runDurableObjectAlarm(runOf(id));
  await expect
    .poll(async () => {
      for (const slot of await slotsOf(id)) await runDurableObjectAlarm(executorOf(id, slot.id));
      return (await look(id)).finishedAt;
    })
    .not.toBeNull();
}

function inMs(time: string | null): number {
  return Date.parse(time as string) - Date.now();
}

async function attemptsOf(id: string): Promise<number[]> {
  return (await itemsOf(id)).map(({ attempts }) => attempts);
}

describe("a call that the vendor refuses for its rate limit", () => {
  it.each<Thrown>(["429 for an hour", "429 with a header for an hour"])(
    "costs no attempt, and no call of its key begins before the vendor wants some again: %s",
    async (thrown) => {
      const clock = new Clock();
      const other = newKey();
      const [first, second, ...rest] = limitedTasks(6, { key });
      const tasks = [{ ...first, throws: [thrown] }, { ...second, gate: "late" }, ...rest];
      const { id } = await start("on wide, narrow", { tasks });
      await seen(id, { items: { deferred: 1, running: 1, pending: 4 } });
      const limit = await limitOf("wide", key);
      expect(limit).toMatchObject({ inFlight: 1, waiting: 1 });
      expect(inMs(limit.cooldownUntil)).toBeGreaterThan(HOUR_MS - 60_000);
      expect(inMs(limit.cooldownUntil)).toBeLessThanOrEqual(HOUR_MS);
      stage.open("late");
      const waiting = await seen(id, { status: "waiting", items: { succeeded: 1, deferred: 2, pending: 3 } });
      expect(inMs(waiting.resumesAt)).toBeGreaterThan(HOUR_MS - 60_000);
      expect(await attemptsOf(id)).toEqual([0, 1, 0, 0, 0, 0]);
      await ring("wide", key);
      await runDurableObjectAlarm(runOf(id));
      expect(begun(key)).toEqual([0, 1]);
      // Another key of the same limit goes on meanwhile.
      expect(await ran("on wide, narrow", { tasks: limitedTasks(3, { key: other }) })).toMatchObject({
        status: "completed",
      });
      expect(begun(key)).toEqual([0, 1]);
      await anHourLater(clock, id, key);
      expect(await finished(id)).toMatchObject({ status: "completed", executions: 7 });
      expect(await storedOutput(id)).toMatchObject({ results: [0, 10, 20, 30, 40, 50], posts: 1 });
      expect(await attemptsOf(id)).toEqual(Array(6).fill(1));
      expect(stage.said.filter((said) => said.startsWith("fallback"))).toEqual([]);
      expect((await atRest("wide", key)).cooldownUntil).toBeNull();
      await atRest("wide", other);
    },
  );

  it("goes on by itself where the vendor did not say when", async () => {
    const [first, ...rest] = limitedTasks(4, { key });
    const run = await ran("on wide, narrow", { tasks: [{ ...first, throws: ["429"] }, ...rest] });
    expect(run).toMatchObject({ status: "completed", executions: 5, output: { results: [0, 10, 20, 30] } });
    expect(await attemptsOf(run.id)).toEqual([1, 1, 1, 1]);
    await atRest("wide", key);
  });

  it("holds another run of its key back as well", async () => {
    const clock = new Clock();
    const { id } = await start("on wide, narrow", { tasks: limitedTasks(2, { key, throws: ["429 for an hour"] }) });
    await seen(id, { status: "waiting", items: { deferred: 2 } });
    const { id: next } = await start("on wide, narrow", { tasks: limitedTasks(2, { key }, 10) });
    const waiting = await seen(next, { status: "waiting", items: { deferred: 2 } });
    expect(inMs(waiting.resumesAt)).toBeGreaterThan(HOUR_MS - 60_000);
    expect(begun(key)).toEqual([0, 1]);
    await anHourLater(clock, id, key);
    await anHourLater(clock, next, key);
    expect(await attemptsOf(next)).toEqual([1, 1]);
    await atRest("wide", key);
  });

  it("stays deferred when its run's object is lost", async () => {
    const clock = new Clock();
    const { id } = await start("on wide, narrow", { tasks: limitedTasks(2, { key, throws: ["429 for an hour"] }) });
    await seen(id, { status: "waiting", items: { deferred: 2 } });
    await crash(runOf(id));
    await seen(id, { status: "waiting", items: { deferred: 2 }, executions: 2 });
    expect((await limitOf("wide", key)).cooldownUntil).not.toBeNull();
    await anHourLater(clock, id, key);
    expect(await finished(id)).toMatchObject({ status: "completed", executions: 4 });
    expect(await attemptsOf(id)).toEqual([1, 1]);
    expect(begun(key)).toEqual([0, 1, 0, 1]);
    await atRest("wide", key);
  });

  it("spends an attempt after `giveUpAfter` without one success, and the run fails of it", async () => {
    const run = await ran("on hasty", { tasks: limitedTasks(2, { key, throws: ["429", "429"] }) });
    expect(run).toMatchObject({ status: "failed", error: { message: "too many", attempts: 1 } });
    expect(stage.count(`start ${key} ${run.error?.index}`)).toBe(2);
    await atRest("hasty", key);
  });

  it("is left to `execFallback` only then", async () => {
    const run = await ran("on hasty, forgiving", { tasks: limitedTasks(2, { key, throws: ["429", "429"] }) });
    expect(run).toMatchObject({ status: "completed", executions: 4 });
    expect(await storedOutput(run.id)).toMatchObject({ results: ["fallback 0", "fallback 1"] });
    expect(await attemptsOf(run.id)).toEqual([1, 1]);
    await atRest("hasty", key);
  });
});

describe("what is no rate limit", () => {
  it("an account without credit is fatal at once, and cools nothing down", async () => {
    const run = await ran("on wide", { tasks: limitedTasks(2, { key, throws: ["out of credit"] }) });
    expect(run).toMatchObject({ status: "failed", error: { message: "no money", attempts: 1 } });
    expect((await atRest("wide", key)).cooldownUntil).toBeNull();
  });

  it("an account without credit is left to `execFallback` at the first attempt of three", async () => {
    const [first, ...rest] = limitedTasks(4, { key });
    const run = await ran("on wide, forgiving", { tasks: [{ ...first, throws: ["out of credit"] }, ...rest] });
    expect(run).toMatchObject({ status: "completed", executions: 4 });
    expect(await storedOutput(run.id)).toMatchObject({ results: ["fallback 0", 10, 20, 30] });
    expect((await atRest("wide", key)).cooldownUntil).toBeNull();
  });

  it("an error that says when to come again defers its own item, and counts as an attempt", async () => {
    const clock = new Clock();
    const [first, ...rest] = limitedTasks(5, { key });
    const { id } = await start("on wide, retried", { tasks: [{ ...first, throws: ["later, in an hour"] }, ...rest] });
    const waiting = await seen(id, { status: "waiting", items: { deferred: 1, succeeded: 4 } });
    expect(inMs(waiting.resumesAt)).toBeGreaterThan(HOUR_MS - 60_000);
    expect(await attemptsOf(id)).toEqual([1, 1, 1, 1, 1]);
    expect(await atRest("wide", key)).toMatchObject({ cooldownUntil: null });
    await anHourLater(clock, id, key);
    expect(await finished(id)).toMatchObject({ status: "completed", executions: 6 });
    expect(await attemptsOf(id)).toEqual([2, 1, 1, 1, 1]);
    await atRest("wide", key);
  });

  it("a 429 of a node without a limit is a failure like any other", async () => {
    const throws: Thrown[] = ["429 for an hour"];
    const run = await ran("on nothing", { tasks: limitedTasks(2, { key, throws }) });
    expect(run).toMatchObject({ status: "completed", executions: 2 });
    expect(await storedOutput(run.id)).toMatchObject({ results: ["fallback 0", "fallback 1"] });
    const { id } = await start("on nothing, retried", { tasks: limitedTasks(2, { key, throws }, 10) });
    await seen(id, { status: "waiting", items: { deferred: 2 } });
    expect(await attemptsOf(id)).toEqual([1, 1]);
    await call(`/runs/${id}/cancel`, { method: "POST" });
  });
});

describe("tokens", () => {
  it("are counted as they were settled; where nothing was, as they were estimated", async () => {
    const [one, two, three] = limitedTasks(3, { key, tokens: 100 });
    const tasks = [{ ...one, settles: [250, 60] }, { ...two, settles: [180] }, three];
    expect(await ran("on counted", { tasks })).toMatchObject({ status: "completed" });
    expect(await atRest("counted", key)).toMatchObject({ used: { requests: 3, tokens: 60 + 180 + 100 } });
  });

  it("that were settled make room for others, or take it", async () => {
    const { id } = await start("on counted", {
      tasks: limitedTasks(3, { key, tokens: 400, gate: "go", settles: [100] }),
    });
    await stage.heard(`start ${key}`, 2);
    await seen(id, { items: { running: 2, deferred: 1 } });
    expect(await limitOf("counted", key)).toMatchObject({ used: { tokens: 800 }, waiting: 1 });
    stage.open("go");
    expect(await finished(id)).toMatchObject({ status: "completed", executions: 3 });
    expect(await atRest("counted", key)).toMatchObject({ used: { tokens: 300 } });
    await ran("on counted", { tasks: limitedTasks(2, { key, tokens: 10, settles: [400] }) });
    expect(await atRest("counted", key)).toMatchObject({ used: { tokens: 1100 } });
    const { id: late } = await start("on counted", { tasks: limitedTasks(2, { key, tokens: 1 }) });
    await seen(late, { status: "waiting", items: { deferred: 2 } });
    await call(`/runs/${late}/cancel`, { method: "POST" });
    await atRest("counted", key);
  });

  it("of a failed call count as well", async () => {
    const throws: Thrown[] = ["busy"];
    await ran("on counted", { tasks: limitedTasks(2, { key, tokens: 100, settles: [30], throws }) });
    expect(await atRest("counted", key)).toMatchObject({ used: { tokens: 60 } });
  });

  it.each([-1, "not a number", "without end", "text"] as const)("are not settled as %s", async (settled) => {
    const run = await ran("on counted", { tasks: limitedTasks(2, { key, tokens: 100, settles: [settled] }) });
    expect(run).toMatchObject({ status: "failed", error: { attempts: 1 } });
    expect(run.error?.message).toContain("`settle`");
    expect(await atRest("counted", key)).toMatchObject({ used: { tokens: 200 } });
  });
});

describe("an item that can never have a permit", () => {
  it("fails by name without an attempt", async () => {
    const [first, ...rest] = limitedTasks(3, { key, tokens: 10 });
    const run = await ran("on counted", { tasks: [...rest, { ...first, tokens: 1001 }] });
    expect(run).toMatchObject({
      status: "failed",
      error: { name: "LimitError", node: "Limited", index: 2, attempts: 0 },
    });
    for (const word of ["counted", "1000 tokens", "1001"]) expect(run.error?.message).toContain(word);
    expect(await itemsOf(run.id)).toMatchObject([{}, {}, { status: "failed", attempts: 0 }]);
    await atRest("counted", key);
  });

  it("holds up no other run that waits behind it", async () => {
    const exchange = RateLimiterObject.prototype.exchange;
    vi.spyOn(RateLimiterObject.prototype, "exchange").mockImplementation(async function (
      this: RateLimiterObject,
      ...[place, request]
    ) {
      const answer = await exchange.call(this, place, request);
      // The run does not hear of it until the test lets it.
      if (request.wants.some(([tokens]) => tokens === 1001)) await stage.pass("answer");
      return answer;
    });
    const { id } = await start("on counted", { tasks: limitedTasks(2, { key, tokens: 1001 }) });
    await expect.poll(async () => (await limitOf("counted", key).catch(() => ({ waiting: 0 }))).waiting).toBe(2);
    expect(await ran("on counted", { tasks: limitedTasks(4, { key, tokens: 100 }, 10) })).toMatchObject({
      status: "completed",
    });
    expect(await look(id)).toMatchObject({ status: "running", items: { deferred: 2 } });
    stage.open("answer");
    expect(await finished(id)).toMatchObject({ status: "failed", error: { name: "LimitError" } });
    expect(begun(key)).toEqual([10, 11, 12, 13]);
    await atRest("counted", key);
  });

  it.each<[string, { key?: unknown; tokens?: unknown }, string]>([
    ["whose key function throws", { key: "throw", tokens: 1 }, "no tenant"],
    ["whose key is no string", { key: 5, tokens: 1 }, "Expected the key of limit `counted` to be a string"],
    ["whose key is too long", { key: "k".repeat(201), tokens: 1 }, "got 201 characters"],
    ["whose estimate throws", { tokens: "throw" }, "no tokenizer"],
    ["whose estimate is negative", { tokens: -1 }, "Expected the tokens of limit `counted` to be a number, 0 or more"],
    ["whose estimate is no number", { tokens: "many" }, "got a string"],
    ["whose estimate is missing", { tokens: null }, "got null"],
  ])("%s fails by name", async (_, nonsense, message) => {
    const [first, second] = limitedTasks(2, { key, tokens: 1 });
    const run = await ran("on counted, foul", { tasks: [first, { ...second, ...nonsense }] });
    expect(run).toMatchObject({ status: "failed", error: { name: "LimitError", index: 1, attempts: 0 } });
    expect(run.error?.message).toContain(message);
    expect(stage.count(`start ${key} 1`)).toBe(0);
    expect(inExec(key)).toBe(0);
  });
});
