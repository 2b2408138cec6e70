import { stepsExceeded } from "./flow.ts";
import type { Graph } from "./graph.ts";
import type { Action } from "./node.ts";
import { isExceeded, toleranceExceeded } from "./tolerance.ts";

export type RunStatus = "queued" | "running" | "paused" | "completed" | "failed" | "canceled";

/**
 * Why a run has finished. Completed: no item failed, or no more than was tolerated. Failed: an item, too many items, a hook or the
 * flow itself, or the time was up.
 */
export type CompletionReason =
  | "all-succeeded"
  | "failures-tolerated"
  | "item-failed"
  | "tolerance-exceeded"
  | "flow-failed"
  | "deadline-exceeded"
  | "canceled";

/** Why a run failed or is paused, and where. */
export interface RunError {
  name: string;
  message: string;
  node: string | null;
  branch: string | null;
  index: number | null;
  attempts: number | null;
}

/** What ends a run, or a branch, other than as it should. */
export interface Fault {
  error: RunError;
  reason: CompletionReason;
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
  completionReason: CompletionReason | null;
  /** Somebody asked for a pause: the run is paused until somebody asks for it to go on, whatever else it is paused for. */
  isPauseAsked: boolean;
  /** The latest redrives, and how many there were. */
  redrives: Redrive[];
  redriveCount: number;
}

/** A finished run was taken up again. */
export interface Redrive {
  atMs: number;
  /** What it was before. */
  status: RunStatus;
  completionReason: CompletionReason | null;
  /** How many items, or branches, had failed that run again. */
  failed: number;
}

/**
 * Where a step stands. A flow is a step too: its exec phase is the walk through its nodes, or its branches. A step is stopped
 * where its branch has failed, and the batch flow collects failures.
 */
export type Phase = "prep" | "exec" | "post" | "done" | "stopped";

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
  /** Of a batch flow that collects failures: how many of the branches that ended have failed. */
  failedBranches: number;
  /** Of a batch flow: the branches that had failed before a redrive, and have not gone on yet, in order. */
  waiting: readonly number[];
  /** Of a stopped step: where it stood. */
  stoppedIn: Exclude<Phase, "done" | "stopped"> | null;
  /** What the post of a stopped step returned that ended only later; `""` stands for nothing. It is not run again. */
  lateAction: Action | null;
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
  /** Where it failed; nothing where it did not. */
  error: RunError | null;
}

/** What happens to one step. */
export type StepEvent =
  /** `size` is the number of items, or of a batch flow's branches. */
  | { type: "prepared"; step: number; size: number }
  | { type: "branched"; step: number }
  | { type: "executed"; step: number }
  /** `hasFailures` is asked of the last hook alone: whether any item of the run has failed. */
  | { type: "posted"; step: number; action: Action | null; hasFailures?: boolean }
  /** A step has failed, and with it its branch, and with that its run; unless a batch flow in between collects failures. */
  | ({ type: "failed"; step: number } & Fault);

export type Event =
  | StepEvent
  | { type: "started" }
  | ({ type: "broke" } & Fault)
  | { type: "paused" }
  | { type: "resumed" }
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
  completionReason: null,
  isPauseAsked: false,
  redrives: [],
  redriveCount: 0,
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

/** Where a step of a run is found, all that are under way, and those within a step that were stopped and may go on. */
export interface Steps {
  of(id: number): Step | undefined;
  open(): Iterable<Step>;
  stoppedIn(step: number): Iterable<Step>;
}

/** What a transition is decided on, beside the event. */
interface Scene {
  steps: Steps;
  graph: Graph;
  nowMs: number;
}

/**
 * Decides what an event makes of a run. Pure: nothing is written and nothing is done here; the caller keeps the returned state
 * and then performs the effects. An event that comes too late (the run has finished, the step has moved on) changes nothing.
 */
export function transition(run: RunState, steps: Steps, event: Event, graph: Graph, nowMs: number): Transition {
  if (isFinished(run.status)) return unchanged(run);
  const scene: Scene = { steps, graph, nowMs };
  if ("step" in event) return transitionOfStep(run, event, scene);
  switch (event.type) {
    case "started":
      if (run.status !== "queued") return unchanged(run);
      return begin({ ...run, status: "running", startedMs: nowMs }, [
        { branch: "", node: graph.root, parent: null, visit: 1, params: null },
      ]);
    case "broke":
      return finish({ ...run, status: "failed", error: event.error, completionReason: event.reason }, [], nowMs);
    case "canceled":
      return finish({ ...run, status: "canceled", error: null, completionReason: "canceled" }, [], nowMs);
    case "paused":
      return unchanged(run.isPauseAsked ? run : { ...run, status: "paused", isPauseAsked: true });
    case "resumed":
      return unchanged(run.isPauseAsked ? goingOn({ ...run, isPauseAsked: false }) : run);
    case "graph-changed":
      return unchanged({ ...run, status: "paused", error: event.error });
    case "graph-restored":
      return unchanged(run.error === null ? run : goingOn({ ...run, error: null }));
  }
}

/** What an event makes of one step. It changes nothing where that is not at the phase which the event is about. */
function transitionOfStep(run: RunState, event: StepEvent, scene: Scene): Transition {
  const step = scene.steps.of(event.step);
  switch (event.type) {
    case "prepared":
      return at(run, step, "prep", (step) => prepared(run, step, event.size, scene));
    case "branched":
      return at(run, step, "exec", (step) => branched(run, step, BRANCHES_A_TURN, scene));
    case "executed":
      return at(run, step, "exec", (step) => toPost(run, step, null));
    case "posted":
      return at(run, step, "post", (step) => posted(run, step, event, scene));
    case "failed":
      return step && isOpen(step) ? failed(run, step, event, scene) : unchanged(run);
  }
}

export function isOpen({ phase }: Pick<Step, "phase">): boolean {
  return phase !== "done" && phase !== "stopped";
}

/** A paused run that has nothing left to be paused for. One that was paused before its first step has not begun yet. */
function goingOn(run: RunState): RunState {
  if (run.status !== "paused" || run.isPauseAsked || run.error !== null) return run;
  return { ...run, status: run.lastStep === 0 ? "queued" : "running" };
}

/** What a run at rest has to do: derived from where its steps stand, so that nothing is forgotten by a crash. */
export function effectsOf(run: RunState, steps: Iterable<Step>, graph: Graph): Effect[] {
  return run.status === "running" ? effectsAt(steps, graph) : [];
}

function effectsAt(steps: Iterable<Step>, graph: Graph): Effect[] {
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

const NEW_STEP = {
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

type Place = Pick<Step, "branch" | "node" | "parent" | "visit" | "params">;

function begin(run: RunState, places: Place[], moved: Step[] = []): Transition {
  let id = run.lastStep;
  const begun = places.map((place) => stepAt(++id, place));
  const effects = begun.map((step): Effect => ({ type: "hook", hook: "prep", step: step.id }));
  return { run: { ...run, lastStep: id }, steps: [...moved, ...begun], ends: [], effects };
}

function stepAt(id: number, { branch, node, parent, visit, params }: Place): Step {
  return { ...NEW_STEP, id, branch, node, parent, visit, params };
}

function prepared(run: RunState, step: Step, size: number, scene: Scene): Transition {
  const { graph } = scene;
  const start = graph.startOf(step.node);
  const inExec: Step = { ...step, phase: "exec" };
  if (isBatchFlow(step, graph)) return branched(run, { ...inExec, branches: size }, BRANCHES_A_TURN, scene);
  if (start !== undefined) {
    const { branch, id: parent } = step;
    return begin(run, [{ branch, node: start, parent, visit: 1, params: null }], [inExec]);
  }
  return size === 0 ? toPost(run, step, null) : { ...unchanged(run), steps: [inExec] };
}

function isBatchFlow({ node }: Step, graph: Graph): boolean {
  return graph.kind(node).endsWith("batch-flow");
}

/** How many more branches of a batch flow may begin, or go on. */
function roomFor({ node, branches, begun, ended, waiting }: Step, graph: Graph): number {
  const left = branches - begun + waiting.length;
  if (left <= 0) return 0;
  const width = Math.min(graph.width(node), MOST_BRANCHES);
  return Math.min(left, width - (begun - ended - waiting.length));
}

/** Begins branches; first those that had failed before a redrive go on. */
function branched(run: RunState, step: Step, most: number, { graph, steps }: Scene): Transition {
  if (step.branches === 0) return toPost(run, step, null);
  const room = roomFor(step, graph);
  const again = new Set(step.waiting.slice(0, Math.min(room, most)));
  const count = Math.min(room, most) - again.size;
  const start = graph.startOf(step.node) as string;
  const places = Array.from({ length: count }, (_, at) => ({
    branch: `${step.branch === "" ? "" : `${step.branch}/`}${step.begun + at}`,
    node: start,
    parent: step.id,
    visit: 1,
    params: null,
  }));
  const goingOn = again.size > 0 ? [...stoppedWith(step, (child) => again.has(indexOf(child)), steps)] : [];
  const flow = { ...step, begun: step.begun + count, waiting: step.waiting.slice(again.size) };
  const result = begin(run, places, [flow, ...goingOn]);
  result.effects.push(...effectsAt(goingOn, graph));
  // Where a branch ended only one begins in its place: for the others the effect is on its way.
  if (again.size + count < room && most > 1) result.effects.push({ type: "branch", step: step.id });
  return result;
}

/** Stopped steps within another, as they stood; but for those of branches that wait for their turn. */
function* stoppedWith(parent: Step, isMeant: (child: Step) => boolean, steps: Steps): Generator<Step> {
  for (const child of steps.stoppedIn(parent.id)) {
    if (!isMeant(child)) continue;
    const step: Step = { ...child, phase: child.stoppedIn as Phase, stoppedIn: null };
    yield step;
    yield* stoppedWith(step, (inner) => !step.waiting.includes(indexOf(inner)), steps);
  }
}

function toPost(run: RunState, step: Step, lastAction: Action | null): Transition {
  const inPost: Step = { ...step, phase: "post", lastAction };
  return { ...unchanged(run), steps: [inPost], effects: [{ type: "hook", hook: "post", step: step.id }] };
}

function posted(
  run: RunState,
  step: Step,
  { action, hasFailures }: StepEvent & { type: "posted" },
  scene: Scene,
): Transition {
  const { steps, graph, nowMs } = scene;
  const done: Step = { ...step, phase: "done" };
  // The node that is the whole flow runs alone, as PocketFlow's `run()` has it: successors are for a walk.
  if (step.parent === null) {
    const completionReason = hasFailures ? "failures-tolerated" : "all-succeeded";
    return finish({ ...run, status: "completed", action: action || null, completionReason }, [done], nowMs);
  }
  const parent = steps.of(step.parent) as Step;
  const next = graph.next(step.node, action || "default");
  if (next !== undefined) return goOn(run, done, next, parent, scene);
  const warned = withWarning(run, graph.warning(step.node, action || "default"));
  const end = graph.startOf(step.node) === undefined ? step.id : step.end;
  const ended = isBatchFlow(parent, graph)
    ? branchEnded(warned, parent, { step: parent.id, index: indexOf(step), action, end, error: null }, scene)
    : toPost(warned, { ...parent, end }, action);
  return { ...ended, steps: [done, ...ended.steps] };
}

/** The walk goes on at its next node, unless it has visited as many as its flow allows. */
function goOn(run: RunState, done: Step, next: string, parent: Step, scene: Scene): Transition {
  const { graph } = scene;
  const { branch, visit, params } = done;
  if (visit < graph.maxSteps(parent.node)) {
    return begin(run, [{ branch, node: next, parent: parent.id, visit: visit + 1, params }], [done]);
  }
  const { name, message } = stepsExceeded(graph.node(parent.node), graph.node(next));
  const error: RunError = { name, message, node: next, branch, index: null, attempts: null };
  // Where it stood: should the flow allow more steps one day, the walk goes on from here.
  const step = scene.steps.of(done.id) as Step;
  return failed(run, step, { error, reason: "flow-failed" }, scene);
}

/**
 * A step has failed. The innermost batch flow around it that collects failures goes on without the branch; where there is none
 * the run has failed, and keeps its steps where they stand.
 */
function failed(run: RunState, step: Step, fault: Fault, scene: Scene): Transition {
  const { steps, graph, nowMs } = scene;
  const chain = [step];
  // Of a batch flow that stops all branches do.
  let isMany = isBatchFlow(step, graph);
  for (let child = step; child.parent !== null; chain.push(child)) {
    const parent = steps.of(child.parent) as Step;
    const isBatch = isBatchFlow(parent, graph);
    if (isBatch && graph.tolerance(parent.node)) {
      const stopped = isMany ? [...openWithin(child.branch, steps)] : chain;
      return branchFailed(run, parent, indexOf(child), stopped, fault, scene);
    }
    isMany ||= isBatch;
    child = parent;
  }
  const { error, reason: completionReason } = fault;
  return finish({ ...run, status: "failed", error, completionReason }, [], nowMs);
}

function* openWithin(branch: string, steps: Steps): Generator<Step> {
  for (const step of steps.open()) if (step.branch === branch || step.branch.startsWith(`${branch}/`)) yield step;
}

/** A branch has failed of a batch flow that collects failures: it goes on with the others, unless that is one too many. */
function branchFailed(
  run: RunState,
  before: Step,
  index: number,
  stopped: Step[],
  { error }: Fault,
  scene: Scene,
): Transition {
  const { graph } = scene;
  const { id, node, branch, branches } = before;
  const flow = { ...before, failedBranches: before.failedBranches + 1 };
  const tolerance = graph.tolerance(node);
  if (tolerance && isExceeded(tolerance, flow.failedBranches, branches)) {
    const { name, message } = toleranceExceeded(`the ${branches} branches of ${node}`, tolerance, flow.failedBranches);
    const exceeded: RunError = { name, message, node, branch, index: null, attempts: null };
    return failed(run, before, { error: exceeded, reason: "tolerance-exceeded" }, scene);
  }
  const ended = branchEnded(run, flow, { step: id, index, action: null, end: null, error }, scene);
  return { ...ended, steps: [...stopped.map(stop), ...ended.steps] };
}

function stop(step: Step): Step {
  return { ...step, phase: "stopped", stoppedIn: step.phase as Exclude<Phase, "done" | "stopped"> };
}

/** A branch has ended: the next one begins in its place, or, after the last, the batch flow's post. */
function branchEnded(run: RunState, before: Step, ended: EndedBranch, scene: Scene): Transition {
  const step = { ...before, ended: before.ended + 1 };
  const isLast = step.ended === step.branches;
  const next = isLast ? toPost(run, step, null) : goOnBranching(run, step, scene);
  return { ...next, ends: [ended] };
}

function goOnBranching(run: RunState, step: Step, scene: Scene): Transition {
  return roomFor(step, scene.graph) > 0 ? branched(run, step, 1, scene) : { ...unchanged(run), steps: [step] };
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
