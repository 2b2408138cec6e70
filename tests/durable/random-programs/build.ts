import type { BaseNode, BranchEnd, ExecContext, NodeOptions } from "../../../src/index.ts";
import { type Hooks, plain, type Spelling, seed } from "../../core/spelling.ts";
import { itemsOf } from "./items.ts";
import type { ExecSpec, FailureSpec, FlowSpec, LeafSpec, NodeSpec, Program, Shared, Way } from "./program.ts";
import { perform, type Scene, type Self, sceneOf } from "./writes.ts";

/** Is told of each moment of a run, and decides how long it lasts. */
export interface Observer {
  /** A hook begins or ends; it cannot wait. */
  hook(): void;
  /** An exec begins. */
  exec(): void;
  pause(ms: number, isInExec?: boolean): Promise<void>;
}

interface Making {
  program: Program;
  spell: Spelling;
  observer: Observer;
  /** How many nodes have been made. */
  count: number;
}

/** The flow that a program says. */
export function build(program: Program, observer: Observer): BaseNode {
  const spell = program.spelling === "seed" ? seed : plain;
  return makeNode({ program, spell, observer, count: 0 }, program.root);
}

function makeNode(making: Making, spec: NodeSpec): BaseNode {
  const number = making.count++;
  const part: Part = { making, name: `n${number}`, spec, breaks: breaksAt(making.program.failure, number) };
  return "inner" in spec ? makeFlow(part, spec) : makeLeaf(part, spec);
}

interface Part {
  making: Making;
  name: string;
  spec: NodeSpec;
  /** The hook that throws. */
  breaks: FailureSpec["hook"] | undefined;
}

function breaksAt(failure: FailureSpec | undefined, number: number): Part["breaks"] {
  return failure?.node === number ? failure.hook : undefined;
}

function makeLeaf(part: Part, spec: LeafSpec): BaseNode {
  const { spell } = part.making;
  const make = { node: spell.node, batch: spell.batch, "parallel-batch": spell.parallel }[spec.kind];
  const { exec, ...others } = execOf(part, spec);
  const batchSize = spec.kind === "node" ? undefined : spec.exec?.chunk;
  const called = batchSize === undefined ? { exec: exec as Exec } : { execBatch: together(exec as Exec) };
  const options = batchSize === undefined ? {} : { batchSize };
  return make({ ...hooksOf(part), ...called, ...others }, { ...optionsOf(spec), ...options });
}

function makeFlow(part: Part, spec: FlowSpec): BaseNode {
  const { spell } = part.making;
  const start = wire(
    spec.inner.map((inner) => makeNode(part.making, inner)),
    spec.inner,
  );
  if (spec.kind === "flow") return spell.flow(start, hooksOf(part));
  if (spec.kind === "batch-flow") return spell.batchFlow(start, hooksOf(part));
  return spell.parallelFlow(start, hooksOf(part), spec.width ? { concurrency: spec.width } : {});
}

type Exec = (this: unknown, item: unknown, context: ExecContext) => unknown;

/** Calls exec for each of many items. One that fails does so by itself. */
function together(exec: Exec) {
  return function execBatch(this: unknown, items: unknown[], context: ExecContext) {
    const results = items.map(async (item) => exec.call(this, item, context));
    return Promise.all(results.map((result) => result.catch((error) => error)));
  };
}

/** Connects a walk's nodes, and returns the first. */
function wire(nodes: BaseNode[], specs: NodeSpec[]): BaseNode {
  for (const [index, node] of nodes.entries()) {
    const [next, afterNext] = nodes.slice(index + 1);
    const { goes = [], back = 0 } = specs[index] as NodeSpec;
    if (next) node.next(next);
    if (afterNext) node.on("past", afterNext);
    if (goes.includes("back")) node.on("back", nodes[Math.min(back, index)] as BaseNode);
    node.end("end");
  }
  return nodes[0] as BaseNode;
}

function optionsOf({ width, exec: { flaky = 0, fallsBack, home } = {} }: LeafSpec): NodeOptions {
  return {
    maxRetries: fallsBack ? Math.max(1, flaky) : flaky + 1,
    wait: flaky > 1 ? 0.002 : 0,
    ...(width ? { concurrency: width } : {}),
    ...(home ? { executor: home } : {}),
  };
}

function hooksOf(part: Part): Hooks {
  const { spec, name } = part;
  const { pause } = part.making.observer;
  return {
    prep(shared: Shared) {
      const scene = sceneOf(this, shared, pause);
      return hook(part, scene, "prep", () => itemsOf(spec, name, scene));
    },
    post(shared: Shared, prepRes: unknown, results: unknown, branches?: BranchEnd[]) {
      const scene = sceneOf(this, shared, pause, prepRes, results);
      return hook(part, scene, "post", () => {
        tell(scene, spec, branches);
        return actionAfter(part, scene);
      });
    },
  };
}

/** Everything is counted before and after, so that half a hook that was kept shows in the end. */
function hook<T>({ spec, name, breaks, making }: Part, scene: Scene, which: "prep" | "post", end: () => T) {
  const { branch, shared } = scene;
  branch.begun++;
  shared.sums.begun++;
  making.observer.hook();
  return perform(scene, spec[which] ?? [], () => {
    if (breaks === which) throw new Error(`${which} of ${name} breaks`);
    const returned = end();
    branch.ended++;
    shared.sums.ended++;
    making.observer.hook();
    return returned;
  });
}

/** Writes down what post was told. */
function tell({ self, branch }: Scene, spec: NodeSpec, branches: BranchEnd[] | undefined): void {
  if (branches) branch.keyed.ends = branches.map(({ action, result }) => [action, result]);
  if ("exec" in spec && spec.exec?.counts) branch.keyed.calls = self.calls;
}

function actionAfter({ spec, name }: Part, { branch, results }: Scene): string | undefined {
  const visit = branch.visits[name] ?? 0;
  branch.visits[name] = visit + 1;
  const way = wayAfter(spec, visit);
  if (way === "last" && spec.kind === "flow") return results as string | undefined;
  return way === "on" || way === "last" ? [undefined, "", "default"][visit % 3] : way;
}

/** Nobody goes back for ever: the last word holds from then on, unless it is that one. */
function wayAfter({ kind, goes = [kind === "flow" ? "last" : "on"] }: NodeSpec, visit: number): Way {
  const way = goes[visit];
  if (way) return way;
  const last = goes.at(-1) ?? "on";
  return last === "back" ? "on" : last;
}

function execOf(part: Part, spec: LeafSpec): Hooks {
  const { making, name, breaks } = part;
  const { pauses = 0, flaky = 0, gives, counts, fallsBack } = spec.exec ?? {};
  const { observer } = making;
  const isAlone = spec.kind !== "parallel-batch";
  const failures = breaks === "exec" || breaks === "fallback" ? Number.POSITIVE_INFINITY : flaky;
  const result = (self: Self & { currentRetry: number }, item: unknown, attempt: number) => {
    if (counts && isAlone) self.calls = Number(self.calls ?? 0) + 1;
    const weight = weigh(item);
    if (attempt <= failures && (weight % 2 === 0 || failures > flaky)) throw new Error(`exec of ${name} breaks`);
    const words = [name, weight, attempt, self.currentRetry, self._params.path, JSON.stringify(self.field)].join(" ");
    return resultOf(gives, words, weight);
  };
  return {
    exec(item: unknown, { attempt }: ExecContext) {
      observer.exec();
      if (pauses === 0) return result(this, item, attempt);
      return pausing(pauses, observer).then(() => result(this, item, attempt));
    },
    ...(fallsBack || breaks === "fallback" ? { execFallback: fallbackOf(part) } : {}),
  };
}

async function pausing(times: number, { pause }: Observer): Promise<void> {
  for (let made = 0; made < times; made++) await pause(made % 2, true);
}

function fallbackOf({ name, breaks }: Part) {
  return (item: unknown, error: Error) => {
    if (breaks === "fallback") throw new Error(`execFallback of ${name} breaks`);
    return `${weigh(item)}: ${error.message}`;
  };
}

function resultOf(gives: ExecSpec["gives"], words: string, weight: number): unknown {
  if (gives === "map") return new Map([[words, weight]]);
  if (gives === "date") return new Date(weight);
  if (gives === "object") return { words, weight };
  return gives === "nothing" ? undefined : words;
}

/** A number for any item. */
function weigh(item: unknown): number {
  if (typeof item === "number") return item;
  if (Array.isArray(item)) return item.length;
  if (item instanceof Set || item instanceof Map) return item.size;
  return Number((item as { count?: number } | undefined)?.count ?? 1);
}
