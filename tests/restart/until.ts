import { setTimeout as sleep } from "node:timers/promises";

/** Resolves with what `look` finds, once it finds something. Throws, naming what was awaited, when that takes too long. */
export async function until<T>(what: string, look: () => T | Promise<T>, timeoutMs = 30_000): Promise<NonNullable<T>> {
  const startedMs = performance.now();
  for (let waitedMs = 0; waitedMs < timeoutMs; waitedMs = performance.now() - startedMs) {
    const found = await look();
    if (found) return found;
    // A look costs what the server could use itself: the longer it takes, the less often.
    await sleep(Math.min(5 + waitedMs / 20, 100));
  }
  throw new Error(`Expected that ${what} within ${timeoutMs} ms`);
}
