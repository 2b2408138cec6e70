import { describe, expect, it } from "vitest";
import { type LimitOptions, serve } from "../../src/cloudflare.ts";
import { Flow, Node, type NodeOptions, ParallelBatchNode } from "../../src/index.ts";

function startWith(limit: unknown, name = "llm"): void {
  serve({ flows: {}, limits: { [name]: limit as LimitOptions } });
}

class Summaries extends ParallelBatchNode {}

/** Starts a Worker whose second node is told to use `limit`. */
function startUsing(limit: unknown, limits: { [name: string]: LimitOptions } = { llm: {}, search: {} }): void {
  const make = () => {
    const first = new Node({ name: "Plan" });
    first.next(new Summaries({ limit: limit as NonNullable<NodeOptions["limit"]> }));
    return new Flow(first);
  };
  serve({ flows: { summarize: make }, limits });
}

const COUNTS = ["requests", "tokens", "concurrency", "burst"];
const NO_COUNTS = [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, "5", null, true];

describe("a Worker does not start with a limit", () => {
  it.each(COUNTS.flatMap((option) => NO_COUNTS.map((value) => [option, value] as const)))(
    "whose `%s` is %s",
    (option, value) => {
      expect(() => startWith({ requests: 5, algorithm: "token-bucket", [option]: value })).toThrow(
        `Expected \`${option}\` of limit \`llm\` to be a whole number of at least 1, got \`${value}\``,
      );
    },
  );

  it.each(
    ["per", "giveUpAfter"].flatMap((option) =>
      ["0s", "0ms", "0.5ms", "-1s", "1", "", "s", "1 s", "1w", "1M", "32d", "Infinitys", 60, 0, Number.NaN].map(
        (value) => [option, value] as const,
      ),
    ),
  )("whose `%s` is `%s`", (option, value) => {
    expect(() => startWith({ requests: 5, [option]: value })).toThrow(
      `Expected \`${option}\` of limit \`llm\` to be a duration from "1ms" to "31d", such as "1s", "1m" or "1h", got \`${value}\``,
    );
  });

  it.each([-1, Number.NaN, Number.POSITIVE_INFINITY, "1s", null])("whose `transitMs` is `%s`", (value) => {
    expect(() => startWith({ requests: 5, transitMs: value })).toThrow(
      `Expected \`transitMs\` of limit \`llm\` to be a number of milliseconds, 0 or more, got \`${value}\``,
    );
  });

  it.each(["leaky", "", null, 1])("whose algorithm is `%s`", (algorithm) => {
    expect(() => startWith({ requests: 5, algorithm })).toThrow(
      `Expected \`algorithm\` of limit \`llm\` to be "sliding-window" or "token-bucket", got \`${algorithm}\``,
    );
  });

  it.each([
    ["a sliding window", { requests: 5, burst: 2 }],
    ["a sliding window that is named", { requests: 5, burst: 2, algorithm: "sliding-window" }],
    ["a bucket without requests", { tokens: 5, burst: 2, algorithm: "token-bucket" }],
  ])("that has a burst and is %s", (_, limit) => {
    expect(() => startWith(limit)).toThrow(
      'Expected `burst` of limit `llm` together with `requests` and `algorithm: "token-bucket"`',
    );
  });

  it.each(["request", "period", "periodMs", "key", "name"])("that has an option `%s`", (option) => {
    expect(() => startWith({ requests: 5, [option]: 5 })).toThrow(
      "Expected limit `llm` to have only the options requests, tokens, per, concurrency, algorithm, burst, transitMs, " +
        `giveUpAfter, got \`${option}\``,
    );
  });

  it.each([500, "500", null, undefined])("that is %s", (limit) => {
    expect(() => startWith(limit)).toThrow(
      `Expected limit \`llm\` to be an object such as \`{ requests: 500, per: "1m" }\`, got ${limit}`,
    );
  });

  it.each(["", "a/b", "a b", "ä", "x".repeat(65)])("of the name `%s`", (name) => {
    expect(() => startWith({ requests: 5 }, name)).toThrow(
      `Expected a limit's name to be up to 64 letters, digits, dots, dashes or underscores, got \`${name}\``,
    );
  });

  it("but with one that has what can be meant", () => {
    const bucket = { requests: 5, burst: 50, algorithm: "token-bucket" };
    for (const limit of [{}, { requests: 5 }, { tokens: 1, per: "31d" }, { concurrency: 1, per: "1ms" }, bucket]) {
      expect(() => startWith({ transitMs: 0, giveUpAfter: "1.5h", ...limit })).not.toThrow();
    }
    expect(() => startWith({}, "gpt-4.1_mini")).not.toThrow();
  });
});

describe("a Worker does not start with a node whose limit", () => {
  it.each<[string, unknown]>([
    ["a name", "lllm"],
    ["a use", { name: "lllm", key: () => "" }],
    ["one of several", ["search", "lllm"]],
  ])("serve does not know, in %s", (_, limit) => {
    expect(() => startUsing(limit)).toThrow(
      "Expected `limit` of node `Summaries` of flow `summarize` to be a limit that serve knows, got `lllm`; it knows: " +
        'llm, search. Add it: `serve({ limits: { lllm: { requests: 500, per: "1m" } } })`',
    );
  });

  it("serve does not know since it knows none", () => {
    expect(() => startUsing("llm", {})).toThrow("got `llm`; it knows: none. Add it: `serve({ limits: { llm: {");
  });

  it("serve does not know, in a flow within the flow", () => {
    const make = () => new Flow(new Flow(new Summaries({ limit: "llm", name: "Inner" })));
    expect(() => serve({ flows: { outer: make } })).toThrow(
      /Expected `limit` of node `(\S*\W)?Inner` of flow `outer` to be a limit that serve knows, got `llm`/,
    );
  });

  it.each<[string, unknown]>([
    ["as names", ["llm", "search", "llm"]],
    ["as a name and a use", ["llm", { name: "llm", tokens: () => 5 }]],
    [
      "under two keys",
      [
        { name: "llm", key: () => "a" },
        { name: "llm", key: () => "b" },
      ],
    ],
  ])("is named twice, %s", (_, limit) => {
    expect(() => startUsing(limit)).toThrow("Expected `limit` of Summaries to name each limit once, got `llm` twice");
  });

  it.each<[string, unknown, string]>([
    ["a number", 5, "got a number"],
    ["null", null, "got null"],
    ["a number among names", ["llm", 5], "got a number"],
    ["nothing among names", ["llm", undefined], "got undefined"],
    ["an empty name", "", "got "],
    ["a use with an empty name", { name: "" }, "got "],
    ["a use without a name", { key: () => "" }, "got "],
    ["a use whose key is no function", { name: "llm", key: "x" }, "got "],
    ["a use whose tokens are no function", { name: "llm", tokens: 100 }, "got "],
    ["a use with a field that it does not have", { name: "llm", requests: 5 }, "got `requests`"],
    ["a function", () => "llm", "got "],
  ])("is %s", (_, limit, got) => {
    const expected = "a limit's name, or `{ name, key: (item) => …, tokens: (item) => … }`";
    expect(() => startUsing(limit)).toThrow(`Expected \`limit\` of Summaries to be ${expected}, ${got}`);
  });

  it("but with one that can be meant", () => {
    const use = { name: "search", key: () => "", tokens: () => 5 };
    for (const limit of ["llm", use, [], ["llm", use]]) expect(() => startUsing(limit)).not.toThrow();
  });
});
