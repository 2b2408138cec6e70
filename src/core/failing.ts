import { branchEnded, isBatchFlow } from "./branches.ts";
import { nameOf } from "./follow.ts";
import { finish, type Scene } from "./moves.ts";
import {
  type Fault,
  indexOf,
  type Phase,
  type RunError,
  type RunState,
  type Step,
  type Steps,
  type Transition,
} from "./state.ts";
import { isExceeded, toleranceExceeded } from "./tolerance.ts";

// What a failure ends: a branch, or the run.

/**
 * A step has failed. The innermost batch flow around it that collects failures goes on without the branch; where there is none
 * the run has failed, and keeps its steps where they stand.
 */
export function failed(run: RunState, step: Step, fault: Fault, scene: Scene): Transition {
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
    const { name, message } = toleranceExceeded(nameOf(graph.node(node)), "branches", tolerance, branches);
    const exceeded: RunError = { name, message, node, branch, index: null, attempts: null };
    return failed(run, before, { error: exceeded, reason: "tolerance-exceeded" }, scene);
  }
  const ended = branchEnded(run, flow, { step: id, index, action: null, end: null, error }, scene);
  return { ...ended, steps: [...stopped.map(stop), ...ended.steps] };
}

function stop(step: Step): Step {
  return { ...step, phase: "stopped", stoppedIn: step.phase as Exclude<Phase, "done" | "stopped"> };
}
