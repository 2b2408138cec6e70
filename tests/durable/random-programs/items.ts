import type { NodeSpec } from "./program.ts";
import type { Scene } from "./writes.ts";

/** What prep of the node returns. */
export function itemsOf(spec: NodeSpec, name: string, scene: Scene): unknown {
  if (spec.kind === "batch-flow" || spec.kind === "parallel-batch-flow") return paramsOf(spec, name, scene);
  return spec.kind === "node" || spec.kind === "flow" ? valueFor(spec, scene) : listOf(spec, scene);
}

function range(size: number): number[] {
  return Array.from({ length: size }, (_, index) => index);
}

/** Any value will do for a node or a flow. An iterator would not: it could not be kept. */
function valueFor({ items: { of, size } = { of: "nothing", size: 0 } }: NodeSpec, { shared, branch }: Scene): unknown {
  if (of === "list") return branch.list;
  if (of === "numbers") return shared.numbers;
  if (of === "own") return branch;
  if (of === "set") return branch.set;
  if (of === "values") return branch.map;
  if (of === "nothing") return undefined;
  const list = range(size);
  if (of === "kept") branch.keyed.kept = list;
  return list;
}

function listOf({ items: { of, size } = { of: "fresh", size: 2 } }: NodeSpec, scene: Scene): unknown {
  const { shared, branch } = scene;
  if (of === "list") return branch.list;
  if (of === "numbers") return shared.numbers;
  if (of === "own") return branch.set;
  return iterable(of, range(size), scene);
}

/** A branch of its own for each; what they are beside their path is for nodes to tell. */
function paramsOf({ items: { of, size } = { of: "fresh", size: 2 } }: NodeSpec, name: string, scene: Scene): unknown {
  const count = of === "numbers" ? Math.min(3, scene.shared.numbers.length) : size;
  const list = range(count).map((n) => ({ path: `${scene.path}/${n}`, [name]: n, deep: { n } }));
  return iterable(of, list, scene);
}

function iterable(of: string, list: unknown[], { branch, pause }: Scene): unknown {
  if (of === "generator") return list.values();
  if (of === "counting") return counting(list, () => branch.count++);
  if (of === "late") return late(list, pause);
  if (of === "set") return new Set(list);
  if (of === "values") return new Map(list.entries()).values();
  if (of === "nothing") return undefined;
  if (of === "kept") branch.keyed.kept = list;
  return list;
}

/** Writes to shared while its items are being read. */
function* counting(list: unknown[], count: () => void) {
  for (const item of list) {
    count();
    yield item;
  }
}

async function* late(list: unknown[], pause: Scene["pause"]) {
  for (const item of list) {
    await pause(0);
    yield item;
  }
}
