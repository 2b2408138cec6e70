import { durationMs } from "./duration.ts";

/** A named budget that runs share, as `serve` is told it. */
export interface LimitOptions {
  /** Calls of exec that may begin in one period. */
  requests?: number;
  /** Tokens that may be used in one period. */
  tokens?: number;
  /** The period: a number with `ms`, `s`, `m`, `h` or `d`. Default `"1m"`. */
  per?: string;
  /** Calls of exec that may be under way at once. */
  concurrency?: number;
  /**
   * How the vendor counts. `"sliding-window"`, the default, never lets more than `requests` begin in any window of the period;
   * `"token-bucket"` lets `burst` begin at once and refills evenly.
   */
  algorithm?: Algorithm;
  /** Requests that a token bucket holds when it is full. Default: `requests`. */
  burst?: number;
  /**
   * Milliseconds within which a call that has begun reaches the vendor. It occupies the window from its end, or from so long
   * after it began, whichever is earlier: a call that is longer on its way may share a window with later ones. Default: one
   * second, but no more than a twelfth of the period.
   */
  transitMs?: number;
  /** After refusals for so long without one success a refusal spends an attempt. Written as `per` is. Default `"1h"`. */
  giveUpAfter?: string;
}

/** In characters: the key of a limit is part of an object's name. */
export const LONGEST_KEY = 200;

export type Algorithm = "sliding-window" | "token-bucket";

/** What a limit allows. `null` stands for no bound. */
export interface Budget {
  requests: number | null;
  tokens: number | null;
  periodMs: number;
  concurrency: number | null;
  algorithm: Algorithm;
  /** Requests that a token bucket holds. */
  burst: number | null;
  /** Nothing stands for a share of the period, whatever that is changed to. */
  transitMs: number | null;
  giveUpAfterMs: number;
}

/** What may be changed while runs go on. */
export type BudgetChange = Partial<Pick<Budget, "requests" | "tokens" | "periodMs" | "concurrency">>;

const LONGEST_DAYS = 31;
export const LONGEST_PERIOD_MS = LONGEST_DAYS * 86_400_000;
const LONGEST_TRANSIT_MS = 1000;
/** The share of the period that a call's way to the vendor may take by default. */
const TRANSIT_SHARE = 1 / 12;
const NAME = /^[\w.-]{1,64}$/;

/**
 * The budget that a limit's options describe. Throws for what cannot be meant, naming the limit and the option.
 *
 * @example budgetOf("llm", { requests: 500, tokens: 200_000, per: "1m", concurrency: 50 });
 */
export function budgetOf(name: string, options: LimitOptions): Budget {
  if (!NAME.test(name)) {
    throw new RangeError(
      `Expected a limit's name to be up to 64 letters, digits, dots, dashes or underscores, got \`${name}\``,
    );
  }
  const owner = `limit \`${name}\``;
  checkKnown(owner, options);
  for (const key of ["requests", "tokens", "concurrency", "burst"] as const) checkCount(owner, key, options[key]);
  const algorithm = checkAlgorithm(owner, options);
  const periodMs = durationMs(owner, "per", options.per === undefined ? "1m" : options.per, LONGEST_DAYS);
  return {
    requests: options.requests ?? null,
    tokens: options.tokens ?? null,
    periodMs,
    concurrency: options.concurrency ?? null,
    algorithm,
    burst: options.burst ?? null,
    transitMs: checkTransit(owner, options.transitMs) ?? null,
    giveUpAfterMs: durationMs(
      owner,
      "giveUpAfter",
      options.giveUpAfter === undefined ? "1h" : options.giveUpAfter,
      LONGEST_DAYS,
    ),
  };
}

/** Within how long a call that has begun reaches the vendor. */
export function transitMsOf({ transitMs, periodMs }: Budget): number {
  return transitMs ?? Math.min(LONGEST_TRANSIT_MS, periodMs * TRANSIT_SHARE);
}

/** What is wrong with one value of a change, or nothing. */
export function faultOf(key: keyof BudgetChange, value: unknown): string | undefined {
  const most = key === "periodMs" ? LONGEST_PERIOD_MS : Number.MAX_SAFE_INTEGER;
  if (Number.isInteger(value) && (value as number) >= 1 && (value as number) <= most) return undefined;
  const bound = key === "periodMs" ? ` and at most ${LONGEST_PERIOD_MS}` : "";
  return `Expected \`${key}\` to be a whole number of at least 1${bound}, got ${JSON.stringify(value)}`;
}

const OPTIONS: readonly string[] = [
  "requests",
  "tokens",
  "per",
  "concurrency",
  "algorithm",
  "burst",
  "transitMs",
  "giveUpAfter",
] satisfies (keyof LimitOptions)[];

/** A misspelt option would be a limit that holds nothing back. */
function checkKnown(owner: string, options: LimitOptions): void {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`Expected ${owner} to be an object such as \`{ requests: 500, per: "1m" }\`, got ${options}`);
  }
  const unknown = Object.keys(options).find((key) => !OPTIONS.includes(key));
  if (unknown === undefined) return;
  throw new TypeError(`Expected ${owner} to have only the options ${OPTIONS.join(", ")}, got \`${unknown}\``);
}

function checkCount(owner: string, key: string, value: unknown): void {
  if (value === undefined || (Number.isSafeInteger(value) && (value as number) >= 1)) return;
  throw new RangeError(`Expected \`${key}\` of ${owner} to be a whole number of at least 1, got \`${String(value)}\``);
}

function checkAlgorithm(owner: string, { algorithm = "sliding-window", burst, requests }: LimitOptions): Algorithm {
  if (algorithm !== "sliding-window" && algorithm !== "token-bucket") {
    const known = '"sliding-window" or "token-bucket"';
    throw new RangeError(`Expected \`algorithm\` of ${owner} to be ${known}, got \`${String(algorithm)}\``);
  }
  if (burst !== undefined && (algorithm !== "token-bucket" || requests === undefined)) {
    throw new RangeError(
      `Expected \`burst\` of ${owner} together with \`requests\` and \`algorithm: "token-bucket"\`: a sliding window lets ` +
        "all of a period's requests begin at once as it is",
    );
  }
  return algorithm;
}

function checkTransit(owner: string, value: unknown): number | undefined {
  if (value === undefined || (typeof value === "number" && value >= 0 && value <= LONGEST_PERIOD_MS)) return value;
  throw new RangeError(
    `Expected \`transitMs\` of ${owner} to be a number of milliseconds, 0 or more, got \`${String(value)}\``,
  );
}
