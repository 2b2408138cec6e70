// What this Worker can be told: variables and secrets, all of them optional.
declare namespace Cloudflare {
  interface Env {
    /** Callers send it as `Authorization: Bearer …`. Without it, everything but `/health` is refused. */
    API_TOKEN?: string;
    /** `"true"` opens the API to everybody. For local use: `npm run dev` and `npm run demo` set it. */
    POCKETFLARE_OPEN?: string;
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
