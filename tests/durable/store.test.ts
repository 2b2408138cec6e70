import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decode, encode } from "../../src/core/codec.ts";
import type { ItemRow } from "../../src/durable/item-store.ts";
import { ROW_LIMIT } from "../../src/durable/text.ts";
import { values } from "../core/values.ts";
import { itemRow as row, statements, withStore } from "./stores.ts";

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
      store.items.save(texts.map((body, index) => row(0, body, { step: 10 + index })));
      store.items.addPage(1, 0, texts, []);
      const page = store.items.page(1, texts.length - 1)?.items ?? [];
      const rows = Array.from(store.items.from(1, 0, null), ({ body }) => body);
      const ofSteps = store.items.resultsOf(texts.map((_, index) => 10 + index));
      return [[...store.items.results(1)], rows, page, [...store.items.paged(1)], [...ofSteps.values()].flat()];
    });
    for (const found of back) expect(found.map((text, index) => text === texts[index])).toEqual(texts.map(() => true));
  });

  it("that ended differently keep what is theirs", async () => {
    const rows = [
      row(0, "j0"),
      row(1, null, { status: "deferred", dueMs: 500, finishedMs: null }),
      row(2, "j2", { attempts: 2, redrives: 3 }),
      row(3, '{"name":"Error","message":"no"}', { status: "failed", crashes: 1 }),
      row(4, null, { status: "pending", startedMs: null, finishedMs: null }),
      row(11, "j11"),
    ];
    const found = await withStore((store) => {
      store.items.save(rows.toReversed());
      return {
        rows: [...store.items.from(1, 0, null)],
        some: [...store.items.from(1, 2, "succeeded")],
        states: store.items.statesOf([1]),
        due: store.items.earliestDue(),
      };
    });
    expect(found.rows).toEqual(rows);
    expect(found.some).toEqual([rows[2], rows[5]]);
    expect(found.states).toEqual(new Map([[1, rows.map(({ body: _, ...state }) => state)]]));
    expect(found.due).toBe(500);
  });

  it("of several steps, in whatever order they come, keep what is theirs", async () => {
    const ends = fc.constantFrom<Partial<ItemRow>>(
      {},
      { attempts: 2 },
      { redrives: 1 },
      { finishedMs: 7 },
      { status: "failed" },
    );
    const places = fc.uniqueArray(fc.record({ step: fc.integer({ min: 1, max: 5 }), index: fc.nat(2) }), {
      minLength: 1,
      maxLength: 15,
      size: "max",
      selector: ({ step, index }) => `${step}/${index}`,
    });
    await withStore((store) =>
      fc.assert(
        fc.property(places, fc.array(ends, { minLength: 15, maxLength: 15 }), (found, how) => {
          const rows = found.map(({ step, index }, at) => row(index, `j${step}.${index}`, { step, ...how[at] }));
          store.items.save(rows);
          const back = rows.map(({ step, index }) => store.items.from(step, index, null).next().value);
          return JSON.stringify(back) === JSON.stringify(rows);
        }),
        { numRuns: 60 },
      ),
    );
  });

  it("are found by their steps, and of other steps none", async () => {
    const rows = [2, 3, 5].flatMap((step) => [row(0, `j${step}`, { step }), row(1, "jno", { step, status: "failed" })]);
    const found = await withStore((store) => {
      store.items.save(rows);
      return [store.items.statesOf([2, 5, 9]), store.items.resultsOf([5, 2, 9])];
    });
    const statesOf = (step: number) => rows.filter((item) => item.step === step).map(({ body: _, ...state }) => state);
    expect(found).toEqual([
      new Map([2, 5].map((step) => [step, statesOf(step)])),
      new Map([
        [2, ["j2"]],
        [5, ["j5"]],
      ]),
    ]);
  });

  it("that wait are released when they are due, and no sooner, those of all steps in the order in which they are", async () => {
    const released = await withStore((store) => {
      const dues = [
        [1, 300],
        [7, 100],
        [1, 200],
        [4, 150],
      ] as const;
      store.items.save(dues.map(([step, dueMs], index) => row(index, null, { step, status: "deferred", dueMs })));
      return [99, 250, 250, 999].map((nowMs) => [store.items.releaseDue(nowMs), store.items.earliestDue()]);
    });
    expect(released).toEqual([
      [[], 100],
      [
        [
          { step: 7, index: 1 },
          { step: 4, index: 3 },
          { step: 1, index: 2 },
        ],
        300,
      ],
      [[], 300],
      [[{ step: 1, index: 0 }], null],
    ]);
  });

  it("that were released are pending, with all they had", async () => {
    const waiting = row(3, null, { status: "deferred", dueMs: 100, attempts: 2, crashes: 1, finishedMs: null });
    const states = await withStore((store) => {
      store.items.save([waiting]);
      store.items.releaseDue(100);
      return [...store.items.from(1, 0, null)];
    });
    expect(states).toEqual([{ ...waiting, status: "pending", dueMs: null }]);
  });
});

describe("what hooks wrote", () => {
  it("comes back in the order in which it was written, however long it is", async () => {
    const sizes = [3, ROW_LIMIT - 1, ROW_LIMIT + 1, 2_500_000, 1];
    const entries = sizes.map((size, index) => `${index}${"€".repeat(size - 1)}`);
    const graph = await withStore((store) => {
      store.journal.begin("jstart");
      for (const entry of entries) store.journal.append(entry);
      return store.journal.read();
    });
    expect(graph.snapshot).toBe("jstart");
    expect(graph.entries.map((entry, index) => entry === entries[index])).toEqual(entries.map(() => true));
  });

  it("is gone once the whole graph is written anew, and nothing else is", async () => {
    const found = await withStore((store) => {
      store.longText.put("output", "joutput");
      store.longText.put("page/1/0", "jpage");
      for (const snapshot of ["jfirst", "jsecond"]) {
        store.journal.begin(snapshot);
        for (const entry of ["short", "x".repeat(ROW_LIMIT + 1)]) store.journal.append(entry);
      }
      const before = store.journal.read().entries.length;
      store.journal.begin("jthird");
      store.journal.append("last");
      return {
        before,
        graph: store.journal.read(),
        others: [store.longText.get("output"), store.longText.get("page/1/0")],
      };
    });
    expect(found).toEqual({
      before: 2,
      graph: { snapshot: "jthird", entries: ["last"] },
      others: ["joutput", "jpage"],
    });
  });
});

describe("a commit that fails", () => {
  it("stores nothing of what it wrote, and says so", async () => {
    const found = await withStore(async (store) => {
      const write = () =>
        store.commit(() => {
          store.items.save([row(0, "j0")]);
          store.journal.append("entry");
          throw new Error("no");
        });
      expect(write).toThrow("no");
      return [store.items.statesOf([1]).size, store.journal.read().entries.length];
    });
    expect(found).toEqual([0, 0]);
  });
});
