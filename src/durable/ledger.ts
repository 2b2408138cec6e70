import type { Failure } from "../core/errors.ts";
import type { ItemRow } from "./item-store.ts";
import type { Outcome, StepItems } from "./items.ts";
import type { HeldItem, Home, SlotRow, Store } from "./store.ts";

/** How long a claim is believed without a report. */
export const LEASE_MS = 10_000;
/** How often an executor reports at least. */
export const RENEWAL_MS = LEASE_MS / 3;
/** What a lease is worth after the run's object was loaded anew: a living executor reports within a renewal. */
const GRACE_MS = 4_000;

interface Slot extends SlotRow {
  /** Until when its claim is believed. Kept in memory only: renewing it must not cost a row. */
  leaseMs: number;
}

/** A call to come and pull. */
export interface Wake {
  slot: number;
  wake: number;
  home: Home;
}

/** An executor's answer to a wake. */
export interface Entry {
  slot: number;
  wake: number;
  /** Which delivery of the wake this is. */
  delivery: number;
  /** A name the executor gave itself for this entry. */
  entry: string;
}

/** What a report or a lost executor made of items. */
export interface Settled {
  /** Items that failed for good, in the order in which that happened. */
  failures: { step: number; index: number; attempts: number; failure: Failure }[];
  /** The steps whose items may all be settled now. */
  steps: Set<number>;
}

/**
 * Who holds what: the slots of a run and the open steps' items. Its methods are called within a transaction; each leaves rows
 * and memory saying the same.
 */
export class Ledger {
  readonly steps = new Map<number, StepItems>();
  readonly #store: Store;
  readonly #slots = new Map<number, Slot>();

  constructor(store: Store) {
    this.#store = store;
  }

  restore(steps: StepItems[], nowMs: number): void {
    for (const row of this.#store.slots()) this.#slots.set(row.id, { ...row, leaseMs: nowMs + GRACE_MS });
    const given = [...this.heldItems()];
    const held = new Set<HeldItem>();
    for (const step of steps) {
      this.steps.set(step.step, step);
      for (const item of step.restore(given.filter((item) => item.step === step.step))) held.add(item);
    }
    for (const slot of this.#slots.values()) slot.held = slot.held.intersection(held);
  }

  get held(): number {
    return this.#sum((slot) => slot.held.size);
  }

  /** Calls of exec that were handed out, ever. */
  get executions(): number {
    return this.#sum((slot) => slot.claimed);
  }

  /** Slots that were ever given an item. */
  get executors(): number {
    return this.#sum((slot) => (slot.claimed > 0 ? 1 : 0));
  }

  /** The items in exec now. */
  *heldItems(): Generator<HeldItem> {
    for (const slot of this.#slots.values()) yield* slot.held;
  }

  /** Whether anyone is in exec or called to it, so that a lease must be watched. */
  get isBusy(): boolean {
    return [...this.#slots.values()].some((slot) => slot.state !== "idle");
  }

  /** When the first deferred item is due. */
  get earliestDueMs(): number | null {
    const dues = [...this.steps.values()].flatMap((step) => step.earliestDueMs ?? []);
    return dues.length === 0 ? null : Math.min(...dues);
  }

  /** Calls as many slots as could begin items now, beyond those called already. Returns the wakes to be sent. */
  wakeForWork(nowMs: number): Wake[] {
    if (this.#isInlineWork(nowMs)) return [this.#wake("inline", nowMs)];
    return (["object", "queue"] as const).flatMap((home) => {
      const missing = this.#executorsWanted(home, nowMs) - this.#expectedAt(home, nowMs);
      return Array.from({ length: Math.max(0, missing) }, () => this.#wake(home, nowMs));
    });
  }

  /** Wakes that were sent and not answered: they may have been lost. */
  wakeAgain(nowMs: number, patienceMs: number): Wake[] {
    const silent = [...this.#slots.values()].filter(
      (slot) => slot.state === "woken" && slot.wokenMs + patienceMs <= nowMs,
    );
    for (const slot of silent) this.#save(slot, { wokenMs: nowMs });
    return silent.map(({ id, wake, home }) => ({ slot: id, wake, home }));
  }

  /**
   * An executor enters the slot it was called to. Refused (nothing is returned) unless it answers the slot's latest wake. The
   * same wake may enter a living slot only where the earlier entry must be dead: an alarm runs again, or a message is delivered
   * once more; what that entry held is pending at once, without waiting for its lease.
   */
  enter({ slot: id, wake, delivery, entry }: Entry, nowMs: number): { fence: number; lost: Settled } | undefined {
    const slot = this.#slots.get(id);
    if (!slot || slot.wake !== wake || slot.state === "idle") return undefined;
    slot.leaseMs = nowMs + LEASE_MS;
    if (slot.state === "live" && slot.entry === entry) return { fence: slot.fence, lost: this.#settled([]) };
    const isRerun = slot.home === "object" || delivery > slot.delivery;
    if (slot.state === "live" && !isRerun) return undefined;
    const lost = this.#lose(slot, nowMs);
    this.#save(slot, { state: "live", delivery, entry, fence: slot.fence + 1, given: 0 });
    return { fence: slot.fence, lost };
  }

  isCurrent(id: number, fence: number): boolean {
    const slot = this.#slots.get(id);
    return slot?.state === "live" && slot.fence === fence;
  }

  /**
   * Commits what an executor reports. A stale one's successes count where the item has no result yet, since somebody paid for
   * them; its failures never do.
   */
  settle(id: number, fence: number, outcomes: Outcome[], nowMs: number, random: () => number): Settled {
    const slot = this.#slots.get(id);
    const isCurrent = this.isCurrent(id, fence);
    if (slot && isCurrent) slot.leaseMs = nowMs + LEASE_MS;
    const rows: ItemRow[] = [];
    for (const outcome of outcomes) {
      const step = this.steps.get(outcome.step);
      const held = step?.heldItem(outcome.index) ?? null;
      const isHolder = isCurrent && held?.slot === id && held.attempts === outcome.attempts;
      const row = isHolder || outcome.ok ? step?.settle(outcome, nowMs, random()) : undefined;
      if (!row) continue;
      rows.push(row);
      // An item that has an outcome is held by nobody any more, whoever brought it.
      if (held) this.#slots.get(held.slot)?.held.delete(held);
    }
    return this.#settled(rows);
  }

  /**
   * Hands the slot as many items as it may hold, stopping where `isFull` says that the answer grows too large. A suspect only
   * when nothing else of the run is in exec. Items of an earlier answer that never arrived (the executor has `received` fewer
   * than it was given) come first, at no cost.
   */
  claim(id: number, received: number, isFull: (item: HeldItem) => boolean, nowMs: number): HeldItem[] {
    const slot = this.#slots.get(id) as Slot;
    const missed = slot.given > received ? [...slot.held].slice(received - slot.given) : [];
    if (missed.some(isFull) || this.#hasLoneSuspect()) return missed;
    const claimed = this.#take(slot, isFull, nowMs);
    if (claimed.length === 0 && this.held === 0) claimed.push(...this.#takeSuspect(id, nowMs));
    if (claimed.length > 0) {
      for (const item of claimed) slot.held.add(item);
      const count = claimed.length;
      this.#save(slot, { given: slot.given + count, claimed: slot.claimed + count });
    }
    return [...missed, ...claimed];
  }

  /** Whether the slot holds nothing: its executor may leave. */
  isEmpty(id: number): boolean {
    return this.#slots.get(id)?.held.size === 0;
  }

  leave(id: number): void {
    const slot = this.#slots.get(id);
    if (slot && slot.state !== "idle") this.#save(slot, { state: "idle" });
  }

  /** Takes back what executors held that no longer report. */
  expire(nowMs: number): Settled {
    const lost = [...this.#slots.values()].filter((slot) => slot.state === "live" && slot.leaseMs <= nowMs);
    const settled = lost.map((slot) => {
      const one = this.#lose(slot, nowMs);
      this.#save(slot, { state: "idle" });
      return one;
    });
    return {
      failures: settled.flatMap((one) => one.failures),
      steps: new Set(settled.flatMap((one) => [...one.steps])),
    };
  }

  /** The run's own object was away: what it executed inline is lost. */
  loseInline(nowMs: number): Settled {
    const slot = [...this.#slots.values()].find(({ home, state }) => home === "inline" && state !== "idle");
    if (!slot) return this.#settled([]);
    const lost = this.#lose(slot, nowMs);
    this.#save(slot, { state: "idle" });
    return lost;
  }

  /** Believes every claim a while longer: the run's object was late itself, and reports may be waiting at its door. */
  extendLeases(nowMs: number): void {
    for (const slot of this.#slots.values()) slot.leaseMs = Math.max(slot.leaseMs, nowMs + GRACE_MS);
  }

  #lose(slot: Slot, nowMs: number): Settled {
    const rows = [...slot.held].flatMap((item) => this.steps.get(item.step)?.crash(item, nowMs) ?? []);
    slot.held.clear();
    return this.#settled(rows);
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

  #executorsWanted(home: Home, nowMs: number): number {
    const steps = [...this.steps.values()].filter((step) => step.plan.home === home);
    if (this.#hasLoneSuspect()) return 0;
    const wanted = steps.map((step) => Math.ceil(step.startable(nowMs) / step.plan.perExecutor));
    const sum = wanted.reduce((total, count) => total + count, 0);
    return sum > 0 || this.held > 0 ? sum : Number(steps.some((step) => step.hasSuspect));
  }

  /** A run's sole open item is executed where the run is, unless it has crashed before. */
  #isInlineWork(nowMs: number): boolean {
    const [step, ...others] = this.steps.values();
    if (!step || others.length > 0 || step.total !== 1 || this.isBusy) return false;
    return step.startable(nowMs) === 1 && step.history(0).crashes === 0;
  }

  /** Slots that were called and have had no time to answer yet. */
  #expectedAt(home: Home, nowMs: number): number {
    const isExpected = (slot: Slot) => slot.home === home && slot.state === "woken" && slot.wokenMs + LEASE_MS > nowMs;
    return this.#sum((slot) => (isExpected(slot) ? 1 : 0));
  }

  #wake(home: Home, nowMs: number): Wake {
    const slot = this.#idleSlot(home);
    this.#save(slot, { state: "woken", wake: slot.wake + 1, delivery: 0, wokenMs: nowMs });
    return { slot: slot.id, wake: slot.wake, home };
  }

  #idleSlot(home: Home): Slot {
    for (const slot of this.#slots.values()) if (slot.home === home && slot.state === "idle") return slot;
    const fresh = {
      wake: 0,
      delivery: 0,
      entry: "",
      fence: 0,
      given: 0,
      wokenMs: 0,
      leaseMs: 0,
      claimed: 0,
      held: new Set<HeldItem>(),
    };
    const slot: Slot = { ...fresh, id: this.#slots.size, home, state: "idle" };
    this.#slots.set(slot.id, slot);
    return slot;
  }

  #save(slot: Slot, change: Partial<Slot>): void {
    this.#store.saveSlot(Object.assign(slot, change));
  }

  #sum(measure: (slot: Slot) => number): number {
    let sum = 0;
    for (const slot of this.#slots.values()) sum += measure(slot);
    return sum;
  }
}
