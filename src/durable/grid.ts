import type { ItemStatus } from "./statuses.ts";
import type { StepRow } from "./step-store.ts";
import type { Store } from "./store.ts";
import { statusOf } from "./view.ts";
import type { Walk } from "./walk.ts";

/** The statuses of all items of a node: of each step a letter for each item, the first of its status. */
export interface Grid {
  node: string;
  steps: [step: number, letters: string][];
}

/** How the items of a node stand, in the order of steps and indexes. */
export function gridOf(walk: Walk, store: Store, node: string): Grid {
  const held = new Map<number, Set<number>>();
  for (const item of walk.ledger.heldItems()) {
    const indexes = held.get(item.step) ?? new Set();
    for (const index of walk.ledger.group(item.step)?.membersOf(item) ?? [item.index]) indexes.add(index);
    held.set(item.step, indexes);
  }
  const rows = store.items.statusesOf(node);
  let next = rows.next();
  const steps: Grid["steps"] = [];
  for (const step of store.steps.withItems(node, 0)) {
    const known = new Map<number, "pending" | "deferred" | "succeeded" | "failed">();
    for (; !next.done && next.value.step === step.id; next = rows.next())
      known.set(next.value.index, next.value.status);
    steps.push([step.id, lettersOf(walk, step, known, held.get(step.id))]);
  }
  return { node, steps };
}

function lettersOf(
  walk: Walk,
  step: StepRow,
  known: ReadonlyMap<number, "pending" | "deferred" | "succeeded" | "failed">,
  held: ReadonlySet<number> | undefined,
): string {
  let letters = "";
  for (let index = 0; index < step.total; index++) {
    const status: ItemStatus = statusOf(walk, step, index, known.get(index), held?.has(index) === true);
    letters += status.charAt(0);
  }
  return letters;
}
