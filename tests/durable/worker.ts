import { serve } from "../../src/cloudflare.ts";
import type { Order } from "../../src/durable/protocol.ts";
import { branchingFlows } from "./branching.ts";
import { chunkedFlows } from "./chunk-pieces.ts";
import { chunkFlows } from "./chunking.ts";
import { deployingFlows } from "./deploying.ts";
import { emittingFlows } from "./emitting.ts";
import { failingFlows } from "./failing.ts";
import { failingBranches } from "./failing-branches.ts";
import { changingFlows, workFlows } from "./flows.ts";
import { frontFlows } from "./front-flows.ts";
import { goldenFlows } from "./golden.ts";
import { halfWrittenFlows, noteLife } from "./half-written-kills.ts";
import { haltingFlows } from "./halting.ts";
import { interleavedFlows } from "./interleaving.ts";
import { jobbingFlows } from "./jobbing.ts";
import { killingFlows, noteObject } from "./killing.ts";
import { meteredFlows, meteredLimits } from "./limit-flows.ts";
import { permitFlows, permitLimits } from "./limited-flows.ts";
import { mistakes } from "./mistakes.ts";
import { olderFlows } from "./older-flows.ts";
import { isByHand, keepOrder, woken } from "./orders.ts";
import { programFlows } from "./programs/index.ts";
import { noteLoaded, randomFlow } from "./random-programs/stage.ts";
import { retainingFlows } from "./retaining.ts";
import { callbacks, crons, triggeredFlows, webhooks } from "./triggering.ts";
import { waitingFlows } from "./waiting.ts";

// The Worker under test: served as any Worker would be. Only the calls of runs that a test executes by hand are kept back.

const app = serve({
  flows: {
    ...programFlows,
    ...workFlows,
    ...haltingFlows,
    ...halfWrittenFlows,
    ...changingFlows,
    ...olderFlows,
    ...branchingFlows,
    ...deployingFlows,
    ...retainingFlows,
    ...goldenFlows,
    ...emittingFlows,
    ...frontFlows,
    ...waitingFlows,
    ...chunkFlows,
    ...jobbingFlows,
    ...chunkedFlows,
    ...failingFlows,
    ...failingBranches,
    ...killingFlows,
    ...interleavedFlows,
    ...mistakes,
    ...permitFlows,
    ...meteredFlows,
    ...triggeredFlows,
    random: randomFlow,
  },
  limits: { ...permitLimits, ...meteredLimits },
  crons,
  webhooks,
  callbacks,
});

export const { RateLimiter, RunIndex } = app;

export default {
  fetch: app.fetch,
  scheduled: app.scheduled,
  routes: app.routes,
  queue(batch: MessageBatch): Promise<void> {
    const messages = batch.messages.filter((message) => !isByHand(message.body));
    for (const { body } of batch.messages) if (isByHand(body)) keepOrder(body);
    return app.queue({ ...batch, messages });
  },
};

export class FlowRun extends app.FlowRun {
  constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
    woken.push(ctx.id.name ?? "");
    noteLoaded(ctx);
    noteObject(ctx);
    noteLife(ctx);
    super(ctx, env);
  }
}

export class Executor extends app.Executor {
  override async wake(order: Order): Promise<void> {
    if (isByHand(order)) keepOrder(order);
    else await super.wake(order);
  }
}
