import { afterEach, beforeEach, describe, expect, it, type MockInstance, vi } from "vitest";
import {
  BatchFlow,
  Flow,
  Node,
  NonRetryableError,
  type Outcome,
  ParallelBatchNode,
  RetryAfterError,
} from "../../src/index.ts";
import { type Spelling, spellings } from "./spelling.ts";
import { range, settled, stopTime } from "./support.ts";

/** Every node that has an exec, in both spellings. A plain node has one item. */
const kinds = spellings.flatMap(({ spelling, node, batch, parallel }) => [
  { kind: `a node ${spelling}`, make: node as Spelling["node"] | Spelling["batch"], one: 1 },
  { kind: `a batch node ${spelling}`, make: batch, one: [1] },
  { kind: `a parallel batch node ${spelling}`, make: parallel as unknown as Spelling["batch"], one: [1] },
]);

const isNoSyntaxError = (error: Error) => !(error instanceof SyntaxError);

let printed: MockInstance<typeof console.error>;
beforeEach(() => {
  printed = vi.spyOn(console, "error").mockImplementation(() => {});
});
afterEach(() => printed.mockRestore());

describe.each(kinds)("retryIf of $kind", ({ make, one }) => {
  /** Runs over one item of which each attempt throws the next of these, the last one again and again. */
  function attemptsAt(thrown: unknown[], options: object) {
    const exec = vi.fn(() => {
      throw thrown[Math.min(exec.mock.calls.length, thrown.length) - 1];
    });
    const execFallback = vi.fn((_: unknown, error: Error) => `gave up: ${error?.message}`);
    const run = make({ prep: () => one, exec, execFallback }, { maxRetries: 4, ...options }).run({});
    return { exec, execFallback, run };
  }

  it("ends the attempts with the first `false`, and execFallback gets the error", async () => {
    const final = new SyntaxError("no JSON");
    const { exec, execFallback, run } = attemptsAt([new Error("busy"), final], { retryIf: isNoSyntaxError });
    await run;
    expect(exec).toHaveBeenCalledTimes(2);
    expect(execFallback.mock.calls).toEqual([[1, final]]);
    expect(execFallback.mock.calls[0]?.[1]).toBe(final);
  });

  it("leaves all attempts where it says `true`", async () => {
    const { exec, execFallback, run } = attemptsAt([new Error("busy")], { retryIf: isNoSyntaxError });
    await run;
    expect([exec.mock.calls.length, execFallback.mock.calls.length]).toEqual([4, 1]);
  });

  it("rejects with the error where there is no fallback", async () => {
    const final = new SyntaxError("no JSON");
    const exec = vi.fn(() => Promise.reject(final));
    const run = make({ prep: () => one, exec }, { maxRetries: Infinity, retryIf: isNoSyntaxError }).run({});
    await expect(run).rejects.toBe(final);
    expect(exec).toHaveBeenCalledTimes(1);
  });

  it("is asked with what exec threw, as it was thrown, whatever that is", async () => {
    const thrown = [new TypeError("first"), "no error at all", undefined, { code: 7 }];
    const retryIf = vi.fn((_: Error) => true);
    await attemptsAt(thrown, { retryIf }).run;
    expect(retryIf.mock.calls).toEqual(thrown.map((error) => [error]));
    for (const [at, error] of thrown.entries()) expect(retryIf.mock.calls[at]?.[0]).toBe(error);
  });

  it("is not asked about an error that no retry can mend, whatever it would say", async () => {
    const retryIf = vi.fn(() => true);
    const { exec, execFallback, run } = attemptsAt([new NonRetryableError("too long")], { retryIf });
    await run;
    expect([exec, execFallback, retryIf].map(({ mock }) => mock.calls.length)).toEqual([1, 1, 0]);
  });

  it("is not asked after an exec that succeeds", async () => {
    const retryIf = vi.fn(() => false);
    await make({ prep: () => one, exec: () => "done" }, { maxRetries: 3, retryIf }).run({});
    expect(retryIf).not.toHaveBeenCalled();
  });

  it.each([0, "", null, undefined, Number.NaN])("takes %o for `false`", async (nothing) => {
    const { exec, run } = attemptsAt([new Error("busy")], { retryIf: () => nothing });
    await run;
    expect(exec).toHaveBeenCalledTimes(1);
  });

  it("that throws ends the attempts with exec's own error, and says so", async () => {
    const busy = new Error("busy");
    const mistaken = new ReferenceError("no such name");
    const retryIf = () => {
      throw mistaken;
    };
    const { exec, execFallback, run } = attemptsAt([busy], { retryIf, name: "Summaries" });
    await run;
    expect(exec).toHaveBeenCalledTimes(1);
    expect(execFallback.mock.calls).toEqual([[1, busy]]);
    expect(printed.mock.calls).toEqual([["retryIf of Summaries failed, so there is no further attempt:", mistaken]]);
  });

  it("does not mend what has no attempts left", async () => {
    const { exec, run } = attemptsAt([new Error("busy")], { maxRetries: 2, retryIf: () => true });
    await run;
    expect(exec).toHaveBeenCalledTimes(2);
  });
});

describe.each(spellings)("retryIf $spelling", ({ batch, parallel }) => {
  it.each([
    ["in order", batch as Spelling["batch"] | Spelling["parallel"]],
    ["at once", parallel],
  ])("judges each item of a batch %s on its own", async (_, make) => {
    const attempts = [0, 0, 0, 0, 0, 0];
    const exec = (n: number) => {
      attempts[n] = (attempts[n] ?? 0) + 1;
      throw n % 2 === 0 ? new SyntaxError(`${n}`) : new Error(`${n}`);
    };
    const post = vi.fn();
    const options = { maxRetries: 3, retryIf: isNoSyntaxError, onItemError: "collect" as const };
    await make({ prep: () => range(6), exec, post }, options).run({});
    expect(attempts).toEqual([1, 3, 1, 3, 1, 3]);
    const outcomes = post.mock.calls[0]?.[2] as Outcome[];
    expect(outcomes.map((outcome) => !outcome.ok && outcome.error.message)).toEqual(range(6).map(String));
  });
});

describe("retryIf", () => {
  it("may be called with whatever `this`, as an arrow function is", async () => {
    const retryIf = vi.fn(() => false);
    class Broken extends Node {
      override exec() {
        throw new Error("busy");
      }
    }
    await expect(new Flow(new Broken({ maxRetries: 2, retryIf })).run({})).rejects.toThrow("busy");
    expect(retryIf).toHaveBeenCalledTimes(1);
  });

  it.each([
    ["never", "a string"],
    [true, "a boolean"],
    [null, "null"],
    [{}, "an object"],
    [/busy/, "an instance of RegExp"],
  ])("is refused where it is %o", (retryIf, got) => {
    class Summaries extends ParallelBatchNode {}
    const options = { retryIf } as unknown as object;
    expect(() => new Summaries(options)).toThrow(
      new TypeError(`Expected \`retryIf\` of Summaries to be a function from an error to true or false, got ${got}`),
    );
  });

  it("may be undefined, which is always", async () => {
    const exec = vi.fn(() => Promise.reject(new Error("busy")));
    class Summaries extends Node {
      override exec = exec;
    }
    const options: object = { maxRetries: 2, retryIf: undefined };
    await expect(new Summaries(options).run({})).rejects.toThrow("busy");
    expect(exec).toHaveBeenCalledTimes(2);
  });
});

describe("the wait between two attempts", () => {
  stopTime();

  /** When each attempt began, in milliseconds: of one item that never succeeds. */
  async function timesOf(options: object, error: Error = new Error("busy")): Promise<number[]> {
    const times: number[] = [];
    let nowMs = 0;
    class Busy extends Node {
      override exec() {
        times.push(nowMs);
        throw error;
      }
      override execFallback() {
        times.push(-1);
      }
    }
    const run = new Busy(options).run({});
    while (times.at(-1) !== -1) {
      vi.advanceTimersByTime(100);
      nowMs += 100;
      await settled();
    }
    await run;
    return times.slice(0, -1);
  }

  it("grows by `backoff` up to `maxWait`, and no further", async () => {
    const options = { maxRetries: 7, wait: 1, backoff: 2, maxWait: 5 };
    expect(await timesOf(options)).toEqual([0, 1000, 3000, 7000, 12_000, 17_000, 22_000]);
  });

  it("is `maxWait` where `wait` is longer, and none where it is 0", async () => {
    expect(await timesOf({ maxRetries: 3, wait: 60, maxWait: 2 })).toEqual([0, 2000, 4000]);
    expect(await timesOf({ maxRetries: 3, wait: 60, maxWait: 0 })).toEqual([0, 0, 0]);
  });

  it("is as long as the vendor asks for, though that is more than `maxWait`", async () => {
    const asking = new RetryAfterError("busy", { retryAfterMs: 3000 });
    expect(await timesOf({ maxRetries: 3, wait: 1, maxWait: 2 }, asking)).toEqual([0, 3000, 6000]);
  });

  it("is none where retryIf says that there is no further attempt, though the vendor asks for one", async () => {
    const asking = new RetryAfterError("busy", { retryAfterMs: 3000 });
    expect(await timesOf({ maxRetries: 3, wait: 1, retryIf: () => false }, asking)).toEqual([0]);
  });

  it("is as the vendor asks for where retryIf says that there is one", async () => {
    const asking = new RetryAfterError("busy", { retryAfterMs: 3000 });
    expect(await timesOf({ maxRetries: 2, retryIf: () => true }, asking)).toEqual([0, 3000]);
  });

  it.each([-1, Infinity, Number.NaN, "2", null])("is refused a `maxWait` of %o", (maxWait) => {
    class Summaries extends Node {}
    expect(() => new Summaries({ maxWait } as unknown as object)).toThrow(
      new RangeError(`Expected \`maxWait\` of Summaries to be a number of seconds, 0 or more, got \`${maxWait}\``),
    );
  });
});

describe("a branch whose node is not tried again", () => {
  it("has failed at once, and the others go on", async () => {
    const attempts: number[] = [];
    class Parse extends Node<unknown, { n: number }> {
      override exec() {
        attempts.push(this._params.n);
        throw this._params.n === 1 ? new SyntaxError("no JSON") : new Error("busy");
      }
      override execFallback(_: unknown, error: Error) {
        if (error instanceof SyntaxError) throw error;
      }
    }
    const log: string[] = [];
    class Each extends BatchFlow {
      override prep() {
        return range(3).map((n) => ({ n }));
      }
      override post(_: unknown, __: unknown, outcomes: unknown) {
        for (const outcome of outcomes as Outcome[]) log.push(outcome.ok ? "ended" : outcome.error.message);
      }
    }
    const parse = new Parse({ maxRetries: 2, retryIf: isNoSyntaxError });
    await new Each(parse, { onItemError: "collect" }).run({});
    expect(log).toEqual(["ended", "no JSON", "ended"]);
    expect(attempts).toEqual([0, 0, 1, 2, 2]);
  });
});
