import fc from "fast-check";
import { expect, it } from "vitest";
import { Moved } from "../../src/durable/moved.ts";
import { ITEM_STATUSES, type ItemStatus } from "../../src/durable/statuses.ts";

const NOTHING = { moved: [], isStale: false };

it("notes nothing unless somebody looks on", () => {
  const moved = new Moved();
  moved.note({ step: 1, index: 0 }, "running");
  moved.noteMany();
  expect(moved.take()).toEqual(NOTHING);
  moved.isWatched = true;
  moved.note({ step: 1, index: 0 }, "running");
  expect(moved.take()).toEqual({ moved: [{ step: 1, status: "running", indexes: [0] }], isStale: false });
  expect(moved.take()).toEqual(NOTHING);
});

it("tells of each item once, with its latest status", () => {
  const move = fc.record({ step: fc.nat(3), index: fc.nat(5), status: fc.constantFrom(...ITEM_STATUSES) });
  fc.assert(
    fc.property(fc.array(move), (moves) => {
      const moved = new Moved();
      moved.isWatched = true;
      const latest = new Map<string, ItemStatus>();
      for (const { status, ...id } of moves) {
        moved.note(id, status);
        latest.set(`${id.step}/${id.index}`, status);
      }
      const told = moved
        .take()
        .moved.flatMap(({ step, status, indexes }) => indexes.map((index) => [`${step}/${index}`, status] as const));
      expect(told).toHaveLength(latest.size);
      expect(new Map(told)).toEqual(latest);
      expect(moved.take()).toEqual(NOTHING);
    }),
  );
});

it("tells of too many, or of those that nobody names, that they moved, and of none of them", () => {
  for (const noteMany of [
    (moved: Moved) => moved.noteMany(),
    (moved: Moved) => {
      for (let index = 0; index < 100_000; index++) moved.note({ step: 2, index }, "running");
    },
  ]) {
    const moved = new Moved();
    moved.isWatched = true;
    moved.note({ step: 1, index: 0 }, "running");
    noteMany(moved);
    moved.note({ step: 1, index: 1 }, "failed");
    expect(moved.take()).toEqual({ moved: [], isStale: true });
    moved.note({ step: 1, index: 1 }, "succeeded");
    expect(moved.take()).toEqual({ moved: [{ step: 1, status: "succeeded", indexes: [1] }], isStale: false });
  }
});
