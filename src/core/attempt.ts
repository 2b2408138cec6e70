import { isThenable } from "./turn.ts";

/** What exec is told beside its item. */
export interface ExecContext {
  /** Aborted when the attempt's time is up, or its run's, or that was canceled. */
  readonly signal: AbortSignal;
  /** Which attempt this is, from 1. A redrive begins anew. */
  readonly attempt: number;
  /** The same for one attempt of one item however often a crash repeats it, another for each retry and redrive. */
  readonly idempotencyKey: string;
  /**
   * Says how many tokens this call has used in all: its run counts them. A limit takes the node's estimate for it until then, and
   * gives back or claims the difference. The latest word counts.
   *
   * @example context.settle(response.usage.total_tokens);
   */
  settle(tokens: number): void;
  /**
   * Tells whoever follows the run how far this item is. Does nothing where nobody does.
   *
   * @example context.emit({ receivedTokens: 120 });
   */
  emit(data: unknown): void;
}

/** One attempt of exec. Its signal is made when it is first asked for: most execs never do. */
export class Attempt implements ExecContext {
  readonly idempotencyKey: string;
  readonly attempt: number;
  /** What exec said that it used; nothing if it said nothing. */
  usedTokens: number | null = null;
  readonly #onEmit: ((data: unknown) => void) | undefined;
  #controller: AbortController | undefined;

  constructor(idempotencyKey: string, attempt: number, onEmit?: (data: unknown) => void) {
    this.idempotencyKey = idempotencyKey;
    this.attempt = attempt;
    this.#onEmit = onEmit;
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    return this.#controller.signal;
  }

  settle(tokens: number): void {
    if (typeof tokens !== "number" || !(tokens >= 0 && tokens < Number.POSITIVE_INFINITY)) {
      throw new RangeError(`Expected \`settle\` to be told a number of tokens, 0 or more, got \`${String(tokens)}\``);
    }
    this.usedTokens = Math.ceil(tokens);
  }

  emit(data: unknown): void {
    this.#onEmit?.(data);
  }

  abort(reason: Error): void {
    this.#controller ??= new AbortController();
    this.#controller.abort(reason);
  }
}

/** Names one visit of a node in memory: no two visits may share an idempotency key. */
export function visitId(): string {
  return `memory-${Math.random().toString(36).slice(2)}`;
}

interface Executable {
  exec(item: unknown, context: ExecContext): unknown;
}

/**
 * Calls exec, and gives up on it after `timeoutSec`: the signal is aborted and the attempt has failed, whether or not exec
 * listens. An exec that does not suspend cannot be timed out; the platform's CPU limit bounds it.
 */
export function callExec(node: Executable, item: unknown, attempt: Attempt, timeoutSec: number | undefined): unknown {
  const called = node.exec(item, attempt);
  return timeoutSec === undefined ? called : inTime("exec", called, attempt, timeoutSec);
}

/** What a hook returned, if it comes within `timeoutSec`; an error else. */
export function inTime(hook: string, called: unknown, attempt: Attempt, timeoutSec: number): unknown {
  if (!isThenable(called)) return called;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      const error = new Error(`${hook} did not end within its timeout of ${timeoutSec} s`);
      error.name = "TimeoutError";
      attempt.abort(error);
      reject(error);
    }, timeoutSec * 1000);
    const endWith = (settle: (outcome: unknown) => void) => (outcome: unknown) => {
      clearTimeout(timer);
      settle(outcome);
    };
    called.then(endWith(resolve), endWith(reject));
  });
}

/** A longer timer of JavaScript ends at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export async function sleep(delayMs: number): Promise<void> {
  await alarmClock(delayMs).rings;
}

/** A timer of any length that may be stopped. */
export function alarmClock(delayMs: number): { rings: Promise<void>; stop(): void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  let timer: ReturnType<typeof setTimeout>;
  const wait = (leftMs: number) => {
    if (leftMs <= 0) return resolve();
    const ms = Math.min(leftMs, LONGEST_TIMER_MS);
    timer = setTimeout(() => wait(leftMs - ms), ms);
  };
  wait(delayMs);
  return { rings: promise, stop: () => clearTimeout(timer) };
}
