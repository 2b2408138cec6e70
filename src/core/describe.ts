import { nameOf } from "./follow.ts";
import { Graph } from "./graph.ts";
import { draw } from "./mermaid.ts";
import type { Action, BaseNode, NodeKind } from "./node.ts";
import { limitsOf } from "./options.ts";

/** One node of a flow's description. */
export interface NodeDescription {
  /** Its name, then `#2`, `#3` for the next of the same class in walk order: what items and results of a durable run name. */
  id: string;
  /** The `name` option, or else the class's name. */
  name: string;
  kind: NodeKind;
  /** The names of its limits; left out where it has none. */
  limit?: string[];
  /** The id of a flow's first node; left out where this is no flow. */
  start?: string;
}

/** A flow as data that JSON can hold, in walk order: a flow, then its inside, then what follows it. */
export interface FlowDescription {
  /** The `name` option of the flow, or else its class's name. */
  name: string;
  /** The flow itself is the first of them. */
  nodes: NodeDescription[];
  edges: { from: string; to: string; action: Action }[];
  /** The text of a Mermaid flowchart. */
  mermaid: string;
}

/** Describes a flow, or a node alone. Throws an Error where two of its nodes were given one name. */
export function describe(root: BaseNode): FlowDescription {
  const graph = new Graph(root);
  return {
    name: nameOf(root),
    nodes: [...graph.ids].map((id) => describeNode(graph, id)),
    edges: graph.shape().edges.map(({ from, action, to }) => ({ from, to, action })),
    mermaid: draw(graph),
  };
}

function describeNode(graph: Graph, id: string): NodeDescription {
  const node = graph.node(id);
  const limit = limitsOf(node["_options"].limit).map((use) => use.name);
  const start = graph.startOf(id);
  return {
    id,
    name: nameOf(node),
    kind: graph.kind(id),
    ...(limit.length === 0 ? {} : { limit }),
    ...(start === undefined ? {} : { start }),
  };
}
