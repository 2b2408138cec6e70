import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Failure } from "../../src/core/errors.ts";
import type { ChunkItems } from "../../src/durable/chunk-items.ts";
import { Chunks } from "../../src/durable/chunks.ts";
import { keyOfCall } from "../../src/durable/keys.ts";
import { Ledger } from "../../src/durable/ledger.ts";
import type { Outcome, Part } from "../../src/durable/outcome.ts";
import type { Plan } from "../../src/durable/plan.ts";
import type { StepRow } from "../../src/durable/step-store.ts";
import type { HeldItem, Store } from "../../src/durable/store.ts";
import { stepRow, withStore } from "./stores.ts";

const STEP = 1;
const busy: Failure = { name: "Error", message: "busy" };
const fatal: Failure = { ...busy, retryable: false };
/** As many lone crashes as nothing survives. */
const DEADLY = 5;
const SUSPECT = 2;

const planWith = (more: Partial<Plan> = {}): Plan => ({
  home: "object",
  concurrency: 3,
  perExecutor: 2,
  isSequential: false,
  policy: { maxRetries: 3, wait: 0, backoff: 1, maxWait: 1000, jitter: 0 },
  batchSize: 4,
  hasJobs: false,
  isSplit: false,
  limits: [],
  tolerance: null,
  ...more,
});

/** What is to be true of a chunk. */
interface Known {
  first: number;
  end: number;
  attempts: number;
  crashes: number;
  status: "pending" | "deferred" | "held";
  dueMs: number;
  by: Executor | null;
}

interface Claim extends HeldItem {
  end: number;
  members: readonly number[];
}

interface Executor {
  slot: number;
  fence: number;
  received: number;
  claims: Claim[];
  isGone: boolean;
  /** Its latest report, of which the answer may be lost. */
  last?: { claim: Claim; happening: Happening };
}

type End = { ok: true; body: string } | { ok: false; message: string };

/** What should become of a batch in chunks, as simply as it can be said. */
class Model {
  readonly ends: (End | null)[];
  readonly #plan: Plan;
  chunks: Known[] = [];

  constructor(total: number, batchSize: number, plan: Plan) {
    this.#plan = plan;
    this.ends = Array(total).fill(null);
    for (let first = 0; first < total; first += batchSize) {
      this.chunks.push(this.#fresh(first, Math.min(total, first + batchSize)));
    }
  }

  #fresh(first: number, end: number, crashes = 0): Known {
    return { first, end, attempts: 0, crashes, status: "pending", dueMs: 0, by: null };
  }

  of(index: number): Known | undefined {
    return this.chunks.find(({ first, end }) => first <= index && index < end);
  }

  open({ first, end }: { first: number; end: number }): number[] {
    return this.ends.flatMap((known, index) => (known === null && first <= index && index < end ? [index] : []));
  }

  holds(executor: Executor, claim: Claim): Known | undefined {
    const chunk = this.of(claim.index);
    if (!chunk || chunk.by !== executor || executor.isGone) return undefined;
    const { first, end, attempts } = chunk;
    return first === claim.index && end === claim.end && attempts === claim.attempts ? chunk : undefined;
  }

  #settle(index: number, end: End): void {
    this.ends[index] ??= end;
    this.chunks = this.chunks.filter((chunk) => this.open(chunk).length > 0);
  }

  /** Of anybody. */
  succeed(index: number, body: string): void {
    this.#settle(index, { ok: true, body });
  }

  /** Of who holds the chunk. */
  parts(chunk: Known, parts: readonly Part[], isMore: boolean, nowMs: number): void {
    let isAgain = false;
    for (const [index, result] of parts) {
      if (typeof result === "string") this.succeed(index, result);
      else if (result.retryable === false || chunk.attempts + 1 >= this.#plan.policy.maxRetries)
        this.#settle(index, { ok: false, message: result.message });
      else isAgain = true;
    }
    if (isMore) return;
    chunk.attempts++;
    this.#free(chunk, isAgain ? this.#plan.policy.wait * 1000 : 0, nowMs);
  }

  whole(chunk: Known, failure: Failure, nowMs: number): void {
    chunk.attempts++;
    const { maxRetries, wait } = this.#plan.policy;
    if (failure.retryable !== false && chunk.attempts < maxRetries) this.#free(chunk, wait * 1000, nowMs);
    else this.#end(chunk, failure.message);
  }

  refused(chunk: Known, nowMs: number): void {
    this.#free(chunk, 0, nowMs);
  }

  crash(chunk: Known, nowMs: number): void {
    chunk.crashes++;
    if (chunk.crashes >= DEADLY) this.#end(chunk, "ExecutorLost");
    else this.#free(chunk, chunk.crashes < SUSPECT ? 0 : 1000 * 2 ** (chunk.crashes - SUSPECT), nowMs);
  }

  release(nowMs: number): void {
    for (const chunk of this.chunks) {
      if (chunk.status === "deferred" && chunk.dueMs <= nowMs) chunk.status = "pending";
    }
  }

  #free(chunk: Known, waitMs: number, nowMs: number): void {
    Object.assign(chunk, { status: waitMs > 0 ? "deferred" : "pending", dueMs: nowMs + waitMs, by: null });
  }

  #end(chunk: Known, message: string): void {
    const open = this.open(chunk);
    if (!this.#plan.isSplit || open.length === 1) {
      for (const index of open) this.#settle(index, { ok: false, message });
      return;
    }
    const middle = open[Math.ceil(open.length / 2)] as number;
    const crashes = Math.min(chunk.crashes, SUSPECT);
    const halves = [this.#fresh(chunk.first, middle, crashes), this.#fresh(middle, chunk.end, crashes)];
    this.chunks = this.chunks.flatMap((each) => (each === chunk ? halves : [each]));
  }
}

const happenings = fc.array(
  fc.record({
    what: fc.constantFrom(
      ...["call", "call", "parts", "parts", "parts", "some", "whole", "whole", "refused", "over", "over", "silence"],
      ...["pass", "reload", "stop", "again"],
    ),
    who: fc.nat(9),
    which: fc.nat(5),
    done: fc.nat(255),
    final: fc.nat(255),
  }),
  { minLength: 8, maxLength: 60, size: "max" },
);
type Happening = typeof happenings extends fc.Arbitrary<(infer H)[]> ? H : never;

/** A batch that happens to be in an object's rows, and what should be true of it. */
class Play {
  nowMs = 1_000_000;
  readonly #store: Store;
  readonly #plan: Plan;
  readonly #step: StepRow;
  readonly #executors: Executor[] = [];
  readonly #said = new Map<number, Set<string>>();
  #settled = new Map<number, string>();
  #ledger: Ledger;
  readonly model: Model;
  calls = 0;
  failures = 0;

  constructor(store: Store, total: number, batchSize: number, plan: Plan) {
    this.#store = store;
    this.#plan = plan;
    this.model = new Model(total, batchSize, plan);
    this.#step = stepRow(STEP, { phase: "exec", total, batchSize });
    this.#ledger = this.#newLedger();
    store.commit(() => {
      store.steps.save([{ row: this.#step, isNew: true, item: null, needs: null }], 1);
      this.#ledger.open(this.#step, null);
    });
  }

  #newLedger(): Ledger {
    return new Ledger(this.#store, 0, () => this.#plan);
  }

  #loaded(): Ledger {
    const ledger = this.#newLedger();
    ledger.restore([this.#step], this.nowMs);
    return ledger;
  }

  happen(happening: Happening): void {
    this.nowMs++;
    this.#store.commit(() => this.#do(happening));
    this.check();
  }

  #do(happening: Happening): void {
    const { what, who } = happening;
    if (what === "reload") this.#ledger = this.#loaded();
    if (what === "call") this.#call();
    if (what === "pass") this.#pass(5000);
    if (what === "silence") this.#silence();
    if (what === "stop") this.#stop(happening);
    const executor = this.#executors[who % Math.max(1, this.#executors.length)];
    if (!executor) return;
    if (what === "over") this.#over(executor);
    if (what === "again") this.#again(executor);
    const claim = executor.claims[happening.which % Math.max(1, executor.claims.length)];
    if (!claim) this.#claim(executor);
    else if (["parts", "some", "whole", "refused"].includes(what)) this.#report(executor, claim, happening);
  }

  #call(): void {
    for (const { slot, wake } of this.#ledger.demand.wakeForWork(false, this.nowMs)) {
      this.model.release(this.nowMs);
      const entered = this.#ledger.enter({ slot, wake, delivery: 1, entry: `${++this.calls}` }, this.nowMs);
      const executor = { slot, fence: entered?.fence ?? -1, received: 0, claims: [], isGone: false };
      for (const other of this.#executors) if (other.slot === slot) other.isGone = true;
      this.#executors.push(executor);
      this.#claim(executor);
    }
  }

  #claim(executor: Executor): void {
    if (executor.isGone || !this.#ledger.slots.isCurrent(executor.slot, executor.fence)) return;
    const before = this.#ledger.held;
    const claims = this.#ledger.claim(executor.slot, executor.received, () => false, this.nowMs);
    this.model.release(this.nowMs);
    executor.received += claims.length;
    for (const claim of claims) {
      const chunk = this.model.of(claim.index) as Known;
      expect(chunk).toMatchObject({ first: claim.index, status: "pending", attempts: claim.attempts });
      const members = (this.#ledger.group(STEP) as ChunkItems).membersOf(claim);
      expect(members).toEqual(this.model.open(chunk));
      if (chunk.crashes >= SUSPECT) expect([before, claims.length]).toEqual([0, 1]);
      Object.assign(chunk, { status: "held", by: executor });
      executor.claims.push({ ...claim, end: chunk.end, members });
    }
    const held = this.model.chunks.filter(({ status }) => status === "held").length;
    expect(held).toBeLessThanOrEqual(this.#plan.isSequential ? 1 : this.#plan.concurrency);
  }

  #again(executor: Executor): void {
    if (executor.last) this.#report(executor, executor.last.claim, executor.last.happening);
  }

  #report(executor: Executor, claim: Claim, happening: Happening): void {
    const { what, done, final } = happening;
    executor.last = { claim, happening };
    const { index, attempts, end } = claim;
    const id = { step: STEP, index, attempts, end };
    const chunk = this.model.holds(executor, claim);
    const isMore = what === "some";
    const parts = claim.members.flatMap((index, at): Part[] => {
      if (done & (1 << at)) return [[index, `j"${index} by ${executor.slot} ${executor.fence}"`]];
      if (isMore && !(final & (1 << at))) return [];
      return [[index, final & (1 << at) ? fatal : busy]];
    });
    const failure = final & 1 ? fatal : busy;
    const isParts = isMore || what === "parts";
    const outcomes: { [what: string]: Outcome } = {
      parts: { ...id, ok: true, parts },
      some: { ...id, ok: true, parts, isMore: true },
      whole: { ...id, ok: false, failure },
      refused: { ...id, ok: false, failure, isAttempt: false },
    };
    this.#ledger.settle(executor.slot, executor.fence, [outcomes[what] as Outcome], this.nowMs, () => 0.5);
    if (what !== "some") executor.claims = executor.claims.filter((other) => other !== claim);
    if (what !== "parts" || parts.some(([, result]) => typeof result !== "string")) this.failures++;
    for (const [index, result] of parts) {
      if (typeof result === "string") this.#said.set(index, (this.#said.get(index) ?? new Set()).add(result));
    }
    if (isParts && !chunk) for (const [index, body] of parts) this.#late(index, body);
    else if (chunk && isParts) this.model.parts(chunk, parts, isMore, this.nowMs);
    else if (chunk && what === "whole") this.model.whole(chunk, failure, this.nowMs);
    else if (chunk) this.model.refused(chunk, this.nowMs);
  }

  #late(index: number, body: Part[1]): void {
    if (typeof body === "string" && this.model.ends[index] === null) this.model.succeed(index, body);
  }

  /** Its alarm runs again: what the slot held is lost. The one before may still be there, and report. */
  #over(executor: Executor): void {
    const slot = this.#ledger.slots.get(executor.slot);
    if (executor.isGone || slot?.state !== "live") return;
    for (const chunk of this.#heldBy(executor)) this.model.crash(chunk, this.nowMs);
    executor.isGone = true;
    const { wake } = slot;
    const entered = this.#ledger.enter({ slot: slot.id, wake, delivery: 1, entry: `over ${++this.calls}` }, this.nowMs);
    this.failures++;
    this.#executors.push({ slot: slot.id, fence: entered?.fence ?? -1, received: 0, claims: [], isGone: false });
  }

  #heldBy(executor: Executor): Known[] {
    return this.model.chunks.filter(({ by }) => by === executor);
  }

  #silence(): void {
    this.nowMs += 20_000;
    this.failures++;
    for (const executor of this.#executors) {
      if (executor.isGone) continue;
      for (const chunk of this.#heldBy(executor)) this.model.crash(chunk, this.nowMs);
      executor.isGone = true;
    }
    this.#ledger.expire(this.nowMs);
  }

  #pass(ms: number): void {
    this.nowMs += ms;
    this.#ledger.release(this.nowMs);
    this.model.release(this.nowMs);
  }

  /** Its branch fails, and is taken up again. Somebody may bring results in between, and the object may be lost. */
  #stop({ done, who, which }: Happening): void {
    const { counts } = this.#ledger.group(STEP) as ChunkItems;
    if (counts.succeeded + counts.failed === counts.total) return;
    const { succeeded, failed } = counts;
    expect(this.#ledger.stop(STEP)).toEqual({ succeeded, failed });
    this.#store.steps.save([{ row: { ...this.#step, phase: "stopped" }, isNew: false, item: null, needs: null }], 1);
    for (const chunk of this.model.chunks) if (chunk.status === "deferred") chunk.status = "pending";
    if (done & 1) {
      this.#ledger = this.#newLedger();
      this.#ledger.restore([], this.nowMs);
    }
    if (done & 2) {
      const executor = this.#executors[who % Math.max(1, this.#executors.length)];
      const claim = executor?.claims[which % Math.max(1, executor.claims.length)];
      if (executor && claim && !executor.isGone) this.#reportStray(executor, claim, done);
    }
    if (done & 4) {
      this.#ledger = this.#newLedger();
      this.#ledger.restore([], this.nowMs);
    }
    this.#store.steps.restore(this.#step);
    this.#ledger.reopen(this.#step);
  }

  #reportStray(executor: Executor, claim: Claim, done: number): void {
    const chunk = this.model.holds(executor, claim);
    if (!chunk) return;
    const parts = claim.members.map((index, at): Part => [index, done & (8 << at) ? `j"${index} late"` : busy]);
    const { index, attempts, end } = claim;
    const outcome: Outcome = { step: STEP, index, attempts, end, ok: true, parts };
    const { late } = this.#ledger.settle(executor.slot, executor.fence, [outcome], this.nowMs, () => 0.5);
    this.failures++;
    executor.claims = executor.claims.filter((other) => other !== claim);
    const stray = parts.filter(([, body]) => typeof body === "string");
    const fresh = stray.filter(([index]) => this.model.ends[index] === null);
    expect(late).toEqual(fresh.map(() => STEP));
    for (const [index, body] of fresh) {
      this.#said.set(index, (this.#said.get(index) ?? new Set()).add(body as string));
      this.#late(index, body);
    }
    Object.assign(chunk, { status: "pending", by: null });
  }

  check(): void {
    const rows = this.#rows();
    const group = this.#ledger.group(STEP) as ChunkItems;
    const settled = new Map([...rows].map(([index, row]) => [index, JSON.stringify(row)]));
    // S1
    for (const [index, text] of this.#settled) expect(settled.get(index)).toBe(text);
    this.#settled = settled;
    for (const [index, end] of this.model.ends.entries()) {
      const row = rows.get(index);
      expect(row === undefined ? null : row.status).toBe(end === null ? null : end.ok ? "succeeded" : "failed");
      if (end?.ok) expect([...(this.#said.get(index) ?? [])]).toContain(row?.body);
      if (end?.ok) expect(row?.body).toBe(end.body);
      if (row) expect(row.attempts).toBeLessThanOrEqual(this.#plan.policy.maxRetries);
    }
    // S2
    const { total, ...counts } = group.counts;
    const sum = (status: Known["status"]) =>
      this.model.chunks.filter((chunk) => chunk.status === status).flatMap((chunk) => this.model.open(chunk)).length;
    expect(counts).toEqual({
      pending: sum("pending"),
      running: sum("held"),
      deferred: sum("deferred"),
      succeeded: this.model.ends.filter((end) => end?.ok).length,
      failed: this.model.ends.filter((end) => end && !end.ok).length,
    });
    expect(Object.values(counts).reduce((a, b) => a + b)).toBe(total);
    const now = look(this.#ledger, total, this.model.ends);
    expect(now.items).toEqual(
      this.model.ends.map((end, index) => {
        if (end !== null) return null;
        const chunk = this.model.of(index) as Known;
        const { first, end: to, attempts, crashes, status } = chunk;
        return { first, end: to, attempts, crashes, status, members: this.model.open(chunk) };
      }),
    );
    // What is loaded from the rows is what was there.
    const loaded = this.#loaded();
    expect(look(loaded, total, this.model.ends)).toEqual(now);
    // L1: a stop may leave one that is of no use.
    const dueMs = loaded.earliestDueMs ?? Number.POSITIVE_INFINITY;
    expect(this.#ledger.earliestDueMs ?? Number.POSITIVE_INFINITY).toBeLessThanOrEqual(dueMs);
  }

  #rows() {
    return new Map([...this.#store.items.from(STEP, 0, null)].map((row) => [row.index, row]));
  }

  /** From now on all goes well. */
  toEnd(): void {
    for (let times = 0; this.model.chunks.length > 0; times++) {
      if (times > 200) throw new Error("Expected the batch to end");
      this.#store.commit(() => this.#pass(30_000));
      this.happen({ what: "call", who: 0, which: 0, done: 0, final: 0 });
      for (const executor of this.#executors) {
        this.nowMs++;
        this.#store.commit(() => this.#claim(executor));
        for (const claim of [...executor.claims]) {
          this.#store.commit(() =>
            this.#report(executor, claim, { what: "parts", who: 0, which: 0, done: 255, final: 0 }),
          );
          this.check();
        }
      }
    }
    expect(this.#ledger.isSettled(STEP)).toBe(true);
    expect(this.#ledger.held).toBe(0);
    if (this.failures === 0) expect(this.#store.chunks.of([STEP]).size).toBe(0);
  }
}

/** Where every item stands, as far as a ledger knows. */
function look(ledger: Ledger, total: number, ends: readonly unknown[]) {
  const group = ledger.group(STEP) as ChunkItems;
  const items = Array.from({ length: total }, (_, index) => {
    if (ends[index] !== null) return null;
    const id = { step: STEP, index };
    const { attempts, crashes } = group.history(id);
    const status = group.heldItem(id) ? "held" : group.isDeferred(id) ? "deferred" : "pending";
    const { end } = group.chunkOf(id);
    const members = group.membersOf(id);
    const first = firstOf(ledger, index);
    return { first, end, attempts, crashes, status, members };
  });
  const held = [...ledger.heldItems()].map(({ slot, index, attempts, claimedMs }) => ({
    ...{ slot, index, attempts, claimedMs },
  }));
  const pools = ledger.pools().map(({ free, startable, held, suspicious }) => {
    return { free, startable, held, suspicious: suspicious.size };
  });
  const order = held.sort((a, b) => a.index - b.index);
  return { items, held: order, pools, counts: group.counts };
}

/** The first item of the chunk with an item: what its claim would be called by. */
function firstOf(ledger: Ledger, index: number): number {
  const group = ledger.group(STEP) as ChunkItems;
  let first = index;
  while (first > 0 && group.chunkOf({ step: STEP, index: first - 1 }).end > index) first--;
  return first;
}

const settings = fc.record({
  total: fc.integer({ min: 1, max: 14 }),
  batchSize: fc.integer({ min: 1, max: 8 }),
  isSplit: fc.boolean(),
  isSequential: fc.boolean(),
  wait: fc.constantFrom(0, 3),
  maxRetries: fc.integer({ min: 1, max: 3 }),
});

describe("whatever happens to a batch in chunks", () => {
  it("each item ends once, counts add up, and what is loaded from its rows is what was there", async () => {
    await fc.assert(
      fc.asyncProperty(settings, happenings, async (setting, sequence) => {
        const { total, batchSize, isSplit, isSequential, wait, maxRetries } = setting;
        const policy = { ...planWith().policy, wait, maxRetries };
        await withStore((store) => {
          const play = new Play(store, total, batchSize, planWith({ isSplit, isSequential, policy }));
          for (const happening of sequence) play.happen(happening);
          play.toEnd();
        });
      }),
      { numRuns: Number(import.meta.env.VITE_RUNS ?? 60) },
    );
  }, 120_000);
});

/** A batch that nobody has begun, and an executor of it. */
function batch(store: Store, total: number, more: Partial<Plan> = {}, row: Partial<StepRow> = {}) {
  const plan = planWith(more);
  const step = stepRow(STEP, { phase: "exec", total, batchSize: plan.batchSize, ...row });
  const ledger = new Ledger(store, 0, () => plan);
  store.commit(() => {
    store.steps.save([{ row: step, isNew: true, item: null, needs: null }], 1);
    ledger.open(step, null);
  });
  const enter = (nowMs: number) => {
    const [order] = store.commit(() => ledger.demand.wakeForWork(false, nowMs));
    if (!order) throw new Error("Nobody is called");
    const entered = store.commit(() => ledger.enter({ ...order, delivery: 1, entry: `at ${nowMs}` }, nowMs));
    return { slot: order.slot, fence: entered?.fence as number, wake: order.wake };
  };
  const claim = (slot: number, nowMs: number, received = 99) =>
    store
      .commit(() => ledger.claim(slot, received, () => false, nowMs))
      .map((held) => ({ ...held, end: (ledger.group(STEP) as ChunkItems).chunkOf(held).end }));
  const settle = ({ slot, fence }: { slot: number; fence: number }, outcome: Outcome, nowMs: number) =>
    store.commit(() => ledger.settle(slot, fence, [outcome], nowMs, () => 0.5));
  return { plan, step, ledger, enter, claim, settle, group: ledger.group(STEP) as ChunkItems };
}

const NONE = { index: -1, attempts: -1, end: -1 };
const all = (members: readonly number[], body = "jtrue"): Part[] => members.map((index) => [index, body]);

describe("the items of a step", () => {
  it("are cut at each multiple of batchSize, where prep began a call, and where keys differ", () => {
    const chunks = new Chunks(10, 4, new Set([1, 6]), [..."aaaabbbbbc"]);
    const cut = Array.from({ length: chunks.count }, (_, at) => [chunks.firstOf(at), chunks.endOf(at)]);
    expect(cut).toEqual([
      [0, 1],
      [1, 4],
      [4, 6],
      [6, 8],
      [8, 9],
      [9, 10],
    ]);
    expect(Array.from({ length: 10 }, (_, index) => chunks.numberOf(index))).toEqual([0, 1, 1, 1, 2, 2, 3, 3, 4, 5]);
    expect(chunks.leftIn(1)).toBe(3);
  });

  it("that are open are halved, the larger half first, whatever is settled in between", () => {
    const chunks = new Chunks(9, 9, new Set(), null);
    for (const index of [0, 3, 8]) chunks.settle(index);
    expect(chunks.split(0)).toBe(1);
    expect([chunks.openIn(0), chunks.openIn(1)]).toEqual([
      [1, 2, 4],
      [5, 6, 7],
    ]);
    expect([chunks.leftIn(0), chunks.leftIn(1), chunks.endOf(0), chunks.endOf(1), chunks.firstOf(1)]).toEqual([
      ...[3, 3, 5, 9, 5],
    ]);
    expect(chunks.split(0)).toBe(2);
    expect([chunks.openIn(0), chunks.openIn(2)]).toEqual([[1, 2], [4]]);
    expect([chunks.numberOf(3), chunks.numberOf(4), chunks.numberOf(8)]).toEqual([0, 2, 1]);
  });

  it("of which none fails have no row but their results", async () => {
    const found = await withStore((store) => {
      const { enter, claim, settle, ledger } = batch(store, 10);
      const place = enter(1);
      for (let now = 1; !ledger.isSettled(STEP); now++) {
        for (const { index, attempts, end } of claim(place.slot, now)) {
          const members = ledger.group(STEP)?.membersOf({ step: STEP, index }) ?? [];
          settle(place, { step: STEP, index, attempts, end, ok: true, parts: all(members) }, now);
        }
      }
      return [store.chunks.of([STEP]).size, [...store.items.from(STEP, 0, null)].length];
    });
    expect(found).toEqual([0, 10]);
  });
});

describe("a chunk that is split", () => {
  it.each([
    [
      false,
      [
        [0, 1],
        [2, 3],
      ],
    ],
    [
      true,
      [
        [0, 1],
        [2, 3],
      ],
    ],
  ])("in its order comes before what was never begun; in turn: %s", async (isSequential, first) => {
    const found = await withStore((store) => {
      const { enter, claim, settle, group } = batch(store, 8, { isSplit: true, isSequential, concurrency: 1 });
      const place = enter(1);
      const calls: (readonly number[])[] = [];
      for (let now = 1; calls.length < 6; now++) {
        const [held] = claim(place.slot, now);
        if (!held) break;
        const members = group.membersOf(held);
        calls.push(members);
        const id = { step: STEP, index: held.index, attempts: held.attempts, end: held.end };
        if (members.includes(3)) settle(place, { ...id, ok: false, failure: fatal }, now);
        else settle(place, { ...id, ok: true, parts: all(members) }, now);
      }
      return calls;
    });
    expect(found).toEqual([[0, 1, 2, 3], ...first, [2], [3], [4, 5, 6, 7]]);
  });

  it("twice in its first half goes on in the order of its items", async () => {
    const found = await withStore((store) => {
      const { enter, claim, settle, group } = batch(store, 4, { isSplit: true, isSequential: true });
      const place = enter(1);
      const calls: (readonly number[])[] = [];
      for (let now = 1; now < 9; now++) {
        const [held] = claim(place.slot, now);
        if (!held) break;
        const members = group.membersOf(held);
        calls.push(members);
        const id = { step: STEP, index: held.index, attempts: held.attempts, end: held.end };
        if (members.includes(0)) settle(place, { ...id, ok: false, failure: fatal }, now);
        else settle(place, { ...id, ok: true, parts: all(members) }, now);
      }
      return calls;
    });
    expect(found).toEqual([[0, 1, 2, 3], [0, 1], [0], [1], [2, 3]]);
  });

  it("is not split once more by the same report, which is repeated because its answer was lost", async () => {
    const found = await withStore((store) => {
      const { enter, claim, settle, group } = batch(store, 2, { isSplit: true, batchSize: 2 });
      const place = enter(1);
      const [{ index, attempts, end } = NONE] = claim(place.slot, 1);
      const outcome = { step: STEP, index, attempts, end, ok: false, failure: fatal } as const;
      settle(place, outcome, 2);
      // The answer with the two halves is lost on its way.
      const halves = claim(place.slot, 3).map((held) => [held.index, held.attempts]);
      settle(place, outcome, 4);
      return { halves, counts: group.counts };
    });
    expect(found.halves).toEqual([
      [0, 0],
      [1, 0],
    ]);
    expect(found.counts).toMatchObject({ running: 2, failed: 0 });
  });
});

describe("results of a stale executor", () => {
  it("that leave nothing of a chunk end what another has in exec of it", async () => {
    const found = await withStore((store) => {
      const { ledger, enter, claim, settle, group } = batch(store, 4, { isSplit: true });
      const { slot, fence, wake } = enter(1);
      const [{ index, attempts, end } = NONE] = claim(slot, 2);
      const entered = store.commit(() => ledger.enter({ slot, wake, delivery: 1, entry: "its successor" }, 3));
      const place = { slot, fence: entered?.fence as number };
      claim(slot, 4, 0);
      settle(place, { step: STEP, index, attempts, end, ok: false, failure: fatal }, 5);
      const halves = claim(slot, 6, 1).map((held) => [held.index, group.membersOf(held)]);
      settle({ slot, fence }, { step: STEP, index, attempts, end, ok: true, parts: all([1, 2, 3]) }, 7);
      return { halves, held: [...ledger.heldItems()].map((held) => held.index), counts: group.counts };
    });
    expect(found).toMatchObject({
      halves: [
        [0, [0, 1]],
        [2, [2, 3]],
      ],
      held: [0],
      counts: { succeeded: 3, running: 1 },
    });
  });
});

describe("after the run's object was lost", () => {
  it("the first half of a chunk that was split is held by nobody: its executor has reported the whole", async () => {
    const found = await withStore((store) => {
      const { plan, step, enter, claim, settle } = batch(store, 4, { isSplit: true });
      const place = enter(1);
      const [{ index, attempts, end } = NONE] = claim(place.slot, 2);
      settle(place, { step: STEP, index, attempts, end, ok: false, failure: fatal }, 3);
      const later = new Ledger(store, 0, () => plan);
      later.restore([step], 4);
      return { held: later.held, counts: later.group(STEP)?.counts };
    });
    expect(found).toMatchObject({ held: 0, counts: { pending: 4, running: 0 } });
  });

  it("a chunk of a stopped step is in exec still, though its first item has a result", async () => {
    const found = await withStore((store) => {
      const { plan, step, ledger, enter, claim, settle } = batch(store, 4);
      const place = enter(1);
      const [{ index, attempts, end } = NONE] = claim(place.slot, 2);
      const id = { step: STEP, index, attempts, end, ok: true } as const;
      settle(place, { ...id, parts: all([0]), isMore: true }, 3);
      store.commit(() => {
        ledger.stop(STEP);
        store.steps.save([{ row: { ...step, phase: "stopped" }, isNew: false, item: null, needs: null }], 1);
      });
      const later = new Ledger(store, 0, () => plan);
      store.commit(() => later.restore([], 4));
      const { held } = later;
      const { late } = store.commit(() =>
        later.settle(place.slot, place.fence, [{ ...id, parts: all([0, 1, 2, 3], "jfalse") }], 5, () => 0.5),
      );
      return { held, late, rows: [...store.items.from(STEP, 0, "succeeded")].map(({ body }) => body) };
    });
    expect(found).toEqual({ held: 1, late: [STEP, STEP, STEP], rows: ["jtrue", "jfalse", "jfalse", "jfalse"] });
  });

  it("chunks of a batch whose items come one after the other are begun in the order of these", async () => {
    const found = await withStore((store) => {
      const { plan, step } = batch(store, 8, { isSequential: true });
      // What prep says of a chunk that is as much as one call can carry.
      store.commit(() => store.chunks.begin(STEP, [6]));
      const later = new Ledger(store, 0, () => plan);
      later.restore([step], 4);
      const [order] = store.commit(() => later.demand.wakeForWork(false, 5));
      if (!order) throw new Error("Nobody is called");
      store.commit(() => later.enter({ ...order, delivery: 1, entry: "one" }, 5));
      return store.commit(() => later.claim(order.slot, 0, () => false, 5)).map(({ index }) => index);
    });
    expect(found).toEqual([0]);
  });
});

describe("a stale executor of a stopped step", () => {
  it("does not end what its successor has in exec", async () => {
    const held = await withStore((store) => {
      const { ledger, enter, claim, settle } = batch(store, 4);
      const { slot, fence, wake } = enter(1);
      const [{ index, attempts, end } = NONE] = claim(slot, 2);
      store.commit(() => ledger.enter({ slot, wake, delivery: 1, entry: "its successor" }, 3));
      expect(claim(slot, 4, 0)).toMatchObject([{ index, attempts }]);
      store.commit(() => ledger.stop(STEP));
      settle({ slot, fence }, { step: STEP, index, attempts, end, ok: false, failure: busy }, 5);
      return ledger.held;
    });
    expect(held).toBe(1);
  });
});

describe("keys of calls", () => {
  it("name run and life, step, items, redrive and attempt", () => {
    const chunk = { end: 9, size: 5, life: "l" };
    const claim = { step: 3, index: 4, attempts: 1, redrives: 0, chunk };
    expect(keyOfCall("run", claim)).toBe("run.l/3/4-8/2");
    expect(keyOfCall("run", { ...claim, redrives: 2 })).toBe("run.l/3/4-8/r2/2");
    // What is left of a chunk is another call than the whole.
    expect(keyOfCall("run", { ...claim, chunk: { ...chunk, size: 2 } })).not.toBe("run.l/3/4-8/2");
  });
});
