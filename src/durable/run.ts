import { DurableObject } from "cloudflare:workers";
import type { Answer, Request } from "../core/limiter.ts";
import { type Effect, type Event, NEW_RUN, type RunError } from "../core/run.ts";
import { Calls, type ExecutorPorts } from "./calls.ts";
import { Desk, LONGEST_HOLD_MS } from "./desk.ts";
import type { KeptEmit } from "./emits.ts";
import { Hooks } from "./hooks.ts";
import type { Place } from "./limiter-store.ts";
import { Live } from "./live.ts";
import { Pages } from "./pages.ts";
import { type Hopeless, Permits } from "./permits.ts";
import type { Reply, Report, RunPort } from "./protocol.ts";
import type { Registered, Registry } from "./registry.ts";
import { restOf, timesOf } from "./rest.ts";
import type { Entry, Wake } from "./slots.ts";
import { Store } from "./store.ts";
import { Turns } from "./turns.ts";
import {
  type ItemPage,
  type ItemQuery,
  listItems,
  listResults,
  type ResultPage,
  type RunView,
  viewRun,
} from "./view.ts";
import { Waiters } from "./waiters.ts";
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
export interface RunPorts extends ExecutorPorts {
  exchange(place: Place, request: Request): Promise<Answer | null>;
}

/** A run that was started, as it is in memory. */
interface Running {
  flow: Registered;
  walk: Walk;
  turns: Turns;
  permits: Permits;
  desk: Desk;
  calls: Calls;
}

/** An object whose last turn is a heartbeat and so much more ago was held up. */
const LATE_MS = 2_000;

/**
 * One run: PocketFlow's event loop made durable. Every entry commits what an event means in one transaction, sets the alarm,
 * and then performs what follows; whatever is lost on the way is found again from the rows.
 */
export class FlowRunObject extends DurableObject {
  readonly #registry: Registry;
  readonly #ports: RunPorts;
  readonly #store: Store;
  readonly #wakeUp: WakeUp;
  /** Nothing where no run was ever started here. */
  #started: Running | undefined;
  #hopeless: Hopeless[] = [];
  #isChanging = false;
  /** Resolves when hooks have been stored the next time. */
  #flushed = Promise.withResolvers<void>();
  #lastTurnMs = Date.now();
  /** Every lease was extended because the object was late. Not twice in a row: a lost executor must be found. */
  #wasExtended = false;
  readonly #finish = new Waiters();
  readonly #progress = new Waiters();

  constructor(ctx: DurableObjectState, env: Cloudflare.Env, registry: Registry, ports: RunPorts) {
    super(ctx, env);
    this.#registry = registry;
    this.#ports = ports;
    this.#store = this.openStore(ctx.storage, (error) => ctx.abort(`A commit failed: ${String(error)}`));
    this.#wakeUp = new WakeUp(ctx.storage, () => this.#due());
    if (this.#store.exists()) this.#load();
  }

  /** Where the run is stored. */
  protected openStore(storage: DurableObjectStorage, onFailure: (error: unknown) => void): Store {
    return new Store(storage, onFailure);
  }

  /** Starts the run, or finds it started. What is answered is stored. */
  start({ id, flow, input, inputDigest }: StartRequest): Started {
    if (this.#started) {
      const { row } = this.#started.walk;
      return { view: this.#view(this.#started), isNew: false, isSame: row.inputDigest === inputDigest };
    }
    const { shape } = this.#registry.make(flow);
    const live = Live.begin(input);
    this.#store.commit(() => {
      this.#store.create({ id, flow, shape, inputDigest, createdMs: Date.now(), lives: 1, state: NEW_RUN });
      this.#store.longText.put("live", live);
    });
    this.#started = this.#open();
    this.#rearm();
    // After the answer: the flow's own hooks may take their time.
    setTimeout(() => this.#begin(), 0);
    return { view: this.#view(this.#started), isNew: true, isSame: true };
  }

  /** Nothing is returned, and nothing written, for a run that was never started. */
  view(): RunView | null {
    return this.#started ? this.#view(this.#started) : null;
  }

  /** Resolves with the run once it has finished, or as it is after `waitMs`. */
  async wait(waitMs: number): Promise<RunView | null> {
    if (this.#started && !this.#started.walk.isFinished) await this.#finish.wait(waitMs);
    return this.view();
  }

  items(query: ItemQuery): ItemPage | null {
    return this.#started ? listItems(this.#started.walk, this.#store, query) : null;
  }

  results(node: string | null, step: number | null, from: number): ResultPage | null {
    return this.#started ? listResults(this.#started.walk, this.#store, node, step, from) : null;
  }

  /** What nodes emitted after the one with number `after`; resolves when there is something, or as it is after `waitMs`. */
  async emits(after: number, waitMs: number): Promise<{ emits: KeptEmit[]; isFinished: boolean } | null> {
    if (!this.#started) return null;
    const { walk } = this.#started;
    if (this.#store.emits.after(after).length === 0 && !walk.isFinished) await this.#progress.wait(waitMs);
    return { emits: this.#store.emits.after(after), isFinished: walk.isFinished };
  }

  /** Cancels the run. One that has finished already stays as it is. */
  cancel(): { view: RunView; isCanceled: boolean } | null {
    if (!this.#started) return null;
    const { walk, calls } = this.#started;
    const wasFinished = walk.isFinished;
    if (!wasFinished) {
      this.#end({ type: "canceled" });
      // So that what is in exec ends now, and not when it next reports.
      for (const slot of walk.ledger.slots.all()) if (slot.state === "live") calls.nudge(slot);
    }
    return { view: this.#view(this.#started), isCanceled: !wasFinished };
  }

  /** An executor answers a wake. */
  async enter(entry: Entry, shape: string, version?: number): Promise<WireReply | null> {
    const reply = this.#enter(entry, shape);
    return reply && writeReply(reply, version);
  }

  /** An executor reports, and gets its next items in the same call. */
  async report(report: WireReport): Promise<WireReply> {
    return writeReply(await this.#report(readReport(report)), report.version);
  }

  /** A limiter tells of permits, or of when there may be some. `false`: this run was never started. */
  hear(place: Place, answer: Answer): boolean {
    this.#started?.permits.hear(place, answer);
    return this.#started !== undefined;
  }

  #enter(entry: Entry, shape: string): Reply | null {
    const { walk } = this.#started ?? {};
    if (walk?.state.status !== "running" || shape !== JSON.stringify(walk.row.shape)) return null;
    return this.#commit(({ desk }, nowMs) => desk.enter(entry, nowMs));
  }

  async #report(report: Report): Promise<Reply> {
    const { fence } = report;
    if (!this.#started) return { fence, isStopped: true, isClosed: true, isDone: true, steps: [], items: [] };
    const { desk, walk } = this.#started;
    let hasHooks = false;
    const answered = this.#commit((_, nowMs) => {
      const effects = desk.take(report, nowMs);
      hasHooks = effects.length > 0;
      return { answer: desk.mayHaveMoreSoon(report, effects) ? null : desk.reply(report, nowMs), effects };
    });
    if (answered) return answered;
    const untilMs = Date.now() + LONGEST_HOLD_MS;
    do await desk.hold(report, hasHooks || walk.isBranching ? this.#flushed.promise : undefined);
    while (walk.isBranching && desk.mayHaveMoreSoon(report, []) && Date.now() < untilMs);
    return this.#commit((_, nowMs) => ({ answer: desk.reply(report, nowMs), effects: [] }));
  }

  /**
   * The heartbeat. It sets itself again before it does anything, and never throws: the platform gives an alarm up that failed
   * six times, and this one must never be lost while there is work.
   */
  override async alarm(): Promise<void> {
    this.#wakeUp.rang();
    if (!this.#started) return;
    this.#rearm();
    // A turn that ends in an abort takes all its writes with it, the alarm's among them, so that one is made safe first.
    await this.ctx.storage.sync();
    try {
      this.#beat(false);
    } catch (error) {
      console.error({ message: "A heartbeat failed", run: this.#running.walk.row.id, error: String(error) });
    }
  }

  #load(): void {
    this.#store.commit(() => this.#store.migrate());
    this.#started = this.#open();
    const { walk, permits } = this.#started;
    this.#store.commit(() => this.#recover(this.#running));
    if (walk.hasLimits) permits.restore(walk.ledger.heldItems());
    this.#rearm();
    setTimeout(() => this.#resume(), 0);
  }

  #open(): Running {
    const row = this.#store.run();
    const flow = this.#registry.makeAgain(row.flow, row.shape);
    const pages = new Pages(this.#store);
    const walk = new Walk(this.#store, flow, pages, () => Date.now());
    const permits = new Permits(walk.row, walk.ledger, {
      exchange: (place, request) => this.#ports.exchange(place, request),
      onChange: (hopeless) => this.#changed(hopeless),
    });
    const desk = new Desk(walk, pages, permits, this.#store.emits);
    const port: RunPort = {
      enter: async (entry, shape) => this.#enter(entry, shape),
      report: (report) => this.#report(report),
    };
    const waitUntil = (promise: Promise<unknown>) => this.ctx.waitUntil(promise);
    const calls = new Calls({ run: row.id, flow, flowName: row.flow, port, waitUntil }, this.#ports);
    const hooks = new Hooks(walk, this.#store, pages, (error) => this.#end({ type: "broke", error }));
    const turns = new Turns(walk, hooks, { waitUntil, flush: () => this.#flush() });
    return { flow, walk, turns, permits, desk, calls };
  }

  #recover({ flow: { changes }, walk }: Running): void {
    if (walk.hasLimits && !walk.isFinished) this.#store.saveLives(++walk.row.lives);
    if (changes.length > 0) walk.end({ type: "graph-changed", error: graphChanged(walk.row.flow, changes) });
    else if (walk.state.status === "paused") walk.end({ type: "graph-restored" });
    if (walk.state.status === "running") walk.recover();
  }

  #begin(): void {
    this.#commit(({ walk }) => ({ answer: undefined, effects: walk.begin() }));
  }

  /** What ends the run. What comes after that changes nothing. */
  #end(event: Event): void {
    if (this.#running.walk.isFinished) return;
    this.#commit(({ walk }) => {
      walk.end(event);
      return { answer: undefined, effects: [] };
    });
  }

  #resume(): void {
    if (this.#running.walk.state.status === "queued") this.#begin();
    this.#beat(true);
  }

  /** Finds what was lost, was never done, or has come due. `isNew`: the object was away, and with it all it had sent. */
  #beat(isNew: boolean): void {
    this.#commit(({ walk }, nowMs) => {
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
  #commit<T>(change: (running: Running, nowMs: number) => { answer: T; effects: Effect[]; wakes?: Wake[] }): T {
    const running = this.#running;
    const { walk, calls, turns } = running;
    const nowMs = Date.now();
    this.#noteTurn(walk, nowMs);
    const { answer, effects, wakes, nudged } = this.#store.commit(() => {
      const changed = change(running, nowMs);
      const isRunning = walk.state.status === "running";
      const nudged = isRunning ? walk.ledger.nudge() : [];
      const fresh = isRunning ? walk.ledger.wakeForWork(!walk.isBranching, nowMs) : [];
      return { ...changed, nudged, wakes: [...(changed.wakes ?? []), ...fresh] };
    });
    if (walk.hasLimits) lookAfterPermits(running, nowMs);
    this.#rearm();
    for (const wake of wakes) calls.wake(wake);
    for (const slot of nudged) calls.nudge(slot);
    turns.perform(effects);
    if (walk.isFinished) this.#finish.wake();
    if (walk.isFinished || this.#store.emits.takeNews()) this.#progress.wake();
    return answer;
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
    if (this.#running.walk.state.status !== "running") return;
    this.#commit(({ walk }, nowMs) => {
      const failed = hopeless.map(({ item, failure }) => walk.ledger.fail(item, failure, nowMs));
      return { answer: undefined, effects: failed.flatMap((settled) => walk.react(settled)) };
    });
  }

  /** Stores what hooks did, if all that have written have ended. */
  #flush(): void {
    const { walk } = this.#running;
    if (!walk.canFlush) return;
    const written = walk.written();
    if ("message" in written) this.#end({ type: "broke", error: written });
    else {
      this.#commit(() => {
        walk.flush(written);
        return { answer: undefined, effects: [] };
      });
    }
    this.#flushed.resolve();
    this.#flushed = Promise.withResolvers();
  }

  #due(): void {
    if (this.#started?.walk.state.status === "running") this.#commit(() => ({ answer: undefined, effects: [] }));
  }

  #rearm(): void {
    if (!this.#started) return;
    const { walk, permits } = this.#started;
    const nowMs = Date.now();
    this.#wakeUp.setFor(timesOf(walk, permits, nowMs), nowMs);
  }

  #view({ walk, permits }: Running): RunView {
    return viewRun(walk, this.#store, restOf(walk, permits), Date.now());
  }

  get #running(): Running {
    return this.#started as Running;
  }
}

/** Tells limiters what became of permits, and asks for those that items could use now. */
function lookAfterPermits({ walk, permits }: Running, nowMs: number): void {
  permits.tell(walk.ledger.takeNews());
  if (walk.isFinished) permits.finish();
  else if (walk.state.status === "running") permits.ask();
  permits.renew(nowMs);
}

function graphChanged(flow: string, changes: string[]): RunError {
  const message =
    `Flow \`${flow}\` has changed since the run began: ${changes.join("; ")}. The run is paused as it was; ` +
    "it goes on by itself when the flow is as it was at its start.";
  return { name: "GraphChanged", message, node: null, branch: null, index: null, attempts: null };
}
