import type { ItemId } from "./items.ts";
import type { ItemStatus } from "./statuses.ts";

/** Items of a step that have one status now. */
export interface MovedItems {
  step: number;
  status: ItemStatus;
  indexes: number[];
}

/** More are not told of one by one: who looks on reads all of them anew. */
const MOST_TOLD = 5_000;

/** Which items have another status than when this was last asked. Notes nothing unless somebody looks on. */
export class Moved {
  /** Somebody looks on. */
  isWatched = false;
  readonly #statuses = new Map<number, Map<number, ItemStatus>>();
  #size = 0;
  #isStale = false;

  note({ step, index }: ItemId, status: ItemStatus): void {
    if (!this.isWatched || this.#isStale) return;
    const known = this.#statuses.get(step) ?? new Map<number, ItemStatus>();
    this.#size += Number(!known.has(index));
    this.#statuses.set(step, known.set(index, status));
    if (this.#size > MOST_TOLD) this.noteMany();
  }

  /** Items have moved that nobody names. */
  noteMany(): void {
    if (!this.isWatched) return;
    this.#statuses.clear();
    this.#size = 0;
    this.#isStale = true;
  }

  take(): { moved: MovedItems[]; isStale: boolean } {
    const moved: MovedItems[] = [];
    for (const [step, items] of this.#statuses) {
      const byStatus = Map.groupBy(items, ([, status]) => status);
      for (const [status, some] of byStatus) moved.push({ step, status, indexes: some.map(([index]) => index) });
    }
    const isStale = this.#isStale;
    this.#statuses.clear();
    this.#size = 0;
    this.#isStale = false;
    return { moved, isStale };
  }
}
