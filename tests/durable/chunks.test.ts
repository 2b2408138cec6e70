import { abortAllDurableObjects, runDurableObjectAlarm } from "cloudflare:test";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Registry } from "../../src/durable/registry.ts";
import {
  AsyncBatchNode,
  AsyncParallelBatchNode,
  BatchNode,
  Flow,
  type NodeOptions,
  ParallelBatchNode,
} from "../../src/index.ts";
import { busy, ChunkedByHand, failed, fatal, fingerprint, Hand, partsOf, someOf } from "./chunk-hands.ts";
import { chunked, InTurn, type Piece, type Pieced, pieces, setOptions, Together } from "./chunk-pieces.ts";
import { type Chunked, calls, vendor } from "./chunking.ts";
import { Clock } from "./executor.ts";
import { look, seen } from "./limited.ts";
import { itemsOf, redriven, retry } from "./redriving.ts";
import { newStage, type Stage } from "./stage.ts";
import { crash, executorOf, finished, getRun, post, type Run, ran, rows, runOf, start } from "./support.ts";

let stage: Stage;
beforeEach(() => {
  stage = newStage();
  setOptions({ batchSize: 4 });
  calls.length = 0;
  vendor.jobs.clear();
  vendor.canceled = [];
});
afterEach(() => {
  vi.restoreAllMocks();
});

const range = (count: number) => Array.from({ length: count }, (_, index) => index);

it.each(["doubles", "doubles-in-turn"])("splits back results, and isolates bad items: %s", async (flow) => {
  const items = range(1000).map((item) => (item % 400 === 7 ? -item : item));
  const run = await finished((await start(flow, { items })).id);
  expect(run.items).toMatchObject({ total: 1000, succeeded: 997, failed: 3 });
  expect((run.output as Chunked).results).toEqual(items.map((item) => (item < 0 ? `${item} is bad` : 2 * item)));
  const most = 50 + 3 * (2 * (5 + 1) + 5 - 1);
  console.log(`${calls.length} calls for 1,000 items, 3 of them bad; at most ${most}`);
  expect(calls.length).toBeLessThanOrEqual(most);
  expect(new Set(calls.map(({ key }) => key)).size).toBe(calls.length);
  expect(run.executions).toBe(calls.length);
});

it("fails all items of a call", async () => {
  const items = range(40).map((item) => (item === 7 ? -item : item));
  const run = await finished((await start("doubles-whole", { items })).id);
  expect(run.items).toMatchObject({ total: 40, succeeded: 20, failed: 20 });
  expect(calls.length).toBe(3);
});

it("gives chunks to a vendor", async () => {
  const items = range(50).map((item) => (item % 10 === 7 ? -item : item));
  items[49] = -101;
  const run = await finished((await start("jobs", { items })).id);
  expect(run.items).toMatchObject({ total: 50, succeeded: 49, failed: 1 });
  expect((run.output as Chunked).results).toEqual(items.map((item) => (item < -100 ? `${item} is bad` : 2 * item)));
  expect([...vendor.jobs.values()].map(({ lines }) => lines.length)).toEqual([20, 20, 10, 2, 2, 2]);
});

it("cancels jobs", async () => {
  const { id } = await start("long-jobs", { items: range(50) });
  await expect.poll(async () => (await getRun(id)).status).toBe("waiting");
  expect(vendor.jobs.size).toBe(3);
  await post(`/runs/${id}/cancel`);
  await expect.poll(() => vendor.canceled.length).toBe(3);
});

const resultsOf = (count: number) => range(count).map((n) => 10 * n);
const callsOf = (...items: number[]) => chunked.calls.filter((call) => items.every((n) => call.items.includes(n)));
const itemLists = () => chunked.calls.map(({ items }) => items);

/** No two attempts have the same key, and every call of one attempt has the same. */
function expectKeys(id: string): void {
  const byKey = Map.groupBy(chunked.calls, ({ key }) => key);
  for (const [key, same] of byKey) {
    expect(key.startsWith(`${id}.`)).toBe(true);
    expect(new Set(same.map(({ attempt }) => attempt)).size).toBe(1);
  }
}

async function cancel(id: string): Promise<void> {
  expect((await post(`/runs/${id}/cancel`)).status).toBe(202);
}

describe("a batch with a batchSize", () => {
  const troubles = fc.record(
    {
      errors: fc.integer({ min: 1, max: 3 }),
      spoils: fc.constantFrom(1, 1, 2, 9),
      short: fc.constantFrom(1, 2, 9),
      isFatal: fc.constant(true as const),
      isForgiven: fc.constant(true as const),
    },
    { requiredKeys: [] },
  );
  const anyPieces = fc.array(fc.oneof({ weight: 2, arbitrary: fc.constant({}) }, troubles), { maxLength: 14 });
  const anyOptions = fc
    .record({
      batchSize: fc.integer({ min: 1, max: 6 }),
      split: fc.boolean(),
      maxRetries: fc.integer({ min: 1, max: 3 }),
      policy: fc.constantFrom({}, { onItemError: "collect" } as const, { tolerate: { count: 2 } }),
      concurrency: fc.constantFrom(1, 2, 16),
    })
    .map(({ policy, ...rest }): NodeOptions<Piece> => ({ ...rest, ...policy }));

  it.each([
    ["chunked", Together],
    ["chunked in turn", InTurn],
  ] as const)(
    "makes the same calls as in memory, with the same results, whatever fails: %s",
    async (flow, Batch) => {
      await fc.assert(
        fc.asyncProperty(anyPieces, anyOptions, async (list, options) => {
          const items = list.map((piece, n) => ({ n, ...piece }));
          setOptions(options);
          const shared: Pieced = { pieces: items };
          const error = await new Flow<Pieced>(new Batch(options)).run(shared).then(
            () => null,
            (thrown: Error) => thrown,
          );
          const inMemory = chunked.calls.map(({ key: _, ...call }) => JSON.stringify(call));
          setOptions(options);
          const run = await ran(flow, { pieces: items });
          const made = chunked.calls.map(({ key: _, ...call }) => JSON.stringify(call));
          const { total, ...counts } = run.items;
          expect(total).toBe(items.length);
          expect(Object.values(counts).reduce((a, b) => a + b)).toBe(total);
          expect(run.status).toBe(error === null ? "completed" : "failed");
          // Where calls are made at once, which of several failures is the first in time is open.
          if (error === null) {
            expect((run.output as Pieced).results).toEqual(shared.results);
            expect(made.sort()).toEqual(inMemory.sort());
          } else if (flow === "chunked in turn") {
            expect(run.error).toMatchObject({ name: error.name, message: error.message });
          }
          const keys = chunked.calls.map(({ key }) => key);
          expect(new Set(keys).size).toBe(keys.length);
          expect(run.executions).toBe(made.length);
          for (const { attempt, retry } of chunked.calls) expect(retry).toBe(attempt - 1);
        }),
        { numRuns: 25 },
      );
    },
    60_000,
  );

  it("whose calls come one after the other makes them in the order of the items, halves too", async () => {
    const options = { batchSize: 8, split: true, onItemError: "collect" } as const;
    const items = pieces(16, { 0: { spoils: 9 }, 5: { spoils: 9 } });
    setOptions(options);
    await new Flow<Pieced>(new InTurn(options)).run({ pieces: items });
    const inMemory = itemLists();
    setOptions(options);
    await ran("chunked in turn", { pieces: items });
    expect(itemLists()).toEqual(inMemory);
  });

  it("has one after the other in exec where its calls are in turn, and as many as its concurrency says else", async () => {
    setOptions({ batchSize: 2, concurrency: 3 });
    const { id } = await start("chunked", { pieces: pieces(12, {}, { gate: "go" }) });
    await seen(id, { items: { running: 6, pending: 6 }, executions: 3 });
    expect(itemLists()).toHaveLength(3);
    const second = await start("chunked in turn", { pieces: pieces(12, {}, { gate: "go" }) });
    await seen(second.id, { items: { running: 2, pending: 10 }, executions: 1 });
    stage.open("go");
    expect(await finished(id)).toMatchObject({ status: "completed", executions: 6 });
    expect(await finished(second.id)).toMatchObject({ status: "completed", executions: 6 });
  });

  it("fails with the error of the call where it returns a wrong number of results", async () => {
    setOptions({ batchSize: 4, maxRetries: 2, onItemError: "collect" });
    const run = await ran("chunked", { pieces: pieces(6, { 1: { short: 1 }, 5: { short: 9 } }) });
    const words = "Expected execBatch of Together to return 2 results, one for each item in order";
    expect((run.output as Pieced).results).toEqual([
      ...[0, 10, 20, 30],
      ...Array(2).fill(expect.stringContaining(words)),
    ]);
    expect(itemLists().sort()).toEqual([
      [0, 1, 2, 3],
      [0, 1, 2, 3],
      [4, 5],
      [4, 5],
    ]);
  });

  it("tries items with an Error again without those that have a result, and lets execFallback answer for each", async () => {
    setOptions({ batchSize: 4, maxRetries: 3, onItemError: "collect" });
    const list = pieces(4, { 1: { errors: 2 }, 2: { errors: 9, isForgiven: true }, 3: { errors: 9 } });
    const run = await ran("chunked", { pieces: list });
    expect(run.output).toMatchObject({ results: [0, 10, -3, "3 fails"], posts: 1 });
    expect(itemLists()).toEqual([
      [0, 1, 2, 3],
      [1, 2, 3],
      [1, 2, 3],
    ]);
    expect(chunked.calls.map(({ attempt, retry }) => [attempt, retry])).toEqual([
      [1, 0],
      [2, 1],
      [3, 2],
    ]);
    expect((await itemsOf(run.id)).map(({ status, attempts }) => [status, attempts])).toEqual([
      ["succeeded", 1],
      ["succeeded", 3],
      ["succeeded", 3],
      ["failed", 3],
    ]);
    expect(run.executions).toBe(3);
    expectKeys(run.id);
  });

  it("fails once more items have failed than it tolerates", async () => {
    setOptions({ batchSize: 3, tolerate: { count: 2 }, concurrency: 1 });
    const exact = await ran("chunked", { pieces: pieces(9, { 1: { errors: 9 }, 4: { errors: 9 } }) });
    expect(exact).toMatchObject({ status: "completed", items: { failed: 2, succeeded: 7 } });
    const more = await ran("chunked", { pieces: pieces(9, { 1: { spoils: 9 } }) });
    expect(more).toMatchObject({ status: "failed", error: { name: "ToleranceExceededError" } });
    expect(more.items).toMatchObject({ total: 9, failed: 3, succeeded: 0, canceled: 6 });
  });

  it("waits with all items of a chunk that is to be tried again, and says when", async () => {
    setOptions({ batchSize: 3, maxRetries: 2, wait: 3600 });
    const { id } = await start("chunked", { pieces: pieces(7, { 1: { spoils: 1 }, 4: { errors: 1 } }) });
    const run = await seen(id, { status: "waiting", items: { deferred: 4, succeeded: 3, pending: 0, running: 0 } });
    expect(Date.parse(run.resumesAt as string)).toBeGreaterThan(Date.now() + 3_000_000);
    const shown = await itemsOf(id);
    expect(shown.map(({ status, attempts }) => `${status} ${attempts}`)).toEqual([
      ...["deferred 1", "deferred 1", "deferred 1", "succeeded 1", "deferred 1", "succeeded 1", "succeeded 1"],
    ]);
    expect((await itemsOf(id, "&status=deferred")).map(({ index }) => index)).toEqual([0, 1, 2, 4]);
    await crash(runOf(id));
    expect(await seen(id, { status: "waiting" })).toEqual(run);
    expect(await itemsOf(id)).toEqual(shown);
    new Clock().forward(3_601_000);
    await runDurableObjectAlarm(runOf(id));
    // The alarm of its executor is set to a time that only the test's clock has reached.
    await expect.poll(() => runDurableObjectAlarm(executorOf(id, 0))).toBe(true);
    expect(await finished(id)).toMatchObject({ status: "completed", output: { results: resultsOf(7) } });
    expect(callsOf(4).map(({ items }) => items)).toEqual([[3, 4, 5], [4]]);
  });

  it("writes no row but its items' where nothing fails, and not more to an item the more there are", async () => {
    setOptions({ batchSize: 10 });
    const { id } = await ran("chunked", { pieces: pieces(1200) });
    expect(await rows(id, "select count(*) as count from chunk")).toEqual([{ count: 0 }]);
    expect(await rows(id, "select count(*) as count from item")).toEqual([{ count: 1200 }]);
    expect(chunked.calls).toHaveLength(120);
  });

  it("gives a step without items none to execBatch", async () => {
    expect(await ran("chunked", { pieces: [] })).toMatchObject({ status: "completed", output: { results: [] } });
    expect(chunked.calls).toEqual([]);
  });
});

describe("execBatch that is missing", () => {
  it.each([BatchNode, ParallelBatchNode, AsyncBatchNode, AsyncParallelBatchNode])(
    "is refused at start-up, in either spelling: %s",
    (Base) => {
      class Missing extends (Base as typeof BatchNode) {}
      const registry = (node: () => BatchNode) =>
        new Registry({ one: () => new Flow(node()) }, { home: "object", limits: [] });
      expect(() => registry(() => new Missing({ batchSize: 3 }))).toThrow(
        /Missing, which has a `batchSize`.*execBatch/,
      );
      expect(() => registry(() => new Missing())).not.toThrow();
      class Plain extends Missing {
        override execBatch(items: unknown[]) {
          return items;
        }
      }
      class Other extends Missing {
        execBatchAsync(items: unknown[]) {
          return items;
        }
      }
      expect(() => registry(() => new Plain({ batchSize: 3 }))).not.toThrow();
      const other = () => registry(() => new Other({ batchSize: 3 }));
      if (Base.name.startsWith("Async")) expect(other).not.toThrow();
    },
  );
});

describe("text that is too much for one call", () => {
  it("cuts chunks, and comes back whole in several reports", async () => {
    setOptions({ batchSize: 10 });
    const long = "x".repeat(3_000_000);
    const list = pieces(5, { 0: { text: long }, 1: { text: long }, 2: { text: long } });
    const run = await ran("chunked", { pieces: list });
    expect(run).toMatchObject({ status: "completed", executions: 2 });
    expect(itemLists().sort()).toEqual([
      [0, 1],
      [2, 3, 4],
    ]);
    expect(await rows(run.id, "select first, status from chunk")).toEqual([{ first: 2, status: "pending" }]);
    expect((run.output as Pieced).results).toEqual(resultsOf(5));
  });

  it("of items that come by and by is cut once, though prep begins anew", async () => {
    setOptions({ batchSize: 10 });
    const text = "x".repeat(4_100_000);
    const { id } = await start("chunked as they come", {
      pieces: pieces(4, { 0: { text }, 1: { text }, 3: { gate: "prep" } }),
    });
    await stage.heard("prep 3");
    await crash(runOf(id));
    await getRun(id);
    await stage.heard("prep 3", 2);
    stage.open("prep");
    expect(await finished(id)).toMatchObject({ status: "completed", output: { results: resultsOf(4) } });
    expect(itemLists().sort()).toEqual([[0], [1, 2, 3]]);
  });

  it("of results is no more than one report's at a time", async () => {
    setOptions({ batchSize: 6, maxRetries: 2 });
    const list = pieces(6, { 5: { errors: 1 } }, { length: 1_100_000 });
    const run = await ran("chunked", { pieces: list });
    expect(run).toMatchObject({ status: "completed", executions: 2, items: { succeeded: 6 } });
    expect((run.output as { results: string[] }).results.map((text) => [text.length, text[0]])).toEqual(
      range(6).map((n) => [1_100_000, String(n)]),
    );
    expect(itemLists()).toEqual([[0, 1, 2, 3, 4, 5], [5]]);
  });

  it("of one result makes that item fail, and no other", async () => {
    setOptions({ batchSize: 3, maxRetries: 3, onItemError: "collect" });
    const run = await ran("chunked", { pieces: pieces(3, { 1: { length: 12_000_001 } }) });
    expect((run.output as Pieced).results).toEqual([
      0,
      expect.stringContaining("Expected the result of item 1 of Together to be at most"),
      20,
    ]);
    expect(chunked.calls).toHaveLength(1);
  });
});

describe("a run that loses anything at any moment", () => {
  const ITEMS = 24;
  const SIZE = 3;
  const GROUP = 2;
  const list = pieces(ITEMS).map((piece) => ({
    ...piece,
    gate: String(Math.floor(piece.n / SIZE / GROUP)),
    ...(piece.n === 4 ? { spoils: 1 } : {}),
    ...(piece.n === 14 ? { errors: 1 } : {}),
  }));
  const faults = fc.array(
    fc.record({
      group: fc.nat(ITEMS / SIZE / GROUP - 1),
      what: fc.constantFrom("run", "run", "run", "executor", "all"),
      slot: fc.nat(1),
    }),
    { minLength: 1, maxLength: 4 },
  );

  it("ends as if nothing had been; calls are repeated for no more than what was in flight, under the same keys", async () => {
    await fc.assert(
      fc.asyncProperty(faults, async (struck) => {
        stage = newStage();
        setOptions({ batchSize: SIZE, maxRetries: 3, concurrency: 4, perExecutor: 2 });
        const { id } = await start("chunked", { pieces: list });
        let lost = 0;
        for (let group = 0; group < ITEMS / SIZE / GROUP; group++) {
          const many = Math.min(ITEMS, (group * GROUP + 2) * SIZE);
          await stage.until(() => new Set(chunked.calls.flatMap(({ items }) => items)).size >= many);
          for (const { what, slot } of struck.filter((fault) => fault.group === group)) {
            const inFlight = 4;
            if (what === "run") await crash(runOf(id));
            if (what === "executor") await crash(executorOf(id, slot));
            if (what === "all") await abortAllDurableObjects();
            lost += what === "run" ? 0 : what === "all" ? inFlight : 2;
          }
          stage.open(String(group));
        }
        const run = await finished(id);
        expect(run).toMatchObject({ status: "completed", output: { results: resultsOf(ITEMS), posts: 1 } });
        expect(chunked.calls.length - (ITEMS / SIZE + 2)).toBeLessThanOrEqual(lost);
        expectKeys(id);
        // One key for each attempt, whatever was lost in between.
        expect(new Set(chunked.calls.map(({ key }) => key)).size).toBe(ITEMS / SIZE + 2);
      }),
      { numRuns: 4 },
    );
  }, 90_000);

  it("at any moment of a chunk that is halved ends with what is bad alone", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(5), { minLength: 1, maxLength: 3 }), async (moments) => {
        stage = newStage();
        setOptions({ batchSize: 8, split: true, onItemError: "collect", concurrency: 2 });
        const { id } = await start("chunked", { pieces: pieces(8, { 5: { spoils: 9, gate: "go" } }) });
        for (let moment = 0; moment < 3; moment++) {
          await stage.until(() => callsOf(5).length > moment);
          if (moments.includes(moment)) await crash(runOf(id));
          stage.open("go");
          if (moments.includes(moment + 3)) await crash(runOf(id));
        }
        const run = await finished(id);
        const results = resultsOf(8).map((result) => (result === 50 ? "5 spoils all" : result));
        expect(run.output).toMatchObject({ results });
        expect(itemLists().length).toBe(7);
        expectKeys(id);
      }),
      { numRuns: 5 },
    );
  }, 60_000);
});

describe("by hand, an executor of chunks", () => {
  async function begin(list: Piece[], options: NodeOptions<Piece>): Promise<{ run: ChunkedByHand; one: Hand }> {
    setOptions({ perExecutor: 2, concurrency: 2, ...options });
    const run = await ChunkedByHand.start(list);
    const [order] = await run.orders(1);
    if (!order) throw new Error("Nobody is called");
    return { run, one: await run.entered(order, "one") };
  }

  it("that does not know of them is refused", async () => {
    setOptions({ batchSize: 4 });
    const run = await ChunkedByHand.start(pieces(4));
    const [order] = await run.orders(1);
    if (!order) throw new Error("Nobody is called");
    const { hasChunks: _, ...older } = JSON.parse(fingerprint()) as { hasChunks: boolean };
    expect(await run.enter(order, "old", JSON.stringify(older))).toBeNull();
    expect(await look(run.id)).toMatchObject({ executions: 0, items: { pending: 4 } });
    expect((await run.entered(order, "new")).given).toEqual([[0, 1, 2, 3]]);
  });

  it("shows every item of a chunk as it stands", async () => {
    const { run, one } = await begin(pieces(6), { batchSize: 2, maxRetries: 3, wait: 60 });
    expect(one.given).toEqual([
      [0, 1],
      [2, 3],
    ]);
    const statuses = async () => (await itemsOf(run.id)).map(({ status, attempts }) => `${status} ${attempts}`);
    expect(await statuses()).toEqual([...Array(4).fill("running 0"), "pending 0", "pending 0"]);
    const [first, second] = one.claims;
    if (!first || !second) throw new Error("There are not two");
    await one.report([failed(first), someOf(second, [3])], false);
    expect(await statuses()).toEqual([
      "deferred 1",
      "deferred 1",
      "running 0",
      "succeeded 1",
      "pending 0",
      "pending 0",
    ]);
    expect(await look(run.id)).toMatchObject({ items: { deferred: 2, running: 1, succeeded: 1, pending: 2 } });
    const items = await itemsOf(run.id);
    await crash(runOf(run.id));
    expect(await itemsOf(run.id)).toEqual(items);
    expect((await itemsOf(run.id, "&status=running")).map(({ index }) => index)).toEqual([2]);
    await one.report([partsOf(second, {}, [2])], false);
    expect(await statuses()).toEqual([
      ...["deferred 1", "deferred 1", "succeeded 1", "succeeded 1", "pending 0", "pending 0"],
    ]);
    await cancel(run.id);
    expect((await statuses()).map((status) => status.split(" ")[0])).toEqual([
      ...["canceled", "canceled", "succeeded", "succeeded", "canceled", "canceled"],
    ]);
  });

  it("gets what is left of a chunk under another key, with how often it was tried", async () => {
    const { one } = await begin(pieces(3), { batchSize: 3, maxRetries: 3 });
    await one.report([partsOf(one.claim, { 1: busy, 2: busy })]);
    expect(one.given).toEqual([[1, 2]]);
    expect(one.claim).toMatchObject({ index: 0, attempts: 1, isLast: false, chunk: { end: 3 } });
    await one.report([partsOf(one.claim, { 1: busy })]);
    expect(one.given).toEqual([[1]]);
    expect(one.claim).toMatchObject({ index: 0, attempts: 2, isLast: true });
  });

  it("goes on through a redrive with the call that it has made, however often that was tried before", async () => {
    const { run, one } = await begin(pieces(4), { batchSize: 2, maxRetries: 3 });
    const [first, second] = one.claims;
    if (!first || !second) throw new Error("There are not two");
    await one.report([failed(first)]);
    const again = one.claim;
    expect(again).toMatchObject({ index: 0, attempts: 1 });
    await one.report([failed(second, fatal)]);
    await seen(run.id, { status: "failed" });
    await retry(run.id);
    await seen(run.id, { status: "running", items: { running: 2, pending: 2 } });
    await one.report([partsOf(again)]);
    await seen(run.id, { items: { succeeded: 2 } });
    expect((await itemsOf(run.id)).map(({ attempts, redrives }) => [attempts, redrives]).slice(0, 2)).toEqual([
      [2, 0],
      [2, 0],
    ]);
  });

  it("brings results to a run that has failed, and no failures", async () => {
    const { run, one } = await begin(pieces(4), { batchSize: 2 });
    const [first, second] = one.claims;
    if (!first || !second) throw new Error("There are not two");
    await one.report([failed(first, fatal)]);
    await seen(run.id, { status: "failed" });
    await one.report([partsOf(second, { 3: fatal })]);
    const statuses = (await itemsOf(run.id)).map(({ status }) => status);
    expect(statuses).toEqual(["failed", "failed", "succeeded", "canceled"]);
  });

  it("is heard once when its answer is lost: the halves of its chunk have all their attempts", async () => {
    const { run, one } = await begin(pieces(4), { batchSize: 4, split: true, onItemError: "collect" });
    const whole = failed(one.claim, fatal);
    await one.unheard([whole]);
    await one.report([whole]);
    expect(one.given).toEqual([
      [0, 1],
      [2, 3],
    ]);
    expect(await look(run.id)).toMatchObject({ items: { failed: 0, running: 4 } });
  });

  it("gets the halves of its chunk though the run's object is lost as soon as there are halves", async () => {
    const { run, one } = await begin(pieces(8), { batchSize: 4, split: true, onItemError: "collect" });
    // It takes no more, and has another call in exec still.
    await one.report([failed(one.claim, fatal)], false);
    expect(await look(run.id)).toMatchObject({ items: { pending: 4, running: 4 } });
    await crash(runOf(run.id));
    expect(await look(run.id)).toMatchObject({ items: { pending: 4, running: 4 } });
  });

  it("that has become stale counts by its results alone, and once, though its chunk was split since", async () => {
    const { run, one } = await begin(pieces(4), { batchSize: 4, split: true, onItemError: "collect" });
    const stale = one.claim;
    const [order] = await run.orders(1);
    if (!order) throw new Error("Nobody is called");
    const two = await run.entered(order, "two");
    expect(two.given).toEqual([[0, 1, 2, 3]]);
    await two.report([failed(two.claim, fatal)]);
    expect(two.given).toEqual([
      [0, 1],
      [2, 3],
    ]);
    const [lower, upper] = two.claims;
    if (!lower || !upper) throw new Error("There are not two");
    expect(await one.report([partsOf(stale, { 1: fatal })])).toMatchObject({ isStopped: true });
    expect(await look(run.id)).toMatchObject({ items: { succeeded: 3, running: 1, failed: 0 } });
    await one.report([failed(stale, fatal)]);
    expect(await look(run.id)).toMatchObject({ items: { succeeded: 3, running: 1, failed: 0 } });
    await two.report([partsOf(lower, { 0: fatal }), partsOf(upper, { 2: fatal })]);
    const run2 = await finished(run.id);
    expect(run2).toMatchObject({ status: "completed", items: { succeeded: 4, failed: 0 } });
    expect((await itemsOf(run.id)).map(({ attempts }) => attempts)).toEqual([1, 1, 1, 1]);
  });

  it.each([true, false])(
    "that a chunk ends gets it alone in the end, and only the poison item fails where it is split: %s",
    async (split) => {
      const clock = new Clock();
      const { run } = await begin(pieces(4), { batchSize: 2, split, onItemError: "collect", perExecutor: 4 });
      let entries = 0;
      const dead: number[][] = [];
      // What ends its executor is item 1. Others come and go.
      for (let times = 0; times < 60; times++) {
        const { finishedAt } = await look(run.id);
        if (finishedAt !== null) break;
        const slots = new Map((await run.orders(1)).map((order) => [order.slot, order]));
        for (const order of slots.values()) {
          const reply = await run.enter(order, `entry ${++entries}`);
          if (!reply) continue;
          const hand = new Hand(run.id, order, reply);
          for (let reports = 0; hand.claims.length > 0 && reports < 9; reports++) {
            const poison = hand.claims.find(({ chunk }) => chunk?.indexes.includes(1));
            if (poison) dead.push(hand.claims.flatMap(({ chunk }) => chunk?.indexes ?? []));
            if (poison) break;
            await hand.report(hand.claims.map((claim) => partsOf(claim)));
          }
        }
        await clock.pass(run.id, 8000);
      }
      const end = await finished(run.id);
      expect(end).toMatchObject({ status: "completed", items: split ? { failed: 1 } : { failed: 2 } });
      const message = expect.stringContaining("exec ended its executor 5 times");
      const failures = (await itemsOf(run.id)).filter(({ status }) => status === "failed");
      expect(failures).toMatchObject((split ? [1] : [0, 1]).map((index) => ({ index, error: { message } })));
      // Beside the first entry's: once more beside others, then alone; and three times as small as it gets.
      expect(dead.slice(1).every((together) => together.length <= 2)).toBe(true);
      expect(dead).toHaveLength(split ? 4 + 3 : 4);
    },
  );
});

describe("a run that is canceled", () => {
  it("keeps what calls in exec bring after all, and makes no other call", async () => {
    setOptions({ batchSize: 2, concurrency: 2, split: true, maxRetries: 3 });
    const { id } = await start("chunked", { pieces: pieces(8, { 3: { spoils: 9 } }, { gate: "go" }) });
    await stage.heard("call 2 3");
    await cancel(id);
    await stage.heard("abort 0 1");
    stage.open("go");
    const run = await seen(id, { status: "canceled", items: { succeeded: 2, canceled: 6, failed: 0 } });
    expect(run.executions).toBe(2);
    expect(chunked.calls).toHaveLength(2);
  });
});

describe("a run that is paused", () => {
  it("lets its calls end, and makes the others once it is resumed", async () => {
    setOptions({ batchSize: 2, concurrency: 2, maxRetries: 2 });
    const { id } = await start("chunked", { pieces: pieces(8, { 2: { errors: 1 } }, { gate: "go" }) });
    await stage.heard("call 2 3");
    expect((await post(`/runs/${id}/pause`)).status).toBe(202);
    stage.open("go");
    await seen(id, { status: "paused", items: { running: 0, succeeded: 3, pending: 5 } });
    expect(chunked.calls).toHaveLength(2);
    await crash(runOf(id));
    await post(`/runs/${id}/resume`);
    expect(await finished(id)).toMatchObject({ status: "completed", output: { results: resultsOf(8) } });
    expect(itemLists().sort()).toEqual([[0, 1], [2], [2, 3], [4, 5], [6, 7]]);
  });
});

describe("a redrive", () => {
  async function again(id: string): Promise<{ run: Run; calls: typeof chunked.calls }> {
    const before = chunked.calls.length;
    chunked.isMended = true;
    const run = await redriven(id);
    return { run, calls: chunked.calls.slice(before) };
  }

  it.each([
    ["failed", {}, { 4: { errors: 9 } }],
    ["collected", { onItemError: "collect" }, { 1: { errors: 9 }, 4: { spoils: 9 } }],
    ["failed", { split: true }, { 4: { spoils: 9 } }],
    ["collected", { split: true, onItemError: "collect" }, { 4: { spoils: 9 }, 8: { errors: 9 } }],
  ] as const)("of what %s executes what has no result, under other keys: %j", async (_, options, bad) => {
    setOptions({ batchSize: 3, concurrency: 1, maxRetries: 2, ...options });
    const first = await ran("chunked", { pieces: pieces(10, bad) });
    const keys = new Set(chunked.calls.map(({ key }) => key));
    expect(keys.size).toBe(chunked.calls.length);
    const left = (await itemsOf(first.id)).filter(({ status }) => status !== "succeeded").map(({ index }) => index);
    expect(left.length).toBeGreaterThan(0);
    expect(left.length).toBeLessThan(10);
    const { run, calls } = await again(first.id);
    expect(run).toMatchObject({ status: "completed", completionReason: "all-succeeded", redriveCount: 1 });
    expect(run.output).toMatchObject({ results: resultsOf(10) });
    expect(calls.flatMap(({ items }) => items).sort((a, b) => a - b)).toEqual(left);
    expect(calls.length).toBeLessThanOrEqual(4);
    for (const { key, attempt } of calls) expect([keys.has(key), attempt]).toEqual([false, 1]);
    const failed = Object.keys(bad).map(Number);
    for (const { index, redrives } of await itemsOf(run.id)) if (failed.includes(index)) expect(redrives).toBe(1);
  });

  it("of one that fails again has other keys each time", async () => {
    setOptions({ batchSize: 3, maxRetries: 2, onItemError: "collect", split: true });
    const { id } = await ran("chunked", { pieces: pieces(3, { 1: { spoils: 9 } }) });
    await redriven(id);
    await crash(runOf(id));
    await redriven(id);
    const keys = callsOf(1).map(({ key }) => key);
    expect(new Set(keys).size).toBe(keys.length);
    expect((await itemsOf(id))[1]).toMatchObject({ status: "failed", attempts: 2, redrives: 2 });
    const { run } = await again(id);
    expect(run).toMatchObject({ status: "completed", output: { results: resultsOf(3) } });
  });

  it("in which a chunk is halved counts as one of each of its items", async () => {
    setOptions({ batchSize: 4, onItemError: "collect" });
    const { id } = await ran("chunked", { pieces: pieces(4, { 1: { spoils: 9 } }) });
    chunked.options = { ...chunked.options, split: true };
    await crash(runOf(id));
    const run = await redriven(id);
    expect(run.items).toMatchObject({ succeeded: 3, failed: 1 });
    expect((await itemsOf(id)).map(({ redrives }) => redrives)).toEqual([1, 1, 1, 1]);
    expect(new Set(chunked.calls.map(({ key }) => key)).size).toBe(chunked.calls.length);
  });

  it("of a canceled run goes on with what is left, and takes what was in exec still for that", async () => {
    setOptions({ batchSize: 3, concurrency: 2, maxRetries: 2 });
    const { id } = await start("chunked", {
      pieces: pieces(9, { 0: { gate: "first" }, 4: { errors: 1, gate: "go" } }),
    });
    await stage.heard("call 3 4 5");
    stage.open("go");
    await seen(id, { items: { succeeded: 6 } });
    await cancel(id);
    expect(await getRun(id)).toMatchObject({ status: "canceled" });
    stage.open("first");
    await seen(id, { items: { succeeded: 9 } });
    const { run, calls } = await again(id);
    expect(run).toMatchObject({ status: "completed", output: { results: resultsOf(9) } });
    expect(calls).toEqual([]);
  });

  it("of a run that failed while others of its calls were in exec lets these end, and repeats none", async () => {
    setOptions({ batchSize: 2, concurrency: 2 });
    const { id } = await start("chunked", { pieces: pieces(4, { 0: { gate: "late" }, 2: { errors: 9 } }) });
    await seen(id, { status: "failed", items: { succeeded: 1, failed: 1, canceled: 2 } });
    chunked.isMended = true;
    await retry(id);
    await stage.until(() => callsOf(2).length === 2);
    stage.open("late");
    const run = await finished(id);
    expect(run).toMatchObject({ status: "completed", output: { results: resultsOf(4) } });
    expect(itemLists().sort()).toEqual([[0, 1], [2], [2, 3]]);
  });
});

describe("a branch that is stopped", () => {
  it("is no more called for, keeps what its calls bring, and goes on with the rest when it is redriven", async () => {
    setOptions({ batchSize: 2, concurrency: 2, maxRetries: 2 });
    const { id } = await start("chunked branches", { pieces: pieces(8, { 3: { errors: 1 } }, { gate: "go" }) });
    await stage.heard("call 2 3");
    stage.open("fail");
    await seen(id, { status: "failed" });
    await crash(runOf(id));
    stage.open("go");
    await seen(id, { items: { succeeded: 3, canceled: 5 } });
    expect(chunked.calls).toHaveLength(2);
    chunked.isMended = true;
    const run = await redriven(id);
    expect(run).toMatchObject({ status: "completed", items: { succeeded: 8, canceled: 0 } });
    expect(itemLists().sort()).toEqual([[0, 1], [2, 3], [3], [4, 5], [6, 7]]);
    expectKeys(id);
  });
});

describe("a deploy", () => {
  async function deployed(after: NodeOptions<Piece>): Promise<Run> {
    setOptions({ batchSize: 3, concurrency: 2 });
    const { id } = await start("chunked", { pieces: pieces(12, {}, { gate: "go" }) });
    await stage.heard("call 3 4 5");
    chunked.options = after;
    await crash(runOf(id));
    await getRun(id);
    stage.open("go");
    return finished(id);
  }

  it("that changes batchSize leaves a step that has begun as it is", async () => {
    const run = await deployed({ batchSize: 5, concurrency: 2 });
    expect(run).toMatchObject({ status: "completed", output: { results: resultsOf(12) } });
    expect(itemLists().sort((a, b) => (a[0] ?? 0) - (b[0] ?? 0))).toEqual([0, 3, 6, 9].map((n) => [n, n + 1, n + 2]));
  });

  it("that takes batchSize away lets a step that has begun go on all the same, and end", async () => {
    const run = await deployed({ concurrency: 2 });
    expect(run).toMatchObject({ status: "completed", output: { results: resultsOf(12) } });
  });

  it("that gives a node a batchSize lets a step that has begun go on item by item", async () => {
    setOptions({ concurrency: 2 });
    const { id } = await start("chunked", { pieces: pieces(6, {}, { gate: "go" }) });
    await stage.heard("call 1");
    chunked.options = { batchSize: 3, concurrency: 2 };
    await crash(runOf(id));
    await getRun(id);
    stage.open("go");
    expect(await finished(id)).toMatchObject({ status: "completed", output: { results: resultsOf(6) } });
    expect(new Set(itemLists().map((items) => items.length))).toEqual(new Set([1]));
    expect(await rows(id, "select body->>'$.batchSize' as size from step where total > 0")).toEqual([{ size: null }]);
  });
});
