import type { Graph } from "./graph.ts";
import { begin, type Scene, toPost, unchanged } from "./moves.ts";
import {
  type Effect,
  type EndedBranch,
  indexOf,
  type Phase,
  type RunState,
  type Step,
  type Steps,
  type Transition,
} from "./state.ts";

// How the branches of batch flows begin, end, and go on after a redrive.

/** So many branches begin in one turn: the run must be able to hear others in between. */
export const BRANCHES_A_TURN = 500;

/** A batch flow that says nothing else has so many branches under way: each takes memory until it ends. */
const MOST_BRANCHES = 10_000;

/** What steps have to do: derived from where they stand, so that nothing is forgotten by a crash. */
export function effectsAt(steps: Iterable<Step>, graph: Graph): Effect[] {
  const effects: Effect[] = [];
  for (const step of steps) {
    if (step.phase === "prep" || step.phase === "post") effects.push({ type: "hook", hook: step.phase, step: step.id });
    if (step.phase === "exec" && roomFor(step, graph) > 0) effects.push({ type: "branch", step: step.id });
  }
  return effects;
}

export function isBatchFlow({ node }: Step, graph: Graph): boolean {
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
export function branched(run: RunState, step: Step, most: number, { graph, steps }: Scene): Transition {
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

/** A branch has ended: the next one begins in its place, or, after the last, the batch flow's post. */
export function branchEnded(run: RunState, before: Step, ended: EndedBranch, scene: Scene): Transition {
  const step = { ...before, ended: before.ended + 1 };
  const isLast = step.ended === step.branches;
  const next = isLast ? toPost(run, step, null) : goOnBranching(run, step, scene);
  return { ...next, ends: [ended] };
}

function goOnBranching(run: RunState, step: Step, scene: Scene): Transition {
  return roomFor(step, scene.graph) > 0 ? branched(run, step, 1, scene) : { ...unchanged(run), steps: [step] };
}
