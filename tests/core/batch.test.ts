import { describe, expect, it, vi } from "vitest";
import { plain, type Spelling, seed, spellings } from "./spelling.ts";
import { gate, gates, range, settled } from "./support.ts";

/** Both batch nodes in both spellings: what holds for a batch whatever its order. */
const kinds = spellings.flatMap(({ spelling, batch, parallel }) => [
  { kind: `a batch node ${spelling}`, make: batch as Spelling["batch"] | Spelling["parallel"] },
  { kind: `a parallel batch node ${spelling}`, make: parallel },
]);

/** An iterable that is neither an array nor its own iterator, and one that can only be read asynchronously. */
class Pages {
  *[Symbol.iterator]() {
    yield* [1, 2, 3];
  }
}
class RemotePages {
  async *[Symbol.asyncIterator]() {
    yield* [1, 2];
    await settled();
    yield 3;
  }
}

describe.each(kinds)("$kind", ({ make }) => {
  /** What post gets when prep returns `prepared`, and exec doubles. */
  async function runOver(prepared: unknown) {
    const post = vi.fn();
    const doubling = make({ prep: () => prepared, exec: (item: number) => item * 2, post });
    const shared = {};
    await doubling.run(shared);
    const [gotShared, prepRes, results] = post.mock.calls[0] ?? [];
    expect(gotShared).toBe(shared);
    return { prepRes, results };
  }

  it("calls exec once per item and gives post the results in input order", async () => {
    const items = [3, 1, 2];
    const { prepRes, results } = await runOver(items);
    expect(results).toEqual([6, 2, 4]);
    expect(prepRes).toBe(items);
  });

  it("keeps input order whatever the order of completion", async () => {
    const waits = gates(3);
    const post = vi.fn();
    const run = make({
      prep: () => [0, 1, 2],
      async exec(item: number) {
        await waits[item]?.promise;
        return `done ${item}`;
      },
      post,
    }).run({});
    for (const index of [2, 0, 1]) {
      waits[index]?.open();
      await settled();
    }
    await run;
    expect(post.mock.calls[0]?.slice(1, 3)).toEqual([
      [0, 1, 2],
      ["done 0", "done 1", "done 2"],
    ]);
  });

  it("calls post with nothing done for an empty list", async () => {
    expect(await runOver([])).toEqual({ prepRes: [], results: [] });
  });

  it.each([undefined, null])("takes %s from prep as an empty list", async (nothing) => {
    expect((await runOver(nothing)).results).toEqual([]);
  });

  it.each([
    ["a Set", () => new Set([1, 2, 3])],
    ["an iterable of one's own", () => new Pages()],
    ["a typed array", () => new Uint8Array([1, 2, 3])],
  ])("takes the items of %s, which post gets as it is", async (_, source) => {
    const prepared = source();
    const { prepRes, results } = await runOver(prepared);
    expect(results).toEqual([2, 4, 6]);
    expect(prepRes).toBe(prepared);
  });

  it.each([
    ["a generator", () => new Pages()[Symbol.iterator]()],
    ["an array's iterator", () => [1, 2, 3].values()],
    ["an async generator", () => new RemotePages()[Symbol.asyncIterator]()],
    ["an async iterable", () => new RemotePages()],
    ["a stream", () => ReadableStream.from([1, 2, 3])],
    ["a promise of a generator", () => Promise.resolve(new Pages()[Symbol.iterator]())],
  ])("takes the items of %s, which post gets as a list, not spent", async (_, source) => {
    const { prepRes, results } = await runOver(source());
    expect(results).toEqual([2, 4, 6]);
    expect(prepRes).toEqual([1, 2, 3]);
  });

  it("takes a string for its characters, as Python does", async () => {
    const exec = vi.fn();
    await make({ prep: () => "añ😀", exec }).run({});
    expect(exec.mock.calls.map(([item]) => item)).toEqual(["a", "ñ", "😀"]);
  });

  it.each([
    [5, "a number"],
    [true, "a boolean"],
    [{ length: 1, 0: "a" }, "an object"],
    [new Date(0), "an instance of Date"],
  ])("refuses %o, which is not iterable, and skips post", async (prepared, described) => {
    const post = vi.fn();
    await expect(make({ prep: () => prepared, post }).run({})).rejects.toThrow(
      new TypeError(
        `Expected prep of Written to return items (an array, any iterable or async iterable), got ${described}`,
      ),
    );
    expect(post).not.toHaveBeenCalled();
  });

  it("rejects with the error of an item source that breaks", async () => {
    const broken = (async function* () {
      yield 1;
      throw new Error("page 2 is gone");
    })();
    await expect(make({ prep: () => broken }).run({})).rejects.toThrow("page 2 is gone");
  });

  it("passes promises among the items on as they are", async () => {
    const items = [Promise.resolve(1)];
    const exec = vi.fn();
    await make({ prep: () => items, exec }).run({});
    expect(exec.mock.calls[0]?.[0]).toBe(items[0]);
  });

  it("retries and falls back per item", async () => {
    const calls = new Map<string, number>();
    const post = vi.fn();
    await make(
      {
        prep: () => ["good", "flaky", "bad"],
        async exec(item: string) {
          const count = (calls.get(item) ?? 0) + 1;
          calls.set(item, count);
          if (item === "bad" || (item === "flaky" && count < 3)) throw new Error(`${item} ${count}`);
          return item;
        },
        execFallback: (item: string, error: Error) => `fallback of ${item} after ${error.message}`,
        post,
      },
      3,
    ).run({});
    expect(post.mock.calls[0]?.[2]).toEqual(["good", "flaky", "fallback of bad after bad 3"]);
    expect(Object.fromEntries(calls)).toEqual({ good: 1, flaky: 3, bad: 3 });
  });

  it("keeps undefined and null results in their places", async () => {
    const post = vi.fn();
    await make({ prep: () => [undefined, null, 0], exec: (item: unknown) => item, post }).run({});
    expect(post.mock.calls[0]?.[2]).toEqual([undefined, null, 0]);
  });

  it("tells each item of each run a key of its own, and the same item's attempts apart", async () => {
    const keys = new Set<string>();
    const failing = make(
      {
        prep: () => [1, 2],
        exec(_item: number, context) {
          keys.add(context.idempotencyKey);
          throw new Error("no");
        },
        execFallback: () => undefined,
      },
      2,
    );
    await failing.run({});
    await failing.run({});
    expect(keys.size).toBe(8);
  });

  it("calls an execFallback set on the instance", async () => {
    const post = vi.fn();
    const failing = make({ prep: () => [1, 2], exec: () => Promise.reject(new Error("no")), post });
    failing.execFallback = async (item) => `mended ${item}`;
    await failing.run({});
    expect(post.mock.calls[0]?.[2]).toEqual(["mended 1", "mended 2"]);
  });

  it("lets a subclass's _exec see every item first", async () => {
    const post = vi.fn();
    const node = make({ prep: () => [1, 2], exec: (item: number) => item * 2, post });
    const inherited = node._exec;
    node._exec = async (items) => inherited.call(node, (items as number[]).toReversed());
    await node.run({});
    expect(post.mock.calls[0]?.[2]).toEqual([4, 2]);
  });
});

describe.each(spellings)("a batch node $spelling", ({ batch }) => {
  it("starts an item only once the one before it is done", async () => {
    const waits = gates(3);
    const started: number[] = [];
    const run = batch({
      prep: () => range(3),
      exec(item: number) {
        started.push(item);
        return waits[item]?.promise;
      },
    }).run({});
    for (const item of range(3)) {
      await settled();
      expect(started).toEqual(range(item + 1));
      waits[item]?.open();
    }
    await run;
  });

  it("stops at the item that fails: later ones never start, and what came before stays", async () => {
    const shared = { log: [] as string[] };
    const post = vi.fn();
    const failing = batch({
      prep: () => ["a", "b", "c"],
      exec(item: string) {
        shared.log.push(item);
        if (item === "b") throw new Error("b failed");
      },
      post,
    });
    await expect(failing.run(shared)).rejects.toThrow("b failed");
    expect(shared.log).toEqual(["a", "b"]);
    expect(post).not.toHaveBeenCalled();
  });

  it("shows each item its own count of attempts", async () => {
    const seen: unknown[] = [];
    await batch(
      {
        prep: () => ["a", "b"],
        exec(item: string) {
          seen.push(`${item}${this.currentRetry}`);
          throw new Error("no");
        },
        execFallback(item: string) {
          seen.push(`${item} fallback ${this.currentRetry}`);
        },
      },
      2,
    ).run({});
    expect(seen).toEqual(["a0", "a1", "a fallback 1", "b0", "b1", "b fallback 1"]);
  });

  it("works through a list that exec adds to", async () => {
    const todo = [3];
    const seen: number[] = [];
    await batch({
      prep: () => todo,
      exec(item: number) {
        seen.push(item);
        if (item > 1) todo.push(item - 1);
      },
    }).run({});
    expect(seen).toEqual([3, 2, 1]);
  });
});

describe.each(spellings)("a parallel batch node $spelling", ({ parallel }) => {
  it("starts all items at once", async () => {
    const all = gate();
    let started = 0;
    const run = parallel({
      prep: () => range(20),
      exec() {
        started++;
        return all.promise;
      },
    }).run({});
    await settled();
    expect(started).toBe(20);
    all.open();
    await run;
  });

  it.each([1, 2, 7])("has at most %i items in exec with that concurrency, and refills at once", async (concurrency) => {
    const waits = gates(7);
    const started: number[] = [];
    const post = vi.fn();
    const run = parallel(
      {
        prep: () => range(7),
        async exec(item: number) {
          started.push(item);
          await waits[item]?.promise;
          return item;
        },
        post,
      },
      { concurrency },
    ).run({});
    for (const ended of range(7)) {
      await settled();
      expect(started).toEqual(range(Math.min(ended + concurrency, 7)));
      waits[ended]?.open();
    }
    await run;
    expect(post.mock.calls[0]?.[2]).toEqual(range(7));
  });

  it("rejects with the first error in time, not the first in order, and skips post", async () => {
    const waits = gates(3);
    const post = vi.fn();
    const run = parallel({ prep: () => range(3), exec: (item: number) => waits[item]?.promise, post }).run({});
    const outcome = vi.fn();
    run.catch((error: Error) => outcome(error.message));
    await settled();
    waits[2]?.fail(new Error("third item, first error"));
    await settled();
    expect(outcome).toHaveBeenCalledWith("third item, first error");
    waits[0]?.fail(new Error("first item, second error"));
    await settled();
    expect(outcome).toHaveBeenCalledOnce();
    expect(post).not.toHaveBeenCalled();
  });

  it("lets siblings of a failed item go on to their ends, retries and fallbacks included", async () => {
    const waits = gates(3);
    const log: string[] = [];
    const run = parallel(
      {
        prep: () => range(3),
        async exec(item: number, { attempt }) {
          if (item === 0) throw new Error("the first fails");
          await waits[item]?.promise;
          log.push(`${item} attempt ${attempt}`);
          if (item === 1) throw new Error("the second fails too");
        },
        execFallback(item: number, error: Error) {
          log.push(`${item} fallback`);
          if (item === 0) throw error;
        },
      },
      2,
    ).run({});
    await expect(run).rejects.toThrow("the first fails");
    expect(log).toEqual(["0 fallback"]);
    waits[1]?.open();
    waits[2]?.open();
    await settled();
    expect(log.toSorted()).toEqual(["0 fallback", "1 attempt 1", "1 attempt 2", "1 fallback", "2 attempt 1"]);
  });

  it("starts every item even if the first throws before it suspends", async () => {
    const started: number[] = [];
    const run = parallel({
      prep: () => range(3),
      exec(item: number) {
        started.push(item);
        throw new Error(`item ${item}`);
      },
    }).run({});
    await expect(run).rejects.toThrow("item 0");
    expect(started).toEqual([0, 1, 2]);
  });

  it("starts no further item after a failure where concurrency held it back", async () => {
    const waits = gates(4);
    const started: number[] = [];
    const run = parallel(
      {
        prep: () => range(4),
        exec(item: number) {
          started.push(item);
          return waits[item]?.promise;
        },
      },
      { concurrency: 2 },
    ).run({});
    waits[0]?.fail(new Error("no"));
    waits[1]?.open();
    await expect(run).rejects.toThrow("no");
    await settled();
    expect(started).toEqual([0, 1]);
  });

  it("executes the items as they were when prep ended", async () => {
    const items = [1, 2, 3];
    const first = gate();
    const post = vi.fn();
    const run = parallel(
      {
        prep: () => items,
        async exec(item: number) {
          await first.promise;
          return item;
        },
        post: (_shared: object, _prepRes: unknown, results: number[]) => post(results),
      },
      { concurrency: 1 },
    ).run({});
    items.splice(1, 2, 20, 30, 40);
    first.open();
    await run;
    expect(post).toHaveBeenCalledWith([1, 2, 3]);
  });

  it("carries a hundred thousand instant items", async () => {
    const items = range(100_000);
    const post = vi.fn();
    await parallel({ prep: () => items, exec: async (item: number) => item, post }).run({});
    expect(post.mock.calls[0]?.[2]).toEqual(items);
  });
});

describe("the seed's spelling", () => {
  it("calls a plain hook where one is written instead", async () => {
    const post = vi.fn();
    const mixed = seed.parallel({ prep: () => [1, 2], post });
    mixed.exec = (item) => (item as number) * 2;
    await mixed.run({});
    expect(post.mock.calls[0]?.[2]).toEqual([2, 4]);
  });

  it("runs by runAsync as well as by run", async () => {
    const { AsyncNode, AsyncBatchFlow, AsyncFlow } = await import("../../src/index.ts");
    class Greet extends AsyncNode<{ log: string[] }> {
      override async postAsync(shared: { log: string[] }) {
        shared.log.push("greeted");
        return "done";
      }
    }
    const shared = { log: [] };
    expect(await new Greet().runAsync(shared)).toBe("done");
    expect(await new AsyncFlow(new Greet()).runAsync(shared)).toBe("done");
    expect(await new AsyncBatchFlow(new Greet()).runAsync(shared)).toBeUndefined();
    expect(shared.log).toEqual(["greeted", "greeted"]);
  });

  it("mixes with the other in one flow", async () => {
    const log: string[] = [];
    const first = plain.node({ post: () => void log.push("plain") });
    const second = seed.node({ post: () => void log.push("seed") });
    first.next(second);
    await plain.flow(seed.flow(first)).run({});
    expect(log).toEqual(["plain", "seed"]);
  });
});
