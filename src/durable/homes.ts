import { DurableObject } from "cloudflare:workers";
import { pull } from "./executor.ts";
import type { Order, RunPort } from "./protocol.ts";
import type { Registry } from "./registry.ts";

// Where the pull loop lives, apart from the run's own object: an object of its own, and a queue consumer's invocation.

/** An executor object takes new items for five minutes and then hands over: the platform ends an alarm after fifteen. */
const OBJECT_CLAIM_MS = 5 * 60 * 1000;
/** A consumer's invocation is short, because the platform adds invocations only when a batch ends; its first shorter still. */
const QUEUE_CLAIM_MS = 15_000;
const QUEUE_FIRST_CLAIM_MS = 1_000;
const RETRY_MS = 5_000;

export type Connect = (run: string) => RunPort;

/**
 * The executor object of one slot. A wake is stored and sets the alarm; the alarm runs the loop, so that a restart of the
 * server runs it again by itself.
 */
export class ExecutorObject extends DurableObject {
  readonly #registry: Registry;
  readonly #connect: Connect;
  #nudge: (() => void) | undefined;

  constructor(ctx: DurableObjectState, env: Cloudflare.Env, registry: Registry, connect: Connect) {
    super(ctx, env);
    this.#registry = registry;
    this.#connect = connect;
  }

  /** A wake that arrives late must not take the place of a later one. */
  async wake(order: Order): Promise<void> {
    if ((this.ctx.storage.kv.get<Order>("order")?.wake ?? 0) > order.wake) return;
    this.ctx.storage.kv.put("order", order);
    await this.ctx.storage.setAlarm(Date.now());
  }

  /** There is more to do than the loop knows. Only a call: where no loop is running nothing is lost. */
  nudge(): void {
    this.#nudge?.();
  }

  /** The alarm is set again only at the end: set first, it would hold back this handler's own re-run after a crash. */
  override async alarm(): Promise<void> {
    const order = this.ctx.storage.kv.get<Order>("order");
    if (!order) return;
    const { version = null } = order;
    if (!this.#registry.has(order.flow, version)) return this.ctx.storage.deleteAll();
    const flow = this.#registry.make(order.flow, version);
    const connect = () => this.#connect(order.run);
    const linger = (rest: Promise<unknown>) => this.ctx.waitUntil(rest);
    const reach = (nudge: () => void) => {
      this.#nudge = nudge;
    };
    const ending = await pull({ order, flow, delivery: 1, claimMs: OBJECT_CLAIM_MS, connect, linger, reach });
    this.#nudge = undefined;
    if (ending === "lost") await this.ctx.storage.setAlarm(Date.now() + RETRY_MS);
    else if (this.#isLatest(order)) await this.ctx.storage.deleteAll();
  }

  /** Whether no other wake has come meanwhile: wiping the storage would swallow its alarm. */
  #isLatest({ wake }: Order): boolean {
    return this.ctx.storage.kv.get<Order>("order")?.wake === wake;
  }
}

/**
 * Works on a batch of wakes at once. A wake that meets no work is acknowledged like any other: it was only a call. The batch of
 * another queue is left to whoever else the Worker has for it.
 */
export async function consume(batch: MessageBatch, registry: Registry, connect: Connect): Promise<void> {
  if (!batch.messages.some(({ body }) => isOrder(body))) return;
  await Promise.all(batch.messages.map((message) => answer(message, registry, connect)));
}

async function answer(message: Message, registry: Registry, connect: Connect): Promise<void> {
  const order = message.body;
  if (!isOrder(order) || !registry.has(order.flow, order.version ?? null)) {
    console.error({ message: "A queue message is no wake of this Worker's flows", id: message.id });
    return message.retry();
  }
  const claimMs = order.wake === 1 ? QUEUE_FIRST_CLAIM_MS : QUEUE_CLAIM_MS;
  const flow = registry.make(order.flow, order.version ?? null);
  const lingering: Promise<unknown>[] = [];
  const ending = await pull({
    order,
    flow,
    delivery: message.attempts,
    claimMs,
    connect: () => connect(order.run),
    linger: (rest) => lingering.push(rest),
  });
  await Promise.allSettled(lingering);
  if (ending === "lost") message.retry();
  else message.ack();
}

function isOrder(body: unknown): body is Order {
  if (typeof body !== "object" || body === null) return false;
  const { run, flow, slot, wake, version } = body as { [key: string]: unknown };
  const isNamed = typeof run === "string" && typeof flow === "string" && typeof (version ?? "") === "string";
  return isNamed && typeof slot === "number" && typeof wake === "number";
}
