import type { Permits } from "./permits.ts";
import { HEARTBEAT_MS, type Times } from "./wakeup.ts";
import type { Walk } from "./walk.ts";

/** A run that is paused because its flow has changed looks so often whether it has changed back. */
const PAUSED_MS = 5 * 60 * 1000;

/** A run at rest: nothing of it can begin before a time, which is not always known. */
export interface Rest {
  untilMs: number | null;
}

/** Nothing is returned for a run that has something to do. */
export function restOf({ state, ledger, isInHook }: Walk, permits: Permits): Rest | null {
  if (state.status !== "running" || isInHook || ledger.held > 0 || ledger.canBegin || permits.isAsking) return null;
  const dueMs = ledger.earliestDueMs;
  const { resumes } = permits;
  if (dueMs === null && resumes === null) return null;
  const times = [dueMs, resumes?.atMs].filter((ms) => typeof ms === "number");
  return { untilMs: times.length === 0 ? null : Math.min(...times) };
}

/** Unfinished work always has a wake-up: the next heartbeat, or, where all that is open waits, the first that is due. */
export function timesOf(walk: Walk, permits: Permits, nowMs: number): Times {
  const { state, isFinished, ledger } = walk;
  if (isFinished) return { latestMs: null, dueMs: null };
  if (state.status === "paused") return { latestMs: nowMs + PAUSED_MS, dueMs: null };
  const dueMs = ledger.earliestDueMs;
  const { wantingMs } = ledger;
  const isResting = !ledger.isBusy && restOf(walk, permits) !== null;
  // Who waits for a permit is called by its limiter; the alarm is for the call that does not come.
  const latestMs = Math.min(dueMs ?? Number.POSITIVE_INFINITY, permits.latestMs ?? Number.POSITIVE_INFINITY);
  const nextMs = wantingMs === null ? dueMs : Math.min(wantingMs, dueMs ?? Number.POSITIVE_INFINITY);
  return { latestMs: isResting ? Math.max(latestMs, nowMs) : nowMs + HEARTBEAT_MS, dueMs: nextMs };
}
