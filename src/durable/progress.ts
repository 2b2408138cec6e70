import type { Counts } from "./items.ts";
import type { StepRow } from "./step-store.ts";
import type { Store } from "./store.ts";
import type { Walk } from "./walk.ts";

/** How far one node of a run is, over all its steps. */
export interface NodeProgress {
  node: string;
  /** How often the flow has come to it. */
  steps: number;
  /** How many of these steps are under way. */
  open: number;
  items: Counts & { canceled: number };
  /** How many of its items may be in exec at once. */
  concurrency: number;
  /** The names of its limits. */
  limits: string[];
}

const NO_ITEMS = { total: 0, pending: 0, running: 0, deferred: 0, succeeded: 0, failed: 0, canceled: 0 };
const COUNTED = ["total", "pending", "running", "deferred", "succeeded", "failed"] as const;

/** How far each node is that the run has come to, in the order of the flow. */
export function progressOf(walk: Walk, store: Store): NodeProgress[] {
  const nodes = new Map<string, NodeProgress>();
  const at = (node: string): NodeProgress => {
    const known = nodes.get(node) ?? { node, steps: 0, open: 0, items: { ...NO_ITEMS }, ...boundsOf(walk, node) };
    nodes.set(node, known);
    return known;
  };
  for (const { node, steps, ...tally } of store.steps.overByNode()) {
    const progress = at(node);
    progress.steps += steps;
    addSettled(progress, tally);
  }
  for (const step of walk.openSteps()) addOpen(at(step.node), step, walk, store);
  for (const [node, pool] of walk.ledger.byNode()) {
    for (const { counts } of pool.groups) for (const key of COUNTED) at(node).items[key] += counts[key];
  }
  for (const step of walk.waitingSteps()) expect(at(step.node), step);
  if (walk.isFinished) for (const progress of nodes.values()) end(progress);
  const order = walk.row.shape.nodes.map(({ id }) => id);
  return [...nodes.values()].sort((a, b) => order.indexOf(a.node) - order.indexOf(b.node));
}

/** Of a step in exec the ledger counts the items, until they are all settled. */
function addOpen(progress: NodeProgress, step: StepRow, walk: Walk, store: Store): void {
  progress.steps++;
  progress.open++;
  if (step.phase === "post") addSettled(progress, step);
  else if (step.phase === "exec" && !walk.ledger.group(step.id)) addSettled(progress, store.items.tally(step));
}

function addSettled(
  { items }: NodeProgress,
  { total, succeeded, failed }: Pick<StepRow, "total" | "succeeded" | "failed">,
) {
  items.total += total;
  items.succeeded += succeeded;
  items.failed += failed;
  items.canceled += total - succeeded - failed;
}

/** A stopped step will go on: what of it was not executed is not canceled. */
function expect({ items }: NodeProgress, { total, succeeded, failed, lateAction }: StepRow): void {
  if (lateAction !== null) return;
  items.failed -= failed;
  items.canceled -= total - succeeded - failed;
  items.pending += total - succeeded;
}

/** What a finished run never executed is canceled. */
function end(progress: NodeProgress): void {
  const { items } = progress;
  progress.open = 0;
  items.canceled += items.pending + items.running + items.deferred;
  Object.assign(items, { pending: 0, running: 0, deferred: 0 });
}

function boundsOf(walk: Walk, node: string): Pick<NodeProgress, "concurrency" | "limits"> {
  if (!walk.flow.graph.has(node)) return { concurrency: 0, limits: [] };
  const { concurrency, limits } = walk.flow.planOf(node);
  return { concurrency, limits: limits.map(({ name }) => name) };
}
