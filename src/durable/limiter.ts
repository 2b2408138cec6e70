import { DurableObject } from "cloudflare:workers";
import { sleep } from "../core/attempt.ts";
import { nowOf, usedOf } from "../core/bucket.ts";
import type { Budget, BudgetChange } from "../core/budget.ts";
import { type Answer, Limiter, type Request } from "../core/limiter.ts";
import { type Change, LimitKeys } from "./limit-keys.ts";
import { LimiterStore, type Place } from "./limiter-store.ts";
import { type Limits, objectNameOf } from "./limits.ts";
import { HEARTBEAT_MS, TIMER_MS, type Times, WakeUp } from "./wakeup.ts";

/** One key of a limit as clients see it. */
export interface KeyView {
  key: string;
  requests: number | null;
  tokens: number | null;
  periodMs: number;
  concurrency: number | null;
  /** What takes room in the period now. */
  used: { requests: number; tokens: number };
  /** Calls that have a permit and have not ended. */
  inFlight: number;
  /** Calls that wait for a permit. */
  waiting: number;
  cooldownUntil: string | null;
}

export interface LimitView {
  name: string;
  keys: KeyView[];
}

/** What a limiter's object answers to: the first three one key's, the others the limit's own. */
export interface LimiterPort {
  exchange(place: Place, request: Request): Promise<Answer | null>;
  view(place: Place): Promise<KeyView>;
  configure(place: Place, change: Change): Promise<void>;
  join(limit: string, key: string): Promise<Change>;
  describe(limit: string): Promise<LimitView>;
  change(limit: string, key: string | null, change: BudgetChange): Promise<LimitView>;
  reset(limit: string): Promise<LimitView>;
}

/** The other objects that a limiter calls. */
export interface LimiterPorts {
  /** Tells a run of permits. `false`: there is no such run. */
  tellRun(run: string, place: Place, answer: Answer): Promise<boolean>;
  /** A limiter by its object's name. */
  limiterOf(name: string): LimiterPort;
}

/** What becomes free within so small a part of a period is given out together, so that one call carries several permits. */
const SHARE_OF_PERIOD = 1 / 200;
const SHARE_OF_BUCKET = 1 / 20;
const SHORTEST_PAUSE_MS = 5;
const LONGEST_PAUSE_MS = 500;
/** So many keys are asked or told at once. */
const AT_ONCE = 50;
const RETELL_MS = 1_000;

/**
 * One key of a limit: counts what its calls use, and gives permits to runs in turn. Nothing polls it: it calls the runs that
 * wait as soon as something is free. Under the limit's own name the same class keeps the list of the limit's keys.
 */
export class RateLimiterObject extends DurableObject {
  readonly #limits: Limits;
  readonly #ports: LimiterPorts;
  readonly #store: LimiterStore;
  readonly #keys: LimitKeys;
  readonly #wakeUp: WakeUp;
  #place: Place | undefined;
  #limiter: Limiter | undefined;
  /** Of the latest change that is in force. */
  #version = 0;
  #joining: Promise<void> | undefined;
  #sharedMs = 0;
  /** The last permit that each run was told of, by this object as it is in memory. */
  readonly #told = new Map<string, number>();

  constructor(ctx: DurableObjectState, env: Cloudflare.Env, limits: Limits, ports: LimiterPorts) {
    super(ctx, env);
    this.#limits = limits;
    this.#ports = ports;
    this.#store = new LimiterStore(ctx.storage, (error) => ctx.abort(`A commit failed: ${String(error)}`));
    this.#keys = new LimitKeys(ctx.storage);
    this.#wakeUp = new WakeUp(ctx.storage, () => this.#beat());
    if (this.#store.exists()) this.#load();
  }

  /** A run reports what became of its permits, and wants others. Nothing is answered where a later life of it has spoken. */
  async exchange(place: Place, request: Request): Promise<Answer | null> {
    await this.#know(place);
    return this.#commit((limiter, nowMs) => {
      const { answer = null, others = new Map() } = limiter.exchange(request, nowMs) ?? {};
      // If the answer is lost the run asks again by itself.
      if (answer) this.#told.set(request.run, answer.last);
      return { answer, others };
    });
  }

  view({ limit, key }: Place): KeyView {
    const budget = this.#limiter?.budget ?? (this.#limits.get(limit) as Budget);
    const usage = this.#limiter?.usageAt(Date.now());
    const { requests, tokens, periodMs, concurrency } = budget;
    const isCooling = usage !== undefined && usage.coolUntilMs > nowOf(usage);
    return {
      key,
      requests,
      tokens,
      periodMs,
      concurrency,
      used: usage ? usedOf(usage) : { requests: 0, tokens: 0 },
      inFlight: usage?.inFlight ?? 0,
      waiting: this.#limiter?.waiting ?? 0,
      cooldownUntil: isCooling ? new Date(usage.coolUntilMs - usage.skewMs).toISOString() : null,
    };
  }

  /** Changes this key's budget: the whole of what was changed, not a part of it. */
  async configure(place: Place, change: Change): Promise<void> {
    await this.#know(place);
    // Two changes may overtake each other on their way.
    if (change.version <= this.#version) return;
    this.#version = change.version;
    this.#commit((limiter, nowMs) => {
      this.#store.saveChange(change);
      const budget = { ...(this.#limits.get(place.limit) as Budget), ...change.bounds };
      return { answer: undefined, others: limiter.change(budget, nowMs) };
    });
  }

  // What follows is for the limit's own object.

  join(limit: string, key: string): Change {
    return this.#keys.join(limit, key);
  }

  async describe(limit: string): Promise<LimitView> {
    const { keys } = this.#keys;
    if (keys.length === 0) return { name: limit, keys: [this.#viewUnused({ limit, key: "" })] };
    const views = await inChunks(keys, (key) => this.#keyOf(limit, key).view({ limit, key }));
    return { name: limit, keys: views };
  }

  async change(limit: string, key: string | null, change: BudgetChange): Promise<LimitView> {
    this.#keys.change(limit, key, change);
    return this.#tellKeys(limit);
  }

  async reset(limit: string): Promise<LimitView> {
    this.#keys.reset(limit);
    return this.#tellKeys(limit);
  }

  /** Never throws: the platform gives an alarm up that failed six times. */
  override async alarm(): Promise<void> {
    this.#wakeUp.rang();
    try {
      const untold = this.#keys.untold;
      if (untold !== null) await this.#tellKeys(untold);
      if (this.#limiter) this.#beat();
    } catch (error) {
      console.error({ message: "A limiter's alarm failed", limit: this.#place, error: String(error) });
      this.#wakeUp.setFor({ latestMs: Date.now() + HEARTBEAT_MS, dueMs: null }, Date.now());
    }
  }

  /** Tells every key what was changed. The alarm is set first: a kill in the middle must not leave keys that do not know. */
  async #tellKeys(limit: string): Promise<LimitView> {
    this.#wakeUp.setFor({ latestMs: Date.now() + HEARTBEAT_MS, dueMs: null }, Date.now());
    const { version } = this.#keys;
    const told = await inChunks(this.#keys.keys, (key) => this.#tellKey(limit, key));
    if (told.includes(false))
      throw new Error(`A key of limit \`${limit}\` could not be told of the change yet; it will be.`);
    this.#keys.told(version);
    return this.describe(limit);
  }

  /** One key that cannot be reached must not keep the others from being told. */
  async #tellKey(limit: string, key: string): Promise<boolean> {
    try {
      await this.#keyOf(limit, key).configure({ limit, key }, this.#keys.changeOf(key));
      return true;
    } catch (error) {
      console.warn({ message: "A key was not told of a change", limit, key, error: String(error) });
      return false;
    }
  }

  #keyOf(limit: string, key: string): LimiterPort {
    return this.#ports.limiterOf(objectNameOf(limit, key));
  }

  #viewUnused(place: Place): KeyView {
    const { requests, tokens, periodMs, concurrency } = {
      ...(this.#limits.get(place.limit) as Budget),
      ...this.#keys.changeOf(place.key).bounds,
    };
    const used = { requests: 0, tokens: 0 };
    return {
      key: place.key,
      requests,
      tokens,
      periodMs,
      concurrency,
      used,
      inFlight: 0,
      waiting: 0,
      cooldownUntil: null,
    };
  }

  #load(): void {
    const { limit, key, change, usage, holders } = this.#store.read();
    const budget = this.#limits.get(limit);
    if (!budget) return;
    this.#place = { limit, key };
    this.#version = change.version;
    this.#limiter = new Limiter({ ...budget, ...change.bounds });
    this.#limiter.restore(usage, holders, Date.now());
    setTimeout(() => this.#beat(), 0);
  }

  /** A key's first call makes its tables, and makes it known to the limit's own object. */
  async #know(place: Place): Promise<void> {
    // During a deploy this object may be older than the run that calls it.
    if (!this.#limits.get(place.limit)) throw new Error(`Expected a limit of this Worker, got \`${place.limit}\``);
    if (this.#limiter) return;
    this.#joining ??= this.#join(place).finally(() => {
      this.#joining = undefined;
    });
    await this.#joining;
  }

  async #join(place: Place): Promise<void> {
    const change = await this.#ports.limiterOf(place.limit).join(place.limit, place.key);
    this.#store.commit(() => this.#store.create(place, change));
    this.#place = place;
    this.#version = change.version;
    this.#limiter = new Limiter({ ...(this.#limits.get(place.limit) as Budget), ...change.bounds });
  }

  /** Decides and stores in one transaction, then sets the alarm, then tells others: what they are told is stored. */
  #commit<T>(decide: (limiter: Limiter, nowMs: number) => { answer: T; others: Map<string, Answer> }): T {
    const limiter = this.#limiter as Limiter;
    const nowMs = Date.now();
    const { answer, others } = this.#store.commit(() => {
      const decided = decide(limiter, nowMs);
      this.#store.save(limiter);
      return decided;
    });
    this.#sharedMs = nowMs;
    this.#tell(others);
    this.#rearm();
    return answer;
  }

  #beat(): void {
    this.#commit((limiter, nowMs) => ({ answer: undefined, others: limiter.beat(nowMs) }));
    this.#tell(this.#untold);
    this.#rearm();
  }

  /** What runs have not heard of, and were not told by this object as it is now. */
  get #untold(): Map<string, Answer> {
    const unheard = [...(this.#limiter as Limiter).unheard()];
    return new Map(unheard.filter(([run, { last }]) => (this.#told.get(run) ?? 0) < last));
  }

  #tell(answers: Map<string, Answer>): void {
    for (const [run, answer] of answers) {
      this.#told.set(run, answer.last);
      this.ctx.waitUntil(this.#tellRun(run, answer));
    }
  }

  async #tellRun(run: string, answer: Answer): Promise<void> {
    try {
      const isThere = await this.#ports.tellRun(run, this.#place as Place, answer);
      if (isThere) return;
      this.#commit((limiter, nowMs) => ({ answer: undefined, others: limiter.forget(run, nowMs) }));
    } catch (error) {
      console.warn({ message: "A run was not told of permits", run, limit: this.#place, error: String(error) });
      // Told once more by the next beat.
      await sleep(RETELL_MS);
      this.#told.delete(run);
      this.#rearm();
    }
  }

  #rearm(): void {
    const limiter = this.#limiter as Limiter;
    const nowMs = Date.now();
    for (const run of this.#told.keys()) if (!limiter.holders.has(run)) this.#told.delete(run);
    this.#wakeUp.setFor(this.#timesOf(limiter, nowMs), nowMs);
  }

  #timesOf(limiter: Limiter, nowMs: number): Times {
    const { wakeMs } = limiter;
    const dueMs = this.#untold.size > 0 ? nowMs : wakeMs;
    if (dueMs === null) return { latestMs: null, dueMs: null };
    const soonMs = Math.max(dueMs, this.#sharedMs + pauseMsOf(limiter.budget));
    // A near time is the timer's; the alarm behind it need not ring each time.
    return { latestMs: soonMs < nowMs + TIMER_MS ? nowMs + HEARTBEAT_MS : soonMs, dueMs: soonMs };
  }
}

/** How long what becomes free is gathered: not so long that a small bucket would overflow meanwhile. */
function pauseMsOf({ periodMs, requests, burst }: Budget): number {
  const shareMs = Math.min(Math.max(periodMs * SHARE_OF_PERIOD, SHORTEST_PAUSE_MS), LONGEST_PAUSE_MS);
  const fillsMs = burst === null || requests === null ? Number.POSITIVE_INFINITY : (periodMs * burst) / requests;
  return Math.min(shareMs, fillsMs * SHARE_OF_BUCKET);
}

async function inChunks<T, R>(values: T[], call: (value: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let at = 0; at < values.length; at += AT_ONCE) {
    results.push(...(await Promise.all(values.slice(at, at + AT_ONCE).map(call))));
  }
  return results;
}
