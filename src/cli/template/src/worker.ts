import { Flow, ParallelBatchNode } from "pocketflare";
import { serve } from "pocketflare/cloudflare";

interface Shared {
  texts: string[];
  summaries?: string[];
}

/** Each text is an item: summarized apart from the others, tried again by itself, stored before it counts. */
class Summaries extends ParallelBatchNode<Shared> {
  prep(shared: Shared) {
    return shared.texts;
  }

  /** One call to your model belongs here. */
  async exec(text: string) {
    return `${text.split(".")[0]}.`;
  }

  post(shared: Shared, _: string[], summaries: string[]) {
    shared.summaries = summaries;
  }
}

const app = serve({
  flows: { summarize: () => new Flow(new Summaries({ maxRetries: 5, wait: 2, concurrency: 50, limit: "llm" })) },
  // What your model's vendor allows, shared by all runs.
  limits: { llm: { requests: 60, per: "1m", concurrency: 20 } },
});

export default app;
export const { FlowRun, Executor, RateLimiter, RunIndex } = app;
