import { env, exports } from "cloudflare:workers";
import { serve, standardWebhooks } from "../../../src/cloudflare.ts";
import type { IndexEntry } from "../../../src/durable/index-entry.ts";
import { CALLBACK_SECRET, CRON, doorFlows, HOOK_SECRET } from "./doors.ts";
import { type Ask, flows } from "./flows.ts";
import { halfWrittenFlows } from "./half-written.ts";
import { jobFlows } from "./jobs.ts";
import { caller, LIMITS, limitedFlows } from "./limited.ts";
import { programFlows } from "./programs.ts";
import { allLives, noteLife, waitingFlows } from "./waiting.ts";

// The Worker that is killed. Beside the flows' HTTP API it has `POST /test/abort/CLASS/NAME`, which ends one object alone,
// `GET /test/lives`, which tells of the objects of runs that were made in this process and how often their alarms rang,
// `POST /test/deafen`, after which the index fails whatever runs tell it, and `POST /test/scheduled?cron=…&time=…`, which is the
// clock: the host passes on no `/cdn-cgi/local/scheduled`.

const { VENDOR_URL } = env as unknown as { VENDOR_URL: string };

const ask: Ask = async (item, ms, { idempotencyKey }) => {
  const response = await fetch(VENDOR_URL, {
    method: "POST",
    headers: { "idempotency-key": idempotencyKey },
    body: JSON.stringify({ item, ms }),
  });
  if (!response.ok) throw new Error(`The vendor answered ${response.status}`);
  return response.json();
};

const app = serve({
  flows: {
    ...flows(ask),
    ...limitedFlows(caller(VENDOR_URL)),
    ...halfWrittenFlows(VENDOR_URL),
    ...programFlows,
    ...doorFlows(ask),
    ...jobFlows(VENDOR_URL),
    ...waitingFlows,
  },
  limits: LIMITS,
  crons: { [CRON]: { flow: "few", input: () => ({ count: 1, ms: 0 }), name: "daily" } },
  webhooks: { orders: { verify: standardWebhooks({ secret: HOOK_SECRET }), flow: "few" } },
  callbacks: { secret: CALLBACK_SECRET, allowPrivate: true },
});

export const { RateLimiter } = app;

/** Until the server is started anew, once it is deaf. */
export class RunIndex extends app.RunIndex {
  #isDeaf = false;

  deafen(): void {
    this.#isDeaf = true;
  }

  override put(entry: IndexEntry): boolean {
    this.#hear();
    return super.put(entry);
  }

  override remove(id: string, createdMs: number): void {
    this.#hear();
    super.remove(id, createdMs);
  }

  #hear(): void {
    if (this.#isDeaf) throw new Error("deafened by a test");
  }
}

export class FlowRun extends app.FlowRun {
  constructor(ctx: DurableObjectState, runEnv: Cloudflare.Env) {
    noteLife(ctx.id.name, "made");
    super(ctx, runEnv);
  }

  override alarm(): Promise<void> {
    noteLife(this.ctx.id.name, "rung");
    return super.alarm();
  }

  abortNow(): void {
    this.ctx.abort("aborted by a test");
  }
}

export class Executor extends app.Executor {
  abortNow(): void {
    this.ctx.abort("aborted by a test");
  }
}

type Abortable = DurableObjectNamespace<FlowRun | Executor>;

async function abort(name: string, object: string): Promise<Response> {
  const namespace = (exports as { [name: string]: unknown })[name] as Abortable;
  try {
    await namespace.getByName(object).abortNow();
  } catch {
    // The call ends with the object it was made to.
  }
  return new Response(null, { status: 204 });
}

async function deafen(): Promise<Response> {
  const namespace = (exports as { [name: string]: unknown })["RunIndex"] as DurableObjectNamespace<RunIndex>;
  await namespace.getByName("runs").deafen();
  return new Response(null, { status: 204 });
}

async function fire(query: URLSearchParams): Promise<Response> {
  const [cron, time] = [query.get("cron"), query.get("time")] as [string, string];
  await app.scheduled({ cron, scheduledTime: Number(time), noRetry: () => undefined });
  return new Response(null, { status: 204 });
}

export default {
  fetch(request: Request, env: Cloudflare.Env, ctx: ExecutionContext): Response | Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === "/test/lives") return Response.json(allLives());
    if (pathname === "/test/deafen") return deafen();
    if (pathname === "/test/scheduled") return fire(searchParams);
    const [, name, object] = /^\/test\/abort\/(FlowRun|Executor)\/(.+)$/.exec(pathname) ?? [];
    return name && object ? abort(name, object) : app.fetch(request, env, ctx);
  },
  queue: (batch: MessageBatch) => app.queue(batch),
  scheduled: (controller: ScheduledController) => app.scheduled(controller),
};
