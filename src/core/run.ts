import { stepsExceeded } from "./flow.ts";
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

/** Where a step stands. A flow is a step too: its exec phase is the walk through its nodes, or its branches. */
export type Phase = "prep" | "exec" | "post" | "done";

/** One visit of a node by a branch. */
export interface Step {
  id: number;
  /** `""` is the main walk, `"3"` the fourth branch of a batch flow on it, `"3/1"` the second of one within that. */
  branch: string;
  node: string;
  /** The step of the flow this step is a part of. */
  parent: number | null;
  phase: Phase;
  /** The last action of a flow's walk: what its post gets. */
  lastAction: Action | null;
  /** How many nodes its walk has visited, this one included. */
  visit: number;
  /** What hooks of its walk have made of the params, as text; nothing where they are as the flow gave them. */
  params: string | null;
  /** Of a flow: the step whose results its walk ended with. */
  end: number | null;
  /** Of a batch flow: how many branches it has in all, how many of them have begun, and how many have ended. */
  branches: number;
  begun: number;
  ended: number;
}

/** How a branch of a batch flow ended. */
export interface EndedBranch {
  /** The batch flow's. */
  step: number;
  index: number;
  /** Nothing where the last post returned nothing. */
  action: Action | null;
  /** The step whose results it ended with; nothing where that was a batch flow. */
  end: number | null;
}

export type Event =
  | { type: "started" }
  /** `size` is the number of items, or of a batch flow's branches. */
  | { type: "prepared"; step: number; size: number }
  | { type: "branched"; step: number }
  | { type: "executed"; step: number }
  | { type: "posted"; step: number; action: Action | null }
  | { type: "broke"; error: RunError }
  | { type: "canceled" }
  | { type: "graph-changed"; error: RunError }
  | { type: "graph-restored" };

/** What is to be done once the transition is decided. Each is safe to repeat. */
export type Effect =
  | { type: "hook"; hook: "prep" | "post"; step: number }
  /** Begin as many branches as may be under way. */
  | { type: "branch"; step: number };

export interface Transition {
  run: RunState;
  /** The steps that changed or began. */
  steps: Step[];
  ends: EndedBranch[];
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
/** So many branches begin in one turn: the run must be able to hear others in between. */
const BRANCHES_A_TURN = 500;
/** A batch flow that says nothing else has so many branches under way: each takes memory until it ends. */
const MOST_BRANCHES = 10_000;

export function isFinished(status: RunStatus): boolean {
  return status === "completed" || status === "failed" || status === "canceled";
}

/** What a transition is decided on, beside the event. */
interface Scene {
  stepOf: (id: number) => Step | undefined;
  graph: Graph;
  nowMs: number;
}

/**
 * Decides what an event makes of a run. Pure: nothing is written and nothing is done here; the caller keeps the returned state
 * and then performs the effects. An event that comes too late (the run has finished, the step has moved on) changes nothing.
 */
export function transition(
  run: RunState,
  stepOf: (id: number) => Step | undefined,
  event: Event,
  graph: Graph,
  nowMs: number,
): Transition {
  if (isFinished(run.status)) return unchanged(run);
  const scene: Scene = { stepOf, graph, nowMs };
  switch (event.type) {
    case "started":
      if (run.status !== "queued") return unchanged(run);
      return begin({ ...run, status: "running", startedMs: nowMs }, [
        { branch: "", node: graph.root, parent: null, visit: 1, params: null },
      ]);
    case "prepared":
      return at(run, stepOf(event.step), "prep", (step) => prepared(run, step, event.size, graph));
    case "branched":
      return at(run, stepOf(event.step), "exec", (step) => branched(run, step, BRANCHES_A_TURN, graph));
    case "executed":
      return at(run, stepOf(event.step), "exec", (step) => toPost(run, step, null));
    case "posted":
      return at(run, stepOf(event.step), "post", (step) => posted(run, step, event.action, scene));
    case "broke":
      return finish({ ...run, status: "failed", error: event.error }, [], nowMs);
    case "canceled":
      return finish({ ...run, status: "canceled" }, [], nowMs);
    case "graph-changed":
      return unchanged({ ...run, status: "paused", error: event.error });
    case "graph-restored":
      return unchanged(restored(run));
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
  const effects: Effect[] = [];
  for (const step of steps) {
    if (step.phase === "prep" || step.phase === "post") effects.push({ type: "hook", hook: step.phase, step: step.id });
    if (step.phase === "exec" && roomFor(step, graph) > 0) effects.push({ type: "branch", step: step.id });
  }
  return effects;
}

function unchanged(run: RunState): Transition {
  return { run, steps: [], ends: [], effects: [] };
}

function at(run: RunState, step: Step | undefined, phase: Phase, move: (step: Step) => Transition): Transition {
  return step?.phase === phase ? move(step) : unchanged(run);
}

type Place = Pick<Step, "branch" | "node" | "parent" | "visit" | "params">;

function begin(run: RunState, places: Place[], moved: Step[] = []): Transition {
  let id = run.lastStep;
  const begun = places.map((place) => stepAt(++id, place));
  const effects = begun.map((step): Effect => ({ type: "hook", hook: "prep", step: step.id }));
  return { run: { ...run, lastStep: id }, steps: [...moved, ...begun], ends: [], effects };
}

function stepAt(id: number, { branch, node, parent, visit, params }: Place): Step {
  const empty = { lastAction: null, end: null, branches: 0, begun: 0, ended: 0 };
  return { id, branch, node, parent, phase: "prep", visit, params, ...empty };
}

function prepared(run: RunState, step: Step, size: number, graph: Graph): Transition {
  const start = graph.startOf(step.node);
  const inExec: Step = { ...step, phase: "exec" };
  if (isBatchFlow(step, graph)) return branched(run, { ...inExec, branches: size }, BRANCHES_A_TURN, graph);
  if (start !== undefined) {
    const { branch, id: parent } = step;
    return begin(run, [{ branch, node: start, parent, visit: 1, params: null }], [inExec]);
  }
  return size === 0 ? toPost(run, step, null) : { ...unchanged(run), steps: [inExec] };
}

function isBatchFlow({ node }: Step, graph: Graph): boolean {
  return graph.kind(node).endsWith("batch-flow");
}

/** How many more branches of a batch flow may begin. */
function roomFor(step: Step, graph: Graph): number {
  if (step.begun >= step.branches) return 0;
  const width = Math.min(graph.width(step.node), MOST_BRANCHES);
  return Math.min(step.branches - step.begun, width - (step.begun - step.ended));
}

function branched(run: RunState, step: Step, most: number, graph: Graph): Transition {
  if (step.branches === 0) return toPost(run, step, null);
  const room = roomFor(step, graph);
  const count = Math.min(room, most);
  const start = graph.startOf(step.node) as string;
  const places = Array.from({ length: count }, (_, at) => ({
    branch: `${step.branch === "" ? "" : `${step.branch}/`}${step.begun + at}`,
    node: start,
    parent: step.id,
    visit: 1,
    params: null,
  }));
  const result = begin(run, places, [{ ...step, begun: step.begun + count }]);
  // Where a branch ended only one begins in its place: for the others the effect is on its way.
  if (count < room && most > 1) result.effects.push({ type: "branch", step: step.id });
  return result;
}

function toPost(run: RunState, step: Step, lastAction: Action | null): Transition {
  const inPost: Step = { ...step, phase: "post", lastAction };
  return { ...unchanged(run), steps: [inPost], effects: [{ type: "hook", hook: "post", step: step.id }] };
}

function posted(run: RunState, step: Step, action: Action | null, { stepOf, graph, nowMs }: Scene): Transition {
  const done: Step = { ...step, phase: "done" };
  // The node that is the whole flow runs alone, as PocketFlow's `run()` has it: successors are for a walk.
  if (step.parent === null) return finish({ ...run, status: "completed", action: action || null }, [done], nowMs);
  const parent = stepOf(step.parent) as Step;
  const next = graph.next(step.node, action || "default");
  if (next !== undefined) return goOn(run, done, next, parent, { graph, nowMs });
  const warned = withWarning(run, graph.warning(step.node, action || "default"));
  const end = graph.startOf(step.node) === undefined ? step.id : step.end;
  const ended = isBatchFlow(parent, graph)
    ? branchEnded(warned, parent, { step: parent.id, index: indexOf(step), action, end }, graph)
    : toPost(warned, { ...parent, end }, action);
  return { ...ended, steps: [done, ...ended.steps] };
}

/** The walk goes on at its next node, unless it has visited as many as its flow allows. */
function goOn(
  run: RunState,
  done: Step,
  next: string,
  parent: Step,
  { graph, nowMs }: Omit<Scene, "stepOf">,
): Transition {
  const { branch, visit, params } = done;
  if (visit < graph.maxSteps(parent.node)) {
    return begin(run, [{ branch, node: next, parent: parent.id, visit: visit + 1, params }], [done]);
  }
  const { name, message } = stepsExceeded(graph.node(parent.node), graph.node(next));
  const error: RunError = { name, message, node: next, branch, index: null, attempts: null };
  return finish({ ...run, status: "failed", error }, [done], nowMs);
}

/** A branch has ended: the next one begins in its place, or, after the last, the batch flow's post. */
function branchEnded(run: RunState, before: Step, ended: EndedBranch, graph: Graph): Transition {
  const step = { ...before, ended: before.ended + 1 };
  const isLast = step.ended === step.branches;
  const next = isLast ? toPost(run, step, null) : goOnBranching(run, step, graph);
  return { ...next, ends: [ended] };
}

function goOnBranching(run: RunState, step: Step, graph: Graph): Transition {
  return roomFor(step, graph) > 0 ? branched(run, step, 1, graph) : { ...unchanged(run), steps: [step] };
}

/** Which branch of its batch flow a step is on. */
export function indexOf({ branch }: Pick<Step, "branch">): number {
  return Number(branch.slice(branch.lastIndexOf("/") + 1));
}

function withWarning(run: RunState, warning: string | undefined): RunState {
  if (warning === undefined || run.warnings.length >= MOST_WARNINGS) return run;
  return { ...run, warnings: [...run.warnings, warning] };
}

function finish(run: RunState, steps: Step[], nowMs: number): Transition {
  return { ...unchanged({ ...run, finishedMs: nowMs }), steps };
}
