import { type Attempt, inTime } from "../core/attempt.ts";
import { checkResults, execBatch } from "../core/chunks.ts";
import { decode, encode } from "../core/codec.ts";
import { type Failure, toFailure } from "../core/errors.ts";
import { judged } from "../core/exec.ts";
import { nameOf } from "../core/follow.ts";
import { type BaseNode, Node, ParallelBatchNode } from "../core/node.ts";
import { drive, type MaybePromise } from "../core/turn.ts";
import { changedFields, writeFields } from "./live.ts";
import type { Outcome } from "./outcome.ts";
import type { ClaimedItem } from "./protocol.ts";
import { checkLength, ROW_LIMIT } from "./text.ts";

const DEFAULT_TIMEOUT_SEC = 300;

/**
 * One call of exec, its outcome as data. After the last attempt, or an error that no retry can mend, `execFallback` has the
 * word; what it throws is final. Not so where the executor was stopped meanwhile: an aborted call is no failure.
 */
export function execItem(
  view: View,
  claimed: ClaimedItem,
  attempt: Attempt,
  isStopped: () => boolean,
): MaybePromise<Outcome> {
  return drive(call(view, claimed, attempt, isStopped));
}

function* call(
  { self, fields }: View,
  claimed: ClaimedItem,
  attempt: Attempt,
  isStopped: () => boolean,
): Generator<unknown, Outcome, unknown> {
  const { step, index, attempts, isLast, refusalCosts } = claimed;
  try {
    const result = yield inTime("exec", callAlone(self, decode(claimed.item), attempt), attempt, timeoutOf(self));
    return { step, index, attempts, ...stored(result, self, index, fields()) };
  } catch (error) {
    const failure = toFailure(error, Date.now());
    if (failure.rateLimited && refusalCosts === "nothing") {
      return { step, index, attempts, ...failureOf(failure, fields), isAttempt: false } as Outcome;
    }
    const verdict = judged(self, failure, error);
    const isFinal = isLast || verdict.retryable === false;
    if (!isFinal || isStopped()) return { step, index, attempts, ...failureOf(verdict, fields) };
    return { step, index, attempts, ...(yield* fallback({ self, fields }, claimed, error, attempt)) };
  }
}

/** One item in a call of its own. A step that began before its node had a `batchSize` has such calls still. */
function callAlone(self: BaseNode, item: unknown, attempt: Attempt): unknown {
  if (self["_options"].batchSize === undefined) return self.exec(item, attempt);
  return (async () => resultOf(checkResults(nameOf(self), await execBatch(self, [item], attempt), 1)[0]))();
}

function resultOf(result: unknown): unknown {
  if (result instanceof Error) throw result;
  return result;
}

/** In seconds. */
export function timeoutOf(self: BaseNode): number {
  return self["_options"].timeout ?? DEFAULT_TIMEOUT_SEC;
}

type Result = { fields?: string } & ({ ok: true; body: string } | { ok: false; failure: Failure });

/** What `execFallback` makes of an item's failure. */
export function* fallback(
  { self, fields }: View,
  claimed: Pick<ClaimedItem, "index" | "item">,
  error: unknown,
  attempt: Attempt,
): Generator<unknown, Result, unknown> {
  try {
    if (!(self instanceof Node)) throw error;
    const called = self.execFallback(decode(claimed.item), error as Error);
    return stored(yield inTime("execFallback", called, attempt, timeoutOf(self)), self, claimed.index, fields());
  } catch (thrown) {
    return failureOf({ ...toFailure(thrown), retryable: false }, fields);
  }
}

/** A result that cannot be stored is final: calling exec again would not change what it returns. */
export function stored(result: unknown, self: BaseNode, index: number, fields: object | null): Result {
  try {
    const name = () => `the result of item ${index} of ${self.constructor.name}`;
    return { ok: true, body: checkLength(encode(result, name), name), ...written(fields) };
  } catch (error) {
    return { ok: false, failure: { ...toFailure(error), retryable: false } };
  }
}

/** A failure, with the fields that its exec has set for the next attempt, or post, to find. */
export function failureOf(failure: Failure, fields: View["fields"]): Result & { ok: false } {
  try {
    return { ok: false, failure, ...written(fields()) };
  } catch (error) {
    return { ok: false, failure: { ...toFailure(error), retryable: false } };
  }
}

/** What exec has set on its node. */
export function written(fields: object | null): { fields?: string } {
  if (fields === null || Object.keys(fields).length === 0) return {};
  return { fields: checkLength(encode(fields, "fields"), "the fields that exec set", ROW_LIMIT) };
}

/** The node as one exec sees it, and what that exec has set on it. */
export interface View {
  self: BaseNode;
  fields(): object | null;
}

/**
 * Views of a node after so many attempts, each with its own `currentRetry`. What exec sets on a node whose items come one after
 * the other returns to the run with the result. Items of a parallel batch run apart from each other, perhaps in another isolate:
 * a field set there would be lost without a word, so it is refused.
 */
export function viewsOf(node: BaseNode, id: string): (attempts: number) => View {
  if (!(node instanceof ParallelBatchNode)) return (attempts) => openView(node, attempts);
  const closed: View[] = [];
  const check = watchInside(node, id);
  return (attempts) => {
    closed[attempts] ??= { self: closedView(node, id, attempts), fields: check };
    return closed[attempts];
  };
}

function openView(node: BaseNode, attempts: number): View {
  const own: { [key: PropertyKey]: unknown } = {};
  if (node instanceof Node && node.currentRetry !== attempts) own.currentRetry = attempts;
  const before = writeFields(node);
  const self = new Proxy(node, {
    get: (target, key, view) => (Object.hasOwn(own, key) ? own[key] : Reflect.get(target, key, view)),
    set: (_, key, value) => {
      own[key] = value;
      return true;
    },
  });
  return { self, fields: () => ({ ...Object.fromEntries(changedFields(node, before)), ...own }) };
}

function closedView(node: BaseNode, id: string, attempts: number): BaseNode {
  return new Proxy(node, {
    get: (target, key, view) => (key === "currentRetry" ? attempts : Reflect.get(target, key, view)),
    set: (_, key) => {
      throw closedField(id, String(key));
    },
  });
}

/** What an object in a field is changed to is no write to the field: it is found by comparing, and undone for those that follow. */
function watchInside(node: BaseNode, id: string): () => null {
  const before = writeFields(node);
  if (![...before.values()].some(({ text }) => text !== undefined)) return () => null;
  return () => {
    const [[key] = []] = changedFields(node, before);
    if (key === undefined) return null;
    Object.assign(node, { [key]: decode(before.get(key)?.text ?? "") });
    throw closedField(id, key);
  };
}

function closedField(id: string, key: string): TypeError {
  return new TypeError(
    `Expected exec of ${id} to leave the node's fields alone, got a write to \`this.${key}\`: ` +
      "items run apart from each other. Return it from exec instead.",
  );
}
