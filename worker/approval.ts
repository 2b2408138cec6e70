import { type ExecContext, Flow, Node, type NonIterableObject, type Signal, WaitForEvent } from "../src/index.ts";
import type { Model } from "./model.ts";
import { DEFAULT_CONCURRENCY, type SummarizeShared, summarizeFlow } from "./summarize.ts";

/** The flow's input, and what it adds to it. */
export interface ApprovalShared extends SummarizeShared {
  /** Who has decided, and what. */
  decision?: { approved: boolean; by: string | null; at: Date };
  /** Where the summary is in the bucket. */
  published?: string;
}

/** What the signal has to say; whatever else comes is asked for once more. */
interface Decision {
  approved?: unknown;
  by?: unknown;
}

const TIMEOUT = "7d";
/** Where published summaries are in the bucket. */
export const PUBLISHED = "published/";

/**
 * The flow `summarize-approved`: summarizes texts, waits up to a week for a person to approve that, and publishes it to the bucket.
 * Rejected, or never decided, it ends with that action; what is no decision is asked for again, for another week. Nothing is awake
 * while it waits.
 *
 * @example
 * const shared: ApprovalShared = { texts: ["A long text …"] };
 * await summarizeApprovedFlow(createModel({}), env.FILES)().run(shared, { onWait: () => ({ approved: true, by: "Ada" }) });
 * shared.published; // published/….md
 */
export function summarizeApprovedFlow(
  model: Model,
  bucket: R2Bucket,
  concurrency = DEFAULT_CONCURRENCY,
): () => Flow<ApprovalShared> {
  class Approval extends WaitForEvent<ApprovalShared, NonIterableObject, Decision | null> {
    override post(shared: ApprovalShared, _name: string, signal: Signal<Decision | null> | null) {
      if (!signal) return "timeout";
      const { approved, by } = signal.payload ?? {};
      if (typeof approved !== "boolean") return "unclear";
      shared.decision = { approved, by: typeof by === "string" ? by : null, at: signal.at };
      return approved ? "approved" : "rejected";
    }
  }

  class Publish extends Node<ApprovalShared, NonIterableObject, string, string> {
    override prep({ summary = "" }: ApprovalShared) {
      return summary;
    }

    override async exec(summary: string, { idempotencyKey }: ExecContext) {
      // The run's own name, so that a publication repeated after a crash is the same file.
      const [run] = idempotencyKey.split("/");
      const key = `${PUBLISHED}${run}.md`;
      await bucket.put(key, summary, { httpMetadata: { contentType: "text/markdown; charset=utf-8" } });
      return key;
    }

    override post(shared: ApprovalShared, _summary: string, key: string) {
      shared.published = key;
      return "approved";
    }
  }

  return () => {
    const summarize = summarizeFlow(model, concurrency)();
    const approval = new Approval("approval", { timeout: TIMEOUT });
    summarize.next(approval);
    approval.on("approved", new Publish({ maxRetries: 3, wait: 1, backoff: 2 })).on("unclear", approval);
    approval.end("rejected", "timeout");
    return new Flow<ApprovalShared>(summarize);
  };
}
