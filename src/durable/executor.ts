import { Attempt, sleep } from "../core/attempt.ts";
import { decode } from "../core/codec.ts";
import { toFailure } from "../core/errors.ts";
import { isThenable } from "../core/turn.ts";
import { execChunk } from "./chunk-exec.ts";
import { writeEmit } from "./event-store.ts";
import { execItem, type View, viewsOf } from "./exec.ts";
import { keyOfCall } from "./keys.ts";
import { copyOf } from "./live.ts";
import type { Outcome } from "./outcome.ts";
import {
  type ClaimedItem,
  MESSAGE_TEXT,
  type Order,
  type Reply,
  type Report,
  type RunPort,
  type StepBrief,
} from "./protocol.ts";
import type { Registered } from "./registry.ts";
import { GRACE_MS, LEASE_MS, RENEWAL_MS } from "./slots.ts";

/** Items that end together are reported together: a report waits so long for company. */
const PAUSE_MS = 4;
/** How long a run that cannot be reached is tried again; the platform ends alarms and consumers at 15 minutes. */
const LONGEST_SLICE_MS = 14 * 60 * 1000;
const MICROTASKS = 10;
const LONGEST_BACKOFF_MS = 2_000;
/** Run and executor should never differ on whether there is work here; if they do, they ask no faster than this. */
const IDLE_MS = 100;
/** A call with a permit that has been in exec for so long is reported: its limit need not wait for its end to count it. */
const BEGUN_MS = 600;
/** What execs emit travels together, and is the latest of it if there is much. */
const EMIT_PAUSE_MS = 100;
const MOST_EMITS = 100;
/** No call begins on a permit that was given longer ago: by then its run may have taken it for lost. */
const FRESH_MS = GRACE_MS - RENEWAL_MS / 4;

export interface Slice {
  order: Order;
  flow: Registered;
  /** Which delivery of the wake this is. */
  delivery: number;
  /** For how long to take new items. */
  claimMs: number;
  /** A fresh way to the run: a stub that broke stays broken. */
  connect: () => RunPort;
  /** Takes what goes on after the slice has ended: calls that were told to stop, of which some may still succeed. */
  linger: (rest: Promise<unknown>) => void;
  /** Where the run can reach this executor: is given what makes it report at once. */
  reach?: (nudge: () => void) => void;
}

/** How a slice ended: `lost` when the run could not be reached, so that somebody must come again. */
export type Ending = "done" | "refused" | "lost";

/**
 * The pull loop of every executor, wherever it lives: enter the slot, then execute what the run hands out and report it,
 * getting the next items in the same call, until the run has no more for it or the time is up.
 */
export async function pull(slice: Slice): Promise<Ending> {
  const executor = new Puller(slice);
  slice.reach?.(() => executor.nudge());
  try {
    return await executor.run();
  } catch (error) {
    console.error({ message: "An executor lost its run", run: slice.order.run, error: String(error) });
    return "lost";
  }
}

/** An attempt under way. */
class Call extends Attempt {
  readonly claimed: ClaimedItem;
  /** When it began; of interest where it has a permit. */
  readonly beganMs: number;
  /** Whether the run knows that it has begun, or need not. */
  isTold: boolean;
  /** It was given up for a silent run: no outcome but its success counts. */
  isAbandoned = false;

  constructor(run: string, claimed: ClaimedItem, beganMs: number, onEmit: (data: unknown) => void) {
    super(keyOfCall(run, claimed), claimed.attempts + 1, onEmit);
    this.claimed = claimed;
    this.beganMs = beganMs;
    this.isTold = claimed.refusalCosts === undefined;
  }
}

/** A node as exec sees it after so many attempts. */
type NodeAt = (attempts: number) => View;

class Puller {
  readonly #slice: Slice;
  readonly #startedMs = Date.now();
  /** The node of each step that the latest answer has items of. Items of a sequential node may find other fields on it each time. */
  #nodes = new Map<number, NodeAt>();
  readonly #inExec = new Map<number, Call>();
  #finished: Outcome[] = [];
  #received = 0;
  #isStopped = false;
  #isNudged = false;
  /** When the call was made that the latest answer answers. */
  #askedMs = 0;
  readonly #isStoppedNow = () => this.#isStopped;
  /** Ends the wait for something to report. */
  #wake: (() => void) | undefined;
  #pause: ReturnType<typeof setTimeout> | null = null;
  readonly #emits: Report["emits"] = [];
  #emitPause: ReturnType<typeof setTimeout> | null = null;

  constructor(slice: Slice) {
    this.#slice = slice;
  }

  /** The run has more to do than this executor knows. */
  nudge(): void {
    this.#isNudged = true;
    this.#wake?.();
  }

  async run(): Promise<Ending> {
    const { order, delivery, flow } = this.#slice;
    const entry = { slot: order.slot, wake: order.wake, delivery, entry: crypto.randomUUID() };
    const entered = await this.#call((port) => port.enter(entry, flow.fingerprint));
    if (!entered) return "refused";
    // A slot that was lost must be left at once, since its next wake comes to this same place; what was in exec there lingers.
    const reply = await this.#work(entered, (latest) => latest.isStopped || this.#isOver(latest));
    if (!this.#isOver(reply)) this.#slice.linger(this.#work(reply, (latest) => this.#isOver(latest)));
    return "done";
  }

  /** Executes and reports until an answer says to end. */
  async #work(first: Reply, isEnd: (reply: Reply) => boolean): Promise<Reply> {
    for (let reply = first; ; ) {
      this.#accept(reply);
      if (isEnd(reply)) return reply;
      await this.#somethingToReport();
      const report = this.#report(reply.fence);
      reply = await this.#call((port) => port.report(report));
    }
  }

  #isOver({ isDone, isClosed }: Reply): boolean {
    return isDone || (isClosed && this.#inExec.size + this.#finished.length === 0);
  }

  #accept({ steps, items, isStopped, isDone }: Reply): void {
    this.#nodes = new Map();
    for (const brief of steps) this.#learn(brief);
    this.#received += items.length;
    if ((isStopped || isDone) && !this.#isStopped) this.#stop();
    for (const item of items) if (!this.#inExec.has(keyOf(item))) this.#execute(item);
  }

  #stop(): void {
    this.#isStopped = true;
    const reason = abortError("The run ended, or gave this item to another executor");
    for (const call of this.#inExec.values()) call.abort(reason);
  }

  #execute(claimed: ClaimedItem): void {
    const isLimited = claimed.refusalCosts !== undefined;
    const nowMs = isLimited ? Date.now() : 0;
    if (isLimited && nowMs - this.#askedMs > FRESH_MS) {
      this.#finished.push(notBegun(claimed, "Its permit came too late to be used"));
      return;
    }
    const view = (this.#nodes.get(claimed.step) as NodeAt)(claimed.attempts);
    const onEmit = (data: unknown) => this.#emit(claimed.step, claimed.index, data);
    const call = new Call(this.#slice.order.run, claimed, nowMs, onEmit);
    const { chunk } = claimed;
    const isStopped = this.#isStoppedNow;
    const push = (outcome: Outcome) => this.#push(call, outcome);
    const outcome = chunk
      ? execChunk({ view, claimed, chunk, attempt: call, isStopped, push })
      : execItem(view, claimed, call, isStopped);
    if (isThenable(outcome)) this.#endLater(call, outcome);
    else this.#end(call, outcome);
  }

  #endLater(call: Call, outcome: PromiseLike<Outcome>): void {
    const key = keyOf(call.claimed);
    this.#inExec.set(key, call);
    const ended = (late: Outcome) => {
      if (!call.isAbandoned) this.#inExec.delete(key);
      this.#end(call, late);
    };
    void outcome.then(ended, (error) => ended(failedBy(call, error)));
  }

  #end(call: Call, outcome: Outcome): void {
    this.#keep(call, withTokens(outcome, call));
    this.#announce();
  }

  /** What a call brings before its end. */
  #push(call: Call, outcome: Outcome): void {
    this.#keep(call, outcome);
    this.nudge();
  }

  #keep(call: Call, outcome: Outcome): void {
    const kept = call.isAbandoned || this.#isStopped ? successesOf(outcome) : outcome;
    if (kept) this.#finished.push(kept);
  }

  /** The run was not heard for a whole lease: it has taken the permits of these calls for lost, so they must not go on. */
  #abandonPermitted(): void {
    for (const [key, call] of this.#inExec) {
      if (call.claimed.refusalCosts === undefined) continue;
      this.#inExec.delete(key);
      call.isAbandoned = true;
      call.abort(abortError("The run could not be reached, and the permit's lease has ended"));
      this.#finished.push(notBegun(call.claimed, "Its executor lost its run"));
    }
  }

  #emit(step: number, index: number | null, data: unknown): void {
    const text = writeEmit(`step ${step}`, data);
    if (text === undefined) return;
    this.#emits.push({ step, index, data: text });
    if (this.#emits.length > MOST_EMITS) this.#emits.shift();
    this.#emitPause ??= setTimeout(() => this.nudge(), EMIT_PAUSE_MS);
  }

  #announce(): void {
    if (!this.#wake) return;
    if (this.#inExec.size === 0) this.#wake();
    else this.#pause ??= setTimeout(() => this.#wake?.(), PAUSE_MS);
  }

  /** Resolves when outcomes have waited long enough for company, when nothing is in exec, or when the lease wants renewing. */
  async #somethingToReport(): Promise<void> {
    // An exec that does not suspend ends within a few microtasks: for those no timer is set.
    for (let turn = 0; turn < MICROTASKS && this.#inExec.size > 0; turn++) await undefined;
    if (this.#finished.length > 0 || this.#isNudged) return;
    if (this.#inExec.size === 0) return sleep(IDLE_MS);
    let timer: ReturnType<typeof setTimeout> | null = null;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      timer = setTimeout(resolve, this.#quietMs());
    });
    clearTimeout(timer);
  }

  /** For how long there is nothing to say if no call ends. */
  #quietMs(): number {
    let quietMs = RENEWAL_MS;
    const nowMs = Date.now();
    for (const { isTold, beganMs } of this.#inExec.values()) {
      if (!isTold) quietMs = Math.min(quietMs, Math.max(0, beganMs + BEGUN_MS - nowMs));
    }
    return quietMs;
  }

  /** The calls with permits that have been in exec for a while, and were not told of yet. */
  #takeBegun(): Report["begun"] {
    const begun: Report["begun"] = [];
    const nowMs = Date.now();
    for (const call of this.#inExec.values()) {
      if (call.isTold || call.beganMs + BEGUN_MS > nowMs) continue;
      call.isTold = true;
      const { step, index } = call.claimed;
      begun.push({ step, index, ageMs: nowMs - call.beganMs });
    }
    return begun;
  }

  #report(fence: number): Report {
    clearTimeout(this.#pause);
    this.#pause = null;
    clearTimeout(this.#emitPause);
    this.#emitPause = null;
    this.#wake = undefined;
    this.#isNudged = false;
    const emits = this.#emits.splice(0);
    const outcomes = this.#takeFinished();
    const isClaiming = !this.#isStopped && Date.now() - this.#startedMs < this.#slice.claimMs;
    const { slot } = this.#slice.order;
    const isIdle = this.#inExec.size + this.#finished.length === 0;
    return { slot, fence, outcomes, isClaiming, received: this.#received, begun: this.#takeBegun(), emits, isIdle };
  }

  /** As many outcomes as one call carries; the rest stays for the next. */
  #takeFinished(): Outcome[] {
    let text = 0;
    const end = this.#finished.findIndex((outcome) => {
      text += textOf(outcome);
      return text > MESSAGE_TEXT;
    });
    return this.#finished.splice(0, end === -1 ? this.#finished.length : Math.max(1, end));
  }

  /** Calls the run until it answers: exec goes on meanwhile, and what it brings is worth waiting for. */
  async #call<T>(call: (port: RunPort) => Promise<T>): Promise<T> {
    for (let backoffMs = 20; ; backoffMs = Math.min(2 * backoffMs, LONGEST_BACKOFF_MS)) {
      try {
        const askedMs = Date.now();
        const answer = await this.#watched(call(this.#slice.connect()));
        this.#askedMs = askedMs;
        return answer;
      } catch (error) {
        if (Date.now() - this.#startedMs > LONGEST_SLICE_MS) throw error;
        await sleep(backoffMs);
      }
    }
  }

  /**
   * A call to the run that fails, or hangs, for as long as a lease: the run believes no longer than that after it has heard of
   * the permits that calls here were begun on, so these must not go on.
   */
  async #watched<T>(call: Promise<T>): Promise<T> {
    if (!this.#hasPermits) return call;
    const watch = setTimeout(() => this.#abandonPermitted(), Math.max(0, this.#askedMs + LEASE_MS - Date.now()));
    try {
      return await call;
    } finally {
      clearTimeout(watch);
    }
  }

  get #hasPermits(): boolean {
    for (const { claimed } of this.#inExec.values()) if (claimed.refusalCosts !== undefined) return true;
    return false;
  }

  /** Each step has a node of its own, whose fields exec may change: they come back with the result. */
  #learn({ steps, node, fields }: StepBrief): void {
    for (const step of steps) this.#nodes.set(step, this.#node(step, node, fields));
  }

  #node(step: number, id: string, fields: string | null): NodeAt {
    const node = copyOf(this.#slice.flow.graph.node(id));
    node["_follower"] = (index, data) => this.#emit(step, index, data);
    if (fields !== null) Object.assign(node, decode(fields));
    return viewsOf(node, id);
  }
}

/** One number for an item of a run: it has fewer than 2^27 steps of fewer than 2^26 items. */
function keyOf({ step, index }: ClaimedItem): number {
  return step * 2 ** 26 + index;
}

/** Of a call that was told to stop failures say nothing. What of a chunk has not succeeded is let go with it. */
function successesOf(outcome: Outcome): Outcome | undefined {
  if (!outcome.ok) return undefined;
  if (!("parts" in outcome)) return outcome;
  const parts = outcome.parts.filter(([, result]) => typeof result === "string");
  return parts.length === 0 ? undefined : { ...outcome, parts, isMore: true };
}

/** A call that ended as none should. */
function failedBy({ claimed }: Call, error: unknown): Outcome {
  return { ...placeOf(claimed), ok: false, failure: toFailure(error) };
}

function placeOf({ step, index, attempts, chunk }: ClaimedItem) {
  return { step, index, attempts, ...(chunk ? { end: chunk.end } : {}) };
}

function textOf(outcome: Outcome): number {
  if (!outcome.ok) return outcome.failure.message.length;
  if ("body" in outcome) return outcome.body.length;
  if ("job" in outcome) return outcome.job.job?.length ?? 0;
  const lengths = outcome.parts.map(([, result]) => (typeof result === "string" ? result : result.message).length);
  return lengths.reduce((sum, length) => sum + length, 0);
}

/** The call has no outcome of its own, and is no attempt. */
function notBegun(claimed: ClaimedItem, message: string): Outcome {
  return { ...placeOf(claimed), ok: false, failure: { name: "PermitError", message }, isAttempt: false };
}

function abortError(message: string): Error {
  const error = new Error(message);
  error.name = "AbortError";
  return error;
}

/** Adds what exec has said that it used. */
function withTokens(outcome: Outcome, { usedTokens }: Attempt): Outcome {
  return usedTokens === null ? outcome : { ...outcome, tokens: usedTokens };
}
