import { env } from "cloudflare:workers";
import { serve } from "../src/cloudflare.ts";
import { limitsOf } from "./limits.ts";
import { createModel } from "./model.ts";
import { type SummarizeShared, summarizeFlow } from "./summarize.ts";

const limits = limitsOf(env);

const app = serve({
  flows: {
    summarize: {
      flow: summarizeFlow(createModel(env), limits.llm.concurrency),
      output: (shared: SummarizeShared) => ({ summary: shared.summary, summaries: shared.summaries }),
    },
  },
  executor: env.EXECUTOR === "queue" ? "queue" : "object",
  limits,
});

export default app;
export const { FlowRun, Executor, RateLimiter } = app;
