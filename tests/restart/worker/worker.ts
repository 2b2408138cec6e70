import { env, exports } from "cloudflare:workers";
import { serve } from "../../../src/cloudflare.ts";
import { type Ask, flows } from "./flows.ts";
import { halfWrittenFlows } from "./half-written.ts";
import { caller, LIMITS, limitedFlows } from "./limited.ts";
import { programFlows } from "./programs.ts";

// The Worker that is killed. Beside the flows' HTTP API it has `POST /test/abort/CLASS/NAME`, which ends one object alone.

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
  flows: { ...flows(ask), ...limitedFlows(caller(VENDOR_URL)), ...halfWrittenFlows(VENDOR_URL), ...programFlows },
  limits: LIMITS,
});

export const { RateLimiter } = app;

export class FlowRun extends app.FlowRun {
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

export default {
  fetch(request: Request, env: Cloudflare.Env, ctx: ExecutionContext): Response | Promise<Response> {
    const [, name, object] = /^\/test\/abort\/(FlowRun|Executor)\/(.+)$/.exec(new URL(request.url).pathname) ?? [];
    return name && object ? abort(name, object) : app.fetch(request, env, ctx);
  },
  queue: (batch: MessageBatch) => app.queue(batch),
};
