import { test } from "@fast-check/vitest";
import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { checkResults, chunksOf, middleOf } from "../../src/core/chunks.ts";
import {
  AsyncBatchNode,
  AsyncParallelBatchNode,
  BatchNode,
  type Emitted,
  type ExecContext,
  Flow,
  type NodeOptions,
  NonRetryableError,
  type Outcome,
  ParallelBatchNode,
  RetryAfterError,
} from "../../src/index.ts";
import { type Hooks, type Spelling, spellings } from "./spelling.ts";
import { gate, gates, range, settled, stopTime } from "./support.ts";

type Batch = BatchNode | ParallelBatchNode;
type ExecBatch = (items: never[], context: ExecContext) => unknown;
type Make = (hooks: Hooks & { execBatch: ExecBatch }, options: NodeOptions) => Batch;

/** `execBatch` has one name in both spellings. */
function withExecBatch(make: Spelling["batch"] | Spelling["parallel"]): Make {
  return ({ execBatch, ...hooks }, options) => {
    const node: Batch = make(hooks, options);
    Object.defineProperty(Object.getPrototypeOf(node), "execBatch", { value: execBatch });
    return node;
  };
}

const kinds = spellings.flatMap(({ spelling, batch, parallel }) => [
  { kind: `a batch node ${spelling}`, isParallel: false, makeSingle: batch, make: withExecBatch(batch) },
  { kind: `a parallel batch node ${spelling}`, isParallel: true, makeSingle: parallel, make: withExecBatch(parallel) },
]);

/** A call of execBatch. */
interface Call {
  items: number[];
  attempt: number;
  key: string;
}

/** An execBatch over numbers that writes down its calls, and what `post` and `execFallback` got. */
function recording(answer: (items: number[], context: ExecContext, call: number) => unknown, items: unknown) {
  const calls: Call[] = [];
  const fallbacks: [item: number, message: string][] = [];
  const results: unknown[] = [];
  const hooks = {
    prep: () => items,
    exec() {
      throw new Error("exec is not called");
    },
    execBatch(taken: number[], context: ExecContext) {
      calls.push({ items: [...taken], attempt: context.attempt, key: context.idempotencyKey });
      return answer(taken, context, calls.length);
    },
    execFallback(item: number, error: Error) {
      fallbacks.push([item, error.message]);
      return `fallback of ${item}`;
    },
    post(_shared: object, _prepRes: unknown, execRes: unknown[]) {
      results.push(...execRes);
    },
  };
  return { calls, fallbacks, results, hooks, itemsOf: () => calls.map((call) => call.items) };
}

const doubled = (items: number[]) => items.map((item) => item * 2);

describe.each(kinds)("$kind with a batchSize", ({ make }) => {
  stopTime();

  /** Runs it to its end, whatever it waits for. */
  async function runOf(node: Batch) {
    const run = node.run({});
    run.catch(() => {});
    await vi.runAllTimersAsync();
    return run;
  }

  it.each([
    [1, [[0], [1], [2], [3], [4], [5], [6]]],
    [2, [[0, 1], [2, 3], [4, 5], [6]]],
    [3, [[0, 1, 2], [3, 4, 5], [6]]],
    [6, [[0, 1, 2, 3, 4, 5], [6]]],
    [7, [[0, 1, 2, 3, 4, 5, 6]]],
    [1000, [[0, 1, 2, 3, 4, 5, 6]]],
  ])(
    "of %i calls execBatch with so many items in order, and gives post all results in order",
    async (batchSize, expected) => {
      const { hooks, results, itemsOf } = recording(doubled, range(7));
      await runOf(make(hooks, { batchSize }));
      expect(itemsOf()).toEqual(expected);
      expect(results).toEqual([0, 2, 4, 6, 8, 10, 12]);
    },
  );

  it.each([
    ["an empty list", []],
    ["nothing", undefined],
    ["null", null],
  ])("makes no call for %s", async (_, items) => {
    const { hooks, calls } = recording(doubled, items);
    const post = vi.fn();
    await runOf(make({ ...hooks, post }, { batchSize: 3 }));
    expect(calls).toEqual([]);
    expect(post.mock.calls[0]?.slice(0, 3)).toEqual([{}, items, []]);
  });

  it.each([
    ["a Set", () => new Set([1, 2, 3])],
    ["a generator", () => [1, 2, 3].values()],
    [
      "an async generator",
      async function* () {
        yield* [1, 2];
        await Promise.resolve();
        yield 3;
      },
    ],
  ])("takes the items of %s", async (_, source) => {
    const { hooks, results, itemsOf } = recording(doubled, source());
    await runOf(make(hooks, { batchSize: 2 }));
    expect(itemsOf()).toEqual([[1, 2], [3]]);
    expect(results).toEqual([2, 4, 6]);
  });

  it("takes results that come later, and lists and nothing as results", async () => {
    const answers = [undefined, null, [1, 2], []];
    const { hooks, results } = recording(async () => {
      await Promise.resolve();
      return answers;
    }, range(4));
    await runOf(make(hooks, { batchSize: 4 }));
    expect(results).toEqual(answers);
  });

  it("is the node in execBatch, with its params and fields", async () => {
    const { hooks, results } = recording(doubled, range(2));
    function execBatch(this: { _params: object; greeting: string }, items: number[]) {
      return items.map((item) => [item, this._params, this.greeting]);
    }
    const node = make({ ...hooks, execBatch }, { batchSize: 2 });
    Object.assign(node, { greeting: "hello" });
    await runOf(node.setParams({ lang: "fr" }));
    expect(results).toEqual(range(2).map((item) => [item, { lang: "fr" }, "hello"]));
  });

  it("may empty the list that execBatch is given", async () => {
    const items = range(4);
    const { hooks, results } = recording((taken) => taken.splice(0).map((item) => item + 1), items);
    await runOf(make(hooks, { batchSize: 2 }));
    expect(results).toEqual([1, 2, 3, 4]);
    expect(items).toEqual(range(4));
  });

  it("calls again with only the items that came back as Errors, and keeps the others' results", async () => {
    const { hooks, results, calls } = recording(
      (items, { attempt }) => items.map((item) => (item % 3 >= attempt ? new Error(`no ${item}`) : `${item}`)),
      range(6),
    );
    await runOf(make(hooks, { batchSize: 6, maxRetries: 3 }));
    expect(calls.map(({ items, attempt }) => ({ items, attempt }))).toEqual([
      { items: [0, 1, 2, 3, 4, 5], attempt: 1 },
      { items: [1, 2, 4, 5], attempt: 2 },
      { items: [2, 5], attempt: 3 },
    ]);
    expect(results).toEqual(range(6).map(String));
  });

  it("falls back for each item that came back as an Error to the last, with its own error", async () => {
    const { hooks, results, fallbacks, itemsOf } = recording(
      (items, { attempt }) => items.map((item) => (item % 2 ? new Error(`${item} ${attempt}`) : item)),
      range(4),
    );
    await runOf(make(hooks, { batchSize: 4, maxRetries: 2 }));
    expect(itemsOf()).toEqual([range(4), [1, 3]]);
    expect(fallbacks).toEqual([
      [1, "1 2"],
      [3, "3 2"],
    ]);
    expect(results).toEqual([0, "fallback of 1", 2, "fallback of 3"]);
  });

  it("gives no further attempt to an item whose Error says so, or of which retryIf does", async () => {
    const { hooks, fallbacks, itemsOf } = recording(
      ([...items]) =>
        items.map((item) => [new NonRetryableError("final"), new Error("judged"), new Error("again")][item]),
      range(3),
    );
    const retryIf = vi.fn((error: Error) => error.message === "again");
    await runOf(make(hooks, { batchSize: 3, maxRetries: 3, retryIf }));
    expect(itemsOf()).toEqual([[0, 1, 2], [2], [2]]);
    expect(fallbacks.map(([item]) => item)).toEqual([0, 1, 2]);
    expect(retryIf.mock.calls.map(([error]) => error.message)).toEqual(["judged", "again", "again", "again"]);
  });

  it("makes a call that throws again with all of its items, and falls back for each with what it threw", async () => {
    const { hooks, results, fallbacks, itemsOf } = recording((items, _context, call) => {
      if (items[0] === 2 || call === 1) throw new Error(`call ${call}`);
      return doubled(items);
    }, range(4));
    const node = make(hooks, { batchSize: 2, maxRetries: 2, concurrency: 1 });
    await runOf(node);
    expect(itemsOf()).toEqual([
      [0, 1],
      [0, 1],
      [2, 3],
      [2, 3],
    ]);
    expect(fallbacks).toEqual([
      [2, "call 4"],
      [3, "call 4"],
    ]);
    expect(results).toEqual([0, 2, "fallback of 2", "fallback of 3"]);
  });

  it("counts calls that threw and calls of which an item failed alike", async () => {
    const { hooks, results, itemsOf } = recording((items, { attempt }) => {
      if (attempt === 1) return items.map((item) => (item === 0 ? item : new Error("partly")));
      if (attempt === 2) throw new Error("wholly");
      return items.map((item) => (item === 1 ? item : new Error("partly again")));
    }, range(3));
    await runOf(make(hooks, { batchSize: 3, maxRetries: 3 }));
    expect(itemsOf()).toEqual([
      [0, 1, 2],
      [1, 2],
      [1, 2],
    ]);
    expect(results).toEqual([0, 1, "fallback of 2"]);
  });

  it.each([
    ["too few", [1, 2], "2"],
    ["too many", [1, 2, 3, 4], "4"],
    ["none", [], "0"],
    ["nothing", undefined, "undefined"],
    ["null", null, "null"],
    ["a text", "abc", "a string"],
    ["an object", { length: 3 }, "an object"],
    ["a Set", new Set([1, 2, 3]), "an instance of Set"],
  ])("takes %s for a failure of the call, which is made again", async (_, wrong, got) => {
    const errors: Error[] = [];
    const post = vi.fn();
    const once = recording((items, { attempt }) => (attempt === 1 ? wrong : doubled(items)), range(3));
    await runOf(make({ ...once.hooks, post }, { batchSize: 3, maxRetries: 2 }));
    expect(post.mock.calls[0]?.[2]).toEqual([0, 2, 4]);

    const always = recording(() => wrong, range(3));
    const execFallback = (_item: number, error: Error) => void errors.push(error);
    await runOf(make({ ...always.hooks, execFallback }, { batchSize: 3, maxRetries: 2, name: "texts" }));
    expect(always.calls).toHaveLength(2);
    const message = `Expected execBatch of texts to return 3 results, one for each item in order (an Error for one that failed), got ${got}`;
    expect(errors).toEqual(range(3).map(() => new TypeError(message)));
  });

  it("expects as many results as there are items left, not as the chunk had", async () => {
    const { hooks, results } = recording(
      (items, { attempt }) =>
        attempt === 1
          ? [0, new Error("no"), 2]
          : attempt === 2
            ? [0, "too many", 2]
            : items.map((item) => `late ${item}`),
      range(3),
    );
    await runOf(make(hooks, { batchSize: 3, maxRetries: 3 }));
    expect(results).toEqual([0, "late 1", 2]);
  });

  it("is an error where there is no execBatch, which names the class", async () => {
    for (const Class of [BatchNode, ParallelBatchNode, AsyncBatchNode, AsyncParallelBatchNode]) {
      class Texts extends (Class as typeof BatchNode) {
        override prep = () => [1, 2, 3];
      }
      await expect(runOf(new Texts({ batchSize: 2 }))).rejects.toThrow(
        new TypeError(
          "Expected Texts, which has a `batchSize`, to have `execBatch(items)` with a result for each item",
        ),
      );
    }
  });

  it("waits between two calls as one item does, and for the longest of its items' waits", async () => {
    const asked = gate();
    const timesMs: number[] = [];
    const { hooks } = recording((items, { attempt }) => {
      timesMs.push(nowMs);
      if (attempt === 3) asked.open();
      if (attempt === 2) throw new Error("wholly");
      return items.map((item) => {
        if (attempt > 1 || item === 0) return item;
        return item === 2 ? new RetryAfterError("later", { retryAfterMs: 7000 }) : new Error("soon");
      });
    }, range(4));
    let nowMs = 0;
    const run = make(hooks, { batchSize: 4, maxRetries: 3, wait: 1, backoff: 3 }).run({});
    for (const _ of range(30)) {
      await vi.advanceTimersByTimeAsync(500);
      nowMs += 500;
    }
    await asked.promise;
    await run;
    expect(timesMs.map((ms) => Math.ceil(ms / 1000))).toEqual([0, 7, 10]);
  });

  it("does not wait after the last call", async () => {
    const { hooks, fallbacks } = recording(() => Promise.reject(new Error("no")), range(2));
    const run = make(hooks, { batchSize: 2, wait: 10, split: true }).run({});
    await run;
    expect(fallbacks).toHaveLength(2);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("gives a call as long as its timeout says, aborts its signal, and makes it again", async () => {
    const signals: AbortSignal[] = [];
    const { hooks, results } = recording(
      (items, { attempt, signal }) => {
        signals.push(signal);
        return attempt === 1 ? new Promise(() => {}) : doubled(items);
      },
      [1, 2],
    );
    const run = make(hooks, { batchSize: 2, maxRetries: 2, timeout: 5 }).run({});
    await vi.advanceTimersByTimeAsync(4999);
    expect(signals.map((signal) => signal.aborted)).toEqual([false]);
    await vi.advanceTimersByTimeAsync(1);
    await run;
    expect(results).toEqual([2, 4]);
    expect(signals.map((signal) => signal.aborted)).toEqual([true, false]);
    expect(signals[0]?.reason).toMatchObject({
      name: "TimeoutError",
      message: "execBatch did not end within its timeout of 5 s",
    });
  });

  it("counts the calls of each chunk in currentRetry, in execBatch and in execFallback", async () => {
    const seen: string[] = [];
    const node = make(
      {
        prep: () => range(4),
        async execBatch(this: Batch, items: number[]) {
          await Promise.resolve();
          seen.push(`${items} ${this.currentRetry}`);
          if (items[0] === 0) throw new Error("no");
          return items.map((item) => (this.currentRetry === 0 ? new Error("not yet") : item));
        },
        execFallback(item: number) {
          seen.push(`fallback of ${item} ${this.currentRetry}`);
        },
      },
      { batchSize: 2, maxRetries: 2 },
    );
    await runOf(node);
    expect(seen.toSorted()).toEqual(
      ["0,1 0", "0,1 1", "fallback of 0 1", "fallback of 1 1", "2,3 0", "2,3 1"].toSorted(),
    );
  });

  it("tells the index of a call's first item of what the call emits", async () => {
    const told: Emitted[] = [];
    const { hooks } = recording((items, { attempt }) => {
      if (items.length > 1 && items.includes(5)) throw new NonRetryableError("splits");
      return items.map((item) => (attempt === 1 && item === 2 ? new Error("again") : item));
    }, range(6));
    const execBatch = (items: number[], context: ExecContext) => {
      context.emit(items.join());
      return hooks.execBatch(items, context);
    };
    const node = make({ ...hooks, execBatch }, { batchSize: 4, maxRetries: 2, split: true, name: "talker" });
    await new Flow(node).run({}, { onEmit: (event) => told.push(event) });
    const texts = told.map(({ node, index, data }) => `${node} ${index}: ${data}`);
    expect(texts.toSorted()).toEqual([
      "talker 0: 0,1,2,3",
      "talker 0: 2",
      "talker 4: 4",
      "talker 4: 4,5",
      "talker 5: 5",
    ]);
  });

  it("lets a call settle what it used, and refuses what cannot be", async () => {
    const { hooks, fallbacks, results } = recording(doubled, range(4));
    const execBatch = (items: number[], context: ExecContext) => {
      context.settle(items.includes(2) ? -1 : 250);
      return items;
    };
    await runOf(make({ ...hooks, execBatch }, { batchSize: 2 }));
    expect(results).toEqual([0, 1, "fallback of 2", "fallback of 3"]);
    expect(fallbacks[0]?.[1]).toBe("Expected `settle` to be told a number of tokens, 0 or more, got `-1`");
  });

  it("fails as its first item that failed for good, and skips post", async () => {
    const errors = range(4).map((item) => new Error(`item ${item}`));
    const post = vi.fn();
    const { hooks } = recording((items) => items.map((item) => (item > 0 ? errors[item] : item)), range(4));
    const { execFallback: _, ...others } = hooks;
    await expect(runOf(make({ ...others, post }, { batchSize: 4 }))).rejects.toBe(errors[1]);
    expect(post).not.toHaveBeenCalled();
  });

  it("fails as execFallback does, for each item by itself", async () => {
    const { hooks, results } = recording((items) => {
      if (items.includes(2)) throw new Error("call");
      return items.map((item) => (item === 1 ? new Error("alone") : item));
    }, range(4));
    const execFallback = (item: number, error: Error) => {
      if (item === 3) return "mended";
      throw new Error(`${error.message}, and fallback of ${item}`);
    };
    await runOf(make({ ...hooks, execFallback }, { batchSize: 2, onItemError: "collect" }));
    const told = (results as Outcome[]).map((outcome) => (outcome.ok ? outcome.value : outcome.error.message));
    expect(told).toEqual([0, "alone, and fallback of 1", "call, and fallback of 2", "mended"]);
  });

  it("gives post an Outcome of each item where failures are collected", async () => {
    const { hooks, results } = recording((items) => {
      if (items.includes(4)) throw "no error";
      return items.map((item) => (item === 1 ? new Error("alone") : item));
    }, range(6));
    const { execFallback: _, ...others } = hooks;
    await runOf(make(others, { batchSize: 2, onItemError: "collect" }));
    const thrown = "Expected an Error to be thrown, got a string: no error";
    const told = (results as Outcome[]).map((outcome) => (outcome.ok ? outcome.value : outcome.error.message));
    expect(told).toEqual([0, "alone", 2, 3, thrown, thrown]);
    expect((results as Outcome[]).map(({ ok }) => ok)).toEqual([true, false, true, true, false, false]);
  });

  it("tolerates as many failed items, not calls, as it is told", async () => {
    for (const [count, isTolerated] of [
      [3, true],
      [2, false],
    ] as const) {
      const { hooks, results } = recording((items) => {
        if (items.includes(0)) throw new Error("all three");
        return items;
      }, range(6));
      const { execFallback: _, ...others } = hooks;
      const run = runOf(make(others, { batchSize: 3, tolerate: { count }, name: "texts" }));
      if (isTolerated) await run;
      else await expect(run).rejects.toThrow("Expected at most 2 of the 6 items of texts to fail, got 3");
      expect(results).toHaveLength(isTolerated ? 6 : 0);
    }
  });

  it("carries a call of two hundred thousand items, also where it has to be made again", async () => {
    const items = range(200_000);
    const { hooks } = recording((taken, { attempt }) => {
      if (attempt === 1) throw new Error("again");
      return taken;
    }, items);
    const post = vi.fn();
    await runOf(make({ ...hooks, post }, { batchSize: 200_000, maxRetries: 2 }));
    expect(post.mock.calls[0]?.[2]).toEqual(items);
  });

  it("tells every call of every visit a key of its own", async () => {
    const keys: string[] = [];
    const { hooks } = recording((items, { idempotencyKey, attempt }) => {
      keys.push(idempotencyKey);
      if (items.includes(5)) throw new Error("bad");
      return items.map((item) => (item === 2 && attempt === 1 ? new Error("again") : item));
    }, range(9));
    const node = make(hooks, { batchSize: 4, maxRetries: 2, split: true });
    await runOf(node);
    await runOf(node);
    expect(keys).toHaveLength(2 * (2 + 2 + 2 + 1 + 2 + 1 + 1));
    expect(new Set(keys).size).toBe(keys.length);
  });
});

describe.each(kinds)("a call of $kind that has failed for good and may be split", ({ make }) => {
  stopTime();

  const failingOn = (bad: number[], makeError = () => new Error("bad")) => {
    return (items: number[]) => {
      if (items.some((item) => bad.includes(item))) throw makeError();
      return doubled(items);
    };
  };

  it("is made again in halves, each with all attempts anew, down to the item that fails alone", async () => {
    const { hooks, calls, fallbacks, results } = recording(failingOn([2]), range(5));
    await make(hooks, { batchSize: 5, maxRetries: 2, split: true }).run({});
    expect(calls.map(({ items, attempt }) => `${items} ${attempt}`)).toEqual([
      "0,1,2,3,4 1",
      "0,1,2,3,4 2",
      "0,1,2 1",
      "0,1,2 2",
      "0,1 1",
      "2 1",
      "2 2",
      "3,4 1",
    ]);
    expect(fallbacks).toEqual([[2, "bad"]]);
    expect(results).toEqual([0, 2, "fallback of 2", 6, 8]);
  });

  it("is split at once where the error says that no attempt helps, or retryIf does", async () => {
    const final = recording(
      failingOn([0], () => new NonRetryableError("final")),
      range(4),
    );
    await make(final.hooks, { batchSize: 4, maxRetries: 5, wait: 60, split: true }).run({});
    expect(final.itemsOf()).toEqual([[0, 1, 2, 3], [0, 1], [0], [1], [2, 3]]);

    const judged = recording(failingOn([0]), range(4));
    await make(judged.hooks, { batchSize: 4, maxRetries: 5, wait: 60, split: true, retryIf: () => false }).run({});
    expect(judged.itemsOf()).toEqual(final.itemsOf());
  });

  it("is split only in what is left of its items", async () => {
    const { hooks, itemsOf, results } = recording((items, { attempt }) => {
      if (items.length === 5 && attempt === 1) {
        return items.map((item) => (item % 2 ? item : new Error("again")));
      }
      if (items.includes(4)) throw new NonRetryableError("bad");
      return doubled(items);
    }, range(5));
    await make(hooks, { batchSize: 5, maxRetries: 2, split: true }).run({});
    expect(itemsOf()).toEqual([range(5), [0, 2, 4], [0, 2], [4]]);
    expect(results).toEqual([0, 1, 4, 3, "fallback of 4"]);
  });

  it("is not split for an item that came back as an Error, nor where one item is left, nor unless told to", async () => {
    const errors = recording((items) => items.map(() => new Error("no")), range(4));
    await make(errors.hooks, { batchSize: 4, maxRetries: 2, split: true }).run({});
    expect(errors.itemsOf()).toEqual([range(4), range(4)]);

    const single = recording(failingOn([0]), range(1));
    await make(single.hooks, { batchSize: 4, maxRetries: 2, split: true }).run({});
    expect(single.itemsOf()).toEqual([[0], [0]]);
    expect(single.results).toEqual(["fallback of 0"]);

    for (const split of [{}, { split: false }]) {
      const whole = recording(failingOn([0]), range(4));
      await make(whole.hooks, { batchSize: 4, maxRetries: 2, ...split }).run({});
      expect(whole.itemsOf()).toEqual([range(4), range(4)]);
      expect(whole.fallbacks.map(([item]) => item)).toEqual(range(4));
    }
  });

  it("is split for a wrong number of results as for what it throws", async () => {
    const { hooks, itemsOf, results } = recording((items) => (items.length > 1 ? [] : doubled(items)), range(3));
    await make(hooks, { batchSize: 3, split: true }).run({});
    expect(itemsOf()).toEqual([[0, 1, 2], [0, 1], [0], [1], [2]]);
    expect(results).toEqual([0, 2, 4]);
  });

  it("goes on with its second half although the first has failed", async () => {
    const { hooks, itemsOf } = recording(failingOn([0]), range(2));
    const { execFallback: _, ...others } = hooks;
    await expect(make(others, { batchSize: 2, split: true }).run({})).rejects.toThrow("bad");
    expect(itemsOf()).toEqual([[0, 1], [0], [1]]);
  });
});

describe("the number of calls of a node that splits", () => {
  const depthOf = (batchSize: number) => Math.ceil(Math.log2(batchSize));

  /** As NodeOptions says of `split`. */
  function boundOf(count: number, bad: number, batchSize: number, maxRetries: number): number {
    const depth = depthOf(batchSize);
    return Math.ceil(count / batchSize) + bad * (maxRetries * (depth + 1) + depth - 1);
  }

  /** Runs over items of which some make every call fail that has them. */
  async function callsOver(count: number, bad: ReadonlySet<number>, options: NodeOptions, isFinal = false) {
    const { hooks, calls, fallbacks, results } = recording((items) => {
      if (items.some((item) => bad.has(item))) throw isFinal ? new NonRetryableError("bad") : new Error("bad");
      return items;
    }, range(count));
    const make = options.concurrency === undefined ? kinds[0]?.make : kinds[1]?.make;
    await (make as Make)(hooks, { split: true, ...options }).run({});
    expect(fallbacks.map(([item]) => item).toSorted()).toEqual([...bad].toSorted());
    expect(results).toEqual(range(count).map((item) => (bad.has(item) ? `fallback of ${item}` : item)));
    return calls;
  }

  const worlds = fc.tuple(fc.nat(70), fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 4 })).chain((world) =>
    fc.record({
      world: fc.constant(world),
      bad: fc.uniqueArray(fc.nat(Math.max(0, world[0] - 1)), { maxLength: world[0] === 0 ? 0 : 12 }),
      isFinal: fc.boolean(),
      concurrency: fc.constantFrom(undefined, 1, 3),
    }),
  );

  test.prop([worlds], { numRuns: 150 })(
    "is at most what the option says, with a key of its own for each call",
    async ({ world: [count, batchSize, maxRetries], bad, isFinal, concurrency }) => {
      const options = { batchSize, maxRetries, ...(concurrency === undefined ? {} : { concurrency }) };
      const calls = await callsOver(count, new Set(bad), options, isFinal);
      expect(calls.length).toBeLessThanOrEqual(boundOf(count, bad.length, batchSize, isFinal ? 1 : maxRetries));
      expect(calls.length).toBeGreaterThanOrEqual(Math.ceil(count / batchSize));
      expect(new Set(calls.map(({ key }) => key)).size).toBe(calls.length);
      expect(Math.max(0, ...calls.map(({ items }) => items.length))).toBeLessThanOrEqual(batchSize);
    },
  );

  it.each([1, 2, 3])(
    "is exactly that, with %i attempts, where the first item of each of some chunks is bad",
    async (maxRetries) => {
      for (const batchSize of [...range(18).slice(1), 32, 33, 100, 128, 129]) {
        for (const chunks of [0, 1, 3]) {
          const bad = new Set(range(chunks).map((chunk) => chunk * batchSize));
          const calls = await callsOver(4 * batchSize, bad, { batchSize, maxRetries });
          expect([batchSize, calls.length]).toEqual([batchSize, boundOf(4 * batchSize, chunks, batchSize, maxRetries)]);
        }
      }
    },
  );

  it("is for one bad item as deep in the halves as any, wherever it is, if the chunk is a power of two", async () => {
    for (const batchSize of [1, 2, 4, 8, 16]) {
      for (const item of range(2 * batchSize)) {
        const calls = await callsOver(2 * batchSize, new Set([item]), { batchSize, maxRetries: 2 });
        expect(calls.length).toBe(boundOf(2 * batchSize, 1, batchSize, 2));
      }
    }
  });

  it("is less than that for more bad items than one in a chunk", async () => {
    for (const batchSize of [2, 3, 7, 16]) {
      const calls = await callsOver(batchSize, new Set(range(batchSize)), { batchSize, maxRetries: 2 });
      expect(calls.length).toBe(2 * (2 * batchSize - 1));
      expect(calls.length).toBeLessThan(boundOf(batchSize, batchSize, batchSize, 2));
    }
  });
});

describe("a batch in chunks comes to what it comes to item by item", () => {
  stopTime();

  /** How an item fails: by itself, so many times or for good, or together with its whole call, always. */
  interface Plan {
    failures: number;
    isFinal: boolean;
    throws: boolean;
  }

  interface World {
    plans: Plan[];
    options: NodeOptions;
    batchSize: number;
    fallback: "none" | "all" | "some";
    isAsync: boolean;
  }

  type End = { results: unknown } | { error: string };

  /** Runs the world with or without `batchSize`; gives how it ended and how often each item was tried by itself. */
  async function endOf(world: World, build: (hooks: Hooks & { execBatch: ExecBatch }) => Batch) {
    const tries = world.plans.map(() => 0);
    const errors = new Map<string, Error>();
    const errorOf = (item: number) => {
      const { throws, isFinal } = world.plans[item] as Plan;
      const text = throws ? "thrown" : `item ${item}`;
      const error = isFinal ? new NonRetryableError(text) : new Error(text);
      errors.set(text, errors.get(text) ?? error);
      return error;
    };
    const tryOne = (item: number): unknown => {
      const { failures } = world.plans[item] as Plan;
      tries[item] = (tries[item] as number) + 1;
      return (tries[item] as number) <= failures ? errorOf(item) : [`result ${item}`];
    };
    const all = (items: number[]) => {
      const thrower = items.find((item) => world.plans[item]?.throws);
      if (thrower !== undefined) throw errorOf(thrower);
      return items.map(tryOne);
    };
    const one = (item: number) => {
      const [result] = all([item]);
      if (result instanceof Error) throw result;
      return result;
    };
    let end: End = { error: "nothing" };
    const node = build({
      prep: () => range(world.plans.length),
      exec: world.isAsync ? async (item: number) => one(item) : one,
      execBatch: world.isAsync ? async (items: number[]) => all(items) : all,
      execFallback(item: number, error: Error) {
        if (world.fallback === "none" || (world.fallback === "some" && item % 2 === 0)) throw error;
        return `fallback of ${item} after ${error.message}`;
      },
      post: (_shared: object, _prepRes: unknown, results: unknown[]) => {
        end = { results };
      },
    });
    const run = node.run({}).catch((error: Error) => {
      end = { error: `${error.name}: ${error.message}` };
    });
    await vi.runAllTimersAsync();
    await run;
    return { end: end as End, tries };
  }

  const failsAlone = fc.record({
    failures: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 2, arbitrary: fc.nat(4) }),
    isFinal: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, fc.boolean()),
    throws: fc.constant(false),
  });
  const throws = fc.record({ failures: fc.constant(0), isFinal: fc.boolean(), throws: fc.constant(true) });

  const policies = fc.oneof(
    fc.constant({}),
    fc.constant({ onItemError: "collect" as const }),
    fc.record({ tolerate: fc.record({ count: fc.nat(4) }) }),
    fc.record({ tolerate: fc.record({ percentage: fc.integer({ min: 0, max: 100 }) }) }),
  );

  const worldsOf = (plan: fc.Arbitrary<Plan>): fc.Arbitrary<World> =>
    fc.record({
      plans: fc.array(plan, { maxLength: 14 }),
      options: fc
        .record({
          policy: policies,
          maxRetries: fc.integer({ min: 1, max: 4 }),
          wait: fc.constantFrom(0, 0, 1),
          concurrency: fc.constantFrom(undefined, 1, 2, 5),
        })
        .map(({ policy, concurrency, ...options }) => ({
          ...policy,
          ...options,
          ...(concurrency === undefined ? {} : { concurrency }),
        })),
      batchSize: fc.integer({ min: 1, max: 16 }),
      fallback: fc.constantFrom("none", "all", "some"),
      isAsync: fc.boolean(),
    });

  describe.each(kinds)("$kind", ({ isParallel, makeSingle, make }) => {
    const single = (world: World) => endOf(world, ({ execBatch: _, ...hooks }) => makeSingle(hooks, world.options));

    /** The first failure in time of a parallel batch need not be the same one. */
    function expectSame(world: World, alone: End, together: End) {
      if (!isParallel || "results" in alone || alone.error.startsWith("Tol")) return expect(together).toEqual(alone);
      const texts = world.plans.map(({ throws }, item) => (throws ? "thrown" : `item ${item}`));
      expect(together).toEqual({ error: expect.stringMatching(/^(NonRetryable)?Error: /) });
      expect(texts).toContain((together as { error: string }).error.replace(/^\w+: /, ""));
    }

    test.prop([worldsOf(failsAlone), fc.boolean()], { numRuns: 80 })(
      "where items fail by themselves, each with as many attempts",
      async (world, split) => {
        const alone = await single(world);
        const options = { ...world.options, batchSize: world.batchSize, split };
        const together = await endOf(world, (hooks) => make(hooks, options));
        expectSame(world, alone.end, together.end);
        if ("results" in alone.end) expect(together.tries).toEqual(alone.tries);
      },
    );

    test.prop([worldsOf(fc.oneof(failsAlone, throws))], { numRuns: 80 })(
      "where items make whole calls fail, which are split",
      async (world) => {
        const alone = await single(world);
        const options = { ...world.options, batchSize: world.batchSize, split: true };
        const together = await endOf(world, (hooks) => make(hooks, options));
        expectSame(world, alone.end, together.end);
        if ("results" in alone.end) expect(together.tries).toEqual(alone.tries);
      },
    );

    test.prop([worldsOf(fc.oneof({ weight: 4, arbitrary: failsAlone }, throws))], { numRuns: 80 })(
      "but that all items of a call fail that is not split",
      async (world) => {
        const { plans, batchSize } = world;
        const isLost = (item: number) => {
          const first = item - (item % batchSize);
          return plans.slice(first, first + batchSize).findIndex(({ throws }) => throws);
        };
        // Which of several throwing items a call names does not matter: their errors are alike, but for being final.
        const lost = plans.map((plan, item) => {
          const thrower = isLost(item);
          return thrower === -1 ? plan : (plans[item - (item % batchSize) + thrower] as Plan);
        });
        const alone = await single({ ...world, plans: lost });
        const together = await endOf(world, (hooks) => make(hooks, { ...world.options, batchSize }));
        expectSame(world, alone.end, together.end);
      },
    );
  });
});

describe.each(spellings)("chunks of a batch node $spelling", ({ batch }) => {
  const make = withExecBatch(batch);

  it("are called one after the other", async () => {
    const waits = gates(3);
    const { hooks, itemsOf } = recording(async (items, _context, call) => {
      await waits[call - 1]?.promise;
      return items;
    }, range(6));
    const run = make(hooks, { batchSize: 2 }).run({});
    for (const call of range(3)) {
      await settled();
      expect(itemsOf()).toEqual(
        [
          [0, 1],
          [2, 3],
          [4, 5],
        ].slice(0, call + 1),
      );
      waits[call]?.open();
    }
    await run;
  });

  it("are called no more after one that failed", async () => {
    const { hooks, itemsOf } = recording(
      (items) => items.map((item) => (item === 2 ? new Error("no") : item)),
      range(6),
    );
    const { execFallback: _, ...others } = hooks;
    await expect(make(others, { batchSize: 2 }).run({})).rejects.toThrow("no");
    expect(itemsOf()).toEqual([
      [0, 1],
      [2, 3],
    ]);
  });
});

describe.each(spellings)("chunks of a parallel batch node $spelling", ({ parallel }) => {
  const make = withExecBatch(parallel);

  it.each([
    [undefined, 4],
    [1, 1],
    [3, 3],
    [9, 4],
  ])("are called at once, with a concurrency of %s at most %i", async (concurrency, most) => {
    const waits = gates(4);
    const { hooks, calls, results } = recording(async (items) => {
      await waits[(items[0] as number) / 2]?.promise;
      return items;
    }, range(7));
    const run = make(hooks, { batchSize: 2, ...(concurrency === undefined ? {} : { concurrency }) }).run({});
    for (const chunk of range(4)) {
      await settled();
      expect(calls).toHaveLength(Math.min(4, chunk + most));
      waits[chunk]?.open();
    }
    await run;
    expect(results).toEqual(range(7));
  });

  it("keep the items' order whatever the order of completion", async () => {
    const waits = gates(3);
    const { hooks, results } = recording(async (items) => {
      await waits[(items[0] as number) / 2]?.promise;
      return items;
    }, range(6));
    const run = make(hooks, { batchSize: 2 }).run({});
    for (const chunk of [2, 0, 1]) {
      waits[chunk]?.open();
      await settled();
    }
    await run;
    expect(results).toEqual(range(6));
  });

  it("fail with the first failure in time, and what has not started never starts", async () => {
    const waits = gates<unknown>(3);
    const { hooks, calls } = recording((items) => waits[(items[0] as number) / 2]?.promise, range(6));
    const { execFallback: _, ...others } = hooks;
    const run = make(others, { batchSize: 2, concurrency: 2 }).run({});
    waits[1]?.fail(new Error("the second"));
    await expect(run).rejects.toThrow("the second");
    waits[0]?.open([0, 1]);
    await settled();
    expect(calls).toHaveLength(2);
  });

  it("have the items as they were when prep ended", async () => {
    const items = range(6);
    const first = gate();
    const { hooks, results } = recording(async (taken, { attempt }) => {
      await first.promise;
      return taken.map((item) => (attempt === 1 ? new Error("again") : item));
    }, items);
    const run = make(hooks, { batchSize: 2, concurrency: 1, maxRetries: 2 }).run({});
    items.splice(0, 6, 10, 11, 12, 13, 14, 15);
    first.open();
    await run;
    expect(results).toEqual(range(6));
  });
});

describe("the parts that chunks are made of", () => {
  test.prop([fc.nat(60), fc.integer({ min: 1, max: 70 })])(
    "are all items, in order, none twice",
    (total, batchSize) => {
      const chunks = chunksOf("visit", total, batchSize);
      expect(chunks).toHaveLength(Math.ceil(total / batchSize));
      expect(chunks.flatMap(({ first, end }) => range(end).slice(first))).toEqual(range(total));
      for (const { visit, first, end } of chunks) {
        expect(visit).toBe("visit");
        expect(end - first).toBeGreaterThan(0);
        expect(end - first).toBeLessThanOrEqual(batchSize);
      }
    },
  );

  it("have their middle where the second half begins, which is never the larger", () => {
    expect([[3, 5], [3, 5, 8], [0, 2, 4, 6], range(9)].map(middleOf)).toEqual([5, 8, 4, 5]);
  });

  it("come back as the very list that execBatch returned", () => {
    const results = [1, new Error("no"), undefined];
    expect(checkResults("texts", results, 3)).toBe(results);
    expect(() => checkResults("texts", results, 2)).toThrow(TypeError);
  });

  it("are an Outcome each in a post that says so", () => {
    class Texts extends ParallelBatchNode<{ ok: number }, Record<string, never>, string, number> {
      override execBatch(texts: string[]) {
        return texts.map((text) => (text ? text.length : new Error("empty")));
      }
      override post(shared: { ok: number }, _texts: string[], outcomes: Outcome<number>[]) {
        shared.ok = outcomes.filter(({ ok }) => ok).length;
      }
    }
    expect(new Texts({ batchSize: 2 }).execBatch(["a", ""])).toEqual([1, new Error("empty")]);
  });
});
