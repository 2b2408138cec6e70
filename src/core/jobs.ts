import type { Failure } from "./errors.ts";

// When a vendor's job is asked for again: pure, in memory and in a durable run.

/** How often a job is asked how far it is. Times are in seconds. */
export interface PollPolicy {
  /** From submitting the job to the first question. Default 10. */
  wait?: number;
  /** What the wait is multiplied by after each. Default 1.5. */
  backoff?: number;
  /** The wait is at most so long. Default 600. */
  maxWait?: number;
}

/** So many failures in a row take a day with the waits between them. A vendor may be away for so long: its jobs go on meanwhile. */
const MOST_TROUBLE = 153;
const LONGEST_WAIT_MS = 24 * 60 * 60 * 1000;
const FIRST_MS = 1_000;
const LONGEST_MS = 10 * 60 * 1000;
/** Client errors that time can mend: a timeout, a conflict, a call too early, a rate limit. */
const TEMPORARY_4XX = [408, 409, 425, 429];

/** A bad request, one that is too large, one that cannot be processed. */
const OF_ITEMS_4XX = [400, 413, 422];

/** Whether an HTTP status says that the same request will be refused again. */
export function isRefusal(status: number | undefined): boolean {
  return status !== undefined && status >= 400 && status < 500 && !TEMPORARY_4XX.includes(status);
}

/** Whether a vendor, or the node itself, refuses a job for what is in it: it may do better without some of its items. */
export function isOfItems({ retryable, status }: Pick<Failure, "retryable" | "status">): boolean {
  return status === undefined ? retryable === false : OF_ITEMS_4XX.includes(status);
}

/** How long to wait until a job is asked for after `polls` questions. */
export function pollDelayMs({ wait = 10, backoff = 1.5, maxWait = 600 }: PollPolicy, polls: number): number {
  return Math.round(Math.min(wait * Math.min(backoff ** polls, Number.MAX_VALUE), maxWait) * 1000);
}

/**
 * What a failure to submit, to poll or to collect means after so many in a row (`trouble`): it is tried again after `delayMs`, or, where nothing is returned, will not
 * be. That is none of an item's attempts: the job is none the worse for it.
 */
export function afterTrouble(
  trouble: number,
  { retryable, status, retryAfterMs = 0 }: Pick<Failure, "retryable" | "status" | "retryAfterMs">,
): { trouble: number; delayMs: number } | null {
  if (retryable === false || isRefusal(status) || trouble >= MOST_TROUBLE) return null;
  const ownMs = Math.min(FIRST_MS * 2 ** Math.min(trouble, 20), LONGEST_MS);
  return { trouble: trouble + 1, delayMs: Math.max(ownMs, Math.min(retryAfterMs, LONGEST_WAIT_MS)) };
}
