import { describeType } from "./errors.ts";
import type { NodeKind } from "./node.ts";
import { checkFailurePolicy, type FailurePolicy } from "./tolerance.ts";

/** How a node uses a limit. */
export interface LimitUse<Item = unknown> {
  /** The limit's name, as `serve` knows it. */
  name: string;
  /** Whose budget an item uses: a tenant, an API key, a model. Each key has a whole budget of its own. Default: one for all. */
  key?(item: Item): string;
  /** How many tokens an item will use, at a guess; `settle` tells later what it was. Default: nothing is reserved. */
  tokens?(item: Item): number;
}

/** What a node may be told beside PocketFlow's two numbers. */
export interface NodeOptions<Item = unknown> extends FailurePolicy {
  /** The node's id in graphs, items and errors; its class's name otherwise. */
  name?: string;
  /** Attempts of exec in all, the first included; `Infinity` never gives up. Default 1. */
  maxRetries?: number;
  /** Seconds between two attempts. Default 0. */
  wait?: number;
  /** What `wait` is multiplied by after each further attempt. Default 1. */
  backoff?: number;
  /** Seconds that a wait grown by `backoff` is at most. Default: a day. What a vendor asks for may be longer. */
  maxWait?: number;
  /** The share of a wait that chance may take away, 0 to 1. Default 0. */
  jitter?: number;
  /**
   * Whether another attempt makes sense after an error; `false` ends the item's attempts at once, as a `NonRetryableError` does.
   * Called where exec ran, with what it threw. Default: always.
   *
   * @example new Summaries({ maxRetries: 5, retryIf: (error) => !(error instanceof SyntaxError) });
   */
  retryIf?(error: Error): boolean;
  /** How many items may be in exec at once; where there is a `batchSize`, calls. Default: all in memory, 16 in a durable run. */
  concurrency?: number;
  /**
   * Of a batch node: `execBatch` is called with up to so many items, instead of `exec` with one. A call counts once against a limit,
   * and its items' tokens together; items of different keys are never in one call. `maxRetries` counts calls.
   */
  batchSize?: number;
  /**
   * Of a node with a `batchSize`: a call that has failed for good is made again in two halves, and so on, until the items are alone
   * that fail by themselves; each half has all attempts anew. For N items, of which k are bad, at most
   * ⌈N / batchSize⌉ + k · (maxRetries · (d + 1) + d − 1) calls, with d = ⌈log2 batchSize⌉; fewer where exec says by a
   * `NonRetryableError` that no retry helps. Of a `BatchApiNode` a job is split that the vendor refuses or fails as a whole. Default `false`: all items of the call have failed.
   */
  split?: boolean;
  /** How many items one executor of a durable run holds at once. Default 6: the platform holds back a 7th outgoing connection. */
  perExecutor?: number;
  /** Seconds one attempt of exec may take, at most 540. Default: none in memory, 300 in a durable run. */
  timeout?: number;
  /** Where a durable run executes this node's items. Default: what `serve` says. */
  executor?: "object" | "queue";
  /**
   * The limits that each call of exec must keep to, all of them at once, in a durable run: names, or uses with a key and an
   * estimate of tokens. In memory there is nobody to share them with, and nothing is held back.
   *
   * @example new Summaries({ limit: { name: "llm", tokens: (text: string) => text.length / 4 } });
   */
  limit?: string | LimitUse<Item> | readonly (string | LimitUse<Item>)[];
}

/** What a flow may be told. */
export interface FlowOptions {
  /** The flow's id in graphs and errors; its class's name otherwise. */
  name?: string;
  /**
   * The most nodes that one walk through the flow may visit: a bound for loops. A walk that would visit one more fails. Each
   * branch of a batch flow is a walk of its own, and a nested flow is one step here and counts its own inside. Default: none.
   *
   * @example new Flow(decide, { maxSteps: 50 });
   */
  maxSteps?: number;
}

/** What a batch flow may be told. */
export interface BatchFlowOptions extends FlowOptions, FailurePolicy {
  /** How many branches of a parallel batch flow may be under way at once. Default: all. */
  concurrency?: number;
}

type Check = readonly [expected: string, holds: (value: number) => boolean];

const WHOLE: Check = ["a whole number of at least 1", (n) => Number.isInteger(n) && n >= 1];
const COUNT: Check = ["a whole number of at least 1, or Infinity", (n) => n === Infinity || WHOLE[1](n)];
const CHECKS: { readonly [key: string]: Check } = {
  maxRetries: COUNT,
  concurrency: WHOLE,
  maxSteps: WHOLE,
  perExecutor: WHOLE,
  batchSize: WHOLE,
  wait: ["a number of seconds, 0 or more", (n) => n >= 0 && n < Infinity],
  maxWait: ["a number of seconds, 0 or more", (n) => n >= 0 && n < Infinity],
  backoff: ["a factor of at least 1", (n) => n >= 1 && n < Infinity],
  jitter: ["a share from 0 to 1", (n) => n >= 0 && n <= 1],
  timeout: ["a number of seconds above 0 and up to 540", (n) => n > 0 && n <= 540],
};

/** Throws for the first option that cannot be meant, naming the node, the option and what came. */
export function checkOptions(owner: string, options: object, kind: NodeKind = "node"): void {
  checkFailurePolicy(owner, options, kind.includes("batch"));
  for (const [key, value] of Object.entries(options)) {
    const check = CHECKS[key];
    if (key === "executor") checkExecutor(owner, value);
    if (key === "limit") checkLimits(owner, value as NodeOptions["limit"]);
    if (key === "retryIf") checkRetryIf(owner, value);
    if (key === "batchSize" || key === "split") checkChunks(owner, options, kind.endsWith("batch"));
    if (value === undefined || !check) continue;
    const [expected, holds] = check;
    if (typeof value !== "number" || !holds(value)) {
      throw new RangeError(`Expected \`${key}\` of ${owner} to be ${expected}, got \`${String(value)}\``);
    }
  }
}

function checkExecutor(owner: string, value: unknown): void {
  if (value === undefined || value === "object" || value === "queue") return;
  throw new RangeError(`Expected \`executor\` of ${owner} to be "object" or "queue", got \`${String(value)}\``);
}

function checkChunks(owner: string, { batchSize, split }: NodeOptions, hasItems: boolean): void {
  if (batchSize !== undefined && !hasItems) {
    throw new TypeError(`Expected \`batchSize\` of a batch node, got it of ${owner}, which has no items`);
  }
  if (split === undefined || (typeof split === "boolean" && batchSize !== undefined)) return;
  const got = typeof split === "boolean" ? "it without a `batchSize`" : describeType(split);
  throw new TypeError(`Expected \`split\` of ${owner} to be true or false beside a \`batchSize\`, got ${got}`);
}

function checkRetryIf(owner: string, value: unknown): void {
  if (value === undefined || typeof value === "function") return;
  throw new TypeError(
    `Expected \`retryIf\` of ${owner} to be a function from an error to true or false, got ${describeType(value)}`,
  );
}

/** The limits that a node's options name, each as a use. */
export function limitsOf(limit: NodeOptions["limit"]): readonly LimitUse[] {
  const uses: readonly (string | LimitUse)[] = limit === undefined ? [] : [limit].flat();
  return uses.map((use) => (typeof use === "string" ? { name: use } : use));
}

function checkLimits(owner: string, limit: NodeOptions["limit"]): void {
  const names = new Set<string>();
  for (const use of limitsOf(limit)) {
    checkUse(owner, use);
    if (names.has(use.name)) {
      throw new RangeError(`Expected \`limit\` of ${owner} to name each limit once, got \`${use.name}\` twice`);
    }
    names.add(use.name);
  }
}

function checkUse(owner: string, use: unknown): void {
  const fields = (typeof use === "object" && use !== null ? use : {}) as { [field: string]: unknown };
  const wrong = Object.keys({ name: undefined, ...fields }).find((field) => !USE_CHECKS[field]?.(fields[field]));
  if (wrong === undefined) return;
  const got = Object.hasOwn(fields, wrong) ? `\`${wrong}\`: ${describeType(fields[wrong])}` : describeType(use);
  throw new TypeError(
    `Expected \`limit\` of ${owner} to be a limit's name, or \`{ name, key: (item) => …, tokens: (item) => … }\`, got ${got}`,
  );
}

const isFunction = (value: unknown) => value === undefined || typeof value === "function";
const USE_CHECKS: { readonly [field: string]: (value: unknown) => boolean } = {
  name: (value) => typeof value === "string" && value !== "",
  key: isFunction,
  tokens: isFunction,
};
