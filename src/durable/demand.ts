import type { Ledger } from "./ledger.ts";
import type { Pool } from "./pool.ts";
import type { Slot, Wake } from "./slots.ts";
import type { Home } from "./store.ts";

/** For so long executors that are there may take what could begin, before another one is called. */
const PATIENCE_MS = 10;

/** How many executors a run wants, and whom it calls. Called within a transaction. */
export class Demand {
  /** When another executor is called if those that are there do not take what could begin before. */
  wantingMs: number | null = null;
  readonly #wantedMs = new Map<Home, number>();
  readonly #ledger: Ledger;

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  /**
   * Calls as many slots as could begin items now, beyond those called already. Returns the wakes to be sent. `mayBeInline`: the
   * run's object itself may execute what is alone.
   */
  wakeForWork(mayBeInline: boolean, nowMs: number): Wake[] {
    this.#ledger.release(nowMs);
    this.wantingMs = null;
    if (mayBeInline && this.#isInlineWork()) return [this.#ledger.slots.wake("inline", nowMs)];
    return (["object", "queue"] as const).flatMap((home) => {
      const missing = this.#executorsWanted(home) - this.#ledger.slots.expectedAt(home);
      if (missing <= 0) this.#wantedMs.delete(home);
      if (missing <= 0 || this.#mayBeTaken(home, nowMs)) return [];
      return Array.from({ length: missing }, () => this.#ledger.slots.wake(home, nowMs));
    });
  }

  /**
   * Whether what could begin is left for a moment to executors that are there: they may be about to report, and to call another
   * one costs more than that. Not where permits are held, which must be used.
   */
  #mayBeTaken(home: Home, nowMs: number): boolean {
    const isThere = this.#ledger.slots.sum((slot) => (slot.home === home && slot.state === "live" ? 1 : 0)) > 0;
    if (!isThere || this.#ledger.isLimited) {
      this.#wantedMs.delete(home);
      return false;
    }
    const sinceMs = this.#wantedMs.get(home) ?? nowMs;
    this.#wantedMs.set(home, sinceMs);
    if (nowMs >= sinceMs + PATIENCE_MS) return !this.#wantedMs.delete(home);
    this.wantingMs = sinceMs + PATIENCE_MS;
    return true;
  }

  /**
   * Picks executors that are there and have room for what has got a permit: an object that waits for its calls to end is told,
   * which is cheaper than another object. One that is about to be answered anyway needs no telling.
   */
  nudge(): Slot[] {
    const nudged: Slot[] = [];
    for (const pool of this.#ledger.pools()) {
      if (!pool.isLimited || pool.plan.home !== "object" || this.#ledger.hasLoneSuspect) continue;
      for (const slot of this.#ledger.slots.all()) {
        if (this.#unexpected(pool) <= 0) break;
        if (slot.home !== "object" || slot.state !== "live" || slot.isNudged || roomAt(slot, pool) <= 0) continue;
        slot.isNudged = true;
        nudged.push(slot);
      }
    }
    return nudged;
  }

  #executorsWanted(home: Home): number {
    if (this.#ledger.hasLoneSuspect) return 0;
    const pools = this.#ledger.pools().filter(({ plan }) => plan.home === home);
    const wanted = pools.map((pool) => Math.ceil(this.#unexpected(pool) / pool.plan.perExecutor));
    const sum = wanted.reduce((total, count) => total + count, 0);
    return sum > 0 || this.#ledger.held > 0 ? sum : Number(pools.some((pool) => pool.suspicious.size > 0));
  }

  /** What could begin of a node beyond what executors that will report soon have room for. */
  #unexpected(pool: Pool): number {
    const { startable } = pool;
    if (startable === 0) return 0;
    const isExpected = ({ state, isNudged }: Slot) => isNudged && state === "live";
    return Math.max(0, startable - this.#ledger.slots.sum((slot) => (isExpected(slot) ? roomAt(slot, pool) : 0)));
  }

  /** A run's sole open item is executed where the run is, unless it has crashed before. */
  #isInlineWork(): boolean {
    const { soleItem, isBusy } = this.#ledger;
    if (!soleItem || isBusy || soleItem.group.pool.startable !== 1) return false;
    return soleItem.group.history(soleItem.id).crashes === 0;
  }
}

function roomAt({ held }: Slot, { plan }: Pool): number {
  return Math.max(0, plan.perExecutor - held.size);
}
