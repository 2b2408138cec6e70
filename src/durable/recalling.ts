import { Attempt, inTime } from "../core/attempt.ts";
import { BatchApiNode } from "../core/batch-api.ts";
import { decode } from "../core/codec.ts";
import type { Recall } from "./chunk-store.ts";
import { keyOfCall, lifeOf } from "./keys.ts";
import { copyOf } from "./live.ts";
import type { StepRow } from "./step-store.ts";
import type { Walk } from "./walk.ts";

/** The run's object waits for its vendor no longer. */
const TIMEOUT_SEC = 25;

/**
 * Cancels a job at its vendor: the one that is known of the chunk, or else the one that the vendor finds by its key, if it finds one.
 */
export async function performRecall(walk: Walk, recall: Recall): Promise<void> {
  const step = walk.storedStep(recall.step) as StepRow;
  const node = copyOf(walk.flow.graph.node(step.node));
  // What prep left on it, as its other hooks have it.
  if (step.fields !== null) Object.assign(node, decode(step.fields));
  if (!(node instanceof BatchApiNode)) throw new Error(`Expected ${step.node} to be a BatchApiNode still`);
  const chunk = { ...walk.ledger.chunkAt(step, recall.first), life: lifeOf(walk.row) };
  const key = keyOfCall(walk.row.id, { ...recall, index: recall.first, chunk });
  const attempt = new Attempt(key, recall.attempts + 1);
  await inTime("cancel", cancel(node, recall, attempt), attempt, TIMEOUT_SEC);
}

async function cancel(node: BatchApiNode, { job: known }: Recall, attempt: Attempt): Promise<void> {
  const text = known?.job;
  const job = typeof text === "string" ? decode(text) : await node.find(attempt);
  if (job !== undefined) await node.cancel(job, attempt);
}
