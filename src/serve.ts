import { env, exports } from "cloudflare:workers";
import { Hono, type MiddlewareHandler } from "hono";
import type { LimitOptions } from "./core/budget.ts";
import { consume, ExecutorObject } from "./durable/homes.ts";
import type { IndexQuery } from "./durable/index-entry.ts";
import { type LimiterPort, type LimiterPorts, RateLimiterObject } from "./durable/limiter.ts";
import { Limits, objectNameOf } from "./durable/limits.ts";
import type { OutboxPorts } from "./durable/outbox.ts";
import type { Order } from "./durable/protocol.ts";
import { type Fitting, type FlowEntries, Registry, type Retain } from "./durable/registry.ts";
import { FlowRunObject } from "./durable/run.ts";
import { RunIndexObject } from "./durable/run-index.ts";
import type { RunPorts } from "./durable/running.ts";
import { overWire, type WirePort } from "./durable/wire.ts";
import { bearer } from "./http/auth.ts";
import { callObject } from "./http/call.ts";
import { LimitRoutes } from "./http/limits.ts";
import { Problem, problemResponse } from "./http/problem.ts";
import { queueView } from "./http/queue.ts";
import { routes } from "./http/routes.ts";
import { Runs } from "./http/runs.ts";
import { Starter } from "./http/starter.ts";
import { type CallbackOptions, Callbacks } from "./triggers/callbacks.ts";
import { type Crons as CronEntries, CronTable } from "./triggers/cron-table.ts";
import { Crons } from "./triggers/crons.ts";
import { pokeOverdue } from "./triggers/watchdog.ts";
import { type WebhookEntry, Webhooks } from "./triggers/webhooks.ts";

type Flows = { [name: string]: FlowEntries };

export interface ServeOptions<F extends Flows = Flows> {
  /** The flows that can be run, by name. */
  flows: F & Fitting<F>;
  /**
   * The budgets that runs share, by name: one for each vendor account. A node keeps to one by naming it (`limit: "llm"`).
   *
   * @example { llm: { requests: 500, tokens: 200_000, per: "1m", concurrency: 50 } }
   */
  limits?: { [name: string]: LimitOptions };
  /**
   * Flows that the clock starts, by cron expression (UTC). Each expression must be among the crons of wrangler.toml as well.
   *
   * @example { "0 6 * * *": { flow: "digest", input: (scheduledTime) => ({ until: scheduledTime }), overlap: "skip" } }
   */
  crons?: CronEntries;
  /** The crons of wrangler.toml, where the Worker knows them: what differs from `crons` is then reported at start-up. */
  triggers?: readonly string[];
  /**
   * Flows that deliveries of others start, by the name under `/webhooks/`.
   *
   * @example { orders: { verify: standardWebhooks({ secret: env.ORDERS_SECRET }), flow: "order" } }
   */
  webhooks?: { [name: string]: WebhookEntry };
  /** How runs that were started with a callback tell it of their end. Without it no run can have one. */
  callbacks?: CallbackOptions;
  /** Who may call: a Hono middleware. Default: who sends `Authorization: Bearer <API_TOKEN>`. */
  auth?: MiddlewareHandler;
  /** Where batches are executed unless a node says otherwise: in `Executor` objects (the default), or by a queue's consumer. */
  executor?: "object" | "queue";
  /** For how long finished runs are kept, unless their flow says otherwise. Default: `{ completed: "30d", failed: "30d" }`. */
  retain?: Retain;
  /**
   * The name of the queue binding through which a consumer is called. Default `EXECUTIONS`. A binding of that name and `_DEAD`, to its
   * dead letter queue, has the page show what was given up.
   */
  queue?: string;
}

type ObjectClass<T> = new (ctx: DurableObjectState, env: Cloudflare.Env) => T;

/** The HTTP API as a Hono app, to be mounted in another, and for the types of a client. */
export type Routes = ReturnType<typeof routes>;

/** What a Worker exports: `export default app; export const { FlowRun, Executor, RateLimiter, RunIndex } = app`. */
export interface Served {
  fetch(request: Request, env: Cloudflare.Env, ctx: ExecutionContext): Response | Promise<Response>;
  /** Messages that are not its own it leaves alone. */
  queue(batch: MessageBatch): Promise<void>;
  /** Starts what the cron table says, and nothing for other crons. Every time, it also wakes runs that the platform has lost. */
  scheduled(controller: ScheduledController): Promise<void>;
  /**
   * The HTTP API, to be mounted in an app of one's own.
   *
   * @example new Hono().route("/jobs", app.routes);
   */
  routes: Routes;
  FlowRun: ObjectClass<FlowRunObject>;
  Executor: ObjectClass<ExecutorObject>;
  RateLimiter: ObjectClass<RateLimiterObject>;
  RunIndex: ObjectClass<RunIndexObject>;
}

const CLASSES = ["FlowRun", "Executor", "RateLimiter", "RunIndex"] as const;
/** With this cron in wrangler.toml lost runs are looked for every minute. */
const WATCHDOG = "* * * * *";
/** There is one, so its name says only what it is of. */
const INDEX = "runs";

/**
 * Serves flows from a Worker: the HTTP API, crons and webhooks, the queue consumer, and the Durable Object classes behind them.
 *
 * Throws at start-up for a flow that cannot be run durably, naming the flow and the node, and for a limit, a cron or a webhook
 * that cannot be meant.
 *
 * @example
 * const app = serve({ flows: { summarize: () => new Flow(new Summaries({ maxRetries: 3, wait: 2 })) } });
 * export default app;
 * export const { FlowRun, Executor, RateLimiter, RunIndex } = app;
 */
export function serve<const F extends Flows>(options: ServeOptions<F>): Served {
  const { executor = "object", queue = "EXECUTIONS", auth = bearer } = options;
  if (typeof auth !== "function") throw new TypeError("Expected `auth` to be a Hono middleware: a function");
  const limits = new Limits(options.limits ?? {});
  const registry = new Registry(options.flows, { home: executor, limits: limits.names, retain: options.retain });
  const callbacks = new Callbacks(options.callbacks);
  const runOf = (id: string) => objectOf<FlowRunObject>("FlowRun", id);
  // The types of stubs know arrays, but no tuples.
  const connect = (id: string) => overWire(runOf(id) as unknown as WirePort);
  const executorOf = (run: string, slot: number) => objectOf<ExecutorObject>("Executor", `${run}/${slot}`);
  const limiterOf = (name: string) => objectOf<RateLimiterObject>("RateLimiter", name) as unknown as LimiterPort;
  const index = <T>(call: (index: DurableObjectStub<RunIndexObject>) => Promise<T>) =>
    callObject(() => objectOf<RunIndexObject>("RunIndex", INDEX), call);
  const runPorts: RunPorts & OutboxPorts = {
    object: async (order) => executorOf(order.run, order.slot).wake(order),
    queue: async (order) => queueOf(queue).send(order),
    nudge: async (run, slot) => executorOf(run, slot).nudge(),
    exchange: async (place, request) => limiterOf(objectNameOf(place.limit, place.key)).exchange(place, request),
    index: {
      put: (entry) => index((runs) => runs.put(entry)),
      remove: (id, createdMs) => index((runs) => runs.remove(id, createdMs)),
    },
    send: (message) => callbacks.send(message),
  };
  const limiterPorts: LimiterPorts = {
    tellRun: async (run, place, answer) => runOf(run).hear(place, answer),
    limiterOf,
  };
  let isDeclared = false;
  const checkDeclared = () => {
    if (isDeclared) return;
    for (const name of CLASSES) namespaceOf(name);
    if (registry.uses("queue")) queueOf(queue);
    isDeclared = true;
  };
  const runs = new Runs(runOf);
  const starter = new Starter(registry, runs, (url) => callbacks.check(url));
  const crons = new Crons(cronTable(options, registry), starter, runs, {
    crons: () => index((runs) => runs.crons()),
    fired: (name, scheduledMs, run, after) => index((runs) => runs.fired(name, scheduledMs, run, after)),
    started: (name, run) => index((runs) => runs.started(name, run)),
    skipped: (name, scheduledMs) => index((runs) => runs.skipped(name, scheduledMs)),
  });
  const webhooks = new Webhooks(options.webhooks ?? {}, registry, starter);
  const list = (query: IndexQuery) => index((runs) => runs.list(query));
  const limitRoutes = new LimitRoutes(limits, limiterOf);
  const doors = {
    registry,
    runs,
    limits: limitRoutes,
    starter,
    crons,
    webhooks,
    queue: () => queueView(queue),
    list,
    watch: index,
    auth,
    checkDeclared,
  };
  const api = routes(doors);
  const app = standalone(api, auth);
  return {
    fetch: (request, env, ctx) => app.fetch(request, env, ctx),
    queue: (batch) => consume(batch, registry, connect),
    async scheduled({ cron, scheduledTime }) {
      checkDeclared();
      const watched = {
        overdue: (beforeMs: number, most: number) => index((runs) => runs.overdue(beforeMs, most)),
        remove: (id: string, createdMs: number) => index((runs) => runs.remove(id, createdMs)),
      };
      const poked = pokeOverdue(watched, (id) => runs.call(id, (run) => run.poke()), Date.now());
      const done = await Promise.allSettled([crons.fire(cron, scheduledTime), poked]);
      // The platform repeats a handler that has thrown. Both are safe to repeat.
      for (const each of done) if (each.status === "rejected") throw each.reason;
    },
    routes: api,
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
    RunIndex: RunIndexObject,
  };
}

/** The API where nothing else is served: a path that there is not is told to those alone who may call. */
function standalone(api: Routes, auth: MiddlewareHandler): Hono {
  return new Hono()
    .onError((error) => problemResponse(error))
    .notFound((context) => problemResponse(new Problem(404, `There is no ${context.req.method} ${context.req.path}`)))
    .route("/", api)
    .use("*", auth);
}

function cronTable({ crons = {}, triggers }: Pick<ServeOptions, "crons" | "triggers">, registry: Registry): CronTable {
  const isWatched = triggers?.includes(WATCHDOG) ?? true;
  const table = new CronTable(
    crons,
    registry.names,
    triggers?.filter((each) => each !== WATCHDOG || each in crons),
  );
  for (const message of table.mismatches) console.warn({ message });
  if (!isWatched) {
    const message = `wrangler.toml has no cron \`${WATCHDOG}\`: runs that the platform has lost wait for another cron to be found`;
    console.warn({ message });
  }
  return table;
}

function objectOf<T extends Rpc.DurableObjectBranded>(name: string, id: string): DurableObjectStub<T> {
  return namespaceOf<T>(name).getByName(id);
}

function namespaceOf<T extends Rpc.DurableObjectBranded>(name: string): DurableObjectNamespace<T> {
  const namespace = (exports as { [name: string]: unknown })[name] as DurableObjectNamespace<T> | undefined;
  if (namespace?.getByName) return namespace;
  throw new Problem(
    503,
    `Expected the Durable Object class ${name}, which this Worker does not declare. In the Worker: ` +
      `\`export const { ${CLASSES.join(", ")} } = app\`. In wrangler.toml:\n\n[exports.${name}]\ntype = "durable-object"\nstorage = "sqlite"\n`,
  );
}

function queueOf(binding: string): Queue<Order> {
  const queue = (env as { [name: string]: unknown })[binding] as Queue<Order> | undefined;
  if (queue?.send) return queue;
  throw new Problem(
    503,
    `Expected the queue binding ${binding}, which this Worker does not have. In wrangler.toml:\n\n` +
      `[[queues.producers]]\nbinding = "${binding}"\nqueue = "executions"\n\n[[queues.consumers]]\nqueue = "executions"\nmax_batch_size = 1\n`,
  );
}
