import type { FlowRunObject } from "../../src/durable/run.ts";
import { Store } from "../../src/durable/store.ts";
import type { RunView } from "../../src/durable/view.ts";
import {
  BatchNode,
  type ExecContext,
  Flow,
  Node,
  type NodeOptions,
  type NonIterableObject,
  type Outcome,
  ParallelBatchNode,
} from "../../src/index.ts";

// Runs that are interfered with at moments that were chosen before, by counting what happens in them. The test, the runs' objects
// and their executors meet here: they are in one isolate.

/** What is counted of a run: its commits, and calls of exec that began, ended, hang, or return although their time was up. */
export type Occurrence = "commit" | "start" | "end" | "hang" | "late";

/** When so much has happened since the run began, or since something was asked of it. */
export interface Moment {
  of: Occurrence;
  count: number;
  since: "start" | "action";
}

/**
 * The end of a run's object: with a commit, which is undone, or as soon as that is stored, or whenever it comes; or the end of an
 * executor that has items; or of the object while it deletes itself.
 */
export interface Kill {
  how: "undone" | "stored" | "run" | "executor" | "before wipe" | "in wipe" | "after wipe";
  at: Moment;
}

/** What one item is to do. */
export interface Job {
  n: number;
  /** How long exec takes. Where that is 0 it does not suspend. */
  ms: number;
  /** So many attempts outlast their timeout, do not listen, and then return a value all the same. */
  hangs: number;
  /** So many after those fail. */
  failures: number;
  /** Then it stays in exec until its signal is aborted. */
  stays: boolean;
}

/** What exec returns: `call` tells one call of it from all others. */
export interface Result {
  value: number;
  call: number;
}

export interface Jobs {
  jobs: Job[];
  /** Of an item that has failed for good the name of its error. */
  results?: (Result | string)[];
  sums?: number[];
  log: string[];
}

/** An attempt that hangs takes so long, and a timeout in the flows below comes before that. */
export const HANG_MS = 150;
const TIMEOUT_SEC = 0.06;
export const MOST_ATTEMPTS = 3;

/** A call of exec that stays until it is aborted. */
interface Staying {
  name: string;
  /** When it was last seen to be alive: one whose executor was killed is seen no more. */
  seenMs: number;
  isOver: boolean;
}

const plays = new Map<string, Play>();
let calls = 0;

/** What happens in one run, and what is to happen to it. */
export class Play {
  readonly id: string;
  readonly counts = { commit: 0, start: 0, end: 0, hang: 0, late: 0 };
  readonly kills: Kill[];
  readonly struck: Kill[] = [];
  readonly staying: Staying[] = [];
  /** What should never have been. */
  readonly wrongs: string[] = [];
  /** Hooks that were begun. */
  hooks = 0;
  /** Slots whose executor objects hold items. */
  holding: number[] = [];
  /** How its object saw the run at its last commit, which may be lost. */
  latest: RunView | undefined;
  /** Calls that end at this moment wait until something has been asked of the run. */
  hold: Moment | undefined;
  isOver = false;
  /** How often something was asked of the run. */
  actions = 0;
  lastMs = Date.now();
  lastKillMs = 0;
  readonly #concurrency: number;
  #acted: Play["counts"] | undefined;

  constructor(id: string, kills: readonly Kill[], concurrency: number) {
    this.id = id;
    this.kills = [...kills];
    this.#concurrency = concurrency;
    plays.set(id, this);
  }

  note(what: Occurrence): void {
    this.counts[what]++;
    this.lastMs = Date.now();
  }

  /** Something is asked of the run now. */
  act(): void {
    this.#acted = { ...this.counts };
    this.actions++;
    this.hold = undefined;
  }

  hasCome({ of, count, since }: Moment): boolean {
    const before = since === "start" ? 0 : this.#acted?.[of];
    return before !== undefined && this.counts[of] >= before + count;
  }

  /** The first kill of such a kind whose moment has come. */
  takeKill(...hows: Kill["how"][]): Kill | undefined {
    const isDue = ({ how, at }: Kill) =>
      hows.includes(how) && this.hasCome(at) && (how !== "executor" || this.holding.length > 0);
    const at = this.kills.findIndex(isDue);
    if (at < 0 || this.isOver) return undefined;
    const [kill] = this.kills.splice(at, 1) as [Kill];
    this.struck.push(kill);
    this.lastKillMs = Date.now();
    return kill;
  }

  struckBy(...hows: Kill["how"][]): number {
    return this.struck.filter(({ how }) => hows.includes(how)).length;
  }

  /** A call of exec. */
  exec(job: Job, context: ExecContext): Result | Promise<Result> {
    this.note("start");
    const call = ++calls;
    const isHanging = context.attempt <= job.hangs;
    if (job.ms > 0 || isHanging || job.stays) return this.#execLong(job, context, call);
    this.note("end");
    return outcomeOf(job, context, call);
  }

  async #execLong(job: Job, context: ExecContext, call: number): Promise<Result> {
    context.emit(`${job.n} begins`);
    if (context.attempt <= job.hangs) return this.#hang(call);
    await scheduler.wait(job.ms);
    if (job.stays && context.attempt > job.hangs + job.failures) await this.#stay(job, context);
    this.note("end");
    const { hold } = this;
    while (hold && this.hold === hold && this.hasCome(hold) && !this.isOver) await scheduler.wait(1);
    context.emit(`${job.n} ends`);
    return outcomeOf(job, context, call);
  }

  async #hang(call: number): Promise<Result> {
    this.note("hang");
    await scheduler.wait(HANG_MS);
    this.note("late");
    return { value: LATE, call };
  }

  async #stay({ n }: Job, { signal }: ExecContext): Promise<void> {
    const staying: Staying = { name: `item ${n}`, seenMs: Date.now(), isOver: false };
    this.staying.push(staying);
    while (!signal.aborted && !this.isOver) {
      await scheduler.wait(4);
      staying.seenMs = Date.now();
    }
    staying.isOver = true;
    if (signal.aborted) throw signal.reason;
  }

  /** What holds after every commit. Called in the run's object. */
  check(run: FlowRunObject, storage: DurableObjectStorage): void {
    const view = run.view();
    if (!view) return;
    this.latest = view;
    const { items } = view;
    const { running } = items;
    const sql = <T>(query: string) => storage.sql.exec(query).toArray() as T[];
    this.wrong(wrongSum(view));
    if (running > this.#concurrency) this.wrong(`${running} items are in exec`);
    const rows = sql<{ status: string; n: number }>("select status, count(*) as n from item group by status");
    const stored = (status: string) => rows.find((row) => row.status === status)?.n ?? 0;
    const known = ["succeeded", "failed", ...(view.finishedAt === null ? ["deferred"] : [])] as const;
    for (const status of known) {
      const counted = items[status as "failed"];
      if (stored(status) !== counted) this.wrong(`${stored(status)} items are ${status} in rows, ${counted} in memory`);
    }
    const slots = sql<{ id: number }>("select id from slot where home = 'object' and held <> '[]' order by id");
    this.holding = slots.map(({ id }) => id);
    if (view.finishedAt === null) void this.#checkAlarm(run, storage).catch(() => undefined);
  }

  /** Unfinished work has a wake-up: but for the moment in which that is on its way, for which this looks twice. */
  async #checkAlarm(run: FlowRunObject, storage: DurableObjectStorage): Promise<void> {
    if ((await storage.getAlarm()) !== null) return;
    await scheduler.wait(100);
    if (run.view()?.finishedAt === null && (await storage.getAlarm()) === null) this.wrong("no alarm is set");
  }

  wrong(what: string | undefined): void {
    if (what !== undefined) this.wrongs.push(what);
  }
}

/** What a call returns whose time was up. */
export const LATE = -1;

function outcomeOf(job: Job, { attempt }: ExecContext, call: number): Result {
  if (attempt <= job.hangs + job.failures) throw new Error(`item ${job.n} fails at attempt ${attempt}`);
  return { value: 10 * job.n, call };
}

/** What is wrong with how items are counted, if anything is. */
export function wrongSum({ items, finishedAt }: Pick<RunView, "items" | "finishedAt">): string | undefined {
  const { total, pending, running, deferred, succeeded, failed, canceled } = items;
  const isLeft = finishedAt !== null && pending + running + deferred > 0;
  const isSum = pending + running + deferred + succeeded + failed + canceled === total;
  return isSum && !isLeft && Math.min(...Object.values(items)) >= 0
    ? undefined
    : `Wrong counts: ${JSON.stringify(items)}`;
}

const KILLED = new Error("killed");

/** A run's store that counts its commits, at some of which its object is lost. */
class WatchedStore extends Store {
  readonly #state: DurableObjectState;
  readonly #run: FlowRunObject;
  readonly #play: Play;

  constructor(run: FlowRunObject, state: DurableObjectState, play: Play, onFailure: (error: unknown) => void) {
    super(state.storage, (error) => (error === KILLED ? lose(state) : onFailure(error)));
    this.#state = state;
    this.#run = run;
    this.#play = play;
  }

  override commit<T>(write: () => T): T {
    this.#play.note("commit");
    const kill = this.#play.takeKill("undone", "stored");
    const result = super.commit(() => {
      const written = write();
      if (kill?.how === "undone") throw KILLED;
      return written;
    });
    // What a turn wrote is stored only once the turn is over.
    if (kill) void this.#state.storage.sync().then(() => lose(this.#state));
    else queueMicrotask(() => this.#play.check(this.#run, this.#state.storage));
    return result;
  }
}

/** Nothing more of the object runs. The runner does not report this reason. */
function lose(state: DurableObjectState): void {
  state.abort("Instance disposed by a test");
}

interface Opening {
  openStore(storage: DurableObjectStorage, onFailure: (error: unknown) => void): Store;
}

/** Watches the objects of the runs that are played here, until what is returned is called. */
export function watchObjects(FlowRun: typeof FlowRunObject): () => void {
  const prototype = FlowRun.prototype as unknown as Opening;
  const { openStore } = prototype;
  prototype.openStore = function (this: FlowRunObject & { ctx: DurableObjectState }, storage, onFailure) {
    const play = plays.get(this.ctx.id.name ?? "");
    if (!play) return openStore.call(this, storage, onFailure);
    const setAlarm = storage.setAlarm.bind(storage);
    // In an object that is lost it fails, which nobody there is left to hear of. Whether one is set is looked at after every commit.
    storage.setAlarm = (at) => quiet(setAlarm(at));
    storage.deleteAll = wipe.bind(null, this.ctx, play, storage.deleteAll.bind(storage));
    return new WatchedStore(this, this.ctx, play, onFailure);
  } as Opening["openStore"];
  return () => {
    prototype.openStore = openStore;
  };
}

function quiet<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}

/** Deletes all that is stored; the object may be lost on the way. */
async function wipe(state: DurableObjectState, play: Play, deleteAll: () => Promise<void>): Promise<void> {
  play.note("commit");
  if (play.takeKill("before wipe")) lose(state);
  const deleted = deleteAll();
  if (play.takeKill("in wipe")) lose(state);
  await deleted;
  if (play.takeKill("after wipe")) lose(state);
}

function playOf(context: ExecContext | undefined): Play | undefined {
  return plays.get(context?.idempotencyKey.split("/")[0] ?? "");
}

function work(job: Job, context: ExecContext): Result | Promise<Result> {
  return playOf(context)?.exec(job, context) ?? outcomeOf(job, context, 0);
}

function begun(key: string): void {
  const play = plays.get(key);
  if (play) play.hooks++;
}

function finish(shared: Jobs & { id?: string }, results: (Result | Outcome<Result>)[]): void {
  begun(shared.id ?? "");
  shared.log.push("many");
  shared.results = results.map((result) => ("ok" in result ? (result.ok ? result.value : result.error.name) : result));
}

class Many extends ParallelBatchNode<Jobs, NonIterableObject, Job, Result> {
  override prep(shared: Jobs & { id?: string }) {
    begun(shared.id ?? "");
    return shared.jobs;
  }
  override exec(job: Job, context: ExecContext) {
    return work(job, context);
  }
  override post(shared: Jobs, _: Job[], results: (Result | Outcome<Result>)[]) {
    finish(shared, results);
  }
}

class ManyInTurn extends BatchNode<Jobs, NonIterableObject, Job, Result> {
  override prep(shared: Jobs & { id?: string }) {
    begun(shared.id ?? "");
    return shared.jobs;
  }
  override exec(job: Job, context: ExecContext) {
    return work(job, context);
  }
  override post(shared: Jobs, _: Job[], results: (Result | Outcome<Result>)[]) {
    finish(shared, results);
  }
}

/** What follows, executed where the run is: it adds to what is there, so that running it twice would show. */
class Last extends Node<Jobs, NonIterableObject, number[], number> {
  override prep(shared: Jobs & { id?: string }) {
    begun(shared.id ?? "");
    return (shared.results ?? []).map((result) => (typeof result === "string" ? 0 : result.value));
  }
  override async exec(values: number[]) {
    await scheduler.wait(1);
    return values.reduce((sum, value) => sum + value, 0);
  }
  override post(shared: Jobs & { id?: string }, _: number[], sum: number) {
    begun(shared.id ?? "");
    shared.log.push("last");
    shared.sums ??= [];
    shared.sums.push(sum);
  }
}

function many(options: NodeOptions, Kind: typeof Many | typeof ManyInTurn = Many): Flow {
  const first = new Kind({ name: "Many", maxRetries: MOST_ATTEMPTS, ...options });
  first.next(new Last());
  return new Flow(first);
}

const soon: NodeOptions = { wait: 0.012, jitter: 1 };
const timed: NodeOptions = { timeout: TIMEOUT_SEC, ...soon };
const narrow: NodeOptions = { concurrency: 3, perExecutor: 2 };
const collecting: NodeOptions = { onItemError: "collect" };
const deadline = "300ms";

/** How many items of each flow may be in exec at once. */
export const CONCURRENCY = {
  interleaved: 16,
  "interleaved, narrow": 3,
  "interleaved, in turn": 1,
  "interleaved, late": 16,
  "interleaved, too late": 16,
  "interleaved, timed": 16,
  "interleaved, timed, narrow": 3,
} as const;

export type Interleaved = keyof typeof CONCURRENCY;

export const interleavedFlows = {
  interleaved: () => many(soon),
  "interleaved, narrow": () => many({ ...soon, ...narrow, ...collecting }),
  "interleaved, in turn": () => many({ wait: 0.003 }, ManyInTurn),
  "interleaved, late": { flow: () => many({ wait: 0.1, backoff: 2, jitter: 1 }), deadline },
  "interleaved, too late": { flow: () => many({ wait: 60 }), deadline },
  "interleaved, timed": () => many(timed),
  "interleaved, timed, narrow": () => many({ ...timed, ...narrow, ...collecting }),
};
