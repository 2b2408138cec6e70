import { describe, expect, it } from "vitest";
import { layCells, paintCell, sideOf } from "../../src/page/items/cells.ts";
import { ItemGrid } from "../../src/page/items/grid.ts";

describe("ItemGrid", () => {
  const grid = () =>
    new ItemGrid({
      node: "Summarize",
      steps: [
        [2, "prd"],
        [7, "ssf"],
        [9, ""],
        [12, "c"],
      ],
    });

  it("has a cell for each item, in the order of the steps", () => {
    const { size, counts, cells } = grid();
    expect([size, counts]).toEqual([7, [1, 1, 1, 2, 1, 1]]);
    expect([...cells]).toEqual([0, 1, 2, 3, 3, 4, 5]);
  });

  it("finds an item's cell, and what a cell is of", () => {
    const items = grid();
    expect(items.cellOf({ step: 7, index: 2 })).toBe(5);
    expect(items.placeOf(5)).toEqual({ step: 7, index: 2 });
    expect(items.placeOf(6)).toEqual({ step: 12, index: 0 });
    for (let cell = 0; cell < items.size; cell++) expect(items.cellOf(items.placeOf(cell))).toBe(cell);
  });

  it.each([
    { step: 1, index: 0 },
    { step: 3, index: 0 },
    { step: 2, index: 3 },
    { step: 9, index: 0 },
    { step: 13, index: 0 },
  ])("has no cell for $step, $index", (place) => {
    expect(grid().cellOf(place)).toBeUndefined();
  });

  it("takes over what has moved, and tells which cells are others now", () => {
    const items = grid();
    const moves = [
      { step: 2, status: "succeeded" as const, indexes: [0, 2] },
      { step: 7, status: "failed" as const, indexes: [2, 0] },
      { step: 8, status: "failed" as const, indexes: [0] },
    ];
    expect(items.apply(moves)).toEqual([0, 2, 3]);
    expect(items.statusOf(0)).toBe("succeeded");
    expect(items.counts).toEqual([0, 1, 0, 3, 2, 1]);
    expect(items.apply(moves)).toEqual([]);
  });

  it("takes 100,000 steps of one item each, and none", () => {
    const items = new ItemGrid({ node: "n", steps: Array.from({ length: 100_000 }, (_, at) => [at * 3, "p"]) });
    expect(items.cellOf({ step: 299_997, index: 0 })).toBe(99_999);
    expect(new ItemGrid({ node: "n", steps: [] }).size).toBe(0);
  });
});

describe("layCells", () => {
  it("takes the largest cells with which all are seen", () => {
    expect(layCells(10, 1_000, 340)).toEqual({ size: 14, columns: 71, rows: 1 });
    expect(layCells(10_000, 1_000, 340).size).toBe(5);
    expect(layCells(100_000, 1_000, 340)).toEqual({ size: 2, columns: 500, rows: 200 });
    expect(layCells(5, 0, 340)).toEqual({ size: 14, columns: 1, rows: 5 });
  });
});

describe("paintCell", () => {
  const paint = (size: number, cells: number[]) => {
    const laying = { size, columns: 2, rows: 2 };
    const side = sideOf(laying);
    const pixels = new Uint32Array(4 * side * side);
    for (const cell of cells) paintCell(pixels, cell, laying, { fill: 1, mark: 2 });
    return Array.from({ length: 2 * side }, (_, y) => pixels.subarray(y * 2 * side, (y + 1) * 2 * side).join(""));
  };

  it("paints what is small as one pixel", () => {
    expect(paint(2, [0, 3])).toEqual(["10", "01"]);
  });

  it("leaves a gap beside what is larger, and crosses it", () => {
    const empty = "0".repeat(10);
    expect(paint(5, [1])).toEqual([
      ...["0000021120", "0000012210", "0000012210", "0000021120"],
      ...Array.from({ length: 6 }, () => empty),
    ]);
  });
});
