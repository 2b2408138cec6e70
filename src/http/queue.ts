import { env } from "cloudflare:workers";
import type { InferOutput } from "valibot";
import type { queue as queueSchema } from "./schemas.ts";

export type QueueView = InferOutput<typeof queueSchema>;

/**
 * What waits on the queue of executors, and what was given up there: the binding of the same name and `_DEAD` leads to its dead letter
 * queue. Nothing of one that the Worker has no binding for.
 *
 * Source: Cloudflare's `Queue.metrics()`, which counts roughly (https://developers.cloudflare.com/queues/observability/metrics/).
 */
export async function queueView(binding: string): Promise<QueueView> {
  const [backlog, dead] = await Promise.all([binding, `${binding}_DEAD`].map(backlogOf));
  return { backlog: backlog ?? null, dead: dead ?? null };
}

async function backlogOf(binding: string): Promise<QueueView["backlog"]> {
  const queue = (env as { [name: string]: unknown })[binding] as Queue | undefined;
  if (!queue?.metrics) return null;
  const { backlogCount, backlogBytes, oldestMessageTimestamp } = await queue.metrics();
  const oldestAt = backlogCount > 0 ? (oldestMessageTimestamp?.toISOString() ?? null) : null;
  return { count: backlogCount, bytes: backlogBytes, oldestAt };
}
