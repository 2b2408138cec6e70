import type { StepRow, StepStore } from "./step-store.ts";

/** What became of items. */
export interface Tally {
  total: number;
  succeeded: number;
  failed: number;
}

/**
 * The steps of which no item is open: those whose items are all settled, and those that were stopped with their branch. Counts their
 * items, and knows which of the stopped ones will go on, when it is the turn of their branch.
 */
export class PastSteps {
  readonly #store: StepStore;
  readonly #tally: Tally;
  readonly #waiting: Map<number, StepRow>;

  constructor(store: StepStore, open: readonly StepRow[]) {
    this.#store = store;
    this.#tally = store.settledCounts();
    this.#waiting = new Map(store.waiting(open).map((step) => [step.id, step]));
  }

  /** The stopped steps that will go on. */
  get waiting(): ReadonlyMap<number, StepRow> {
    return this.#waiting;
  }

  /** Items of a step that will go on are pending; of one that will not, what has no outcome is canceled. */
  get counts(): Tally & { pending: number; canceled: number } {
    const { total, succeeded, failed } = this.#tally;
    let pending = 0;
    for (const step of this.#waiting.values())
      if (step.lateAction === null) pending += step.total - step.succeeded - step.failed;
    return { total, succeeded, failed, pending, canceled: total - succeeded - failed - pending };
  }

  /** A step's items are all settled, or it was stopped. */
  add({ total, succeeded, failed }: Tally): void {
    this.#tally.total += total;
    this.#tally.succeeded += succeeded;
    this.#tally.failed += failed;
  }

  /** A step that was stopped is open once more, and its items are counted where they are. Called in a transaction. */
  goOn(row: StepRow): void {
    const { total, succeeded, failed } = this.#waiting.get(row.id) as StepRow;
    this.#waiting.delete(row.id);
    if (row.phase === "stopped") {
      // It was stopped again before its items were opened.
      this.#tally.total += row.total - total;
      Object.assign(row, { succeeded, failed });
    } else if (row.lateAction === null) {
      // The items of one whose post has ended are settled, and stay so.
      this.add({ total: -total, succeeded: -succeeded, failed: -failed });
      Object.assign(row, { succeeded: 0, failed: 0 });
    }
    this.#store.restore(row);
  }

  /** Branches of a flow that is stopped itself wait no more. */
  drop(flow: number): void {
    if (this.#waiting.size === 0) return;
    const within = [...this.#waiting.values()].filter(({ parent }) => parent === flow);
    for (const { id } of within) {
      this.#waiting.delete(id);
      this.drop(id);
    }
  }

  /** An item of a stopped step has ended with a result after all. Called in a transaction. */
  countLate(id: number): void {
    this.#store.countLate(id);
    this.#tally.succeeded++;
    const waiting = this.#waiting.get(id);
    if (waiting) waiting.succeeded++;
  }
}
