/** While an object has work its alarm is at most so far away: it is what finds what was lost, the object itself included. */
export const HEARTBEAT_MS = 4_000;
/** A time nearer than this is met by a timer, with the alarm behind it; a later one by the alarm alone. */
export const TIMER_MS = 5_000;

/** When an object must be awake. */
export interface Times {
  /** For the alarm; nothing for one that has no work. */
  latestMs: number | null;
  /** For a timer, if it is near. */
  dueMs: number | null;
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

  setFor({ latestMs, dueMs }: Times, nowMs: number): void {
    // An alarm that should have rung long ago was lost.
    const armedMs = this.#armedMs < nowMs - 2 * HEARTBEAT_MS ? Number.POSITIVE_INFINITY : this.#armedMs;
    if (latestMs !== null && latestMs < armedMs) {
      this.#armedMs = latestMs;
      // It fails only where the object is lost: the next one sets its own.
      this.#storage.setAlarm(latestMs).catch(() => undefined);
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
