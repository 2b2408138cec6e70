import { Attempt, callExec, sleep, visitId } from "./attempt.ts";
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
  const items = (yield gather(prepRes, node)) as unknown[];
  const visit = visitId();
  const tally = tallyOf(node, items.length);
  const results: unknown[] = [];
  for (const [index, item] of items.entries()) results.push(yield* tally.of(attempts(node, item, visit, index)));
  return results;
}

/** All items of a batch at once, or as many as `concurrency` allows. */
export function* atOnce(node: Node, prepRes: unknown): Turn<unknown[]> {
  const items = (yield gather(prepRes, node)) as unknown[];
  const visit = visitId();
  const tally = tallyOf(node, items.length);
  const run = (item: unknown, index: number) => drive(tally.of(attempts(node, item, visit, index)));
  return (yield mapAtOnce(items, run, node["_options"].concurrency)) as unknown[];
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
function viewAt(node: Node, made: number): Node {
  if (node["_kind"] !== "parallel-batch") {
    node.currentRetry = made;
    return node;
  }
  return made === 0 ? node : overlay(node, "currentRetry", made);
}
