// A random program is plain data: it can be generated, shrunk and printed, and `build` makes a flow of it.
//
// Its end must not depend on which branch is faster. So a branch writes only to a place of its own, to sums, and to what its
// own branches left once all of them have ended.

export interface Program {
  root: NodeSpec;
  /** A list that comes with the input, for everybody to read. */
  numbers: number[];
  spelling?: "seed" | undefined;
  failure?: FailureSpec | undefined;
}

/** Makes one hook of one node throw whenever it runs. There is one such place at most, so that the run's error is clear. */
export interface FailureSpec {
  /** The node's number; see `nodesOf`. */
  node: number;
  hook: "prep" | "exec" | "fallback" | "post";
}

export type NodeSpec = LeafSpec | FlowSpec;

interface Hooked {
  /** What prep and post write before they return. */
  prep?: Write[];
  post?: Write[];
  items?: Items;
  /** Where the walk goes on after each visit in one branch; the last word holds from then on. */
  goes?: Way[];
  /** The place in the walk that `back` leads to. */
  back?: number;
  /** How many items or branches may be under way at once. */
  width?: number;
}

export interface LeafSpec extends Hooked {
  kind: "node" | "batch" | "parallel-batch";
  exec?: ExecSpec;
}

export interface FlowSpec extends Hooked {
  kind: "flow" | "batch-flow" | "parallel-batch-flow";
  /** The nodes of its walk: each leads to the next by the default action. */
  inner: NodeSpec[];
}

/**
 * To the next node, past it, back, to a declared end, or by an action that nobody takes. A nested flow's `last` is wherever its
 * walk's last action leads.
 */
export type Way = "on" | "past" | "back" | "end" | "nowhere" | "last";

/** What prep returns: a list of such a kind, or a part of shared itself. */
export interface Items {
  of: "fresh" | "list" | "numbers" | "kept" | "own" | "generator" | "counting" | "late" | "set" | "values" | "nothing";
  size: number;
}

export interface ExecSpec {
  gives?: "text" | "map" | "date" | "object" | "nothing";
  pauses?: number;
  /** So many times every second item fails before it succeeds. */
  flaky?: number;
  /** The attempts do not suffice for that, and execFallback helps out. */
  fallsBack?: true;
  /** Counts its calls in a field of the node. */
  counts?: true;
  home?: "queue" | undefined;
  /** Of a batch: one call takes so many items. */
  chunk?: number;
}

/** One thing that a hook does to its branch's part of shared. */
export interface Write {
  do: Deed;
  key?: "a" | "b";
  value?: number;
}

export const DEEDS = [
  "count",
  "sum",
  "push",
  "shift",
  "reverse",
  "renew",
  "set",
  "delete",
  "move",
  "nest",
  "map",
  "unmap",
  "add",
  "date",
  "alias",
  "through alias",
  "mirror",
  "params",
  "field",
  "read and write late",
  "pause",
] as const;

/** What only post can do: with what prep returned, with results, and with what branches left. */
export const LATE_DEEDS = ["through prepRes", "keep prepRes", "keep results", "gather", "adopt"] as const;

export type Deed = (typeof DEEDS)[number] | (typeof LATE_DEEDS)[number];

/** What one branch writes to. */
export interface Branch {
  visits: { [node: string]: number };
  /** Counted at a hook's begin and at its end: where they differ, half a hook was kept. */
  begun: number;
  ended: number;
  count: number;
  list: unknown[];
  keyed: { [key: string]: unknown };
  map: Map<string, unknown>;
  set: Set<unknown>;
  date: Date;
  alias?: unknown[];
}

export interface Shared {
  numbers: number[];
  /** By path: `""` is the main walk, `"/1"` its second branch, `"/1/0"` the first of that one's. */
  branches: { [path: string]: Branch };
  sums: { begun: number; ended: number; sum: number };
  /** Lists of branches, seen from another place. */
  mirror: { [path: string]: unknown };
}

export function inputOf({ numbers }: Program): Shared {
  return { numbers: [...numbers], branches: {}, sums: { begun: 0, ended: 0, sum: 0 }, mirror: {} };
}

export function branchAt(shared: Shared, path: string): Branch {
  shared.branches[path] ??= {
    visits: {},
    begun: 0,
    ended: 0,
    count: 0,
    list: [],
    keyed: {},
    map: new Map(),
    set: new Set(),
    date: new Date(0),
  };
  return shared.branches[path];
}

/** The nodes of a program in the order in which they are written: a node's number is its place in it. */
export function* nodesOf(node: NodeSpec): Generator<NodeSpec> {
  yield node;
  if ("inner" in node) for (const inner of node.inner) yield* nodesOf(inner);
}
