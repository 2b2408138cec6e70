import { encode } from "../core/codec.ts";
import type { Failure } from "../core/errors.ts";
import { ChunkItems, placeOf } from "./chunk-items.ts";
import type { ChunkRow } from "./chunk-store.ts";
import { Chunks } from "./chunks.ts";
import { Demand } from "./demand.ts";
import type { ItemRow } from "./item-store.ts";
import { type Emptied, type ItemId, Items } from "./items.ts";
import { Moved } from "./moved.ts";
import { ChunkNeeds, SoloNeeds, StepNeeds, type StoredNeeds } from "./needs.ts";
import type { Outcome, Rows } from "./outcome.ts";
import type { PermitEnding, PermitNews } from "./permits.ts";
import type { Plan } from "./plan.ts";
import { Pool } from "./pool.ts";
import { type Entry, LEASE_MS, type Slot, Slots } from "./slots.ts";
import type { ItemStatus } from "./statuses.ts";
import type { StepRow } from "./step-store.ts";
import type { HeldItem, Store } from "./store.ts";
import { Strays } from "./strays.ts";
import type { Try } from "./try-store.ts";
import { type Wait, Waits } from "./waits.ts";

/** What a report or a lost executor made of items. */
export interface Settled {
  /** The steps of which items may have failed, or may all be settled now, in the order in which that happened. */
  steps: Set<number>;
  /** Stopped steps of which an item has ended with a result after all. */
  late: number[];
  /** The items that have failed. */
  failed: ItemRow[];
  /** What execs have set on their step's node, encoded. */
  fields: { step: number; fields: string }[];
}

/** A node's open items. */
interface Work {
  pool: Pool;
  /** Those of a plain node's steps. */
  solo: { items: Items; needs: SoloNeeds } | undefined;
}

/**
 * Who holds what: the slots of a run and the open steps' items. Its methods are called within a transaction; each leaves rows
 * and memory saying the same.
 */
export class Ledger {
  readonly slots: Slots;
  readonly demand: Demand;
  readonly waits = new Waits();
  /** What calls have said that they used, ever. */
  tokens = 0;
  /** For those who look on. */
  readonly moved = new Moved();
  /** When the first deferred item is due. */
  earliestDueMs: number | null = null;
  readonly #planOf: (node: string) => Plan;
  readonly #work = new Map<string, Work>();
  readonly #groups = new Map<number, Items>();
  /** Results of plain nodes' steps that post will want in a moment. */
  readonly #results = new Map<number, string>();
  #news: PermitNews = { begun: [], ended: [], unused: [] };
  /** What executors held that fell silent, and until when its permits are kept. */
  #silent = new Map<HeldItem, number>();
  /** Calls that were learned to have failed, and are not stored yet. */
  #tries: Try[] = [];
  readonly #strays: Strays;
  readonly #store: Store;

  /** `createdMs` is the run's. */
  constructor(store: Store, createdMs: number, planOf: (node: string) => Plan) {
    this.#store = store;
    this.#planOf = planOf;
    this.slots = new Slots(store, createdMs);
    this.#strays = new Strays(store);
    this.demand = new Demand(this);
  }

  /** Takes up the items of steps that were in exec when the object was lost. */
  restore(steps: readonly StepRow[], nowMs: number): void {
    this.slots.restore(nowMs);
    this.tokens = this.#store.tokens();
    const known = this.#store.items.statesOf(steps.map(({ id }) => id));
    const needs = this.#store.items.soloNeeds(steps.map(({ id }) => id));
    for (const step of steps) this.open(step, needs.get(step.id) ?? null);
    const given = Map.groupBy(this.heldItems(), ({ step }) => this.#groups.get(step));
    const held = new Set<HeldItem>();
    for (const group of new Set(this.#groups.values())) {
      const ids = group.step === null ? steps.map(({ id }) => id) : [group.step];
      const states = ids.filter((id) => this.#groups.get(id) === group).flatMap((id) => known.get(id) ?? []);
      for (const item of group.restore(states, given.get(group) ?? [])) held.add(item);
    }
    this.#forgetOver();
    const others = [...this.heldItems()].filter(({ step }) => !this.#groups.has(step));
    this.#strays.restore(others, (node) => this.#workAt(node).pool);
    // Not by intersection(), which may change the order, and the order tells what an executor has missed.
    for (const slot of this.slots.all()) {
      slot.held = new Set([...slot.held].filter((item) => held.has(item) || this.#strays.has(item)));
    }
    this.#findDue();
  }

  /** A step's items may begin, or wait for what it waits for. */
  open(step: StepRow, needs: StoredNeeds | null): void {
    const { id, node, isSolo, wait } = step;
    const work = this.#workAt(node);
    if (!isSolo) this.#groups.set(id, this.#itemsOf(step));
    else {
      this.#join(work, id, needs);
      if (wait !== null) this.#rest(work, id, wait);
    }
  }

  #itemsOf(step: StepRow): Items {
    const { id, node, total, batchSize } = step;
    const { pool } = this.#workAt(node);
    const needs = new StepNeeds(this.#store.items, id, pool.plan.limits);
    if (batchSize === null) return new Items(id, total, pool, needs);
    const known = this.#store.chunks.of([id]).get(id) ?? [];
    return new ChunkItems(id, total, pool, new ChunkNeeds(chunksOf(step, known, needs), needs), known);
  }

  /** A step that was stopped goes on, with what its rows say of its items. */
  reopen(row: StepRow): void {
    const { items } = this.#store;
    this.open(row, items.soloNeeds([row.id]).get(row.id) ?? null);
    const strays = this.#strays.takeOf(row.id);
    const held = this.#groups.get(row.id)?.restore(items.statesOf([row.id]).get(row.id) ?? [], strays) ?? [];
    this.#forgetOver();
    // What is in exec still is held as it was.
    const kept = new Set(held);
    for (const item of strays) if (!kept.has(item)) this.slots.get(item.slot)?.held.delete(item);
  }

  /** A step whose items are all settled goes on. Returns what became of them. */
  close(step: number): { succeeded: number; failed: number } {
    const group = this.#groups.get(step) as Items;
    this.#groups.delete(step);
    if (group.step !== null) {
      group.pool.drop(group);
      return { succeeded: group.succeeded, failed: group.failed };
    }
    group.part(step);
    return { succeeded: 1, failed: 0 };
  }

  /** No more items of a step begin: it has failed. Their permits are given back. */
  halt(step: number): void {
    this.#news.unused.push(...(this.#groups.get(step)?.halt() ?? []));
  }

  /** A step is stopped with its branch. Returns what became of its items; nothing where they were all settled, or never opened. */
  stop(step: number): { succeeded: number; failed: number } | null {
    const group = this.#groups.get(step);
    if (!group) return null;
    this.#groups.delete(step);
    this.#results.delete(step);
    this.waits.drop(step);
    const { held, unused, ...tally } = group.stop(step);
    for (const item of held) this.#strays.add(item, group.pool);
    this.moved.noteMany();
    this.#news.unused.push(...unused);
    this.#store.items.stop(step);
    this.#store.chunks.stop(step);
    return tally;
  }

  /** The groups of open items. */
  *groups(): Generator<Items> {
    for (const { pool } of this.#work.values()) yield* pool.groups;
  }

  /** What all open items of each node share. */
  *byNode(): Generator<[node: string, Pool]> {
    for (const [node, { pool }] of this.#work) yield [node, pool];
  }

  pools(): Pool[] {
    return Array.from(this.#work.values(), ({ pool }) => pool);
  }

  group(step: number): Items | undefined {
    return this.#groups.get(step);
  }

  /** The only open item of the run; nothing where there are others, or none. */
  get soleItem(): { id: ItemId; group: Items } | undefined {
    const [[step, group] = []] = this.#groups;
    if (this.#groups.size !== 1 || step === undefined || group?.counts.total !== 1) return undefined;
    return { id: { step, index: 0 }, group };
  }

  /** How many items of a step have failed that was opened and not closed yet. */
  failedOf(step: number): number {
    return this.#groups.get(step)?.failedOf(step) ?? 0;
  }

  /** Whether all items of a step are settled that was opened and not closed yet. */
  isSettled(step: number): boolean {
    return this.#groups.get(step)?.isSettled(step) ?? false;
  }

  /** The result of a plain node's step, encoded: for its post. */
  takeResult(step: number): string {
    const known = this.#results.get(step);
    this.#results.delete(step);
    return known ?? (this.#store.items.results(step).next().value as string);
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
    return this.pools().some(({ isLimited, groups }) => isLimited && groups.size > 0);
  }

  *heldItems(): Generator<HeldItem> {
    for (const slot of this.slots.all()) yield* slot.held;
  }

  /** Chunks in exec that no vendor has a job of, as far as is known. */
  *submitting(): Generator<HeldItem> {
    for (const item of this.heldItems()) {
      const group = this.#groups.get(item.step);
      const plan = group?.pool.plan ?? this.#strays.poolOf(item)?.plan;
      if (!plan?.hasJobs) continue;
      const isKnown = group instanceof ChunkItems && typeof group.chunkOf(item).job?.job === "string";
      if (!isKnown) yield item;
    }
  }

  /** Up to before which item a chunk goes, and how many of its items have no result. */
  chunkAt(step: StepRow, first: number): { end: number; size: number } {
    const group = this.#groups.get(step.id);
    if (group instanceof ChunkItems) return group.chunkOf({ step: step.id, index: first });
    const needs = new StepNeeds(this.#store.items, step.id, this.#planOf(step.node).limits);
    const chunks = chunksOf(step, this.#store.chunks.of([step.id]).get(step.id) ?? [], needs);
    for (const { index } of this.#store.items.statesOf([step.id]).get(step.id) ?? []) chunks.settle(index);
    return placeOf(chunks, chunks.numberOf(first));
  }

  /** Whether anyone is in exec or called to it, so that a lease must be watched. */
  get isBusy(): boolean {
    return this.slots.sum((slot) => (slot.state === "idle" ? 0 : 1)) > 0;
  }

  /** Whether an item could be given to an executor now. */
  get canBegin(): boolean {
    return this.pools().some((pool) => pool.startable > 0 || (pool.suspicious.size > 0 && this.held === 0));
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
    const lost = acceptance === "over" ? this.#lose(slot, nowMs) : this.#settled(noRows());
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
    const rows = noRows();
    const fields: Settled["fields"] = [];
    const late: number[] = [];
    const { tokens } = this;
    for (const outcome of outcomes) {
      const group = this.#groups.get(outcome.step);
      const stray = this.#strays.size > 0 ? this.#strayOf(id, outcome) : undefined;
      if (stray && !group) for (const step of this.#strays.late(stray, outcome, rows, nowMs)) late.push(step);
      // A stale executor's successor may have it in exec.
      if (stray && isCurrent && !("isMore" in outcome)) {
        this.#endStray(stray, nowMs, endingOf(outcome));
        this.tokens += outcome.tokens ?? 0;
      }
      const held = group?.heldItem(outcome) ?? null;
      const isOwn = held?.slot === id && held.attempts === outcome.attempts;
      const isHolder = isCurrent && isOwn && group?.isSame(outcome) === true;
      const unused = group?.pool.isLimited ? group.permitsOf(outcome) : [];
      if (group && isHolder) this.#noteTries(group, outcome, held?.claimedMs ?? null, nowMs);
      if (isHolder && !("isMore" in outcome)) this.tokens += outcome.tokens ?? 0;
      if (!group?.settle(outcome, isHolder, rows, nowMs, random())) continue;
      // It had been given a permit to be executed once more.
      if (unused.length > 0 && group.permitsOf(outcome) !== unused) this.#news.unused.push(...unused);
      if ("body" in outcome && group.step === null && outcome.body.length <= LONGEST_KEPT)
        this.#results.set(outcome.step, outcome.body);
      if (outcome.fields !== undefined) fields.push({ step: outcome.step, fields: outcome.fields });
      // An item that has an outcome is held by nobody any more, whoever brought it. Of a chunk more may follow.
      if (held && group.heldItem(outcome) !== held) this.#letGo(held, nowMs, isHolder ? endingOf(outcome) : LOST);
      this.#giveUp(group.takeEmptied(), nowMs);
    }
    if (this.tokens > tokens) this.#store.saveTokens(this.tokens);
    return { ...this.#settled(rows), late, fields };
  }

  /** Of a call that was refused, or never began, there is nothing to tell. */
  #noteTries(group: Items, outcome: Outcome, startedMs: number | null, finishedMs: number): void {
    const { step, index } = outcome;
    const times = { step, startedMs, finishedMs };
    if (!outcome.ok && outcome.isAttempt !== false) {
      this.#tries.push({ ...times, first: index, end: endOf(group, outcome), error: outcome.failure });
    } else if (outcome.ok && "parts" in outcome) {
      for (const [first, result] of outcome.parts) {
        if (typeof result !== "string") this.#tries.push({ ...times, first, end: first + 1, error: result });
      }
    }
  }

  #giveUp({ held, unused }: Emptied, nowMs: number): void {
    for (const item of held) this.#letGo(item, nowMs, LOST);
    for (const permit of unused) this.#news.unused.push(permit);
  }

  /** An executor says that calls have begun. */
  begun(id: number, fence: number, begun: (ItemId & { ageMs: number })[], nowMs: number): void {
    if (!this.slots.isCurrent(id, fence)) return;
    for (const { ageMs, ...item } of begun) {
      const held = this.#groups.get(item.step)?.heldItem(item);
      if (held?.slot === id) this.#news.begun.push({ permits: held.permits, atMs: nowMs - ageMs });
    }
  }

  /** An executor takes nothing more and has nothing in exec: what it held and never reported, it was told to stop. */
  letGo(id: number, nowMs: number): void {
    for (const item of this.slots.get(id)?.held ?? []) {
      if (this.#strays.has(item)) this.#endStray(item, nowMs, LOST);
      else {
        this.#groups.get(item.step)?.letGo(item);
        this.#noteMoved(item, "pending");
        this.#letGo(item, nowMs, LOST);
      }
    }
  }

  /** When something is due: an item's next attempt, or a step's wait. */
  get dueMs(): number | null {
    const { earliestDueMs } = this;
    const { dueMs } = this.waits;
    return earliestDueMs === null || dueMs === null ? (earliestDueMs ?? dueMs) : Math.min(earliestDueMs, dueMs);
  }

  /** What steps waited for has come: signals that were sent, or their time. */
  wake(nowMs: number): Settled {
    const rows = noRows();
    const end = (step: number, value: unknown) => {
      this.waits.drop(step);
      const row = this.#groups.get(step)?.wake(step, encode(value, "signal"), nowMs);
      if (row) rows.items.push(row);
    };
    for (const name of this.waits.areForSignals ? this.#store.signals.names : []) {
      for (let step = this.waits.first(name); step !== undefined; step = this.waits.first(name)) {
        const signal = this.#store.signals.take(name, step);
        if (!signal) break;
        end(step, { name, payload: JSON.parse(signal.body), at: new Date(signal.atMs) });
      }
    }
    for (const [step, { signal }] of this.waits.due(nowMs)) end(step, signal === null ? undefined : null);
    return this.#settled(rows);
  }

  /** What a step waited for had come before its rows were read. */
  #forgetOver(): void {
    for (const [step] of [...this.waits.all()]) if (this.isSettled(step)) this.waits.drop(step);
  }

  #rest({ solo }: Work, step: number, wait: Wait): void {
    solo?.items.rest(step);
    this.waits.add(step, wait);
  }

  /** Nothing is asked any more for items that wait for a permit. */
  unask(): void {
    for (const group of this.groups()) group.unask();
  }

  /** An item that never begins, because no permit for it can be had. */
  fail(id: ItemId, failure: Failure, nowMs: number): Settled {
    const rows = noRows();
    this.#groups.get(id.step)?.fail(id, failure, rows, nowMs);
    return this.#settled(rows);
  }

  /**
   * Hands the slot as many items as it may hold, stopping where `isFull` says that the answer grows too large. A suspect only
   * when nothing else of the run is in exec. Items of an earlier answer that never arrived (the executor has `received` fewer
   * than it was given) come first, at no cost.
   */
  claim(id: number, received: number, isFull: (item: HeldItem) => boolean, nowMs: number): HeldItem[] {
    const slot = this.slots.get(id) as Slot;
    const missed = this.#missed(slot, received, nowMs);
    if (missed.some(isFull) || this.hasLoneSuspect) return missed;
    this.release(nowMs);
    const claimed = this.#take(slot, isFull, nowMs);
    if (claimed.length === 0 && this.held === 0) claimed.push(...this.#takeSuspect(id, nowMs));
    if (claimed.length > 0) this.slots.give(slot, claimed);
    for (const item of claimed) this.#noteMoved(item, "running");
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

  #workAt(node: string): Work {
    const known = this.#work.get(node);
    if (known) return known;
    const work: Work = { pool: new Pool(this.#planOf(node)), solo: undefined };
    this.#work.set(node, work);
    return work;
  }

  #join(work: Work, step: number, needs: StoredNeeds | null): void {
    work.solo ??= soloOf(work.pool);
    if (needs !== null) work.solo.needs.learn(step, needs);
    work.solo.items.join(step);
    this.#groups.set(step, work.solo.items);
  }

  /** Makes what has come due pending once more. */
  release(nowMs: number): void {
    if (this.earliestDueMs === null || this.earliestDueMs > nowMs) return;
    for (const store of [this.#store.items, this.#store.chunks]) {
      for (const id of store.releaseDue(nowMs)) {
        this.#groups.get(id.step)?.release(id);
        this.#noteMoved(id, "pending");
      }
    }
    this.#findDue();
  }

  #findDue(): void {
    const due = [this.#store.items.earliestDue(), this.#store.chunks.earliestDue()].filter((ms) => ms !== null);
    this.earliestDueMs = due.length === 0 ? null : Math.min(...due);
  }

  #evict(isLost: (slot: Slot) => boolean, nowMs: number): Settled {
    const settled = this.slots.find(isLost).map((slot) => {
      const lost = this.#lose(slot, nowMs);
      this.slots.leave(slot.id);
      return lost;
    });
    return {
      steps: new Set(settled.flatMap((lost) => [...lost.steps])),
      late: [],
      failed: settled.flatMap((lost) => lost.failed),
      fields: [],
    };
  }

  /** What a slot was given and its executor never received. What of that is of a stopped step is over. */
  #missed(slot: Slot, received: number, nowMs: number): HeldItem[] {
    if (slot.given <= received) return [];
    const missed = [...slot.held].slice(received - slot.given);
    const strays = missed.filter((item) => this.#strays.has(item));
    if (strays.length === 0) return missed;
    for (const item of strays) this.#endStray(item, nowMs, LOST);
    this.slots.save(slot, { given: slot.given - strays.length });
    return missed.filter((item) => !strays.includes(item));
  }

  /** What a slot holds of a stopped step. */
  #strayOf(id: number, { step, index }: ItemId): HeldItem | undefined {
    const held = this.slots.get(id)?.held ?? [];
    return [...held].find((item) => item.step === step && item.index === index && this.#strays.has(item));
  }

  /** An item of a stopped step is in exec no more. */
  #endStray(stray: HeldItem, nowMs: number, ending: PermitEnding): void {
    this.#strays.forget(stray);
    this.#letGo(stray, nowMs, ending);
    // That it has ended may be said by no row of its own.
    this.slots.save(this.slots.get(stray.slot) as Slot, {});
  }

  #lose(slot: Slot, nowMs: number): Settled {
    const lost = [...slot.held];
    const own = lost.filter((item) => !this.#strays.forget(item));
    const rows = noRows();
    for (const item of own) {
      const group = this.#groups.get(item.step);
      const { step, index: first, claimedMs: startedMs } = item;
      if (group) this.#tries.push({ step, first, end: endOf(group, item), startedMs, finishedMs: nowMs, error: null });
      group?.crash(item, rows, nowMs);
    }
    slot.held.clear();
    for (const item of lost) if (!this.#silent.has(item)) this.#endPermits(item, nowMs, LOST);
    return this.#settled(rows);
  }

  #letGo(item: HeldItem, nowMs: number, ending: PermitEnding): void {
    this.slots.get(item.slot)?.held.delete(item);
    this.#endPermits(item, nowMs, ending);
  }

  #endPermits(item: HeldItem, nowMs: number, ending: PermitEnding): void {
    if (item.permits.length === 0) return;
    this.#silent.delete(item);
    this.#news.ended.push({ permits: item.permits, atMs: nowMs, ending });
  }

  #settled({ items, chunks }: Rows): Settled {
    this.#store.items.save(items);
    if (chunks.length > 0) this.#store.chunks.save(chunks);
    if (this.#tries.length > 0) this.#store.tries.add(this.#tries.splice(0));
    for (const { step, first, status } of chunks) this.#noteMoved({ step, index: first }, status);
    const settled: Settled = { steps: new Set(), late: [], failed: [], fields: [] };
    for (const row of items) {
      const { step, status, dueMs } = row;
      this.moved.note(row, status);
      if (status === "failed") settled.failed.push(row);
      settled.steps.add(step);
      if (dueMs !== null) this.#isDue(dueMs);
    }
    for (const { dueMs } of chunks) if (dueMs !== null) this.#isDue(dueMs);
    return settled;
  }

  /** What becomes of an item becomes of those that are executed with it. */
  #noteMoved(id: ItemId, status: ItemStatus): void {
    if (!this.moved.isWatched) return;
    for (const index of this.#groups.get(id.step)?.membersOf(id) ?? [])
      this.moved.note({ step: id.step, index }, status);
  }

  #isDue(dueMs: number): void {
    this.earliestDueMs = Math.min(this.earliestDueMs ?? Number.POSITIVE_INFINITY, dueMs);
  }

  #take(slot: Slot, isFull: (item: HeldItem) => boolean, nowMs: number): HeldItem[] {
    const taken: HeldItem[] = [];
    for (const { pool } of this.#work.values()) {
      if (slot.home !== "inline" && pool.plan.home !== slot.home) continue;
      for (const group of pool.offering) {
        while (slot.held.size + taken.length < pool.plan.perExecutor) {
          const item = group.take(slot.id, nowMs);
          if (item === undefined) break;
          taken.push(item);
          if (isFull(item)) return taken;
        }
        if (slot.held.size + taken.length >= pool.plan.perExecutor || pool.startable === 0) break;
      }
    }
    return taken;
  }

  #takeSuspect(slot: number, nowMs: number): HeldItem[] {
    for (const pool of this.pools()) {
      for (const group of pool.suspicious) {
        const item = group.takeSuspect(slot, nowMs);
        if (item) return [item];
      }
    }
    return [];
  }

  /** Whether a suspect is in exec: then it is the only item that is. */
  get hasLoneSuspect(): boolean {
    if (this.held !== 1) return false;
    for (const item of this.heldItems()) if (this.#groups.get(item.step)?.isSuspect(item)) return true;
    return false;
  }
}

/** How the items of a batch with a `batchSize` are cut. */
function chunksOf({ total, batchSize }: StepRow, known: readonly ChunkRow[], needs: StepNeeds): Chunks {
  return new Chunks(total, batchSize ?? 1, new Set(known.map(({ first }) => first)), needs.chunkKeys());
}

/** Up to before which item a call goes. */
function endOf(group: Items, id: ItemId): number {
  return group instanceof ChunkItems ? group.chunkOf(id).end : id.index + 1;
}

function noRows(): Rows {
  return { items: [], chunks: [] };
}

/** A longer result is read again when post wants it. */
const LONGEST_KEPT = 10_000;

function soloOf(pool: Pool): NonNullable<Work["solo"]> {
  const needs = new SoloNeeds(pool.plan.limits);
  return { needs, items: new Items(null, 0, pool, needs) };
}

const LOST: PermitEnding = { as: "lost", tokens: null, retryAfterMs: null };

function endingOf(outcome: Outcome): PermitEnding {
  const tokens = outcome.tokens ?? null;
  if (outcome.ok) return { as: "succeeded", tokens, retryAfterMs: null };
  const { rateLimited, retryAfterMs = null } = outcome.failure;
  return { as: rateLimited ? "refused" : "failed", tokens, retryAfterMs: rateLimited ? retryAfterMs : null };
}
