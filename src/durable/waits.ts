/** What a step waits for that has no exec: a time, a signal, or whichever comes first. */
export interface Wait {
  /** The name of the signal. */
  signal: string | null;
  /** Nothing where it may wait for ever. */
  untilMs: number | null;
}

/** The steps of a run that wait, in memory: their rows say the same. */
export class Waits {
  #dueMs: number | null = null;
  /** The one that would be over first was dropped: which is so now is found when somebody asks. */
  #isStale = false;
  readonly #waits = new Map<number, Wait>();
  /** By the signals' names, those that began first come first. */
  readonly #forSignal = new Map<string, Set<number>>();

  /** When the first of them is over. */
  get dueMs(): number | null {
    if (this.#isStale) this.#dueMs = this.#earliest();
    this.#isStale = false;
    return this.#dueMs;
  }

  get size(): number {
    return this.#waits.size;
  }

  has(step: number): boolean {
    return this.#waits.has(step);
  }

  all(): Iterable<[step: number, wait: Wait]> {
    return this.#waits;
  }

  /** Whether any of them is for a signal. */
  get areForSignals(): boolean {
    return this.#forSignal.size > 0;
  }

  add(step: number, wait: Wait): void {
    const { signal, untilMs } = wait;
    this.#waits.set(step, wait);
    if (untilMs !== null) this.#dueMs = Math.min(this.dueMs ?? Number.POSITIVE_INFINITY, untilMs);
    if (signal === null) return;
    const steps = this.#forSignal.get(signal) ?? new Set();
    this.#forSignal.set(signal, steps.add(step));
  }

  /** A step waits no more. */
  drop(step: number): void {
    const wait = this.#waits.get(step);
    if (!wait || !this.#waits.delete(step)) return;
    if (wait.untilMs !== null && wait.untilMs === this.#dueMs) this.#isStale = true;
    if (wait.signal === null) return;
    const steps = this.#forSignal.get(wait.signal);
    steps?.delete(step);
    if (steps?.size === 0) this.#forSignal.delete(wait.signal);
  }

  /** The step that has waited longest for a signal. */
  first(signal: string): number | undefined {
    for (const step of this.#forSignal.get(signal) ?? []) return step;
    return undefined;
  }

  /** The steps whose time is over. */
  due(nowMs: number): [step: number, wait: Wait][] {
    const { dueMs } = this;
    if (dueMs === null || dueMs > nowMs) return [];
    return [...this.#waits].filter(([, { untilMs }]) => untilMs !== null && untilMs <= nowMs);
  }

  #earliest(): number | null {
    let earliest: number | null = null;
    for (const { untilMs } of this.#waits.values()) {
      if (untilMs !== null && untilMs < (earliest ?? Number.POSITIVE_INFINITY)) earliest = untilMs;
    }
    return earliest;
  }
}
