import { test } from "@fast-check/vitest";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { afterCrash, afterFailure, type History, isLastAttempt, isSuspect, type Verdict } from "../../src/core/item.ts";
import type { RetryPolicy } from "../../src/core/retry.ts";

const NOW_MS = 1_000_000;
const busy = { name: "Error", message: "busy" };
const fatal = { ...busy, retryable: false };
const policy: RetryPolicy = { maxRetries: 3, wait: 2, backoff: 1, maxWait: 60, jitter: 0 };
const untried: History = { attempts: 0, crashes: 0, redrives: 0 };

describe("an item whose exec failed", () => {
  it("is deferred until the node's wait is over", () => {
    expect(afterFailure(untried, busy, policy, NOW_MS, 0)).toEqual({
      status: "deferred",
      history: { attempts: 1, crashes: 0, redrives: 0 },
      dueMs: NOW_MS + 2000,
    });
  });

  it("is pending at once where the node does not wait", () => {
    const verdict = afterFailure(untried, busy, { ...policy, wait: 0 }, NOW_MS, 0);
    expect(verdict).toEqual({ status: "pending", history: { attempts: 1, crashes: 0, redrives: 0 } });
  });

  it("is deferred for as long as the failure asks", () => {
    const verdict = afterFailure(untried, { ...busy, retryAfterMs: 60_000 }, policy, NOW_MS, 0);
    expect(verdict).toMatchObject({ status: "deferred", dueMs: NOW_MS + 60_000 });
  });

  it("has failed after its last attempt, and after a failure that no retry can mend", () => {
    expect(afterFailure({ attempts: 2, crashes: 0, redrives: 0 }, busy, policy, NOW_MS, 0)).toEqual({
      status: "failed",
      history: { attempts: 3, crashes: 0, redrives: 0 },
      failure: busy,
    });
    expect(afterFailure(untried, fatal, policy, NOW_MS, 0)).toEqual({
      status: "failed",
      history: { attempts: 1, crashes: 0, redrives: 0 },
      failure: fatal,
    });
  });

  it("is told of its last attempt before that begins, so that the fallback follows it", () => {
    expect([0, 1, 2, 3].map((attempts) => isLastAttempt({ attempts, crashes: 4, redrives: 0 }, policy))).toEqual([
      false,
      false,
      true,
      true,
    ]);
  });
});

describe("an item whose executor was lost", () => {
  it("is pending at once, then deferred longer each time, and has failed after the fifth time", () => {
    const verdicts = [0, 1, 2, 3, 4].map((crashes) => afterCrash({ attempts: 1, crashes, redrives: 0 }, NOW_MS));
    expect(verdicts.map(({ status }) => status)).toEqual(["pending", "deferred", "deferred", "deferred", "failed"]);
    expect(verdicts.map((verdict) => ("dueMs" in verdict ? verdict.dueMs - NOW_MS : null))).toEqual([
      null,
      1000,
      2000,
      4000,
      null,
    ]);
  });

  it("is a suspect from the second time on", () => {
    expect([0, 1, 2, 3].map((crashes) => isSuspect({ attempts: 0, crashes, redrives: 0 }))).toEqual([
      false,
      false,
      true,
      true,
    ]);
  });

  it("fails with a message that says what happened and what to do", () => {
    const verdict = afterCrash({ attempts: 0, crashes: 4, redrives: 0 }, NOW_MS);
    expect(verdict).toMatchObject({
      failure: {
        name: "ExecutorLost",
        message: expect.stringMatching(
          /ended its executor 5 times, 3 of them while nothing else .* more memory or CPU/,
        ),
      },
    });
  });
});

describe("whatever befalls an item", () => {
  const policies = fc.record({
    maxRetries: fc.integer({ min: 1, max: 6 }),
    wait: fc.integer({ min: 0, max: 10 }),
    backoff: fc.integer({ min: 1, max: 4 }),
    maxWait: fc.integer({ min: 0, max: 60 }),
    jitter: fc.double({ min: 0, max: 1, noNaN: true }),
  });
  const blows = fc.array(fc.constantFrom("busy", "fatal", "crash"), { maxLength: 20 });

  test.prop([policies, blows])(
    "attempts count its own failures up to maxRetries, crashes count losses up to five, and neither counts the other",
    (policy, sequence) => {
      let history = untried;
      const happened = { busy: 0, fatal: 0, crash: 0 };
      let verdict: Verdict = { status: "pending", history };
      for (const blow of sequence) {
        if (verdict.status === "failed") break;
        happened[blow]++;
        verdict =
          blow === "crash"
            ? afterCrash(history, NOW_MS)
            : afterFailure(history, blow === "fatal" ? fatal : busy, policy, NOW_MS, 0.5);
        history = verdict.history;
        expect(history).toEqual({ attempts: happened.busy + happened.fatal, crashes: happened.crash, redrives: 0 });
        const isOver = history.attempts >= policy.maxRetries || happened.fatal > 0 || history.crashes >= 5;
        expect(verdict.status === "failed").toBe(isOver);
        if (verdict.status === "deferred") expect(verdict.dueMs).toBeGreaterThan(NOW_MS);
      }
      expect(history.attempts).toBeLessThanOrEqual(policy.maxRetries);
      expect(history.crashes).toBeLessThanOrEqual(5);
    },
  );
});
