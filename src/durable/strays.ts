import { hasEnded } from "./items.ts";
import type { Outcome, Parked, Rows } from "./outcome.ts";
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

  poolOf(item: HeldItem): Pool | undefined {
    return this.#pools.get(item);
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
    const stopped = this.#store.steps.stoppedNodes(steps);
    const states = this.#store.items.statesOf(steps);
    const chunks = this.#store.chunks.of(steps);
    for (const item of found) {
      const { node, isChunked } = stopped.get(item.step) ?? {};
      const row = isChunked
        ? chunks.get(item.step)?.find(({ first }) => first === item.index)
        : states.get(item.step)?.find(({ index }) => index === item.index);
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

  /**
   * What has ended with a result after its step was stopped: somebody paid for it, and a redrive keeps it. Returns the step once for
   * each result.
   */
  late({ step, attempts, claimedMs }: HeldItem, outcome: Outcome, rows: Rows, nowMs: number): number[] {
    if (!outcome.ok) return [];
    if ("job" in outcome) return this.#lateJob(outcome, claimedMs, rows);
    const known = new Map(
      this.#store.items
        .statesOf([step])
        .get(step)
        ?.map((row) => [row.index, row]),
    );
    const results = "parts" in outcome ? outcome.parts : [[outcome.index, outcome.body] as const];
    const times = { dueMs: null, startedMs: claimedMs, finishedMs: nowMs };
    return results.flatMap(([index, body]) => {
      const { status, crashes = 0, redrives = 0 } = known.get(index) ?? {};
      if (typeof body !== "string" || status === "succeeded" || status === "failed") return [];
      rows.items.push({ step, index, status: "succeeded", attempts: attempts + 1, crashes, redrives, ...times, body });
      return step;
    });
  }

  /** The vendor has a job of a chunk whose step was stopped: a redrive asks for it. */
  #lateJob({ step, index: first, attempts, job }: Parked, startedMs: number, rows: Rows): number[] {
    const known = this.#store.chunks.of([step]).get(step) ?? [];
    const { crashes = 0, redrives = 0 } = known.find((row) => row.first === first) ?? {};
    rows.chunks.push({ step, first, status: "pending", attempts, crashes, redrives, dueMs: null, startedMs, job });
    return [];
  }
}
