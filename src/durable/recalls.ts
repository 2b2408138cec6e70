import type { ChunkStore, Recall } from "./chunk-store.ts";

/** Cancels a job at its vendor. Throws where that is to be tried again. */
export type PerformRecall = (recall: Recall) => Promise<void>;

const MINUTE_MS = 60_000;
/** How long after each try the next one follows: a job that nobody wants costs money for as long as a vendor is away. */
const WAITS_MS = [5_000, MINUTE_MS, 5 * MINUTE_MS, 30 * MINUTE_MS, 120 * MINUTE_MS, 360 * MINUTE_MS, 720 * MINUTE_MS];
/** Who submits a job when the run is cut short says by then what came of it; else the vendor is asked. */
const SETTLING_MS = 10_000;

/** When a recall is tried again that has failed so often; nothing where it will not be. Pure. */
export function afterRecall(tries: number, nowMs: number): number | null {
  const waitMs = WAITS_MS[tries - 1];
  return waitMs === undefined ? null : nowMs + waitMs;
}

/** The vendors' jobs of a run that was cut short, which are to be canceled: kept in rows, tried until the vendor has answered. */
export class Recalls {
  /** When the next one is due; nothing where none is. */
  dueMs: number | null;
  readonly #store: ChunkStore;
  /** What the vendor is being told. */
  #underWay: Recall | undefined;

  constructor(store: ChunkStore) {
    this.#store = store;
    this.dueMs = store.earliestRecall();
  }

  /** Whether the vendor is being told. */
  get isRecalling(): boolean {
    return this.#underWay !== undefined;
  }

  /**
   * The run was cut short. `submitting` are the chunks in exec that have no job yet, as far as is known. Called in the transaction
   * in which it was.
   */
  begin(submitting: Iterable<{ step: number; index: number }>, nowMs: number): void {
    this.#store.recall(nowMs);
    this.#store.recallLater(submitting, nowMs + SETTLING_MS);
    this.dueMs = this.#store.earliestRecall();
  }

  /** Jobs came to be known of a run that had been cut short. Called in the transaction in which they are stored. */
  found(chunks: Iterable<{ step: number; index: number }>, nowMs: number): void {
    this.#store.recallThese(chunks, nowMs);
    this.dueMs = this.#store.earliestRecall();
  }

  /**
   * The run goes on, and so do its jobs, but for the one that is being canceled: that is over. Called in the transaction in which it
   * does.
   */
  drop(): void {
    if (this.#underWay) this.#store.recalled(this.#underWay);
    this.#store.dropRecalls();
    this.#underWay = undefined;
    this.dueMs = null;
  }

  /** Takes what is due now: nothing else is until `told` was called. */
  take(nowMs: number): Recall | undefined {
    if (this.#underWay || this.dueMs === null || this.dueMs > nowMs) return undefined;
    [this.#underWay] = this.#store.recalls(1);
    return this.#underWay;
  }

  /** Takes all that are pending and not under way, due or not. Nothing is taken after it. */
  takeAll(nowMs: number): Recall[] {
    // Those of a run that merely failed too: nobody will collect them.
    this.#store.recall(nowMs);
    const all = this.#store.recalls();
    this.dueMs = null;
    const { step, first } = this.#underWay ?? {};
    return all.filter((recall) => recall.step !== step || recall.first !== first);
  }

  /** The vendor was told, or could not be. Called in a transaction. Of one that was dropped meanwhile nobody asks. */
  told(recall: Recall, error: string | null, nowMs: number): void {
    if (recall !== this.#underWay) return;
    this.#underWay = undefined;
    if (error === null) this.#store.recalled(recall);
    else this.#store.postpone(recall, afterRecall(recall.tries + 1, nowMs));
    this.dueMs = this.#store.earliestRecall();
  }
}
