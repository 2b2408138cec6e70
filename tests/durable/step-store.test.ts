import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encode } from "../../src/core/codec.ts";
import type { EndedBranch } from "../../src/core/run.ts";
import type { StepRow } from "../../src/durable/step-store.ts";
import { ROW_LIMIT } from "../../src/durable/text.ts";
import { statements, stepRow, withStore } from "./stores.ts";

const created = (row: StepRow, item: string | null = null) => ({ row, isNew: true, item, needs: null });
const changed = (row: StepRow) => ({ row, isNew: false, item: null, needs: null });

const counts = fc.record({ total: fc.nat(3), succeeded: fc.nat(3), failed: fc.nat(1) });
const places = fc.record({
  node: fc.constantFrom("Work", "Flow", "it's"),
  branch: fc.constantFrom("", "3", "3/1"),
  parent: fc.option(fc.nat(5)),
  visit: fc.integer({ min: 1, max: 9 }),
});
const moves = fc.record({
  phase: fc.constantFrom("prep", "exec", "post"),
  lastAction: fc.option(fc.constantFrom("", "left", "\u0000\"'é")),
  params: fc.option(fc.string()),
  end: fc.option(fc.nat(9)),
  fields: fc.option(fc.constantFrom('j{"a":1}', 'd["\\u0001"]')),
  batchSize: fc.option(fc.integer({ min: 1, max: 99 })),
  wait: fc.option(fc.record({ signal: fc.option(fc.constantFrom("go", "é'")), untilMs: fc.option(fc.nat(9)) })),
});
/** Branches are counted where there are any. */
const batches = fc.oneof(
  fc.constant({ branches: 0, begun: 0, ended: 0, failedBranches: 0 }),
  fc.record({
    branches: fc.integer({ min: 1, max: 9 }),
    begun: fc.nat(9),
    ended: fc.nat(9),
    failedBranches: fc.nat(9),
  }),
);
const anySteps = fc.array(
  fc.tuple(places, moves, counts, batches).map((parts): object => Object.assign({}, ...parts)),
  { minLength: 1, maxLength: 8, size: "max" },
);
const rowsOf = (list: object[]) => list.map((more, at) => stepRow(at + 1, more as Partial<StepRow>));

describe("steps", () => {
  it("of any kind come back as they were saved, and as they were changed", async () => {
    const same = (found: StepRow[], rows: StepRow[]) =>
      JSON.stringify(found.map(sorted)) === JSON.stringify(rows.map(sorted));
    await fc.assert(
      fc.asyncProperty(anySteps, anySteps, async (before, after) => {
        const rows = rowsOf(before);
        const later = rowsOf(after)
          .slice(0, rows.length)
          .map((row, at) => laterOf(rows[at] as StepRow, row));
        const areSame = await withStore((store) => {
          store.steps.save(
            rows.map((row) => created(row)),
            1,
          );
          const first = same(store.steps.open(), rows);
          store.steps.save(later.map(changed), 1);
          return [first, same(store.steps.open(), [...later, ...rows.slice(later.length)])];
        });
        return areSame.every(Boolean);
      }),
      { numRuns: 25 },
    );
  });

  it("that are done are no longer open, and keep how they went", async () => {
    const rows = [1, 2, 3].map((id) => stepRow(id, { phase: "post", total: 4, branch: String(id), fields: "j{}" }));
    const found = await withStore((store) => {
      store.steps.save(
        rows.map((row) => created(row)),
        1,
      );
      store.steps.save(
        rows.slice(1).map((row) => changed({ ...row, phase: "done", succeeded: 3, failed: 1 })),
        1,
      );
      return { open: store.steps.open(), done: store.steps.step(3), counts: store.steps.settledCounts() };
    });
    expect(found.open).toEqual(rows.slice(0, 1));
    expect(found.done).toEqual({ ...rows[2], phase: "done", succeeded: 3, failed: 1 });
    expect(found.counts).toEqual({ total: 12, succeeded: 6, failed: 2 });
  });

  it("that begin and are done in one commit are kept", async () => {
    const row = stepRow(1, { phase: "done", total: 1, succeeded: 1, branch: "7", visit: 3 });
    const found = await withStore((store) => {
      store.steps.save([created(row)], 1);
      return [store.steps.open(), store.steps.step(1)];
    });
    expect(found).toEqual([[], row]);
  });

  it("that were stopped are no longer open, and say where they stood", async () => {
    const rows = [1, 2].map((id) => stepRow(id, { phase: "exec", total: 4, branch: String(id) }));
    const stopped = rows
      .slice(1)
      .map((row): StepRow => ({ ...row, phase: "stopped", stoppedIn: "exec", succeeded: 2 }));
    const found = await withStore((store) => {
      store.steps.save(
        rows.map((row) => created(row)),
        1,
      );
      store.steps.save(stopped.map(changed), 1);
      return { open: store.steps.open(), stopped: store.steps.stopped(), counts: store.steps.settledCounts() };
    });
    expect(found).toEqual({ open: rows.slice(0, 1), stopped, counts: { total: 4, succeeded: 2, failed: 0 } });
  });

  it("are found by what is asked of them", async () => {
    const rows = [
      stepRow(1, { node: "Flow" }),
      stepRow(2, { node: "One", total: 2 }),
      stepRow(3, { node: "Two", total: 1, phase: "done" }),
      stepRow(4, { node: "One", total: 5 }),
    ];
    const found = await withStore((store) => {
      store.steps.save(
        rows.map((row) => created(row)),
        1,
      );
      const idsOf = (node: string | null, from: number) => [...store.steps.withItems(node, from)].map(({ id }) => id);
      return {
        withItems: [idsOf(null, 0), idsOf(null, 3), idsOf("One", 0), idsOf("One", 3), idsOf("Flow", 0)],
        latest: [["One"], ["One", "Two"], ["Two"], ["Three"]].map((nodes) => store.steps.latest(nodes)?.id),
        nodes: store.steps.nodesOf([4, 3, 9]),
        none: store.steps.step(9),
      };
    });
    expect(found.withItems).toEqual([[2, 3, 4], [3, 4], [2, 4], [4], []]);
    expect(found.latest).toEqual([4, 4, 3, undefined]);
    expect(found.nodes).toEqual(
      new Map([
        [3, "Two"],
        [4, "One"],
      ]),
    );
    expect(found.none).toBeUndefined();
  });
});

describe("a plain node's item", () => {
  it("is in its step's row, and stays there when the step goes on", async () => {
    const needs = ["tenant", 5];
    const found = await withStore((store) => {
      const row = stepRow(1, { phase: "exec", total: 1 });
      store.steps.save([{ row, isNew: true, item: 'j"text"', needs }, created(stepRow(2, { total: 3 }))], 1);
      store.steps.save([changed({ ...row, fields: "j{}" })], 1);
      store.steps.save([changed({ ...row, phase: "post" })], 1);
      const isSolo = store.steps.open().map((step) => step.isSolo);
      const pages = [1, 2].map((step) => store.items.page(step, 0));
      return { isSolo, pages, item: store.items.solo(1), needs: store.items.soloNeeds([1, 2]) };
    });
    expect(found).toEqual({
      isSolo: [true, false],
      pages: [undefined, undefined],
      item: 'j"text"',
      needs: new Map([[1, needs]]),
    });
  });

  it("may come after its step's row", async () => {
    const found = await withStore((store) => {
      const row = stepRow(1);
      store.steps.save([created(row)], 1);
      store.steps.save([{ ...changed({ ...row, phase: "exec", total: 1 }), item: "jlate", needs: ["key", 1] }], 1);
      return [store.steps.open()[0]?.isSolo, store.items.solo(1), store.items.soloNeeds([1]).get(1)];
    });
    expect(found).toEqual([true, "jlate", ["key", 1]]);
  });

  it("of any size stays within what one statement may carry", async () => {
    const sizes = [10, 99_980, 100_020, 599_980, 600_020, 2_500_000];
    const texts = ['"', "€", "\u0001", "😀"].flatMap((unit) =>
      sizes.map((size) => encode(unit.repeat(size / JSON.stringify(unit).slice(1, -1).length), "value")),
    );
    const back = await withStore((store) => {
      const rows = texts.map((_, at) => stepRow(at + 1, { phase: "exec", total: 1 }));
      store.steps.save(
        rows.map((row, at) => created(row, texts[at])),
        1,
      );
      return rows.map(({ id }) => store.items.solo(id));
    });
    expect(back.map((text, at) => text === texts[at])).toEqual(texts.map(() => true));
  });

  it.each(['"', "\\", "€", "\u0001"])("and fields as long as they may be, of %j, do too", async (unit) => {
    const written = (most: number) => encode(unit.repeat(most / JSON.stringify(unit).slice(1, -1).length), "value");
    const [fields, item] = [written(ROW_LIMIT - 20), written(ROW_LIMIT / 6 - 20)];
    const back = await withStore((store) => {
      store.steps.save(
        [1, 2].map((id) => created(stepRow(id, { fields }), item)),
        1,
      );
      return store.steps.open().map((row) => row.fields === fields && store.items.solo(row.id) === item);
    });
    expect(back).toEqual([true, true]);
  });
});

describe("fields", () => {
  it("that grow very long, and short again, are the latest", async () => {
    const all = [
      'j{"a":1}',
      `j${JSON.stringify("x".repeat(ROW_LIMIT - 10))}`,
      "j{}",
      `j${JSON.stringify("y".repeat(200_000))}`,
    ];
    const back = await withStore((store) => {
      store.steps.save([created(stepRow(1))], 1);
      return all.map((fields) => {
        store.steps.save([changed(stepRow(1, { fields }))], 1);
        return store.steps.open()[0]?.fields === fields && store.steps.step(1)?.fields === fields;
      });
    });
    expect(back).toEqual(all.map(() => true));
  });
});

describe("steps that are saved together", () => {
  it("share statements where they are alike", async () => {
    const alike = Array.from({ length: 300 }, (_, at) => stepRow(at + 1, { branch: String(at), total: 1 }));
    const written = await withStore((store) => {
      const count = (save: () => void) => {
        const before = statements.length;
        save();
        return statements.length - before;
      };
      return [
        count(() =>
          store.steps.save(
            alike.map((row) => created(row, "jitem")),
            1,
          ),
        ),
        count(() =>
          store.steps.save(
            alike.map((row) => changed({ ...row, phase: "done", succeeded: 1 })),
            1,
          ),
        ),
        store.steps.open().length,
      ];
    });
    expect(written).toEqual([1, 1, 0]);
  });

  it("keep what is theirs where they are not", async () => {
    const rows = Array.from({ length: 12 }, (_, at) =>
      stepRow(at + 1, { node: at % 2 ? "One" : "Two", total: at % 3, phase: at % 4 ? "exec" : "post", visit: at + 1 }),
    );
    const found = await withStore((store) => {
      store.steps.save(
        rows.toReversed().map((row) => created(row)),
        1,
      );
      return store.steps.open();
    });
    expect(found).toEqual(rows);
  });
});

describe("how branches ended", () => {
  it("comes back in the order of the branches, for each batch flow", async () => {
    const end = (step: number, index: number, action: string | null = "", last: number | null = null): EndedBranch => ({
      step,
      index,
      action,
      end: last,
      error: null,
    });
    const lost = { name: "Error", message: "\u0000é'\"", node: "Work", branch: "10", index: 3, attempts: 2 };
    const failed = { ...end(1, 11, null), error: lost };
    const found = await withStore((store) => {
      store.steps.saveEnds([end(1, 10, "left", 7), end(1, 2), end(4, 0, "\u0000é'\"", 9)]);
      store.steps.saveEnds([failed, end(1, 0, "right", 8)]);
      return [1, 4, 5].map((step) => store.steps.ends(step));
    });
    expect(found).toEqual([
      [end(1, 0, "right", 8), end(1, 2), end(1, 10, "left", 7), failed],
      [end(4, 0, "\u0000é'\"", 9)],
      [],
    ]);
  });

  it("of very many branches with long actions stays within what one statement may carry", async () => {
    const ends = Array.from({ length: 1500 }, (_, index) => ({
      step: 1,
      index,
      action: "\u0001".repeat(1000),
      end: index,
      error: null,
    }));
    const found = await withStore((store) => {
      store.steps.saveEnds(ends);
      return store.steps.ends(1);
    });
    expect(found.map(({ index, action, end }) => [index, action?.length, end])).toEqual(
      ends.map(({ index }) => [index, 1000, index]),
    );
  });
});

function sorted(row: StepRow): [string, unknown][] {
  return Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1));
}

/** What becomes of a step: it keeps its place, and what it has had once it never loses. */
function laterOf(before: StepRow, after: StepRow): StepRow {
  const { node, branch, parent, visit, branches, begun, ended } = before;
  const { failedBranches, lastAction, params, end, fields, batchSize, wait } = before;
  return {
    ...after,
    ...{ node, branch, parent, visit, branches },
    ...(branches > 0 ? {} : { begun, ended }),
    failedBranches: after.failedBranches || failedBranches,
    lastAction: after.lastAction ?? lastAction,
    params: after.params ?? params,
    end: after.end ?? end,
    fields: after.fields ?? fields,
    batchSize: after.batchSize ?? batchSize,
    // What a step waits for is known once.
    wait: wait ?? after.wait,
  };
}
