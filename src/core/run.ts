import type { Graph } from "./graph.ts";
import type { Action } from "./node.ts";

export type RunStatus = "queued" | "running" | "paused" | "completed" | "failed" | "canceled";

/** Why a run failed or is paused, and where. */
export interface RunError {
  name: string;
  message: string;
  node: string | null;
  branch: string | null;
  index: number | null;
  attempts: number | null;
}

export interface RunState {
  status: RunStatus;
  /** The number of the latest step; steps are numbered from 1 in the order in which they begin. */
  lastStep: number;
  /** The last action of the main walk, once it ended. */
  action: Action | null;
  error: RunError | null;
  /** Ends of walks that no node declared, a sentence each. */
  warnings: string[];
  startedMs: number | null;
  finishedMs: number | null;
}

/** Where a step stands. A flow is a step too: its exec phase is the walk through its nodes. */
export type Phase = "prep" | "exec" | "post" | "done";

/** One visit of a node by a branch. */
export interface Step {
  id: number;
  /** `""` is the main walk. */
  branch: string;
  node: string;
  /** The step of the flow this step is a part of. */
  parent: number | null;
  phase: Phase;
  /** The last action of a flow's walk: what its post gets. */
  lastAction: Action | null;
}

export type Event =
  | { type: "started" }
  | { type: "prepared"; step: number; isEmpty: boolean }
  | { type: "executed"; step: number }
  | { type: "posted"; step: number; action: Action }
  | { type: "broke"; error: RunError }
  | { type: "canceled" }
  | { type: "graph-changed"; error: RunError }
  | { type: "graph-restored" };

/** What is to be done once the transition is committed. Each is safe to repeat. */
export type Effect =
  | { type: "hook"; hook: "prep" | "post"; step: number }
  | { type: "execute"; step: number }
  | { type: "finish" };

export interface Transition {
  run: RunState;
  /** The steps that changed or began. */
  steps: Step[];
  effects: Effect[];
}

export const NEW_RUN: RunState = {
  status: "queued",
  lastStep: 0,
  action: null,
  error: null,
  warnings: [],
  startedMs: null,
  finishedMs: null,
};

/** A run records this many undeclared ends and no more: an endless loop must not fill its row. */
const MOST_WARNINGS = 100;

export function isFinished(status: RunStatus): boolean {
  return status === "completed" || status === "failed" || status === "canceled";
}

/**
 * Decides what an event makes of a run. Pure: nothing is written and nothing is done here; the caller commits the returned
 * state and then performs the effects. An event that comes too late (the run has finished, the step has moved on) changes
 * nothing.
 */
export function transition(
  run: RunState,
  stepOf: (id: number) => Step | undefined,
  event: Event,
  graph: Graph,
  nowMs: number,
): Transition {
  if (isFinished(run.status)) return { run, steps: [], effects: [] };
  switch (event.type) {
    case "started":
      if (run.status !== "queued") return { run, steps: [], effects: [] };
      return begin({ ...run, status: "running", startedMs: nowMs }, { branch: "", node: graph.root, parent: null });
    case "prepared":
      return at(run, stepOf(event.step), "prep", (step) => prepared(run, step, event.isEmpty, graph));
    case "executed":
      return at(run, stepOf(event.step), "exec", (step) => toPost(run, step, null));
    case "posted":
      return at(run, stepOf(event.step), "post", (step) => posted(run, step, event.action, stepOf, graph, nowMs));
    case "broke":
      return finish({ ...run, status: "failed", error: event.error }, [], nowMs);
    case "canceled":
      return finish({ ...run, status: "canceled" }, [], nowMs);
    case "graph-changed":
      return { run: { ...run, status: "paused", error: event.error }, steps: [], effects: [] };
    case "graph-restored":
      return { run: restored(run), steps: [], effects: [] };
  }
}

/** A run that was paused before its first step has not begun yet. */
function restored(run: RunState): RunState {
  if (run.status !== "paused") return run;
  return { ...run, status: run.lastStep === 0 ? "queued" : "running", error: null };
}

/** What a run at rest has to do: derived from where its steps stand, so that nothing is forgotten by a crash. */
export function effectsOf(run: RunState, steps: Iterable<Step>, graph: Graph): Effect[] {
  if (run.status !== "running") return [];
  return [...steps].flatMap((step) => effectOf(step, graph) ?? []);
}

function effectOf(step: Step, graph: Graph): Effect | undefined {
  if (step.phase === "prep" || step.phase === "post") return { type: "hook", hook: step.phase, step: step.id };
  return step.phase === "exec" && graph.startOf(step.node) === undefined
    ? { type: "execute", step: step.id }
    : undefined;
}

function at(run: RunState, step: Step | undefined, phase: Phase, move: (step: Step) => Transition): Transition {
  return step?.phase === phase ? move(step) : { run, steps: [], effects: [] };
}

function begin(run: RunState, place: Pick<Step, "branch" | "node" | "parent">, moved: Step[] = []): Transition {
  const id = run.lastStep + 1;
  const step: Step = { ...place, id, phase: "prep", lastAction: null };
  return {
    run: { ...run, lastStep: id },
    steps: [...moved, step],
    effects: [{ type: "hook", hook: "prep", step: id }],
  };
}

function prepared(run: RunState, step: Step, isEmpty: boolean, graph: Graph): Transition {
  const start = graph.startOf(step.node);
  const inExec: Step = { ...step, phase: "exec" };
  if (start !== undefined) return begin(run, { branch: step.branch, node: start, parent: step.id }, [inExec]);
  if (isEmpty) return toPost(run, step, null);
  return { run, steps: [inExec], effects: [{ type: "execute", step: step.id }] };
}

function toPost(run: RunState, step: Step, lastAction: Action | null): Transition {
  const inPost: Step = { ...step, phase: "post", lastAction };
  return { run, steps: [inPost], effects: [{ type: "hook", hook: "post", step: step.id }] };
}

function posted(
  run: RunState,
  step: Step,
  action: Action,
  stepOf: (id: number) => Step | undefined,
  graph: Graph,
  nowMs: number,
): Transition {
  const done: Step = { ...step, phase: "done" };
  // The node that is the whole flow runs alone, as PocketFlow's `run()` has it: successors are for a walk.
  if (step.parent === null) return finish({ ...run, status: "completed", action: action || null }, [done], nowMs);
  const next = graph.next(step.node, action || "default");
  if (next !== undefined) return begin(run, { branch: step.branch, node: next, parent: step.parent }, [done]);
  const warned = withWarning(run, graph.warning(step.node, action || "default"));
  const { steps, effects } = toPost(warned, stepOf(step.parent) as Step, action);
  return { run: warned, steps: [done, ...steps], effects };
}

function withWarning(run: RunState, warning: string | undefined): RunState {
  if (warning === undefined || run.warnings.length >= MOST_WARNINGS) return run;
  return { ...run, warnings: [...run.warnings, warning] };
}

function finish(run: RunState, steps: Step[], nowMs: number): Transition {
  return { run: { ...run, finishedMs: nowMs }, steps, effects: [{ type: "finish" }] };
}
