import { test } from "@fast-check/vitest";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { afterTrouble, isOfItems, pollDelayMs } from "../../src/core/jobs.ts";
import { range } from "./support.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const DAY = 24 * 60 * MINUTE;

describe("the wait until a job is asked for", () => {
  it("begins with 10 s, grows by half each time, and is at most 10 minutes", () => {
    const delays = range(14).map((polls) => pollDelayMs({}, polls));
    expect(delays.slice(0, 5)).toEqual([10_000, 15_000, 22_500, 33_750, 50_625]);
    expect(delays.slice(10)).toEqual([576_650, 600_000, 600_000, 600_000]);
  });

  it.each([
    [{ wait: 60 }, [60_000, 90_000, 135_000]],
    [{ backoff: 1 }, [10_000, 10_000, 10_000]],
    [{ backoff: 3 }, [10_000, 30_000, 90_000]],
    [{ maxWait: 12 }, [10_000, 12_000, 12_000]],
    [{ wait: 60, maxWait: 20 }, [20_000, 20_000, 20_000]],
    [{ wait: 0 }, [0, 0, 0]],
    [{ maxWait: 0 }, [0, 0, 0]],
    [{ wait: 0.0004, backoff: 2 }, [0, 1, 2]],
  ])("is what %o says", (policy, delays) => {
    expect(range(3).map((polls) => pollDelayMs(policy, polls))).toEqual(delays);
  });

  it("is a number after any count of questions, none included", () => {
    expect(pollDelayMs({ wait: 0, backoff: 2 }, 5000)).toBe(0);
    expect(pollDelayMs({ wait: 1e6, backoff: 1e9 }, 5000)).toBe(600_000);
  });

  const seconds = fc.oneof(fc.nat(10_000), fc.double({ min: 0, max: 1e6, noNaN: true }));
  const factors = fc.oneof(fc.constant(1), fc.double({ min: 1, max: 1e9, noNaN: true }));

  test.prop([seconds, factors, seconds, fc.nat(5000)])(
    "is a whole number, never shrinks and never exceeds `maxWait`, however often was asked",
    (wait, backoff, maxWait, polls) => {
      const [now, next] = [polls, polls + 1].map((count) => pollDelayMs({ wait, backoff, maxWait }, count)) as [
        number,
        number,
      ];
      expect(Number.isInteger(now)).toBe(true);
      expect(now).toBeGreaterThanOrEqual(Math.round(Math.min(wait, maxWait) * 1000));
      expect(next).toBeGreaterThanOrEqual(now);
      expect(next).toBeLessThanOrEqual(Math.round(maxWait * 1000));
    },
  );
});

describe("trouble with a vendor", () => {
  it("begins with the first failure, which is tried again after a second", () => {
    expect(afterTrouble(0, {})).toEqual({ trouble: 1, delayMs: SECOND });
  });

  it("doubles the wait with each failure, up to 10 minutes", () => {
    const found = range(13).map((trouble) => afterTrouble(trouble, {}));
    expect(found.map((next) => next?.trouble)).toEqual(range(13).map((trouble) => trouble + 1));
    const delays = found.map((next) => (next?.delayMs as number) / SECOND);
    expect(delays).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600]);
  });

  it("waits for as long as the vendor asks, but not for less than it would by itself, nor for more than a day", () => {
    const delayAfter = (trouble: number, retryAfterMs: number) => afterTrouble(trouble, { retryAfterMs })?.delayMs;
    expect(delayAfter(2, 20 * MINUTE)).toBe(20 * MINUTE);
    expect(delayAfter(2, 3999)).toBe(4000);
    expect(delayAfter(2, 4001)).toBe(4001);
    expect(delayAfter(2, 3 * DAY)).toBe(DAY);
    expect(delayAfter(2, Infinity)).toBe(DAY);
  });

  it("is given up after so many failures in a row that their waits are a day, and not much more", () => {
    let waitedMs = 0;
    let trouble = 0;
    for (let next = afterTrouble(trouble, {}); next; next = afterTrouble(trouble, {})) {
      waitedMs += next.delayMs;
      ({ trouble } = next);
    }
    expect(waitedMs).toBeGreaterThanOrEqual(DAY);
    expect(waitedMs).toBeLessThan(DAY + 10 * MINUTE);
    expect(afterTrouble(trouble, { retryAfterMs: 5 })).toBeNull();
    expect(afterTrouble(1e6, {})).toBeNull();
  });

  it("is none that time mends where the error says so, whatever its status", () => {
    expect(afterTrouble(0, { retryable: false })).toBeNull();
    expect(afterTrouble(0, { retryable: false, status: 503, retryAfterMs: 5 })).toBeNull();
    expect(afterTrouble(0, { retryable: true })).not.toBeNull();
  });

  const statuses = range(300).map((offset) => 300 + offset);
  const temporary = new Set([408, 409, 425, 429]);

  it("is none that time mends for a status of 4xx, but for 408, 409, 425 and 429", () => {
    const final = statuses.filter((status) => afterTrouble(0, { status }) === null);
    expect(final).toEqual(statuses.filter((status) => status >= 400 && status < 500 && !temporary.has(status)));
  });

  it("goes by the status alone, not by what the error says of retries", () => {
    expect(afterTrouble(0, { status: 404, retryable: true })).toBeNull();
    expect(afterTrouble(0, { status: 400, retryAfterMs: 1000 })).toBeNull();
  });

  test.prop([fc.nat(152), fc.nat(2 * DAY)])("waits at least a second and at most a day", (trouble, retryAfterMs) => {
    const delayMs = afterTrouble(trouble, { retryAfterMs })?.delayMs;
    expect(delayMs).toBeGreaterThanOrEqual(SECOND);
    expect(delayMs).toBeLessThanOrEqual(DAY);
  });
});

describe("a refusal that items may be to blame for", () => {
  it("is one of 400, 413 and 422, or an error without a status that no retry mends", () => {
    const statuses = range(300).map((offset) => 300 + offset);
    expect(statuses.filter((status) => isOfItems({ status }))).toEqual([400, 413, 422]);
    expect(isOfItems({ retryable: false })).toBe(true);
    expect(isOfItems({})).toBe(false);
    expect(isOfItems({ retryable: false, status: 401 })).toBe(false);
  });
});
