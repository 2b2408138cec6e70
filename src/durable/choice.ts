import { reopen } from "../core/redrive.ts";
import { isExceeded } from "../core/tolerance.ts";
import type { ItemId } from "./items.ts";
import { hasItems, stepsOf } from "./redrive.ts";
import type { StepRow } from "./step-store.ts";
import type { Store } from "./store.ts";
import type { Walk } from "./walk.ts";

/**
 * Why a finished run cannot be redriven with these of its failed items alone; nothing where it can. What would fail again at once,
 * as more has failed beside these than its node or batch flow tolerates, is refused. Only reads.
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

/** More would be left than a node or a batch flow tolerates. */
function tooMany(
  steps: readonly StepRow[],
  store: Store,
  { flow }: Walk,
  chosen: readonly ItemId[],
): string | undefined {
  const counts = store.items.settled(steps.filter(keepsItems).map(({ id }) => id));
  const chosenOf = Map.groupBy(chosen, ({ step }) => step);
  for (const { id, node, total, branches, failedBranches } of steps) {
    // Of a node that is there no more nothing is executed.
    if (!flow.graph.has(node)) continue;
    const left = (counts.get(id)?.failed ?? 0) - (chosenOf.get(id)?.length ?? 0);
    const isTolerated = (failed: number, of: number) => {
      const tolerance = flow.graph.tolerance(node);
      return failed === 0 || (tolerance !== null && !isExceeded(tolerance, failed, of));
    };
    if (!isTolerated(left, total)) return leftOver(left, "items", id, node);
    if (!isTolerated(failedBranches, branches)) return leftOver(failedBranches, "branches", id, node);
  }
  return undefined;
}

function leftOver(count: number, parts: string, step: number, node: string): string {
  return (
    `Expected the other failed ${parts} of step ${step} as well: ${count} would stay failed, which is more than \`${node}\` ` +
    "tolerates. Retry these too, or all that has failed"
  );
}
