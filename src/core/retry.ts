import type { Failure } from "./errors.ts";

/** When exec is tried again. Times are in seconds, as PocketFlow's `wait` is. */
export interface RetryPolicy {
  /** Attempts in all, the first included. */
  maxRetries: number;
  /** Seconds between two attempts. */
  wait: number;
  /** What `wait` is multiplied by after each further attempt; 1 keeps it as it is. */
  backoff: number;
  /** Seconds that a wait so grown is at most. */
  maxWait: number;
  /** The share of the wait that chance may take away, 0 to 1, so that items which failed together do not return together. */
  jitter: number;
}

/** In seconds. No wait is longer than a day, however many attempts an exponential policy has behind it. */
export const LONGEST_WAIT = 24 * 60 * 60;

/**
 * How long to wait before the next attempt, or `null` when there is none.
 *
 * `attempts` counts those already made, `random` is a number in [0, 1).
 *
 * @example retryDelayMs({ maxRetries: 3, wait: 1, backoff: 2, maxWait: 60, jitter: 0 }, 2, failure, 0); // 2000
 */
export function retryDelayMs(
  policy: RetryPolicy,
  attempts: number,
  failure: Pick<Failure, "retryable" | "retryAfterMs">,
  random: number,
): number | null {
  if (failure.retryable === false || attempts >= policy.maxRetries) return null;
  // The growth is kept finite: no wait, multiplied by infinity, would be no number.
  const growth = Math.min(policy.backoff ** (attempts - 1), Number.MAX_VALUE);
  const fullMs = Math.min(policy.wait * growth, policy.maxWait, LONGEST_WAIT) * 1000;
  const ownMs = fullMs * (1 - policy.jitter * random);
  return Math.round(Math.max(ownMs, Math.min(failure.retryAfterMs ?? 0, LONGEST_WAIT * 1000)));
}
