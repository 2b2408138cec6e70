import { type EndedBranch, indexOf, type Redrive, type RunState, type Step } from "./run.ts";

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
  /** All steps that are under way, or stopped and will go on, as they are now. */
  steps: S[];
  /** The ends of branches that have not ended any more. */
  forgotten: EndedBranch[];
}

/**
 * Lets failed branches wait to go on where they stood, if their batch flow is still under way, and so on into what was stopped with
 * them. Pure: says what the steps are then. They go on as the width of their flow allows.
 */
export function reopen<S extends Step>({ open, stopped, failedEnds }: Standing<S>): Reopened<S> {
  const stoppedIn = Map.groupBy(stopped, ({ parent }) => parent);
  const endsOf = Map.groupBy(failedEnds, ({ step }) => step);
  const found = [...open];
  for (const { id } of found) for (const child of stoppedIn.get(id) ?? []) found.push(child);
  const steps = found.map((step) => {
    const ends = endsOf.get(step.id);
    return ends ? withoutFailures(step, ends) : step;
  });
  return { steps, forgotten: found.flatMap(({ id }) => endsOf.get(id) ?? []) };
}

function withoutFailures<S extends Step>(step: S, ends: readonly EndedBranch[]): S {
  const waiting = [...step.waiting, ...ends.map(({ index }) => index)].sort((a, b) => a - b);
  // Its post may have been next: not any more.
  const place = step.phase === "stopped" ? { stoppedIn: "exec" } : { phase: "exec" };
  return { ...step, ...place, waiting, ended: step.ended - ends.length, failedBranches: 0 };
}

/** The stopped steps that will go on: those of branches that wait for their turn. */
export function waitingWithin<S extends Step>(open: readonly S[], stopped: readonly S[]): S[] {
  const stoppedIn = Map.groupBy(stopped, ({ parent }) => parent);
  const found = open.flatMap(({ id, waiting }) => {
    const turns = new Set(waiting);
    return (stoppedIn.get(id) ?? []).filter((child) => turns.has(indexOf(child)));
  });
  for (const { id } of found) for (const child of stoppedIn.get(id) ?? []) found.push(child);
  return found;
}
