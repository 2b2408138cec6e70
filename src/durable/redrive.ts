import { type Reopened, redriven, reopen } from "../core/redrive.ts";
import { indexOf, type RunState } from "../core/run.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { ItemId } from "./items.ts";
import type { StepRow } from "./step-store.ts";
import type { HeldItem, Store } from "./store.ts";

/**
 * Takes a finished run up again, in its rows; memory is then built from these, as after a crash. A failed or canceled run goes on
 * where it stood. A completed one goes back to the checkpoint before the first post that saw a failed item. Either way items that
 * have a result keep it, and failed branches that no post has seen go on where they failed. Called in a transaction.
 *
 * `held` are the items that may be in exec still. Of the failed items only the `chosen` are executed again, which `refusalOf` has
 * nothing against; `null`: all.
 */
export function redrive(
  store: Store,
  before: RunState,
  held: Iterable<HeldItem>,
  chosen: readonly ItemId[] | null,
  nowMs: number,
): void {
  const state = before.status === "completed" ? rewind(store, before, nowMs) : before;
  const open = store.steps.open();
  const standing = { open, stopped: store.steps.stopped(), failedEnds: store.steps.failedEnds() };
  const { steps, forgotten } = reopen(standing, stepsOf(chosen));
  forgetEnds(store, forgotten);
  const withItems = steps.filter(hasItems).map(({ id }) => id);
  const heldItems = [...held];
  const chunked = new Set(steps.flatMap(({ id, batchSize }) => (batchSize === null ? [] : [id])));
  // Of a chunk that is held, items may have failed that are not held with it.
  const failed = store.items.reset(
    withItems,
    heldItems.filter(({ step }) => !chunked.has(step)),
    chosen,
  );
  store.chunks.reset(withItems, heldItems, chosen ?? []);
  const settled = store.items.settled(withItems);
  const untouched = new Set(open);
  for (const step of steps) {
    if (untouched.has(step)) continue;
    store.steps.restore(toExec(step, settled.get(step.id) ?? NONE_SETTLED));
    // Its items are given anew.
    if (step.stoppedIn === "prep") forgetItems(store, "=", step.id);
  }
  const { status, completionReason } = before;
  store.saveState(redriven(state, { atMs: nowMs, status, completionReason, failed }));
  store.saveLosses({});
}

export function stepsOf(chosen: readonly ItemId[] | null): Set<number> | null {
  return chosen && new Set(chosen.map(({ step }) => step));
}

/** What a post has seen stays as it was, though the step of that post has not gone on yet. */
export function hasItems({ total, lateAction }: StepRow): boolean {
  return total > 0 && lateAction === null;
}

type Settled = Pick<StepRow, "succeeded" | "failed">;
const NONE_SETTLED: Settled = { succeeded: 0, failed: 0 };

/** Whether a step's items are all settled is never stored: they say so themselves. Of one that waits the settled ones are counted. */
function toExec(step: StepRow, settled: Settled): StepRow {
  if (step.lateAction !== null) return step;
  if (step.phase !== "stopped") return { ...step, ...NONE_SETTLED };
  const stoppedIn = step.stoppedIn === "post" && step.total > 0 ? "exec" : step.stoppedIn;
  return { ...step, stoppedIn, ...settled };
}

function forgetEnds(store: Store, ends: Reopened<StepRow>["forgotten"]): void {
  for (const [step, own] of Map.groupBy(ends, (end) => end.step)) {
    store.steps.forgetEnds(
      step,
      own.map(({ index }) => index),
    );
  }
}

/** Puts the rows back to the checkpoint. Later steps are forgotten; their numbers are not used again, for vendors may know them. */
function rewind(store: Store, before: RunState, nowMs: number): RunState {
  const { state, steps, failedEnds, graph } = store.checkpoints.take() as Checkpoint;
  forgetItems(store, ">", state.lastStep);
  store.steps.forget(">", state.lastStep);
  store.journal.restore(graph);
  // Items of stopped steps may have ended since.
  const settled = store.items.settled(steps.flatMap(({ id, phase }) => (phase === "stopped" ? [id] : [])));
  let { lastStep } = before;
  for (const step of steps) {
    const { fields = null } = store.steps.step(step.id) ?? {};
    if (step.phase === "prep" || step.stoppedIn === "prep") beginAnew(store, step, ++lastStep, nowMs);
    else store.steps.restore({ ...step, ...settled.get(step.id), fields });
    if (step.branches > 0) forgetLaterEnds(store, step, steps);
  }
  store.steps.saveEnds(failedEnds);
  const { startedMs, redrives, redriveCount } = before;
  return { ...state, lastStep, startedMs, redrives, redriveCount };
}

/** A step of which prep had not ended gets other items now, and so another number. */
function beginAnew(store: Store, step: StepRow, id: number, nowMs: number): void {
  forgetItems(store, "=", step.id);
  store.steps.forget("=", step.id);
  store.steps.save([{ row: { ...step, id }, isNew: true, item: null, needs: null }], nowMs);
}

function forgetItems(store: Store, which: "=" | ">", step: number): void {
  store.items.forget(which, step);
  store.chunks.forget(which, step);
  store.tries.forget(which, step);
}

/** Of a batch flow's branches those had not ended which were under way, or had not begun. */
function forgetLaterEnds(store: Store, flow: StepRow, steps: readonly StepRow[]): void {
  const children = steps.filter(({ parent }) => parent === flow.id);
  const underWay = new Set(children.map(indexOf));
  const ends = store.steps.ends(flow.id).filter(({ index }) => underWay.has(index) || index >= flow.begun);
  forgetEnds(store, ends);
}
