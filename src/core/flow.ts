import { describe, type FlowDescription } from "./describe.ts";
import { nameOf } from "./follow.ts";
import { gather, mapAtOnce } from "./items.ts";
import {
  type Action,
  actionOf,
  BaseNode,
  type BranchEnd,
  type NodeKind,
  type NonIterableObject,
  type PostResult,
  visit,
} from "./node.ts";
import type { BatchFlowOptions, FlowOptions } from "./options.ts";
import { Tally } from "./tally.ts";
import { type Outcome, toleranceOf } from "./tolerance.ts";
import { drive, type MaybePromise, type Turn } from "./turn.ts";

/** How a branch ended, or, where failures are collected, whether it did. */
type BranchResult = BranchEnd | Outcome<BranchEnd>;

/**
 * Walks nodes along the actions their `post` returns, from `start` until no successor is left. A flow is a node: flows nest,
 * and the last action of a nested flow picks the outer branch.
 *
 * @example
 * load.next(summarize).on("retry", load);
 * await new Flow(load).run(shared);
 */
export class Flow<S = unknown, P extends NonIterableObject = NonIterableObject, PrepRes = unknown> extends BaseNode<
  S,
  P,
  PrepRes,
  unknown
> {
  start: BaseNode;

  constructor(start: BaseNode, options: FlowOptions = {}) {
    super(options);
    this.start = start;
  }

  protected override get _kind(): NodeKind {
    return "flow";
  }

  override exec(_prepRes: unknown): MaybePromise<unknown> {
    throw new Error("Flow can't exec.");
  }

  /** Gets the last action of the walk as `lastAction`; returned as it is unless overridden. */
  override post(_shared: S, _prepRes: PrepRes, lastAction: unknown, _branches?: BranchEnd[]): MaybePromise<PostResult> {
    return lastAction as PostResult;
  }

  /**
   * This flow as data: its nodes, where their actions lead, and the text of a Mermaid flowchart. Throws an Error where two of its
   * nodes were given one name.
   *
   * @example console.log(new Flow(load).describe().mermaid);
   */
  describe(): FlowDescription {
    return describe(this as BaseNode);
  }

  protected _orchestrate(shared: S, params?: P): MaybePromise<PostResult> {
    return drive(actionOf(walk(this, shared, params)));
  }

  protected override *_visit(shared: S): Turn<BranchEnd> {
    const prepRes = (yield this.prep(shared)) as PrepRes;
    const { action, result } = yield* orchestrate(this, shared);
    return { action: (yield this.post(shared, prepRes, action)) as Action | undefined, result };
  }
}

/** The walk within the turn at hand, or a subclass's own `_orchestrate`. */
function* orchestrate<S>(flow: Flow<S>, shared: S, params?: NonIterableObject): Turn<BranchEnd> {
  if (flow["_orchestrate"] === Flow.prototype["_orchestrate"]) return yield* walk(flow, shared, params);
  return { action: (yield flow["_orchestrate"](shared, params)) as Action | undefined, result: undefined };
}

function* walk<S>(flow: Flow<S>, shared: S, params: NonIterableObject = flow["_params"]): Turn<BranchEnd> {
  const { maxSteps = Infinity } = flow["_options"];
  const follower = flow["_follower"];
  const waiter = flow["_waiter"];
  let end: BranchEnd = { action: undefined, result: undefined };
  let steps = 0;
  for (let node: BaseNode | undefined = flow.start; node; steps++) {
    if (steps === maxSteps) throw stepsExceeded(flow, node);
    const current: BaseNode = node.clone().setParams(params);
    if (follower) current["_follower"] = follower;
    if (waiter) current["_waiter"] = waiter;
    end = yield* visit(current, shared);
    node = current.getNextNode(end.action);
  }
  return end;
}

/** The error of a walk through `flow` that would visit `node` although it has made all its steps. */
export function stepsExceeded(flow: BaseNode, node: BaseNode): Error {
  const { maxSteps = Infinity } = flow["_options"];
  const bound = `${maxSteps} ${maxSteps === 1 ? "step" : "steps"} (maxSteps)`;
  return new Error(
    `Expected flow \`${nameOf(flow)}\` to end within ${bound}, got ${ordinal(maxSteps + 1)}: \`${nameOf(node)}\``,
  );
}

const SUFFIXES: { readonly [rule: string]: string } = { one: "st", two: "nd", few: "rd" };

/** "a 51st", "an 11th": eight, eleven and eighteen begin with a vowel, and so do their tens and thousands. */
function ordinal(count: number): string {
  const article = /^(8|1[18](\d{3})*$)/.test(String(count)) ? "an" : "a";
  const rule = new Intl.PluralRules("en", { type: "ordinal" }).select(count);
  return `${article} ${count}${SUFFIXES[rule] ?? "th"}`;
}

/**
 * Runs its sub-flow once for each params that `prep` returns, in order. Params merge over the flow's own; nested batches
 * accumulate, and the inner key wins. `post` gets the list of params, `undefined`, and how each branch ended; with
 * `onItemError: "collect"` the list of params and an `Outcome` of each branch's end.
 *
 * @example
 * class EachFile extends BatchFlow<{ files: string[] }> {
 *   prep(shared) { return shared.files.map((file) => ({ file })); }
 *   post(shared, paramsList, none, branches) { console.log(branches.map((branch) => branch.result)); }
 * }
 * await new EachFile(new Flow(summarizeFile)).run({ files: ["a.txt", "b.txt"] });
 */
export class BatchFlow<
  S = unknown,
  P extends NonIterableObject = NonIterableObject,
  NP extends NonIterableObject[] = NonIterableObject[],
> extends Flow<S, P, NP> {
  constructor(start: BaseNode, options: BatchFlowOptions = {}) {
    super(start, options);
  }

  protected override get _kind(): NodeKind {
    return "batch-flow";
  }

  override prep(_shared: S): MaybePromise<NP> {
    return [] as unknown as NP;
  }

  override post(_shared: S, _paramsList: NP, _none: unknown, _branches?: BranchEnd[]): MaybePromise<PostResult> {
    return undefined;
  }

  protected override *_visit(shared: S): Turn<BranchEnd> {
    const paramsList = (yield gather(yield this.prep(shared), this)) as NP;
    const tally = new Tally(this._options, nameOf(this as BaseNode), "branches", paramsList.length);
    const ends = yield* this._branches(shared, paramsList, tally);
    const [outcomes, branches] = toleranceOf(this._options) ? [ends, undefined] : [undefined, ends];
    const action = (yield this.post(shared, paramsList, outcomes, branches as BranchEnd[])) as Action | undefined;
    return { action, result: undefined };
  }

  protected *_branches(shared: S, paramsList: NP, tally: Tally): Turn<BranchResult[]> {
    const ends: BranchResult[] = [];
    // A copy's: the list may be an alias of one in `shared`, to which branches add.
    for (const params of [...paramsList]) ends.push(yield* tally.of(branch(this, shared, params)));
    return ends;
  }
}

/** As `BatchFlow`, with all branches under way at once, or at most `concurrency` of them. All see one live `shared`. */
export class ParallelBatchFlow<
  S = unknown,
  P extends NonIterableObject = NonIterableObject,
  NP extends NonIterableObject[] = NonIterableObject[],
> extends BatchFlow<S, P, NP> {
  protected override get _kind(): NodeKind {
    return "parallel-batch-flow";
  }

  protected override *_branches(shared: S, paramsList: NP, tally: Tally): Turn<BranchResult[]> {
    const run = (params: NonIterableObject) => drive(tally.of(branch(this, shared, params)));
    return (yield mapAtOnce(paramsList, run, this._options.concurrency)) as BranchResult[];
  }
}

function branch<S>(flow: Flow<S>, shared: S, params: NonIterableObject): Turn<BranchEnd> {
  return orchestrate(flow, shared, { ...flow["_params"], ...params });
}
