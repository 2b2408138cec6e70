import { Attempt, type ExecContext, visitId } from "./attempt.ts";
import { noExecBatch } from "./chunks.ts";
import { atOnce, attempts, inOrder } from "./exec.ts";
import { followed, type RunOptions, tell, teller } from "./follow.ts";
import { keepOneShot } from "./items.ts";
import { type BatchFlowOptions, checkOptions, type NodeOptions } from "./options.ts";
import type { Outcome } from "./tolerance.ts";
import { drive, type MaybePromise, type Turn } from "./turn.ts";

export { policyOf } from "./exec.ts";

export type Action = string;
/** What `post` may return: an action, or nothing for `"default"`. */
export type PostResult = Action | undefined | void;
export type NonIterableObject = Partial<Record<string, unknown>> & { [Symbol.iterator]?: never };
/** What `prep` of a batch node may return. Where the item type is not given, anything type-checks, as upstream. */
export type Items<Item> = unknown extends Item ? unknown : Iterable<Item> | AsyncIterable<Item> | null | undefined;
/**
 * What `post` of a batch node gets: the results in input order, or, with `onItemError: "collect"`, an `Outcome` of each. A `post`
 * names the one it means: `results: string[]`, or `outcomes: Outcome<string>[]`.
 */
export type Results<Result> = unknown extends Result ? unknown : Result[] | Outcome<Result>[];

/** What a node is, whatever its class is called. */
export type NodeKind =
  | "node"
  | "sleep"
  | "wait"
  | "batch"
  | "parallel-batch"
  | "api-batch"
  | "flow"
  | "batch-flow"
  | "parallel-batch-flow";

/** How a walk along nodes, or the visit of one, ended. */
export interface BranchEnd {
  /** What the last `post` returned. */
  action: Action | undefined;
  /** What the last node's exec returned: a list for a batch node, nothing for a batch flow. */
  result: unknown;
}

/**
 * The root of all nodes: `prep` reads from the shared store, `exec` computes without it, `post` writes back and returns the
 * action that picks the successor. Every hook may return a value or a promise.
 *
 * The model is PocketFlow's (https://github.com/The-Pocket/PocketFlow); names and order follow its TypeScript port 1.0.4.
 */
export class BaseNode<
  S = unknown,
  P extends NonIterableObject = NonIterableObject,
  PrepRes = unknown,
  ExecRes = unknown,
  Item = PrepRes,
  Result = ExecRes,
> {
  protected _params: P = {} as P;
  protected _successors: Map<Action, BaseNode> = new Map();
  protected _terminals: Set<Action> = new Set();
  protected _options: NodeOptions & BatchFlowOptions;
  /** Hears of what this node emits, and is called as its method. Only there where a run is followed: each clone would carry it. */
  declare protected _follower: ((index: number | null, data: unknown) => void) | undefined;
  /** Gives what a node of a run in memory waits for. Only there where the run was told it. */
  declare protected _waiter: ((signal: string) => unknown) | undefined;

  constructor(options: NodeOptions | BatchFlowOptions = {}) {
    checkOptions(this.constructor.name, options, this._kind);
    this._options = options;
  }

  /** Told by the class itself, so that who only looks at nodes need not know the classes. */
  protected get _kind(): NodeKind {
    return "node";
  }

  /** Reads from `shared` what exec needs: one value, or in a batch the items. */
  prep(_shared: S): MaybePromise<PrepRes> {
    return undefined as PrepRes;
  }

  /** Computes, without `shared`, so that it can be repeated and can run anywhere. Called once per item in a batch. */
  exec(_item: Item, _context?: ExecContext): MaybePromise<Result> {
    return undefined as Result;
  }

  /**
   * Writes to `shared` and returns the action that picks the successor; nothing and `""` mean `"default"`. Only a batch flow's
   * gets `branches`. A batch that collects failures gives an `Outcome` of each item, or of each branch's end, as `execRes`.
   */
  post(_shared: S, _prepRes: PrepRes, _execRes: ExecRes, _branches?: BranchEnd[]): MaybePromise<PostResult> {
    return undefined;
  }

  /**
   * Tells whoever follows the run how far this node is: for prep and post, where exec has its context. Does nothing where nobody
   * follows.
   *
   * @example this.emit({ pages: 3 });
   */
  emit(data: unknown): void {
    tell(this as BaseNode, null, data);
  }

  protected _exec(prepRes: unknown): unknown {
    return this.exec(prepRes as Item, new Attempt(`${visitId()}/0/1`, 1, teller(this as BaseNode, 0)));
  }

  protected *_visit(shared: S): Turn<BranchEnd> {
    const prepared = yield this.prep(shared);
    const prepRes = (isBatch(this) ? yield keepOneShot(prepared) : prepared) as PrepRes;
    const result = yield this._exec(prepRes);
    const action = (yield this.post(shared, prepRes, result as ExecRes)) as Action | undefined;
    return { action, result };
  }

  _run(shared: S): MaybePromise<PostResult> {
    return drive(actionOf(this._visit(shared)));
  }

  /**
   * Runs this node alone, on this very instance, and returns what `post` returned. Rejects with what a hook threw. `options` say
   * who follows the run.
   */
  async run(shared: S, options: RunOptions = {}): Promise<Action | undefined> {
    if (this._successors.size > 0) console.warn("Node won't run successors. Use Flow.");
    const node = followed(this as BaseNode, options);
    return (await node._run(shared)) as Action | undefined;
  }

  /** Replaces the params. A flow does so at each of its nodes' steps: its own params, and a batch's over them. */
  setParams(params: P): this {
    this._params = params;
    return this;
  }

  /** Continues with `node` after the default action; returns `node`, so that calls chain. */
  next<T extends BaseNode>(node: T): T {
    this.on("default", node);
    return node;
  }

  /** Continues with `node` after `action`; returns this node. */
  on(action: Action, node: BaseNode): this {
    if (this._successors.has(action)) console.warn(`Overwriting successor for action '${action}'`);
    this._successors.set(action, node);
    return this;
  }

  /**
   * Declares actions after which the flow is meant to end here, so that ending is no warning.
   *
   * @example review.on("again", write).end("approved", "rejected");
   */
  end(...actions: Action[]): this {
    for (const action of actions) this._terminals.add(action);
    return this;
  }

  /** The successor for an action, if any. Warns where the action has none although others have. */
  getNextNode(action?: Action): BaseNode | undefined {
    const taken = action || "default";
    const next = this._successors.get(taken);
    if (!next && endsUnexpectedly(this, taken)) {
      console.warn(`Flow ends: '${taken}' not found in [${[...this._successors.keys()]}]`);
    }
    return next;
  }

  /**
   * The shallow copy that a flow visits in place of the node, so that a field set in one step is gone the next time. It has no
   * constructor run, hence none of the fields named with `#`: use TypeScript's `private` in a node.
   */
  clone(): this {
    const copy = Object.assign(Object.create(Object.getPrototypeOf(this)) as this, this);
    copy._params = { ...this._params };
    copy._successors = new Map(this._successors);
    copy._terminals = new Set(this._terminals);
    return copy;
  }
}

/** Whether a node that has successors has none for `action`, and never said that the flow may end so. */
export function endsUnexpectedly(node: BaseNode, action: Action): boolean {
  return node["_successors"].size > 0 && !node["_successors"].has(action) && !node["_terminals"].has(action);
}

/**
 * Visits a node within the turn at hand: a promise in between would let another branch run between `post` and the next `prep`.
 * A `_run` that a subclass has overridden, as PocketFlow allows, is called all the same.
 */
export function* visit<S>(node: BaseNode<S>, shared: S): Turn<BranchEnd> {
  if (node._run === BaseNode.prototype._run) return yield* node["_visit"](shared);
  return { action: (yield node._run(shared)) as Action | undefined, result: undefined };
}

export function* actionOf(visit: Turn<BranchEnd>): Turn<Action | undefined> {
  return (yield* visit).action;
}

/**
 * A node whose exec is retried. `new Node(3, 10)`, or `new Node({ maxRetries: 3, wait: 10 })`, makes three attempts in all, ten
 * seconds apart. Throws a RangeError for options that cannot be meant.
 *
 * @example
 * class Answer extends Node<{ question: string; answer?: string }> {
 *   prep(shared) { return shared.question; }
 *   exec(question) { return callModel(question); }
 *   post(shared, question, answer) { shared.answer = answer; }
 * }
 * await new Answer(3, 10).run({ question: "Why is the sky blue?" });
 */
export class Node<
  S = unknown,
  P extends NonIterableObject = NonIterableObject,
  PrepRes = unknown,
  ExecRes = unknown,
  Item = PrepRes,
  Result = ExecRes,
> extends BaseNode<S, P, PrepRes, ExecRes, Item, Result> {
  maxRetries: number;
  wait: number;
  /** How many attempts of the item at hand have failed; each item of a parallel batch sees its own. */
  currentRetry = 0;

  constructor(maxRetries: number | NodeOptions<Item> = 1, wait = 0) {
    const options = typeof maxRetries === "number" ? { maxRetries, wait } : maxRetries;
    super(options);
    this.maxRetries = options.maxRetries ?? 1;
    this.wait = options.wait ?? 0;
  }

  /** What to do once no attempt is left: the returned value becomes the item's result. Rethrows `error` unless overridden. */
  execFallback(_item: Item, error: Error): MaybePromise<Result> {
    throw error;
  }

  override _exec(prepRes: unknown): unknown {
    return drive(attempts(this as Node, prepRes, visitId(), 0));
  }
}

/**
 * A node whose exec runs once per item that `prep` returns, one after the other. The first item that fails for good stops the
 * batch; otherwise `post` gets the list of results.
 */
export class BatchNode<
  S = unknown,
  P extends NonIterableObject = NonIterableObject,
  Item = unknown,
  Result = unknown,
> extends Node<S, P, Items<Item>, Results<Result>, Item, Result> {
  protected override get _kind(): NodeKind {
    return "batch";
  }

  /** As that of a `ParallelBatchNode`; the calls come one after the other. */
  execBatch(_items: Item[], _context?: ExecContext): MaybePromise<(Result | Error)[]> {
    throw noExecBatch(this);
  }

  override _exec(items: unknown): MaybePromise<unknown[]> {
    return drive(inOrder(this as Node, items));
  }
}

/**
 * As `BatchNode`, with all items in exec at once, or at most `concurrency` of them. Results keep the items' order. The first
 * failure in time is the run's error; what is under way then goes on, and what has not started never starts.
 *
 * @example
 * class Summaries extends ParallelBatchNode<{ texts: string[]; summary?: string }> {
 *   prep(shared) { return shared.texts; }
 *   exec(text) { return callModel(`Summarize: ${text}`); }
 *   post(shared, texts, summaries) { shared.summary = summaries.join("\n\n"); }
 * }
 * await new Flow(new Summaries({ maxRetries: 3, wait: 2, concurrency: 10 })).run({ texts });
 */
export class ParallelBatchNode<
  S = unknown,
  P extends NonIterableObject = NonIterableObject,
  Item = unknown,
  Result = unknown,
> extends Node<S, P, Items<Item>, Results<Result>, Item, Result> {
  protected override get _kind(): NodeKind {
    return "parallel-batch";
  }

  /**
   * Computes up to `batchSize` items in one call: the results in the items' order, an Error in place of each that failed by itself.
   * Called instead of `exec` where the node's options have a `batchSize`.
   *
   * @example
   * class Embeddings extends ParallelBatchNode<{ texts: string[] }, NonIterableObject, string, number[]> {
   *   prep(shared) { return shared.texts; }
   *   execBatch(texts) { return embed(texts); }
   * }
   * new Embeddings({ batchSize: 100, maxRetries: 3, split: true });
   */
  execBatch(_items: Item[], _context?: ExecContext): MaybePromise<(Result | Error)[]> {
    throw noExecBatch(this);
  }

  override _exec(items: unknown): MaybePromise<unknown[]> {
    return drive(atOnce(this as Node, items));
  }
}

/** Whether prep of such a node gives one item, and not many or none. */
export function hasOneItem(kind: NodeKind): boolean {
  return kind === "node" || kind === "sleep" || kind === "wait";
}

export function isBatch(node: BaseNode): boolean {
  return node instanceof BatchNode || node instanceof ParallelBatchNode;
}
