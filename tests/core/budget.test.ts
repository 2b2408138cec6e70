import { describe, expect, it } from "vitest";
import { type BudgetChange, budgetOf, faultOf, type LimitOptions, transitMsOf } from "../../src/core/budget.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

describe("the options of a limit", () => {
  it("describe a budget, and need not be given", () => {
    expect(budgetOf("llm", {})).toEqual({
      requests: null,
      tokens: null,
      periodMs: 60_000,
      concurrency: null,
      algorithm: "sliding-window",
      burst: null,
      transitMs: null,
      giveUpAfterMs: 3_600_000,
    });
  });

  it("mean what they say", () => {
    const options: LimitOptions = {
      requests: 500,
      tokens: 200_000,
      per: "10s",
      concurrency: 50,
      algorithm: "token-bucket",
      burst: 20,
      transitMs: 250,
      giveUpAfter: "15m",
    };
    expect(budgetOf("llm", options)).toEqual({
      requests: 500,
      tokens: 200_000,
      periodMs: 10_000,
      concurrency: 50,
      algorithm: "token-bucket",
      burst: 20,
      transitMs: 250,
      giveUpAfterMs: 900_000,
    });
  });

  it("may be undefined one by one, which is the default", () => {
    const options: object = { requests: undefined, per: undefined, burst: undefined, transitMs: undefined };
    expect(budgetOf("llm", options)).toEqual(budgetOf("llm", {}));
  });

  it.each([
    ["1ms", 1],
    ["1.5s", 1500],
    ["2m", 120_000],
    ["0.5h", 1_800_000],
    ["31d", 31 * DAY_MS],
  ])("take %s for a period of %d ms", (per, periodMs) => {
    expect(budgetOf("llm", { per }).periodMs).toBe(periodMs);
  });

  it.each([
    ["120ms", 10],
    ["3s", 250],
    ["11400ms", 950],
    ["12s", 1000],
    ["1d", 1000],
  ])("allow a call of a limit per %s by default %d ms to reach the vendor", (per, transitMs) => {
    expect(transitMsOf(budgetOf("llm", { per }))).toBeCloseTo(transitMs, 9);
  });

  it("leave that to the period, whatever it is changed to", () => {
    const budget = budgetOf("llm", { per: "1m" });
    expect(transitMsOf({ ...budget, periodMs: 2400 })).toBeCloseTo(200, 9);
  });

  it.each([0, 5000])("allow a call %d ms if they say so", (transitMs) => {
    expect(transitMsOf(budgetOf("llm", { per: "1s", transitMs }))).toBe(transitMs);
  });

  it("let a bucket hold one period's requests where no burst is told, and count only tokens where none are", () => {
    expect(budgetOf("llm", { requests: 5, algorithm: "token-bucket" }).burst).toBeNull();
    expect(budgetOf("llm", { tokens: 5, algorithm: "token-bucket" }).requests).toBeNull();
  });

  describe.each(["requests", "tokens", "concurrency", "burst"])("refuse as %s", (key) => {
    it.each([0, -1, 1.5, Number.NaN, Infinity, 2 ** 53, "5", null])("%s", (value) => {
      expect(() => budgetOf("llm", { requests: 9, algorithm: "token-bucket", [key]: value })).toThrow(
        new RangeError(`Expected \`${key}\` of limit \`llm\` to be a whole number of at least 1, got \`${value}\``),
      );
    });
  });

  describe.each([
    ["per", (per: unknown) => ({ per })],
    ["giveUpAfter", (giveUpAfter: unknown) => ({ giveUpAfter })],
  ])("refuse as %s", (key, optionsOf) => {
    it.each(["", "1", "m", "0s", "0.5ms", "-1s", "1 m", "1M", "1w", "1e3s", "32d", "NaNs", "1s\n", 60])(
      "%o",
      (value) => {
        const expected = 'to be a duration from "1ms" to "31d", such as "1s", "1m" or "1h"';
        expect(() => budgetOf("llm", optionsOf(value) as LimitOptions)).toThrow(
          new RangeError(`Expected \`${key}\` of limit \`llm\` ${expected}, got \`${value}\``),
        );
      },
    );
  });

  it.each([-1, Number.NaN, Infinity, 32 * DAY_MS, "5", null])("refuse %s as transitMs", (transitMs) => {
    expect(() => budgetOf("llm", { transitMs } as LimitOptions)).toThrow(
      new RangeError(
        `Expected \`transitMs\` of limit \`llm\` to be a number of milliseconds, 0 or more, got \`${transitMs}\``,
      ),
    );
  });

  it("refuse an algorithm that is not known", () => {
    expect(() => budgetOf("llm", { algorithm: "leaky" } as object)).toThrow(
      new RangeError('Expected `algorithm` of limit `llm` to be "sliding-window" or "token-bucket", got `leaky`'),
    );
  });

  it.each<[string, LimitOptions]>([
    ["for a sliding window", { requests: 5, burst: 2 }],
    ["for a sliding window that is named", { requests: 5, burst: 2, algorithm: "sliding-window" }],
    ["without requests", { tokens: 5, burst: 2, algorithm: "token-bucket" }],
  ])("refuse a burst %s", (_, options) => {
    expect(() => budgetOf("llm", options)).toThrow(
      new RangeError(
        'Expected `burst` of limit `llm` together with `requests` and `algorithm: "token-bucket"`: a sliding window ' +
          "lets all of a period's requests begin at once as it is",
      ),
    );
  });

  it("refuse one that is misspelt, which would hold nothing back", () => {
    const known = "requests, tokens, per, concurrency, algorithm, burst, transitMs, giveUpAfter";
    expect(() => budgetOf("llm", { request: 5 } as object)).toThrow(
      new TypeError(`Expected limit \`llm\` to have only the options ${known}, got \`request\``),
    );
  });

  it.each([null, 500, "500/m"])("refuse %o in their place", (options) => {
    expect(() => budgetOf("llm", options as unknown as LimitOptions)).toThrow(
      new TypeError(`Expected limit \`llm\` to be an object such as \`{ requests: 500, per: "1m" }\`, got ${options}`),
    );
  });
});

describe("the name of a limit", () => {
  it.each(["a", "open-ai.gpt_5", "x".repeat(64)])("may be %s", (name) => {
    expect(() => budgetOf(name, {})).not.toThrow();
  });

  it.each(["", "x".repeat(65), "open ai", "a/b", "a\n", "ü"])("may not be %o", (name) => {
    expect(() => budgetOf(name, {})).toThrow(
      new RangeError(
        `Expected a limit's name to be up to 64 letters, digits, dots, dashes or underscores, got \`${name}\``,
      ),
    );
  });
});

describe("a change of a limit", () => {
  const KEYS: (keyof BudgetChange)[] = ["requests", "tokens", "periodMs", "concurrency"];

  it.each(KEYS)("may set %s to a whole number", (key) => {
    expect([1, 500, 31 * DAY_MS].map((value) => faultOf(key, value))).toEqual([undefined, undefined, undefined]);
  });

  it.each(["requests", "tokens", "concurrency"] as const)("may set %s to no other value", (key) => {
    expect([0, -1, 1.5, 2 ** 53, "5", null].map((value) => faultOf(key, value))).toEqual(
      ["0", "-1", "1.5", "9007199254740992", '"5"', "null"].map(
        (got) => `Expected \`${key}\` to be a whole number of at least 1, got ${got}`,
      ),
    );
    expect([Number.NaN, Infinity].map((value) => typeof faultOf(key, value))).toEqual(["string", "string"]);
  });

  it("may not set a period of more than 31 days", () => {
    expect([0, 31 * DAY_MS + 1].map((value) => faultOf("periodMs", value))).toEqual(
      ["0", "2678400001"].map(
        (got) => `Expected \`periodMs\` to be a whole number of at least 1 and at most 2678400000, got ${got}`,
      ),
    );
  });
});
