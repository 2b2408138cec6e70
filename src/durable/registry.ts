import {
  AsyncBatchFlow,
  AsyncBatchNode,
  AsyncFlow,
  AsyncNode,
  AsyncParallelBatchFlow,
  AsyncParallelBatchNode,
} from "../core/async.ts";
import { BatchFlow, Flow, ParallelBatchFlow } from "../core/flow.ts";
import { differences, Graph, type GraphShape } from "../core/graph.ts";
import { BaseNode, BatchNode, Node, ParallelBatchNode, policyOf } from "../core/node.ts";
import { checkOptions, limitsOf } from "../core/options.ts";
import type { Plan } from "./plan.ts";

/** Makes a flow. Called anew in each isolate and for each run, so a node's fields are never shared between runs. */
export type FlowFactory = () => BaseNode;

/** A flow with what a run of it gives back. */
export interface FlowEntry {
  flow: FlowFactory;
  /** What a completed run shows as its output; the whole of `shared` otherwise. */
  output?(shared: unknown): unknown;
  /** Where its batches are executed, unless a node says otherwise. */
  executor?: Plan["home"];
}

/** A flow made for one run. */
export interface Registered {
  graph: Graph;
  shape: GraphShape;
  output: FlowEntry["output"];
  planOf(node: string): Plan;
  /** What differs from the graph that the run was started with, a sentence each. */
  changes: string[];
}

/** The classes a node may be of, the more special first. */
const CLASSES = [
  AsyncParallelBatchNode,
  AsyncBatchNode,
  AsyncNode,
  AsyncParallelBatchFlow,
  AsyncBatchFlow,
  AsyncFlow,
  ParallelBatchNode,
  BatchNode,
  Node,
  ParallelBatchFlow,
  BatchFlow,
  Flow,
  BaseNode,
];
const DEFAULT_CONCURRENCY = 16;
const DEFAULT_PER_EXECUTOR = 6;

/** The flows of a Worker, by name. Checks each once when it is made, so that a mistake shows at start-up. */
export class Registry {
  readonly #entries: Map<string, FlowEntry>;
  readonly #home: Plan["home"];
  readonly #limits: readonly string[];

  /** `limits` are the names of the limits that nodes may use. */
  constructor(flows: { [name: string]: FlowFactory | FlowEntry }, home: Plan["home"], limits: readonly string[]) {
    checkOptions("serve", { executor: home });
    this.#home = home;
    this.#limits = limits;
    this.#entries = new Map(
      Object.entries(flows).map(([name, entry]) => [name, typeof entry === "function" ? { flow: entry } : entry]),
    );
    for (const [name, { flow }] of this.#entries) {
      const { graph } = this.make(name);
      for (const id of graph.ids) this.#checkLimits(name, id, graph.node(id));
      if (graph.node(graph.root) === flow()) {
        throw new TypeError(
          `Expected \`${name}\` to make a new flow each time, got the same one twice: make it in the function`,
        );
      }
    }
  }

  #checkLimits(flow: string, id: string, node: BaseNode): void {
    for (const { name } of limitsOf(node["_options"].limit)) {
      if (this.#limits.includes(name)) continue;
      const known = this.#limits.length === 0 ? "none" : this.#limits.join(", ");
      throw new TypeError(
        `Expected \`limit\` of node \`${id}\` of flow \`${flow}\` to be a limit that serve knows, got \`${name}\`; it knows: ` +
          `${known}. Add it: \`serve({ limits: { ${name}: { requests: 500, per: "1m" } } })\``,
      );
    }
  }

  get names(): string[] {
    return [...this.#entries.keys()];
  }

  /** Whether any node of any flow is executed there. */
  uses(home: Plan["home"]): boolean {
    return this.names.some((name) => {
      const { graph, planOf } = this.make(name);
      return [...graph.ids].some((id) => planOf(id).home === home);
    });
  }

  has(name: string): boolean {
    return this.#entries.has(name);
  }

  make(name: string): Registered {
    const entry = this.#entries.get(name);
    if (!entry)
      throw new Error(`Expected a registered flow, got \`${name}\`; registered are: ${this.names.join(", ")}`);
    const graph = new Graph(entry.flow());
    for (const id of graph.ids) checkNode(name, id, graph.node(id));
    // A stored run may be at a node that the flow has no more: it is paused, and needs no plan that fits.
    const planOf = (id: string) => this.#planOf(graph.has(id) ? graph.node(id) : new BaseNode(), entry.executor);
    return { graph, shape: graph.shape(), output: entry.output, planOf, changes: [] };
  }

  /**
   * The flow of a stored run, whose graph was `shape`. Where that has changed, or the flow is gone, nothing may be executed, but
   * the run can still be looked at: its nodes may be unknown here, so they all have the same plan.
   */
  makeAgain(name: string, shape: GraphShape): Registered {
    const planOf = () => this.#planOf(new BaseNode());
    try {
      const made = this.make(name);
      const changes = differences(shape, made.shape);
      return changes.length === 0 ? made : { ...made, planOf, changes };
    } catch (error) {
      const graph = new Graph(new BaseNode());
      return { graph, shape: graph.shape(), output: undefined, planOf, changes: [String(error)] };
    }
  }

  #planOf(node: BaseNode, home = this.#home): Plan {
    const { concurrency, perExecutor, executor, limit } = node["_options"];
    const isSequential = node instanceof BatchNode;
    return {
      home: executor ?? home,
      concurrency: concurrency ?? DEFAULT_CONCURRENCY,
      perExecutor: perExecutor ?? DEFAULT_PER_EXECUTOR,
      isSequential,
      limits: limitsOf(limit),
      policy: node instanceof Node ? policyOf(node) : { maxRetries: 1, wait: 0, backoff: 1, jitter: 0 },
    };
  }
}

/** What a durable run does itself: a node's own version of these would be passed over without a word. */
const ENGINE = ["_run", "_exec", "_orchestrate", "getNextNode", "clone", "run"] as const;

function checkNode(flow: string, id: string, node: BaseNode): void {
  const plain = CLASSES.find((known) => node instanceof known)?.prototype as { [method: string]: unknown } | undefined;
  const own = ENGINE.find((method) => plain && (node as unknown as typeof plain)[method] !== plain[method]);
  if (own) {
    throw new TypeError(
      `Expected node \`${id}\` of flow \`${flow}\` to leave ${own} alone: a durable run calls prep, exec and post itself`,
    );
  }
}
