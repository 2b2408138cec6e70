import { env } from "cloudflare:workers";
import { parse } from "smol-toml";
import { serve, standardWebhooks } from "../src/cloudflare.ts";
import wrangler from "../wrangler.toml";
import { type ApprovalShared, summarizeApprovedFlow } from "./approval.ts";
import { summarizeBulkFlow } from "./bulk.ts";
import { type DigestShared, digestFlow, digestInput } from "./digest.ts";
import { type FilesShared, filesInput, summarizeFilesFlow } from "./files.ts";
import { limitsOf } from "./limits.ts";
import { createModel } from "./model.ts";
import { type SummarizeShared, summarizeFlow, summarizeInput, webhookInput } from "./summarize.ts";

const limits = limitsOf(env);
const model = createModel(env);
const { FILES: files } = env;
if (!files) throw new Error("Expected the R2 binding FILES: see [[r2_buckets]] in wrangler.toml");
const { concurrency } = limits.llm;
const { triggers } = parse(wrangler) as { triggers: { crons: string[] } };
const summaries = ({ summary, summaries }: SummarizeShared) => ({ summary, summaries });

const app = serve({
  flows: {
    summarize: { input: summarizeInput, flow: summarizeFlow(model, concurrency), output: summaries },
    "summarize-webhook": { input: webhookInput, flow: summarizeFlow(model, concurrency), output: summaries },
    "summarize-bulk": { input: summarizeInput, flow: summarizeBulkFlow(env, files), output: summaries },
    "summarize-approved": {
      input: summarizeInput,
      flow: summarizeApprovedFlow(model, files, concurrency),
      output: ({ summary, decision, published }: ApprovalShared) => ({ summary, decision, published }),
    },
    "summarize-files": {
      input: filesInput,
      flow: summarizeFilesFlow(model, files, concurrency),
      output: ({ summaries }: FilesShared) => ({ summaries: Object.fromEntries(summaries ?? []) }),
    },
    digest: {
      input: digestInput,
      flow: digestFlow(model, files, concurrency),
      output: ({ digest, files, failed }: DigestShared) => ({ digest, files, failed }),
    },
  },
  crons: {
    "0 6 * * *": { flow: "digest", input: (time) => ({ until: new Date(time).toISOString() }), overlap: "skip" },
  },
  triggers: triggers.crons,
  webhooks: {
    "summarize-webhook": {
      verify: standardWebhooks({ secret: env.WEBHOOK_SECRET }),
      flow: "summarize-webhook",
      callback: (payload) => (payload as { callback?: string }).callback,
    },
  },
  callbacks: { secret: env.CALLBACK_SECRET, allowPrivate: env.CALLBACK_PRIVATE === "true" },
  executor: env.EXECUTOR === "queue" ? "queue" : "object",
  limits,
});

export default app;
export const { FlowRun, Executor, RateLimiter, RunIndex } = app;
