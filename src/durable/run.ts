import { asJson, encode } from "../core/codec.ts";
import type { Answer } from "../core/limiter.ts";
import { type Effect, type Event, NEW_RUN } from "../core/run.ts";
import type { Happened, SentSignal, SignalRefusal, Started, StartRequest, Turned } from "./answers.ts";
import { Audience } from "./audience.ts";
import { refusalOf } from "./choice.ts";
import { isCutShort, LONGEST_HOLD_MS } from "./desk.ts";
import { deadlineExceeded } from "./faults.ts";
import type { ItemId } from "./items.ts";
import type { Place } from "./limiter-store.ts";
import { Live } from "./live.ts";
import { type Sight, sightOf } from "./onlookers.ts";
import { Outbox, type OutboxPorts } from "./outbox.ts";
import type { Outcome } from "./outcome.ts";
import type { Hopeless } from "./permits.ts";
import type { Reply, Report } from "./protocol.ts";
import { ReadableRun } from "./readable.ts";
import { performRecall } from "./recalling.ts";
import { redrive } from "./redrive.ts";
import type { Registry } from "./registry.ts";
import { Removal } from "./removal.ts";
import { deadlineOf, keptUntil, restOf, timesOf } from "./rest.ts";
import { Running, type RunPorts } from "./running.ts";
import { MOST_SIGNALS } from "./signal-store.ts";
import type { Entry, Wake } from "./slots.ts";
import { Store } from "./store.ts";
import { entryOf, messageOf } from "./told.ts";
import { outline, outputOf, type RunOutline, type RunView, statusOfRun } from "./view.ts";
import { HEARTBEAT_MS, WakeUp } from "./wakeup.ts";
import type { Walk } from "./walk.ts";
import { readReport, type WireReply, type WireReport, writeReply } from "./wire.ts";

/** An object whose last turn is a heartbeat and so much more ago was held up. */
const LATE_MS = 2_000;

/**
 * One run: PocketFlow's event loop made durable. Every entry commits what an event means in one transaction, sets the alarm,
 * and then performs what follows; whatever is lost on the way is found again from the rows.
 */
export class FlowRunObject extends ReadableRun {
  readonly #registry: Registry;
  readonly #ports: RunPorts & OutboxPorts;
  protected readonly store: Store;
  readonly #wakeUp: WakeUp;
  /** Nothing where no run was ever started here. */
  #started: Running | undefined;
  #outbox: Outbox | undefined;
  readonly #removal: Removal;
  readonly #audience = new Audience();
  #hopeless: Hopeless[] = [];
  #isChanging = false;
  /** Resolves when hooks have been stored the next time. */
  #flushed = Promise.withResolvers<void>();
  #lastTurnMs = Date.now();
  /** Every lease was extended because the object was late. Not twice in a row: a lost executor must be found. */
  #wasExtended = false;

  constructor(ctx: DurableObjectState, env: Cloudflare.Env, registry: Registry, ports: RunPorts & OutboxPorts) {
    super(ctx, env);
    this.#registry = registry;
    this.#ports = ports;
    this.store = this.openStore(ctx.storage, (error) => ctx.abort(`A commit failed: ${String(error)}`));
    this.#wakeUp = new WakeUp(ctx.storage, () => this.#due());
    this.#removal = new Removal(ctx.storage, this.store, this.#wakeUp, ports.index, (error) =>
      ctx.abort(`A run could not be deleted: ${String(error)}`),
    );
    if (this.store.exists()) this.#find();
  }

  /** Where the run is stored. */
  protected openStore(storage: DurableObjectStorage, onFailure: (error: unknown) => void): Store {
    return new Store(storage, onFailure);
  }

  /** Starts the run, or finds it started. What is answered is stored. Nothing is where one of the same id is not gone yet. */
  async start(request: StartRequest): Promise<Started | null> {
    // During a deploy a Worker that knows neither of the two may call.
    const { id, flow, input, inputDigest, trigger = { type: "http", name: null }, callback = null, given } = request;
    // With an idempotency key a deleted run may have had the same id.
    if (this.#removal.isPending) await this.#removal.finish();
    const found = this.find(inputDigest);
    if (found || this.#removal.isPending) return found;
    const { shape, version } = this.#registry.make(flow);
    const live = Live.begin(input);
    const createdMs = Date.now();
    this.store.commit(() => {
      // What limiters heard of a deleted run was of an earlier life.
      const run = { id, flow, version, shape, inputDigest, createdMs, startedBy: trigger, callback };
      this.store.create({ ...run, lives: createdMs, state: NEW_RUN });
      this.store.longText.put("live", live);
      this.store.longText.put("input", given === undefined ? encode(input, "input") : asJson(given));
    });
    this.#started = this.#open();
    this.#outbox = this.#openOutbox();
    this.#rearm();
    // After the answer: the flow's own hooks may take their time.
    setTimeout(() => this.#begin(), 0);
    return { view: this.#view(this.#started), isNew: true, isSame: true };
  }

  /** Finds the run started. Nothing is returned where it was not. */
  find(inputDigest: string | null): Started | null {
    if (!this.#started) return null;
    const { row } = this.#started.walk;
    return { view: this.#view(this.#started), isNew: false, isSame: row.inputDigest === inputDigest };
  }

  /** Nothing is returned, and nothing written, for a run that was never started. */
  view(): RunView | null {
    return this.#started ? this.#view(this.#started) : null;
  }

  /** Resolves with the run once it has finished, or as it is after `waitMs`. */
  async wait(waitMs: number): Promise<RunView | null> {
    if (this.#started && !this.#started.walk.isFinished) await this.#audience.end(waitMs);
    return this.view();
  }

  /**
   * What has happened after the event with number `after` and the moment `pulse`; resolves when there is something, or as it is
   * after `waitMs`.
   */
  async follow(after: number, pulse: number, waitMs: number): Promise<Happened | null> {
    if (!this.#started) return null;
    const { isFinished } = this.#started.walk;
    if (pulse === this.#audience.pulse && this.store.events.after(after).length === 0 && !isFinished) {
      await this.#audience.change(waitMs);
    }
    // It may have been deleted meanwhile, or taken up again.
    if (!this.#started) return null;
    return {
      events: this.store.events.after(after),
      run: pulse === this.#audience.pulse ? null : this.#outline(this.#started),
      isFinished: this.#started.walk.isFinished,
      pulse: this.#audience.pulse,
    };
  }

  /** Keeps what somebody sends to the run, until a node takes it. One that is sent again under its id is kept once. */
  signal(sent: SentSignal): { view: RunView; refusal: SignalRefusal | null } | null {
    if (!this.#started) return null;
    const before = this.store.signals.sent(sent.id);
    const refusal = before ? refusalOfSame(before, sent) : this.#refusalOfNew(sent);
    if (refusal === null && !before) {
      this.#commit((_, atMs) => {
        this.store.signals.keep({ ...sent, atMs });
        return { answer: undefined, effects: [] };
      });
    }
    return { view: this.#view(this.#running), refusal };
  }

  #refusalOfNew({ name }: SentSignal): SignalRefusal | null {
    const { walk } = this.#running;
    if (walk.isFinished) return "finished";
    // One that is waited for is taken at once.
    const isWanted = walk.ledger.waits.first(name) !== undefined && walk.state.status === "running";
    return !isWanted && this.store.signals.count >= MOST_SIGNALS ? "full" : null;
  }

  /** The index of runs takes the run for lost: it was not awake for long after it wanted to be. `false`: there is no such run. */
  async poke(): Promise<boolean> {
    if (!this.#started) {
      await this.#removal.finish();
      return false;
    }
    this.#outbox?.news.tellAnew();
    await this.alarm();
    return true;
  }

  /** Cancels the run. One that has finished already stays as it is. */
  cancel(): Turned | null {
    return this.#turn(
      ({ walk }) => !walk.isFinished,
      () => this.#cutShort({ type: "canceled" }),
    );
  }

  /** Pauses the run: what is in exec ends and is kept, and nothing else begins. */
  pause(): Turned | null {
    return this.#turn(
      ({ walk }) => !walk.isFinished,
      () => {
        this.#commit(({ walk }) => {
          walk.turn({ type: "paused" });
          return { answer: undefined, effects: [] };
        });
      },
    );
  }

  /** Lets a paused run go on; one that was never paused does so anyway. Not one whose flow has changed. */
  resume(): Turned | null {
    return this.#turn(
      ({ walk }) => !walk.isFinished && walk.state.error === null,
      () => {
        this.#commit(({ walk }) => {
          if (walk.state.status === "paused") walk.ledger.unask();
          walk.turn({ type: "resumed" });
          return { answer: undefined, effects: [] };
        });
        // A wake that came meanwhile was refused.
        this.#resume(true);
      },
    );
  }

  /**
   * Takes a finished run up again: its failed items, or branches, are executed once more, or those of its failed items that are
   * `chosen`. Not one in which nothing has failed.
   */
  retry(chosen: ItemId[] | null = null): Turned | null {
    const refusal = chosen && this.#refusalOf(chosen);
    if (refusal) return { view: this.#view(this.#running), isDone: false, refusal };
    return this.#turn(
      ({ walk }) => canRetry(walk),
      ({ walk }) => {
        this.store.commit(() => {
          // Their rows may name items that have been settled since: that these were is known only until they are open again.
          walk.ledger.slots.saveAll();
          redrive(this.store, walk.state, walk.ledger.heldItems(), chosen, Date.now());
          this.#outbox?.deliveries.drop();
          this.#outbox?.recalls.drop();
        });
        this.#hopeless = [];
        this.#load(false);
      },
    );
  }

  /** Why a run that can be taken up again cannot be with these of its failed items alone. */
  #refusalOf(chosen: readonly ItemId[]): string | undefined {
    const { walk } = this.#started ?? {};
    return walk && canRetry(walk) ? refusalOf(this.store, walk, chosen) : undefined;
  }

  /** Deletes all that is stored of a run that has finished. */
  async delete(): Promise<Turned | null> {
    if (!this.#started) return null;
    const { walk } = this.#started;
    const view = this.#view(this.#started);
    if (walk.isFinished) {
      // They begin at once, and need no row any more. Nothing may come in between: the run could be taken up again.
      const recalled = this.#outbox?.recallAll();
      await this.#forget();
      await recalled;
    }
    return { view, isDone: walk.isFinished };
  }

  #turn(isPossible: (running: Running) => boolean, turn: (running: Running) => void): Turned | null {
    if (!this.#started) return null;
    const isDone = isPossible(this.#started);
    if (isDone) turn(this.#started);
    return { view: this.#view(this.#running), isDone };
  }

  /** Ends the run, and what is in exec with it. */
  #cutShort(event: Event): void {
    this.#end(event);
    this.#running.nudge();
  }

  /**
   * Deletes the run. That it is to be is stored first: from then on there is no such run, and what is left of it goes sooner or
   * later. Whoever waits for something of it is told that there is nothing.
   */
  async #forget(): Promise<void> {
    this.store.commit(() => this.store.markDeleted());
    const closed = this.#outbox?.close();
    this.#started = undefined;
    this.#outbox = undefined;
    this.#seenEnd();
    this.onlookers.deleted();
    await closed;
    await this.#removal.finish();
  }

  /** An executor answers a wake. */
  async enter(entry: Entry, fingerprint: string, version?: number): Promise<WireReply | null> {
    const reply = this.#enter(entry, fingerprint);
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

  #enter(entry: Entry, fingerprint: string): Reply | null {
    const { walk } = this.#started ?? {};
    if (walk?.state.status !== "running" || fingerprint !== walk.flow.fingerprint) return null;
    return this.#commit(({ desk }, nowMs) => desk.enter(entry, nowMs));
  }

  async #report(report: Report): Promise<Reply> {
    if (!this.#started || this.#started.walk.ledger.slots.isForeign(report.fence)) return overFor(report);
    const { desk, walk } = this.#started;
    // What ends late is kept as a result: the index has to hear of it.
    if (walk.isFinished && report.outcomes.length > 0) this.#outbox?.news.tellAnew();
    let hasHooks = false;
    const answered = this.#commit((_, nowMs) => {
      const effects = desk.take(report, nowMs);
      if (isCutShort(walk.state)) this.#recallLate(report.outcomes, nowMs);
      hasHooks = effects.length > 0;
      return { answer: desk.mayHaveMoreSoon(report, effects) ? null : desk.reply(report, nowMs), effects };
    });
    if (answered) return answered;
    const untilMs = Date.now() + LONGEST_HOLD_MS;
    do await desk.hold(report, hasHooks || walk.isBranching ? this.#flushed.promise : undefined);
    while (walk.isBranching && desk.mayHaveMoreSoon(report, []) && Date.now() < untilMs);
    if (!this.#started) return overFor(report);
    return this.#commit(({ desk }, nowMs) => ({ answer: desk.reply(report, nowMs), effects: [] }));
  }

  /**
   * The heartbeat. It sets itself again before it does anything, and never throws: the platform gives an alarm up that failed
   * six times, and this one must never be lost while there is work.
   */
  override async alarm(): Promise<void> {
    this.#wakeUp.rang();
    if (!this.#started) return this.#removal.finish();
    // Whoever was to be told of its end may still be away.
    const isPending = this.#outbox?.pendingMs !== null;
    if (keptUntil(this.#started.walk) <= Date.now() && !isPending) return this.#forget();
    this.#rearm();
    // A turn that ends in an abort takes all its writes with it, the alarm's among them, so that one is made safe first.
    await this.ctx.storage.sync();
    try {
      this.#beat(false);
    } catch (error) {
      console.error({ message: "A heartbeat failed", run: this.#running.walk.row.id, error: String(error) });
    }
  }

  /** The object was away: takes up what is stored. */
  #find(): void {
    const isOlder = this.store.commit(() => this.store.migrate());
    if (this.#removal.isPending) setTimeout(() => this.ctx.waitUntil(this.#removal.finish()), 0);
    else this.#load(true, isOlder);
  }

  /** Builds the run in memory from its rows. `isNew`: the object was away. `isOlder`: an earlier version has stored it. */
  #load(isNew: boolean, isOlder = false): void {
    this.#started = this.#open();
    this.onlookers.renewed();
    this.#outbox ??= this.#openOutbox();
    const { walk, permits } = this.#started;
    this.store.commit(() => {
      const wasFinished = walk.isFinished;
      this.#running.recover(isNew);
      this.#running.isFresh = !walk.isFinished && walk.pending().length > 0;
      if (walk.isFinished && !wasFinished) this.#ended(walk);
    });
    if (walk.hasLimits) permits.restore(walk.ledger.heldItems());
    // To look at a run that has finished should cost no row: its alarm is set, unless it was kept by a version that set none.
    if (walk.isFinished) void this.ctx.storage.getAlarm().then((atMs) => this.#rest(isOlder ? null : atMs));
    else {
      this.#rearm();
      setTimeout(() => this.#resume(true), 0);
    }
  }

  /** A finished run was loaded. Its alarm is near until the index has heard of its end, which that of an earlier version has not. */
  #rest(alarmMs: number | null): void {
    if (!this.#started?.walk.isFinished) return;
    if (alarmMs === null || alarmMs < Date.now() + 2 * HEARTBEAT_MS) this.#rearm();
    else this.#outbox?.news.wasToldOfEnd();
  }

  #openOutbox(): Outbox {
    const { row } = this.#running.walk;
    return new Outbox(this.store, row.callback, this.#ports, {
      createdMs: row.createdMs,
      isFinished: () => this.#running.walk.isFinished,
      status: () => this.#status,
      revision: () => this.store.revision,
      wakeMs: () => this.#wakeMs,
      entry: () => entryOf(this.#running, this.store, this.#wakeMs, Date.now()),
      messageOf: ({ type }) => messageOf(this.#running, this.store, type, Date.now()),
      recall: (recall) => performRecall(this.#running.walk, recall),
      waitUntil: (promise) => this.ctx.waitUntil(promise),
      onChange: () => {
        this.#seenChange();
        this.#rearm();
      },
    });
  }

  #open(): Running {
    // A hook that was under way when the run was taken up again, or deleted, is none of its any more.
    const ifCurrent = (act: () => void) => {
      if (this.#started === running) act();
    };
    const running: Running = new Running(this.store, this.#registry, {
      ...this.#ports,
      self: {
        enter: async (entry, fingerprint) => this.#enter(entry, fingerprint),
        report: (report) => this.#report(report),
      },
      waitUntil: (promise) => this.ctx.waitUntil(promise),
      onChange: (hopeless) => ifCurrent(() => this.#changed(hopeless)),
      onBroke: (fault) => ifCurrent(() => this.#end({ type: "broke", ...fault })),
      flush: () => ifCurrent(() => this.#flush()),
    });
    return running;
  }

  #begin(): void {
    if (this.#started?.walk.state.status !== "queued") return;
    this.#commit(({ walk }) => ({ answer: undefined, effects: walk.begin() }));
  }

  /** The run has ended: others are to be told. Called in the transaction in which it has. */
  #ended(walk: Walk): void {
    this.#outbox?.ended(walk.row, walk.state);
    // What vendors have of it is of no use any more.
    if (isCutShort(walk.state)) this.#outbox?.recalls.begin(walk.ledger.submitting(), Date.now());
  }

  /** Nor is what they turn out to have. */
  #recallLate(outcomes: readonly Outcome[], nowMs: number): void {
    const jobs = outcomes.filter((outcome) => "job" in outcome);
    if (jobs.length > 0) this.#outbox?.recalls.found(jobs, nowMs);
  }

  /** What ends the run. What comes after that changes nothing. */
  #end(event: Event): void {
    if (this.#started?.walk.isFinished !== false) return;
    this.#commit(({ walk }) => {
      walk.end(event);
      return { answer: undefined, effects: [] };
    });
  }

  /** `isNew`: the object was away, and with it all it had sent. */
  #resume(isNew: boolean): void {
    if (this.#started?.walk.state.status === "queued") this.#begin();
    this.#beat(isNew);
  }

  /** Finds what was lost, was never done, or has come due. */
  #beat(isNew: boolean): void {
    if (!this.#started || this.#isLate()) return;
    this.#commit((running, nowMs) => {
      const { walk } = running;
      running.isFresh = false;
      if (walk.isFinished || walk.flow.changes.length > 0) return { answer: undefined, effects: [] };
      // Of a paused run too: what an executor had that was lost is not running.
      const effects = walk.react(walk.ledger.expire(nowMs));
      if (walk.state.status !== "running") return { answer: undefined, effects };
      walk.ledger.slots.forgetNudges();
      const wakes = walk.ledger.slots.wakeAgain(nowMs, isNew);
      return { answer: undefined, effects: [...effects, ...walk.pending()], wakes };
    });
  }

  /** Whether the run's time is up: then it ends. */
  #isLate(): boolean {
    const { walk } = this.#running;
    const { deadlineMs } = walk.flow;
    if (walk.isFinished || deadlineMs === null || Date.now() < (deadlineOf(walk) ?? 0)) return false;
    this.#cutShort({ type: "broke", ...deadlineExceeded(deadlineMs) });
    return true;
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
    const { answer, effects, wakes, nudged } = this.store.commit(() => {
      const wasFinished = walk.isFinished;
      const changed = change(running, nowMs);
      if (walk.isFinished && !wasFinished) this.#ended(walk);
      const isRunning = walk.state.status === "running";
      const woken = isRunning ? walk.wake(nowMs) : [];
      const nudged = isRunning ? walk.ledger.demand.nudge() : [];
      const fresh = isRunning ? walk.ledger.demand.wakeForWork(!walk.isBranching, nowMs) : [];
      const wakes = [...(changed.wakes ?? []), ...fresh];
      return { ...changed, effects: [...changed.effects, ...woken], nudged, wakes };
    });
    running.lookAfterPermits(nowMs);
    // They are performed in a turn of their own; until then the run is not at rest.
    turns.perform(effects);
    this.#rearm();
    if (walk.takeFlushWish()) setTimeout(() => this.#started === running && this.#flush(), 0);
    for (const wake of wakes) calls.wake(wake);
    for (const slot of nudged) calls.nudge(slot);
    if (walk.isFinished) this.#seenEnd();
    else this.#seenChange();
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
    if (this.#started?.walk.state.status !== "running") return;
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
    if ("error" in written) this.#end({ type: "broke", ...written });
    else {
      this.#commit(() => ({ answer: undefined, effects: walk.flush(written) }));
    }
    this.#flushed.resolve();
    this.#flushed = Promise.withResolvers();
  }

  /** What is seen of the run may be other than it was. */
  #seenChange(): void {
    this.#audience.changed();
    this.onlookers.changed();
  }

  #seenEnd(): void {
    this.#audience.ended();
    this.onlookers.changed();
  }

  #due(): void {
    if (!this.#started || this.#isLate()) return;
    if (this.#started.walk.state.status === "running") this.#commit(() => ({ answer: undefined, effects: [] }));
  }

  #rearm(): void {
    if (!this.#started) return;
    const nowMs = Date.now();
    this.#outbox?.look(nowMs);
    const untoldMs = this.#started.walk.isFinished ? (this.#outbox?.latestMs(nowMs) ?? null) : null;
    const times = untoldMs === null ? timesOf(this.#started, nowMs) : { latestMs: untoldMs, dueMs: null };
    this.#wakeUp.setFor(times, nowMs);
  }

  #view(running: Running): RunView {
    return { ...this.#outline(running), output: outputOf(running.walk, this.store) };
  }

  #outline(running: Running): RunOutline {
    return outline(running.walk, this.store, restOf(running), Date.now());
  }

  /** When the run wants to be awake, for all that is known: whoever finds it asleep long after that wakes it. */
  get #wakeMs(): number | null {
    const dueMs = this.#running.walk.isFinished ? this.#outbox?.pendingMs : null;
    return dueMs ?? timesOf(this.#running, Date.now()).latestMs;
  }

  get #status(): string {
    return statusOfRun(this.#running.walk, restOf(this.#running), Date.now());
  }

  protected get seen(): Walk | null {
    return this.#started?.walk ?? null;
  }

  protected sight(): Sight | null {
    const running = this.#started;
    return running ? sightOf(running.walk, this.store, () => this.#outline(running)) : null;
  }

  get #running(): Running {
    return this.#started as Running;
  }
}

/** A signal that was sent before, and kept: it is the same one if its body is. */
function refusalOfSame(before: Pick<SentSignal, "digest">, sent: SentSignal): SignalRefusal | null {
  return before.digest === null || before.digest === sent.digest ? null : "other";
}

/** The answer to an executor of a run that there is not, or not any more. */
function overFor({ fence }: Report): Reply {
  return { fence, isStopped: true, isClosed: true, isDone: true, steps: [], items: [] };
}

function canRetry({ isFinished, state, hasFailures }: Walk): boolean {
  return isFinished && (state.status !== "completed" || hasFailures);
}
