import {
  advance,
  begun,
  converted,
  type Ending,
  ended,
  fitting,
  granted,
  hasGivenUp,
  isTooLarge,
  nowOf,
  type Permit,
  refunded,
  UNUSED,
  type Usage,
} from "./bucket.ts";
import type { Budget } from "./budget.ts";

/** How long a run's permits are believed without a word from it. Longer than its executors go on without one from the run. */
export const PERMIT_LEASE_MS = 30_000;

/** Numbers or values that follow each other: the first, and how many. */
export type Run = [first: number, count: number];

/** What a run tells a limiter: all of it is safe to repeat. */
export interface Request {
  run: string;
  /** How often the run's object has been loaded: what an earlier life says late is not heard. */
  life: number;
  /** Rises with each request of a life: one that comes after a later one is not heard either. */
  number: number;
  /** The last permit the run knows of; nothing in its first request of a life. */
  heard: number | null;
  /** Every permit the run has now. Those it knew of and has no more are lost. */
  holds: Run[];
  begun: { id: number; ageMs: number }[];
  ended: ({ id: number } & Ending)[];
  /** Permits that were never given to an executor. */
  refunds: number[];
  /** The tokens of the calls that want a permit beyond those the run knows of, in order: as `[tokens, count]`. */
  wants: Run[];
}

/** What a limiter tells a run, in answer or by itself. */
export interface Answer {
  life: number;
  /** Permits that are the run's; it may have heard of some of them before. None after `last` was granted. */
  granted: Run[];
  last: number;
  /** Permits that the run says it has and that have ended: their lease did, before it was heard again. */
  gone: number[];
  /** When what still waits may go on if only time passes; nothing where it waits for others to end, or where nothing waits. */
  retryAfterMs: number | null;
  /** The next call that waits wants more tokens than the limit ever has: so many. */
  mostTokens: number | null;
  /** Whether refusals are to be taken for failures now. */
  hasGivenUp: boolean;
}

/** A run that has permits or waits for some. */
export interface Holder {
  readonly run: string;
  life: number;
  /** The number of that life's latest request. */
  latest: number;
  heard: number;
  last: number;
  /** The tokens of each call that waits, in order. */
  wants: number[];
  open: Map<number, Permit>;
  /** Rises with each grant: who was served longest ago is served next. */
  turn: number;
  /** In memory only, since renewing it must not cost a row. */
  leaseMs: number;
}

/**
 * One limit and key: who holds permits, who waits, and who is next. Its methods are decisions: they are told the time, and
 * what they return is performed once the caller has stored what changed.
 */
export class Limiter {
  usage: Usage = UNUSED;
  budget: Budget;
  readonly holders = new Map<string, Holder>();
  /** Runs whose holder changed since the caller last stored them. */
  readonly changed = new Set<string>();
  #turn = 0;

  constructor(budget: Budget) {
    this.budget = budget;
    this.usage = { ...UNUSED, algorithm: budget.algorithm };
  }

  restore(usage: Usage, holders: Holder[], wallMs: number): void {
    const isOther = usage.algorithm !== this.budget.algorithm;
    const open = holders.flatMap((holder) => [...holder.open.values()]);
    this.usage = advance(isOther ? converted(usage, this.budget, open) : usage, this.budget, wallMs);
    for (const holder of holders) {
      if (isOther) for (const [id, permit] of holder.open) holder.open.set(id, { ...permit, countedMs: null });
      if (isOther) this.changed.add(holder.run);
      this.holders.set(holder.run, { ...holder, leaseMs: this.#nowMs + PERMIT_LEASE_MS });
      this.#turn = Math.max(this.#turn, holder.turn);
    }
  }

  /** What a run reports and wants. Returns the answer to it, and what other runs are to be told. */
  exchange(request: Request, wallMs: number): { answer: Answer; others: Map<string, Answer> } | null {
    this.#moveTo(wallMs);
    const holder = this.#holderOf(request);
    if (request.life < holder.life || (request.life === holder.life && request.number < holder.latest)) return null;
    const known = this.#settle(holder, request);
    holder.wants = unpack(request.wants).slice(openAfter(holder, known).length);
    holder.leaseMs = this.#nowMs + PERMIT_LEASE_MS;
    this.changed.add(holder.run);
    const others = this.share();
    others.delete(holder.run);
    const answer = { ...this.#answerTo(holder, known), gone: goneOf(holder, request) };
    this.#forgetIfIdle(holder);
    return { answer, others };
  }

  /** The limit was changed. Returns what runs are to be told; those too whose next call now wants more than it ever has. */
  change(budget: Budget, wallMs: number): Map<string, Answer> {
    this.budget = budget;
    const answers = this.beat(wallMs);
    for (const holder of this.holders.values()) {
      if (isStuck(holder, budget)) answers.set(holder.run, this.#answerTo(holder));
    }
    return answers;
  }

  /** Time has passed. Returns what runs are to be told. */
  beat(wallMs: number): Map<string, Answer> {
    this.#moveTo(wallMs);
    for (const holder of this.holders.values()) {
      if (holder.open.size > 0 && holder.leaseMs <= this.#nowMs) this.#loseAll(holder);
    }
    return this.share();
  }

  /** A run that was told of permits is not there any more. */
  forget(run: string, wallMs: number): Map<string, Answer> {
    this.#moveTo(wallMs);
    const holder = this.holders.get(run);
    if (!holder) return new Map();
    holder.wants = [];
    this.#loseAll(holder);
    return this.share();
  }

  /** What a run that was told something and may not have heard it is told again. */
  unheard(): Map<string, Answer> {
    const silent = [...this.holders.values()].filter(({ heard, last }) => heard < last);
    return new Map(silent.map((holder) => [holder.run, this.#answerTo(holder)]));
  }

  /** When `beat` has something to do, by the clock; nothing if it never has. */
  get wakeMs(): number | null {
    const times = [...this.holders.values()].filter(({ open }) => open.size > 0).map(({ leaseMs }) => leaseMs);
    const retryMs = this.#retryMs();
    if (retryMs !== null) times.push(retryMs);
    return times.length === 0 ? null : Math.min(...times) - this.usage.skewMs;
  }

  get waiting(): number {
    return [...this.holders.values()].reduce((sum, { wants }) => sum + wants.length, 0);
  }

  /** The usage as of now. */
  usageAt(wallMs: number): Usage {
    this.#moveTo(wallMs);
    return this.usage;
  }

  /**
   * Gives out what there is, one permit to each run in turn, who was served longest ago first. Where several wait, none gets
   * more at once than the one that wants least: it should not find the others' calls before its own.
   */
  share(): Map<string, Answer> {
    const order = this.#order();
    const { fit } = fitting(
      this.usage,
      this.budget,
      order.map(({ tokens }) => tokens),
    );
    const given = new Map<Holder, number>();
    for (const { holder } of order.slice(0, fit)) {
      given.set(holder, (given.get(holder) ?? 0) + 1);
      holder.turn = ++this.#turn;
    }
    for (const [holder, count] of given) this.#grant(holder, count);
    return new Map(Array.from(given.keys(), (holder) => [holder.run, this.#answerTo(holder)]));
  }

  /** Whose calls are next, in turn. */
  #order(): { holder: Holder; tokens: number }[] {
    const queue = this.#queue();
    const most = queue.length > 1 ? Math.min(...queue.map(({ wants }) => wants.length)) : Number.POSITIVE_INFINITY;
    const order: { holder: Holder; tokens: number }[] = [];
    for (let turn = 0, ahead = queue; ahead.length > 0 && turn < most; turn++) {
      for (const holder of ahead) order.push({ holder, tokens: holder.wants[turn] as number });
      ahead = ahead.filter(({ wants: { length } }) => length > turn + 1);
    }
    return order;
  }

  #answerTo(holder: Holder, known = holder.heard): Answer {
    const { life, last, wants } = holder;
    const retryMs = wants.length > 0 ? this.#retryMs() : null;
    return {
      life,
      granted: ranges(openAfter(holder, known)),
      last,
      gone: [],
      retryAfterMs: retryMs === null ? null : Math.max(0, retryMs - this.#nowMs),
      mostTokens: isStuck(holder, this.budget) ? this.budget.tokens : null,
      hasGivenUp: hasGivenUp(this.usage, this.budget),
    };
  }

  /** When the first in the queue may go on, if only time passes. */
  #retryMs(): number | null {
    const [first] = this.#queue();
    return first ? fitting(this.usage, this.budget, first.wants.slice(0, 1)).retryMs : null;
  }

  /** The runs that wait for what they can get, who was served longest ago first. */
  #queue(): Holder[] {
    return [...this.holders.values()]
      .filter((holder) => holder.wants.length > 0 && !isStuck(holder, this.budget))
      .sort((a, b) => a.turn - b.turn);
  }

  /** A run that is not known begins behind all that wait now, with numbers beyond those it has. */
  #holderOf(request: Request): Holder {
    const { run } = request;
    const known = this.holders.get(run);
    if (known) return known;
    const last = lastOf(request);
    const turn = this.#turn;
    const fresh: Holder = { run, life: 0, latest: 0, heard: last, last, wants: [], open: new Map(), turn, leaseMs: 0 };
    this.holders.set(run, fresh);
    return fresh;
  }

  /** Takes over what a run says. Returns the last permit that it knew of when it said so. */
  #settle(holder: Holder, request: Request): number {
    // Of a holder that was forgotten the run may know more; even if what it said long ago has made a new one since.
    holder.last = Math.max(holder.last, lastOf(request));
    if (request.life > holder.life) holder.heard = holder.last;
    holder.life = request.life;
    holder.latest = request.number;
    const known = request.heard ?? holder.heard;
    holder.heard = Math.max(holder.heard, known);
    for (const id of request.refunds) this.#refund(holder, id);
    for (const { id, ageMs } of request.begun) this.#begin(holder, id, ageMs);
    for (const { id, ...ending } of request.ended) this.#end(holder, id, ending);
    const holds = new Set(idsOf(request.holds));
    for (const id of holder.open.keys()) if (id <= known && !holds.has(id)) this.#end(holder, id, LOST);
    return known;
  }

  #grant(holder: Holder, count: number): void {
    // Of one that has others only its own word renews the lease.
    if (holder.open.size === 0) holder.leaseMs = this.#nowMs + PERMIT_LEASE_MS;
    for (const tokens of holder.wants.splice(0, count)) {
      holder.open.set(++holder.last, { tokens, countedMs: null });
      this.usage = granted(this.usage, tokens);
    }
    this.changed.add(holder.run);
  }

  #refund(holder: Holder, id: number): void {
    const permit = holder.open.get(id);
    if (!permit) return;
    this.usage = refunded(this.usage, permit);
    holder.open.delete(id);
  }

  #begin(holder: Holder, id: number, ageMs: number): void {
    const known = holder.open.get(id);
    if (!known) return;
    const { usage, permit } = begun(this.usage, this.budget, known, ageMs);
    this.usage = usage;
    holder.open.set(id, permit);
  }

  #end(holder: Holder, id: number, ending: Ending): void {
    const permit = holder.open.get(id);
    if (!permit) return;
    this.usage = ended(this.usage, this.budget, permit, ending);
    holder.open.delete(id);
  }

  /** The run is gone, and with it whoever executed for it. What it waits for it may still be told of. */
  #loseAll(holder: Holder): void {
    for (const id of [...holder.open.keys()]) this.#end(holder, id, LOST);
    // What it was not told of it must not be told any more.
    holder.heard = holder.last;
    this.changed.add(holder.run);
    this.#forgetIfIdle(holder);
  }

  #forgetIfIdle(holder: Holder): void {
    if (holder.wants.length === 0 && holder.open.size === 0) this.holders.delete(holder.run);
  }

  #moveTo(wallMs: number): void {
    this.usage = advance(this.usage, this.budget, wallMs);
  }

  get #nowMs(): number {
    return nowOf(this.usage);
  }
}

/** Whether the next call that a run wants is one that never fits: the run must drop it first. */
function isStuck({ wants: [next] }: Holder, budget: Budget): boolean {
  return next !== undefined && isTooLarge(budget, next);
}

const LOST: Ending = { as: "lost", ageMs: 0, tokens: null, retryAfterMs: null };

/** The last permit that a run says it knows of. */
function lastOf({ heard, holds }: Request): number {
  return Math.max(heard ?? 0, ...holds.map(([first, count]) => first + count - 1));
}

function openAfter({ open }: Holder, known: number): number[] {
  return [...open.keys()].filter((id) => id > known);
}

function goneOf({ open }: Holder, { holds }: Request): number[] {
  return idsOf(holds).filter((id) => !open.has(id));
}

/** Numbers as `[first, count]` of those that follow each other. */
export function ranges(ids: Iterable<number>): Run[] {
  const runs: Run[] = [];
  for (const id of ids) {
    const last = runs.at(-1);
    if (last && last[0] + last[1] === id) last[1]++;
    else runs.push([id, 1]);
  }
  return runs;
}

/** The numbers that `ranges` has written. */
export function idsOf(runs: Run[]): number[] {
  return runs.flatMap(([first, count]) => Array.from({ length: count }, (_, at) => first + at));
}

/** Values one by one, of `[value, count]`. */
export function unpack(runs: Run[]): number[] {
  return runs.flatMap(([value, count]) => Array.from({ length: count }, () => value));
}

/** Values as `[value, count]`, equal neighbours together. */
export function pack(values: Iterable<number>): Run[] {
  const runs: Run[] = [];
  for (const value of values) {
    const last = runs.at(-1);
    if (last?.[0] === value) last[1]++;
    else runs.push([value, 1]);
  }
  return runs;
}
