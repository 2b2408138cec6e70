import { runInDurableObject } from "cloudflare:test";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decode, encode } from "../../src/core/codec.ts";
import { NEW_RUN } from "../../src/core/run.ts";
import type { ItemRow } from "../../src/durable/item-store.ts";
import { Store } from "../../src/durable/store.ts";
import { ROW_LIMIT } from "../../src/durable/text.ts";
import { newRunId } from "../../src/http/ids.ts";
import { values } from "../core/values.ts";
import { runOf } from "./support.ts";

/** What the platform takes in one value. A local runtime takes more, so it is measured here. */
const VALUE_BYTES = 2_000_000;

const statements: string[] = [];

/** Storage that refuses, as the platform does, a statement with a value that is too large. */
function strict(storage: DurableObjectStorage): DurableObjectStorage {
  const sql = new Proxy(storage.sql, {
    get: (target, key) => {
      if (key !== "exec") return Reflect.get(target, key, target);
      return (query: string, ...bindings: unknown[]) => {
        const bytes = bindings.map((value) => (typeof value === "string" ? new TextEncoder().encode(value).length : 0));
        if (Math.max(0, ...bytes) > VALUE_BYTES) throw new Error(`string or blob too big: ${query}`);
        if (bindings.length > 100) throw new Error(`too many SQL variables: ${query}`);
        statements.push(query);
        return target.exec(query, ...bindings);
      };
    },
  });
  return new Proxy(storage, {
    get: (target, key) => {
      if (key === "sql") return sql;
      const own = Reflect.get(target, key, target);
      return typeof own === "function" ? own.bind(target) : own;
    },
  });
}

/** Gives `use` a store with its tables, in an object of its own. */
function withStore<T>(use: (store: Store) => T | Promise<T>): Promise<T> {
  const id = newRunId();
  return runInDurableObject(runOf(id), (_, { storage }) => {
    const store = new Store(strict(storage), (error) => {
      throw error;
    });
    const shape = { root: "Flow", nodes: [], edges: [] };
    store.commit(() =>
      store.create({ id, flow: "work", shape, inputDigest: null, lives: 1, createdMs: 1, state: NEW_RUN }),
    );
    return use(store);
  });
}

const row = (index: number, body: string | null, more: Partial<ItemRow> = {}): ItemRow => ({
  step: 1,
  index,
  status: "succeeded",
  attempts: 1,
  crashes: 0,
  dueMs: null,
  startedMs: 5,
  finishedMs: 6,
  body,
  ...more,
});

describe("a long text", () => {
  it("comes back whole wherever it is cut, between the halves of a character included", async () => {
    await withStore((store) =>
      fc.assert(
        fc.property(fc.nat(3), fc.nat(2), (before, after) => {
          const text = "x".repeat(ROW_LIMIT - before) + "😀".repeat(ROW_LIMIT / 2) + "é".repeat(after);
          store.longText.put("text", text);
          return store.longText.get("text") === text;
        }),
        { numRuns: 8 },
      ),
    );
  });

  it("that was longer before leaves nothing behind", async () => {
    const texts = await withStore((store) => {
      for (const length of [3 * ROW_LIMIT, ROW_LIMIT + 1, 2, 0]) store.longText.put("text", "a".repeat(length));
      return [store.longText.get("text"), store.longText.get("never")];
    });
    expect(texts).toEqual(["", ""]);
  });

  it("writes only the parts that have changed", async () => {
    const inserts = await withStore((store) => {
      const text = `${"a".repeat(ROW_LIMIT)}${"b".repeat(ROW_LIMIT)}${"c".repeat(ROW_LIMIT)}`;
      store.longText.put("text", text);
      const before = statements.length;
      store.longText.put("text", text.replace("b", "B"));
      return statements.slice(before).filter((query) => query.startsWith("insert"));
    });
    expect(inserts).toHaveLength(1);
  });
});

describe("items and results", () => {
  it("of any kind come back from rows as they were", async () => {
    let step = 0;
    await withStore((store) =>
      fc.assert(
        fc.property(fc.array(values, { minLength: 1, maxLength: 8 }), (list) => {
          step++;
          const texts = list.map((value) => encode(value, "value"));
          store.items.save(texts.map((body, index) => row(index, body, { step })));
          const back = [...store.items.results(step)];
          // Compared as text: what a failure shows must be well-formed, and these values are not.
          return (
            JSON.stringify(back) === JSON.stringify(texts) && back.every((text) => encode(decode(text), "") === text)
          );
        }),
        { numRuns: 60 },
      ),
    );
  });

  it("of any size, many in one go, stay within what one statement may carry", async () => {
    const sizes = [0, 10, 99_990, 100_010, 599_990, 600_010, 2_500_000, ...Array<number>(12).fill(99_000)];
    const texts = sizes.flatMap((size, index) => [
      encode("\u0001".repeat(size / 6) + index, "value"),
      encode("😀".repeat(size / 2) + index, "value"),
    ]);
    const back = await withStore((store) => {
      store.items.save(texts.map((body, index) => row(index, body)));
      store.items.addPage(1, 0, texts, []);
      const page = store.items.page(1, texts.length - 1);
      const rows = Array.from(store.items.from(1, 0, null), ({ body }) => body);
      return [[...store.items.results(1)], rows, page.items, [...store.items.paged(1)]];
    });
    for (const found of back) expect(found.map((text, index) => text === texts[index])).toEqual(texts.map(() => true));
  });

  it("that ended differently keep what is theirs", async () => {
    const rows = [
      row(0, "j0"),
      row(1, null, { status: "deferred", dueMs: 500, finishedMs: null }),
      row(2, "j2", { attempts: 2 }),
      row(3, '{"name":"Error","message":"no"}', { status: "failed", crashes: 1 }),
      row(4, null, { status: "pending", startedMs: null, finishedMs: null }),
      row(11, "j11"),
    ];
    const found = await withStore((store) => {
      store.items.save(rows.toReversed());
      return {
        rows: [...store.items.from(1, 0, null)],
        some: [...store.items.from(1, 2, "succeeded")],
        states: [...store.items.states(1)],
        due: store.items.earliestDue(1),
      };
    });
    expect(found.rows).toEqual(rows);
    expect(found.some).toEqual([rows[2], rows[5]]);
    expect(found.states).toEqual(rows.map(({ body: _, ...state }) => state));
    expect(found.due).toBe(500);
  });

  it("that wait are released when they are due, and no sooner", async () => {
    const released = await withStore((store) => {
      const waiting = [300, 100, 200].map((dueMs, index) => row(index, null, { status: "deferred", dueMs }));
      store.items.save(waiting);
      return [99, 250, 250, 999].map((nowMs) => [store.items.releaseDue(1, nowMs), store.items.earliestDue(1)]);
    });
    expect(released).toEqual([
      [[], 100],
      [[1, 2], 300],
      [[], 300],
      [[0], null],
    ]);
  });
});

describe("a commit that fails", () => {
  it("stores nothing of what it wrote, and says so", async () => {
    const found = await withStore(async (store) => {
      const write = () =>
        store.commit(() => {
          store.items.save([row(0, "j0")]);
          throw new Error("no");
        });
      expect(write).toThrow("no");
      return [...store.items.states(1)];
    });
    expect(found).toEqual([]);
  });
});
