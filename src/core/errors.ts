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

/** An error as data: what crosses from an executor to its run, where an error's class is lost. */
export interface Failure {
  name: string;
  message: string;
  stack?: string;
  /** `false` when no retry can mend it. */
  retryable?: boolean;
  retryAfterMs?: number;
  status?: number;
}

/** A vendor may put a whole page into an error: so much of it is kept. */
const LONGEST_MESSAGE = 10_000;

/** Whatever was thrown, as data. Known by its fields, not by its class: an error may come from another isolate or realm. */
export function toFailure(thrown: unknown): Failure {
  if (!isErrorLike(thrown))
    return { name: "Error", message: `Expected an Error to be thrown, got ${describe(thrown)}` };
  const { name, message, stack, retryable, retryAfterMs, status } = thrown;
  return {
    name: typeof name === "string" ? name : "Error",
    message: message.slice(0, LONGEST_MESSAGE),
    ...(typeof stack === "string" ? { stack: stack.slice(0, LONGEST_MESSAGE) } : {}),
    ...(retryable === false ? { retryable } : {}),
    ...(isCount(retryAfterMs) ? { retryAfterMs } : {}),
    ...(isCount(status) ? { status } : {}),
  };
}

type ErrorLike = { message: string } & Partial<Record<keyof Failure, unknown>>;

function isErrorLike(value: unknown): value is ErrorLike {
  return typeof value === "object" && value !== null && "message" in value && typeof value.message === "string";
}

/** A thrown value that is no error. Objects are not printed: not every object can be. */
function describe(value: unknown): string {
  const type = describeType(value);
  return typeof value === "object" || value === undefined ? type : `${type}: ${String(value)}`;
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
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
