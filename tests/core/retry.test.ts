import { runInNewContext } from "node:vm";
import { test } from "@fast-check/vitest";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { describeType, NonRetryableError, RetryAfterError, toFailure } from "../../src/core/errors.ts";
import { LONGEST_WAIT, type RetryPolicy, retryDelayMs } from "../../src/core/retry.ts";

const DAY_MS = 24 * 60 * 60 * 1000;
const transient = toFailure(new Error("busy"));

/** Every policy that a node's options admit. */
const policies: fc.Arbitrary<RetryPolicy> = fc.record({
  maxRetries: fc.oneof(fc.integer({ min: 1, max: 10_000 }), fc.constant(Infinity)),
  wait: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 1e308, noNaN: true })),
  backoff: fc.double({ min: 1, max: 1e308, noNaN: true }),
  maxWait: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 1e308, noNaN: true })),
  jitter: fc.double({ min: 0, max: 1, noNaN: true }),
});
const attempts = fc.integer({ min: 1, max: 20_000 });
const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const failures = fc.record(
  { retryable: fc.constant(false as const), retryAfterMs: fc.double({ min: 0, noNaN: true }) },
  { requiredKeys: [] },
);

describe("the wait before the next attempt", () => {
  test.prop([policies, attempts, failures, chance])(
    "does not exist exactly when attempts are used up or no retry can mend the failure",
    (policy, made, failure, random) => {
      const isOver = made >= policy.maxRetries || failure.retryable === false;
      expect(retryDelayMs(policy, made, failure, random) === null).toBe(isOver);
    },
  );

  test.prop([policies, attempts, failures, chance])(
    "is a whole number of milliseconds from 0 to a day",
    (policy, made, failure, random) => {
      const delayMs = retryDelayMs(policy, made, failure, random) ?? 0;
      expect(Number.isInteger(delayMs)).toBe(true);
      expect(delayMs).toBeGreaterThanOrEqual(0);
      expect(delayMs).toBeLessThanOrEqual(DAY_MS);
    },
  );

  test.prop([policies, attempts, fc.integer({ min: 0, max: DAY_MS }), chance])(
    "is never shorter than the failure asks for",
    (policy, made, retryAfterMs, random) => {
      fc.pre(made < policy.maxRetries);
      expect(retryDelayMs(policy, made, { retryAfterMs }, random)).toBeGreaterThanOrEqual(retryAfterMs);
    },
  );

  test.prop([policies, attempts, chance])(
    "is at most `maxWait` where the failure asks for nothing",
    (policy, made, random) => {
      const delayMs = retryDelayMs(policy, made, {}, random) ?? 0;
      expect(delayMs).toBeLessThanOrEqual(Math.round(policy.maxWait * 1000));
    },
  );

  const policy: RetryPolicy = { maxRetries: 9, wait: 2, backoff: 1, maxWait: LONGEST_WAIT, jitter: 0 };

  it("is the node's own by default, each time", () => {
    expect([1, 2, 8].map((made) => retryDelayMs(policy, made, transient, 0.5))).toEqual([2000, 2000, 2000]);
  });

  it("grows by the factor after each further attempt", () => {
    const growing = { ...policy, backoff: 2 };
    expect([1, 2, 3, 4].map((made) => retryDelayMs(growing, made, transient, 0.5))).toEqual([2000, 4000, 8000, 16000]);
  });

  it("loses at most the share that jitter names", () => {
    const jittered = { ...policy, jitter: 0.25 };
    expect(retryDelayMs(jittered, 1, transient, 0)).toBe(2000);
    expect(retryDelayMs(jittered, 1, transient, 0.5)).toBe(1750);
    expect(retryDelayMs(jittered, 1, transient, 0.999999)).toBe(1500);
  });

  it("grows up to `maxWait` and no further", () => {
    const growing = { ...policy, backoff: 2, maxWait: 10 };
    const waits = [1, 2, 3, 4, 8].map((made) => retryDelayMs(growing, made, transient, 0.5));
    expect(waits).toEqual([2000, 4000, 8000, 10_000, 10_000]);
  });

  it("loses of `maxWait` itself what jitter takes away, so that items which have waited longest still part", () => {
    const growing = { ...policy, backoff: 2, maxWait: 10, jitter: 0.5 };
    expect([0, 0.5, 0.999999].map((random) => retryDelayMs(growing, 8, transient, random))).toEqual([
      10_000, 7500, 5000,
    ]);
  });

  it("is as long as the failure asks for, however short `maxWait` is", () => {
    const short = { ...policy, backoff: 2, maxWait: 5 };
    const asking = (retryAfterMs: number) => toFailure(new RetryAfterError("busy", { retryAfterMs }));
    expect([60_000, 5001, 4999].map((askedMs) => retryDelayMs(short, 8, asking(askedMs), 0))).toEqual([
      60_000, 5001, 5000,
    ]);
  });

  it("is a day at most, however long `maxWait` is, and whatever the failure asks for", () => {
    const long = { ...policy, backoff: 100, maxWait: 10 * LONGEST_WAIT };
    expect(retryDelayMs(long, 2, transient, 0)).toBe(200_000);
    expect(retryDelayMs(long, 8, transient, 0)).toBe(DAY_MS);
    const asking = toFailure(new RetryAfterError("busy", { retryAfterMs: 3 * DAY_MS }));
    expect(retryDelayMs({ ...policy, maxWait: 5 }, 1, asking, 0)).toBe(DAY_MS);
  });

  it("is the node's own where the failure asks for less", () => {
    expect(retryDelayMs(policy, 1, toFailure(new RetryAfterError("busy", { retryAfterMs: 10 })), 0)).toBe(2000);
  });
});

describe("an error as data", () => {
  it("keeps what a retry needs to know", () => {
    const busy = new RetryAfterError("busy", { retryAfterMs: 1500, status: 429, cause: new Error("socket") });
    expect(toFailure(busy)).toMatchObject({
      name: "RetryAfterError",
      message: "busy",
      retryAfterMs: 1500,
      status: 429,
      stack: expect.stringContaining("retry.test.ts"),
    });
    expect(busy.cause).toEqual(new Error("socket"));
    const refused = new NonRetryableError("too long", { status: 400 });
    expect(toFailure(refused)).toMatchObject({ name: "NonRetryableError", retryable: false, status: 400 });
    expect("cause" in refused).toBe(false);
  });

  it("knows hints by their names, since a class is lost between isolates, and ignores what cannot be meant", () => {
    const foreign = Object.assign(new TypeError("no"), { retryable: false, retryAfterMs: Number.NaN, status: "500" });
    const { stack: _, ...failure } = toFailure(foreign);
    expect(failure).toEqual({ name: "TypeError", message: "no", retryable: false });
    expect(toFailure(Object.assign(new Error("no"), { retryAfterMs: -5, retryable: true }))).not.toHaveProperty(
      "retryAfterMs",
    );
  });

  it("takes an error of another realm, or its likeness, for what it is", () => {
    const foreign = runInNewContext("Object.assign(new RangeError('no'), { retryable: false })");
    expect(foreign).not.toBeInstanceOf(Error);
    expect(toFailure(foreign)).toMatchObject({ name: "RangeError", message: "no", retryable: false });
    expect(toFailure({ message: "no", status: 503 })).toEqual({ name: "Error", message: "no", status: 503 });
  });

  it.each([
    ["no luck", "a string: no luck"],
    [Symbol("x"), "a symbol: Symbol(x)"],
    [undefined, "undefined"],
    [null, "null"],
    [{ code: 1 }, "an object"],
    [Object.create(null), "an object"],
  ])("says what was thrown where it was no error: %o", (thrown, words) => {
    expect(toFailure(thrown)).toEqual({ name: "Error", message: `Expected an Error to be thrown, got ${words}` });
  });

  it.each([
    [null, "null"],
    [undefined, "undefined"],
    [[], "an array"],
    [{}, "an object"],
    [Object.create(null), "an object"],
    [new Date(0), "an instance of Date"],
    [5, "a number"],
    ["text", "a string"],
    [() => 0, "a function"],
  ])("describes %o as %s", (value, words) => {
    expect(describeType(value)).toBe(words);
  });
});
