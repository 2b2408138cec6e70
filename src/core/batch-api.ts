import { Attempt, type ExecContext, inTime, sleep } from "./attempt.ts";
import { type ChunkCall, GivenUp } from "./chunks.ts";
import { describeType, errorOf, toFailure } from "./errors.ts";
import { chunksAtOnce } from "./exec.ts";
import { isAsyncIterable, isIterable } from "./items.ts";
import { afterTrouble, isOfItems, type PollPolicy, pollDelayMs } from "./jobs.ts";
import { type Node, type NodeKind, type NonIterableObject, ParallelBatchNode } from "./node.ts";
import type { NodeOptions } from "./options.ts";
import { drive, type MaybePromise } from "./turn.ts";

/** An item as a vendor's batch API is given it. */
export interface BatchLine<Item = unknown> {
  /** Names the item's result: the same in each job that has the item. */
  id: string;
  item: Item;
}

/** How far a job is. */
export type BatchState =
  | { status: "running"; total?: number; completed?: number; failed?: number }
  /** It goes on no more, for whatever reason; the results that there are can be collected. */
  | { status: "ended" }
  /** It goes on no more, and has no results: all its lines have failed. */
  | { status: "failed"; error: { name?: string; message: string } };

/** What came of one line. */
export type BatchResult<Result = unknown> = { id: string; result: Result } | { id: string; error: Error };

/** What a `BatchApiNode` may be told. A vendor's batch API has budgets of its own: it takes no `limit`. */
export interface BatchApiOptions extends Omit<NodeOptions, "limit"> {
  /** How often a job is asked how far it is. */
  poll?: PollPolicy;
}

const BATCH_SIZE = 10_000;

/**
 * A batch whose items are given to a vendor's batch API: chunks of up to `batchSize` (default 10,000) as a job each, polled with
 * back-off until it has ended, for days if need be. Lines that fail are retried together as a new job, as `maxRetries` allows; the
 * others keep their results. `concurrency` is how many jobs of a run the vendor has at once. In a durable run nothing is awake
 * between two polls, and a run that is canceled cancels its jobs.
 *
 * A job is submitted once as far as the vendor lets one: `submit` may be repeated after a crash, with the same
 * `context.idempotencyKey`. `find` closes that gap where the vendor can look up a job by it; where neither is to be had, a crash
 * between the vendor's answer and its being stored leaves a second job behind.
 *
 * Errors of submit, poll and collect are tried again with back-off for a day, and are no attempts; a status of 4xx, but for 408, 409,
 * 425 and 429, and a `NonRetryableError` are final. Each call has `timeout` seconds.
 *
 * @example
 * class Summaries extends BatchApiNode<Shared, NonIterableObject, string, string, { id: string }> {
 *   prep(shared) { return shared.texts; }
 *   submit(lines, { idempotencyKey }) { return vendor.create(lines, { key: idempotencyKey }); }
 *   find({ idempotencyKey }) { return vendor.findByKey(idempotencyKey); }
 *   async poll(job) { return { status: (await vendor.get(job.id)).isDone ? "ended" : "running" }; }
 *   async *collect(job) { for await (const { id, text } of vendor.results(job.id)) yield { id, result: text }; }
 *   cancel(job) { return vendor.cancel(job.id); }
 *   post(shared, texts, summaries) { shared.summaries = summaries; }
 * }
 * new Flow(new Summaries({ maxRetries: 3, batchSize: 5_000, poll: { wait: 60, maxWait: 900 } }));
 */
export abstract class BatchApiNode<
  S = unknown,
  P extends NonIterableObject = NonIterableObject,
  Item = unknown,
  Result = unknown,
  Job = unknown,
> extends ParallelBatchNode<S, P, Item, Result> {
  constructor(options: BatchApiOptions = {}) {
    checkPoll(options);
    super({ ...options, batchSize: options.batchSize ?? BATCH_SIZE } as NodeOptions);
  }

  protected override get _kind(): NodeKind {
    return "api-batch";
  }

  /** Makes a job of lines. What it returns names the job, and must be storable: an id, or an object with one. */
  abstract submit(lines: BatchLine<Item>[], context: ExecContext): MaybePromise<Job>;

  /** Says how far a job is. */
  abstract poll(job: Job, context: ExecContext): MaybePromise<BatchState>;

  /** Gives what came of each line of a job that has ended, in any order. A line that is missing has failed. */
  abstract collect(
    job: Job,
    context: ExecContext,
  ): MaybePromise<Iterable<BatchResult<Result>> | AsyncIterable<BatchResult<Result>>>;

  /** Finds the job that an earlier `submit` with this `context.idempotencyKey` has made. Asked before each submit. */
  find(_context: ExecContext): MaybePromise<Job | undefined> {
    return undefined;
  }

  /** Cancels a job, which may have ended meanwhile. Tried again where it throws. */
  cancel(_job: Job, _context: ExecContext): MaybePromise<void> {
    return undefined;
  }

  override _exec(prepRes: unknown): MaybePromise<unknown[]> {
    const callOf = (items: readonly unknown[]): ChunkCall => {
      return (self, indexes, attempt) => inMemory(self as unknown as BatchApiNode, linesOf(items, indexes), attempt);
    };
    return drive(chunksAtOnce(this as unknown as Node, prepRes, callOf));
  }
}

function linesOf(items: readonly unknown[], indexes: readonly number[]): BatchLine[] {
  return indexes.map((index) => ({ id: String(index), item: items[index] }));
}

/** One job from its submission to its results, in the lines' order. */
async function inMemory(node: BatchApiNode, lines: BatchLine[], attempt: Attempt): Promise<unknown[]> {
  const job = await patiently(node, attempt, "submit", (context) => found(node, lines, context));
  const { poll } = node["_options"] as BatchApiOptions;
  for (let polls = 0; ; polls++) {
    await sleep(pollDelayMs(poll ?? {}, polls));
    const state = checkState(node, await patiently(node, attempt, "poll", (context) => node.poll(job, context)));
    if (state.status === "failed") throw jobFailed(state.error);
    if (state.status === "ended") break;
    if (state.completed !== undefined) attempt.emit(progressOf(state));
  }
  const results = await patiently(node, attempt, "collect", async (context) => {
    const byId = new Map<string, unknown>();
    for await (const line of checkCollected(node, await node.collect(job, context))) {
      checkLine(node, line);
      if (!byId.has(line.id)) byId.set(line.id, endOfLine(line));
    }
    return byId;
  });
  return lines.map(({ id }) => (results.has(id) ? results.get(id) : noResult()));
}

async function found(node: BatchApiNode, lines: BatchLine[], context: ExecContext): Promise<unknown> {
  return (await node.find(context)) ?? (await node.submit(lines, context));
}

async function patiently<T>(
  node: BatchApiNode,
  attempt: Attempt,
  hook: string,
  call: (context: Attempt) => MaybePromise<T>,
): Promise<T> {
  const { timeout } = node["_options"];
  for (let trouble = 0; ; ) {
    try {
      // A signal of its own: that of a call which has timed out stays aborted.
      const own = new Attempt(attempt.idempotencyKey, attempt.attempt, (data) => attempt.emit(data));
      const called = call(own);
      return (await (timeout === undefined ? called : inTime(hook, called, own, timeout))) as T;
    } catch (error) {
      const failure = toFailure(error, Date.now());
      const next = afterTrouble(trouble, failure);
      if (!next) throw new GivenUp(error, hook === "submit" && isOfItems(failure));
      trouble = next.trouble;
      await sleep(next.delayMs);
    }
  }
}

/** What `poll` returned, if it can be meant. */
export function checkState(node: object, state: unknown): BatchState {
  const { status, error } = (state ?? {}) as { status?: unknown; error?: { message?: unknown } };
  if (status === "running" || status === "ended") return state as BatchState;
  if (status === "failed" && typeof error?.message === "string") return state as BatchState;
  throw Object.assign(
    new TypeError(
      `Expected poll of ${node.constructor.name} to return { status: "running" }, "ended", or "failed" with an \`error\`, got ` +
        (typeof status === "string" ? `\`${status}\`` : describeType(state)),
    ),
    { retryable: false },
  );
}

/** What `collect` returned, if it can be read. */
export function checkCollected(node: object, collected: unknown): Iterable<BatchResult> | AsyncIterable<BatchResult> {
  if (isIterable(collected) || isAsyncIterable(collected)) return collected as Iterable<BatchResult>;
  throw Object.assign(
    new TypeError(
      `Expected collect of ${node.constructor.name} to return results, each { id, result } or { id, error }, got ${describeType(collected)}`,
    ),
    { retryable: false },
  );
}

/** Throws for what is no line: that its id is one of the job's is not said. */
export function checkLine(node: object, line: unknown): void {
  if (typeof (line as Partial<BatchResult> | null | undefined)?.id === "string") return;
  throw Object.assign(
    new TypeError(
      `Expected collect of ${node.constructor.name} to give lines, each { id, result } or { id, error }, got ${describeType(line)}`,
    ),
    { retryable: false },
  );
}

/** A line's result, or the Error in its place. */
export function endOfLine(line: BatchResult): unknown {
  if (!("error" in line) || line.error === undefined) return (line as { result: unknown }).result;
  return line.error instanceof Error ? line.error : errorOf(toFailure(line.error));
}

/** The error of all lines of a job that has failed as a whole. */
export function jobFailed({ name = "BatchJobError", message }: { name?: string; message: string }): Error {
  return errorOf({ name, message });
}

export function noResult(): Error {
  return errorOf({ name: "BatchJobError", message: "The vendor's job ended without a result for this item" });
}

/** What is told of a job that goes on. */
export function progressOf(state: BatchState & { status: "running" }): object {
  const { total, completed = 0, failed = 0 } = state;
  return { completed, failed, ...(total === undefined ? {} : { total }) };
}

function checkPoll(options: BatchApiOptions & { limit?: unknown }): void {
  if (options.limit !== undefined) {
    throw new TypeError("Expected no `limit` of a BatchApiNode: a vendor's batch API has budgets of its own");
  }
  for (const [key, value] of Object.entries(options.poll ?? {})) {
    const least = key === "backoff" ? 1 : 0;
    if (value === undefined || (typeof value === "number" && value >= least && value < Number.POSITIVE_INFINITY))
      continue;
    const expected = key === "backoff" ? "a factor of at least 1" : "a number of seconds, 0 or more";
    throw new RangeError(`Expected \`poll.${key}\` of a BatchApiNode to be ${expected}, got \`${String(value)}\``);
  }
}
