import type { ExecContext } from "./attempt.ts";
import { noExecBatch } from "./chunks.ts";
import { BatchFlow, Flow, ParallelBatchFlow } from "./flow.ts";
import type { RunOptions } from "./follow.ts";
import {
  type Action,
  BatchNode,
  type BranchEnd,
  type Items,
  Node,
  type NonIterableObject,
  ParallelBatchNode,
  type PostResult,
  type Results,
} from "./node.ts";
import type { MaybePromise } from "./turn.ts";

// PocketFlow's other spelling: every hook has the suffix Async, and the plain hooks call it. Nothing else differs.

/** `Node` in the other spelling. */
export class AsyncNode<
  S = unknown,
  P extends NonIterableObject = NonIterableObject,
  PrepRes = unknown,
  ExecRes = unknown,
  Item = PrepRes,
  Result = ExecRes,
> extends Node<S, P, PrepRes, ExecRes, Item, Result> {
  prepAsync(_shared: S): MaybePromise<PrepRes> {
    return undefined as PrepRes;
  }
  execAsync(_item: Item, _context?: ExecContext): MaybePromise<Result> {
    return undefined as Result;
  }
  execFallbackAsync(_item: Item, error: Error): MaybePromise<Result> {
    throw error;
  }
  postAsync(_shared: S, _prepRes: PrepRes, _execRes: ExecRes): MaybePromise<PostResult> {
    return undefined;
  }
  runAsync(shared: S, options?: RunOptions): Promise<Action | undefined> {
    return super.run(shared, options);
  }

  override prep(shared: S): MaybePromise<PrepRes> {
    return this.prepAsync(shared);
  }
  override exec(item: Item, context?: ExecContext): MaybePromise<Result> {
    return this.execAsync(item, context);
  }
  override execFallback(item: Item, error: Error): MaybePromise<Result> {
    return this.execFallbackAsync(item, error);
  }
  override post(shared: S, prepRes: PrepRes, execRes: ExecRes): MaybePromise<PostResult> {
    return this.postAsync(shared, prepRes, execRes);
  }
  override run(shared: S, options?: RunOptions): Promise<Action | undefined> {
    return this.runAsync(shared, options);
  }
}

/** `BatchNode` in the other spelling. */
export class AsyncBatchNode<
  S = unknown,
  P extends NonIterableObject = NonIterableObject,
  Item = unknown,
  Result = unknown,
> extends BatchNode<S, P, Item, Result> {
  prepAsync(_shared: S): MaybePromise<Items<Item>> {
    return undefined as Items<Item>;
  }
  execAsync(_item: Item, _context?: ExecContext): MaybePromise<Result> {
    return undefined as Result;
  }
  execBatchAsync(_items: Item[], _context?: ExecContext): MaybePromise<(Result | Error)[]> {
    throw noExecBatch(this);
  }
  execFallbackAsync(_item: Item, error: Error): MaybePromise<Result> {
    throw error;
  }
  postAsync(_shared: S, _prepRes: Items<Item>, _execRes: Results<Result>): MaybePromise<PostResult> {
    return undefined;
  }
  runAsync(shared: S, options?: RunOptions): Promise<Action | undefined> {
    return super.run(shared, options);
  }

  override prep(shared: S): MaybePromise<Items<Item>> {
    return this.prepAsync(shared);
  }
  override exec(item: Item, context?: ExecContext): MaybePromise<Result> {
    return this.execAsync(item, context);
  }
  override execBatch(items: Item[], context?: ExecContext): MaybePromise<(Result | Error)[]> {
    return this.execBatchAsync(items, context);
  }
  override execFallback(item: Item, error: Error): MaybePromise<Result> {
    return this.execFallbackAsync(item, error);
  }
  override post(shared: S, prepRes: Items<Item>, execRes: Results<Result>): MaybePromise<PostResult> {
    return this.postAsync(shared, prepRes, execRes);
  }
  override run(shared: S, options?: RunOptions): Promise<Action | undefined> {
    return this.runAsync(shared, options);
  }
}

/**
 * `ParallelBatchNode` in the other spelling: many `execAsync` at once.
 *
 * @example
 * class Summaries extends AsyncParallelBatchNode<{ texts: string[]; summary?: string }> {
 *   async prepAsync(shared) { return shared.texts; }
 *   async execAsync(text) { return await callModel(`Summarize: ${text}`); }
 *   async postAsync(shared, texts, summaries) { shared.summary = summaries.join("\n\n"); }
 * }
 * await new AsyncFlow(new Summaries()).runAsync({ texts });
 */
export class AsyncParallelBatchNode<
  S = unknown,
  P extends NonIterableObject = NonIterableObject,
  Item = unknown,
  Result = unknown,
> extends ParallelBatchNode<S, P, Item, Result> {
  prepAsync(_shared: S): MaybePromise<Items<Item>> {
    return undefined as Items<Item>;
  }
  execAsync(_item: Item, _context?: ExecContext): MaybePromise<Result> {
    return undefined as Result;
  }
  execBatchAsync(_items: Item[], _context?: ExecContext): MaybePromise<(Result | Error)[]> {
    throw noExecBatch(this);
  }
  execFallbackAsync(_item: Item, error: Error): MaybePromise<Result> {
    throw error;
  }
  postAsync(_shared: S, _prepRes: Items<Item>, _execRes: Results<Result>): MaybePromise<PostResult> {
    return undefined;
  }
  runAsync(shared: S, options?: RunOptions): Promise<Action | undefined> {
    return super.run(shared, options);
  }

  override prep(shared: S): MaybePromise<Items<Item>> {
    return this.prepAsync(shared);
  }
  override exec(item: Item, context?: ExecContext): MaybePromise<Result> {
    return this.execAsync(item, context);
  }
  override execBatch(items: Item[], context?: ExecContext): MaybePromise<(Result | Error)[]> {
    return this.execBatchAsync(items, context);
  }
  override execFallback(item: Item, error: Error): MaybePromise<Result> {
    return this.execFallbackAsync(item, error);
  }
  override post(shared: S, prepRes: Items<Item>, execRes: Results<Result>): MaybePromise<PostResult> {
    return this.postAsync(shared, prepRes, execRes);
  }
  override run(shared: S, options?: RunOptions): Promise<Action | undefined> {
    return this.runAsync(shared, options);
  }
}

/** `Flow` in the other spelling. */
export class AsyncFlow<S = unknown, P extends NonIterableObject = NonIterableObject, PrepRes = unknown> extends Flow<
  S,
  P,
  PrepRes
> {
  prepAsync(_shared: S): MaybePromise<PrepRes> {
    return undefined as PrepRes;
  }
  postAsync(shared: S, prepRes: PrepRes, lastAction: unknown): MaybePromise<PostResult> {
    return super.post(shared, prepRes, lastAction);
  }
  runAsync(shared: S, options?: RunOptions): Promise<Action | undefined> {
    return super.run(shared, options);
  }

  override prep(shared: S): MaybePromise<PrepRes> {
    return this.prepAsync(shared);
  }
  override post(shared: S, prepRes: PrepRes, lastAction: unknown): MaybePromise<PostResult> {
    return this.postAsync(shared, prepRes, lastAction);
  }
  override run(shared: S, options?: RunOptions): Promise<Action | undefined> {
    return this.runAsync(shared, options);
  }
}

/** `BatchFlow` in the other spelling. */
export class AsyncBatchFlow<
  S = unknown,
  P extends NonIterableObject = NonIterableObject,
  NP extends NonIterableObject[] = NonIterableObject[],
> extends BatchFlow<S, P, NP> {
  prepAsync(_shared: S): MaybePromise<NP> {
    return [] as unknown as NP;
  }
  postAsync(shared: S, paramsList: NP, none: unknown, branches?: BranchEnd[]): MaybePromise<PostResult> {
    return super.post(shared, paramsList, none, branches);
  }
  runAsync(shared: S, options?: RunOptions): Promise<Action | undefined> {
    return super.run(shared, options);
  }

  override prep(shared: S): MaybePromise<NP> {
    return this.prepAsync(shared);
  }
  override post(shared: S, paramsList: NP, none: unknown, branches?: BranchEnd[]): MaybePromise<PostResult> {
    return this.postAsync(shared, paramsList, none, branches);
  }
  override run(shared: S, options?: RunOptions): Promise<Action | undefined> {
    return this.runAsync(shared, options);
  }
}

/** `ParallelBatchFlow` in the other spelling: all branches at once. */
export class AsyncParallelBatchFlow<
  S = unknown,
  P extends NonIterableObject = NonIterableObject,
  NP extends NonIterableObject[] = NonIterableObject[],
> extends ParallelBatchFlow<S, P, NP> {
  prepAsync(_shared: S): MaybePromise<NP> {
    return [] as unknown as NP;
  }
  postAsync(shared: S, paramsList: NP, none: unknown, branches?: BranchEnd[]): MaybePromise<PostResult> {
    return super.post(shared, paramsList, none, branches);
  }
  runAsync(shared: S, options?: RunOptions): Promise<Action | undefined> {
    return super.run(shared, options);
  }

  override prep(shared: S): MaybePromise<NP> {
    return this.prepAsync(shared);
  }
  override post(shared: S, paramsList: NP, none: unknown, branches?: BranchEnd[]): MaybePromise<PostResult> {
    return this.postAsync(shared, paramsList, none, branches);
  }
  override run(shared: S, options?: RunOptions): Promise<Action | undefined> {
    return this.runAsync(shared, options);
  }
}
