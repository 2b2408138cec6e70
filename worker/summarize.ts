import * as v from "valibot";
import { AsyncFlow, AsyncParallelBatchNode, type ExecContext, type NonIterableObject } from "../src/index.ts";
import { expected, expectedEntry } from "./input.ts";
import { estimateTokens } from "./limits.ts";
import type { Model } from "./model.ts";

const TEXTS = "`texts` to be an array of strings";
const texts = v.array(v.string(expected("each of `texts` to be a string")), expected(TEXTS));
const CALLBACK = "`callback` to be a URL";
const callback = v.pipe(v.string(expected(CALLBACK)), v.url(expected(CALLBACK)));

/** What a run of `summarize` is started with. */
export const summarizeInput = v.object({ texts }, expectedEntry(TEXTS));

/** The same as a webhook's payload. Where the answer goes is the webhook's business: the flow gets the texts alone. */
export const webhookInput = v.pipe(
  v.object({ texts, callback: v.optional(callback) }, expectedEntry(TEXTS)),
  v.transform(({ texts }) => ({ texts })),
);

/** The flow's input, and what it adds to it. */
export interface SummarizeShared {
  texts: string[];
  summaries?: string[];
  /** All summaries, a blank line between two. */
  summary?: string;
}

/** A vendor that is busy gets 1, 2, 4 and 8 seconds to recover, unless it asks for more itself. */
export const PATIENCE = { maxRetries: 5, wait: 1, backoff: 2 };
export const DEFAULT_CONCURRENCY = 50;

/**
 * The flow `summarize`, PocketFlow's ParallelSummaries: one summary for each text, all at once. The factory it returns makes
 * a new flow each time, as `serve` wants it. The model stays outside of the node, whose own fields travel with its items.
 * `concurrency` is how many texts of one run are with the model at once.
 *
 * @example
 * const shared: SummarizeShared = { texts: ["A long text …", "Another …"] };
 * await summarizeFlow(createModel({}))().runAsync(shared);
 * shared.summary; // both summaries
 */
export function summarizeFlow(model: Model, concurrency = DEFAULT_CONCURRENCY): () => AsyncFlow<SummarizeShared> {
  class ParallelSummaries extends AsyncParallelBatchNode<SummarizeShared, NonIterableObject, string, string> {
    override async prepAsync(shared: SummarizeShared) {
      return shared.texts;
    }

    override async execAsync(text: string, context: ExecContext) {
      return model(text, context);
    }

    override async postAsync(shared: SummarizeShared, _texts: unknown, summaries: string[]) {
      shared.summaries = summaries;
      shared.summary = summaries.join("\n\n");
      return "default";
    }
  }

  return () => {
    const node = new ParallelSummaries({ ...PATIENCE, concurrency, limit: { name: "llm", tokens: estimateTokens } });
    return new AsyncFlow(node);
  };
}
