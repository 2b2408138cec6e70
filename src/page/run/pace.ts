/** How many items were settled at a time. */
export interface Mark {
  atMs: number;
  settled: number;
}

/** Over so long a time the rate is taken, and not over less than that. */
const WINDOW_MS = 10_000;
const LEAST_MS = 1_000;

/** The marks with one more; those are dropped that say nothing of the window any more. */
export function mark(marks: readonly Mark[], next: Mark): readonly Mark[] {
  const last = marks.at(-1);
  // Fewer are settled than before: something was begun anew. And a clock may be set back.
  if (!last || next.settled < last.settled || next.atMs < last.atMs) return [next];
  const begin = marks.findLastIndex(({ atMs }) => atMs <= next.atMs - WINDOW_MS);
  return [...marks.slice(Math.max(0, begin)), next];
}

/** Items a second, of late; nothing where too little is known. */
export function rateOf(marks: readonly Mark[], nowMs: number): number | null {
  const from = marks.findLast(({ atMs }) => atMs <= nowMs - WINDOW_MS) ?? marks[0];
  const last = marks.at(-1);
  if (!from || !last) return null;
  const ms = Math.min(WINDOW_MS, nowMs - from.atMs);
  return ms < LEAST_MS ? null : ((last.settled - from.settled) * 1_000) / ms;
}

/** How long what remains will take; nothing where that is not known. */
export function etaMs(remaining: number, rate: number | null): number | null {
  if (remaining === 0) return 0;
  return rate === null || rate <= 0 ? null : (remaining * 1_000) / rate;
}
