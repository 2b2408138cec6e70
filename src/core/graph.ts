import type { Flow } from "./flow.ts";
import { nameOf } from "./follow.ts";
import { type Action, type BaseNode, endsUnexpectedly, type NodeKind } from "./node.ts";
import { type Tolerance, toleranceOf } from "./tolerance.ts";

/** A flow's shape as data: what is stored with a run, compared after a deploy, and drawn. */
export interface GraphShape {
  /** The id of the flow itself. */
  root: string;
  /** In walk order. `type` is the class's name; `start` is the first node of a flow. */
  nodes: { id: string; kind: NodeKind; type: string; start?: string }[];
  edges: { from: string; action: Action; to: string }[];
}

/**
 * The nodes of one flow under ids that are the same in every isolate: a node's id is its `name` option or else its class's
 * name, then `#2`, `#3` for the next of the same class in walk order.
 */
export class Graph {
  readonly root: string;
  readonly #nodes = new Map<string, BaseNode>();
  readonly #ids = new Map<BaseNode, string>();
  readonly #flows = new Map<string, string>();

  constructor(root: BaseNode) {
    this.#walk(root);
    this.root = this.idOf(root);
  }

  get ids(): Iterable<string> {
    return this.#nodes.keys();
  }

  has(id: string): boolean {
    return this.#nodes.has(id);
  }

  node(id: string): BaseNode {
    const node = this.#nodes.get(id);
    if (!node)
      throw new Error(`Expected a node of this flow, got \`${id}\`; it has: ${[...this.#nodes.keys()].join(", ")}`);
    return node;
  }

  kind(id: string): NodeKind {
    return this.node(id)["_kind"];
  }

  /** How many branches of a flow may be under way at once: one, but for a parallel batch flow. */
  width(id: string): number {
    const node = this.node(id);
    return node["_kind"] === "parallel-batch-flow" ? (node["_options"].concurrency ?? Infinity) : 1;
  }

  /** How many nodes one walk through a flow may visit; `Infinity` where nothing bounds it. */
  maxSteps(id: string): number {
    return this.node(id)["_options"].maxSteps ?? Infinity;
  }

  /** How many items or branches of a node may fail; `null` where the first that does is its own failure. */
  tolerance(id: string): Tolerance | null {
    return toleranceOf(this.node(id)["_options"]);
  }

  /**
   * The flow that a node is in; nothing for the root and what follows it. Of several flows that lead to the node, the first in
   * walk order.
   */
  flowOf(id: string): string | undefined {
    return this.#flows.get(id);
  }

  /** The first node of a flow's walk; nothing for a node that is no flow. */
  startOf(id: string): string | undefined {
    const node = this.node(id);
    return isFlow(node) ? this.idOf(node.start) : undefined;
  }

  next(id: string, action: Action): string | undefined {
    const next = this.node(id)["_successors"].get(action);
    return next && this.idOf(next);
  }

  /** A sentence if `action` ends the walk although the node has successors and never declared such an end. */
  warning(id: string, action: Action): string | undefined {
    const node = this.node(id);
    if (!endsUnexpectedly(node, action)) return undefined;
    return `Flow ends at ${id}: '${action}' not found in [${[...node["_successors"].keys()]}]`;
  }

  shape(): GraphShape {
    const nodes = [...this.#nodes].map(([id, node]) => {
      const start = this.startOf(id);
      return { id, kind: node["_kind"], type: node.constructor.name, ...(start === undefined ? {} : { start }) };
    });
    const edges = [...this.#nodes].flatMap(([from, node]) =>
      [...node["_successors"]].map(([action, to]) => ({ from, action, to: this.idOf(to) })),
    );
    return { root: this.root, nodes, edges };
  }

  idOf(node: BaseNode): string {
    return this.#ids.get(node) as string;
  }

  /** Depth first: a flow, then its inside, then what follows. A stack of its own, since chains may be long. */
  #walk(root: BaseNode): void {
    const ahead: [node: BaseNode, flow: string | undefined][] = [[root, undefined]];
    for (let next = ahead.pop(); next; next = ahead.pop()) {
      const [node, flow] = next;
      if (this.#ids.has(node)) continue;
      const id = this.#name(node);
      if (flow !== undefined) this.#flows.set(id, flow);
      for (const successor of [...node["_successors"].values()].reverse()) ahead.push([successor, flow]);
      if (isFlow(node)) ahead.push([node.start, id]);
    }
  }

  #name(node: BaseNode): string {
    const { name } = node["_options"];
    if (name !== undefined && this.#nodes.has(name)) {
      throw new Error(`Expected node names to be different within a flow, got \`${name}\` twice`);
    }
    const id = name ?? this.#free(nameOf(node));
    this.#nodes.set(id, node);
    this.#ids.set(node, id);
    return id;
  }

  #free(base: string): string {
    let id = base;
    for (let count = 2; this.#nodes.has(id); count++) id = `${base}#${count}`;
    return id;
  }
}

const FLOWS: readonly NodeKind[] = ["flow", "batch-flow", "parallel-batch-flow"];

/** Known by its kind: with the class itself, this file and the one of flows would import each other. */
function isFlow(node: BaseNode): node is Flow {
  return FLOWS.includes(node["_kind"]);
}

/** What differs between two shapes of one flow, a sentence each; empty when nothing does. */
export function differences(before: GraphShape, after: GraphShape): string[] {
  return [
    ...changed(
      before.nodes,
      after.nodes,
      (node) => node.id,
      "node",
      (node) => `${node.type}, ${node.kind}${node.start ? `, starts at ${node.start}` : ""}`,
    ),
    ...changed(
      before.edges,
      after.edges,
      (edge) => `${edge.from} -${edge.action}->`,
      "edge",
      (edge) => edge.to,
    ),
    ...(before.root === after.root ? [] : [`the flow was \`${before.root}\` and is now \`${after.root}\``]),
  ];
}

function changed<T>(
  before: T[],
  after: T[],
  keyOf: (part: T) => string,
  what: string,
  tell: (part: T) => string,
): string[] {
  const old = new Map(before.map((part) => [keyOf(part), part]));
  const now = new Map(after.map((part) => [keyOf(part), part]));
  const removed = [...old.keys()].filter((key) => !now.has(key)).map((key) => `${what} \`${key}\` was removed`);
  const added = [...now.keys()].filter((key) => !old.has(key)).map((key) => `${what} \`${key}\` was added`);
  const altered = [...now].flatMap(([key, part]) => {
    const past = old.get(key);
    return past && tell(past) !== tell(part)
      ? [`${what} \`${key}\` was (${tell(past)}) and is now (${tell(part)})`]
      : [];
  });
  return [...removed, ...added, ...altered];
}
