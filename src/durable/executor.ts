import { Attempt, sleep } from "../core/attempt.ts";
import { decode } from "../core/codec.ts";
import { isThenable } from "../core/turn.ts";
import { execItem, type View, viewsOf } from "./exec.ts";
import type { Outcome } from "./items.ts";
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
import { RENEWAL_MS } from "./slots.ts";

/** Items that end together are reported together: a report waits so long for company. */
const PAUSE_MS = 4;
/** How long a run that cannot be reached is tried again; the platform ends alarms and consumers at 15 minutes. */
const LONGEST_SLICE_MS = 14 * 60 * 1000;
const MICROTASKS = 10;
const LONGEST_BACKOFF_MS = 2_000;
/** Run and executor should never differ on whether there is work here; if they do, they ask no faster than this. */
const IDLE_MS = 100;

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
}

/** How a slice ended: `lost` when the run could not be reached, so that somebody must come again. */
export type Ending = "done" | "refused" | "lost";

/**
 * The pull loop of every executor, wherever it lives: enter the slot, then execute what the run hands out and report it,
 * getting the next items in the same call, until the run has no more for it or the time is up.
 */
export async function pull(slice: Slice): Promise<Ending> {
  const executor = new Puller(slice);
  try {
    return await executor.run();
  } catch (error) {
    console.error({ message: "An executor lost its run", run: slice.order.run, error: String(error) });
    return "lost";
  }
}

interface StepNode {
  fields: string | null;
  viewAt: (attempts: number) => View;
}

class Puller {
  readonly #slice: Slice;
  readonly #startedMs = Date.now();
  /** Each step's node as exec sees it. Items of a sequential node may find other fields on it than the ones before. */
  readonly #nodes = new Map<number, StepNode>();
  readonly #inExec = new Map<number, Attempt>();
  #finished: Outcome[] = [];
  #received = 0;
  #isStopped = false;
  readonly #isStoppedNow = () => this.#isStopped;
  /** Ends the wait for something to report. */
  #wake: (() => void) | undefined;
  #pause: ReturnType<typeof setTimeout> | null = null;

  constructor(slice: Slice) {
    this.#slice = slice;
  }

  async run(): Promise<Ending> {
    const { order, delivery, flow } = this.#slice;
    const entry = { slot: order.slot, wake: order.wake, delivery, entry: crypto.randomUUID() };
    const shape = JSON.stringify(flow.shape);
    const entered = await this.#call((port) => port.enter(entry, shape));
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
    for (const brief of steps) {
      if (this.#nodes.get(brief.step)?.fields !== brief.fields) this.#nodes.set(brief.step, this.#node(brief));
    }
    this.#received += items.length;
    if ((isStopped || isDone) && !this.#isStopped) this.#stop();
    for (const item of items) if (!this.#inExec.has(keyOf(item))) this.#execute(item);
  }

  #stop(): void {
    this.#isStopped = true;
    const reason = new Error("The run ended, or gave this item to another executor");
    reason.name = "AbortError";
    for (const attempt of this.#inExec.values()) attempt.abort(reason);
  }

  #execute(claimed: ClaimedItem): void {
    const { step, index, attempts } = claimed;
    const view = (this.#nodes.get(step) as StepNode).viewAt(attempts);
    const attempt = new Attempt(`${this.#slice.order.run}/${step}/${index}/${attempts + 1}`, attempts + 1);
    this.#inExec.set(keyOf(claimed), attempt);
    const outcome = execItem(view, claimed, attempt, this.#isStoppedNow);
    if (isThenable(outcome)) void outcome.then((late) => this.#end(claimed, late));
    else this.#end(claimed, outcome);
  }

  #end(claimed: ClaimedItem, outcome: Outcome): void {
    this.#inExec.delete(keyOf(claimed));
    if (outcome.ok || !this.#isStopped) this.#finished.push(outcome);
    this.#announce();
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
    if (this.#finished.length > 0) return;
    if (this.#inExec.size === 0) return sleep(IDLE_MS);
    let timer: ReturnType<typeof setTimeout> | null = null;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      timer = setTimeout(resolve, RENEWAL_MS);
    });
    clearTimeout(timer);
  }

  #report(fence: number): Report {
    clearTimeout(this.#pause);
    this.#pause = null;
    this.#wake = undefined;
    const outcomes = this.#takeFinished();
    const isClaiming = !this.#isStopped && Date.now() - this.#startedMs < this.#slice.claimMs;
    return { slot: this.#slice.order.slot, fence, outcomes, isClaiming, received: this.#received };
  }

  /** As many outcomes as one call carries; the rest stays for the next. */
  #takeFinished(): Outcome[] {
    let text = 0;
    const end = this.#finished.findIndex((outcome) => {
      text += outcome.ok ? outcome.body.length : outcome.failure.message.length;
      return text > MESSAGE_TEXT;
    });
    return this.#finished.splice(0, end === -1 ? this.#finished.length : Math.max(1, end));
  }

  /** Calls the run until it answers: exec goes on meanwhile, and what it brings is worth waiting for. */
  async #call<T>(call: (port: RunPort) => Promise<T>): Promise<T> {
    for (let backoffMs = 20; ; backoffMs = Math.min(2 * backoffMs, LONGEST_BACKOFF_MS)) {
      try {
        return await call(this.#slice.connect());
      } catch (error) {
        if (Date.now() - this.#startedMs > LONGEST_SLICE_MS) throw error;
        await sleep(backoffMs);
      }
    }
  }

  #node({ node: id, fields }: StepBrief): StepNode {
    const node = this.#slice.flow.graph.node(id).clone();
    if (fields !== null) Object.assign(node, decode(fields));
    return { fields, viewAt: viewsOf(node, id) };
  }
}

/** One number for an item of a run: it has fewer than 2^21 steps of fewer than 2^32 items. */
function keyOf({ step, index }: ClaimedItem): number {
  return step * 2 ** 32 + index;
}
