import { serve } from "../../src/cloudflare.ts";
import type { Order } from "../../src/durable/protocol.ts";
import { changingFlows, haltingFlows, workFlows } from "./flows.ts";
import { isByHand, keepOrder } from "./hand.ts";
import { mistakes } from "./mistakes.ts";
import { programFlows } from "./programs/index.ts";

// The Worker under test: served as any Worker would be. Only the calls of runs that a test executes by hand are kept back.

const app = serve({ flows: { ...programFlows, ...workFlows, ...haltingFlows, ...changingFlows, ...mistakes } });

export default {
  fetch: app.fetch,
  queue(batch: MessageBatch) {
    const mine = batch.messages.filter((message) => isByHand(message.body as Order));
    for (const message of mine) {
      keepOrder(message.body as Order);
      message.ack();
    }
    const messages = batch.messages.filter((message) => !mine.includes(message));
    return app.queue({ queue: batch.queue, messages } as unknown as MessageBatch);
  },
};

export const { FlowRun } = app;

export class Executor extends app.Executor {
  override async wake(order: Order): Promise<void> {
    if (isByHand(order)) keepOrder(order);
    else await super.wake(order);
  }
}
