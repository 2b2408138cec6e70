import { serve } from "../../src/cloudflare.ts";
import type { Order } from "../../src/durable/protocol.ts";
import { changingFlows, workFlows } from "./flows.ts";
import { haltingFlows } from "./halting.ts";
import { meteredFlows, meteredLimits } from "./limit-flows.ts";
import { permitFlows, permitLimits } from "./limited-flows.ts";
import { mistakes } from "./mistakes.ts";
import { isByHand, keepOrder, woken } from "./orders.ts";
import { programFlows } from "./programs/index.ts";

// The Worker under test: served as any Worker would be. Only the calls of runs that a test executes by hand are kept back.

const app = serve({
  flows: {
    ...programFlows,
    ...workFlows,
    ...haltingFlows,
    ...changingFlows,
    ...mistakes,
    ...permitFlows,
    ...meteredFlows,
  },
  limits: { ...permitLimits, ...meteredLimits },
});

export const { RateLimiter } = app;

export default {
  fetch: app.fetch,
  queue(batch: MessageBatch): Promise<void> {
    const messages = batch.messages.filter((message) => !isByHand(message.body));
    for (const { body } of batch.messages) if (isByHand(body)) keepOrder(body);
    return app.queue({ ...batch, messages });
  },
};

export class FlowRun extends app.FlowRun {
  constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
    woken.push(ctx.id.name ?? "");
    super(ctx, env);
  }
}

export class Executor extends app.Executor {
  override async wake(order: Order): Promise<void> {
    if (isByHand(order)) keepOrder(order);
    else await super.wake(order);
  }
}
