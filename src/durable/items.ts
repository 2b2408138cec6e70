import type { Failure } from "../core/errors.ts";
import { afterCrash, afterFailure, type History, isLastAttempt, isSuspect, type Verdict } from "../core/item.ts";
import type { RetryPolicy } from "../core/retry.ts";
import type { ItemRow } from "./item-store.ts";
import type { HeldItem, Home, StepRow, Store } from "./store.ts";

/** How a node's items are to be executed. */
export interface Plan {
  home: Exclude<Home, "inline">;
  /** Most items in exec at once. */
  concurrency: number;
  perExecutor: number;
  /** One after the other, each only when the one before has succeeded. */
  isSequential: boolean;
  policy: RetryPolicy;
}

/** What came of one call of exec: its result or its failure, and the fields it set on the node where that is allowed. */
export type Outcome = { step: number; index: number; attempts: number; fields?: string } & (
  | { ok: true; body: string }
  | { ok: false; failure: Failure }
);

export interface Counts {
  total: number;
  pending: number;
  running: number;
  deferred: number;
  succeeded: number;
  failed: number;
}

type Standing = "ready" | "suspect" | "deferred" | "held";

interface OpenItem {
  history: History;
  standing: Standing;
  held: HeldItem | null;
}

const UNTRIED: History = { attempts: 0, crashes: 0 };

/**
 * The items of one step: which are open and where each stands. An item is known by its index. What is at or past the cursor was
 * never claimed; below it, what is not open is settled. The rows are the truth; this is rebuilt from them.
 */
export class StepItems {
  readonly step: number;
  readonly plan: Plan;
  readonly total: number;
  succeeded = 0;
  failed = 0;
  held = 0;
  deferred = 0;
  /** When the first deferred item is due. */
  earliestDueMs: number | null = null;
  readonly #store: Store;
  readonly #open = new Map<number, OpenItem>();
  // In the order in which they became pending once more.
  readonly #ready = new Set<number>();
  readonly #suspects = new Set<number>();
  #cursor = 0;

  constructor(store: Store, row: StepRow, plan: Plan) {
    this.#store = store;
    this.step = row.id;
    this.total = row.total;
    this.plan = plan;
  }

  /** Rebuilds where every item stands from its row and from what slots were given. Returns what is still held of that. */
  restore(given: HeldItem[]): HeldItem[] {
    const held = new Map<number, HeldItem>();
    for (const item of given) if ((held.get(item.index)?.attempts ?? -1) < item.attempts) held.set(item.index, item);
    for (const row of this.#store.items.states(this.step)) this.#restoreItem(row, held);
    for (const item of held.values()) {
      this.#cursor = Math.max(this.#cursor, item.index + 1);
      this.#hold(item);
    }
    this.earliestDueMs = this.#store.items.earliestDue(this.step);
    return [...held.values()];
  }

  get counts(): Counts {
    const { total, succeeded, failed, held: running, deferred } = this;
    return { total, pending: total - succeeded - failed - running - deferred, running, deferred, succeeded, failed };
  }

  get isSettled(): boolean {
    return this.succeeded + this.failed === this.total;
  }

  history(index: number): History {
    return this.#open.get(index)?.history ?? UNTRIED;
  }

  isLastAttempt(index: number): boolean {
    return isLastAttempt(this.history(index), this.plan.policy);
  }

  isSuspect(index: number): boolean {
    return isSuspect(this.history(index));
  }

  isOpen(index: number): boolean {
    return index < this.total && (index >= this.#cursor || this.#open.has(index));
  }

  /** How many items could begin at once, were there executors for them. Suspects do not count. */
  get startable(): number {
    const inTurn = this.plan.isSequential && (this.deferred > 0 || this.hasSuspect);
    const free = inTurn ? 0 : this.plan.concurrency - this.held;
    return Math.max(0, Math.min(free, this.total - this.#cursor + this.#ready.size));
  }

  /** An item that begins now in `slot`, if one may. */
  take(slot: number, nowMs: number): HeldItem | undefined {
    const index = this.startable > 0 ? this.#nextIndex() : undefined;
    return index === undefined ? undefined : this.#claim(slot, index, nowMs);
  }

  get hasSuspect(): boolean {
    return this.#suspects.size > 0;
  }

  /** A suspect to be claimed alone. */
  takeSuspect(slot: number, nowMs: number): HeldItem | undefined {
    const [index] = this.#suspects;
    return index === undefined ? undefined : this.#claim(slot, index, nowMs);
  }

  /** What is held of an item, if it is in exec. */
  heldItem(index: number): HeldItem | null {
    return this.#open.get(index)?.held ?? null;
  }

  /** What an outcome makes of its item: the row to be saved. Nothing if the item is settled already. */
  settle(outcome: Outcome, nowMs: number, random: number): ItemRow | undefined {
    if (!this.isOpen(outcome.index)) return undefined;
    const before = this.history(outcome.index);
    const times = { startedMs: this.heldItem(outcome.index)?.claimedMs ?? null, finishedMs: nowMs };
    if (outcome.ok) return this.#succeed(outcome.index, before, outcome.body, times);
    const verdict = afterFailure(before, outcome.failure, this.plan.policy, nowMs, random);
    return this.#judge(outcome.index, verdict, times);
  }

  /** The item's executor was lost: the row to be saved. */
  crash({ index, claimedMs }: HeldItem, nowMs: number): ItemRow {
    return this.#judge(index, afterCrash(this.history(index), nowMs), { startedMs: claimedMs, finishedMs: nowMs });
  }

  #succeed(index: number, before: History, body: string, times: Pick<ItemRow, "startedMs" | "finishedMs">): ItemRow {
    this.#remove(index);
    this.succeeded++;
    const attempts = before.attempts + 1;
    return {
      step: this.step,
      index,
      status: "succeeded",
      attempts,
      crashes: before.crashes,
      dueMs: null,
      ...times,
      body,
    };
  }

  #judge(index: number, verdict: Verdict, times: Pick<ItemRow, "startedMs" | "finishedMs">): ItemRow {
    const row = { step: this.step, index, ...verdict.history, dueMs: null, body: null };
    if (verdict.status === "failed") {
      this.#remove(index);
      this.failed++;
      return { ...row, ...times, status: "failed", body: JSON.stringify(verdict.failure) };
    }
    const waiting = { ...row, startedMs: times.startedMs, finishedMs: null };
    if (verdict.status === "pending") {
      this.#queue(index, verdict.history);
      return { ...waiting, status: "pending" };
    }
    this.#stand(index, verdict.history, "deferred");
    this.earliestDueMs = Math.min(this.earliestDueMs ?? Infinity, verdict.dueMs);
    return { ...waiting, status: "deferred", dueMs: verdict.dueMs };
  }

  /** An outcome committed after the item was given makes the slot's claim to it stale. */
  #restoreItem(row: Omit<ItemRow, "body">, held: Map<number, HeldItem>): void {
    const { index, status } = row;
    this.#cursor = index + 1;
    const isOpen = status === "pending" || status === "deferred";
    if (!isOpen || held.get(index)?.attempts !== row.attempts) held.delete(index);
    if (status === "succeeded") this.succeeded++;
    else if (status === "failed") this.failed++;
    else if (status === "deferred") this.#stand(index, row, "deferred");
    else this.#queue(index, row);
  }

  /** Makes what has come due pending once more. */
  release(nowMs: number): void {
    if (this.earliestDueMs === null || this.earliestDueMs > nowMs) return;
    for (const index of this.#store.items.releaseDue(this.step, nowMs)) {
      if (this.#open.get(index)?.standing === "deferred") this.#queue(index, this.history(index));
    }
    this.earliestDueMs = this.#store.items.earliestDue(this.step);
  }

  #queue(index: number, history: History): void {
    const isApart = isSuspect(history);
    this.#stand(index, history, isApart ? "suspect" : "ready");
    (isApart ? this.#suspects : this.#ready).add(index);
  }

  #nextIndex(): number | undefined {
    if (this.#ready.size > 0) return this.#ready.values().next().value;
    return this.#cursor < this.total ? this.#cursor++ : undefined;
  }

  #claim(slot: number, index: number, nowMs: number): HeldItem {
    const item = { slot, step: this.step, index, attempts: this.history(index).attempts, claimedMs: nowMs };
    this.#hold(item);
    return item;
  }

  #hold(item: HeldItem): void {
    const history = this.history(item.index);
    this.#remove(item.index);
    this.#open.set(item.index, { history, standing: "held", held: item });
    this.held++;
  }

  #stand(index: number, { attempts, crashes }: History, standing: Exclude<Standing, "held">): void {
    this.#remove(index);
    this.#open.set(index, { history: { attempts, crashes }, standing, held: null });
    if (standing === "deferred") this.deferred++;
  }

  #remove(index: number): void {
    const standing = this.#open.get(index)?.standing;
    if (standing === "held") this.held--;
    if (standing === "deferred") this.deferred--;
    if (standing === "ready") this.#ready.delete(index);
    if (standing === "suspect") this.#suspects.delete(index);
    this.#open.delete(index);
  }
}
