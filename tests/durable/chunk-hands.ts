import type { Failure } from "../../src/core/errors.ts";
import { Graph } from "../../src/core/graph.ts";
import type { Outcome } from "../../src/durable/outcome.ts";
import type { ClaimedItem, Order, Reply, RunPort } from "../../src/durable/protocol.ts";
import { overWire, type WirePort } from "../../src/durable/wire.ts";
import { chunkedFlows, type Piece } from "./chunk-pieces.ts";
import { ordersOf } from "./orders.ts";
import { stage } from "./stage.ts";
import { runOf, start } from "./support.ts";

function portOf(run: string): RunPort {
  return overWire(runOf(run) as unknown as WirePort);
}

/** What executors of flows with a `batchSize` say that they know. */
export function fingerprint(): string {
  return JSON.stringify({ ...new Graph(chunkedFlows["by hand, chunked"]()).shape(), hasChunks: true });
}

/** A run whose executor is the test itself. */
export class ChunkedByHand {
  readonly id: string;

  constructor(id: string) {
    this.id = id;
  }

  static async start(pieces: Piece[]): Promise<ChunkedByHand> {
    return new ChunkedByHand((await start("by hand, chunked", { pieces })).id);
  }

  async orders(count: number): Promise<Order[]> {
    await stage().until(() => ordersOf(this.id).length >= count);
    return ordersOf(this.id);
  }

  enter({ slot, wake }: Order, entry: string, shape = fingerprint()): Promise<Reply | null> {
    return portOf(this.id).enter({ slot, wake, delivery: 1, entry }, shape);
  }

  async entered(order: Order, entry: string): Promise<Hand> {
    const reply = await this.enter(order, entry);
    if (!reply) throw new Error(`The entry ${entry} was refused`);
    return new Hand(this.id, order, reply);
  }
}

export class Hand {
  readonly #run: string;
  readonly #slot: number;
  readonly #fence: number;
  received = 0;
  last: Reply;

  constructor(run: string, { slot }: Order, reply: Reply) {
    this.#run = run;
    this.#slot = slot;
    this.#fence = reply.fence;
    this.last = reply;
    this.received = reply.items.length;
  }

  /** The claims that the last answer brought. */
  get claims(): ClaimedItem[] {
    return this.last.items;
  }

  get claim(): ClaimedItem {
    const [claim] = this.claims;
    if (!claim) throw new Error("There is no claim");
    return claim;
  }

  /** The items of each claim that the last answer brought. */
  get given(): number[][] {
    return this.claims.map(({ chunk }) => chunk?.indexes ?? []);
  }

  async report(outcomes: Outcome[] = [], isClaiming = true): Promise<Reply> {
    const reply = await this.unheard(outcomes, isClaiming);
    this.received += reply.items.length;
    this.last = reply;
    return reply;
  }

  /** A report whose answer is lost on the way. */
  unheard(outcomes: Outcome[] = [], isClaiming = true): Promise<Reply> {
    const rest = { begun: [], emits: [], isIdle: false };
    return portOf(this.#run).report({
      ...{ slot: this.#slot, fence: this.#fence, received: this.received },
      ...{ outcomes, isClaiming, ...rest },
    });
  }
}

const idOf = ({ step, index, attempts, chunk }: ClaimedItem) => ({
  ...{ step, index, attempts },
  ...(chunk ? { end: chunk.end } : {}),
});
export const busy: Failure = { name: "Error", message: "busy" };
export const fatal: Failure = { name: "Error", message: "fatal", retryable: false };

/** A call has these results; where an item has a failure instead, that. */
export function partsOf(
  claim: ClaimedItem,
  failures: { [index: number]: Failure } = {},
  only: readonly number[] = claim.chunk?.indexes ?? [],
): Outcome {
  const parts = only.map((index) => [index, failures[index] ?? `j${10 * index}`] as const);
  return { ...idOf(claim), ok: true, parts };
}

/** As `partsOf`, and there is more to come. */
export function someOf(claim: ClaimedItem, only: readonly number[]): Outcome {
  return { ...partsOf(claim, {}, only), isMore: true } as Outcome;
}

export function failed(claim: ClaimedItem, failure: Failure = busy): Outcome {
  return { ...idOf(claim), ok: false, failure };
}
