/** A value, or a promise of it: every hook may return either. */
export type MaybePromise<T> = T | Promise<T>;

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}

/**
 * Runs a generator that yields what hooks returned, giving each value back to it. Only a thenable is awaited, so that hooks
 * which do not suspend run in one uninterrupted turn: no other branch can come between a `post` and the next `prep`.
 */
export function drive<T>(turn: Generator<unknown, T, unknown>): MaybePromise<T> {
  const step = untilSuspended(turn, turn.next());
  return step.done ? step.value : resume(turn, step.value);
}

async function resume<T>(turn: Generator<unknown, T, unknown>, suspended: unknown): Promise<T> {
  for (let pending = suspended; ; ) {
    const step = untilSuspended(turn, await nextOf(turn, pending));
    if (step.done) return step.value;
    pending = step.value;
  }
}

async function nextOf<T>(turn: Generator<unknown, T, unknown>, pending: unknown): Promise<IteratorResult<unknown, T>> {
  let value: unknown;
  try {
    value = await pending;
  } catch (error) {
    return turn.throw(error);
  }
  return turn.next(value);
}

function untilSuspended<T>(turn: Generator<unknown, T, unknown>, first: IteratorResult<unknown, T>) {
  let step = first;
  while (!step.done && !isThenable(step.value)) step = turn.next(step.value);
  return step;
}
