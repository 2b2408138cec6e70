import { Attempt, callExec, sleep, visitId } from "./attempt.ts";
import { byExecBatch, type Chunk, type ChunkCall, chunkAttempts, chunksOf, type Ended } from "./chunks.ts";
import { type Failure, toFailure } from "./errors.ts";
import { nameOf, teller } from "./follow.ts";
import { gather, mapAtOnce } from "./items.ts";
import type { BaseNode, Node } from "./node.ts";
import { overlay } from "./overlay.ts";
import { LONGEST_WAIT, type RetryPolicy, retryDelayMs } from "./retry.ts";
import { Tally } from "./tally.ts";
import { drive, type Turn } from "./turn.ts";

// How exec is called in memory.

/** All items of a batch, one after the other. */
export function* inOrder(node: Node, prepRes: unknown): Turn<unknown[]> {
  if (node["_options"].batchSize !== undefined) return yield* chunksInOrder(node, prepRes);
  const items = (yield gather(prepRes, node)) as unknown[];
  const visit = visitId();
  const tally = tallyOf(node, items.length);
  const results: unknown[] = [];
  for (const [index, item] of items.entries()) results.push(yield* tally.of(attempts(node, item, visit, index)));
  return results;
}

/** All chunks of a batch, one after the other. */
function* chunksInOrder(node: Node, prepRes: unknown): Turn<unknown[]> {
  // A copy: the list may be an alias of one in `shared` that changes meanwhile.
  const items = [...((yield gather(prepRes, node)) as unknown[])];
  const { batchSize = 1 } = node["_options"];
  const tally = tallyOf(node, items.length);
  const results: unknown[][] = [];
  for (const chunk of chunksOf(visitId(), items.length, batchSize)) {
    results.push(yield* endsOf(chunkAttempts(node, chunk, items, byExecBatch(items)), tally));
  }
  return results.flat();
}

/** All items of a batch at once, or as many as `concurrency` allows. */
export function* atOnce(node: Node, prepRes: unknown): Turn<unknown[]> {
  if (node["_options"].batchSize !== undefined) return yield* chunksAtOnce(node, prepRes, byExecBatch);
  const items = (yield gather(prepRes, node)) as unknown[];
  const visit = visitId();
  const tally = tallyOf(node, items.length);
  const run = (item: unknown, index: number) => drive(tally.of(attempts(node, item, visit, index)));
  return (yield mapAtOnce(items, run, node["_options"].concurrency)) as unknown[];
}

/** All chunks of a batch at once, or as many as `concurrency` allows, each by calls that `callOf` gives for the items. */
export function* chunksAtOnce(
  node: Node,
  prepRes: unknown,
  callOf: (items: readonly unknown[]) => ChunkCall,
): Turn<unknown[]> {
  const items = [...((yield gather(prepRes, node)) as unknown[])];
  const { batchSize = 1, concurrency } = node["_options"];
  const tally = tallyOf(node, items.length);
  const call = callOf(items);
  const run = (chunk: Chunk) => drive(endsOf(chunkAttempts(node, chunk, items, call), tally));
  const results = yield mapAtOnce(chunksOf(visitId(), items.length, batchSize), run, concurrency);
  return (results as unknown[][]).flat();
}

function* endsOf(chunk: Turn<Map<number, Ended>>, tally: Tally): Turn<unknown[]> {
  return yield* ends(yield* chunk, tally);
}

/** What came of a chunk's items, in order, as its node's tolerance has it. */
function* ends(ended: ReadonlyMap<number, Ended>, tally: Tally): Turn<unknown[]> {
  const results: unknown[] = [];
  for (const index of [...ended.keys()].sort((a, b) => a - b)) {
    results.push(yield* tally.of(endOf(ended.get(index) as Ended)));
  }
  return results;
}

// biome-ignore lint/correctness/useYield: a turn that has ended already
function* endOf(ended: Ended): Turn<unknown> {
  if (ended.ok) return ended.value;
  throw ended.error;
}

/** The attempts at one item of a visit, up to its result, or to what `execFallback` makes of its failure. */
export function* attempts(node: Node, item: unknown, visit: string, index: number): Turn<unknown> {
  for (let made = 0; ; made++) {
    const self = viewAt(node, made);
    const attempt = new Attempt(`${visit}/${index}/${made + 1}`, made + 1, teller(node, index));
    try {
      return yield callExec(self, item, attempt, node["_options"].timeout);
    } catch (error) {
      const delayMs = retryDelayMs(policyOf(node), made + 1, judged(node, toFailure(error), error), Math.random());
      if (delayMs === null) return yield self.execFallback(item, error as Error);
      if (delayMs > 0) yield sleep(delayMs);
    }
  }
}

/** A failure as its node judges it, which may know that another attempt makes no sense. */
export function judged(node: BaseNode, failure: Failure, thrown: unknown): Failure {
  const { retryIf } = node["_options"];
  if (!retryIf || failure.retryable === false) return failure;
  try {
    if (retryIf(thrown as Error)) return failure;
  } catch (error) {
    console.error(`retryIf of ${nameOf(node)} failed, so there is no further attempt:`, error);
  }
  return { ...failure, retryable: false };
}

function tallyOf(node: Node, total: number): Tally {
  return new Tally(node["_options"], nameOf(node), "items", total);
}

/** How the node's exec is retried. Read anew each time: `maxRetries` and `wait` are fields that a subclass may set late. */
export function policyOf(node: Node): RetryPolicy {
  const { backoff = 1, jitter = 0, maxWait = LONGEST_WAIT } = node["_options"];
  return { maxRetries: node.maxRetries, wait: node.wait, backoff, maxWait, jitter };
}

/**
 * The node as one attempt sees it. Items of a parallel batch retry at the same time, so each later attempt gets a view with a
 * `currentRetry` of its own; everything else is the node itself. First attempts need none: the node's own stays 0.
 */
export function viewAt(node: Node, made: number): Node {
  const kind = node["_kind"];
  if (kind !== "parallel-batch" && kind !== "api-batch") {
    node.currentRetry = made;
    return node;
  }
  return made === 0 ? node : overlay(node, "currentRetry", made);
}
