import type { Failure } from "./errors.ts";
import { type RetryPolicy, retryDelayMs } from "./retry.ts";

/** What an item that is not yet settled has behind it. */
export interface History {
  /** Calls of exec whose own outcome was committed. */
  attempts: number;
  /** Times its executor was lost while it ran. */
  crashes: number;
  /** Times that a redrive made its attempts anew: those before it count no more. */
  redrives: number;
}

/** What becomes of an item that did not succeed. */
export type Verdict =
  | { status: "pending"; history: History }
  | { status: "deferred"; history: History; dueMs: number }
  | { status: "failed"; history: History; failure: Failure };

/** After so many crashes an item is claimed alone, with nothing else of its run in exec. */
export const SUSPECT_AFTER = 2;
/** A suspect's crashes are its own; after this many of them it has failed. */
const LONE_CRASHES = 3;

export function isSuspect(history: History): boolean {
  return history.crashes >= SUSPECT_AFTER;
}

/** Whether exec's next failure is the last one, after which `execFallback` is called. */
export function isLastAttempt(history: History, policy: RetryPolicy): boolean {
  return history.attempts + 1 >= policy.maxRetries;
}

/** Exec failed: the item waits for its next attempt, or has failed. */
export function afterFailure(
  before: History,
  failure: Failure,
  policy: RetryPolicy,
  nowMs: number,
  random: number,
): Verdict {
  const history = { ...before, attempts: before.attempts + 1 };
  const delayMs = retryDelayMs(policy, history.attempts, failure, random);
  if (delayMs === null) return { status: "failed", history, failure };
  return delayMs === 0 ? { status: "pending", history } : { status: "deferred", history, dueMs: nowMs + delayMs };
}

/** The call was none of exec's own: the vendor refused it for its rate limit, or it never began. */
export function afterRefusal(history: History): Verdict {
  return { status: "pending", history };
}

/**
 * The item's executor was lost. That is no attempt: the first time it is pending again at once, so that a restart resumes
 * without delay; later it waits longer each time, so that a server whose process an item ends can answer others in between.
 */
export function afterCrash(before: History, nowMs: number): Verdict {
  const history = { ...before, crashes: before.crashes + 1 };
  if (history.crashes >= SUSPECT_AFTER + LONE_CRASHES) return { status: "failed", history, failure: poison(history) };
  if (history.crashes < SUSPECT_AFTER) return { status: "pending", history };
  return { status: "deferred", history, dueMs: nowMs + 1000 * 2 ** (history.crashes - SUSPECT_AFTER) };
}

function poison({ crashes }: History): Failure {
  return {
    name: "ExecutorLost",
    message:
      `exec ended its executor ${crashes} times, ${LONE_CRASHES} of them while nothing else of the run was in exec: ` +
      "it probably needs more memory or CPU time than the platform gives. Make the item smaller, or stream what it loads.",
  };
}
