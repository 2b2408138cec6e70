import { cooldownMs } from "../src/core/cooldown.ts";
import { isOutOfCredit } from "../src/core/refusal.ts";
import { NonRetryableError, RateLimitedError, RetryAfterError } from "../src/index.ts";
import { summarize } from "./summarizer.ts";

/** Summarizes one text. */
export type Model = (text: string, call: ModelCall) => Promise<string>;

export interface ModelCall {
  signal: AbortSignal;
  /** The same for a call repeated after a crash, another for each retry. */
  idempotencyKey: string;
  /** Told the tokens that the call has used, where the vendor counts them. */
  settle?: (tokens: number) => void;
}

export interface ModelSettings {
  /** An OpenAI-compatible base, such as `https://api.openai.com/v1`. Unset: the built-in summarizer, without any network. */
  LLM_BASE_URL?: string | undefined;
  LLM_API_KEY?: string | undefined;
  /** Sent as `model`; some self-hosted servers have only one and need none. */
  LLM_MODEL?: string | undefined;
}

interface Vendor {
  url: string;
  key: string | undefined;
  model: string | undefined;
}

/** Client errors that time can mend: a timeout, a conflict, a rate limit. Every other 4xx would come again. */
const TEMPORARY_4XX = new Set([408, 409, 429]);
const MAX_QUOTE = 200;

/**
 * The model that the variables describe. Each call is exactly one request: retries belong to the node.
 *
 * @example
 * const model = createModel({ LLM_BASE_URL: "https://api.openai.com/v1", LLM_API_KEY: "sk-…", LLM_MODEL: "gpt-…" });
 * const summary = await model(text, { signal, idempotencyKey });
 */
export function createModel(settings: ModelSettings): Model {
  const { LLM_BASE_URL: base, LLM_API_KEY: key, LLM_MODEL: model } = settings;
  if (!base) return async (text) => summarize(text);
  // A secret pasted with its line break would make every request an invalid header.
  const vendor = { url: `${base.replace(/\/+$/, "")}/chat/completions`, key: key?.trim() || undefined, model };
  return (text, call) => complete(vendor, text, call);
}

async function complete(vendor: Vendor, text: string, call: ModelCall): Promise<string> {
  check(vendor);
  const { response, body } = await request(vendor, text, call);
  if (!response.ok) throw refusal(vendor, response, body);
  const content = contentOf(vendor, body);
  const tokens = tokensOf(body);
  if (tokens !== undefined) call.settle?.(tokens);
  return content;
}

// Not in createModel: that runs when the Worker starts, and a bad variable should fail a run by name, not every route. What
// came is left out of the messages: a value in the wrong variable may well be the key.
function check({ url, key }: Vendor): void {
  const { protocol, username, password } = URL.parse(url) ?? {};
  if (!/^https?:$/.test(protocol ?? "") || username || password) {
    const expected = "an http(s) URL without credentials, such as `https://api.openai.com/v1`, got something else";
    throw new NonRetryableError(`Expected \`LLM_BASE_URL\` to be ${expected}. The key goes into LLM_API_KEY.`);
  }
  if (key !== undefined && !/^[\x21-\x7e]+$/.test(key)) {
    const expected = "printable ASCII without spaces, got other characters";
    throw new NonRetryableError(`Expected \`LLM_API_KEY\` to be ${expected}. Set the secret anew.`);
  }
}

async function request(vendor: Vendor, text: string, call: ModelCall) {
  try {
    const response = await fetch(vendor.url, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "idempotency-key": call.idempotencyKey,
        ...(vendor.key === undefined ? {} : { authorization: `Bearer ${vendor.key}` }),
      },
      body: JSON.stringify({ model: vendor.model, messages: [{ role: "user", content: `Summarize: ${text}` }] }),
      signal: call.signal,
    });
    return { response, body: await response.text() };
  } catch (error) {
    call.signal.throwIfAborted();
    // No `cause`: it may hold the request, and that the key.
    const reason = quote(vendor, String(error));
    throw new Error(`No answer from ${hostOf(vendor)}: ${reason}. Check LLM_BASE_URL and the vendor's status.`);
  }
}

function refusal(vendor: Vendor, response: Response, body: string): Error {
  const { status } = response;
  const isUnpaid = status === 429 && isOutOfCredit(parse(body));
  const advised = isUnpaid ? "Check the plan and the billing at the vendor: no retry helps." : advice(status);
  const message = `${hostOf(vendor)} answered ${status}: ${quote(vendor, messageOf(body))}. ${advised}`;
  const isFinal = status >= 400 && status < 500 && !TEMPORARY_4XX.has(status);
  if (isUnpaid || isFinal) return new NonRetryableError(message, { status });
  if (status === 429) return RateLimitedError.from(response, { nowMs: Date.now(), message });
  const retryAfterMs = cooldownMs(response.headers, Date.now());
  return retryAfterMs === undefined
    ? Object.assign(new Error(message), { status })
    : new RetryAfterError(message, { retryAfterMs, status });
}

function advice(status: number): string {
  if (status === 401 || status === 403) return "Check LLM_API_KEY.";
  if (status === 404) return "Check LLM_BASE_URL and LLM_MODEL.";
  if (status === 429) return "Retried later; set LLM_REQUESTS_PER_MINUTE or LLM_CONCURRENCY to what the vendor allows.";
  if (status >= 500 || TEMPORARY_4XX.has(status)) return "Retried later; if it persists, check the vendor's status.";
  return "The same request would fail again: check LLM_MODEL and the text.";
}

function contentOf(vendor: Vendor, body: string): string {
  const answer = parse(body) as { choices?: { message?: { content?: unknown } }[] } | undefined;
  const content = answer?.choices?.[0]?.message?.content;
  if (typeof content === "string") return content;
  throw new Error(
    `Expected \`choices[0].message.content\` from ${hostOf(vendor)} to be a string, got ${quote(vendor, body)}. ` +
      "Check that LLM_BASE_URL is an OpenAI-compatible API.",
  );
}

/** No call uses none: a vendor that says 0 does not count. */
function tokensOf(body: string): number | undefined {
  const answer = parse(body) as { usage?: { total_tokens?: unknown } | null };
  const tokens = answer.usage?.total_tokens;
  return Number.isSafeInteger(tokens) && (tokens as number) > 0 ? (tokens as number) : undefined;
}

/** The vendor's own words: `error.message` where it keeps to OpenAI's form, else the whole body. */
function messageOf(body: string): string {
  const answer = parse(body) as { error?: { message?: unknown } } | undefined;
  const message = answer?.error?.message;
  return typeof message === "string" ? message : body;
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

/** Somebody else's words, short, and with the key taken out before they are cut, or half of it would stay. */
function quote(vendor: Vendor, words: string): string {
  const safe = vendor.key === undefined ? words : words.replaceAll(vendor.key, "[LLM_API_KEY]");
  const flat = safe.replace(/\s+/g, " ").trim().replace(/\.$/, "");
  return flat.length <= MAX_QUOTE ? flat || "(nothing)" : `${flat.slice(0, MAX_QUOTE)}…`;
}

function hostOf(vendor: Vendor): string {
  return new URL(vendor.url).host;
}
