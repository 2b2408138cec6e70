import type { Failure } from "../core/errors.ts";
import { afterFailure, type History, isSuspect, SUSPECT_AFTER, type Verdict } from "../core/item.ts";
import type { ChunkRow } from "./chunk-store.ts";
import type { Chunks } from "./chunks.ts";
import type { ItemRow } from "./item-store.ts";
import { type Emptied, hasEnded, type ItemId, type ItemState, Items, type Standing, UNTRIED } from "./items.ts";
import type { ChunkNeeds } from "./needs.ts";
import type { Outcome, Parked, Parts, Rows } from "./outcome.ts";
import type { Pool } from "./pool.ts";
import type { HeldItem, PermitId } from "./store.ts";

type Times = Pick<ItemRow, "startedMs" | "finishedMs">;

/**
 * The open items of a batch with a `batchSize`: what begins, waits and is tried again are chunks of them, known by their numbers. A
 * settled item has its own row; what a chunk's open items have in common is in the chunk's.
 */
export class ChunkItems extends Items {
  declare readonly step: number;
  readonly #chunks: Chunks;
  #known: readonly ChunkRow[];
  /** Chunks with a job that can be asked for, and all of those that are not in exec. */
  readonly #due = new Set<number>();
  readonly #withJob = new Set<number>();
  /** Claims and permits of which others' results have left nothing. */
  #emptied: { held: HeldItem[]; unused: PermitId[] } = { held: [], unused: [] };

  /** `known` are those of which there is something to say. */
  constructor(step: number, total: number, pool: Pool, needs: ChunkNeeds, known: readonly ChunkRow[]) {
    super(step, total, pool, needs, needs.chunks.count);
    this.#chunks = needs.chunks;
    this.#known = known;
  }

  override restore(states: Iterable<ItemState>, given: Iterable<HeldItem>): Iterable<HeldItem> {
    const held = new Map<number, HeldItem>();
    for (const item of given) {
      const number = this.numberOf(item);
      if ((held.get(number)?.claimedMs ?? -1) < item.claimedMs) held.set(number, item);
    }
    for (const { index, status } of states) {
      this.#chunks.settle(index);
      if (status === "succeeded") this.succeeded++;
      else {
        this.#chunks.countFailure(index);
        this.failed++;
      }
    }
    for (let number = 0; number < this.#chunks.count; number++) {
      if (this.weightOf(number) > 0) continue;
      this.remove(number);
      held.delete(number);
    }
    for (const row of this.#known) this.#restoreChunk(row, held);
    this.#known = [];
    for (const item of held.values()) this.hold(item);
    return held.values();
  }

  override membersOf(id: ItemId): readonly number[] {
    return this.#chunks.openIn(this.numberOf(id));
  }

  override get due(): number {
    return this.isHalted ? 0 : this.#due.size;
  }

  override takeEmptied(): Emptied {
    const emptied = this.#emptied;
    if (emptied.held.length + emptied.unused.length > 0) this.#emptied = { held: [], unused: [] };
    return emptied;
  }

  override isSame(outcome: Outcome): boolean {
    return outcome.end === this.#chunks.endOf(this.numberOf(outcome));
  }

  /** Up to which item a chunk goes, how many of its items are open, and its job. */
  chunkOf(id: ItemId): { end: number; size: number; job: ChunkRow["job"] } {
    const number = this.numberOf(id);
    return { ...placeOf(this.#chunks, number), job: this.#chunks.jobOf(number) };
  }

  /** By which item the chunk that has one is called. */
  firstOf(id: ItemId): number {
    return this.#chunks.firstOf(this.numberOf(id));
  }

  /** A chunk that has a job may go on whatever else is in exec: it never stopped being so. */
  override take(slot: number, nowMs: number): HeldItem | undefined {
    if (this.due === 0) return super.take(slot, nowMs);
    for (const number of this.#due) return this.claim(slot, number, nowMs);
    return undefined;
  }

  override settle(outcome: Outcome, isHolder: boolean, rows: Rows, nowMs: number, random: number): boolean {
    if (!outcome.ok) {
      // Whatever comes next of it is another job.
      if (isHolder && !outcome.isLate) this.#chunks.setJob(this.numberOf(outcome), null);
      return super.settle(outcome, isHolder, rows, nowMs, random);
    }
    if ("parts" in outcome) return this.#takeParts(outcome, isHolder, rows, nowMs, random);
    return "job" in outcome && this.#park(outcome, isHolder, rows, nowMs);
  }

  /** A chunk that needs more than its limit ever has is no call that could be made, but its halves may be. */
  override fail(id: ItemId, failure: Failure, rows: Rows, nowMs: number): void {
    const number = this.numberOf(id);
    if (this.weightOf(number) > 1 && this.lines.asked.has(number)) this.#split(number, UNTRIED, null, rows);
    else super.fail(id, failure, rows, nowMs);
  }

  protected override weightOf(number: number): number {
    return this.#chunks.leftIn(number);
  }

  protected override get askedItems(): number {
    let items = 0;
    for (const number of this.lines.asked) items += this.weightOf(number);
    return items;
  }

  protected override numberOf({ index }: ItemId): number {
    return this.#chunks.numberOf(index);
  }

  protected override idOf(number: number): ItemId {
    return { step: this.step, index: this.#chunks.firstOf(number) };
  }

  protected override queue(number: number, history: History): void {
    if (isSuspect(history) || !this.#hasPlace(number, history)) super.queue(number, history);
    else {
      this.stand(number, history, "due");
      this.#due.add(number);
    }
  }

  protected override stand(number: number, history: History, standing: Exclude<Standing, "held">): void {
    super.stand(number, history, standing);
    if (!this.#hasPlace(number, history)) return;
    this.#withJob.add(number);
    this.pool.jobs++;
  }

  /** Whether a vendor has the chunk as a job, or may have it: who was lost, or failed, may have submitted it. */
  #hasPlace(number: number, { crashes }: History): boolean {
    return this.#chunks.jobOf(number) !== null || (this.pool.plan.hasJobs && crashes > 0);
  }

  protected override remove(number: number): void {
    this.#due.delete(number);
    if (this.#withJob.delete(number)) this.pool.jobs--;
    super.remove(number);
  }

  protected override judge(number: number, verdict: Verdict, times: Times, rows: Rows): void {
    if (verdict.status !== "failed") {
      if (verdict.status === "pending") this.queue(number, verdict.history);
      else this.stand(number, verdict.history, "deferred");
      const dueMs = verdict.status === "deferred" ? verdict.dueMs : null;
      rows.chunks.push({ ...this.#row(number, verdict.history, times.startedMs), status: verdict.status, dueMs });
    } else if (this.pool.plan.isSplit && this.weightOf(number) > 1) {
      // A half that ends its executor is suspected at once, and fails alone.
      const crashes = Math.min(verdict.history.crashes, SUSPECT_AFTER);
      this.#split(number, { ...UNTRIED, crashes }, times.startedMs, rows);
    } else {
      for (const index of this.#chunks.openIn(number)) this.#failItem(index, verdict, times, rows);
      this.#end(number, verdict.history, rows, false);
    }
  }

  /** Each half is a call of its own, with all attempts. */
  #split(number: number, history: History, startedMs: number | null, rows: Rows): void {
    const { redrives } = this.historyOf(number);
    const half = { ...history, redrives };
    this.remove(number);
    this.#chunks.setJob(number, null);
    const second = this.#chunks.split(number);
    this.lines.split(second, number);
    for (const each of [number, second]) {
      this.queue(each, half);
      // The claim to the whole is over: of the first half, which bears its name, that is to be seen.
      rows.chunks.push(this.#row(each, half, startedMs));
    }
    this.lines.hurry([number, second]);
  }

  #takeParts(outcome: Parts, isHolder: boolean, rows: Rows, nowMs: number, random: number): boolean {
    const own = this.numberOf(outcome);
    const before = this.historyOf(own);
    const startedMs = this.open.get(own)?.held?.claimedMs ?? null;
    const times = { startedMs, finishedMs: nowMs };
    const touched = new Set<number>();
    let dueMs: number | null = null;
    for (const [index, result] of outcome.parts) {
      if (this.#chunks.isSettled(index)) continue;
      const number = this.numberOf({ step: this.step, index });
      if (typeof result === "string") {
        touched.add(number);
        this.#succeedItem(index, result, this.historyOf(number), times, rows);
      } else if (isHolder) {
        const verdict = afterFailure(before, result, this.pool.plan.policy, nowMs, random);
        if (verdict.status === "failed") this.#failItem(index, verdict, times, rows);
        else if (verdict.status === "deferred") dueMs = Math.max(dueMs ?? 0, verdict.dueMs);
      }
    }
    if (!isHolder) return this.#endEmpty(touched, own, rows);
    const history = { ...before, attempts: before.attempts + 1 };
    if (this.weightOf(own) === 0) this.#end(own, history, rows, before.attempts > 0);
    else if (!outcome.isMore) this.#again(own, history, { startedMs, dueMs }, rows);
    return true;
  }

  /** A call has ended, and items are left that it had no result for: they are tried again together. */
  #again(
    number: number,
    history: History,
    { startedMs, dueMs }: Pick<ChunkRow, "startedMs" | "dueMs">,
    rows: Rows,
  ): void {
    this.#chunks.setJob(number, null);
    if (dueMs === null) this.queue(number, history);
    else this.stand(number, history, "deferred");
    const status = dueMs === null ? "pending" : "deferred";
    rows.chunks.push({ ...this.#row(number, history, startedMs), status, dueMs });
  }

  /** Nothing of a chunk is open. What was tried of it is kept where items have failed, should these be redriven. */
  #end(number: number, history: History, rows: Rows, isKept: boolean): void {
    const job = this.#chunks.jobOf(number);
    this.remove(number);
    this.#chunks.setJob(number, null);
    if (isKept || job || this.#chunks.hasFailures(number)) rows.chunks.push(this.#row(number, history, null));
  }

  /** Chunks that were not the reporter's own may have nothing left. */
  #endEmpty(touched: ReadonlySet<number>, own: number, rows: Rows): boolean {
    for (const number of touched) {
      if (this.weightOf(number) > 0) continue;
      const { held } = this.open.get(number) ?? {};
      if (number !== own) {
        if (held) this.#emptied.held.push(held);
        this.#emptied.unused.push(...this.permitsOf(this.idOf(number)));
      }
      this.#end(number, this.historyOf(number), rows, false);
    }
    return touched.size > 0;
  }

  /** The vendor has the chunk, or could not be reached: it is gone on with later. That is no attempt. */
  #park(outcome: Parked, isHolder: boolean, rows: Rows, nowMs: number): boolean {
    const number = this.numberOf(outcome);
    const before = this.historyOf(number);
    const { held } = this.open.get(number) ?? {};
    // Of one who is not believed any more only a new job is of interest, and that where nobody else sees to it.
    const isNews = !held && !this.#chunks.hasJob(number) && before.attempts === outcome.attempts;
    if (this.weightOf(number) === 0 || !(isHolder || isNews)) return false;
    this.#chunks.setJob(number, outcome.job);
    // The vendor has answered: whatever its executors were lost by before, it was not the chunk.
    const history = outcome.job.trouble === 0 ? { ...before, crashes: 0 } : before;
    const isNow = outcome.waitMs <= 0;
    if (isNow) this.queue(number, history);
    else this.stand(number, history, "deferred");
    const row = this.#row(number, history, held?.claimedMs ?? nowMs);
    rows.chunks.push({ ...row, status: isNow ? "pending" : "deferred", dueMs: isNow ? null : nowMs + outcome.waitMs });
    return true;
  }

  #restoreChunk(row: ChunkRow, held: Map<number, HeldItem>): void {
    const number = this.#chunks.numberOf(row.first);
    if (this.weightOf(number) === 0) return;
    this.#chunks.setJob(number, row.job);
    const claim = held.get(number);
    if (claim && hasEnded(claim, row)) held.delete(number);
    // Of one that was never begun only where it begins is said.
    if (isUntouched(row)) return;
    this.lines.leave(number);
    if (row.status === "deferred") this.stand(number, row, "deferred");
    else this.queue(number, row);
  }

  #succeedItem(index: number, body: string, before: History, times: Times, rows: Rows): void {
    this.#settle(index);
    this.succeeded++;
    const history = { ...before, attempts: before.attempts + 1 };
    rows.items.push({ step: this.step, index, status: "succeeded", ...history, dueMs: null, ...times, body });
  }

  #failItem(index: number, verdict: Verdict & { status: "failed" }, times: Times, rows: Rows): void {
    this.#settle(index);
    this.#chunks.countFailure(index);
    this.failed++;
    const body = JSON.stringify(verdict.failure);
    rows.items.push({ step: this.step, index, status: "failed", ...verdict.history, dueMs: null, ...times, body });
  }

  /** An item counts no more where its chunk stands. */
  #settle(index: number): void {
    const standing = this.open.get(this.#chunks.numberOf(index))?.standing;
    if (standing === "held") this.heldItems--;
    if (standing === "deferred") this.deferredItems--;
    this.#chunks.settle(index);
    this.pool.touch(this);
  }

  #row(number: number, { attempts, crashes, redrives }: History, startedMs: number | null): ChunkRow {
    const id = { step: this.step, first: this.#chunks.firstOf(number) };
    const job = this.#chunks.jobOf(number);
    return { ...id, status: "pending", attempts, crashes, redrives, dueMs: null, startedMs, job };
  }
}

/** What of a chunk tells its calls apart. */
export function placeOf(chunks: Chunks, number: number): { end: number; size: number } {
  return { end: chunks.endOf(number), size: chunks.leftIn(number) };
}

function isUntouched({ status, attempts, crashes, redrives, startedMs, job }: ChunkRow): boolean {
  return status === "pending" && attempts + crashes + redrives === 0 && startedMs === null && job === null;
}
