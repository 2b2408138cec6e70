import {
  BatchFlow,
  BatchNode,
  type BranchEnd,
  type ExecContext,
  Flow,
  Node,
  type NodeOptions,
  type NonIterableObject,
  type Outcome,
  ParallelBatchFlow,
  ParallelBatchNode,
  type Tolerate,
} from "../../src/index.ts";
import { stage } from "./stage.ts";

/** One call of exec. */
export interface ExecCall {
  node: string;
  n: number;
  key: string;
  attempt: number;
}

/** What makes items fail in the flows below, and what has been executed: the same object for tests and executors. */
export class World {
  /** Items, by their number, that fail whenever they are executed. */
  readonly broken = new Set<number>();
  /** Items that wait for a gate of the stage, `item 3`, before they end. */
  readonly gated = new Set<number>();
  /** Posts that wait for a gate of the stage, `post 3`, before they write. */
  readonly heldPosts = new Set<number>();
  /** Branches whose prep, or post, throws. */
  readonly brokenPreps = new Set<number>();
  readonly brokenHooks = new Set<number>();
  readonly calls: ExecCall[] = [];
  /** Whose budget limited items use. */
  tenant = "";

  /** Nothing fails any more. */
  mend(): void {
    for (const causes of [this.broken, this.brokenPreps, this.brokenHooks]) causes.clear();
  }

  callsOf(node: string): number[] {
    return this.calls.filter((call) => call.node === node).map(({ n }) => n);
  }
}

export let world = new World();

export function newWorld(): World {
  world = new World();
  return world;
}

export interface Failing {
  count: number;
  /** Written by the first batch's post: what it was given, and a line for each time that it was. */
  log?: string[];
  results?: (number | string)[];
  sums?: number[];
  /** Written by a batch that follows. */
  doubled?: number[];
}

/** Exec of every node of these flows. */
export function work(node: string, n: number, context: ExecContext): number | Promise<number> {
  const { broken, gated, calls } = world;
  calls.push({ node, n, key: context.idempotencyKey, attempt: context.attempt });
  stage().say(`${node} ${n}`);
  const end = () => {
    if (broken.has(n)) throw new Error(`item ${n} is broken`);
    return n * 10;
  };
  if (!gated.has(n)) return end();
  context.signal.addEventListener("abort", () => stage().say(`aborted ${n}`));
  return stage().pass(`item ${n}`).then(end);
}

export function told<T>(outcome: Outcome<T>): T | string {
  return outcome.ok ? outcome.value : `${outcome.error.name}: ${outcome.error.message}`;
}

const numbers = ({ count }: Failing) => Array.from({ length: count }, (_, n) => n);

/** A post that appends to lists in shared, and knows nothing of being run again. */
function collect(shared: Failing, outcomes: Outcome<number>[]): void {
  shared.log = [...(shared.log ?? []), "collected"];
  shared.results ??= [];
  shared.results.push(...outcomes.map(told));
}

class Collecting extends ParallelBatchNode<Failing, NonIterableObject, number, number> {
  override prep(shared: Failing) {
    return numbers(shared);
  }
  override exec(n: number, context: ExecContext) {
    return work("Collecting", n, context);
  }
  override post(shared: Failing, _: Iterable<number>, outcomes: Outcome<number>[]) {
    collect(shared, outcomes);
  }
}

class CollectingInTurn extends BatchNode<Failing, NonIterableObject, number, number> {
  override prep(shared: Failing) {
    return numbers(shared);
  }
  override exec(n: number, context: ExecContext) {
    return work("CollectingInTurn", n, context);
  }
  override post(shared: Failing, _: Iterable<number>, outcomes: Outcome<number>[]) {
    collect(shared, outcomes);
  }
}

/** Fails with its first item. */
class Strict extends ParallelBatchNode<Failing, NonIterableObject, number, number> {
  override prep(shared: Failing) {
    return numbers(shared);
  }
  override exec(n: number, context: ExecContext) {
    return work("Strict", n, context);
  }
  override post(shared: Failing, _: Iterable<number>, results: number[]) {
    shared.log = [...(shared.log ?? []), "strict"];
    shared.results = results;
  }
}

/** Has items of other numbers than the batch before it. */
class StrictLater extends Strict {
  override prep(shared: Failing) {
    return numbers(shared).map((n) => 500 + n);
  }
}

/** A batch of what the one before it gave: items of its own, for which a rewound run has no results. */
class Doubling extends ParallelBatchNode<Failing, NonIterableObject, number, number> {
  override prep({ results = [] }: Failing) {
    return results.filter((result) => typeof result === "number");
  }
  override exec(n: number, context: ExecContext) {
    work("Doubling", 1000 + n, context);
    return 2 * n;
  }
  override post(shared: Failing, _: Iterable<number>, results: number[]) {
    shared.doubled = [...(shared.doubled ?? []), ...results];
    shared.log?.push("doubled");
  }
}

/** What follows: it adds to what is there, so that running it twice would show. Its one item fails as number -1. */
class Sum extends Node<Failing, NonIterableObject, number, number> {
  override prep({ results = [] }: Failing) {
    return results.filter((result) => typeof result === "number").reduce((sum, result) => sum + result, 0);
  }
  override exec(sum: number, context: ExecContext) {
    work("Sum", -1, context);
    return sum;
  }
  override post(shared: Failing, _: number, sum: number) {
    if (world.brokenHooks.has(-1)) throw new Error("hook -1 is broken");
    shared.sums ??= [];
    shared.sums.push(sum);
    shared.log?.push("summed");
  }
}

type Params = { n: number };

/** A branch's first node: two hooks and an exec, each of which may fail. */
class Load extends Node<Failing, Params, number, number> {
  override prep() {
    if (world.brokenPreps.has(this._params.n)) throw new Error(`prep ${this._params.n} is broken`);
    return this._params.n;
  }
  override exec(n: number, context: ExecContext) {
    return work("Load", n, context);
  }
  override post(_: Failing, n: number) {
    if (world.brokenHooks.has(n)) throw new Error(`hook ${n} is broken`);
  }
}

class Save extends Node<Failing, Params, number, number> {
  override prep() {
    return this._params.n;
  }
  override exec(n: number, context: ExecContext) {
    work("Save", 100 + n, context);
    return n + 1;
  }
}

function tellBranches(shared: Failing, outcomes: Outcome<BranchEnd>[]): void {
  shared.log = [...(shared.log ?? []), "branched"];
  shared.results = outcomes.map((outcome) =>
    outcome.ok ? (outcome.value.result as number) : told(outcome),
  ) as string[];
}

class Branches extends ParallelBatchFlow<Failing, NonIterableObject, Params[]> {
  override prep(shared: Failing) {
    return numbers(shared).map((n) => ({ n }));
  }
  override post(shared: Failing, _: Params[], outcomes: Outcome<BranchEnd>[]) {
    tellBranches(shared, outcomes);
  }
}

class BranchesInTurn extends BatchFlow<Failing, NonIterableObject, Params[]> {
  override prep(shared: Failing) {
    return numbers(shared).map((n) => ({ n }));
  }
  override post(shared: Failing, _: Params[], outcomes: Outcome<BranchEnd>[]) {
    tellBranches(shared, outcomes);
  }
}

function loaded(options: NodeOptions<number> = {}): Load {
  const load = new Load(options);
  load.next(new Save());
  return load;
}

const COLLECT = { onItemError: "collect" } as const;
const LATER = { ...COLLECT, maxRetries: 2, wait: 3600 };
type Policy = { onItemError?: "collect"; tolerate?: Tolerate };

/** What each kind of batch tells of its failures, by what it is called. */
export const KINDS = {
  "at once": {
    node: "Collecting",
    parts: "items",
    make: (policy: Policy) => new Collecting({ ...policy, concurrency: 60 }),
  },
  "in order": { node: "CollectingInTurn", parts: "items", make: (policy: Policy) => new CollectingInTurn(policy) },
  "branches at once": { node: "Branches", parts: "branches", make: (policy: Policy) => new Branches(loaded(), policy) },
  "branches in order": {
    node: "BranchesInTurn",
    parts: "branches",
    make: (policy: Policy) => new BranchesInTurn(loaded(), policy),
  },
};

export type Kind = keyof typeof KINDS;

/** What batches tolerate, by what messages call it. */
export const POLICIES = {
  any: COLLECT,
  "0": { tolerate: { count: 0 } },
  "2": { tolerate: { count: 2 } },
  "0 %": { tolerate: { percentage: 0 } },
  "25 %": { tolerate: { percentage: 25 } },
  "29 %": { tolerate: { percentage: 29 } },
  "100 %": { tolerate: { percentage: 100 } },
  "3 or 25 %": { tolerate: { count: 3, percentage: 25 } },
  "1 or 50 %": { tolerate: { count: 1, percentage: 50 } },
} satisfies { [bounds: string]: Policy };

export type Bounds = keyof typeof POLICIES;

function toleratingFlow(kind: Kind, policy: Policy): Flow {
  const node = KINDS[kind].make(policy);
  node.next(new Sum());
  return new Flow(node as never);
}

/** One flow for each kind of batch and each thing that it may tolerate. */
const toleratingFlows = Object.fromEntries(
  Object.entries(KINDS).flatMap(([kind]) =>
    Object.entries(POLICIES).map(([bounds, policy]) => [
      `tolerating ${bounds}, ${kind}`,
      () => toleratingFlow(kind as Kind, policy),
    ]),
  ),
);

const tenants = { name: "pair", key: () => world.tenant };
const laneOfTenant = { name: "lane", key: () => world.tenant };

function chained(...nodes: (Collecting | Strict | Doubling | Sum | Branches)[]): Flow {
  for (const [at, node] of nodes.entries()) if (at > 0) (nodes[at - 1] as Node).next(node as Node);
  return new Flow(nodes[0] as never);
}

/** Flows of which items fail, by what they do about it. */
export const failingFlows = {
  ...toleratingFlows,
  collecting: () => chained(new Collecting({ ...COLLECT, concurrency: 60 }), new Sum()),
  "collecting, retried": () => chained(new Collecting({ ...COLLECT, maxRetries: 3 }), new Sum()),
  "collecting, retried later": () => chained(new Collecting(LATER), new Sum()),
  "collecting, then a batch": () => chained(new Collecting(COLLECT), new Doubling(), new Sum()),
  "collecting, then strict": () => chained(new Collecting(COLLECT), new StrictLater({ name: "Strict" }), new Sum()),
  "collecting, retried soon": () => chained(new Collecting({ ...COLLECT, maxRetries: 2, wait: 0.3 }), new Sum()),
  strict: () => chained(new Strict({ concurrency: 60 }), new Sum()),
  "strict, retried": () => chained(new Strict({ maxRetries: 3 }), new Sum()),
  "collecting on pair": () => chained(new Collecting({ ...COLLECT, limit: tenants }), new Sum()),
  "strict on pair": () => chained(new Strict({ limit: tenants }), new Sum()),
  "collecting branches on lane": () => chained(new Branches(loaded({ limit: laneOfTenant }), COLLECT), new Sum()),
  "collecting branches": () => toleratingFlow("branches at once", COLLECT),
  "collecting branches in turn": () => toleratingFlow("branches in order", COLLECT),
  "collecting in a minute": { flow: () => chained(new Collecting(LATER), new Sum()), deadline: "1m" },
};
