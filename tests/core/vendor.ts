/** All moments are whole eighths of a millisecond, so that sums of them are exact. */
export function eighths(ms: number): number {
  return Math.floor(ms * 8) / 8;
}

/** True time, and a clock that shows whole milliseconds. It may be turned back or stand still, and never runs ahead. */
export class Times {
  trueMs = 1_000_000;
  #behindMs = 0;

  get wallMs(): number {
    return Math.floor(this.trueMs - this.#behindMs);
  }

  pass(ms: number): void {
    this.trueMs += eighths(ms);
  }

  passUntil(wallMs: number): void {
    this.trueMs = Math.max(this.trueMs, Math.ceil((wallMs + this.#behindMs) * 8) / 8);
  }

  turnBack(ms: number): void {
    this.#behindMs += Math.floor(ms);
  }

  standStill(ms: number): void {
    this.trueMs += eighths(ms);
    this.#behindMs += eighths(ms);
  }
}

/** The most that arrives within any half-open window of the period. */
export function mostWithin(arrivals: readonly number[], periodMs: number): number {
  const sorted = arrivals.toSorted((a, b) => a - b);
  let most = 0;
  let first = 0;
  for (const [at, ms] of sorted.entries()) {
    while (ms - (sorted[first] as number) >= periodMs) first++;
    most = Math.max(most, at - first + 1);
  }
  return most;
}

/** The lowest that a vendor's bucket falls, which is full at first and refills evenly. */
export function lowestLevel(
  arrivals: readonly { arrivedMs: number; amount: number }[],
  capacity: number,
  perMs: number,
): number {
  let level = capacity;
  let lowest = capacity;
  let sinceMs = 0;
  for (const { arrivedMs, amount } of arrivals.toSorted((a, b) => a.arrivedMs - b.arrivedMs)) {
    level = Math.min(capacity, level + (arrivedMs - sinceMs) * perMs) - amount;
    sinceMs = arrivedMs;
    lowest = Math.min(lowest, level);
  }
  return lowest;
}
