import { DurableObject } from "cloudflare:workers";
import { sleep } from "../core/attempt.ts";
import type { Answer, Request } from "../core/limiter.ts";
import { type Effect, NEW_RUN, type RunError } from "../core/run.ts";
import { drive, isThenable } from "../core/turn.ts";
import { type Ending, pull } from "./executor.ts";
import type { Place } from "./limiter-store.ts";
import { Live } from "./live.ts";
import { Pages } from "./pages.ts";
import { type Hopeless, Permits } from "./permits.ts";
import type { Order, Reply, Report, RunPort } from "./protocol.ts";
import type { Registered, Registry } from "./registry.ts";
import { restOf, timesOf } from "./rest.ts";
import type { Entry, Wake } from "./slots.ts";
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
import { readReport, type WireReply, type WireReport, writeReply } from "./wire.ts";

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

/** The calls that leave a run's object. */
export interface RunPorts {
  object(order: Order): Promise<unknown>;
  queue(order: Order): Promise<unknown>;
  /** Tells the executor object of a slot that there is more to do. */
  nudge(run: string, slot: number): Promise<unknown>;
  exchange(place: Place, request: Request): Promise<Answer | null>;
}

/** An object whose last turn is a heartbeat and so much more ago was held up. */
const LATE_MS = 2_000;
/** An executor's answer waits so long for a limiter's, which may have items for it. */
const LONGEST_HOLD_MS = 50;

/**
 * One run: PocketFlow's event loop made durable. Every entry commits what an event means in one transaction, sets the alarm,
 * and then performs what follows; whatever is lost on the way is found again from the rows.
 */
export class FlowRunObject extends DurableObject {
  readonly #registry: Registry;
  readonly #ports: RunPorts;
  readonly #store: Store;
  readonly #wakeUp: WakeUp;
  #flow: Registered | undefined;
  #walk: Walk | undefined;
  #pages: Pages | undefined;
  #permits: Permits | undefined;
  #hopeless: Hopeless[] = [];
  #isChanging = false;
  #lastTurnMs = Date.now();
  /** Every lease was extended because the object was late. Not twice in a row: a lost executor must be found. */
  #wasExtended = false;
  readonly #onFinish = new Set<() => void>();

  constructor(ctx: DurableObjectState, env: Cloudflare.Env, registry: Registry, ports: RunPorts) {
    super(ctx, env);
    this.#registry = registry;
    this.#ports = ports;
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
      this.#store.create({ id, flow, shape, inputDigest, createdMs: Date.now(), lives: 1, state: NEW_RUN });
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
    if (!wasFinished) {
      this.#commit((walk) => ({ answer: undefined, effects: walk.apply({ type: "canceled" }) }));
      // So that what is in exec ends now, and not when it next reports.
      for (const { id, home, state } of this.#walk.ledger.slots.all()) {
        if (home === "object" && state === "live") this.#nudge(id);
      }
    }
    return { view: this.#view(this.#walk), isCanceled: !wasFinished };
  }

  /** An executor answers a wake. */
  async enter(entry: Entry, shape: string): Promise<WireReply | null> {
    const reply = this.#enter(entry, shape);
    return reply && writeReply(reply);
  }

  /** An executor reports, and gets its next items in the same call. */
  async report(report: WireReport): Promise<WireReply> {
    return writeReply(await this.#reported(readReport(report)));
  }

  /** A limiter tells of permits, or of when there may be some. `false`: this run was never started. */
  hear(place: Place, answer: Answer): boolean {
    if (!this.#walk) return false;
    this.#permitsOf(this.#walk).hear(place, answer);
    return true;
  }

  /**
   * Where items need permits an outcome may free some, and the limiter's answer may have items for this executor: it gets its
   * own answer after that one, and need not leave and be called again.
   */
  async #reported(report: Report): Promise<Reply> {
    const ledger = this.#walk?.ledger;
    if (!ledger?.isLimited) return this.#report(report);
    this.#settle(report);
    const slot = ledger.slots.get(report.slot);
    const answer = this.#permits?.nextAnswer;
    if (slot && answer && report.isClaiming && !ledger.canBegin && this.#walk?.state.status === "running") {
      slot.isNudged = true;
      await Promise.race([answer, sleep(LONGEST_HOLD_MS)]);
      slot.isNudged = false;
    }
    return this.#report({ ...report, outcomes: [], begun: [] });
  }

  #enter(entry: Entry, shape: string): Reply | null {
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

  #report(report: Report): Reply {
    const { slot, fence } = report;
    if (!this.#walk) return { fence, isStopped: true, isClosed: true, isDone: true, steps: [], items: [] };
    return this.#commit((walk, nowMs) => {
      const effects = this.#take(walk, report, nowMs);
      if (walk.isFinished && report.isIdle && walk.ledger.slots.isCurrent(slot, fence)) walk.ledger.drop(slot, nowMs);
      return { answer: this.#reply(report, nowMs), effects };
    });
  }

  #settle(report: Report): void {
    if (report.outcomes.length + report.begun.length === 0) return;
    this.#commit((walk, nowMs) => ({ answer: undefined, effects: this.#take(walk, report, nowMs) }));
  }

  #take(walk: Walk, { slot, fence, outcomes, begun }: Report, nowMs: number): Effect[] {
    // The node of a paused run may be another by now, or gone: who knows whether a failure is its last. It counts as a loss.
    const known = walk.state.status === "paused" ? outcomes.filter(({ ok }) => ok) : outcomes;
    walk.ledger.begun(slot, fence, begun, nowMs);
    return walk.react(walk.ledger.settle(slot, fence, known, nowMs, Math.random));
  }

  /**
   * The heartbeat. It sets itself again before it does anything, and never throws: the platform gives an alarm up that failed
   * six times, and this one must never be lost while there is work.
   */
  override async alarm(): Promise<void> {
    this.#wakeUp.rang();
    if (!this.#walk) return;
    this.#rearm();
    // A turn that ends in an abort takes all its writes with it, the alarm's among them, so that one is made safe first.
    await this.ctx.storage.sync();
    try {
      this.#beat(false);
    } catch (error) {
      console.error({ message: "A heartbeat failed", run: this.#walk.row.id, error: String(error) });
    }
  }

  #load(): void {
    this.#open();
    const walk = this.#running;
    this.#store.commit(() => this.#recover(walk));
    if (walk.hasLimits) this.#permitsOf(walk).restore(walk.ledger.heldItems());
    this.#rearm();
    setTimeout(() => this.#resume(), 0);
  }

  #open(): void {
    const { flow, shape } = this.#store.run();
    this.#flow = this.#registry.makeAgain(flow, shape);
    this.#walk = new Walk(this.#store, this.#flow, () => Date.now());
    this.#pages = new Pages(this.#store);
  }

  #permitsOf(walk: Walk): Permits {
    this.#permits ??= new Permits(walk.row.id, walk.row.lives, walk.ledger.steps, {
      exchange: (place, request) => this.#ports.exchange(place, request),
      onChange: (hopeless) => this.#changed(hopeless),
    });
    return this.#permits;
  }

  #recover(walk: Walk): void {
    if (walk.hasLimits) this.#store.saveLives(++walk.row.lives);
    const { changes } = this.#flow as Registered;
    if (changes.length > 0) walk.apply({ type: "graph-changed", error: graphChanged(walk.row.flow, changes) });
    else if (walk.state.status === "paused") walk.apply({ type: "graph-restored" });
    if (walk.state.status === "running") walk.recover();
  }

  #begin(): void {
    this.#commit((walk) => ({ answer: undefined, effects: walk.apply({ type: "started" }) }));
  }

  #resume(): void {
    if (this.#running.state.status === "queued") this.#begin();
    this.#beat(true);
  }

  /** Finds what was lost, was never done, or has come due. `isNew`: the object was away, and with it all it had sent. */
  #beat(isNew: boolean): void {
    this.#commit((walk, nowMs) => {
      if (walk.state.status !== "running") return { answer: undefined, effects: [] };
      const effects = walk.react(walk.ledger.expire(nowMs));
      walk.ledger.slots.forgetNudges();
      const wakes = walk.ledger.slots.wakeAgain(nowMs, isNew);
      return { answer: undefined, effects: [...effects, ...walk.pending()], wakes };
    });
  }

  /** An object that was late itself believes its executors a while longer: their reports may be waiting at its door. */
  #noteTurn(walk: Walk, nowMs: number): void {
    const isLate = nowMs - this.#lastTurnMs > HEARTBEAT_MS + LATE_MS;
    this.#wasExtended = isLate && !this.#wasExtended;
    if (this.#wasExtended) walk.ledger.slots.extendLeases(nowMs);
    this.#lastTurnMs = nowMs;
  }

  /**
   * The one way in which anything changes: decide and store in one transaction, then set the alarm, then perform.
   */
  #commit<T>(change: (walk: Walk, nowMs: number) => { answer: T; effects: Effect[]; wakes?: Wake[] }): T {
    const walk = this.#running;
    const nowMs = Date.now();
    this.#noteTurn(walk, nowMs);
    const { answer, effects, wakes, nudged } = this.#store.commit(() => {
      const changed = change(walk, nowMs);
      const nudged = walk.state.status === "running" ? walk.ledger.nudge() : [];
      return { ...changed, nudged, wakes: [...(changed.wakes ?? []), ...this.#wakesFor(walk, nowMs)] };
    });
    if (walk.hasLimits) this.#lookAfterPermits(walk, nowMs);
    this.#rearm();
    this.#send(wakes);
    for (const slot of nudged) this.#nudge(slot);
    // In a turn of their own: a hook that kills the object takes its whole turn with it, and what led to it must be kept.
    if (effects.length > 0) setTimeout(() => this.#perform(effects), 0);
    return answer;
  }

  /** Tells limiters what became of permits, asks for others, and calls executors that have room for those there are. */
  #lookAfterPermits(walk: Walk, nowMs: number): void {
    const permits = this.#permitsOf(walk);
    permits.tell(walk.ledger.takeNews());
    if (walk.isFinished) permits.finish();
    else if (walk.state.status === "running") permits.ask();
    permits.renew(nowMs);
  }

  /** Permits have come, or something never gets one. Not at once: whoever says so may be in the middle of a commit. */
  #changed(hopeless: Hopeless[]): void {
    this.#hopeless.push(...hopeless);
    if (this.#isChanging) return;
    this.#isChanging = true;
    queueMicrotask(() => this.#useChange());
  }

  #useChange(): void {
    this.#isChanging = false;
    const hopeless = this.#hopeless;
    this.#hopeless = [];
    if (this.#running.state.status !== "running") return;
    this.#commit((walk, nowMs) => {
      const failed = hopeless.map(({ step, index, failure }) => walk.ledger.fail(step, index, failure, nowMs));
      return { answer: undefined, effects: failed.flatMap((settled) => walk.react(settled)) };
    });
  }

  #wakesFor(walk: Walk, nowMs: number): Wake[] {
    return walk.state.status === "running" ? walk.ledger.wakeForWork(nowMs) : [];
  }

  #reply(
    { slot, fence, isClaiming, received }: Pick<Report, "slot" | "fence" | "isClaiming" | "received">,
    nowMs: number,
  ): Reply {
    const walk = this.#running;
    const { ledger } = walk;
    const isCurrent = ledger.slots.isCurrent(slot, fence);
    const isStopped = !isCurrent || walk.state.status === "canceled";
    const isClosed = !isCurrent || walk.state.status !== "running";
    const claimed = isClosed || !isClaiming ? [] : ledger.claim(slot, received, this.#page.meter(), nowMs);
    const isDone = isCurrent && ledger.isEmpty(slot);
    if (isDone) ledger.slots.leave(slot);
    return { fence, isStopped, isClosed, isDone, ...this.#brief(walk, claimed) };
  }

  #brief(walk: Walk, claimed: HeldItem[]): Pick<Reply, "steps" | "items"> {
    const steps = [...new Set(claimed.map((item) => item.step))].flatMap((id) => walk.step(id) ?? []);
    return {
      steps: steps.map(({ id, node, fields }) => ({ step: id, node, fields })),
      items: claimed.map(({ step, index, attempts, permits }) => {
        const isLast = walk.ledger.steps.get(step)?.isLastAttempt(index) ?? true;
        const item = { step, index, attempts, isLast, item: this.#page.item(step, index) };
        if (permits.length === 0) return item;
        return { ...item, refusalCosts: this.#permits?.hasGivenUp(permits) ? "an attempt" : "nothing" };
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
      const sent = home === "inline" ? this.#pullInline(order) : this.#ports[home](order);
      // A wake that was not sent is sent again by the heartbeat.
      this.ctx.waitUntil(
        sent.catch((error) => console.warn({ message: "A wake was not sent", run, slot, error: String(error) })),
      );
    }
  }

  /** One that is lost does no harm: the executor reports before long by itself. */
  #nudge(slot: number): void {
    this.ctx.waitUntil(this.#ports.nudge(this.#running.row.id, slot).catch(() => undefined));
  }

  /** A run's sole open item is executed here, by the same loop, with calls that do not leave the object. */
  #pullInline(order: Order): Promise<Ending> {
    const port: RunPort = {
      enter: async (entry, shape) => this.#enter(entry, shape),
      report: (report) => this.#reported(report),
    };
    const flow = this.#flow as Registered;
    const linger = (rest: Promise<unknown>) => this.ctx.waitUntil(rest);
    return pull({ order, flow, delivery: 1, claimMs: Number.POSITIVE_INFINITY, connect: () => port, linger });
  }

  #rearm(): void {
    if (!this.#walk) return;
    const nowMs = Date.now();
    this.#wakeUp.setFor(timesOf(this.#walk, this.#permitsOf(this.#walk), nowMs), nowMs);
  }

  #view(walk: Walk): RunView {
    return viewRun(walk, this.#store, restOf(walk, this.#permitsOf(walk)), Date.now());
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
