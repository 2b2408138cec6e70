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
import type { ItemRow } from "./item-store.ts";
import { Lines } from "./lines.ts";
import type { Needs, NeedsReader } from "./needs.ts";
import type { Failed, Outcome, Rows } from "./outcome.ts";
import type { Pool } from "./pool.ts";
import type { HeldItem, PermitId } from "./store.ts";

export interface Counts {
  total: number;
  pending: number;
  running: number;
  deferred: number;
  succeeded: number;
  failed: number;
}

/** An item, by its step and its place there. */
export type ItemId = Pick<HeldItem, "step" | "index">;

/** `asked` and `permitted` are known to memory alone: after a crash a permit is asked for anew. `due` is a chunk with a job. */
export type Standing = "ready" | "suspect" | "deferred" | "due" | "asked" | "permitted" | "held";

interface OpenItem {
  history: History;
  standing: Standing;
  held: HeldItem | null;
}

/** So many times as many items as may be in exec wait for permits at most, lest each step of a node asks for all it could use. */
const MOST_WAITING = 4;

/** Claims, and permits of what was not begun. */
export interface Emptied {
  readonly held: readonly HeldItem[];
  readonly unused: readonly PermitId[];
}
const NOTHING_EMPTIED: Emptied = { held: [], unused: [] };
const NO_PERMITS: readonly PermitId[] = [];

export const UNTRIED: History = { attempts: 0, crashes: 0, redrives: 0 };

/** What a row says of an item, and not what came of it. */
export type ItemState = Omit<ItemRow, "body">;

/**
 * A group of open items of one node, and where each stands: the items of one step of a batch node, or the single items of all
 * open steps of a plain one. An item is known by a number, its index in the one case, its step in the other. One that was never
 * begun is in its line; else, what is not open is settled. The rows are the truth; this is rebuilt from them.
 */
export class Items {
  /** Nothing where it has the single items of many steps. */
  readonly step: number | null;
  readonly pool: Pool;
  /** Has changed since its pool last looked. */
  isStale = false;
  succeeded = 0;
  failed = 0;
  protected heldItems = 0;
  protected deferredItems = 0;
  /** More have failed than are tolerated: no more of them begin. */
  protected isHalted = false;
  /** Steps whose one item has failed. */
  readonly #failedSteps = new Set<number>();
  protected total: number;
  readonly #needs: NeedsReader;
  protected readonly lines: Lines;
  protected readonly open = new Map<number, OpenItem>();
  protected readonly suspects = new Set<number>();
  protected readonly permitted = new Map<number, readonly PermitId[]>();
  readonly #permittedSuspects = new Map<number, readonly PermitId[]>();

  /** `count`: in how many calls they are executed. */
  constructor(step: number | null, total: number, pool: Pool, needs: NeedsReader, count = total) {
    this.step = step;
    this.total = total;
    this.pool = pool;
    this.#needs = needs;
    this.lines = new Lines(count, pool.plan.isSequential ? null : needs.lineKeys());
    pool.add(this);
  }

  /** Another step of a plain node has its item now. */
  join(step: number): void {
    this.total++;
    this.open.set(step, { history: UNTRIED, standing: "ready", held: null });
    this.lines.join(step, this.#needs.lineKey(step));
    this.pool.touch(this);
  }

  /** The item of a step that joined waits: it has no exec. */
  rest(step: number): void {
    this.stand(step, UNTRIED, "deferred");
  }

  /** What the item of such a step waited for has come: the row to be saved. */
  wake(step: number, body: string, nowMs: number): ItemRow {
    const times = { dueMs: null, startedMs: null, finishedMs: nowMs };
    this.remove(step);
    this.succeeded++;
    return { step, index: 0, status: "succeeded", ...UNTRIED, ...times, body };
  }

  /** Rebuilds where every item stands from its row and from what slots were given. Returns what is still held of that. */
  restore(states: Iterable<ItemState>, given: Iterable<HeldItem>): Iterable<HeldItem> {
    const held = new Map<number, HeldItem>();
    for (const item of given) {
      const number = this.numberOf(item);
      if ((held.get(number)?.claimedMs ?? -1) < item.claimedMs) held.set(number, item);
    }
    for (const state of states) this.#restoreItem(state, held);
    for (const item of held.values()) this.hold(item);
    return held.values();
  }

  get counts(): Counts {
    const { succeeded, failed } = this;
    const [total, running] = [this.total, this.heldItems];
    const deferred = this.deferredItems + this.askedItems;
    return { total, pending: total - succeeded - failed - running - deferred, running, deferred, succeeded, failed };
  }

  isSettled(step: number): boolean {
    return this.step === null ? !this.open.has(step) : this.succeeded + this.failed === this.total;
  }

  /** How many items of a step have failed. */
  failedOf(step: number): number {
    return this.step === null ? Number(this.#failedSteps.has(step)) : this.failed;
  }

  /** No more items of a step begin. Returns the permits of those that had theirs. */
  halt(): PermitId[] {
    if (this.step === null) return [];
    this.isHalted = true;
    this.pool.touch(this);
    return this.unpermit();
  }

  /** The step of an item that joined goes on: the item counts here no more. */
  part(step: number): void {
    this.total--;
    this.succeeded--;
    this.#leave(step);
  }

  /**
   * A step is stopped: none of its items count here any more. Returns those that are in exec all the same, which its node's pool
   * goes on counting, and the permits of those that were not begun.
   */
  stop(step: number): { held: HeldItem[]; unused: PermitId[]; succeeded: number; failed: number } {
    const isOpen = this.open.has(step);
    const numbers = this.step === null ? [step] : [...this.open.keys()];
    const held: HeldItem[] = [];
    const unused: PermitId[] = [];
    for (const number of numbers) {
      const item = this.open.get(number)?.held;
      unused.push(...this.permitsOf(this.idOf(number)));
      if (item) held.push(item);
      this.remove(number);
      if (item) this.pool.held++;
    }
    if (this.step === null) return { held, unused, ...this.#partWith(step, isOpen) };
    this.pool.drop(this);
    return { held, unused, succeeded: this.succeeded, failed: this.failed };
  }

  /** A step's one item counts here no more, whatever has become of it. */
  #partWith(step: number, isOpen: boolean): { succeeded: number; failed: number } {
    const failed = this.failedOf(step);
    const succeeded = isOpen ? 0 : 1 - failed;
    this.total--;
    this.failed -= failed;
    this.succeeded -= succeeded;
    this.#leave(step);
    return { succeeded, failed };
  }

  #leave(step: number): void {
    this.#failedSteps.delete(step);
    this.lines.part(step);
    this.#needs.forget(step);
  }

  history(id: ItemId): History {
    return this.historyOf(this.numberOf(id));
  }

  isLastAttempt(id: ItemId): boolean {
    return isLastAttempt(this.history(id), this.pool.plan.policy);
  }

  isSuspect(id: ItemId): boolean {
    return isSuspect(this.history(id));
  }

  /** How many items could begin if there were no bound on how many of the node are in exec. */
  get ready(): number {
    return this.isBlocked || this.isHalted
      ? 0
      : Math.min(this.lines.size, this.pool.plan.isSequential ? 1 : Number.POSITIVE_INFINITY);
  }

  /** Whether an item has its permits and was not begun. */
  get isPermitted(): boolean {
    return this.permitted.size > 0 && !this.isHalted;
  }

  /** Whether a suspect waits that could begin, were it alone. */
  get hasSuspect(): boolean {
    return !this.isHalted && (this.pool.isLimited ? this.#permittedSuspects : this.suspects).size > 0;
  }

  /** An item that begins now in `slot`, if one may. */
  take(slot: number, nowMs: number): HeldItem | undefined {
    const { isLimited, free } = this.pool;
    if (this.isHalted || (!isLimited && (free <= 0 || this.isBlocked))) return undefined;
    const number = isLimited ? firstOf(this.permitted.keys()) : this.lines.take();
    return number === undefined ? undefined : this.claim(slot, number, nowMs);
  }

  /** A suspect to be claimed alone. */
  takeSuspect(slot: number, nowMs: number): HeldItem | undefined {
    const number = firstOf((this.pool.isLimited ? this.#permittedSuspects : this.suspects).keys());
    return number === undefined ? undefined : this.claim(slot, number, nowMs);
  }

  /**
   * Takes the items for which permits are to be asked out of their lines: as many as could begin if they had one. A line that
   * has to wait keeps none of the others from going on, so all that wait ask for as many.
   */
  ask(): ItemId[] {
    if (this.isHalted) return [];
    const { free, asked, waiting } = this.pool;
    const most = this.pool.plan.isSequential ? Number(!this.isBlocked) : free;
    const numbers: number[] = [];
    const ask = (number: number) => {
      this.stand(number, this.historyOf(number), "asked");
      numbers.push(number);
    };
    for (let room = Math.min(most, free - (asked - waiting)); room > 0; room--) {
      const number = this.lines.take();
      if (number === undefined) break;
      ask(number);
    }
    for (const number of this.lines.takeBehind(most)) {
      ask(number);
      if (this.pool.waiting > MOST_WAITING * this.pool.plan.concurrency) break;
    }
    if (numbers.length === 0) numbers.push(...this.#askForSuspect());
    return numbers.map((number) => this.idOf(number));
  }

  /** What an item needs of each limit of its node. */
  needs(id: ItemId): Needs {
    return this.#needs.of(this.numberOf(id));
  }

  /** Whether an item waits, for a permit or a time. */
  isDeferred(id: ItemId): boolean {
    const standing = this.open.get(this.numberOf(id))?.standing;
    return standing === "deferred" || standing === "asked";
  }

  /** The items that are executed with one, in one call. */
  membersOf(id: ItemId): readonly number[] {
    return [id.index];
  }

  /** Whether an outcome is of what its claim was of, and not of what has become of that. */
  isSame(_outcome: Outcome): boolean {
    return true;
  }

  /** Nothing but of chunks: those with a job that can be asked for. */
  get due(): number {
    return 0;
  }

  /** What is given up of chunks that others have brought results for, so that nothing of them is left. Asked once. */
  takeEmptied(): Emptied {
    return NOTHING_EMPTIED;
  }

  /** Nothing is asked any more for items that wait for a permit: they are in line once more. */
  unask(): void {
    for (const number of [...this.lines.asked]) this.queue(number, this.historyOf(number));
  }

  /** A limit answered that an item has to wait. */
  wait(id: ItemId): void {
    const before = this.lines.waiting;
    this.lines.wait(this.numberOf(id));
    this.pool.waiting += this.lines.waiting - before;
    this.pool.touch(this);
  }

  /** An item has all its permits. `false` where it cannot begin now: too many others have begun meanwhile. */
  permit(id: ItemId, permits: readonly PermitId[]): boolean {
    const number = this.numberOf(id);
    const history = this.historyOf(number);
    if (this.open.get(number)?.standing !== "asked") return false;
    const isFree = this.pool.free > 0 && !this.isHalted;
    if (isFree) {
      this.stand(number, history, "permitted");
      (isSuspect(history) ? this.#permittedSuspects : this.permitted).set(number, permits);
      if (!isSuspect(history)) this.pool.permitted++;
    } else this.queue(number, history);
    return isFree;
  }

  /** The permits of an item that was not begun yet, if it has its permits. */
  permitsOf(id: ItemId): readonly PermitId[] {
    const number = this.numberOf(id);
    return this.permitted.get(number) ?? this.#permittedSuspects.get(number) ?? NO_PERMITS;
  }

  /** Gives up the permits of items that were not begun: of all, or of those that are meant. */
  unpermit(isMeant: (permits: readonly PermitId[]) => boolean = () => true): PermitId[] {
    const given = [...this.permitted, ...this.#permittedSuspects].filter(([, permits]) => isMeant(permits));
    for (const [number] of given) this.queue(number, this.historyOf(number));
    return given.flatMap(([, permits]) => permits);
  }

  /** What is held of an item, if it is in exec. */
  heldItem(id: ItemId): HeldItem | null {
    return this.open.get(this.numberOf(id))?.held ?? null;
  }

  /**
   * Takes an outcome, which is the holder's of the item or somebody's who was. `false` where it changes nothing: the item is settled
   * already, or others' failures are of no interest.
   */
  settle(outcome: Outcome, isHolder: boolean, rows: Rows, nowMs: number, random: number): boolean {
    if (!isHolder && !outcome.ok) return false;
    const number = this.numberOf(outcome);
    const open = this.open.get(number);
    if (!open && !this.lines.isFresh(number)) return false;
    const before = open?.history ?? UNTRIED;
    const times = { startedMs: open?.held?.claimedMs ?? null, finishedMs: nowMs };
    if (!outcome.ok) this.judge(number, this.verdictOn(outcome, before, nowMs, random), times, rows);
    else if ("body" in outcome) rows.items.push(this.#succeed(number, before, outcome.body, times));
    else return false;
    return true;
  }

  protected verdictOn(outcome: Failed, before: History, nowMs: number, random: number): Verdict {
    if (outcome.isAttempt === false) return afterRefusal(before);
    if (outcome.isLate) return { status: "pending", history: { ...before, attempts: before.attempts + 1 } };
    return afterFailure(before, outcome.failure, this.pool.plan.policy, nowMs, random);
  }

  /** An item never begins, because no permit for it can be had. */
  fail(id: ItemId, failure: Failure, rows: Rows, nowMs: number): void {
    const number = this.numberOf(id);
    if (this.open.get(number)?.standing !== "asked") return;
    const verdict: Verdict = { status: "failed", history: this.historyOf(number), failure };
    this.judge(number, verdict, { startedMs: null, finishedMs: nowMs }, rows);
  }

  /** The item's executor was lost. */
  crash(item: HeldItem, rows: Rows, nowMs: number): void {
    const verdict = afterCrash(this.history(item), nowMs);
    this.judge(this.numberOf(item), verdict, { startedMs: item.claimedMs, finishedMs: nowMs }, rows);
  }

  /** The item's executor will not end it: it is pending once more, and that was neither an attempt nor a crash. */
  letGo(item: HeldItem): void {
    this.queue(this.numberOf(item), this.history(item));
  }

  /** A deferred item has come due. */
  release(id: ItemId): void {
    const number = this.numberOf(id);
    if (this.open.get(number)?.standing === "deferred") this.queue(number, this.historyOf(number));
  }

  /** How many items a number stands for. */
  protected weightOf(_number: number): number {
    return 1;
  }

  protected get askedItems(): number {
    return this.lines.asked.size;
  }

  protected numberOf({ step, index }: ItemId): number {
    return this.step === null ? step : index;
  }

  protected idOf(number: number): ItemId {
    return this.step === null ? { step: number, index: 0 } : { step: this.step, index: number };
  }

  protected historyOf(number: number): History {
    return this.open.get(number)?.history ?? UNTRIED;
  }

  #succeed(number: number, before: History, body: string, times: Pick<ItemRow, "startedMs" | "finishedMs">): ItemRow {
    this.remove(number);
    this.succeeded++;
    const { step, index } = this.idOf(number);
    const history = { ...before, attempts: before.attempts + 1 };
    return { step, index, status: "succeeded", ...history, dueMs: null, ...times, body };
  }

  /** What becomes of an item that did not succeed. */
  protected judge(
    number: number,
    verdict: Verdict,
    times: Pick<ItemRow, "startedMs" | "finishedMs">,
    rows: Rows,
  ): void {
    const row = { ...this.idOf(number), ...verdict.history, dueMs: null, body: null };
    const waiting = { ...row, startedMs: times.startedMs, finishedMs: null };
    if (verdict.status === "failed") {
      this.remove(number);
      this.countFailed(number);
      rows.items.push({ ...row, ...times, status: "failed", body: JSON.stringify(verdict.failure) });
    } else if (verdict.status === "pending") {
      this.queue(number, verdict.history);
      rows.items.push({ ...waiting, status: "pending" });
    } else {
      this.stand(number, verdict.history, "deferred");
      rows.items.push({ ...waiting, status: "deferred", dueMs: verdict.dueMs });
    }
  }

  protected countFailed(number: number): void {
    this.failed++;
    if (this.step === null) this.#failedSteps.add(number);
  }

  /** An outcome committed after the item was given makes the slot's claim to it stale. */
  #restoreItem(row: ItemState, held: Map<number, HeldItem>): void {
    const { status } = row;
    const number = this.numberOf(row);
    this.lines.leave(number);
    const isOpen = status === "pending" || status === "deferred";
    const claim = held.get(number);
    if (!isOpen || !claim || hasEnded(claim, row)) held.delete(number);
    if (!isOpen) this.remove(number);
    if (status === "succeeded") this.succeeded++;
    else if (status === "failed") this.countFailed(number);
    else if (status === "deferred") this.stand(number, row, "deferred");
    else this.queue(number, row);
  }

  protected queue(number: number, history: History): void {
    const isApart = isSuspect(history);
    this.stand(number, history, isApart ? "suspect" : "ready");
    if (isApart) this.suspects.add(number);
    else this.lines.add(number);
  }

  /** Items that come one after the other wait for one that is under way, and for one that has to be tried again. */
  protected get isBlocked(): boolean {
    if (!this.pool.plan.isSequential) return false;
    return this.heldItems + this.permitted.size + this.lines.asked.size + this.deferredItems + this.suspects.size > 0;
  }

  /** A suspect's turn comes when nothing else of its group is left to be begun. */
  #askForSuspect(): number[] {
    const [number] = this.suspects;
    const isAlone = this.heldItems + this.lines.asked.size + this.permitted.size + this.#permittedSuspects.size === 0;
    if (number === undefined || !isAlone) return [];
    this.stand(number, this.historyOf(number), "asked");
    return [number];
  }

  protected claim(slot: number, number: number, nowMs: number): HeldItem {
    const { attempts } = this.historyOf(number);
    const id = this.idOf(number);
    const permits = this.pool.isLimited ? this.permitsOf(id) : NO_PERMITS;
    const item = { slot, step: id.step, index: id.index, attempts, claimedMs: nowMs, permits };
    this.hold(item);
    return item;
  }

  protected hold(item: HeldItem): void {
    const number = this.numberOf(item);
    const history = this.historyOf(number);
    this.remove(number);
    this.open.set(number, { history, standing: "held", held: item });
    this.heldItems += this.weightOf(number);
    this.pool.held++;
  }

  protected stand(number: number, { attempts, crashes, redrives }: History, standing: Exclude<Standing, "held">): void {
    this.remove(number);
    this.open.set(number, { history: { attempts, crashes, redrives }, standing, held: null });
    if (standing === "deferred") this.deferredItems += this.weightOf(number);
    if (standing !== "asked") return;
    this.lines.ask(number);
    this.pool.asked++;
  }

  protected remove(number: number): void {
    this.pool.touch(this);
    const standing = this.open.get(number)?.standing;
    if (standing === undefined) {
      this.lines.leave(number);
      return;
    }
    if (standing === "held") {
      this.heldItems -= this.weightOf(number);
      this.pool.held--;
    }
    if (standing === "deferred") this.deferredItems -= this.weightOf(number);
    if (standing === "ready") this.lines.leave(number);
    if (standing === "suspect") this.suspects.delete(number);
    if (standing === "permitted") this.#unpermit(number);
    if (standing === "asked") this.#unask(number);
    this.open.delete(number);
  }

  #unpermit(number: number): void {
    if (this.permitted.delete(number)) this.pool.permitted--;
    this.#permittedSuspects.delete(number);
  }

  #unask(number: number): void {
    const before = this.lines.waiting;
    this.lines.unask(number);
    this.pool.asked--;
    this.pool.waiting += this.lines.waiting - before;
  }
}

/**
 * Whether the row of an item was written after it was given. A refusal is an outcome that changes no attempts: what tells is whether
 * the claim is the one it came from.
 */
export function hasEnded(claim: HeldItem, row: Pick<ItemState, "attempts" | "startedMs">): boolean {
  return claim.attempts !== row.attempts || claim.claimedMs <= (row.startedMs ?? -1);
}

function firstOf(numbers: Iterable<number>): number | undefined {
  for (const number of numbers) return number;
  return undefined;
}
