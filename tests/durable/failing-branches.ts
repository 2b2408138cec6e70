import {
  type BranchEnd,
  type ExecContext,
  Flow,
  Node,
  type NonIterableObject,
  type Outcome,
  ParallelBatchFlow,
  ParallelBatchNode,
} from "../../src/index.ts";
import { told, work, world } from "./failing.ts";
import { stage } from "./stage.ts";

/** Branches, each with a batch of its own, that write to lists and counters by their numbers: so that whole outputs compare. */
export interface Listed {
  branches: number;
  items: number;
  /** What the batch of each branch gave. */
  lists: { [branch: string]: (number | string)[] };
  /** How often the last node of each branch was there. */
  tails: { [branch: string]: number };
  /** How the branches ended, as the post of their flow was told. */
  told?: unknown[];
  ends: number;
}

type Params = { n: number };

function count(counts: { [key: string]: number }, key: number | string): void {
  counts[key] = (counts[key] ?? 0) + 1;
}

function toldAll(outcomes: (unknown | Outcome)[]): unknown[] {
  return outcomes.map((outcome) =>
    typeof outcome === "object" && outcome !== null && "ok" in outcome ? told(outcome as Outcome) : outcome,
  );
}

/** The batch of a branch: items of branch 3 are 30, 31, 32. */
class Many extends ParallelBatchNode<Listed, Params, number, number> {
  override prep({ items }: Listed) {
    const { n } = this._params;
    if (world.brokenPreps.has(n)) throw new Error(`prep ${n} is broken`);
    return Array.from({ length: items }, (_, at) => 10 * n + at);
  }
  override exec(n: number, context: ExecContext) {
    return work("Many", n, context);
  }
  override post(shared: Listed, _: Iterable<number>, results: number[] | Outcome<number>[]) {
    const { n } = this._params;
    if (world.brokenHooks.has(n)) throw new Error(`hook ${n} is broken`);
    shared.lists[n] ??= [];
    shared.lists[n].push(...(toldAll(results) as number[]));
  }
}

/** The last node of a branch: its item is 1000 and the branch's number. */
class Tail extends Node<Listed, Params, number, number> {
  override prep() {
    return 1000 + this._params.n;
  }
  override exec(n: number, context: ExecContext) {
    return work("Tail", n, context);
  }
  override post(shared: Listed) {
    count(shared.tails, this._params.n);
  }
}

class Fork extends ParallelBatchFlow<Listed, NonIterableObject, Params[]> {
  override prep({ branches }: Listed) {
    return Array.from({ length: branches }, (_, n) => ({ n }));
  }
  override post(shared: Listed, _: Params[], outcomes: Outcome<BranchEnd>[] | undefined, ends?: BranchEnd[]) {
    shared.told = toldAll(outcomes ?? ends ?? []);
  }
}

class End extends Node<Listed> {
  override post(shared: Listed) {
    shared.ends++;
  }
}

/** Batch flows within batch flows: those of numbers a, b and c. */
export interface Nested {
  width: number;
  leaves: { [place: string]: number };
  lasts: { [place: string]: number };
  inner: { [place: string]: unknown[] };
  outer?: unknown[];
}

type Place = { a?: number; b?: number; c?: number };

const upTo = ({ width }: Nested) => Array.from({ length: width }, (_, at) => at);

/** Its item is 100 a + 10 b + c. */
class Leaf extends Node<Nested, Place, number, number> {
  override prep() {
    const { a = 0, b = 0, c = 0 } = this._params;
    return 100 * a + 10 * b + c;
  }
  override exec(n: number, context: ExecContext) {
    return work("Leaf", n, context);
  }
  override post(shared: Nested) {
    const { a, b, c } = this._params;
    count(shared.leaves, `${a}/${b}/${c}`);
  }
}

/** Its item is 1000 + 10 a + b. */
class Last extends Node<Nested, Place, number, number> {
  override prep() {
    const { a = 0, b = 0 } = this._params;
    return 1000 + 10 * a + b;
  }
  override exec(n: number, context: ExecContext) {
    return work("Last", n, context);
  }
  override post(shared: Nested) {
    const { a, b } = this._params;
    count(shared.lasts, `${a}/${b}`);
  }
}

/** Its item is 10 a + b, and its post may take its time. */
class Late extends Node<Nested, Place, number, number> {
  override prep() {
    const { a = 0, b = 0 } = this._params;
    return 10 * a + b;
  }
  override exec(n: number, context: ExecContext) {
    return work("Late", n, context);
  }
  override async post(shared: Nested, n: number) {
    stage().say(`post ${n}`);
    if (world.heldPosts.has(n)) await stage().pass(`post ${n}`);
    const { a, b } = this._params;
    count(shared.leaves, `${a}/${b}`);
    stage().say(`posted ${n}`);
  }
}

class Inner extends ParallelBatchFlow<Nested, Place, Place[]> {
  override prep(shared: Nested) {
    return upTo(shared).map((c) => ({ c }));
  }
  override post(shared: Nested, _: Place[], outcomes: Outcome<BranchEnd>[]) {
    const { a, b } = this._params;
    shared.inner[`${a}/${b}`] = [...(shared.inner[`${a}/${b}`] ?? []), ...toldAll(outcomes)];
  }
}

class Middle extends ParallelBatchFlow<Nested, Place, Place[]> {
  override prep(shared: Nested) {
    return upTo(shared).map((b) => ({ b }));
  }
}

class Outer extends ParallelBatchFlow<Nested, NonIterableObject, Place[]> {
  override prep(shared: Nested) {
    return upTo(shared).map((a) => ({ a }));
  }
  override post(shared: Nested, _: Place[], outcomes: Outcome<BranchEnd>[]) {
    shared.outer = [...(shared.outer ?? []), ...toldAll(outcomes)];
  }
}

const COLLECT = { onItemError: "collect" } as const;

function forked(batch: "collect" | "fail", fork: "collect" | "fail"): Flow {
  const many = new Many({ onItemError: batch });
  many.next(new Tail());
  const flow = new Fork(many, { onItemError: fork });
  flow.next(new End());
  return new Flow(flow);
}

function nested(): Flow {
  const inner = new Inner(new Leaf(), COLLECT);
  inner.next(new Last());
  return new Flow(new Outer(new Middle(inner), COLLECT));
}

function late(): Flow {
  return new Flow(new Outer(new Middle(new Late()), COLLECT));
}

/** Flows with branches, parts of which fail. */
export const failingBranches = {
  "collecting in branches": () => forked("collect", "fail"),
  "collecting in collecting branches": () => forked("collect", "collect"),
  "strict in collecting branches": () => forked("fail", "collect"),
  "collect in fail in collect": nested,
  "late posts": late,
};
