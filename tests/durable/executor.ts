import { runDurableObjectAlarm } from "cloudflare:test";
import { vi } from "vitest";
import { Graph } from "../../src/core/graph.ts";
import type { Order, Reply, Report, RunPort } from "../../src/durable/protocol.ts";
import { overWire, type WirePort } from "../../src/durable/wire.ts";
import { type Task, workFlows } from "./flows.ts";
import { ordersOf } from "./orders.ts";
import { stage } from "./stage.ts";
import { runOf, start } from "./support.ts";

type ByHand = Extract<keyof typeof workFlows, `by hand${string}`>;

/** What an executor reports: the items that succeeded and those that failed, by index. */
interface Told {
  done?: number[];
  failed?: number[];
  /** How often the failed ones had been tried before. */
  attempts?: number;
  retryable?: false;
  /** What each call says that it used. */
  tokens?: number;
  isClaiming?: boolean;
  received?: number;
}

function portOf(run: string): RunPort {
  return overWire(runOf(run) as unknown as WirePort);
}

/** A run whose executor is the test itself: it makes the two calls, as it likes. */
export class HandRun {
  readonly id: string;
  readonly #shape: string;

  constructor(id: string, flow: ByHand) {
    this.id = id;
    this.#shape = JSON.stringify(new Graph(workFlows[flow]()).shape());
  }

  static async start(flow: ByHand, tasks: Task[]): Promise<HandRun> {
    return new HandRun((await start(flow, { tasks })).id, flow);
  }

  /** The run's orders, once there are so many. */
  async orders(count: number): Promise<Order[]> {
    await stage().until(() => ordersOf(this.id).length >= count);
    return ordersOf(this.id);
  }

  /** An executor answers an order under a name of its own. */
  async enter({ slot, wake }: Order, entry: string, delivery = 1, shape = this.#shape): Promise<Reply | null> {
    return portOf(this.id).enter({ slot, wake, delivery, entry }, shape);
  }

  async entered(order: Order, entry: string, delivery = 1): Promise<HandExecutor> {
    const reply = await this.enter(order, entry, delivery);
    if (!reply) throw new Error(`The entry ${entry} was refused`);
    return new HandExecutor(this.id, order, reply);
  }
}

export class HandExecutor {
  readonly fence: number;
  readonly #run: string;
  readonly #order: Order;
  /** How often each item in hand had been tried before. */
  readonly hand = new Map<number, number>();
  received = 0;
  last: Reply;

  constructor(run: string, order: Order, reply: Reply) {
    this.#run = run;
    this.#order = order;
    this.fence = reply.fence;
    this.last = reply;
    this.#take(reply);
  }

  /** The indexes of the items that the last answer brought. */
  get given(): number[] {
    return this.last.items.map((item) => item.index);
  }

  async report(told: Told = {}): Promise<Reply> {
    const reply = await this.unheard(told);
    this.#take(reply);
    return reply;
  }

  /** A report whose answer is lost on the way. */
  async unheard({ done = [], failed = [], retryable, ...more }: Told): Promise<Reply> {
    const used = more.tokens === undefined ? {} : { tokens: more.tokens };
    const of = (index: number) => ({ step: 2, index, attempts: more.attempts ?? this.hand.get(index) ?? 0, ...used });
    const failure = { name: "Error", message: "busy", ...(retryable === false ? { retryable } : {}) };
    const report: Report = {
      slot: this.#order.slot,
      fence: this.fence,
      outcomes: [
        ...done.map((index) => ({ ...of(index), ok: true as const, body: `j${10 * index}` })),
        ...failed.map((index) => ({ ...of(index), ok: false as const, failure })),
      ],
      isClaiming: more.isClaiming ?? true,
      received: more.received ?? this.received,
      begun: [],
      emits: [],
      isIdle: false,
    };
    return portOf(this.#run).report(report);
  }

  #take(reply: Reply): void {
    this.last = reply;
    this.received += reply.items.length;
    for (const { index, attempts } of reply.items) this.hand.set(index, attempts);
  }
}

/** A clock that tests may put forward. */
export class Clock {
  #aheadMs = 0;

  constructor() {
    const now = Date.now.bind(Date);
    vi.spyOn(Date, "now").mockImplementation(() => now() + this.#aheadMs);
  }

  forward(ms: number): void {
    this.#aheadMs += ms;
  }

  /** Lets a run's heartbeats pass at their own pace: one that hears nothing for longer believes that it was away itself. */
  async pass(run: string, ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 4000) {
      this.forward(Math.min(left, 4000));
      await runDurableObjectAlarm(runOf(run));
    }
  }
}
