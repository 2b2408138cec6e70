import { gather, mapAtOnce } from "./items.ts";
import { type Action, BaseNode, lastResult, type NonIterableObject, type PostResult } from "./node.ts";
import type { BatchFlowOptions, FlowOptions } from "./options.ts";
import { drive, type MaybePromise } from "./turn.ts";

/** How one branch of a batch flow ended: the last action of its walk, and what exec of its last node returned. */
export interface BranchEnd {
  action: Action | undefined;
  result: unknown;
}

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
  override post(_shared: S, _prepRes: PrepRes, lastAction: unknown): MaybePromise<PostResult> {
    return lastAction as PostResult;
  }

  protected _orchestrate(shared: S, params?: P): MaybePromise<PostResult> {
    return drive(walk(this, shared, params ?? this._params));
  }

  override _run(shared: S): MaybePromise<PostResult> {
    return drive(visitFlow(this, shared));
  }
}

function* visitFlow<S>(flow: Flow<S>, shared: S): Generator<unknown, PostResult, unknown> {
  const prepRes = yield flow.prep(shared);
  const lastAction = yield flow["_orchestrate"](shared);
  return (yield flow.post(shared, prepRes, lastAction)) as PostResult;
}

function* walk<S>(flow: Flow<S>, shared: S, params: NonIterableObject): Generator<unknown, PostResult, unknown> {
  let action: PostResult;
  for (let node: BaseNode | undefined = flow.start; node; ) {
    const current: BaseNode = node.clone().setParams(params);
    action = (yield current._run(shared)) as PostResult;
    lastResult.set(flow, lastResult.get(current));
    node = current.getNextNode(action || undefined);
  }
  return action;
}

/**
 * Runs its sub-flow once for each params that `prep` returns, in order. Params merge over the flow's own; nested batches
 * accumulate, and the inner key wins. `post` gets the list of params, `undefined`, and how each branch ended.
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

  override post(_shared: S, _paramsList: NP, _none: undefined, _branches?: BranchEnd[]): MaybePromise<PostResult> {
    return undefined;
  }

  override _run(shared: S): MaybePromise<PostResult> {
    return drive(visitBatch(this as BatchFlow<S>, shared, branchesInOrder));
  }
}

/** As `BatchFlow`, with all branches under way at once, or at most `concurrency` of them. All see one live `shared`. */
export class ParallelBatchFlow<
  S = unknown,
  P extends NonIterableObject = NonIterableObject,
  NP extends NonIterableObject[] = NonIterableObject[],
> extends BatchFlow<S, P, NP> {
  override _run(shared: S): MaybePromise<PostResult> {
    return drive(visitBatch(this as BatchFlow<S>, shared, branchesAtOnce));
  }
}

type Branches = <S>(flow: BatchFlow<S>, shared: S, paramsList: NonIterableObject[]) => MaybePromise<BranchEnd[]>;

function* visitBatch<S>(flow: BatchFlow<S>, shared: S, branches: Branches): Generator<unknown, PostResult, unknown> {
  const paramsList = (yield gather(yield flow.prep(shared), flow)) as NonIterableObject[];
  const ends = (yield branches(flow, shared, paramsList)) as BranchEnd[];
  return (yield flow.post(shared, paramsList, undefined, ends)) as PostResult;
}

function branchesInOrder<S>(flow: BatchFlow<S>, shared: S, paramsList: NonIterableObject[]): MaybePromise<BranchEnd[]> {
  return drive(
    (function* () {
      const ends: BranchEnd[] = [];
      for (const params of paramsList) ends.push((yield drive(branch(flow, shared, params))) as BranchEnd);
      return ends;
    })(),
  );
}

function branchesAtOnce<S>(flow: BatchFlow<S>, shared: S, paramsList: NonIterableObject[]): MaybePromise<BranchEnd[]> {
  if (paramsList.length === 0) return [];
  return mapAtOnce(paramsList, (params) => drive(branch(flow, shared, params)), flow["_options"].concurrency);
}

/** One branch. It walks on a flow of its own, so that its last result is its own too. */
function* branch<S>(flow: BatchFlow<S>, shared: S, params: NonIterableObject): Generator<unknown, BranchEnd, unknown> {
  const own = flow.clone();
  const action = ((yield own["_orchestrate"](shared, { ...own["_params"], ...params })) || undefined) as
    | Action
    | undefined;
  return { action, result: lastResult.get(own) };
}
