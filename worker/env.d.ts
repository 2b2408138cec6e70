// What this Worker can be told: variables and secrets, all of them optional.
declare namespace Cloudflare {
  interface Env {
    /** Callers send it as `Authorization: Bearer …`. Without it, everything but `/health` is refused. */
    API_TOKEN?: string;
    /** `"true"` opens the API to everybody. For local use: `npm run dev` and `npm run demo` set it. */
    POCKETFLARE_OPEN?: string;
    /** Signs the deliveries that come to `/webhooks/summarize-webhook`: `whsec_` and base64. Without it they are refused. */
    WEBHOOK_SECRET?: string;
    /** Signs what is sent to callbacks. Without it no run can have one. */
    CALLBACK_SECRET?: string;
    /** `"true"` lets callbacks go to private addresses. For local use: `npm run dev` sets it. */
    CALLBACK_PRIVATE?: string;
    /** The files of `summarize-files` and `digest`. */
    FILES?: R2Bucket;
    /** Where exec runs: `"object"` (default) or `"queue"`. */
    EXECUTOR?: string;
    /** An OpenAI-compatible base URL. Unset: the built-in summarizer. */
    LLM_BASE_URL?: string;
    LLM_API_KEY?: string;
    LLM_MODEL?: string;
    /** What the vendor allows, for all runs together. Unset: no bound but what its refusals teach. */
    LLM_REQUESTS_PER_MINUTE?: string | number;
    LLM_TOKENS_PER_MINUTE?: string | number;
    /** How many calls may be under way at once, for all runs together. */
    LLM_CONCURRENCY?: string | number;
    /** Another period than a minute for the two amounts, in milliseconds. */
    LLM_PERIOD_MS?: string | number;
  }
}
