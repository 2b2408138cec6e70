import { sleep } from "../core/attempt.ts";
import type { Effect, RunState } from "../core/run.ts";
import { ChunkItems } from "./chunk-items.ts";
import type { EventStore } from "./event-store.ts";
import { lifeOf } from "./keys.ts";
import type { Outcome } from "./outcome.ts";
import type { Pages } from "./pages.ts";
import type { Permits } from "./permits.ts";
import type { ClaimedChunk, ClaimedItem, Reply, Report, StepBrief } from "./protocol.ts";
import type { Entry, Slot } from "./slots.ts";
import type { StepRow } from "./step-store.ts";
import type { HeldItem } from "./store.ts";
import type { Walk } from "./walk.ts";

/** An executor's answer waits so long for a limiter's, which may have items for it. */
export const LONGEST_HOLD_MS = 50;

/** Where a run's executors come: takes what they say, and answers. All but `hold` is called within a transaction. */
export class Desk {
  readonly #walk: Walk;
  readonly #pages: Pages;
  readonly #permits: Permits;
  readonly #events: EventStore;

  constructor(walk: Walk, pages: Pages, permits: Permits, events: EventStore) {
    this.#events = events;
    this.#walk = walk;
    this.#pages = pages;
    this.#permits = permits;
  }

  enter(entry: Entry, nowMs: number): { answer: Reply | null; effects: Effect[] } {
    const entered = this.#walk.ledger.enter(entry, nowMs);
    if (!entered) return { answer: null, effects: [] };
    const effects = this.#walk.react(entered.lost);
    const first = { slot: entry.slot, fence: entered.fence, isClaiming: true, received: 0 };
    return { answer: this.reply(first, nowMs), effects };
  }

  take({ slot, fence, outcomes, begun, emits, isIdle, isClaiming }: Report, nowMs: number): Effect[] {
    const { ledger, flow, state, isFinished } = this.#walk;
    if (emits.length > 0 && !isFinished) this.#keepEmits(emits, nowMs);
    // The node of a changed flow may be another by now, or gone: who knows whether a failure is its last. It counts as a loss.
    const known = flow.changes.length > 0 ? outcomes.filter(({ ok }) => ok) : outcomes;
    const judged = isFinished ? known.map(lateOf) : known;
    ledger.begun(slot, fence, begun, nowMs);
    const effects = this.#walk.react(ledger.settle(slot, fence, judged, nowMs, Math.random));
    const isLeaving = state.status !== "running" || !isClaiming;
    if (isIdle && isLeaving && ledger.slots.isCurrent(slot, fence)) ledger.letGo(slot, nowMs);
    return effects;
  }

  /**
   * Whether an executor that finds nothing to do is better answered a moment later: hooks that its outcomes lead to may have
   * items for it, or those of other branches, or, where items need permits, the limiter's answer. So it need not leave and be
   * called again, which costs more than to wait.
   */
  mayHaveMoreSoon({ slot, fence, isClaiming }: Report, effects: Effect[]): boolean {
    const { ledger, state } = this.#walk;
    if (!isClaiming || state.status !== "running" || !ledger.slots.isCurrent(slot, fence)) return false;
    return (effects.length > 0 || ledger.isLimited || this.#walk.isBranching) && !ledger.canBegin;
  }

  /** Waits for what `mayHaveMoreSoon` promises. */
  async hold({ slot: id }: Report, flushed: Promise<void> | undefined): Promise<void> {
    const slot = this.#walk.ledger.slots.get(id) as Slot;
    const answer = this.#walk.ledger.isLimited ? this.#permits.nextAnswer : undefined;
    if (!answer && !flushed) return;
    slot.isNudged = true;
    await Promise.race([answer ?? flushed, flushed ?? answer, sleep(LONGEST_HOLD_MS)]);
    slot.isNudged = false;
  }

  reply(
    { slot, fence, isClaiming, received }: Pick<Report, "slot" | "fence" | "isClaiming" | "received">,
    nowMs: number,
  ): Reply {
    const { ledger, state } = this.#walk;
    const isCurrent = ledger.slots.isCurrent(slot, fence);
    const isStopped = !isCurrent || isCutShort(state);
    const isClosed = !isCurrent || state.status !== "running";
    const claimed = isClosed || !isClaiming ? [] : ledger.claim(slot, received, this.#meter(), nowMs);
    ledger.slots.answered(slot);
    const isDone = isCurrent && ledger.isEmpty(slot);
    if (isDone) ledger.slots.leave(slot);
    return { fence, isStopped, isClosed, isDone, ...this.#brief(claimed) };
  }

  /** What exec emitted in a step that is over is of no interest any more. */
  #keepEmits(emits: Report["emits"], nowMs: number): void {
    const known = emits.flatMap(({ step, ...emit }) => {
      const { node, branch } = this.#walk.step(step) ?? {};
      return node === undefined || branch === undefined ? [] : [{ step, node, branch, ...emit }];
    });
    if (known.length > 0) this.#events.emitted(known, nowMs);
  }

  #brief(claimed: HeldItem[]): Pick<Reply, "steps" | "items"> {
    const briefs = new Map<string, StepBrief>();
    for (const id of new Set(claimed.map((item) => item.step))) {
      const { node, fields } = this.#walk.step(id) as StepRow;
      const key = `${node}\n${fields}`;
      const known = briefs.get(key);
      if (known) known.steps.push(id);
      else briefs.set(key, { node, fields, steps: [id] });
    }
    return { steps: [...briefs.values()], items: claimed.map((item) => this.#claimed(item)) };
  }

  #meter(): (item: HeldItem) => boolean {
    const { ledger } = this.#walk;
    return this.#pages.meter((item) => {
      const group = ledger.group(item.step);
      if (!(group instanceof ChunkItems)) return [item.index];
      return isPoll(group.chunkOf(item)) ? [] : group.membersOf(item);
    });
  }

  #chunk(held: HeldItem, group: ChunkItems): ClaimedChunk {
    const indexes = [...group.membersOf(held)];
    const chunk = { ...group.chunkOf(held), life: lifeOf(this.#walk.row) };
    if (isPoll(chunk)) return { ...chunk, indexes: [], items: [] };
    return { ...chunk, indexes, items: indexes.map((index) => this.#pages.item(held.step, index)) };
  }

  #claimed(held: HeldItem): ClaimedItem {
    const { step, index, attempts, permits } = held;
    const group = this.#walk.ledger.group(step);
    const isLast = group?.isLastAttempt(held) ?? true;
    const redrives = group?.history(held).redrives ?? 0;
    const chunk = group instanceof ChunkItems ? this.#chunk(held, group) : undefined;
    const item: ClaimedItem = { step, index, attempts, redrives, isLast, item: "" };
    if (chunk) item.chunk = chunk;
    else item.item = this.#pages.item(step, index);
    if (permits.length === 0) return item;
    return { ...item, refusalCosts: this.#permits.hasGivenUp(permits) ? "an attempt" : "nothing" };
  }
}

/** Whether a chunk's job is asked only how far it is: that needs none of its items. */
function isPoll({ job }: Pick<ClaimedChunk, "job">): boolean {
  return typeof job?.job === "string" && !job.isEnded;
}

/** What an executor of a run that has finished may still bring. */
function lateOf(outcome: Outcome): Outcome {
  if (!outcome.ok) return { ...outcome, isLate: true };
  if (!("parts" in outcome)) return outcome;
  return { ...outcome, parts: outcome.parts.filter(([, result]) => typeof result === "string") };
}

/** Whether what is in exec is to end now: a run that has failed lets it end by itself. */
export function isCutShort({ completionReason }: RunState): boolean {
  return completionReason === "canceled" || completionReason === "deadline-exceeded";
}
