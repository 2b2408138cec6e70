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
 * them. Where steps are `chosen`, only those branches of flows under way that hold one of them; the others have failed as before. What
 * was stopped itself goes on with all of its branches: of these, those fail again of which an item stays failed. Pure: says what the
 * steps are then. They go on as the width of their flow allows.
 */
export function reopen<S extends Step>(standing: Standing<S>, chosen: ReadonlySet<number> | null): Reopened<S> {
  const { open, stopped } = standing;
  const meant = chosen && branchesOf(stopped, chosen);
  const stoppedIn = Map.groupBy(stopped, ({ parent }) => parent);
  const endsOf = Map.groupBy(standing.failedEnds, ({ step }) => step);
  const found = [...open];
  const reopened: Reopened<S> = { steps: [], forgotten: [] };
  for (const step of found) {
    const isMeant = ({ index }: EndedBranch) =>
      meant === null || step.phase === "stopped" || meant.has(placeOf(step.id, index));
    const [left, again] = halve(endsOf.get(step.id) ?? [], isMeant);
    const stay = new Set(left.map(({ index }) => index));
    for (const child of stoppedIn.get(step.id) ?? []) if (!stay.has(indexOf(child))) found.push(child);
    reopened.forgotten.push(...again);
    reopened.steps.push(again.length > 0 ? withoutFailures(step, again) : step);
  }
  return reopened;
}

/** The branches that were stopped with one of the chosen steps in them. */
function branchesOf(stopped: readonly Step[], chosen: ReadonlySet<number>): Set<string> {
  const steps = new Map(stopped.map((step) => [step.id, step]));
  const found = new Set<string>();
  for (const id of chosen) {
    for (let step = steps.get(id); step?.parent; step = steps.get(step.parent)) {
      found.add(placeOf(step.parent, indexOf(step)));
    }
  }
  return found;
}

function placeOf(flow: number, index: number): string {
  return `${flow}/${index}`;
}

/** Those that are not so, and those that are. */
function halve<T>(all: readonly T[], isSo: (one: T) => boolean): [T[], T[]] {
  const halves = Map.groupBy(all, isSo);
  return [halves.get(false) ?? [], halves.get(true) ?? []];
}

function withoutFailures<S extends Step>(step: S, ends: readonly EndedBranch[]): S {
  const waiting = [...step.waiting, ...ends.map(({ index }) => index)].sort((a, b) => a - b);
  // Its post may have been next: not any more.
  const place = step.phase === "stopped" ? { stoppedIn: "exec" } : { phase: "exec" };
  return {
    ...step,
    ...place,
    waiting,
    ended: step.ended - ends.length,
    failedBranches: step.failedBranches - ends.length,
  };
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
