import type { Failure } from "../core/errors.ts";
import {
  afterCrash,
  afterFailure,
  afterRefusal,
  type History,
  isLastAttempt,
  isSuspect,
  type Verdict,
} from "../core/item.ts";
import type { LimitUse } from "../core/options.ts";
import type { RetryPolicy } from "../core/retry.ts";
import type { ItemRow } from "./item-store.ts";
import { Lines } from "./lines.ts";
import { type Needs, StepNeeds } from "./needs.ts";
import type { HeldItem, Home, PermitId, StepRow, Store } from "./store.ts";

/** How a node's items are to be executed. */
export interface Plan {
  home: Exclude<Home, "inline">;
  /** Most items in exec at once. */
  concurrency: number;
  perExecutor: number;
  /** One after the other, each only when the one before has succeeded. */
  isSequential: boolean;
  policy: RetryPolicy;
  /** What each call needs a permit of. */
  limits: readonly LimitUse[];
}

/** What came of one call of exec: its result or its failure, and the fields it set on the node where that is allowed. */
export type Outcome = { step: number; index: number; attempts: number; fields?: string; tokens?: number } & (
  | { ok: true; body: string }
  // `isAttempt` is said where it is not: the vendor refused the call for its rate limit, or the call never began.
  | { ok: false; failure: Failure; isAttempt?: false }
);

export interface Counts {
  total: number;
  pending: number;
  running: number;
  deferred: number;
  succeeded: number;
  failed: number;
}

/** `asked` and `permitted` are known to memory alone: after a crash a permit is asked for anew. */
type Standing = "ready" | "suspect" | "deferred" | "asked" | "permitted" | "held";

interface OpenItem {
  history: History;
  standing: Standing;
  held: HeldItem | null;
}

const NO_PERMITS: readonly PermitId[] = [];

const UNTRIED: History = { attempts: 0, crashes: 0 };

/**
 * The items of one step: which are open and where each stands. An item is known by its index. One that was never begun is in
 * its line; else, what is not open is settled. The rows are the truth; this is rebuilt from them.
 */
export class StepItems {
  readonly step: number;
  readonly plan: Plan;
  readonly total: number;
  /** Whether its items need permits. */
  readonly isLimited: boolean;
  succeeded = 0;
  failed = 0;
  held = 0;
  deferred = 0;
  /** When the first deferred item is due. */
  earliestDueMs: number | null = null;
  readonly #store: Store;
  readonly #needs: StepNeeds;
  readonly #lines: Lines;
  readonly #open = new Map<number, OpenItem>();
  readonly #suspects = new Set<number>();
  readonly #permitted = new Map<number, readonly PermitId[]>();
  readonly #permittedSuspects = new Map<number, readonly PermitId[]>();

  constructor(store: Store, row: StepRow, plan: Plan) {
    this.#store = store;
    this.step = row.id;
    this.total = row.total;
    this.plan = plan;
    this.isLimited = plan.limits.length > 0;
    this.#needs = new StepNeeds(store.items, row.id, plan.limits);
    this.#lines = new Lines(row.total, plan.isSequential ? null : this.#needs.lineKeys());
  }

  /** Rebuilds where every item stands from its row and from what slots were given. Returns what is still held of that. */
  restore(given: HeldItem[]): HeldItem[] {
    const held = new Map<number, HeldItem>();
    for (const item of given) if ((held.get(item.index)?.claimedMs ?? -1) < item.claimedMs) held.set(item.index, item);
    for (const row of this.#store.items.states(this.step)) this.#restoreItem(row, held);
    for (const item of held.values()) this.#hold(item);
    this.earliestDueMs = this.#store.items.earliestDue(this.step);
    return [...held.values()];
  }

  get counts(): Counts {
    const { total, succeeded, failed, held: running } = this;
    const deferred = this.deferred + this.#lines.asked.size;
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
    return index < this.total && (this.#lines.isFresh(index) || this.#open.has(index));
  }

  /** How many items could begin at once, were there executors for them. Suspects do not count. */
  get startable(): number {
    if (this.isLimited) return this.#permitted.size;
    return Math.max(0, Math.min(this.#free, this.#lines.size));
  }

  /** An item that begins now in `slot`, if one may. */
  take(slot: number, nowMs: number): HeldItem | undefined {
    if (this.startable === 0) return undefined;
    const index = this.isLimited ? firstOf(this.#permitted.keys()) : this.#lines.take();
    return index === undefined ? undefined : this.#claim(slot, index, nowMs);
  }

  /** Whether a suspect waits that could begin, were it alone. */
  get hasSuspect(): boolean {
    return (this.isLimited ? this.#permittedSuspects : this.#suspects).size > 0;
  }

  /** A suspect to be claimed alone. */
  takeSuspect(slot: number, nowMs: number): HeldItem | undefined {
    const index = firstOf((this.isLimited ? this.#permittedSuspects : this.#suspects).keys());
    return index === undefined ? undefined : this.#claim(slot, index, nowMs);
  }

  /**
   * Takes the items for which permits are to be asked out of their lines: as many as could begin if they had one. A line that
   * has to wait keeps none of the others from going on, so all that wait ask for as many.
   */
  ask(): number[] {
    if (!this.isLimited) return [];
    const free = this.#free;
    const asked: number[] = [];
    const ask = (index: number) => {
      this.#stand(index, this.history(index), "asked");
      asked.push(index);
    };
    for (let room = free - (this.#lines.asked.size - this.#lines.waiting); room > 0; room--) {
      const index = this.#lines.take();
      if (index === undefined) break;
      ask(index);
    }
    for (const index of this.#lines.takeBehind(free)) ask(index);
    return asked.length > 0 ? asked : this.#askForSuspect();
  }

  /** What an item needs of each limit of its node. */
  needs(index: number): Needs {
    return this.#needs.of(index);
  }

  /** Whether an item waits for a permit. */
  isAsked(index: number): boolean {
    return this.#lines.asked.has(index);
  }

  /** A limit answered that an item has to wait. */
  wait(index: number): void {
    this.#lines.wait(index);
  }

  /** An item has all its permits. `false` where it cannot begin now: too many others have begun meanwhile. */
  permit(index: number, permits: readonly PermitId[]): boolean {
    if (this.#open.get(index)?.standing !== "asked") return false;
    const isFree = this.held + this.#permitted.size < this.plan.concurrency;
    if (isFree) {
      this.#stand(index, this.history(index), "permitted");
      (this.isSuspect(index) ? this.#permittedSuspects : this.#permitted).set(index, permits);
    } else this.#queue(index, this.history(index));
    return isFree;
  }

  /** The permits of an item that was not begun yet, if it has its permits. */
  permitsOf(index: number): readonly PermitId[] {
    return this.#permitted.get(index) ?? this.#permittedSuspects.get(index) ?? NO_PERMITS;
  }

  /** Gives up the permits of items that were not begun: of all, or of those that are meant. */
  unpermit(isMeant: (permits: readonly PermitId[]) => boolean = () => true): PermitId[] {
    const given = [...this.#permitted, ...this.#permittedSuspects].filter(([, permits]) => isMeant(permits));
    for (const [index] of given) this.#queue(index, this.history(index));
    return given.flatMap(([, permits]) => permits);
  }

  /** What is held of an item, if it is in exec. */
  heldItem(index: number): HeldItem | null {
    return this.#open.get(index)?.held ?? null;
  }

  /** What an outcome makes of its item: the row to be saved. Nothing if the item is settled already. */
  settle(outcome: Outcome, nowMs: number, random: number): ItemRow | undefined {
    const open = this.#open.get(outcome.index);
    if (!open && !this.isOpen(outcome.index)) return undefined;
    const before = open?.history ?? UNTRIED;
    const times = { startedMs: open?.held?.claimedMs ?? null, finishedMs: nowMs };
    if (outcome.ok) return this.#succeed(outcome.index, before, outcome.body, times);
    const verdict =
      outcome.isAttempt === false
        ? afterRefusal(before)
        : afterFailure(before, outcome.failure, this.plan.policy, nowMs, random);
    return this.#judge(outcome.index, verdict, times);
  }

  /** An item that never begins, because no permit for it can be had: the row to be saved. */
  fail(index: number, failure: Failure, nowMs: number): ItemRow | undefined {
    if (this.#open.get(index)?.standing !== "asked") return undefined;
    const verdict: Verdict = { status: "failed", history: this.history(index), failure };
    return this.#judge(index, verdict, { startedMs: null, finishedMs: nowMs });
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
    this.#lines.leave(index);
    const isOpen = status === "pending" || status === "deferred";
    const claim = held.get(index);
    // A refusal is an outcome that changes no attempts: what tells is whether the claim is the one it came from.
    const isSettled = claim?.attempts !== row.attempts || claim.claimedMs <= (row.startedMs ?? -1);
    if (!isOpen || isSettled) held.delete(index);
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
    if (isApart) this.#suspects.add(index);
    else this.#lines.add(index);
  }

  /** How many more items may be in exec. Items that come one after the other wait for one that has to be tried again. */
  get #free(): number {
    if (this.plan.isSequential && (this.deferred > 0 || this.#suspects.size > 0)) return 0;
    return this.plan.concurrency - this.held - this.#permitted.size;
  }

  /** A suspect's turn comes when nothing else of its step is left to be begun. */
  #askForSuspect(): number[] {
    const [index] = this.#suspects;
    const isAlone = this.held + this.#lines.asked.size + this.#permitted.size + this.#permittedSuspects.size === 0;
    if (index === undefined || !isAlone) return [];
    this.#stand(index, this.history(index), "asked");
    return [index];
  }

  #claim(slot: number, index: number, nowMs: number): HeldItem {
    const { attempts } = this.history(index);
    const permits = this.isLimited ? this.permitsOf(index) : NO_PERMITS;
    const item = { slot, step: this.step, index, attempts, claimedMs: nowMs, permits };
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
    if (standing === "asked") this.#lines.ask(index);
  }

  #remove(index: number): void {
    const standing = this.#open.get(index)?.standing;
    if (standing === undefined) {
      this.#lines.leave(index);
      return;
    }
    if (standing === "held") this.held--;
    if (standing === "deferred") this.deferred--;
    if (standing === "ready") this.#lines.leave(index);
    if (standing === "suspect") this.#suspects.delete(index);
    if (standing === "permitted") this.#unpermit(index);
    if (standing === "asked") this.#lines.unask(index);
    this.#open.delete(index);
  }
  #unpermit(index: number): void {
    this.#permitted.delete(index);
    this.#permittedSuspects.delete(index);
  }
}

function firstOf(indexes: Iterable<number>): number | undefined {
  for (const index of indexes) return index;
  return undefined;
}
