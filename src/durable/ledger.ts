import type { Failure } from "../core/errors.ts";
import type { ItemRow } from "./item-store.ts";
import type { Outcome, StepItems } from "./items.ts";
import type { PermitEnding, PermitNews } from "./permits.ts";
import { type Entry, LEASE_MS, type Slot, Slots, type Wake } from "./slots.ts";
import type { HeldItem, Home, Store } from "./store.ts";

/** What a report or a lost executor made of items. */
export interface Settled {
  /** Items that failed for good, in the order in which that happened. */
  failures: { step: number; index: number; attempts: number; failure: Failure }[];
  /** The steps whose items may all be settled now. */
  steps: Set<number>;
  /** What execs have set on their step's node, encoded. */
  fields: { step: number; fields: string }[];
}

/**
 * Who holds what: the slots of a run and the open steps' items. Its methods are called within a transaction; each leaves rows
 * and memory saying the same.
 */
export class Ledger {
  readonly steps = new Map<number, StepItems>();
  readonly slots: Slots;
  #news: PermitNews = { begun: [], ended: [], unused: [] };
  /** What executors held that fell silent, and until when its permits are kept. */
  #silent = new Map<HeldItem, number>();
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
    this.slots = new Slots(store);
  }

  restore(steps: StepItems[], nowMs: number): void {
    this.slots.restore(nowMs);
    const given = [...this.heldItems()];
    const held = new Set<HeldItem>();
    for (const step of steps) {
      this.steps.set(step.step, step);
      for (const item of step.restore(given.filter((item) => item.step === step.step))) held.add(item);
    }
    // Not by intersection(), which may change the order, and the order tells what an executor has missed.
    for (const slot of this.slots.all()) slot.held = new Set([...slot.held].filter((item) => held.has(item)));
  }

  /** How many items are in exec now. */
  get held(): number {
    return this.slots.sum((slot) => slot.held.size);
  }

  /** Calls of exec that were handed out, ever. */
  get executions(): number {
    return this.slots.sum((slot) => slot.claimed);
  }

  /** Slots that were ever given an item. */
  get executors(): number {
    return this.slots.sum((slot) => (slot.claimed > 0 ? 1 : 0));
  }

  /** What became of permits since this was last asked. */
  takeNews(): PermitNews {
    const news = this.#news;
    if (news.begun.length + news.ended.length + news.unused.length > 0)
      this.#news = { begun: [], ended: [], unused: [] };
    return news;
  }

  get isLimited(): boolean {
    for (const step of this.steps.values()) if (step.isLimited) return true;
    return false;
  }

  *heldItems(): Generator<HeldItem> {
    for (const slot of this.slots.all()) yield* slot.held;
  }

  /** Whether anyone is in exec or called to it, so that a lease must be watched. */
  get isBusy(): boolean {
    return this.slots.sum((slot) => (slot.state === "idle" ? 0 : 1)) > 0;
  }

  /** Whether an item could be given to an executor now. */
  get canBegin(): boolean {
    for (const step of this.steps.values()) if (step.startable > 0 || (step.hasSuspect && this.held === 0)) return true;
    return false;
  }

  /** When the first deferred item is due. */
  get earliestDueMs(): number | null {
    let earliest: number | null = null;
    for (const { earliestDueMs } of this.steps.values()) {
      if (earliestDueMs !== null && earliestDueMs < (earliest ?? Number.POSITIVE_INFINITY)) earliest = earliestDueMs;
    }
    return earliest;
  }

  /** Calls as many slots as could begin items now, beyond those called already. Returns the wakes to be sent. */
  wakeForWork(nowMs: number): Wake[] {
    for (const step of this.steps.values()) step.release(nowMs);
    if (this.#isInlineWork()) return [this.slots.wake("inline", nowMs)];
    return (["object", "queue"] as const).flatMap((home) => {
      const missing = this.#executorsWanted(home) - this.slots.expectedAt(home);
      return Array.from({ length: Math.max(0, missing) }, () => this.slots.wake(home, nowMs));
    });
  }

  /**
   * Picks executors that are there and have room for what has got a permit: an object that waits for its calls to end is told,
   * which is cheaper than another object. One that is about to be answered anyway needs no telling.
   */
  nudge(): Slot[] {
    const nudged: Slot[] = [];
    for (const step of this.steps.values()) {
      if (!step.isLimited || step.plan.home !== "object" || this.#hasLoneSuspect()) continue;
      for (const slot of this.slots.all()) {
        if (this.#unexpected(step) <= 0) break;
        if (slot.home !== "object" || slot.state !== "live" || slot.isNudged || roomAt(slot, step) <= 0) continue;
        slot.isNudged = true;
        nudged.push(slot);
      }
    }
    return nudged;
  }

  /**
   * An executor enters the slot it was called to; nothing is returned where it is refused. Where it takes over from an entry
   * that must be dead (its alarm runs again, or its message was delivered once more), what that one held is pending at once,
   * without waiting for its lease.
   */
  enter(entry: Entry, nowMs: number): { fence: number; lost: Settled } | undefined {
    const acceptance = this.slots.judge(entry);
    if (acceptance === "refused") return undefined;
    const slot = this.slots.get(entry.slot) as Slot;
    const lost = acceptance === "over" ? this.#lose(slot, nowMs) : this.#settled([]);
    if (acceptance === "again") this.slots.renew(slot, nowMs);
    else this.slots.admit(slot, entry, nowMs);
    return { fence: slot.fence, lost };
  }

  /**
   * Commits what an executor reports. A stale one's successes count where the item has no result yet, since somebody paid for
   * them; its failures never do.
   */
  settle(id: number, fence: number, outcomes: Outcome[], nowMs: number, random: () => number): Settled {
    const isCurrent = this.slots.isCurrent(id, fence);
    if (isCurrent) this.slots.renew(this.slots.get(id) as Slot, nowMs);
    const rows: ItemRow[] = [];
    const fields: Settled["fields"] = [];
    for (const outcome of outcomes) {
      const step = this.steps.get(outcome.step);
      const held = step?.heldItem(outcome.index) ?? null;
      const isHolder = isCurrent && held?.slot === id && held.attempts === outcome.attempts;
      const unused = step?.isLimited ? step.permitsOf(outcome.index) : [];
      const row = isHolder || outcome.ok ? step?.settle(outcome, nowMs, random()) : undefined;
      if (!row) continue;
      // It had been given a permit to be executed once more.
      if (unused.length > 0) this.#news.unused.push(...unused);
      rows.push(row);
      if (outcome.fields !== undefined) fields.push({ step: outcome.step, fields: outcome.fields });
      // An item that has an outcome is held by nobody any more, whoever brought it.
      if (held) this.#release(held, nowMs, isHolder ? endingOf(outcome) : LOST);
    }
    return { ...this.#settled(rows), fields };
  }

  /** An executor says that calls have begun. */
  begun(id: number, fence: number, begun: { step: number; index: number; ageMs: number }[], nowMs: number): void {
    if (!this.slots.isCurrent(id, fence)) return;
    for (const { step, index, ageMs } of begun) {
      const held = this.steps.get(step)?.heldItem(index);
      if (held?.slot === id) this.#news.begun.push({ permits: held.permits, atMs: nowMs - ageMs });
    }
  }

  /** An executor of a run that has finished has nothing in exec any more: what it held and never reported is over. */
  drop(id: number, nowMs: number): void {
    for (const item of this.slots.get(id)?.held ?? []) this.#release(item, nowMs, LOST);
  }

  /** An item that never begins, because no permit for it can be had. */
  fail(step: number, index: number, failure: Failure, nowMs: number): Settled {
    const row = this.steps.get(step)?.fail(index, failure, nowMs);
    return this.#settled(row ? [row] : []);
  }

  /**
   * Hands the slot as many items as it may hold, stopping where `isFull` says that the answer grows too large. A suspect only
   * when nothing else of the run is in exec. Items of an earlier answer that never arrived (the executor has `received` fewer
   * than it was given) come first, at no cost.
   */
  claim(id: number, received: number, isFull: (item: HeldItem) => boolean, nowMs: number): HeldItem[] {
    const slot = this.slots.get(id) as Slot;
    const missed = slot.given > received ? [...slot.held].slice(received - slot.given) : [];
    if (missed.some(isFull) || this.#hasLoneSuspect()) return missed;
    for (const step of this.steps.values()) step.release(nowMs);
    const claimed = this.#take(slot, isFull, nowMs);
    if (claimed.length === 0 && this.held === 0) claimed.push(...this.#takeSuspect(id, nowMs));
    if (claimed.length > 0) this.slots.give(slot, claimed);
    return [...missed, ...claimed];
  }

  /** Whether the slot holds nothing: its executor may leave. */
  isEmpty(id: number): boolean {
    return this.slots.get(id)?.held.size === 0;
  }

  /**
   * Takes back what executors held that no longer report. Its permits only a lease later: an executor that cannot reach its run
   * goes on for so long with what it has begun.
   */
  expire(nowMs: number): Settled {
    for (const [item, untilMs] of this.#silent) if (untilMs <= nowMs) this.#endPermits(item, nowMs, LOST);
    const isSilent = (slot: Slot) => slot.state === "live" && slot.leaseMs <= nowMs;
    for (const { held } of this.slots.find(isSilent)) {
      for (const item of held) this.#silent.set(item, nowMs + LEASE_MS);
    }
    return this.#evict(isSilent, nowMs);
  }

  /** The run's own object was away: what it executed inline is lost. */
  loseInline(nowMs: number): Settled {
    return this.#evict((slot) => slot.state !== "idle" && slot.home === "inline", nowMs);
  }

  #evict(isLost: (slot: Slot) => boolean, nowMs: number): Settled {
    const settled = this.slots.find(isLost).map((slot) => {
      const lost = this.#lose(slot, nowMs);
      this.slots.leave(slot.id);
      return lost;
    });
    return {
      failures: settled.flatMap((lost) => lost.failures),
      steps: new Set(settled.flatMap((lost) => [...lost.steps])),
      fields: [],
    };
  }

  #lose(slot: Slot, nowMs: number): Settled {
    const lost = [...slot.held];
    const rows = lost.flatMap((item) => this.steps.get(item.step)?.crash(item, nowMs) ?? []);
    slot.held.clear();
    for (const item of lost) if (!this.#silent.has(item)) this.#endPermits(item, nowMs, LOST);
    return this.#settled(rows);
  }

  #release(item: HeldItem, nowMs: number, ending: PermitEnding): void {
    this.slots.get(item.slot)?.held.delete(item);
    this.#endPermits(item, nowMs, ending);
  }

  #endPermits(item: HeldItem, nowMs: number, ending: PermitEnding): void {
    if (item.permits.length === 0) return;
    this.#silent.delete(item);
    this.#news.ended.push({ permits: item.permits, atMs: nowMs, ending });
  }

  #settled(rows: ItemRow[]): Settled {
    this.#store.items.save(rows);
    const failed = rows.filter((row) => row.status === "failed");
    return {
      failures: failed.map(({ step, index, attempts, body }) => ({
        step,
        index,
        attempts,
        failure: JSON.parse(body as string),
      })),
      steps: new Set(rows.map((row) => row.step)),
      fields: [],
    };
  }

  #take(slot: Slot, isFull: (item: HeldItem) => boolean, nowMs: number): HeldItem[] {
    const taken: HeldItem[] = [];
    for (const step of this.steps.values()) {
      if (slot.home !== "inline" && step.plan.home !== slot.home) continue;
      while (slot.held.size + taken.length < step.plan.perExecutor) {
        const item = step.take(slot.id, nowMs);
        if (item === undefined) break;
        taken.push(item);
        if (isFull(item)) return taken;
      }
    }
    return taken;
  }

  #takeSuspect(slot: number, nowMs: number): HeldItem[] {
    for (const step of this.steps.values()) {
      const item = step.takeSuspect(slot, nowMs);
      if (item) return [item];
    }
    return [];
  }

  /** Whether a suspect is in exec: then it is the only item that is. */
  #hasLoneSuspect(): boolean {
    if (this.held !== 1) return false;
    for (const item of this.heldItems()) if (this.steps.get(item.step)?.isSuspect(item.index)) return true;
    return false;
  }

  #executorsWanted(home: Home): number {
    if (this.#hasLoneSuspect()) return 0;
    const steps = [...this.steps.values()].filter((step) => step.plan.home === home);
    const wanted = steps.map((step) => Math.ceil(this.#unexpected(step) / step.plan.perExecutor));
    const sum = wanted.reduce((total, count) => total + count, 0);
    return sum > 0 || this.held > 0 ? sum : Number(steps.some((step) => step.hasSuspect));
  }

  /** What could begin in a step beyond what executors that will report soon have room for. */
  #unexpected(step: StepItems): number {
    const { isLimited, startable } = step;
    if (!isLimited || startable === 0) return startable;
    const isExpected = ({ state, isNudged }: Slot) => isNudged && state === "live";
    return Math.max(0, startable - this.slots.sum((slot) => (isExpected(slot) ? roomAt(slot, step) : 0)));
  }

  /** A run's sole open item is executed where the run is, unless it has crashed before. */
  #isInlineWork(): boolean {
    const [step, ...others] = this.steps.values();
    if (!step || others.length > 0 || step.total !== 1 || this.isBusy) return false;
    return step.startable === 1 && step.history(0).crashes === 0;
  }
}

function roomAt({ held }: Slot, { plan }: StepItems): number {
  return Math.max(0, plan.perExecutor - held.size);
}

const LOST: PermitEnding = { as: "lost", tokens: null, retryAfterMs: null };

function endingOf(outcome: Outcome): PermitEnding {
  const tokens = outcome.tokens ?? null;
  if (outcome.ok) return { as: "succeeded", tokens, retryAfterMs: null };
  const { rateLimited, retryAfterMs = null } = outcome.failure;
  return { as: rateLimited ? "refused" : "failed", tokens, retryAfterMs: rateLimited ? retryAfterMs : null };
}
