import type { LimitOptions } from "../src/core/budget.ts";

/** What the vendor allows. Variables are strings, or numbers where wrangler.toml has them so. */
export interface LimitSettings {
  /** Calls per `LLM_PERIOD_MS`. */
  LLM_REQUESTS_PER_MINUTE?: string | number | undefined;
  /** Tokens per `LLM_PERIOD_MS`. */
  LLM_TOKENS_PER_MINUTE?: string | number | undefined;
  /** Calls under way at once. */
  LLM_CONCURRENCY?: string | number | undefined;
  /** Default: a minute. */
  LLM_PERIOD_MS?: string | number | undefined;
}

const MINUTE_MS = 60_000;
const LONGEST_SHOWN = 20;
const CHARACTERS_PER_TOKEN = 4;
/** What three sentences take at most, and the prompt's own few words. */
const ANSWER_TOKENS = 100;

/**
 * The limits that the variables describe. Without any, `llm` has no bounds: runs share only the waits that refusals ask for.
 *
 * @example limitsOf({ LLM_REQUESTS_PER_MINUTE: "500" }); // { llm: { requests: 500, per: "60000ms" } }
 */
export function limitsOf(settings: LimitSettings): { llm: LimitOptions } {
  const requests = countOf(settings, "LLM_REQUESTS_PER_MINUTE");
  const tokens = countOf(settings, "LLM_TOKENS_PER_MINUTE");
  const concurrency = countOf(settings, "LLM_CONCURRENCY");
  return {
    llm: {
      per: `${countOf(settings, "LLM_PERIOD_MS") ?? MINUTE_MS}ms`,
      ...(requests === undefined ? {} : { requests }),
      ...(tokens === undefined ? {} : { tokens }),
      ...(concurrency === undefined ? {} : { concurrency }),
    },
  };
}

/** Tokens that summarizing a text will use, roughly: English has 4 characters to one, and what was wrong is settled after. */
export function estimateTokens(text: string): number {
  return Math.ceil(text.length / CHARACTERS_PER_TOKEN) + ANSWER_TOKENS;
}

function countOf(settings: LimitSettings, name: keyof LimitSettings): number | undefined {
  const text = String(settings[name] ?? "").trim();
  if (text === "") return undefined;
  const count = /^\d+$/.test(text) ? Number(text) : 0;
  if (Number.isSafeInteger(count) && count >= 1) return count;
  // A long value in the wrong variable may well be the key, and this message is logged.
  const got = text.length <= LONGEST_SHOWN ? `\`${text}\`` : `${text.length} characters`;
  throw new RangeError(`Expected \`${name}\` to be a whole number of at least 1, got ${got}`);
}
