import { env, exports } from "cloudflare:workers";
import type { LimitOptions } from "./core/budget.ts";
import { consume, ExecutorObject } from "./durable/homes.ts";
import { type LimiterPort, type LimiterPorts, RateLimiterObject } from "./durable/limiter.ts";
import { Limits, objectNameOf } from "./durable/limits.ts";
import type { Order } from "./durable/protocol.ts";
import { type FlowEntries, Registry, type Retain } from "./durable/registry.ts";
import { FlowRunObject } from "./durable/run.ts";
import type { RunPorts } from "./durable/running.ts";
import { overWire, type WirePort } from "./durable/wire.ts";
import { LimitRoutes } from "./http/limits.ts";
import { routes } from "./http/routes.ts";

export interface ServeOptions {
  /** The flows that can be run, by name. */
  flows: { [name: string]: FlowEntries };
  /**
   * The budgets that runs share, by name: one for each vendor account. A node keeps to one by naming it (`limit: "llm"`).
   *
   * @example { llm: { requests: 500, tokens: 200_000, per: "1m", concurrency: 50 } }
   */
  limits?: { [name: string]: LimitOptions };
  /** Where batches are executed unless a node says otherwise: in `Executor` objects (the default), or by a queue's consumer. */
  executor?: "object" | "queue";
  /** For how long finished runs are kept, unless their flow says otherwise. Default: `{ completed: "30d", failed: "30d" }`. */
  retain?: Retain;
  /** The name of the queue binding through which a consumer is called. Default `EXECUTIONS`. */
  queue?: string;
}

type ObjectClass<T> = new (ctx: DurableObjectState, env: Cloudflare.Env) => T;

/** What a Worker exports: `export default app; export const { FlowRun, Executor, RateLimiter } = app`. */
export interface Served {
  fetch(request: Request, env: Cloudflare.Env, ctx: ExecutionContext): Response | Promise<Response>;
  queue(batch: MessageBatch): Promise<void>;
  FlowRun: ObjectClass<FlowRunObject>;
  Executor: ObjectClass<ExecutorObject>;
  RateLimiter: ObjectClass<RateLimiterObject>;
}

/**
 * Serves flows from a Worker: the HTTP API, the queue consumer, and the Durable Object classes behind them.
 *
 * Throws at start-up for a flow that cannot be run durably, naming the flow and the node, and for a limit that cannot be meant.
 *
 * @example
 * const app = serve({ flows: { summarize: () => new Flow(new Summaries({ maxRetries: 3, wait: 2 })) } });
 * export default app;
 * export const { FlowRun, Executor, RateLimiter } = app;
 */
export function serve(options: ServeOptions): Served {
  const { executor = "object", queue = "EXECUTIONS" } = options;
  const limits = new Limits(options.limits ?? {});
  const registry = new Registry(options.flows, { home: executor, limits: limits.names, retain: options.retain });
  const runOf = (id: string) => objectOf<FlowRunObject>("FlowRun", id);
  // The types of stubs know arrays, but no tuples.
  const connect = (id: string) => overWire(runOf(id) as unknown as WirePort);
  const executorOf = (run: string, slot: number) => objectOf<ExecutorObject>("Executor", `${run}/${slot}`);
  const limiterOf = (name: string) => objectOf<RateLimiterObject>("RateLimiter", name) as unknown as LimiterPort;
  const runPorts: RunPorts = {
    object: async (order) => executorOf(order.run, order.slot).wake(order),
    queue: async (order) => queueOf(queue).send(order),
    nudge: async (run, slot) => executorOf(run, slot).nudge(),
    exchange: async (place, request) => limiterOf(objectNameOf(place.limit, place.key)).exchange(place, request),
  };
  const limiterPorts: LimiterPorts = {
    tellRun: async (run, place, answer) => runOf(run).hear(place, answer),
    limiterOf,
  };
  let isDeclared = false;
  const checkDeclared = () => {
    if (isDeclared) return;
    for (const name of ["FlowRun", "Executor", "RateLimiter"]) namespaceOf(name);
    if (registry.uses("queue")) queueOf(queue);
    isDeclared = true;
  };
  const app = routes(registry, runOf, new LimitRoutes(limits, limiterOf), checkDeclared);
  return {
    fetch: (request, env, ctx) => app.fetch(request, env, ctx),
    queue: (batch) => consume(batch, registry, connect),
    FlowRun: class extends FlowRunObject {
      constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
        super(ctx, env, registry, runPorts);
      }
    },
    Executor: class extends ExecutorObject {
      constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
        super(ctx, env, registry, connect);
      }
    },
    RateLimiter: class extends RateLimiterObject {
      constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
        super(ctx, env, limits, limiterPorts);
      }
    },
  };
}

function objectOf<T extends Rpc.DurableObjectBranded>(name: string, id: string): DurableObjectStub<T> {
  return namespaceOf<T>(name).getByName(id);
}

function namespaceOf<T extends Rpc.DurableObjectBranded>(name: string): DurableObjectNamespace<T> {
  const namespace = (exports as { [name: string]: unknown })[name] as DurableObjectNamespace<T> | undefined;
  if (namespace?.getByName) return namespace;
  throw new Error(
    `Expected the Durable Object class ${name}, which this Worker does not declare. In the Worker: ` +
      `\`export const { FlowRun, Executor, RateLimiter } = app\`. In wrangler.toml:\n\n[exports.${name}]\ntype = "durable-object"\nstorage = "sqlite"\n`,
  );
}

function queueOf(binding: string): Queue<Order> {
  const queue = (env as { [name: string]: unknown })[binding] as Queue<Order> | undefined;
  if (queue?.send) return queue;
  throw new Error(
    `Expected the queue binding ${binding}, which this Worker does not have. In wrangler.toml:\n\n` +
      `[[queues.producers]]\nbinding = "${binding}"\nqueue = "executions"\n\n[[queues.consumers]]\nqueue = "executions"\nmax_batch_size = 1\n`,
  );
}
