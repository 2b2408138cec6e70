import { setTimeout as sleep } from "node:timers/promises";

/** Resolves with what `look` finds, once it finds something. Throws, naming what was awaited, when that takes too long. */
export async function until<T>(what: string, look: () => T | Promise<T>, timeoutMs = 30_000): Promise<NonNullable<T>> {
  for (const startedMs = performance.now(); performance.now() - startedMs < timeoutMs; await sleep(5)) {
    const found = await look();
    if (found) return found;
  }
  throw new Error(`Expected that ${what} within ${timeoutMs} ms`);
}
