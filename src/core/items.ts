import { describeType } from "./errors.ts";
import type { MaybePromise } from "./turn.ts";

/**
 * What `prep` of a batch node returned, as a list. Any iterable and any async iterable is a list of items; nothing at all is an
 * empty one. An array is itself, not a copy: `post` may rely on what is an alias of what.
 */
export function gather(prepRes: unknown, owner: object): MaybePromise<unknown[]> {
  if (prepRes === undefined || prepRes === null) return [];
  if (Array.isArray(prepRes)) return prepRes;
  if (isIterable(prepRes)) return [...prepRes];
  if (isAsyncIterable(prepRes)) return Array.fromAsync(prepRes);
  throw notIterable(prepRes, owner);
}

/** The list instead of an iterator that can be read only once, so that `post` does not get a spent one. */
export function keepOneShot(prepRes: unknown): MaybePromise<unknown> {
  if (isAsyncIterable(prepRes)) return Array.fromAsync(prepRes);
  return isOneShot(prepRes) ? [...prepRes] : prepRes;
}

export function isOneShot(value: unknown): value is Iterable<unknown> {
  return isIterable(value) && typeof value === "object" && (value[Symbol.iterator]() as unknown) === value;
}

export function notIterable(prepRes: unknown, owner: object): TypeError {
  const where = `prep of ${owner.constructor.name}`;
  return new TypeError(
    `Expected ${where} to return items (an array, any iterable or async iterable), got ${describeType(prepRes)}`,
  );
}

export function isIterable(value: unknown): value is Iterable<unknown> {
  return value !== null && value !== undefined && typeof (value as Iterable<unknown>)[Symbol.iterator] === "function";
}

export function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return (
    value !== null &&
    value !== undefined &&
    typeof (value as AsyncIterable<unknown>)[Symbol.asyncIterator] === "function"
  );
}

/**
 * Maps with at most `width` calls under way. The first failure in time rejects; what has started goes on, what has not never
 * starts.
 */
export function mapAtOnce<T, R>(
  items: readonly T[],
  call: (item: T, index: number) => MaybePromise<R>,
  width = items.length,
): Promise<R[]> {
  const results = new Array<R>(items.length);
  // All lanes draw from one iterator. It is a copy's, since the list may be an alias of one in `shared` that changes meanwhile.
  const queue = [...items].entries();
  let hasFailed = false;
  async function lane(): Promise<void> {
    for (const [index, item] of queue) {
      try {
        results[index] = await call(item, index);
      } catch (error) {
        hasFailed = true;
        throw error;
      }
      if (hasFailed) return;
    }
  }
  const lanes = Array.from({ length: Math.min(width, items.length) }, lane);
  return Promise.all(lanes).then(() => results);
}
