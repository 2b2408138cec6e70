import { describe, expect, test } from "vitest";
import { budgetOf } from "../../src/core/budget.ts";
import { estimateTokens, type LimitSettings, limitsOf } from "../../worker/limits.ts";

describe("the limits that the variables describe", () => {
  test("have no bounds without variables, and are there all the same", () => {
    expect(limitsOf({})).toStrictEqual({ llm: { per: "60000ms" } });
    expect(limitsOf({ LLM_REQUESTS_PER_MINUTE: "", LLM_CONCURRENCY: " ", LLM_PERIOD_MS: undefined })).toEqual(
      limitsOf({}),
    );
  });

  test.each([
    [{ LLM_REQUESTS_PER_MINUTE: "500" }, { requests: 500, per: "60000ms" }],
    [{ LLM_TOKENS_PER_MINUTE: "200000" }, { tokens: 200_000, per: "60000ms" }],
    [{ LLM_CONCURRENCY: "50" }, { concurrency: 50, per: "60000ms" }],
    [
      { LLM_REQUESTS_PER_MINUTE: "20", LLM_PERIOD_MS: "2000" },
      { requests: 20, per: "2000ms" },
    ],
    [
      { LLM_REQUESTS_PER_MINUTE: 500, LLM_PERIOD_MS: 1000 },
      { requests: 500, per: "1000ms" },
    ],
    [{ LLM_CONCURRENCY: " 50\n" }, { concurrency: 50, per: "60000ms" }],
  ])("of %j are %j", (settings, llm) => {
    expect(limitsOf(settings)).toEqual({ llm });
    expect(budgetOf("llm", llm)).toMatchObject({ periodMs: Number.parseInt(llm.per, 10) });
  });

  describe.each([
    "LLM_REQUESTS_PER_MINUTE",
    "LLM_TOKENS_PER_MINUTE",
    "LLM_CONCURRENCY",
    "LLM_PERIOD_MS",
  ] satisfies (keyof LimitSettings)[])("%s", (name) => {
    test.each(["0", "-1", "1.5", "many", "1e3", "0x10", "Infinity", "500 per minute", "9".repeat(20), 0, -1, 1.5])(
      "is refused as %j, by its name",
      (value) => {
        const message = `Expected \`${name}\` to be a whole number of at least 1, got \`${value}\``;
        expect(() => limitsOf({ [name]: value })).toThrow(new RangeError(message));
      },
    );

    test("is refused without what came where that may be a key", () => {
      const message = `Expected \`${name}\` to be a whole number of at least 1, got 24 characters`;
      expect(() => limitsOf({ [name]: `sk-${"secret".repeat(3)}abc` })).toThrow(new RangeError(message));
    });
  });
});

describe("the tokens that a text is estimated at", () => {
  test("are the answer's, and one for each four characters", () => {
    const answer = estimateTokens("");
    expect(answer).toBeGreaterThan(0);
    expect(estimateTokens("x".repeat(4000))).toBe(answer + 1000);
  });

  test("are whole", () => {
    expect(estimateTokens("x")).toBe(estimateTokens("") + 1);
  });
});
