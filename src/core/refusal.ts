import { cooldownMs, type HeadersLike } from "./cooldown.ts";

/**
 * What OpenAI and Anthropic answer with status 429 although no wait helps: the money is used up, or may not be spent. OpenAI
 * has these as `type` or `code` (https://developers.openai.com/api/docs/guides/error-codes), Anthropic the last one as
 * `details.error_code` (https://platform.claude.com/docs/en/api/rate-limits).
 */
const OUT_OF_CREDIT: ReadonlySet<unknown> = new Set([
  "insufficient_quota",
  "credit_balance_exhausted",
  "organization_spend_limit_exceeded",
  "organization_usage_limit_exceeded",
  "project_spend_limit_exceeded",
  "enforced_spend_limit_reached",
]);

/** The HTTP status behind an error: `status` in the vendors' SDKs, `statusCode` in the AI SDK, else its response's. */
export function statusOf(thrown: unknown): number | undefined {
  const spellings = [
    fieldOf(thrown, "status"),
    fieldOf(thrown, "statusCode"),
    fieldOf(fieldOf(thrown, "response"), "status"),
  ];
  return spellings.find(isCount);
}

/** For how long the headers that an error bears ask for no further calls, if they do. */
export function cooldownOf(thrown: unknown, nowMs: number | undefined): number | undefined {
  const bearers = [
    fieldOf(thrown, "headers"),
    fieldOf(thrown, "responseHeaders"), // the AI SDK's
    fieldOf(fieldOf(thrown, "response"), "headers"),
  ];
  const headers = bearers.find((value): value is HeadersLike => typeof value === "object" && value !== null);
  try {
    return headers && cooldownMs(headers, nowMs);
  } catch {
    return undefined;
  }
}

/** Whether an error, or a vendor's JSON, says that it is money and not time that is missing. */
export function isOutOfCredit(said: unknown): boolean {
  const error = fieldOf(said, "error");
  // Anthropic's SDK keeps the whole body as `error`, the AI SDK as `data`; in both, what matters is the `error` inside.
  const layers = [said, error, fieldOf(error, "error"), fieldOf(fieldOf(said, "data"), "error")];
  return layers.some((layer) => {
    const words = [fieldOf(layer, "code"), fieldOf(layer, "type"), fieldOf(fieldOf(layer, "details"), "error_code")];
    return words.some((word) => OUT_OF_CREDIT.has(word));
  });
}

export function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}

/** A field of something foreign. Its getter may throw, which must not take the place of the error at hand. */
function fieldOf(value: unknown, key: string): unknown {
  try {
    return (value as { readonly [key: string]: unknown } | null | undefined)?.[key];
  } catch {
    return undefined;
  }
}
