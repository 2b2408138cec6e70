import { type Attempt, callExec, inTime } from "../core/attempt.ts";
import { decode, encode } from "../core/codec.ts";
import { type Failure, toFailure } from "../core/errors.ts";
import { type BaseNode, Node } from "../core/node.ts";
import type { Outcome } from "./items.ts";
import type { ClaimedItem } from "./protocol.ts";
import { checkLength } from "./text.ts";

const DEFAULT_TIMEOUT_SEC = 300;

/**
 * One call of exec, its outcome as data. After the last attempt, or an error that no retry can mend, `execFallback` has the
 * word; what it throws is final. Not so where the executor was stopped meanwhile: an aborted call is no failure.
 */
export async function execItem(
  self: BaseNode,
  claimed: ClaimedItem,
  attempt: Attempt,
  isStopped: () => boolean,
): Promise<Outcome> {
  const { step, index, attempts, isLast } = claimed;
  try {
    const result = await callExec(self, decode(claimed.item), attempt, timeoutOf(self));
    return { step, index, attempts, ...stored(result, self, index) };
  } catch (error) {
    const failure = toFailure(error);
    const isFinal = isLast || failure.retryable === false;
    if (!isFinal || isStopped()) return { step, index, attempts, ok: false, failure };
    return { step, index, attempts, ...(await fallback(self, claimed, error, attempt)) };
  }
}

function timeoutOf(self: BaseNode): number {
  return self["_options"].timeout ?? DEFAULT_TIMEOUT_SEC;
}

type Result = { ok: true; body: string } | { ok: false; failure: Failure };

async function fallback(self: BaseNode, claimed: ClaimedItem, error: unknown, attempt: Attempt): Promise<Result> {
  try {
    if (!(self instanceof Node)) throw error;
    const called = self.execFallback(decode(claimed.item), error as Error);
    return stored(await inTime("execFallback", called, attempt, timeoutOf(self)), self, claimed.index);
  } catch (thrown) {
    return { ok: false, failure: { ...toFailure(thrown), retryable: false } };
  }
}

/** A result that cannot be stored is final: calling exec again would not change what it returns. */
function stored(result: unknown, self: BaseNode, index: number): Result {
  try {
    const name = () => `the result of item ${index} of ${self.constructor.name}`;
    return { ok: true, body: checkLength(encode(result, name), name) };
  } catch (error) {
    return { ok: false, failure: { ...toFailure(error), retryable: false } };
  }
}

/**
 * The node as exec sees it after so many attempts: with its own `currentRetry`, and closed to writes. Items run apart from each other, perhaps in
 * another isolate, so a field set here would be lost without a word.
 */
export function viewOf(node: BaseNode, id: string, attempts: number): BaseNode {
  return new Proxy(node, {
    get: (target, key, view) => (key === "currentRetry" ? attempts : Reflect.get(target, key, view)),
    set: (_, key) => {
      throw new TypeError(
        `Expected exec of ${id} to leave the node's fields alone, got a write to \`this.${String(key)}\`: ` +
          "items run apart from each other. Return it from exec instead.",
      );
    },
  });
}
