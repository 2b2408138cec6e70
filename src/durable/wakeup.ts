import type { Walk } from "./walk.ts";

/** While a run has work its alarm is at most so far away: it is what finds lost executors, and a lost run itself. */
export const HEARTBEAT_MS = 4_000;
/** A run that is paused because its flow has changed looks so often whether it has changed back. */
const PAUSED_MS = 5 * 60 * 1000;
/** A time nearer than this is met by a timer, with the alarm behind it; a later one by the alarm alone. */
const TIMER_MS = 5_000;

/** When a run must be awake. */
interface Times {
  /** For the alarm; nothing for a run that has no work. */
  latestMs: number | null;
  /** For a timer: when the first deferred item is due. */
  dueMs: number | null;
}

/** Unfinished work always has a wake-up: the next heartbeat, or, where all that is open waits, the first that is due. */
function timesOf({ state, isFinished, ledger, isInHook, counts }: Walk, nowMs: number): Times {
  if (isFinished) return { latestMs: null, dueMs: null };
  if (state.status === "paused") return { latestMs: nowMs + PAUSED_MS, dueMs: null };
  const dueMs = ledger.earliestDueMs;
  const isResting = dueMs !== null && !ledger.isBusy && !isInHook && counts.pending === 0;
  return { latestMs: isResting ? Math.max(dueMs, nowMs) : nowMs + HEARTBEAT_MS, dueMs };
}

/** The only place that sets an object's alarm. Setting it costs a row, so one that is set for earlier is left as it is. */
export class WakeUp {
  readonly #storage: DurableObjectStorage;
  readonly #onDue: () => void;
  #armedMs = Number.POSITIVE_INFINITY;
  #timedMs = Number.POSITIVE_INFINITY;

  constructor(storage: DurableObjectStorage, onDue: () => void) {
    this.#storage = storage;
    this.#onDue = onDue;
  }

  /** The alarm has rung: it is set no more. */
  rang(): void {
    this.#armedMs = Number.POSITIVE_INFINITY;
  }

  setFor(walk: Walk, nowMs: number): void {
    const { latestMs, dueMs } = timesOf(walk, nowMs);
    // An alarm that should have rung long ago was lost.
    const armedMs = this.#armedMs < nowMs - 2 * HEARTBEAT_MS ? Number.POSITIVE_INFINITY : this.#armedMs;
    if (latestMs !== null && latestMs < armedMs) {
      this.#armedMs = latestMs;
      void this.#storage.setAlarm(latestMs);
    }
    if (dueMs !== null && dueMs < nowMs + TIMER_MS && dueMs < this.#timedMs) {
      this.#timedMs = dueMs;
      setTimeout(() => this.#due(), Math.max(0, dueMs - nowMs));
    }
  }

  #due(): void {
    this.#timedMs = Number.POSITIVE_INFINITY;
    this.#onDue();
  }
}
