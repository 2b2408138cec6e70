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
  readonly #name: string;
  readonly #parts: string;
  readonly #tolerance: Tolerance | null;
  readonly #total: number;
  #failed = 0;

  /** `parts` are "items" or "branches". */
  constructor(policy: FailurePolicy, name: string, parts: string, total: number) {
    this.#name = name;
    this.#parts = parts;
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
      throw toleranceExceeded(this.#name, this.#parts, tolerance, this.#total);
    }
    return thrown instanceof Error ? thrown : errorOf(toFailure(thrown));
  }
}
