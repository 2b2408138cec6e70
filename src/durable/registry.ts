import {
  AsyncBatchFlow,
  AsyncBatchNode,
  AsyncFlow,
  AsyncNode,
  AsyncParallelBatchFlow,
  AsyncParallelBatchNode,
} from "../core/async.ts";
import { BatchApiNode } from "../core/batch-api.ts";
import { noExecBatch } from "../core/chunks.ts";
import { durationMs } from "../core/duration.ts";
import { BatchFlow, Flow, ParallelBatchFlow } from "../core/flow.ts";
import { Graph, type GraphShape } from "../core/graph.ts";
import { BaseNode, BatchNode, Node, ParallelBatchNode, policyOf } from "../core/node.ts";
import { checkOptions, limitsOf } from "../core/options.ts";
import { changesAhead } from "../core/remaining.ts";
import type { Step } from "../core/run.ts";
import type { OutputOf, StandardSchema } from "../core/schema.ts";
import { toleranceOf } from "../core/tolerance.ts";
import { SleepNode, WaitForEvent } from "../core/waiting.ts";
import type { Plan } from "./plan.ts";

/** Makes a flow. Called anew in each isolate and for each run, so a node's fields are never shared between runs. */
export type FlowFactory = () => BaseNode;

/** For how long finished runs are kept: durations such as `"12h"` or `"30d"`. Then all that is stored of them is deleted. */
export interface Retain {
  /** Default `"30d"`. */
  completed?: string;
  /** Of failed and canceled runs. Default `"30d"`. */
  failed?: string;
}

/** A flow with what holds for its runs. */
export interface FlowEntry {
  flow: FlowFactory;
  /**
   * What its runs are started with: a schema of zod, valibot, arktype or any other library that keeps to Standard Schema. An input
   * that does not fit starts nothing; what the schema makes of one that does becomes `shared`. Of several versions the newest counts.
   *
   * @example { input: z.object({ texts: z.array(z.string()) }), flow: () => new Flow(new Summaries()) }
   */
  input?: StandardSchema;
  /** What a completed run shows as its output; the whole of `shared` otherwise. */
  output?(shared: unknown): unknown;
  /** Where its batches are executed, unless a node says otherwise. */
  executor?: Plan["home"];
  /** A run that has not finished so long after its start, or after its latest redrive, fails: a duration such as `"2h"`. */
  deadline?: string;
  /** Default: what `serve` says. */
  retain?: Retain;
  /**
   * Says which code a run began with. A run goes on with the entry of its own version, so a change that old runs must not see gets
   * another version, and the old entry is kept beside it until they have finished.
   *
   * @example serve({ flows: { digest: [{ version: "2", flow: newDigest }, { version: "1", flow: digest }] } });
   */
  version?: string;
}

/** A flow: the function that makes it, an entry, or an entry for each version, the newest first. */
export type FlowEntries = FlowFactory | FlowEntry | readonly FlowEntry[];

/** Flows whose schemas, where they have one, give what the flow takes as its `shared`: for the compiler alone. */
export type Fitting<F> = {
  [Name in keyof F]: F[Name] extends readonly unknown[] ? Fitting<F[Name]> : FittingEntry<F[Name]>;
};

type FittingEntry<E> = E extends { input: infer S; flow: () => { prep(shared: infer Shared): unknown } }
  ? OutputOf<S> extends Shared
    ? E
    : Omit<E, "input"> & { input: StandardSchema<unknown, Shared> }
  : E;

/** A flow made for one run. */
export interface Registered {
  graph: Graph;
  shape: GraphShape;
  version: string | null;
  /** Names shape and version: an executor must know the same as its run. */
  fingerprint: string;
  output: FlowEntry["output"];
  planOf(node: string): Plan;
  /** How long a run may take; nothing where it may take any time. */
  deadlineMs: number | null;
  /** How long a finished run is kept. */
  retainMs: { completed: number; failed: number };
  /** What differs, in what the run still has to do, from the graph that it was started with, a sentence each. */
  changes: string[];
  /** The flow, or the version of it that a run began with, is there no more: the only change says so. */
  isGone: boolean;
}

/** What is stored of a run's flow, and the steps that the run is at. */
export interface StoredFlow {
  flow: string;
  version: string | null;
  shape: GraphShape;
  steps: readonly Step[];
}

/** The classes a node may be of, the more special first. */
const CLASSES = [
  SleepNode,
  WaitForEvent,
  BatchApiNode,
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
const NO_RETRIES = { maxRetries: 1, wait: 0, backoff: 1, maxWait: 0, jitter: 0 };
const DEFAULT_CONCURRENCY = 16;
const DEFAULT_PER_EXECUTOR = 6;

/** Durations of weeks and months: longer ones than a limit has. */
const LONGEST_DAYS = 3650;
const RETAIN = "30d";
const VERSION = /^[\w.-]{1,64}$/;

export interface RegistryOptions {
  /** Where batches are executed unless their flow or node says otherwise. */
  home: Plan["home"];
  /** The names of the limits that nodes may use. */
  limits: readonly string[];
  retain?: Retain | undefined;
}

/** The flows of a Worker, by name. Checks each once when it is made, so that a mistake shows at start-up. */
export class Registry {
  /** Of each flow its entries, the newest first. */
  readonly #entries: Map<string, readonly FlowEntry[]>;
  readonly #options: RegistryOptions;

  constructor(flows: { [name: string]: FlowEntries }, options: RegistryOptions) {
    checkOptions("serve", { executor: options.home });
    this.#options = options;
    this.#entries = new Map(Object.entries(flows).map(([name, entries]) => [name, listOf(name, entries)]));
    retainMsOf("serve", options.retain);
    for (const [name, entries] of this.#entries) for (const entry of entries) this.#check(name, entry);
  }

  #check(name: string, entry: FlowEntry): void {
    const { graph } = this.#make(name, entry);
    for (const id of graph.ids) {
      this.#checkLimits(name, id, graph.node(id));
      checkBatch(graph.node(id));
    }
    if (graph.node(graph.root) === entry.flow()) {
      throw new TypeError(
        `Expected \`${name}\` to make a new flow each time, got the same one twice: make it in the function`,
      );
    }
  }

  #checkLimits(flow: string, id: string, node: BaseNode): void {
    for (const { name } of limitsOf(node["_options"].limit)) {
      const { limits } = this.#options;
      if (limits.includes(name)) continue;
      const known = limits.length === 0 ? "none" : limits.join(", ");
      throw new TypeError(
        `Expected \`limit\` of node \`${id}\` of flow \`${flow}\` to be a limit that serve knows, got \`${name}\`; it knows: ` +
          `${known}. Add it: \`serve({ limits: { ${name}: { requests: 500, per: "1m" } } })\``,
      );
    }
  }

  get names(): string[] {
    return [...this.#entries.keys()];
  }

  /** What runs of a flow are started with, where that says so. */
  inputOf(name: string): StandardSchema | undefined {
    return this.#entries.get(name)?.[0]?.input;
  }

  /** Whether any node of any flow is executed there. */
  uses(home: Plan["home"]): boolean {
    return [...this.#entries].some(([name, entries]) =>
      entries.some((entry) => {
        const { graph, planOf } = this.#make(name, entry);
        return [...graph.ids].some((id) => planOf(id).home === home);
      }),
    );
  }

  /** Whether there is such a flow, and such a version of it. */
  has(name: string, version?: string | null): boolean {
    return version === undefined ? this.#entries.has(name) : this.#entryOf(name, version) !== undefined;
  }

  /** The flow of a new run; or of one that began with a version. */
  make(name: string, version?: string | null): Registered {
    const entries = this.#entries.get(name);
    if (!entries)
      throw new Error(`Expected a registered flow, got \`${name}\`; registered are: ${this.names.join(", ")}`);
    const entry = version === undefined ? entries[0] : this.#entryOf(name, version);
    if (entry) return this.#make(name, entry);
    const known = entries.map((one) => one.version ?? "one without a version").join(", ");
    throw new Error(
      `Expected flow \`${name}\` to have version ${version}, with which the run began; it has: ${known}. Keep that version's entry ` +
        "beside the new one until its runs have finished",
    );
  }

  /**
   * The flow of a stored run. Where what the run still has to do has changed, or the flow is gone, nothing may be executed, but
   * the run can still be looked at: its nodes may be unknown here, so they all have the same plan.
   */
  makeAgain({ flow, version, shape, steps }: StoredFlow): Registered {
    const planOf = () => this.#planOf(new BaseNode());
    try {
      const made = this.make(flow, version);
      const changes = changesAhead(shape, made.shape, steps);
      return changes.length === 0 ? made : { ...made, planOf, changes };
    } catch (error) {
      const entry = { flow: () => new BaseNode() };
      const isGone = !this.has(flow, version);
      return {
        ...this.#make(flow, entry),
        planOf,
        changes: [isGone ? (error as Error).message : String(error)],
        isGone,
      };
    }
  }

  /** A run that began before the flow had versions goes on with the oldest. */
  #entryOf(name: string, version: string | null): FlowEntry | undefined {
    const entries = this.#entries.get(name) ?? [];
    const own = entries.find((entry) => (entry.version ?? null) === version);
    return version === null ? (own ?? entries.at(-1)) : own;
  }

  #make(name: string, entry: FlowEntry): Registered {
    const graph = new Graph(entry.flow());
    for (const id of graph.ids) checkNode(name, id, graph.node(id));
    // A stored run may be at a node that the flow has no more: it is paused, and needs no plan that fits.
    const planOf = (id: string) => this.#planOf(graph.has(id) ? graph.node(id) : new BaseNode(), entry.executor);
    const shape = graph.shape();
    const version = entry.version ?? null;
    const owner = `flow \`${name}\``;
    // An executor of an earlier version would not understand what it is given.
    const hasChunks = [...graph.ids].some((id) => graph.node(id)["_options"].batchSize !== undefined);
    const marks = { ...(version === null ? {} : { version }), ...(hasChunks ? { hasChunks } : {}) };
    const { deadline } = entry;
    return {
      graph,
      shape,
      version,
      fingerprint: JSON.stringify({ ...shape, ...marks }),
      output: entry.output,
      planOf,
      deadlineMs: deadline === undefined ? null : durationMs(owner, "deadline", deadline, LONGEST_DAYS),
      retainMs: retainMsOf(owner, { ...this.#options.retain, ...entry.retain }),
      changes: [],
      isGone: false,
    };
  }

  #planOf(node: BaseNode, home = this.#options.home): Plan {
    const { concurrency, perExecutor, executor, limit, batchSize = null, split = false } = node["_options"];
    const isSequential = node instanceof BatchNode;
    return {
      home: executor ?? home,
      concurrency: concurrency ?? DEFAULT_CONCURRENCY,
      perExecutor: perExecutor ?? DEFAULT_PER_EXECUTOR,
      isSequential,
      batchSize,
      hasJobs: node instanceof BatchApiNode,
      isSplit: split,
      limits: limitsOf(limit),
      tolerance: toleranceOf(node["_options"]),
      policy: node instanceof Node ? policyOf(node) : NO_RETRIES,
    };
  }
}

function listOf(name: string, entries: FlowEntries): readonly FlowEntry[] {
  const list = typeof entries === "function" ? [{ flow: entries }] : isList(entries) ? entries : [entries];
  const versions = list.map(({ version }) => version);
  const wrong = versions.find((version) => version !== undefined && !VERSION.test(version));
  if (wrong !== undefined) {
    throw new RangeError(
      `Expected \`version\` of flow \`${name}\` to be up to 64 letters, digits, dots, dashes or underscores, got \`${wrong}\``,
    );
  }
  if (list.length === 0 || new Set(versions).size < versions.length) {
    const got = list.length === 0 ? "no entry" : `${versions.map((version) => version ?? "none").join(", ")}`;
    throw new RangeError(`Expected the entries of flow \`${name}\` to have versions that differ, got ${got}`);
  }
  return list;
}

/** `Array.isArray` does not know lists that are not to be written. */
function isList(entries: FlowEntry | readonly FlowEntry[]): entries is readonly FlowEntry[] {
  return Array.isArray(entries);
}

function retainMsOf(owner: string, { completed = RETAIN, failed = RETAIN }: Retain = {}): Registered["retainMs"] {
  return {
    completed: durationMs(owner, "retain.completed", completed, LONGEST_DAYS),
    failed: durationMs(owner, "retain.failed", failed, LONGEST_DAYS),
  };
}

/** What a durable run does itself: a node's own version of these would be passed over without a word. */
const ENGINE = ["_run", "_exec", "_orchestrate", "getNextNode", "clone", "run"] as const;

/** A batch with a `batchSize` and no `execBatch` would fail each of its calls. */
function checkBatch(node: BaseNode): void {
  if (node["_options"].batchSize === undefined || node instanceof BatchApiNode) return;
  const plain = BATCHES.find((known) => node instanceof known)?.prototype as Hooks | undefined;
  const { execBatch, execBatchAsync } = node as BaseNode & Hooks;
  if (plain && execBatch === plain.execBatch && execBatchAsync === plain.execBatchAsync) throw noExecBatch(node).error;
}

const BATCHES = [AsyncBatchNode, AsyncParallelBatchNode, BatchNode, ParallelBatchNode];
interface Hooks {
  execBatch?: unknown;
  execBatchAsync?: unknown;
}

function checkNode(flow: string, id: string, node: BaseNode): void {
  const plain = CLASSES.find((known) => node instanceof known)?.prototype as { [method: string]: unknown } | undefined;
  const own = ENGINE.find((method) => plain && (node as unknown as typeof plain)[method] !== plain[method]);
  if (own) {
    throw new TypeError(
      `Expected node \`${id}\` of flow \`${flow}\` to leave ${own} alone: a durable run calls prep, exec and post itself`,
    );
  }
}
