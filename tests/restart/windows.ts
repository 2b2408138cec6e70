// What a vendor's records say about a limit. Functions of the records alone: they know nothing of the limiter they judge.

/** One call, as the vendor saw it, in milliseconds of the vendor's own clock. */
export interface Call {
  account: string;
  item: string;
  /** The caller's idempotency key. */
  key: string;
  arrivedMs: number;
  /** When its answer was written, or its caller hung up. */
  endedMs: number;
  /** 0 when its caller hung up. */
  status: number;
  /** What it used. */
  tokens: number;
}

/** The most calls that began in any window of so many milliseconds, its first moment included and its last not. */
export function mostStarts(calls: readonly Call[], windowMs: number): number {
  return mostInWindow(calls, windowMs, () => 1);
}

/** The most tokens of calls that began in any window. */
export function mostTokens(calls: readonly Call[], windowMs: number): number {
  return mostInWindow(calls, windowMs, ({ tokens }) => tokens);
}

/** How many calls began after a moment and before another. */
export function startsBetween(calls: readonly Call[], fromMs: number, toMs: number): number {
  return calls.filter(({ arrivedMs }) => arrivedMs > fromMs && arrivedMs < toMs).length;
}

/** The most calls that were under way at once. One that begins in the moment in which another ends comes after it. */
export function peakInFlight(calls: readonly Call[]): number {
  const starts = sorted(calls.map(({ arrivedMs }) => arrivedMs));
  const ends = sorted(calls.map(({ endedMs }) => endedMs));
  let peak = 0;
  let ended = 0;
  for (const [before, startMs] of starts.entries()) {
    while ((ends[ended] ?? Number.POSITIVE_INFINITY) <= startMs) ended++;
    peak = Math.max(peak, before + 1 - ended);
  }
  return peak;
}

/** How many calls were under way at a moment. */
export function inFlightAt(calls: readonly Call[], atMs: number): number {
  return calls.filter(({ arrivedMs, endedMs }) => arrivedMs <= atMs && endedMs > atMs).length;
}

/** Seconds from the first call's beginning to the last one's. */
export function spanSec(calls: readonly Call[]): number {
  const starts = sorted(calls.map(({ arrivedMs }) => arrivedMs));
  return ((starts.at(-1) ?? Number.NaN) - (starts[0] ?? Number.NaN)) / 1000;
}

/**
 * The most tokens by which any window was above a budget and should not have been. What a call uses is known once it has
 * ended, so a window may be above by what the calls that were the last to begin, as many as can be under way at once, used
 * beyond their estimates. Negative where every window stayed below.
 */
export function overdraft(
  calls: readonly Call[],
  windowMs: number,
  budget: { tokens: number; estimate: number; concurrency: number },
): number {
  const inOrder = byArrival(calls);
  let worst = Number.NEGATIVE_INFINITY;
  for (const [last, { arrivedMs }] of inOrder.entries()) {
    const window = inOrder.slice(0, last + 1).filter((call) => call.arrivedMs > arrivedMs - windowMs);
    const unknown = window.slice(-budget.concurrency).map(({ tokens }) => Math.max(0, tokens - budget.estimate));
    worst = Math.max(worst, total(window.map(({ tokens }) => tokens)) - total(unknown) - budget.tokens);
  }
  return worst;
}

/** A window that holds the most begins with a call: any other can be moved on to its first one, and loses nothing. */
function mostInWindow(calls: readonly Call[], windowMs: number, weigh: (call: Call) => number): number {
  const inOrder = byArrival(calls);
  let most = 0;
  let held = 0;
  let end = 0;
  for (const first of inOrder) {
    for (; end < inOrder.length; end++) {
      const call = inOrder[end] as Call;
      if (call.arrivedMs >= first.arrivedMs + windowMs) break;
      held += weigh(call);
    }
    most = Math.max(most, held);
    held -= weigh(first);
  }
  return most;
}

function byArrival(calls: readonly Call[]): Call[] {
  return calls.toSorted((a, b) => a.arrivedMs - b.arrivedMs);
}

function sorted(numbers: number[]): number[] {
  return numbers.toSorted((a, b) => a - b);
}

function total(numbers: number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0);
}
