import type { EndedBranch, Redrive, RunState, Step } from "./run.ts";

/** A redrive's history is kept so far back. */
const MOST_REDRIVES = 100;

/** A finished run is taken up again: nothing of how it ended is left but an entry in its history. */
export function redriven(run: RunState, redrive: Redrive): RunState {
  return {
    ...run,
    status: run.lastStep === 0 ? "queued" : "running",
    action: null,
    error: null,
    finishedMs: null,
    completionReason: null,
    isPauseAsked: false,
    redrives: [...run.redrives, redrive].slice(-MOST_REDRIVES),
    redriveCount: run.redriveCount + 1,
  };
}

/** The steps of a run that it was at, and those that were stopped with failed branches, and how these ended. */
export interface Standing<S extends Step> {
  open: readonly S[];
  stopped: readonly S[];
  failedEnds: readonly EndedBranch[];
}

export interface Reopened<S extends Step> {
  /** All steps that are under way once more, as they are now. */
  steps: S[];
  /** The ends of branches that have not ended any more. */
  forgotten: EndedBranch[];
}

/**
 * Takes failed branches up again where they stood, if their batch flow is still under way, and so on into those that were stopped
 * with them. Pure: says what the steps are then.
 */
export function reopen<S extends Step>({ open, stopped, failedEnds }: Standing<S>): Reopened<S> {
  const stoppedIn = Map.groupBy(stopped, ({ parent }) => parent);
  const endsOf = Map.groupBy(failedEnds, ({ step }) => step);
  const steps: S[] = [];
  const forgotten: EndedBranch[] = [];
  for (const ahead = [...open]; ; ) {
    const step = ahead.pop();
    if (step === undefined) return { steps, forgotten };
    const ends = endsOf.get(step.id) ?? [];
    forgotten.push(...ends);
    steps.push(ends.length === 0 ? step : withoutFailures(step, ends.length));
    for (const child of stoppedIn.get(step.id) ?? []) ahead.push(goingOn(child));
  }
}

function withoutFailures<S extends Step>(step: S, count: number): S {
  return { ...step, phase: "exec", ended: step.ended - count, failedBranches: 0 };
}

function goingOn<S extends Step>(step: S): S {
  return { ...step, phase: step.stoppedIn, stoppedIn: null };
}
