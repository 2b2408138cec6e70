import type { Effect } from "../core/run.ts";
import type { RunRow, Store } from "./store.ts";

/** So often in a row may the object be lost during a hook before that fails the run: it is what ends the object. */
const MOST_LOSSES = 20;
/** After so many losses each hook is performed in a turn of its own: one that ends the object takes no other with it. */
const WARY_AFTER = 2;

type Hook = Effect & { type: "hook" };

/** Counts how often a run's object was lost while hooks were under way, or about to be. */
export class LossCount {
  readonly #store: Store;
  readonly #row: RunRow;
  /** Steps with a hook during which the object was lost several times. */
  readonly #suspects = new Set<number>();

  constructor(store: Store, row: RunRow) {
    this.#store = store;
    this.#row = row;
  }

  /** Whether any hook may be what ends the object. */
  get isWary(): boolean {
    return this.#suspects.size > 0;
  }

  /**
   * The object was lost while these hooks were open, and no others: one that was stored since is another one, or none. Returns the
   * first during which that has happened too often. Called in a transaction.
   */
  count(hooks: Iterable<Hook>): { step: number; losses: number } | undefined {
    const before = this.#row.losses;
    this.#row.losses = {};
    let worst: { step: number; losses: number } | undefined;
    for (const { step, hook } of hooks) {
      const losses = (before[`${step} ${hook}`] ?? 0) + 1;
      this.#row.losses[`${step} ${hook}`] = losses;
      if (losses >= WARY_AFTER) this.#suspects.add(step);
      if (losses > MOST_LOSSES) worst ??= { step, losses };
    }
    if (JSON.stringify(before) !== JSON.stringify(this.#row.losses)) this.#store.saveLosses(this.#row.losses);
    return worst;
  }

  /** A step's hook has ended and is stored. */
  forget(step: number): void {
    this.#suspects.delete(step);
  }
}
