import { gather, mapAtOnce } from "./items.ts";
import {
  type Action,
  actionOf,
  BaseNode,
  type BranchEnd,
  type NonIterableObject,
  type PostResult,
  visit,
} from "./node.ts";
import type { BatchFlowOptions, FlowOptions } from "./options.ts";
import { drive, type MaybePromise, type Turn } from "./turn.ts";

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

  override exec(_prepRes: unknown): MaybePromise<unknown> {
    throw new Error("Flow can't exec.");
  }

  /** Gets the last action of the walk as `lastAction`; returned as it is unless overridden. */
  override post(_shared: S, _prepRes: PrepRes, lastAction: unknown, _branches?: BranchEnd[]): MaybePromise<PostResult> {
    return lastAction as PostResult;
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
  let end: BranchEnd = { action: undefined, result: undefined };
  for (let node: BaseNode | undefined = flow.start; node; ) {
    const current: BaseNode = node.clone().setParams(params);
    end = yield* visit(current, shared);
    node = current.getNextNode(end.action);
  }
  return end;
}

/**
 * Runs its sub-flow once for each params that `prep` returns, in order. Params merge over the flow's own; nested batches
 * accumulate, and the inner key wins. `post` gets the list of params, `undefined`, and how each branch ended.
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

  override prep(_shared: S): MaybePromise<NP> {
    return [] as unknown as NP;
  }

  override post(_shared: S, _paramsList: NP, _none: unknown, _branches?: BranchEnd[]): MaybePromise<PostResult> {
    return undefined;
  }

  protected override *_visit(shared: S): Turn<BranchEnd> {
    const paramsList = (yield gather(yield this.prep(shared), this)) as NP;
    const branches = yield* this._branches(shared, paramsList);
    const action = (yield this.post(shared, paramsList, undefined, branches)) as Action | undefined;
    return { action, result: undefined };
  }

  protected *_branches(shared: S, paramsList: NP): Turn<BranchEnd[]> {
    const ends: BranchEnd[] = [];
    for (const params of paramsList) ends.push(yield* branch(this, shared, params));
    return ends;
  }
}

/** As `BatchFlow`, with all branches under way at once, or at most `concurrency` of them. All see one live `shared`. */
export class ParallelBatchFlow<
  S = unknown,
  P extends NonIterableObject = NonIterableObject,
  NP extends NonIterableObject[] = NonIterableObject[],
> extends BatchFlow<S, P, NP> {
  protected override *_branches(shared: S, paramsList: NP): Turn<BranchEnd[]> {
    const run = (params: NonIterableObject) => drive(branch(this, shared, params));
    return (yield mapAtOnce(paramsList, run, this._options.concurrency)) as BranchEnd[];
  }
}

function branch<S>(flow: Flow<S>, shared: S, params: NonIterableObject): Turn<BranchEnd> {
  return orchestrate(flow, shared, { ...flow["_params"], ...params });
}
