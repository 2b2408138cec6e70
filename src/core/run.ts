import { BRANCHES_A_TURN, branchEnded, branched, effectsAt, isBatchFlow } from "./branches.ts";
import { failed } from "./failing.ts";
import { stepsExceeded } from "./flow.ts";
import type { Graph } from "./graph.ts";
import { begin, finish, type Scene, toPost, unchanged, withWarning } from "./moves.ts";
import {
  type Effect,
  type Event,
  indexOf,
  isFinished,
  isOpen,
  type Phase,
  type RunError,
  type RunState,
  type Step,
  type StepEvent,
  type Steps,
  type Transition,
} from "./state.ts";

export * from "./state.ts";

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

/** A paused run that has nothing left to be paused for. One that was paused before its first step has not begun yet. */
function goingOn(run: RunState): RunState {
  if (run.status !== "paused" || run.isPauseAsked || run.error !== null) return run;
  return { ...run, status: run.lastStep === 0 ? "queued" : "running" };
}

/** What a run at rest has to do: derived from where its steps stand, so that nothing is forgotten by a crash. */
export function effectsOf(run: RunState, steps: Iterable<Step>, graph: Graph): Effect[] {
  return run.status === "running" ? effectsAt(steps, graph) : [];
}

function at(run: RunState, step: Step | undefined, phase: Phase, move: (step: Step) => Transition): Transition {
  return step?.phase === phase ? move(step) : unchanged(run);
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
