import { type Algorithm, type Budget, transitMsOf } from "./budget.ts";

// The arithmetic of one limit and key. Nothing here reads a clock: a usage is moved on to a time, and then asked.

export interface Units {
  requests: number;
  tokens: number;
}

/** What the vendor has counted by `atMs` at the latest. */
export interface Count extends Units {
  readonly atMs: number;
}

/**
 * What is known of a limit's use. A granted call is on the way until it is certain to have reached the vendor; then it is
 * counted, at a moment not before its arrival. What is on the way takes room all the while, so that no delay between a grant
 * and its arrival ever puts two windows' calls into one.
 */
export interface Usage {
  /** By which it is kept. */
  algorithm: Algorithm;
  /** The clock as it was last seen. */
  wallMs: number;
  /** By how much the clock has been turned back in all. Times below are the clock's plus this, and never go back. */
  skewMs: number;
  /** In order of time. Sliding window: the last period's. Token bucket: only those of a moment still to come. */
  counts: readonly Count[];
  /** Token bucket: what is missing from a full one, as of `spentMs`. */
  spent: Units;
  spentMs: number;
  onTheWay: Units;
  /** Permits whose calls have not ended. */
  inFlight: number;
  /** No call begins before. */
  coolUntilMs: number;
  /** Cooldowns in a row, without a success in between, and when the first began. */
  refusals: number;
  refusedSinceMs: number | null;
}

/** One permit that was granted: the tokens reserved for it, and from when its call is counted if it is known to have begun. */
export interface Permit {
  tokens: number;
  countedMs: number | null;
}

/** How a call ended. */
export interface Ending {
  /** Tokens that were really used, if exec said so. */
  tokens: number | null;
  ageMs: number;
  /** `refused`: the vendor answered that it has had enough. `lost`: nobody knows how it ended. */
  as: "succeeded" | "failed" | "refused" | "lost";
  /** Of a refused call: how long the vendor wants no other, if it said so. */
  retryAfterMs: number | null;
}

const NOTHING: Units = { requests: 0, tokens: 0 };

/** What is known under another algorithm, as this one keeps it: all that it counted, as of now. Its permits count anew. */
export function converted(usage: Usage, budget: Budget, permits: readonly Permit[]): Usage {
  const { requests, tokens } = usage.counts.reduce(plus, usage.spent);
  const used = { requests: Math.ceil(requests), tokens: Math.ceil(tokens) };
  const now = nowOf(usage);
  const onTheWay = permits.reduce((sum, permit) => plus(sum, { requests: 1, tokens: permit.tokens }), NOTHING);
  const empty = { ...usage, algorithm: budget.algorithm, onTheWay, counts: [], spent: NOTHING, spentMs: now };
  if (budget.algorithm === "token-bucket") return { ...empty, spent: used };
  return counted(empty, { atMs: momentOf(now + transitMsOf(budget), budget), ...used });
}

export const UNUSED: Usage = {
  algorithm: "sliding-window",
  wallMs: 0,
  skewMs: 0,
  counts: [],
  spent: { requests: 0, tokens: 0 },
  spentMs: 0,
  onTheWay: { requests: 0, tokens: 0 },
  inFlight: 0,
  coolUntilMs: 0,
  refusals: 0,
  refusedSinceMs: null,
};

/** A window is kept as so many counts at most, each rounded up to the next of as many moments. */
const MOMENTS = 1000;
/** How long a key cools down where the vendor did not say, doubled with each refusal in a row. */
const FIRST_COOLDOWN_MS = 1000;
const LONGEST_OWN_COOLDOWN_MS = 60_000;
/** Who waits is called when a cooldown ends; a refusal so long after it is the first of others. */
const QUIET_MS = 60_000;
/** Sums of fractions are not exact. */
const ROUNDING = 1e-6;
const LONGEST_COOLDOWN_MS = 24 * 60 * 60 * 1000;

/** The present, as the usage's times are written. */
export function nowOf({ wallMs, skewMs }: Usage): number {
  return wallMs + skewMs;
}

/** Moves a usage on to what the clock shows. A clock that was turned back moves nothing: no time passes until it is known to. */
export function advance(usage: Usage, budget: Budget, wallMs: number): Usage {
  const skewMs = usage.skewMs + Math.max(0, usage.wallMs - wallMs);
  const moved = { ...usage, wallMs, skewMs };
  return budget.algorithm === "token-bucket" ? refill(moved, budget) : slide(moved, budget);
}

function slide(usage: Usage, { periodMs }: Budget): Usage {
  const since = nowOf(usage) - periodMs;
  const [first] = usage.counts;
  if (first === undefined || first.atMs > since) return usage;
  return { ...usage, counts: usage.counts.filter(({ atMs }) => atMs > since) };
}

function refill(usage: Usage, budget: Budget): Usage {
  const now = nowOf(usage);
  let { spent, spentMs } = usage;
  for (const { atMs, requests, tokens } of usage.counts.filter((count) => count.atMs <= now)) {
    spent = plus(refilled(spent, atMs - spentMs, budget), { requests, tokens });
    spentMs = Math.max(spentMs, atMs);
  }
  const counts = usage.counts.filter(({ atMs }) => atMs > now);
  return { ...usage, counts, spent: refilled(spent, now - spentMs, budget), spentMs: now };
}

function refilled(spent: Units, passedMs: number, { requests, tokens, periodMs }: Budget): Units {
  const share = Math.max(0, passedMs) / periodMs;
  const left = (unit: number, limit: number | null) => (limit === null ? 0 : Math.max(0, unit - share * limit));
  return { requests: left(spent.requests, requests), tokens: left(spent.tokens, tokens) };
}

/** What a limit holds when nothing is used. */
export function capacityOf({ requests, tokens, burst }: Budget): Units {
  return { requests: burst ?? requests ?? Number.POSITIVE_INFINITY, tokens: tokens ?? Number.POSITIVE_INFINITY };
}

/** What takes room now. */
export function usedOf({ counts, spent, onTheWay }: Usage): Units {
  return counts.reduce(plus, plus(spent, onTheWay));
}

/**
 * How many calls of these tokens may begin now, in this order, and when the next of them may if only time passes: `null` where
 * it waits for others to end. The usage must have been moved on to now.
 *
 * @example
 * const budget = budgetOf("llm", { requests: 2, per: "1s" });
 * fitting(advance(UNUSED, budget, Date.now()), budget, [100, 100, 100]); // { fit: 2, retryMs: null }
 */
export function fitting(
  usage: Usage,
  budget: Budget,
  wants: readonly number[],
): { fit: number; retryMs: number | null } {
  const room = new Room(usage, budget);
  let fit = 0;
  while (fit < wants.length && room.take(wants[fit] as number)) fit++;
  return { fit, retryMs: fit < wants.length ? room.retryMs(wants[fit] as number) : nowOf(usage) };
}

/** Whether a call of so many tokens never fits, however long it waits. */
export function isTooLarge({ tokens: most }: Budget, tokens: number): boolean {
  return most !== null && tokens > most;
}

/** What is left of a limit while it is being given out. */
class Room {
  readonly #usage: Usage;
  readonly #budget: Budget;
  readonly #capacity: Units;
  readonly #used: Units;
  #taken: Units = { requests: 0, tokens: 0 };

  constructor(usage: Usage, budget: Budget) {
    this.#usage = usage;
    this.#budget = budget;
    this.#capacity = capacityOf(budget);
    this.#used = usedOf(usage);
  }

  take(tokens: number): boolean {
    const isCool = this.#usage.coolUntilMs <= nowOf(this.#usage);
    const excess = this.#excess(tokens);
    if (!isCool || !this.#hasPlace || excess.requests > 0 || excess.tokens > 0) return false;
    this.#taken = plus(this.#taken, { requests: 1, tokens });
    return true;
  }

  /** When a call that does not fit now may, if nothing happens but time. */
  retryMs(tokens: number): number | null {
    const excess = this.#excess(tokens);
    const latest = Math.max(
      this.#usage.coolUntilMs,
      this.#hasPlace ? 0 : Number.POSITIVE_INFINITY,
      this.#freeMs("requests", excess.requests),
      this.#freeMs("tokens", excess.tokens),
    );
    return latest === Number.POSITIVE_INFINITY ? null : latest;
  }

  get #hasPlace(): boolean {
    const { concurrency } = this.#budget;
    return concurrency === null || this.#usage.inFlight + this.#taken.requests < concurrency;
  }

  /** By how much the next call would be too much. One whose tokens are not known waits while none are left. */
  #excess(tokens: number): Units {
    return {
      requests: this.#used.requests + this.#taken.requests + 1 - this.#capacity.requests,
      tokens: this.#used.tokens + this.#taken.tokens + Math.max(1, tokens) - this.#capacity.tokens,
    };
  }

  #freeMs(unit: keyof Units, excess: number): number {
    if (excess <= 0) return 0;
    return this.#budget.algorithm === "sliding-window" ? this.#slidesMs(unit, excess) : this.#refillsMs(unit, excess);
  }

  /** What is counted from a later moment on is not refilled before it. */
  #refillsMs(unit: keyof Units, excess: number): number {
    const rate = (this.#budget[unit] ?? 0) / this.#budget.periodMs;
    let left = excess;
    let spent = this.#usage.spent[unit];
    let fromMs = nowOf(this.#usage);
    for (const { atMs, [unit]: more } of [
      ...this.#usage.counts,
      { atMs: Number.POSITIVE_INFINITY, requests: 0, tokens: 0 },
    ]) {
      const most = Math.min(spent, (atMs - fromMs) * rate);
      if (most >= left - ROUNDING) return Math.max(nowOf(this.#usage) + 1, Math.ceil(fromMs + left / rate - ROUNDING));
      left -= most;
      spent += more - most;
      fromMs = atMs;
    }
    return Number.POSITIVE_INFINITY;
  }

  #slidesMs(unit: keyof Units, excess: number): number {
    let left = excess;
    for (const count of this.#usage.counts) {
      left -= count[unit];
      if (left <= ROUNDING) return count.atMs + this.#budget.periodMs;
    }
    return Number.POSITIVE_INFINITY;
  }
}

/** A call was permitted. */
export function granted(usage: Usage, tokens: number): Usage {
  return { ...usage, onTheWay: plus(usage.onTheWay, { requests: 1, tokens }), inFlight: usage.inFlight + 1 };
}

/** A permit was given back unused: nothing of it ever reaches the vendor. */
export function refunded(usage: Usage, { tokens }: Permit): Usage {
  return { ...usage, onTheWay: minus(usage.onTheWay, { requests: 1, tokens }), inFlight: usage.inFlight - 1 };
}

/** A call is known to have begun `ageMs` ago, so that it reaches the vendor within the limit's transit time of that. */
export function begun(usage: Usage, budget: Budget, permit: Permit, ageMs: number): { usage: Usage; permit: Permit } {
  if (permit.countedMs !== null) return { usage, permit };
  const atMs = momentOf(nowOf(usage) - Math.max(0, ageMs) + transitMsOf(budget), budget);
  // A bucket refills what it lost without a memory of when, so that nothing could be given back: its tokens stay on the way.
  const tokens = budget.algorithm === "token-bucket" ? 0 : permit.tokens;
  const moved = { ...usage, onTheWay: minus(usage.onTheWay, { requests: 1, tokens }) };
  return { usage: counted(moved, { atMs, requests: 1, tokens }), permit: { ...permit, countedMs: atMs } };
}

/** A call has ended `ageMs` ago: its place is free, and what it used is known, or taken to be what was reserved. */
export function ended(usage: Usage, budget: Budget, permit: Permit, ending: Ending): Usage {
  const free = { ...usage, inFlight: usage.inFlight - 1 };
  // Nobody knows whether a lost call has reached the vendor yet.
  const lateMs = ending.as === "lost" ? transitMsOf(budget) : 0;
  const atMs = momentOf(nowOf(usage) - Math.max(0, ending.ageMs) + lateMs, budget);
  const paid = pay(free, budget, permit, atMs, ending.tokens ?? permit.tokens);
  if (ending.as === "refused") return cooled(paid, budget, ending);
  return ending.as === "succeeded" ? { ...paid, refusals: 0, refusedSinceMs: null } : paid;
}

function pay(usage: Usage, budget: Budget, { tokens, countedMs }: Permit, endMs: number, used: number): Usage {
  if (countedMs === null) {
    const moved = { ...usage, onTheWay: minus(usage.onTheWay, { requests: 1, tokens }) };
    return counted(moved, { atMs: endMs, requests: 1, tokens: used });
  }
  if (budget.algorithm === "token-bucket") {
    const moved = { ...usage, onTheWay: minus(usage.onTheWay, { requests: 0, tokens }) };
    return counted(moved, { atMs: endMs, requests: 0, tokens: used });
  }
  // What was reserved too much is taken out where it was counted; what is owed counts from now on.
  const difference = used - tokens;
  if (difference >= 0) return counted(usage, { atMs: endMs, requests: 0, tokens: difference });
  const counts = usage.counts.map((count) =>
    count.atMs === countedMs ? { ...count, tokens: count.tokens + difference } : count,
  );
  return { ...usage, counts };
}

/** The vendor has refused a call: none begins until it wants some again. */
function cooled(usage: Usage, budget: Budget, { retryAfterMs, ageMs }: Ending): Usage {
  const now = nowOf(usage);
  // Calls that were under way together are refused together: that is one refusal.
  const { refusals: before, refusedSinceMs } = isLongAgo(usage, budget) ? { refusals: 0, refusedSinceMs: null } : usage;
  const refusals = usage.coolUntilMs > now ? before : before + 1;
  const ownMs = Math.min(FIRST_COOLDOWN_MS * 2 ** (Math.max(1, refusals) - 1), LONGEST_OWN_COOLDOWN_MS);
  const asked = retryAfterMs === null ? ownMs : Math.min(retryAfterMs, LONGEST_COOLDOWN_MS);
  const untilMs = now - Math.max(0, ageMs) + asked;
  const coolUntilMs = Math.max(usage.coolUntilMs, untilMs);
  return { ...usage, coolUntilMs, refusals, refusedSinceMs: refusedSinceMs ?? now };
}

/** Whether nobody has tried since the last cooldown ended: what was refused before it says nothing of now. */
function isLongAgo(usage: Usage, { periodMs }: Budget): boolean {
  return nowOf(usage) > usage.coolUntilMs + Math.max(QUIET_MS, 2 * periodMs);
}

/** Whether the vendor has refused every call for so long that refusals are to be taken for failures. */
export function hasGivenUp(usage: Usage, { giveUpAfterMs }: Budget): boolean {
  return usage.refusedSinceMs !== null && nowOf(usage) - usage.refusedSinceMs >= giveUpAfterMs;
}

function counted(usage: Usage, count: Count): Usage {
  if (count.requests === 0 && count.tokens === 0) return usage;
  const counts = [...usage.counts];
  let place = counts.length;
  while (place > 0 && (counts[place - 1] as Count).atMs > count.atMs) place--;
  const same = counts[place - 1];
  if (same?.atMs === count.atMs) counts[place - 1] = { atMs: count.atMs, ...plus(same, count) };
  else counts.splice(place, 0, count);
  return { ...usage, counts };
}

/** The moment that stands for a time: not before it, a clock's whole milliseconds considered. */
function momentOf(timeMs: number, { algorithm, periodMs }: Budget): number {
  // A bucket keeps only what is still to come, which is never much.
  const grain = algorithm === "token-bucket" ? 1 : Math.max(1, Math.floor(periodMs / MOMENTS));
  return Math.ceil((timeMs + 1) / grain) * grain;
}

function plus(a: Units, b: Units): Units {
  return { requests: a.requests + b.requests, tokens: a.tokens + b.tokens };
}

function minus(a: Units, b: Units): Units {
  return { requests: a.requests - b.requests, tokens: a.tokens - b.tokens };
}
