import { DurableObject } from "cloudflare:workers";
import { differences } from "../core/graph.ts";
import { type Effect, NEW_RUN, type RunError } from "../core/run.ts";
import { drive, isThenable } from "../core/turn.ts";
import { type Ending, pull } from "./executor.ts";
import { Live } from "./live.ts";
import { Pages } from "./pages.ts";
import type { Order, Reply, Report, RunPort } from "./protocol.ts";
import type { Registered, Registry } from "./registry.ts";
import { type Entry, LEASE_MS, type Wake } from "./slots.ts";
import { type HeldItem, Store } from "./store.ts";
import {
  type ItemPage,
  type ItemQuery,
  listItems,
  listResults,
  type ResultPage,
  type RunView,
  viewRun,
} from "./view.ts";
import { HEARTBEAT_MS, WakeUp } from "./wakeup.ts";
import { Walk } from "./walk.ts";

export interface StartRequest {
  id: string;
  flow: string;
  /** The flow's input, which becomes `shared`. */
  input: unknown;
  /** Of a start with an idempotency key: what a repeated one is compared with. */
  inputDigest: string | null;
}

/** `isNew` is false where the run was there already, `isSame` where it was started with this very input. */
export interface Started {
  view: RunView;
  isNew: boolean;
  isSame: boolean;
}

/** How wakes leave the object. */
export interface Wakers {
  object(order: Order): Promise<unknown>;
  queue(order: Order): Promise<unknown>;
}

/**
 * One run: PocketFlow's event loop made durable. Every entry commits what an event means in one transaction, sets the alarm,
 * and then performs what follows; whatever is lost on the way is found again from the rows.
 */
export class FlowRunObject extends DurableObject {
  readonly #registry: Registry;
  readonly #wakers: Wakers;
  readonly #store: Store;
  readonly #wakeUp: WakeUp;
  #flow: Registered | undefined;
  #walk: Walk | undefined;
  #pages: Pages | undefined;
  #lastTurnMs = Date.now();
  /** The lease of every claim was extended at the last heartbeat, and is not again at the next. */
  #wasExtended = false;
  readonly #onFinish = new Set<() => void>();

  constructor(ctx: DurableObjectState, env: Cloudflare.Env, registry: Registry, wakers: Wakers) {
    super(ctx, env);
    this.#registry = registry;
    this.#wakers = wakers;
    this.#store = new Store(ctx.storage, (error) => ctx.abort(`A commit failed: ${String(error)}`));
    this.#wakeUp = new WakeUp(ctx.storage, () => this.#due());
    if (this.#store.exists()) this.#load();
  }

  /** Starts the run, or finds it started. What is answered is stored. */
  start({ id, flow, input, inputDigest }: StartRequest): Started {
    if (this.#walk) {
      return { view: this.#view(this.#walk), isNew: false, isSame: this.#walk.row.inputDigest === inputDigest };
    }
    const { shape } = this.#registry.make(flow);
    const live = Live.begin(input);
    this.#store.commit(() => {
      this.#store.create({ id, flow, shape, inputDigest, createdMs: Date.now(), state: NEW_RUN });
      this.#store.longText.put("live", live);
    });
    this.#open();
    this.#rearm();
    // After the answer: the flow's own hooks may take their time.
    setTimeout(() => this.#begin(), 0);
    return { view: this.#view(this.#running), isNew: true, isSame: true };
  }

  /** Nothing is returned, and nothing written, for a run that was never started. */
  view(): RunView | null {
    return this.#walk ? this.#view(this.#walk) : null;
  }

  /** Resolves with the run once it has finished, or as it is after `waitMs`. */
  async wait(waitMs: number): Promise<RunView | null> {
    if (this.#walk && !this.#walk.isFinished) await this.#finishWithin(waitMs);
    return this.view();
  }

  items(query: ItemQuery): ItemPage | null {
    return this.#walk ? listItems(this.#walk, this.#store, query) : null;
  }

  results(node: string | null, step: number | null, from: number): ResultPage | null {
    return this.#walk ? listResults(this.#walk, this.#store, node, step, from) : null;
  }

  /** Cancels the run. One that has finished already stays as it is. */
  cancel(): { view: RunView; isCanceled: boolean } | null {
    if (!this.#walk) return null;
    const wasFinished = this.#walk.isFinished;
    if (!wasFinished) this.#commit((walk) => ({ answer: undefined, effects: walk.apply({ type: "canceled" }) }));
    return { view: this.#view(this.#walk), isCanceled: !wasFinished };
  }

  /** An executor answers a wake. */
  enter(entry: Entry, shape: string): Reply | null {
    if (this.#walk?.state.status !== "running" || shape !== JSON.stringify(this.#walk.row.shape)) return null;
    return this.#commit((walk, nowMs) => {
      const entered = walk.ledger.enter(entry, nowMs);
      if (!entered) return { answer: null, effects: [] };
      const effects = walk.react(entered.lost);
      return {
        answer: this.#reply({ slot: entry.slot, fence: entered.fence, isClaiming: true, received: 0 }, nowMs),
        effects,
      };
    });
  }

  /** An executor reports, and gets its next items in the same call. */
  report({ outcomes, ...from }: Report): Reply {
    return this.#commit((walk, nowMs) => {
      const effects = walk.react(walk.ledger.settle(from.slot, from.fence, outcomes, nowMs, Math.random));
      return { answer: this.#reply(from, nowMs), effects };
    });
  }

  /**
   * The heartbeat. It sets itself again before it does anything, and never throws: the platform gives an alarm up that failed
   * six times, and this one must never be lost while there is work.
   */
  override async alarm(): Promise<void> {
    this.#wakeUp.rang();
    if (!this.#walk) return;
    this.#rearm();
    try {
      this.#beat();
    } catch (error) {
      console.error({ message: "A heartbeat failed", run: this.#walk.row.id, error: String(error) });
    }
  }

  #load(): void {
    this.#open();
    this.#store.commit(() => this.#recover(this.#running));
    this.#rearm();
    setTimeout(() => this.#resume(), 0);
  }

  #open(): void {
    this.#flow = this.#registry.makeAgain(this.#store.run().flow);
    this.#walk = new Walk(this.#store, this.#flow, () => Date.now());
    this.#pages = new Pages(this.#store);
  }

  #recover(walk: Walk): void {
    const { shape, trouble } = this.#flow as Registered;
    const changes = trouble === undefined ? differences(walk.row.shape, shape) : [trouble];
    if (changes.length > 0) walk.apply({ type: "graph-changed", error: graphChanged(walk.row.flow, changes) });
    else if (walk.state.status === "paused") walk.apply({ type: "graph-restored" });
    if (walk.state.status === "running") walk.recover();
  }

  #begin(): void {
    this.#commit((walk) => ({ answer: undefined, effects: walk.apply({ type: "started" }) }));
  }

  #resume(): void {
    if (this.#running.state.status === "queued") this.#begin();
    this.#perform(this.#running.pending());
    this.#beat(0);
  }

  /** Finds what was lost or has come due. `patienceMs`: how long a wake may stay unanswered before it is sent again. */
  #beat(patienceMs = LEASE_MS): void {
    const isLate = Date.now() - this.#lastTurnMs > 2 * HEARTBEAT_MS;
    this.#wasExtended = isLate && !this.#wasExtended;
    this.#commit((walk, nowMs) => {
      if (walk.state.status !== "running") return { answer: undefined, effects: [] };
      if (this.#wasExtended) walk.ledger.slots.extendLeases(nowMs);
      const effects = walk.react(walk.ledger.expire(nowMs));
      this.#send(walk.ledger.slots.wakeAgain(nowMs, patienceMs));
      return { answer: undefined, effects };
    });
  }

  /**
   * The one way in which anything changes: decide and store in one transaction, then set the alarm, then perform.
   */
  #commit<T>(change: (walk: Walk, nowMs: number) => { answer: T; effects: Effect[] }): T {
    const walk = this.#running;
    const nowMs = Date.now();
    this.#lastTurnMs = nowMs;
    const { answer, effects, wakes } = this.#store.commit(() => {
      const changed = change(walk, nowMs);
      return { ...changed, wakes: this.#wakesFor(walk, nowMs) };
    });
    this.#rearm();
    this.#send(wakes);
    this.#perform(effects);
    return answer;
  }

  #wakesFor(walk: Walk, nowMs: number): Wake[] {
    return walk.state.status === "running" ? walk.ledger.wakeForWork(nowMs) : [];
  }

  #reply({ slot, fence, isClaiming, received }: Omit<Report, "outcomes">, nowMs: number): Reply {
    const walk = this.#running;
    const { ledger } = walk;
    const isCurrent = ledger.slots.isCurrent(slot, fence);
    const isStopped = !isCurrent || walk.state.status !== "running";
    const held = isStopped || !isClaiming ? [] : ledger.claim(slot, received, this.#page.meter(), nowMs);
    const isDone = isCurrent && ledger.isEmpty(slot);
    if (isDone) ledger.slots.leave(slot);
    return { fence, isStopped, isDone, ...this.#brief(walk, held) };
  }

  #brief(walk: Walk, held: HeldItem[]): Pick<Reply, "steps" | "items"> {
    const steps = [...new Set(held.map((item) => item.step))].flatMap((id) => walk.step(id) ?? []);
    return {
      steps: steps.map(({ id, node, fields }) => ({ step: id, node, fields })),
      items: held.map(({ step, index, attempts }) => {
        const isLast = walk.ledger.steps.get(step)?.isLastAttempt(index) ?? true;
        return { step, index, attempts, isLast, item: this.#page.item(step, index) };
      }),
    };
  }

  /** Performs effects; those that suspend go on beside whatever else the object does. */
  #perform(effects: Effect[]): void {
    for (const effect of effects) {
      const turn = drive(this.#turn(effect));
      if (isThenable(turn)) this.ctx.waitUntil(turn);
    }
  }

  /** One turn of a branch: a hook, the transition, the next hook, without a pause where none of them suspends. */
  *#turn(first: Effect): Generator<unknown, void, unknown> {
    const ahead = [first];
    for (let effect = ahead.shift(); effect; effect = ahead.shift()) {
      if (effect.type === "hook") ahead.push(...(yield* this.#running.perform(effect)));
      if (effect.type === "finish") this.#announceFinish();
    }
    this.#tend();
  }

  /** Calls executors for new work. */
  #tend(): void {
    this.#commit(() => ({ answer: undefined, effects: [] }));
  }

  #due(): void {
    if (this.#walk?.state.status === "running") this.#tend();
  }

  #finishWithin(waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.#onFinish.delete(end);
        resolve();
      };
      const timer = setTimeout(end, waitMs);
      this.#onFinish.add(end);
    });
  }

  #announceFinish(): void {
    for (const end of this.#onFinish) end();
  }

  #send(wakes: Wake[]): void {
    const { id: run, flow } = this.#running.row;
    for (const { slot, wake, home } of wakes) {
      const order = { run, flow, slot, wake };
      const sent = home === "inline" ? this.#pullInline(order) : this.#wakers[home](order);
      // A wake that was not sent is sent again by the heartbeat.
      this.ctx.waitUntil(
        sent.catch((error) => console.warn({ message: "A wake was not sent", run, slot, error: String(error) })),
      );
    }
  }

  /** A run's sole open item is executed here, by the same loop, with calls that do not leave the object. */
  #pullInline(order: Order): Promise<Ending> {
    const port: RunPort = {
      enter: async (entry, shape) => this.enter(entry, shape),
      report: async (report) => this.report(report),
    };
    const flow = this.#registry.make(order.flow);
    return pull({ order, flow, delivery: 1, claimMs: Number.POSITIVE_INFINITY, connect: () => port });
  }

  #rearm(): void {
    if (this.#walk) this.#wakeUp.setFor(this.#walk, Date.now());
  }

  #view(walk: Walk): RunView {
    return viewRun(walk, this.#store, Date.now());
  }

  get #running(): Walk {
    return this.#walk as Walk;
  }

  get #page(): Pages {
    return this.#pages as Pages;
  }
}

function graphChanged(flow: string, changes: string[]): RunError {
  const message =
    `Flow \`${flow}\` has changed since the run began: ${changes.join("; ")}. The run is paused as it was; ` +
    "it goes on by itself when the flow is as it was at its start.";
  return { name: "GraphChanged", message, node: null, branch: null, index: null, attempts: null };
}
