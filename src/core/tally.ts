import { errorOf, toFailure } from "./errors.ts";
import {
  type FailurePolicy,
  isExceeded,
  type Outcome,
  type Tolerance,
  toleranceExceeded,
  toleranceOf,
} from "./tolerance.ts";
import type { Turn } from "./turn.ts";

/** Keeps count of one batch's failures in memory. */
export class Tally {
  readonly #what: string;
  readonly #tolerance: Tolerance | null;
  readonly #total: number;
  #failed = 0;

  /** `what` is its parts, and whose they are: "items of Summaries". */
  constructor(policy: FailurePolicy, what: string, total: number) {
    this.#what = `the ${total} ${what}`;
    this.#tolerance = toleranceOf(policy);
    this.#total = total;
  }

  /** What comes of an item's turn: its value, or, where failures are collected, an Outcome. Throws what is not tolerated. */
  *of<T>(turn: Turn<T>): Turn<T | Outcome<T>> {
    if (this.#tolerance === null) return yield* turn;
    try {
      return { ok: true, value: yield* turn };
    } catch (thrown) {
      return { ok: false, error: this.#tolerate(thrown, this.#tolerance) };
    }
  }

  #tolerate(thrown: unknown, tolerance: Tolerance): Error {
    this.#failed++;
    if (isExceeded(tolerance, this.#failed, this.#total)) {
      throw toleranceExceeded(this.#what, tolerance, this.#failed);
    }
    return thrown instanceof Error ? thrown : errorOf(toFailure(thrown));
  }
}
