import type { Running } from "./running.ts";
import { HEARTBEAT_MS, type Times } from "./wakeup.ts";
import type { Walk } from "./walk.ts";

/** A paused run looks so often whether a flow that has changed has changed back. */
const PAUSED_MS = 5 * 60 * 1000;
/** One that waits for nothing but a signal looks after itself so often: unfinished work always has a wake-up. */
const LONGEST_REST_MS = 24 * 60 * 60 * 1000;

/** A run at rest: nothing of it can begin before a time, which is not always known. */
export interface Rest {
  untilMs: number | null;
}

/** Nothing is returned for a run that has something to do. */
export function restOf({ walk, permits, turns, isFresh }: Running): Rest | null {
  const { state, ledger } = walk;
  if (isFresh || state.status !== "running" || walk.isInHook || turns.areAhead) return null;
  if (ledger.held > 0 || ledger.canBegin || permits.isAsking) return null;
  const { dueMs, waits } = ledger;
  const { resumes } = permits;
  if (dueMs === null && resumes === null && waits.size === 0) return null;
  const times = [dueMs, resumes?.atMs].filter((ms) => typeof ms === "number");
  return { untilMs: times.length === 0 ? null : Math.min(...times) };
}

/**
 * Unfinished work always has a wake-up: the next heartbeat, or, where all that is open waits, the first that is due. A finished run
 * has one for the day on which it is deleted.
 */
export function timesOf(running: Running, nowMs: number): Times {
  const { walk, permits } = running;
  const { state, isFinished, ledger } = walk;
  const deadlineMs = deadlineOf(walk);
  if (isFinished) return { latestMs: keptUntil(walk), dueMs: null };
  if (state.status === "paused") {
    const isWatched = ledger.held > 0 && walk.flow.changes.length === 0;
    return { latestMs: least(nowMs + (isWatched ? HEARTBEAT_MS : PAUSED_MS), deadlineMs), dueMs: deadlineMs };
  }
  const dueMs = least(ledger.dueMs, deadlineMs);
  const { wantingMs } = ledger.demand;
  const isResting = !ledger.isBusy && restOf(running) !== null;
  // Who waits for a permit is called by its limiter; the alarm is for the call that does not come.
  const latestMs = Math.min(dueMs ?? Number.POSITIVE_INFINITY, permits.latestMs ?? nowMs + LONGEST_REST_MS);
  return {
    latestMs: isResting ? Math.max(latestMs, nowMs) : least(nowMs + HEARTBEAT_MS, deadlineMs),
    dueMs: least(dueMs, wantingMs),
  };
}

/** When a run fails if it has not finished by then; nothing where it may take any time. A redrive gives it all of its time again. */
export function deadlineOf({ row, state, flow: { deadlineMs } }: Walk): number | null {
  if (deadlineMs === null) return null;
  return (state.redrives.at(-1)?.atMs ?? row.createdMs) + deadlineMs;
}

/** Until when a run is kept that has finished; for ever where it has not. */
export function keptUntil({ state, flow: { retainMs } }: Walk): number {
  if (state.finishedMs === null) return Number.POSITIVE_INFINITY;
  return state.finishedMs + (state.status === "completed" ? retainMs.completed : retainMs.failed);
}

function least(a: number | null, b: number | null): number | null {
  return a === null || b === null ? (a ?? b) : Math.min(a, b);
}
