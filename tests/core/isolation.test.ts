import { test } from "@fast-check/vitest";
import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { spellings } from "./spelling.ts";
import { range, seeded, settled, stopTime } from "./support.ts";

// Where the attempt counter is the node's, and so is shared by items that retry at the same time, items are lost without a
// word: their result is undefined, with no retry, no fallback and no error. Here each item counts for itself.

describe.each(spellings)("items that fail at the same time in a parallel batch $spelling", ({ parallel }) => {
  stopTime();

  /** Runs a batch whose item `i` fails `failures[i]` times before it succeeds. */
  async function runWith(failures: number[], maxRetries: number, wait: number) {
    const attempts = failures.map(() => 0);
    const post = vi.fn();
    const run = parallel(
      {
        prep: () => range(failures.length),
        async exec(item: number) {
          attempts[item] = (attempts[item] ?? 0) + 1;
          await Promise.resolve();
          if ((attempts[item] ?? 0) <= (failures[item] ?? 0)) throw new Error(`item ${item}`);
          return `item ${item}`;
        },
        execFallback: (_item: number, error: Error) => `fallback for ${error.message}`,
        post,
      },
      maxRetries,
      wait,
    ).run({});
    await vi.runAllTimersAsync();
    await run;
    return { attempts, results: post.mock.calls[0]?.[2] };
  }

  function expected(failures: number[], maxRetries: number) {
    return {
      attempts: failures.map((count) => Math.min(count + 1, maxRetries)),
      results: failures.map((count, item) => (count < maxRetries ? `item ${item}` : `fallback for item ${item}`)),
    };
  }

  it("are all retried when ten fail once each and have to wait", async () => {
    const failures = Array.from({ length: 10 }, () => 1);
    expect(await runWith(failures, 3, 0.5)).toEqual(expected(failures, 3));
  });

  it.each([1, 2, 3, 4])("are none of them lost: fifty items, one attempt in five fails, seed %i", async (number) => {
    const random = seeded(number);
    const failures = range(50).map(() => {
      let count = 0;
      while (random() < 0.2) count++;
      return count;
    });
    expect(failures.some((count) => count > 0)).toBe(true);
    expect(await runWith(failures, 3, 1)).toEqual(expected(failures, 3));
  });

  test.prop([
    fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 20 }),
    fc.integer({ min: 1, max: 4 }),
    fc.constantFrom(0, 0.01, 30),
  ])("each get exactly the attempts that are theirs", async (failures, maxRetries, wait) => {
    expect(await runWith(failures, maxRetries, wait)).toEqual(expected(failures, maxRetries));
  });
});

describe.each(spellings)("currentRetry in a parallel batch $spelling", ({ parallel }) => {
  it("is each item's own, also after others have gone on meanwhile, in exec and in execFallback", async () => {
    const seen = new Map<string, unknown[]>();
    const failures: Record<string, number> = { a: 0, b: 1, c: 2, d: 9 };
    const note = (item: string, value: unknown) => seen.set(item, [...(seen.get(item) ?? []), value]);
    await parallel(
      {
        prep: () => Object.keys(failures),
        async exec(item: string) {
          note(item, this.currentRetry);
          await settled();
          note(item, this.currentRetry);
          if (this.currentRetry < (failures[item] ?? 0)) throw new Error("no");
        },
        async execFallback(item: string) {
          await settled();
          note(item, `fallback ${this.currentRetry}`);
        },
      },
      3,
    ).run({});
    expect(Object.fromEntries(seen)).toEqual({
      a: [0, 0],
      b: [0, 0, 1, 1],
      c: [0, 0, 1, 1, 2, 2],
      d: [0, 0, 1, 1, 2, 2, "fallback 2"],
    });
  });

  it("is all that is an item's own: a retry sees the node's fields, methods and params, and what it writes is the node's", async () => {
    const results: unknown[] = [];
    const node = parallel(
      {
        prep: () => ["x"],
        exec(item: string) {
          if (this.currentRetry === 0) throw new Error("no");
          this["lastItem"] = item;
          return [this["greeting"], this._params, Object.keys(this).includes("greeting"), this.constructor];
        },
        post(_shared: object, _prepRes: unknown, execRes: unknown[]) {
          results.push(...execRes, this["lastItem"]);
        },
      },
      2,
    );
    Object.assign(node, { greeting: "hello" });
    await node.setParams({ lang: "fr" }).run({});
    expect(results).toEqual([["hello", { lang: "fr" }, true, node.constructor], "x"]);
    expect(node.currentRetry).toBe(0);
  });
});
