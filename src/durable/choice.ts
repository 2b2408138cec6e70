import type { Graph } from "../core/graph.ts";
import { reopen } from "../core/redrive.ts";
import { type Event, isOpen, type RunError, type RunState, type Step, type Steps, transition } from "../core/run.ts";
import { isExceeded, type Tolerance } from "../core/tolerance.ts";
import type { ItemId } from "./items.ts";
import { hasItems, stepsOf } from "./redrive.ts";
import type { StepRow } from "./step-store.ts";
import type { Store } from "./store.ts";
import type { Walk } from "./walk.ts";

/**
 * Why a finished run cannot be redriven with these of its failed items alone; nothing where it can. What would fail again at once,
 * as more has failed beside these than its node or batch flow tolerates, is refused; but for what ends none of these. Only reads.
 */
export function refusalOf(store: Store, walk: Walk, chosen: readonly ItemId[]): string | undefined {
  const failed = store.items.failedOf(chosen);
  const names = new Set(failed.map(nameOf));
  const other = chosen.find((item) => !names.has(nameOf(item)));
  if (other) return `Expected items that have failed, got ${nameOf(other)}, which has not`;

  const steps = stepsAfter(store, walk, failed);
  const again = new Set(steps.filter(keepsItems).map(({ id }) => id));
  const late = failed.find(({ step }) => !again.has(step));
  return late ? tooLate(late, walk) : tooMany(steps, store, walk, failed);
}

/** A step that was stopped in prep gets its items anew. */
function keepsItems(step: StepRow): boolean {
  return hasItems(step) && step.stoppedIn !== "prep";
}

function nameOf({ step, index }: ItemId): string {
  return `item ${index} of step ${step}`;
}

/** The steps that the run would go on with, as they would be. */
function stepsAfter(store: Store, { state }: Walk, chosen: readonly ItemId[]): StepRow[] {
  const kept = state.status === "completed" ? store.checkpoints.read() : null;
  const stands = kept?.steps ?? [...store.steps.open(), ...store.steps.stopped()];
  const { true: stopped = [], false: open = [] } = Object.groupBy(stands, ({ phase }) => `${phase === "stopped"}`);
  const failedEnds = kept?.failedEnds ?? store.steps.failedEnds();
  return reopen({ open, stopped, failedEnds }, stepsOf(chosen)).steps;
}

function tooLate(item: ItemId, { state }: Walk): string {
  return state.status === "completed"
    ? `Expected items that the first post with failures has seen, got ${nameOf(item)}: a retry takes the run back to before that post, ` +
        `and executes this step anew. Retry all that has failed`
    : `Expected items whose failures no post has seen, got ${nameOf(item)}: no retry goes back to before that post`;
}

/** What would fail again at once, because others of its items are left, ends the run, or a branch that has a chosen item in it. */
function tooMany(
  steps: readonly StepRow[],
  store: Store,
  { state, flow: { graph } }: Walk,
  chosen: readonly ItemId[],
): string | undefined {
  // Of a flow that one of these nodes is gone from nothing is executed.
  if (!steps.every(({ node }) => graph.has(node))) return undefined;
  const counts = store.items.settled(steps.filter(keepsItems).map(({ id }) => id));
  const chosenOf = Map.groupBy(chosen, ({ step }) => step);
  const running: RunState = { ...state, status: "running", error: null, completionReason: null };
  const all = new Map<number, Step>(steps.map((step) => [step.id, goingOn(step)]));
  for (const step of steps) {
    const { id, node, total, branches, failedBranches } = step;
    const tolerance = graph.tolerance(node);
    if (!isTolerated(tolerance, failedBranches, branches)) return leftOver(failedBranches, "branches", id, node);
    const left = (counts.get(id)?.failed ?? 0) - (chosenOf.get(id)?.length ?? 0);
    if (isTolerated(tolerance, left, total)) continue;
    const { status, completionReason, error } = failAgain(all, step, running, graph);
    if (completionReason === "tolerance-exceeded") return tooManyBranches(all, error as RunError);
    const isCutOff = chosen.some(({ step }) => !isOpen(all.get(step) as Step));
    if (status === "failed" || isCutOff) return leftOver(left, "items", id, node);
  }
  return undefined;
}

function isTolerated(tolerance: Tolerance | null, failed: number, of: number): boolean {
  return failed === 0 || (tolerance !== null && !isExceeded(tolerance, failed, of));
}

/** What a run of these steps is once one of them has failed. */
function failAgain(all: Map<number, Step>, { id, node, branch }: StepRow, run: RunState, graph: Graph): RunState {
  const error: RunError = { name: "Error", message: "", node, branch, index: null, attempts: null };
  const event: Event = { type: "failed", step: id, error, reason: "item-failed" };
  const made = transition(run, stepsOver(all), event, graph, 0);
  for (const step of made.steps) all.set(step.id, step);
  return made.run;
}

/** `error` is of the batch flow that would fail. */
function tooManyBranches(all: ReadonlyMap<number, Step>, error: RunError): string {
  const isMeant = ({ node, branch }: Step) => node === error.node && branch === error.branch;
  const { id, node, failedBranches } = [...all.values()].find(isMeant) as Step;
  return leftOver(failedBranches + 1, "branches", id, node);
}

/** A step once its branch goes on. */
function goingOn(step: StepRow): Step {
  return { ...step, phase: step.stoppedIn ?? step.phase, stoppedIn: null };
}

function stepsOver(all: ReadonlyMap<number, Step>): Steps {
  return { of: (id) => all.get(id), open: () => [...all.values()].filter(isOpen), stoppedIn: () => [] };
}

function leftOver(count: number, parts: string, step: number, node: string): string {
  return (
    `Expected the other failed ${parts} of step ${step} as well: ${count} would stay failed, which is more than \`${node}\` ` +
    "tolerates. Retry these too, or all that has failed"
  );
}
