import { describe, expect, it } from "vitest";
import { type Area, type Drawing, flowsOf, layOut, pathOf } from "../../src/page/graph/layout.ts";

type Shape = Parameters<typeof layOut>[0];

/** A flow from lines such as `a -> b`, `a -again-> a`, and `flow [start]` for a node that is a flow. The first is the root. */
function shape(...lines: string[]): Shape {
  const nodes = new Map<string, Shape["nodes"][number]>();
  const edges: Shape["edges"] = [];
  const add = (id: string, start?: string) => {
    const known = nodes.get(id) ?? { id, name: id, kind: start === undefined ? "node" : "flow" };
    nodes.set(id, start === undefined ? known : { ...known, kind: "flow", start });
  };
  for (const line of lines) {
    const [, flow, start] = /^(\w+) \[(\w+)\]$/.exec(line) ?? [];
    if (flow !== undefined && start !== undefined) {
      add(flow, start);
      add(start);
      continue;
    }
    const [, from = "", action = "", to = ""] = /^(\w+) -(?:(\w+)-)?> (\w+)$/.exec(line) ?? [];
    add(from);
    add(to);
    edges.push({ from, to, action: action || "default" });
  }
  return { nodes: [...nodes.values()], edges };
}

/** What must be true of each drawing; gives it. */
function drawn(flow: Shape): Drawing {
  const drawing = layOut(flow);
  const boxes = new Map(drawing.boxes.map((box) => [box.id, box]));
  expect(boxes.size).toBe(flow.nodes.length);
  for (const box of drawing.boxes) {
    expect(isWithin(box, { x: 0, y: 0, ...drawing })).toBe(true);
    const around = box.flow === null ? undefined : boxes.get(box.flow);
    if (around) expect(isWithin(box, around)).toBe(true);
    for (const other of drawing.boxes) {
      if (other !== box && other.flow === box.flow) expect(isApart(box, other), `${box.id} and ${other.id}`).toBe(true);
    }
  }
  const starts = flow.nodes.filter(({ start }) => start !== undefined).length;
  expect(drawing.arrows.length).toBe(flow.edges.length + starts);
  expect(drawing.dots.length).toBe(starts);
  for (const { points } of drawing.arrows) {
    expect(points.length).toBeGreaterThan(1);
    for (const { x, y } of points) expect([x, y].every(Number.isFinite)).toBe(true);
    expect(pathOf(points)).toMatch(/^M[-\d. QL]+$/);
  }
  return drawing;
}

function isWithin(inner: Area, outer: Area): boolean {
  return (
    inner.x >= outer.x &&
    inner.y >= outer.y &&
    inner.x + inner.width <= outer.x + outer.width &&
    inner.y + inner.height <= outer.y + outer.height
  );
}

function isApart(a: Area, b: Area): boolean {
  return a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y;
}

function box(drawing: Drawing, id: string) {
  return drawing.boxes.find((each) => each.id === id) as Drawing["boxes"][number];
}

describe("layOut", () => {
  it("leads a line of nodes from top to bottom, in the box of their flow", () => {
    const drawing = drawn(shape("root [a]", "a -> b", "b -> c"));
    const [a, b, c] = ["a", "b", "c"].map((id) => box(drawing, id).y) as [number, number, number];
    expect(a).toBeLessThan(b);
    expect(b).toBeLessThan(c);
    expect(drawing.arrows.every(({ label }) => label === null)).toBe(true);
  });

  it("labels the actions of branches, but not the default", () => {
    const drawing = drawn(shape("root [a]", "a -yes-> b", "a -no-> c", "b -> d", "c -> d", "a -again-> b"));
    expect(drawing.arrows.filter(({ label }) => label).map(({ action }) => action)).toEqual(["yes", "no", "again"]);
  });

  it("draws loops, and nodes that lead to themselves", () => {
    const drawing = drawn(shape("root [a]", "a -> b", "b -retry-> a", "b -again-> b", "b -> c"));
    expect(drawing.arrows.map(({ from, to }) => `${from}${to}`)).toContain("bb");
  });

  it("draws flows in flows as boxes, and what follows them outside", () => {
    const flow = shape("root [outer]", "outer [inner]", "inner [a]", "a -> b", "inner -> c", "outer -> d");
    const flows = flowsOf(flow);
    expect(["outer", "inner", "a", "b", "c", "d"].map((id) => flows.get(id))).toEqual([
      ...["root", "outer", "inner", "inner", "outer", "root"],
    ]);
    drawn(flow);
  });

  it("draws what follows the root, and a root that is no flow", () => {
    expect(box(drawn(shape("root [a]", "root -> after")), "after").flow).toBeNull();
    expect(drawn({ nodes: [{ id: "only", name: "Only", kind: "batch" }], edges: [] }).boxes.length).toBe(1);
  });

  it("keeps a node that two flows reach in the first of them, and leads there from the other", () => {
    const flow = shape("root [first]", "first [a]", "a -> shared", "first -> second", "second [b]", "b -> shared");
    expect(flowsOf(flow).get("shared")).toBe("first");
    const drawing = drawn(flow);
    const arrow = drawing.arrows.find(({ from, to }) => from === "b" && to === "shared");
    expect(arrow?.isCrossing).toBe(true);
    expect(drawing.width).toBeGreaterThan(Math.max(...(arrow?.points ?? []).map(({ x }) => x)));
  });

  it("draws two flows with one start, and a flow that leads back to itself", () => {
    drawn(shape("root [first]", "first [a]", "first -> second", "second [a]", "a -up-> first"));
  });

  it("takes any id", () => {
    drawn(shape("root [__proto__]", "__proto__ -> constructor", "constructor -toString-> hasOwnProperty"));
  });

  it("gives the same drawing for the same flow", () => {
    const flow = shape("root [a]", "a -x-> b", "a -y-> c", "b -> d", "c -> d", "d -back-> a");
    expect(layOut(flow)).toEqual(layOut(flow));
  });

  it("lays out 200 nodes with loops at once", () => {
    const lines = Array.from({ length: 199 }, (_, at) => [
      `n${at} -> n${at + 1}`,
      ...(at % 7 === 0 ? [`n${at + 1} -again-> n${Math.max(0, at - 3)}`] : []),
      ...(at % 5 === 0 && at < 190 ? [`n${at} -skip-> n${at + 6}`] : []),
    ]).flat();
    const start = performance.now();
    drawn(shape("root [n0]", ...lines));
    expect(performance.now() - start).toBeLessThan(3_000);
  });
});
