import {
  BatchNode,
  type ExecContext,
  Flow,
  type NodeOptions,
  type NonIterableObject,
  NonRetryableError,
  type Outcome,
  ParallelBatchFlow,
  ParallelBatchNode,
  RateLimitedError,
} from "../../src/index.ts";
import { stage } from "./stage.ts";

/** One item, and how calls with it go. */
export interface Piece {
  n: number;
  /** At so many attempts there is an Error in its place. */
  errors?: number;
  /** So many attempts at a call with it throw. */
  spoils?: number;
  /** What it throws says that no retry helps. */
  isFatal?: true;
  /** At so many attempts its call returns a result too few. */
  short?: number;
  /** So many calls with it are refused by their vendor. */
  refused?: number;
  /** `execFallback` has a result for it. */
  isForgiven?: true;
  /** Where its call waits. */
  gate?: string;
  /** Whose budget it uses, and how much of it. */
  key?: string;
  tokens?: number;
  text?: string;
  /** The length of its result. */
  length?: number;
}

export interface Pieced {
  pieces: Piece[];
  results?: unknown[];
  posts?: number;
}

/** A call that was made. */
export interface Made {
  key: string;
  attempt: number;
  retry: number;
  items: number[];
}

/** What the next deploy makes of the flows below, and what has been executed: for tests in the same isolate. */
export const chunked = {
  options: {} as NodeOptions<Piece>,
  /** The calls that began, and those of them that ended. */
  calls: [] as Made[],
  refusals: 0,
  settles: null as number | null,
  /** Nothing fails any more. */
  isMended: false,
};

/** Nothing is known of calls, and every node has these options. */
export function setOptions(options: NodeOptions<Piece>): void {
  Object.assign(chunked, { options, calls: [], refusals: 0, settles: null, isMended: false });
}

/** So many pieces, numbered from 0, each with what `more` says of it. */
export function pieces(count: number, more: { [n: number]: Partial<Piece> } = {}, all: Partial<Piece> = {}): Piece[] {
  return Array.from({ length: count }, (_, n) => ({ n, ...all, ...more[n] }));
}

const spoiled = ({ n, isFatal }: Piece) =>
  isFatal ? new NonRetryableError(`${n} spoils all`) : new Error(`${n} spoils all`);

function resultOf({ n, errors = 0, length }: Piece, attempt: number): number | string | Error {
  if (errors >= attempt && !chunked.isMended) return new Error(`${n} fails`);
  return length === undefined ? 10 * n : String(n).padEnd(length, "x");
}

function together(items: Piece[], retry: number, context: ExecContext): unknown {
  const { idempotencyKey: key, attempt } = context;
  const numbers = items.map(({ n }) => n);
  chunked.calls.push({ key, attempt, retry, items: numbers });
  stage().say(`call ${numbers.join(" ")}`);
  for (const n of numbers) stage().say(`start ${n}`);
  context.signal.addEventListener("abort", () => stage().say(`abort ${numbers.join(" ")}`));
  if (chunked.settles !== null) context.settle(chunked.settles);
  const end = () => {
    stage().say(`end ${numbers.join(" ")}`);
    const of = (times: (piece: Piece) => number | undefined) =>
      chunked.isMended ? undefined : items.find((piece) => (times(piece) ?? 0) >= attempt);
    const refused = chunked.isMended ? undefined : items.find((piece) => (piece.refused ?? 0) > chunked.refusals);
    if (refused) {
      chunked.refusals++;
      throw new RateLimitedError({ retryAfterMs: 0 });
    }
    const bad = of(({ spoils }) => spoils);
    if (bad) throw spoiled(bad);
    const results = items.map((piece) => resultOf(piece, attempt));
    return of(({ short }) => short) ? results.slice(1) : results;
  };
  const gates = items.flatMap(({ gate }) => gate ?? []);
  if (gates.length === 0) return end();
  return Promise.all(gates.map((gate) => stage().pass(gate))).then(end);
}

function fallback({ n, isForgiven }: Piece, error: Error): number {
  if (isForgiven) return -n - 1;
  throw error;
}

function finish(shared: Pieced, results: unknown[]): void {
  stage().say("post");
  shared.results = results.map((result) => {
    if (typeof result !== "object") return result;
    const outcome = result as Outcome;
    return outcome.ok ? outcome.value : outcome.error.message;
  });
  shared.posts = (shared.posts ?? 0) + 1;
}

export class Together extends ParallelBatchNode<Pieced, NonIterableObject, Piece, number> {
  override prep({ pieces }: Pieced) {
    return pieces;
  }
  /** Where the node has no `batchSize`. */
  override async exec(piece: Piece, context: ExecContext) {
    const [result] = (await together([piece], this.currentRetry, context)) as (number | Error)[];
    if (typeof result !== "number") throw result;
    return result;
  }
  override execBatch(items: Piece[], context: ExecContext) {
    return together(items, this.currentRetry, context) as number[];
  }
  override execFallback(piece: Piece, error: Error) {
    return fallback(piece, error);
  }
  override post(shared: Pieced, _: unknown, results: number[]): void | Promise<void> {
    finish(shared, results);
  }
}

export class InTurn extends BatchNode<Pieced, NonIterableObject, Piece, number> {
  override prep({ pieces }: Pieced) {
    return pieces;
  }
  override execBatch(items: Piece[], context: ExecContext) {
    return together(items, this.currentRetry, context) as number[];
  }
  override execFallback(piece: Piece, error: Error) {
    return fallback(piece, error);
  }
  override post(shared: Pieced, _: unknown, results: number[]) {
    finish(shared, results);
  }
}

/** A prep that gives its items one by one, and waits in between. */
class Streaming extends Together {
  override prep({ pieces }: Pieced) {
    return (async function* () {
      for (const piece of pieces) {
        if (piece.gate) {
          stage().say(`prep ${piece.n}`);
          await stage().pass(piece.gate);
        }
        const { gate: _, ...rest } = piece;
        yield rest;
      }
    })() as unknown as Piece[];
  }
}

/** Two branches: one has the items, and the other fails as soon as the test says so. */
class Strict extends Together {
  private get isWhole(): boolean {
    return (this._params as { isWhole: boolean }).isWhole;
  }
  override prep(shared: Pieced) {
    return this.isWhole ? shared.pieces : [];
  }
  override async post(shared: Pieced, _: unknown, results: number[]) {
    if (this.isWhole) return finish(shared, results);
    await stage().pass("fail");
    if (!chunked.isMended) throw new Error("the other branch failed");
  }
}

class Branches extends ParallelBatchFlow<Pieced> {
  override prep() {
    return [{ isWhole: true }, { isWhole: false }];
  }
}

export const chunkedFlows = {
  chunked: () => new Flow<Pieced>(new Together(chunked.options)),
  "chunked in turn": () => new Flow<Pieced>(new InTurn(chunked.options)),
  "chunked as they come": () => new Flow<Pieced>(new Streaming(chunked.options)),
  "chunked branches": () => new Branches(new Strict(chunked.options)),
  "by hand, chunked": () => new Flow<Pieced>(new Together(chunked.options)),
};
