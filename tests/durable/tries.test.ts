import { describe, expect, it } from "vitest";
import type { Store } from "../../src/durable/store.ts";
import type { Try } from "../../src/durable/try-store.ts";
import { statements, withStore } from "./stores.ts";

const one = (step: number, index: number, message: string | null = "busy", end = index + 1): Try => ({
  ...{ step, first: index, end, startedMs: 1, finishedMs: 2 },
  error: message === null ? null : { name: "Error", message },
});
const messagesOf = (store: Store, step: number, index: number) =>
  store.tries.of(step, index).map(({ error }) => error?.message ?? null);

describe("tries", () => {
  it("are found by their item, in order, whichever commits kept them", async () => {
    const found = await withStore((store) => {
      store.tries.add([one(2, 0, "a"), one(3, 0, "b"), one(2, 1, "c"), one(2, 0, "d")]);
      store.tries.add([one(2, 0, null), one(5, 0, "e")]);
      store.tries.add([one(2, 0, "f", 3)]);
      const places = [
        [2, 0],
        [2, 1],
        [2, 2],
        [2, 3],
        [3, 0],
        [4, 0],
        [5, 0],
      ] as const;
      return places.map(([step, index]) => messagesOf(store, step, index));
    });
    expect(found).toEqual([["a", "d", null, "f"], ["c", "f"], ["f"], [], ["b"], [], ["e"]]);
  });

  it("of one commit share a row, however many there are", async () => {
    const [inserts, rows, last] = await withStore((store) => {
      const before = statements.length;
      store.tries.add(Array.from({ length: 500 }, (_, index) => one(2, index)));
      const made = statements.slice(before).filter((each) => each.startsWith("insert")).length;
      return [made, store.tries.of(2, 0).length, messagesOf(store, 2, 499)];
    });
    expect([inserts, rows, last]).toEqual([1, 1, ["busy"]]);
  });

  it("of an item are the latest hundred", async () => {
    const found = await withStore((store) => {
      for (let at = 0; at < 150; at++) store.tries.add([one(2, 0, String(at)), one(2, 1, "other")]);
      return messagesOf(store, 2, 0);
    });
    expect(found).toEqual(Array.from({ length: 100 }, (_, at) => String(at + 50)));
  });

  it("have words that are short enough to keep, and all of them are kept", async () => {
    const long = { name: "N".repeat(100_000), message: "€".repeat(1_000_000), stack: "s".repeat(1_000_000) };
    const found = await withStore((store) => {
      store.tries.add(Array.from({ length: 2_000 }, (_, index) => ({ ...one(2, index), error: long })));
      return [0, 1_999].map((index) => store.tries.of(2, index));
    });
    const lengths = found.map(([known]) => Object.values(known?.error ?? {}).map((text) => text.length));
    expect(lengths).toEqual([
      [1_000, 1_000, 1_000],
      [1_000, 1_000, 1_000],
    ]);
  });

  it("are forgotten with their steps", async () => {
    const found = await withStore((store) => {
      for (const step of [2, 3, 4, 5]) store.tries.add([one(step, 0)]);
      store.tries.forget(">", 4);
      store.tries.forget("=", 2);
      return [2, 3, 4, 5].map((step) => store.tries.of(step, 0).length);
    });
    expect(found).toEqual([0, 1, 1, 0]);
  });
});
