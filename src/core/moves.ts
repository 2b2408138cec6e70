import type { Graph } from "./graph.ts";
import type { Action } from "./node.ts";
import type { Effect, RunState, Step, Steps, Transition } from "./state.ts";

// What transitions are made of.

/** What a transition is decided on, beside the event. */
export interface Scene {
  steps: Steps;
  graph: Graph;
  nowMs: number;
}

/** A run records this many undeclared ends and no more: an endless loop must not fill its row. */
const MOST_WARNINGS = 100;

export function unchanged(run: RunState): Transition {
  return { run, steps: [], ends: [], effects: [] };
}

/** A step that has done nothing yet. */
export const NEW_STEP = {
  phase: "prep",
  lastAction: null,
  end: null,
  branches: 0,
  begun: 0,
  ended: 0,
  failedBranches: 0,
  waiting: [],
  stoppedIn: null,
  lateAction: null,
} as const;

export type Place = Pick<Step, "branch" | "node" | "parent" | "visit" | "params">;

export function begin(run: RunState, places: Place[], moved: Step[] = []): Transition {
  let id = run.lastStep;
  const begun = places.map((place) => stepAt(++id, place));
  const effects = begun.map((step): Effect => ({ type: "hook", hook: "prep", step: step.id }));
  return { run: { ...run, lastStep: id }, steps: [...moved, ...begun], ends: [], effects };
}

function stepAt(id: number, { branch, node, parent, visit, params }: Place): Step {
  return { ...NEW_STEP, id, branch, node, parent, visit, params };
}

export function toPost(run: RunState, step: Step, lastAction: Action | null): Transition {
  const inPost: Step = { ...step, phase: "post", lastAction };
  return { ...unchanged(run), steps: [inPost], effects: [{ type: "hook", hook: "post", step: step.id }] };
}

export function withWarning(run: RunState, warning: string | undefined): RunState {
  if (warning === undefined || run.warnings.length >= MOST_WARNINGS) return run;
  return { ...run, warnings: [...run.warnings, warning] };
}

export function finish(run: RunState, steps: Step[], nowMs: number): Transition {
  return { ...unchanged({ ...run, finishedMs: nowMs }), steps };
}
