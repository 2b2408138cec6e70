import { test } from "@fast-check/vitest";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  advance,
  begun,
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
  usedOf,
} from "../../src/core/bucket.ts";
import { budgetOf, type LimitOptions } from "../../src/core/budget.ts";
import { type Call, Calls, type Move, moves, SUCCESS } from "./calls.ts";
import { lowestLevel, mostWithin } from "./vendor.ts";

const optional = <T>(values: fc.Arbitrary<T>) => fc.option(values, { nil: undefined });
const period = fc.constantFrom("50ms", "1s", "1500ms", "3s", "1m");
const limits = fc.record({
  requests: optional(fc.integer({ min: 1, max: 6 })),
  tokens: optional(fc.integer({ min: 8, max: 30 })),
  concurrency: optional(fc.integer({ min: 1, max: 5 })),
  per: period,
  transitMs: fc.constantFrom(undefined, 0, 10, 400),
}) as fc.Arbitrary<LimitOptions>;
const windows = limits.map((options): LimitOptions => ({ requests: 2, ...definedOf(options) }));
const buckets = fc
  .tuple(windows, optional(fc.integer({ min: 1, max: 8 })))
  .map(([options, burst]): LimitOptions => ({ ...options, algorithm: "token-bucket", ...(burst && { burst }) }));
const any = fc.oneof(limits, windows, buckets);
const RUNS = { numRuns: 400 };

function definedOf(options: LimitOptions): LimitOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

const arrivalsOf = (calls: readonly Call[]) => calls.map(({ arrivedMs }) => arrivedMs);
const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);

/** The calls that arrive in the period that begins with each. */
function windowsOf(calls: readonly Call[], periodMs: number): Call[][] {
  return calls.map(({ arrivedMs: firstMs }) =>
    calls.filter(({ arrivedMs }) => arrivedMs >= firstMs && arrivedMs < firstMs + periodMs),
  );
}

const lastOf = (calls: readonly Call[]) => calls.reduce((a, b) => (a.order > b.order ? a : b));

/** Whatever happens, and even where a clock is turned back or stands still, by the vendor's own time: */
describe("what reaches the vendor", () => {
  test.prop([windows, moves], { numRuns: 800 })(
    "is never more than `requests` in any window of the period",
    (options, sequence) => {
      const { arrived, budget } = new Calls(options).play(sequence).finish();
      expect(mostWithin(arrivalsOf(arrived), budget.periodMs)).toBeLessThanOrEqual(budget.requests as number);
    },
  );

  test.prop([buckets, moves], { numRuns: 800 })("never empties a vendor's bucket", (options, sequence) => {
    const { arrived, budget } = new Calls(options).play(sequence).finish();
    const requests = budget.requests as number;
    const spends = arrived.map(({ arrivedMs }) => ({ arrivedMs, amount: 1 }));
    const level = lowestLevel(spends, budget.burst ?? requests, requests / budget.periodMs);
    expect(level).toBeGreaterThanOrEqual(-1e-6);
  });

  test.prop([windows, moves], RUNS)(
    "uses no more `tokens` in any window, but for what calls exceed their estimates by before it is known",
    (options, sequence) => {
      const most = 20;
      const { arrived, budget } = new Calls({ ...options, tokens: most }, true).play(sequence).finish();
      for (const window of windowsOf(arrived, budget.periodMs)) {
        const last = lastOf(window).order;
        const unknown = window.filter(({ settledAt }) => settledAt > last);
        const excess = sum(unknown.map(({ used, permit }) => Math.max(0, used - permit.tokens)));
        expect(sum(window.map(({ used }) => used))).toBeLessThanOrEqual(most + excess);
      }
    },
  );

  test.prop([buckets, moves], RUNS)(
    "never empties a vendor's bucket of tokens where estimates suffice",
    (options, sequence) => {
      const { arrived, budget } = new Calls({ ...options, tokens: 20 }).play(sequence).finish();
      const spends = arrived.map(({ arrivedMs, used }) => ({ arrivedMs, amount: used }));
      expect(lowestLevel(spends, 20, 20 / budget.periodMs)).toBeGreaterThanOrEqual(-1e-6);
    },
  );

  const change = fc.record({
    requests: fc.integer({ min: 1, max: 8 }),
    periodMs: fc.constantFrom(50, 1000, 1500, 3000),
  });

  test.prop([windows, fc.array(fc.tuple(moves, change), { minLength: 1, maxLength: 4 })], RUNS)(
    "keeps in each window to the limit that was in force when the last call of it was permitted",
    (options, chapters) => {
      const world = new Calls({ ...options, transitMs: options.transitMs ?? 10 });
      const changes: { order: number; periodMs: number }[] = [];
      for (const [sequence, budget] of chapters) {
        world.play(sequence).change(budget);
        changes.push({ order: world.calls.length, periodMs: budget.periodMs });
      }
      world.play(chapters[0]?.[0] ?? []).finish();
      for (const periodMs of new Set(world.calls.map(({ budget }) => budget.periodMs))) {
        for (const window of windowsOf(world.arrived, periodMs)) {
          const first = Math.min(...window.map(({ order }) => order));
          const { order: last, budget } = lastOf(window);
          const between = changes.filter(({ order }) => order > first && order <= last);
          const periods = [...window.map((call) => call.budget.periodMs), ...between.map((made) => made.periodMs)];
          // A window longer than what was remembered is nobody's promise.
          if (Math.min(...periods) < periodMs) continue;
          expect(window.length).toBeLessThanOrEqual(budget.requests as number);
        }
      }
    },
  );

  test.prop([buckets, moves, change, moves], RUNS)(
    "never empties a vendor's bucket that was changed, as far as it was permitted since",
    (options, before, budget, after) => {
      const world = new Calls({ ...options, transitMs: options.transitMs ?? 10 }).play(before);
      world.change(budget);
      const first = world.calls.length;
      const since = world
        .play(after)
        .finish()
        .arrived.filter(({ order }) => order >= first);
      const spends = since.map(({ arrivedMs }) => ({ arrivedMs, amount: 1 }));
      const level = lowestLevel(spends, world.budget.burst ?? budget.requests, budget.requests / budget.periodMs);
      expect(level).toBeGreaterThanOrEqual(-1e-6);
    },
  );
});

describe("what is known of a limit's use", () => {
  test.prop([any, moves], RUNS)(
    "is what is under way, and what is not known to have reached the vendor",
    (options, sequence) => {
      const world = new Calls(options);
      for (const step of sequence) {
        world.play([step]);
        const uncounted = world.open.filter(({ permit }) => permit.countedMs === null);
        const unpaid = world.budget.algorithm === "token-bucket" ? world.open : uncounted;
        expect(world.usage.inFlight).toBe(world.open.length);
        expect(world.usage.onTheWay).toEqual({
          requests: uncounted.length,
          tokens: sum(unpaid.map(({ permit }) => permit.tokens)),
        });
      }
    },
  );

  test.prop([any, moves], RUNS)("never goes back in time, and is kept in order of it", (options, sequence) => {
    const world = new Calls(options);
    let before = nowOf(world.see());
    for (const step of sequence) {
      world.play([step]);
      const usage = world.see();
      expect(nowOf(usage)).toBeGreaterThanOrEqual(before);
      before = nowOf(usage);
      const moments = usage.counts.map(({ atMs }) => atMs);
      expect(moments).toEqual([...new Set(moments)].sort((a, b) => a - b));
      for (const { tokens, requests } of usage.counts) expect(Math.min(tokens, requests)).toBeGreaterThanOrEqual(0);
    }
  });

  test.prop([any, moves, fc.array(fc.nat(7), { maxLength: 5 })], RUNS)(
    "is exactly what it was once permits were given back unused",
    (options, sequence, tokens) => {
      const { usage } = new Calls(options).play(sequence);
      const taken = tokens.reduce(granted, usage);
      const back = tokens.toReversed().map((reserved) => ({ tokens: reserved, countedMs: null }));
      expect(back.reduce(refunded, taken)).toEqual(usage);
    },
  );

  test.prop([any, moves], RUNS)("is nothing once all calls have ended and time has passed", (options, sequence) => {
    const world = new Calls(options).play(sequence).finish();
    for (const call of world.open) world.end(call);
    world.times.pass(1000 * world.budget.periodMs);
    const { inFlight, onTheWay, counts } = world.see();
    expect({ inFlight, onTheWay, counts }).toEqual({ inFlight: 0, onTheWay: { requests: 0, tokens: 0 }, counts: [] });
    expect(usedOf(world.usage)).toEqual({ requests: 0, tokens: 0 });
  });

  test.prop([windows, moves], { numRuns: 50 })("stays small however many calls there were", (options, sequence) => {
    const world = new Calls({ ...options, requests: 100_000, tokens: 10_000_000, per: "1m" }).play(sequence);
    for (let turn = 0; turn < 300; turn++) {
      for (const call of world.want([1, 2])) world.end(call, { ageMs: turn % 7 });
      world.times.pass(1000 / 3);
    }
    expect(world.see().counts.length).toBeLessThanOrEqual(1100);
  });

  it("takes what was reserved too much out of where it was counted, and counts what is owed from now on", () => {
    const world = new Calls({ tokens: 100, per: "1s", transitMs: 0 });
    const [frugal, greedy] = world.want([40, 40]) as [Call, Call];
    for (const call of [frugal, greedy]) {
      const told = begun(world.see(), world.budget, call.permit, 0);
      world.usage = told.usage;
      call.permit = told.permit;
    }
    world.times.pass(500);
    world.end(frugal, { tokens: 10 });
    expect(usedOf(world.usage).tokens).toBe(50);
    world.end(greedy, { tokens: 70 });
    expect(usedOf(world.usage).tokens).toBe(80);
    world.times.pass(502);
    expect(usedOf(world.see()).tokens).toBe(30);
    world.times.pass(500);
    expect(usedOf(world.see()).tokens).toBe(0);
  });

  it("counts a call once, however often it is told to have begun", () => {
    const world = new Calls({ requests: 5, tokens: 50, per: "1s" });
    const [{ permit }] = world.want([7]) as [Call];
    const once = begun(world.see(), world.budget, permit, 3);
    const twice = begun(once.usage, world.budget, once.permit, 900);
    expect(twice).toEqual(once);
    expect(usedOf(twice.usage)).toEqual({ requests: 1, tokens: 7 });
  });

  it("takes an age before its time for none", () => {
    const world = new Calls({ requests: 5, per: "1s" });
    const [{ permit }] = world.want([0]) as [Call];
    const { usage, budget } = world;
    expect(begun(usage, budget, permit, -5000)).toEqual(begun(usage, budget, permit, 0));
    expect(ended(usage, budget, permit, { ...SUCCESS, ageMs: -5000 })).toEqual(ended(usage, budget, permit, SUCCESS));
  });

  it("counts a lost call with all that was reserved, as late as it may still arrive", () => {
    const world = new Calls({ requests: 1, tokens: 50, per: "1s", transitMs: 200 });
    const [call] = world.want([40]) as [Call];
    world.end(call, { as: "lost" });
    expect(usedOf(world.usage)).toEqual({ requests: 1, tokens: 40 });
    expect(fitting(world.usage, world.budget, [1]).retryMs).toBe(nowOf(world.usage) + 1201);
  });
});

describe("calls that want to begin", () => {
  test.prop([any, fc.integer({ min: 1, max: 40 }), fc.nat(8)], RUNS)(
    "all fit an unused limit up to what it allows",
    (options, count, tokens) => {
      const { budget, usage } = new Calls(options);
      const { requests, concurrency, burst } = budget;
      const most = Math.min(burst ?? requests ?? count, concurrency ?? count, count);
      const byTokens = budget.tokens === null || tokens === 0 ? count : Math.floor(budget.tokens / tokens);
      expect(fitting(usage, budget, Array(count).fill(tokens)).fit).toBe(Math.min(most, byTokens));
    },
  );

  test.prop([any, moves, fc.array(fc.nat(8), { minLength: 1, maxLength: 6 })], RUNS)(
    "fit together or from the front on: as many as would one after the other",
    (options, sequence, tokens) => {
      const world = new Calls(options).play(sequence);
      const { fit } = fitting(world.see(), world.budget, tokens);
      const oneByOne = tokens.findIndex((want) => world.want([want]).length === 0);
      expect(fit).toBe(oneByOne < 0 ? tokens.length : oneByOne);
    },
  );

  test.prop([any, moves], RUNS)("are never more at once than `concurrency`", (options, sequence) => {
    const world = new Calls({ ...options, concurrency: 3 });
    for (const step of sequence) {
      const before = world.calls.length;
      world.play([step]);
      if (world.calls.length > before) expect(world.open.length).toBeLessThanOrEqual(3);
    }
  });

  it("have requests, tokens and a place together or not at all", () => {
    const world = new Calls({ requests: 3, tokens: 10, concurrency: 3, per: "1s" });
    const { usage, budget } = world;
    expect(fitting(usage, budget, [4, 4, 4])).toMatchObject({ fit: 2 });
    expect(fitting(usage, budget, [1, 1, 1, 1])).toMatchObject({ fit: 3, retryMs: null });
    expect(fitting(usage, budget, [11, 1])).toMatchObject({ fit: 0 });
    expect([10, 11].map((tokens) => isTooLarge(budget, tokens))).toEqual([false, true]);
    expect(isTooLarge({ ...budget, tokens: null }, 1e9)).toBe(false);
  });

  it("wait while no tokens are left, even where it is not known how many they use", () => {
    const world = new Calls({ tokens: 10, per: "1s" });
    expect(fitting(world.usage, world.budget, [10, 0]).fit).toBe(1);
    expect(fitting(world.usage, world.budget, [9, 0, 0]).fit).toBe(3);
  });

  /** Whether it is right that a call that does not fit is told no time: it waits for others. */
  function waitsForOthers({ usage, budget }: Calls): boolean {
    const isFull = budget.concurrency !== null && usage.inFlight >= budget.concurrency;
    return isFull || usage.onTheWay.requests > 0 || usage.onTheWay.tokens > 0;
  }

  /** What is told a call that does not fit: a time, at which it does, and before which it does not. */
  function expectRightTime(options: LimitOptions, sequence: readonly Move[], tokens: number): void {
    const world = new Calls(options).play(sequence);
    const usage = world.see();
    const { fit, retryMs } = fitting(usage, world.budget, [tokens]);
    if (fit === 1 || retryMs === null) {
      expect([retryMs, waitsForOthers(world)]).toEqual(fit === 1 ? [nowOf(usage), expect.anything()] : [null, true]);
      return;
    }
    const fitsAt = (ms: number) => {
      const then = advance(usage, world.budget, ms - usage.skewMs);
      return fitting(then, world.budget, [tokens]).fit === 1;
    };
    expect(retryMs).toBeGreaterThan(nowOf(usage));
    // A bucket's level is a fraction, which sums round.
    const slackMs = world.budget.algorithm === "token-bucket" ? 1 : 0;
    expect(fitsAt(retryMs + slackMs)).toBe(true);
    expect(fitsAt(retryMs - slackMs - 1)).toBe(false);
  }

  test.prop([fc.oneof(limits, windows), moves, fc.nat(8)], { numRuns: 800 })(
    "are told the very millisecond from which a window has room for them, where only time can tell",
    expectRightTime,
  );

  test.prop([buckets, moves, fc.nat(8)], { numRuns: 800 })(
    "are told when a bucket has room for them, where only time can tell",
    expectRightTime,
  );

  it("are told when a bucket has room again, even if a call is counted from a later moment on", () => {
    const world = new Calls({ requests: 60, burst: 1, algorithm: "token-bucket", per: "1m", transitMs: 1000 });
    const [{ permit }] = world.want([0]) as [Call];
    world.usage = begun(world.usage, world.budget, permit, 0).usage;
    const { retryMs } = fitting(world.usage, world.budget, [0]);
    expect(retryMs).toBeGreaterThanOrEqual(nowOf(world.usage) + 2000);
    expect(retryMs).toBeLessThanOrEqual(nowOf(world.usage) + 2100);
  });
});

describe("a client that always wants more, whose calls take no time", () => {
  /** The share of what the limit allows that it gets in the long run. */
  function shareOf(options: LimitOptions): number {
    const world = new Calls(options);
    const { periodMs, requests } = world.budget;
    const PERIODS = 20;
    const startMs = world.times.trueMs;
    let count = 0;
    while (world.times.trueMs < startMs + (PERIODS + 1) * periodMs) {
      const calls = world.want(Array<number>(requests as number).fill(0));
      for (const call of calls) world.end(call);
      if (world.times.trueMs >= startMs + periodMs) count += calls.length;
      const { retryMs } = fitting(world.see(), world.budget, [0]);
      world.times.passUntil(Math.max((retryMs as number) - world.usage.skewMs, world.times.wallMs + 1));
    }
    return count / PERIODS / (requests as number);
  }

  const rates = fc.record({
    requests: fc.integer({ min: 1, max: 200 }),
    per: fc.constantFrom("200ms", "1s", "10s", "1m", "1h"),
  });

  test.prop([rates], { numRuns: 40 })("gets 99 % of a sliding window at least", (options) => {
    expect(shareOf(options)).toBeGreaterThanOrEqual(0.99);
  });

  test.prop([rates], { numRuns: 40 })("gets 99 % of a bucket that holds a period's requests", (options) => {
    expect(shareOf({ ...options, algorithm: "token-bucket" })).toBeGreaterThanOrEqual(0.99);
  });

  it("gets nearly all of a small bucket", () => {
    const share = shareOf({ requests: 500, burst: 1, per: "1m", algorithm: "token-bucket" });
    expect(share).toBeGreaterThanOrEqual(0.97);
  });
});

describe("a vendor's refusal", () => {
  const budget = budgetOf("llm", { per: "1s", giveUpAfter: "1h" });
  const refusal = (retryAfterMs: number | null, ageMs = 0): Ending => ({
    as: "refused",
    ageMs,
    tokens: null,
    retryAfterMs,
  });

  class Key {
    usage = advance(UNUSED, budget, 1_000_000);

    permit(): Permit {
      this.usage = granted(this.usage, 0);
      return { tokens: 0, countedMs: null };
    }

    end(permit: Permit, ending: Ending): this {
      this.usage = ended(this.usage, budget, permit, ending);
      return this;
    }

    pass(ms: number): this {
      this.usage = advance(this.usage, budget, this.usage.wallMs + ms);
      return this;
    }

    /** A call that is refused once the key has cooled. Returns for how long it cools then. */
    refused(retryAfterMs: number | null = null): number {
      this.pass(this.coolMs).end(this.permit(), refusal(retryAfterMs));
      return this.coolMs;
    }

    get coolMs(): number {
      return Math.max(0, this.usage.coolUntilMs - nowOf(this.usage));
    }

    get fits(): boolean {
      return fitting(this.usage, budget, [0]).fit === 1;
    }
  }

  it("holds all calls back until the vendor wants some again, and tells when that is", () => {
    const key = new Key();
    key.refused(5000);
    expect(fitting(key.usage, budget, [0])).toEqual({ fit: 0, retryMs: nowOf(key.usage) + 5000 });
    expect(key.pass(4999).fits).toBe(false);
    expect(key.pass(1).fits).toBe(true);
  });

  test.prop([fc.array(fc.tuple(fc.nat(10_000), fc.nat(2000)), { minLength: 1, maxLength: 8 })])(
    "that comes together with others ends with the last of them, counted from when each was told",
    (refusals) => {
      const key = new Key();
      const permits = refusals.map(() => key.permit());
      const until = refusals.map(([retryAfterMs, ageMs], at) => {
        key.end(permits[at] as Permit, refusal(retryAfterMs, ageMs));
        return nowOf(key.usage) + retryAfterMs - ageMs;
      });
      expect(key.coolMs).toBe(Math.max(0, Math.max(...until) - nowOf(key.usage)));
    },
  );

  test.prop([fc.nat(100_000), fc.nat(100_000), fc.nat(100_000)])(
    "is waited out by the clock as it was, though that is turned back",
    (retryAfterMs, backMs, passedMs) => {
      const key = new Key();
      key.refused(retryAfterMs);
      key.pass(-backMs);
      expect(key.pass(passedMs).fits).toBe(passedMs >= retryAfterMs);
    },
  );

  it("without a time is waited out twice as long each time in a row, a minute at most", () => {
    const key = new Key();
    const waits = Array.from({ length: 9 }, () => key.refused());
    expect(waits).toEqual([1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
    for (let turn = 0; turn < 2000; turn++) key.refused();
    expect(key.refused()).toBe(60_000);
  });

  it("is one with those of the calls that were under way with it", () => {
    const key = new Key();
    for (const permit of [key.permit(), key.permit(), key.permit()]) key.end(permit, refusal(null));
    expect(key.coolMs).toBe(1000);
    expect(key.refused()).toBe(2000);
  });

  it("is forgotten after a success, and after no failure", () => {
    const key = new Key();
    key.refused();
    key.refused();
    for (const as of ["failed", "lost"] as const) key.end(key.permit(), { ...SUCCESS, as });
    expect(key.refused()).toBe(4000);
    key.end(key.permit(), SUCCESS);
    expect(key.usage).toMatchObject({ refusals: 0, refusedSinceMs: null });
    expect(key.refused()).toBe(1000);
  });

  it("is forgotten where nobody has tried for a minute since it was waited out", () => {
    const key = new Key();
    key.refused();
    key.refused();
    key.pass(key.coolMs + 60_000);
    expect(key.refused()).toBe(4000);
    key.pass(key.coolMs + 60_001);
    expect(key.refused()).toBe(1000);
    expect(key.usage.refusedSinceMs).toBe(nowOf(key.usage));
  });

  it("that a success overtakes is still waited out", () => {
    const key = new Key();
    const [first, second] = [key.permit(), key.permit()];
    key.end(first, refusal(9000)).end(second, SUCCESS);
    expect(key.coolMs).toBe(9000);
  });

  it("asks for a day at most", () => {
    expect(new Key().refused(1e12)).toBe(24 * 60 * 60 * 1000);
  });

  it("is taken for a failure after an hour of them without one success", () => {
    const key = new Key();
    expect(hasGivenUp(key.usage, budget)).toBe(false);
    for (let minute = 0; minute < 60; minute++) key.refused(60_000);
    key.pass(59_999);
    expect(hasGivenUp(key.usage, budget)).toBe(false);
    key.pass(1);
    expect(hasGivenUp(key.usage, budget)).toBe(true);
    key.end(key.permit(), SUCCESS);
    expect(hasGivenUp(key.usage, budget)).toBe(false);
  });

  it("gives the call's place back, and counts it: the vendor may have", () => {
    const world = new Calls({ requests: 2, concurrency: 1, per: "1m" });
    const [call] = world.want([0]) as [Call];
    world.end(call, refusal(10));
    expect(world.usage).toMatchObject({ inFlight: 0, onTheWay: { requests: 0, tokens: 0 } });
    expect(usedOf(world.usage).requests).toBe(1);
  });
});

describe("a clock that is turned back", () => {
  it("frees nothing before its time", () => {
    const world = new Calls({ requests: 1, per: "1s" });
    const [call] = world.want([0]) as [Call];
    world.end(call);
    world.times.turnBack(3_600_000);
    expect(world.want([0])).toHaveLength(0);
    world.times.pass(1000);
    expect(world.want([0])).toHaveLength(0);
    world.times.pass(2);
    expect(world.want([0])).toHaveLength(1);
  });
});
