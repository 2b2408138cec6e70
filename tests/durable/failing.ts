import {
  type BaseNode,
  BatchFlow,
  BatchNode,
  type BranchEnd,
  Flow,
  Node,
  type NonIterableObject,
  type Outcome,
  ParallelBatchFlow,
  ParallelBatchNode,
  type Tolerate,
} from "../../src/index.ts";

/** What makes items fail in the flows below, and what has been executed: the same object for tests and executors. */
export class World {
  /** Items, by their number, that fail whenever they are executed. */
  readonly broken = new Set<number>();
  /** Branches whose hook throws. */
  readonly brokenHooks = new Set<number>();
  /** Each call of exec: node, item, idempotency key. */
  readonly calls: { node: string; n: number; key: string }[] = [];

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
  tolerate?: Tolerate;
  /** Written by the first batch's post: what it was given, and a line for each time that it was. */
  log?: string[];
  results?: (number | string)[];
  sums?: number[];
}

function work(node: string, n: number, key: string): number {
  world.calls.push({ node, n, key });
  if (world.broken.has(n)) throw new Error(`item ${n} is broken`);
  return n * 10;
}

function told(outcome: Outcome<number>): number | string {
  return outcome.ok ? outcome.value : `${outcome.error.name}: ${outcome.error.message}`;
}

const numbers = ({ count }: Failing) => Array.from({ length: count }, (_, n) => n);

/** Collects failures, and appends to lists in shared, as a post may that knows nothing of being run again. */
class Collecting extends ParallelBatchNode<Failing, NonIterableObject, number, number> {
  override prep(shared: Failing) {
    return numbers(shared);
  }
  override exec(n: number, context?: { idempotencyKey: string }) {
    return work("Collecting", n, context?.idempotencyKey ?? "");
  }
  override post(shared: Failing, _: Iterable<number>, outcomes: Outcome<number>[]) {
    shared.log = [...(shared.log ?? []), "collected"];
    shared.results ??= [];
    shared.results.push(...outcomes.map(told));
  }
}

class CollectingInTurn extends BatchNode<Failing, NonIterableObject, number, number> {
  override prep(shared: Failing) {
    return numbers(shared);
  }
  override exec(n: number, context?: { idempotencyKey: string }) {
    return work("CollectingInTurn", n, context?.idempotencyKey ?? "");
  }
  override post(shared: Failing, _: Iterable<number>, outcomes: Outcome<number>[]) {
    shared.log = [...(shared.log ?? []), "collected"];
    shared.results ??= [];
    shared.results.push(...outcomes.map(told));
  }
}

/** Fails with its first item. */
class Strict extends ParallelBatchNode<Failing, NonIterableObject, number, number> {
  override prep(shared: Failing) {
    return numbers(shared);
  }
  override exec(n: number, context?: { idempotencyKey: string }) {
    return work("Strict", n, context?.idempotencyKey ?? "");
  }
  override post(shared: Failing, _: Iterable<number>, results: number[]) {
    shared.log = [...(shared.log ?? []), "strict"];
    shared.results = results;
  }
}

/** What follows: it adds to what is there, so that running it twice would show. */
class Sum extends Node<Failing, NonIterableObject, number, number> {
  override prep({ results = [] }: Failing) {
    return results.filter((result) => typeof result === "number").reduce((sum, result) => sum + result, 0);
  }
  override exec(sum: number) {
    world.calls.push({ node: "Sum", n: sum, key: "" });
    return sum;
  }
  override post(shared: Failing, _: number, sum: number) {
    shared.sums ??= [];
    shared.sums.push(sum);
    shared.log?.push("summed");
  }
}

type Params = { n: number };

/** A branch's first node: two hooks and an exec, each of which may fail. */
class Load extends Node<Failing, Params, number, number> {
  override prep() {
    return this._params.n;
  }
  override exec(n: number, context?: { idempotencyKey: string }) {
    return work("Load", n, context?.idempotencyKey ?? "");
  }
  override post(shared: Failing, n: number) {
    if (world.brokenHooks.has(n)) throw new Error(`hook ${n} is broken`);
    shared.log ??= [];
    shared.log.push(`loaded ${n}`);
  }
}

class Save extends Node<Failing, Params, number, number> {
  override prep() {
    return this._params.n;
  }
  override exec(n: number, context?: { idempotencyKey: string }) {
    world.calls.push({ node: "Save", n, key: context?.idempotencyKey ?? "" });
    return n + 1;
  }
}

function tellBranches(shared: Failing, outcomes: Outcome<BranchEnd>[]): void {
  shared.results = outcomes.map((outcome) =>
    outcome.ok ? (outcome.value.result as number) : `${outcome.error.name}: ${outcome.error.message}`,
  );
}

class Branches extends ParallelBatchFlow<Failing, NonIterableObject, Params[]> {
  override prep(shared: Failing) {
    return numbers(shared).map((n) => ({ n }));
  }
  override post(shared: Failing, _: Params[], outcomes: Outcome<BranchEnd>[]) {
    shared.log = [...(shared.log ?? []), "branched"];
    tellBranches(shared, outcomes);
  }
}

class BranchesInTurn extends BatchFlow<Failing, NonIterableObject, Params[]> {
  override prep(shared: Failing) {
    return numbers(shared).map((n) => ({ n }));
  }
  override post(shared: Failing, _: Params[], outcomes: Outcome<BranchEnd>[]) {
    shared.log = [...(shared.log ?? []), "branched"];
    tellBranches(shared, outcomes);
  }
}

const COLLECT = { onItemError: "collect" } as const;

function followed(node: BaseNode): Flow {
  node.next(new Sum());
  return new Flow(node);
}

function loaded(): BaseNode {
  const load = new Load();
  load.next(new Save());
  return load;
}

/** Flows of which items fail, by what they do about it. */
export const failingFlows = {
  collecting: () => followed(new Collecting({ ...COLLECT, concurrency: 60 })),
  "collecting in turn": () => followed(new CollectingInTurn(COLLECT)),
  strict: () => followed(new Strict({ concurrency: 60 })),
  "collecting branches": () => followed(new Branches(loaded(), COLLECT)),
  "collecting branches in turn": () => followed(new BranchesInTurn(loaded(), COLLECT)),
  "tolerating 10 %": () => followed(new Collecting({ tolerate: { percentage: 10 } })),
  "tolerating 0 %": () => followed(new Collecting({ tolerate: { percentage: 0 } })),
  "tolerating 100 %": () => followed(new Collecting({ tolerate: { percentage: 100 } })),
  "tolerating 2": () => followed(new Collecting({ tolerate: { count: 2 } })),
  "tolerating 2 branches": () => followed(new Branches(loaded(), { tolerate: { count: 2 } })),
};
