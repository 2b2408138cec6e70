import { env } from "cloudflare:workers";
import { serve } from "../src/cloudflare.ts";
import { limitsOf } from "./limits.ts";
import { createModel } from "./model.ts";
import { type SummarizeShared, summarizeFlow } from "./summarize.ts";

const app = serve({
  flows: {
    summarize: {
      flow: summarizeFlow(createModel(env)),
      output: (shared: SummarizeShared) => ({ summary: shared.summary, summaries: shared.summaries }),
    },
  },
  executor: env.EXECUTOR === "queue" ? "queue" : "object",
  limits: limitsOf(env),
});

export default app;
export const { FlowRun, Executor, RateLimiter } = app;
