import * as pocketflow from "pocketflow";
import * as pocketflare from "../../src/index.ts";

/** What a hook may use of `this`. */
interface Self {
  _params: Record<string, unknown>;
  currentRetry: number;
  setParams(params: Record<string, unknown>): void;
  emit(data: unknown): void;
  [field: string]: unknown;
}

/** The hooks of one node or flow, written once for every spelling. */
export type Hooks = {
  prep?(shared: never): unknown;
  exec?(item: never, context: pocketflare.ExecContext): unknown;
  execBatch?(items: never, context: pocketflare.ExecContext): unknown;
  execFallback?(item: never, error: Error): unknown;
  post?(shared: never, prepRes: never, execRes: never, branches: pocketflare.BranchEnd[]): unknown;
} & ThisType<Self>;

type Attempts = [maxRetries?: number, wait?: number] | [options: pocketflare.NodeOptions];

/** One way to write the same programs. */
export interface Spelling {
  spelling: string;
  node(hooks?: Hooks, ...attempts: Attempts): pocketflare.Node;
  batch(hooks?: Hooks, ...attempts: Attempts): pocketflare.BatchNode;
  parallel(hooks?: Hooks, ...attempts: Attempts): pocketflare.ParallelBatchNode;
  flow(start: pocketflare.BaseNode, hooks?: Hooks, options?: pocketflare.FlowOptions): pocketflare.Flow;
  batchFlow(start: pocketflare.BaseNode, hooks?: Hooks, options?: pocketflare.BatchFlowOptions): pocketflare.BatchFlow;
  parallelFlow(
    start: pocketflare.BaseNode,
    hooks?: Hooks,
    options?: pocketflare.BatchFlowOptions,
  ): pocketflare.ParallelBatchFlow;
}

type Class<T> = new (...args: never[]) => T;

interface Classes {
  Node: Class<pocketflare.Node>;
  BatchNode: Class<pocketflare.BatchNode>;
  ParallelBatchNode: Class<pocketflare.ParallelBatchNode>;
  Flow: Class<pocketflare.Flow>;
  BatchFlow: Class<pocketflare.BatchFlow>;
  ParallelBatchFlow: Class<pocketflare.ParallelBatchFlow>;
}

function spell(spelling: string, classes: Classes, suffix: "" | "Async"): Spelling {
  const make = <T>(Base: Class<T>, hooks: Hooks = {}, ...rest: unknown[]) => {
    const Written = class extends (Base as Class<object>) {};
    for (const [hook, body] of Object.entries(hooks)) {
      Object.defineProperty(Written.prototype, hook + suffix, { value: body, writable: true, configurable: true });
    }
    return new Written(...(rest as never[])) as T;
  };
  return {
    spelling,
    node: (hooks, ...attempts) => make(classes.Node, hooks, ...attempts),
    batch: (hooks, ...attempts) => make(classes.BatchNode, hooks, ...attempts),
    parallel: (hooks, ...attempts) => make(classes.ParallelBatchNode, hooks, ...attempts),
    flow: (start, hooks, options) => make(classes.Flow, hooks, start, options),
    batchFlow: (start, hooks, options) => make(classes.BatchFlow, hooks, start, options),
    parallelFlow: (start, hooks, options) => make(classes.ParallelBatchFlow, hooks, start, options),
  };
}

export const plain = spell("in the TypeScript spelling", pocketflare, "");

export const seed = spell(
  "in the seed's spelling",
  {
    Node: pocketflare.AsyncNode,
    BatchNode: pocketflare.AsyncBatchNode,
    ParallelBatchNode: pocketflare.AsyncParallelBatchNode,
    Flow: pocketflare.AsyncFlow,
    BatchFlow: pocketflare.AsyncBatchFlow,
    ParallelBatchFlow: pocketflare.AsyncParallelBatchFlow,
  },
  "Async",
);

/** The npm package `pocketflow`, for comparison. Its classes have other protected members, hence the cast. */
export const upstream = spell("in pocketflow 1.0.4", pocketflow as unknown as Classes, "");

export const spellings = [plain, seed];
