import { cooldownMs, type HeadersLike } from "./cooldown.ts";
import { cooldownOf, isCount, isOutOfCredit, statusOf } from "./refusal.ts";

/**
 * An error that no retry can mend: exec goes to `execFallback` at once.
 *
 * @example throw new NonRetryableError("The vendor refused the prompt: it is longer than the model's context.", { status: 400 });
 */
export class NonRetryableError extends Error {
  override readonly name = "NonRetryableError";
  readonly retryable = false;
  readonly status: number | undefined;
  constructor(message: string, options: { cause?: unknown; status?: number } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.status = options.status;
  }
}

/**
 * An error that says when the next attempt makes sense. The next attempt waits at least `retryAfterMs`, even where the node's
 * own `wait` is shorter.
 *
 * @example throw new RetryAfterError("The vendor is busy.", { retryAfterMs: 2000, status: 503 });
 */
export class RetryAfterError extends Error {
  override readonly name = "RetryAfterError";
  readonly retryAfterMs: number;
  readonly status: number | undefined;
  constructor(message: string, options: { retryAfterMs: number; cause?: unknown; status?: number }) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.retryAfterMs = options.retryAfterMs;
    this.status = options.status;
  }
}

/**
 * The vendor refused a call for its rate limit (HTTP status 429). Where the node has a `limit`, all calls under the same key of
 * it wait for `retryAfterMs`, whichever run they belong to, and the refusal spends none of the item's attempts. Elsewhere the
 * next attempt waits, as after a `RetryAfterError`. An SDK's own error with status 429 does the same.
 *
 * @example throw new RateLimitedError({ retryAfterMs: 2000 });
 */
export class RateLimitedError extends Error {
  override readonly name = "RateLimitedError";
  readonly retryAfterMs: number | undefined;
  readonly status = 429;
  constructor(options: { retryAfterMs?: number | undefined; message?: string | undefined; cause?: unknown } = {}) {
    const { message = "The vendor refused the call for its rate limit.", cause } = options;
    super(message, cause === undefined ? undefined : { cause });
    this.retryAfterMs = options.retryAfterMs;
  }

  /**
   * The error for a response with status 429, with the wait that its headers ask for. A date among them counts from the
   * vendor's own clock, or from `nowMs` where the vendor does not tell its time.
   *
   * @example if (response.status === 429) throw RateLimitedError.from(response);
   */
  static from(
    response: { headers: HeadersLike },
    options: { nowMs?: number; message?: string } = {},
  ): RateLimitedError {
    const { nowMs, message } = options;
    return new RateLimitedError({ retryAfterMs: cooldownMs(response.headers, nowMs), message });
  }
}

/** An error as data: what crosses from an executor to its run, where an error's class is lost. */
export interface Failure {
  name: string;
  message: string;
  stack?: string;
  /** `false` when no retry can mend it. */
  retryable?: boolean;
  retryAfterMs?: number;
  /** The vendor refused the call for its rate limit, and waiting helps. */
  rateLimited?: true;
  status?: number;
}

/** A vendor may put a whole page into an error: so much of it is kept. */
const LONGEST_MESSAGE = 10_000;

/**
 * Whatever was thrown, as data. Known by its fields, not by its class: an error may come from another isolate or realm, or from
 * a vendor's SDK. `nowMs` is for a wait until a date; see `cooldownMs`.
 */
export function toFailure(thrown: unknown, nowMs?: number): Failure {
  if (!isErrorLike(thrown))
    return { name: "Error", message: `Expected an Error to be thrown, got ${describe(thrown)}` };
  const { name, message, stack } = thrown;
  const status = statusOf(thrown);
  return {
    name: typeof name === "string" ? name : "Error",
    message: message.slice(0, LONGEST_MESSAGE),
    ...(typeof stack === "string" ? { stack: stack.slice(0, LONGEST_MESSAGE) } : {}),
    ...hintsOf(thrown, status === 429 || name === "RateLimitedError", nowMs),
    ...(status === undefined ? {} : { status }),
  };
}

/** A failure as an Error once more. Of its class nothing is left but the name. */
export function errorOf({ name, message, stack, status }: Failure): Error {
  const error = new Error(message);
  error.name = name;
  if (stack !== undefined) error.stack = stack;
  return status === undefined ? error : Object.assign(error, { status });
}

/** What a retry needs to know. A refusal that no wait mends is no rate limit, or it would be waited for all the same. */
function hintsOf(thrown: ErrorLike, isRefused: boolean, nowMs: number | undefined): Hints {
  const { retryable, retryAfterMs } = thrown;
  const isFinal = retryable === false || (isRefused && isOutOfCredit(thrown));
  const waitMs = [retryAfterMs, isRefused ? cooldownOf(thrown, nowMs) : undefined].find(isCount);
  return {
    ...(isFinal ? { retryable: false } : {}),
    ...(isRefused && !isFinal ? { rateLimited: true } : {}),
    ...(waitMs === undefined ? {} : { retryAfterMs: waitMs }),
  };
}

type Hints = Pick<Failure, "retryable" | "rateLimited" | "retryAfterMs">;

type ErrorLike = { message: string } & Partial<Record<keyof Failure, unknown>>;

function isErrorLike(value: unknown): value is ErrorLike {
  return typeof value === "object" && value !== null && "message" in value && typeof value.message === "string";
}

/** A thrown value that is no error. Objects are not printed: not every object can be. */
function describe(value: unknown): string {
  const type = describeType(value);
  return typeof value === "object" || value === undefined ? type : `${type}: ${String(value)}`;
}

/** What a value is, in a word or two, for messages of the form "Expected …, got …". */
export function describeType(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  if (typeof value === "object") return nameOfObject(value);
  return value === undefined ? "undefined" : `a ${typeof value}`;
}

function nameOfObject(value: object): string {
  const name = value.constructor?.name;
  return name && name !== "Object" ? `an instance of ${name}` : "an object";
}
