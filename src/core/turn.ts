/** A value, or a promise of it: every hook may return either. */
export type MaybePromise<T> = T | Promise<T>;

/** Work that yields what hooks returned, is given each value back, and ends with a `T`. Turns within it are `yield*`ed. */
export type Turn<T> = Generator<unknown, T, unknown>;

/** What `await` would wait for. Functions too: the promises of Cloudflare's RPC can be called, and are still promises. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  const canHaveThen = (typeof value === "object" && value !== null) || typeof value === "function";
  return canHaveThen && typeof (value as { then?: unknown }).then === "function";
}

/**
 * Runs a turn to its end. Only a thenable is awaited, so that hooks which do not suspend run without interruption: no other
 * branch can come between a `post` and the next `prep`.
 */
export function drive<T>(turn: Turn<T>): MaybePromise<T> {
  const step = untilSuspended(turn, turn.next());
  return step.done ? step.value : resume(turn, step.value);
}

async function resume<T>(turn: Turn<T>, suspended: unknown): Promise<T> {
  for (let pending = suspended; ; ) {
    let goOn: () => IteratorResult<unknown, T>;
    try {
      const value = await pending;
      goOn = () => turn.next(value);
    } catch (error) {
      goOn = () => turn.throw(error);
    }
    const step = untilSuspended(turn, goOn());
    if (step.done) return step.value;
    pending = step.value;
  }
}

function untilSuspended<T>(turn: Turn<T>, first: IteratorResult<unknown, T>): IteratorResult<unknown, T> {
  let step = first;
  while (!step.done && !isThenable(step.value)) step = turn.next(step.value);
  return step;
}
