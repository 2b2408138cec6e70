import { Attempt, inTime, sleep } from "./attempt.ts";
import { describeType, toFailure } from "./errors.ts";
import { judged, policyOf, viewAt } from "./exec.ts";
import { nameOf, teller } from "./follow.ts";
import type { BaseNode, Node } from "./node.ts";
import { retryDelayMs } from "./retry.ts";
import type { Turn } from "./turn.ts";

// Nodes with a `batchSize`: a chunk is what of their items one call takes.

/** What came of one item. */
export type Ended = { ok: true; value: unknown } | { ok: false; error: unknown };

/** Items of a visit, from index `first` up to before `end`. */
export interface Chunk {
  visit: string;
  first: number;
  end: number;
}

/** Thrown by a call after which there is no other, whatever its error says. */
export class GivenUp {
  readonly error: unknown;
  /** Whether some of the call's items may be to blame, so that others do better without them. */
  readonly isOfItems: boolean;
  constructor(error: unknown, isOfItems = false) {
    this.error = error;
    this.isOfItems = isOfItems;
  }
}

/** Makes one call for items, by their indexes; gives a result or an Error for each. */
export type ChunkCall = (node: Node, indexes: number[], attempt: Attempt) => unknown;

/** Cuts items into chunks, in order. */
export function chunksOf(visit: string, total: number, batchSize: number): Chunk[] {
  const chunks: Chunk[] = [];
  for (let first = 0; first < total; first += batchSize) {
    chunks.push({ visit, first, end: Math.min(first + batchSize, total) });
  }
  return chunks;
}

/** Calls `execBatch` with items of a list. */
export function byExecBatch(items: readonly unknown[]): ChunkCall {
  return (node, indexes, attempt) => {
    const { timeout } = node["_options"];
    const taken = indexes.map((index) => items[index]);
    const called = execBatch(node, taken, attempt);
    return timeout === undefined ? called : inTime("execBatch", called, attempt, timeout);
  };
}

/** The attempts at a chunk, in memory, up to an end of each of its items. */
export function* chunkAttempts(
  node: Node,
  chunk: Chunk,
  items: readonly unknown[],
  call: ChunkCall,
): Turn<Map<number, Ended>> {
  const ended = new Map<number, Ended>();
  yield* attemptsAt({ node, items, call, ended }, chunk, numbers(chunk));
  return ended;
}

interface Calls {
  node: Node;
  items: readonly unknown[];
  call: ChunkCall;
  ended: Map<number, Ended>;
}

function* attemptsAt(calls: Calls, { visit, first, end }: Chunk, indexes: number[]): Turn<void> {
  const { node, items, call, ended } = calls;
  let open = indexes;
  for (let made = 0; open.length > 0; made++) {
    const self = viewAt(node, made);
    const attempt = new Attempt(`${visit}/${first}-${end - 1}/${made + 1}`, made + 1, teller(node, first));
    const delayOf = (error: unknown) =>
      retryDelayMs(policyOf(node), made + 1, judged(node, toFailure(error), error), Math.random());
    let left: number[] = [];
    let waitMs = 0;
    try {
      const results = checkResults(nameOf(node), yield call(self, open, attempt), open.length);
      for (const [at, index] of open.entries()) {
        const result = results[at];
        const delayMs = result instanceof Error ? delayOf(result) : null;
        if (!(result instanceof Error)) ended.set(index, { ok: true, value: result });
        else if (delayMs === null) ended.set(index, yield* fallback(self, items[index], result));
        else {
          left.push(index);
          waitMs = Math.max(waitMs, delayMs);
        }
      }
    } catch (thrown) {
      const error = thrown instanceof GivenUp ? thrown.error : thrown;
      const delayMs = thrown instanceof GivenUp ? null : delayOf(error);
      const mayBeSplit = node["_options"].split && !(thrown instanceof GivenUp && !thrown.isOfItems);
      if (delayMs === null && mayBeSplit && open.length > 1) {
        const middle = middleOf(open);
        yield* attemptsAt(
          calls,
          { visit, first, end: middle },
          open.filter((index) => index < middle),
        );
        yield* attemptsAt(
          calls,
          { visit, first: middle, end },
          open.filter((index) => index >= middle),
        );
        return;
      }
      if (delayMs === null) for (const index of open) ended.set(index, yield* fallback(self, items[index], error));
      else {
        left = open;
        waitMs = delayMs;
      }
    }
    open = left;
    if (waitMs > 0) yield sleep(waitMs);
  }
}

function* fallback(self: Node, item: unknown, error: unknown): Turn<Ended> {
  try {
    return { ok: true, value: yield self.execFallback(item, error as Error) };
  } catch (thrown) {
    return { ok: false, error: thrown };
  }
}

/** Where the second half of items begins, which are more than one. */
export function middleOf(indexes: readonly number[]): number {
  return indexes[Math.ceil(indexes.length / 2)] as number;
}

/** What `execBatch` returned, if it can be split back to so many items. */
export function checkResults(name: string, results: unknown, count: number): unknown[] {
  if (Array.isArray(results) && results.length === count) return results;
  const got = Array.isArray(results) ? `${results.length}` : describeType(results);
  throw new TypeError(
    `Expected execBatch of ${name} to return ${count} results, one for each item in order (an Error for one that failed), got ${got}`,
  );
}

interface Batching {
  execBatch(items: unknown[], context: Attempt): unknown;
}

/** Calls `execBatch` of a batch node. */
export function execBatch(node: BaseNode, items: unknown[], context: Attempt): unknown {
  return (node as unknown as Batching).execBatch(items, context);
}

/** What the `execBatch` throws that a node has from its class: no other call would find another. */
export function noExecBatch(node: object): GivenUp {
  return new GivenUp(
    new TypeError(
      `Expected ${node.constructor.name}, which has a \`batchSize\`, to have \`execBatch(items)\` with a result for each item`,
    ),
  );
}

function numbers({ first, end }: Chunk): number[] {
  return Array.from({ length: end - first }, (_, at) => first + at);
}
