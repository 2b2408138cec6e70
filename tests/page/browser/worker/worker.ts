import { Hono } from "hono";
import { serve, standardWebhooks } from "../../../../src/cloudflare.ts";
import { flows, HOOK_SECRET } from "./flows.ts";
import { heal, release } from "./held.ts";
import { HOSTILE_FLOW, hostile } from "./hostile.ts";

// The Worker whose page is looked at, at `/` and, as in an app of one's own, at `/jobs`. Beside that it has
// `POST /test/release/RUN`, which lets held calls go on, and `POST /test/heal/RUN`, after which none of its calls fails any more.

const app = serve({
  flows: { ...flows, [HOSTILE_FLOW]: hostile },
  limits: { llm: { requests: 3_000, tokens: 400_000, per: "1m", concurrency: 60 }, mirrors: { concurrency: 100 } },
  crons: { "0 6 * * MON-FRI": { flow: "summarize", input: () => ({ count: 3 }), name: "mornings" } },
  webhooks: { orders: { verify: standardWebhooks({ secret: HOOK_SECRET }), flow: "summarize" } },
});

const around = new Hono()
  .post("/test/release/:run", (context) => {
    release(context.req.param("run"));
    return context.body(null, 204);
  })
  .post("/test/heal/:run", (context) => {
    heal(context.req.param("run"));
    return context.body(null, 204);
  })
  .route("/jobs", app.routes)
  .all("*", ({ req, env, executionCtx }) =>
    app.fetch(req.raw, env as Cloudflare.Env, executionCtx as ExecutionContext),
  );

export default {
  fetch: around.fetch,
  queue: (batch: MessageBatch) => app.queue(batch),
  scheduled: (controller: ScheduledController) => app.scheduled(controller),
};
export const { FlowRun, Executor, RateLimiter, RunIndex } = app;
