import { AsyncFlow, AsyncParallelBatchNode, type ExecContext, type NonIterableObject } from "../src/index.ts";
import { estimateTokens } from "./limits.ts";
import type { Model } from "./model.ts";

/** The flow's input, and what it adds to it. */
export interface SummarizeShared {
  texts: string[];
  summaries?: string[];
  /** All summaries, a blank line between two. */
  summary?: string;
}

/** A vendor that is busy gets 1, 2, 4 and 8 seconds to recover, unless it asks for more itself. */
const PATIENCE = { maxRetries: 5, wait: 1, backoff: 2 };
const DEFAULT_CONCURRENCY = 50;

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
      return checkTexts(shared);
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

function checkTexts(shared: Partial<SummarizeShared> | null | undefined): string[] {
  const texts: unknown = shared?.texts;
  if (!Array.isArray(texts)) throw expected("`texts` to be an array of strings", texts);
  const wrong = texts.findIndex((text) => typeof text !== "string");
  if (wrong >= 0) throw expected(`\`texts[${wrong}]\` to be a string`, texts[wrong]);
  return texts;
}

function expected(what: string, value: unknown): TypeError {
  return new TypeError(`Expected ${what}, got ${value === null ? "null" : typeof value}`);
}
