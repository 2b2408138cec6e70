import type { ItemRow } from "./item-store.ts";
import { hasEnded } from "./items.ts";
import type { Pool } from "./pool.ts";
import type { HeldItem, Store } from "./store.ts";

/** Items of stopped steps that are in exec all the same, each with its node's pool, which counts it until it ends. */
export class Strays {
  readonly #store: Store;
  readonly #pools = new Map<HeldItem, Pool>();

  constructor(store: Store) {
    this.#store = store;
  }

  get size(): number {
    return this.#pools.size;
  }

  has(item: HeldItem): boolean {
    return this.#pools.has(item);
  }

  /** An item that its pool counts already. */
  add(item: HeldItem, pool: Pool): void {
    this.#pools.set(item, pool);
  }

  /** Of items that slots were given, those of stopped steps: they are in exec still, as far as is known. */
  restore(found: readonly HeldItem[], poolOf: (node: string) => Pool): void {
    if (found.length === 0) return;
    const steps = found.map(({ step }) => step);
    const nodes = this.#store.steps.stoppedNodes(steps);
    const states = this.#store.items.statesOf(steps);
    for (const item of found) {
      const node = nodes.get(item.step);
      const row = states.get(item.step)?.find(({ index }) => index === item.index);
      if (node === undefined || (row && hasEnded(item, row))) continue;
      const pool = poolOf(node);
      this.add(item, pool);
      pool.held++;
    }
  }

  /** Its pool counts an item no more. `false` where it is none of these. */
  forget(item: HeldItem): boolean {
    const pool = this.#pools.get(item);
    if (pool) pool.held--;
    return this.#pools.delete(item);
  }

  /** The items of a step that goes on, which are none of these any more. */
  takeOf(step: number): HeldItem[] {
    return [...this.#pools.keys()].filter((item) => item.step === step && this.forget(item));
  }

  /** The row of an item that has ended with a result after its step was stopped: somebody paid for it, and a redrive keeps it. */
  lateRow({ step, index, attempts, claimedMs }: HeldItem, body: string, nowMs: number): ItemRow {
    const known = this.#store.items.statesOf([step]).get(step) ?? [];
    const { crashes = 0, redrives = 0 } = known.find((row) => row.index === index) ?? {};
    const times = { dueMs: null, startedMs: claimedMs, finishedMs: nowMs };
    return { step, index, status: "succeeded", attempts: attempts + 1, crashes, redrives, ...times, body };
  }
}
