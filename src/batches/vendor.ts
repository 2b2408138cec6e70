import { cooldownMs } from "../core/cooldown.ts";
import { describeType, NonRetryableError, RateLimitedError, RetryAfterError } from "../core/errors.ts";
import { isRefusal } from "../core/jobs.ts";
import { isOutOfCredit } from "../core/refusal.ts";
import { linesOf } from "./jsonl.ts";

/** Where a vendor's API is, and what opens it. */
export interface VendorAccess {
  /** The base that its paths follow, such as `https://api.openai.com/v1`: http(s), without credentials. */
  url: string;
  /** Gives the key. Asked at each call, so that no node ever holds it. Default: calls bear none. */
  key?: () => string | undefined;
}

/** One request. */
export interface VendorCall {
  /** Of the base; begins with a slash. */
  path: string;
  signal: AbortSignal;
  method?: "GET" | "POST";
  headers?: { [name: string]: string };
  body?: FormData | string;
}

const MAX_QUOTE = 200;
/** Of an answer that is an error so many bytes are read: it may be a whole page. */
const MAX_REFUSAL_BYTES = 16_384;

/**
 * A vendor's API as one call of a hook sees it. What a call throws has the HTTP `status`, where there is one, and names the host and
 * the vendor's own words, short; the key is in none of it. Each call is exactly one request.
 */
export class Vendor {
  readonly #base: string;
  readonly #key: string | undefined;

  /** Throws a `NonRetryableError` for access that cannot be meant, without showing it: a value in the wrong place may be the key. */
  constructor(access: VendorAccess) {
    this.#base = baseOf(access);
    this.#key = keyOf(access);
  }

  /** Where errors say that they come from. */
  get host(): string {
    return new URL(this.#base).host;
  }

  /** What a call is answered, which has to be a JSON object. */
  async json(call: VendorCall): Promise<object> {
    const response = await this.#ask(call);
    const body = await this.#reading(call, () => response.text());
    const answer = parse(body);
    if (typeof answer === "object" && answer !== null) return answer;
    throw new Error(
      `Expected ${this.host} to answer ${call.path} with a JSON object, got ${this.quote(body)}. Check that \`api.url\` is an ` +
        "OpenAI-compatible API.",
    );
  }

  /** The lines of a file, as they arrive. */
  async *lines(call: VendorCall): AsyncGenerator<string> {
    const { body } = await this.#ask(call);
    const lines = linesOf((body as ReadableStream<Uint8Array> | null) ?? nothing());
    try {
      for (let next = await this.#next(call, lines); !next.done; next = await this.#next(call, lines)) yield next.value;
    } finally {
      // Who reads no further hangs up. A failure of that takes nothing away.
      await lines.return(undefined).catch(() => undefined);
    }
  }

  /** Somebody else's words, short, and with the key taken out before they are cut, or half of it would stay. */
  quote(words: string): string {
    const safe = this.#key === undefined ? words : words.replaceAll(this.#key, "[key]");
    const flat = safe.replace(/\s+/g, " ").trim().replace(/\.$/, "");
    return flat.length <= MAX_QUOTE ? flat || "(nothing)" : `${flat.slice(0, MAX_QUOTE)}…`;
  }

  /** The answer to a call, if it is none of the vendor's errors. */
  async #ask(call: VendorCall): Promise<Response> {
    const { method = "GET", path, headers, body, signal } = call;
    const bearer = this.#key === undefined ? {} : { authorization: `Bearer ${this.#key}` };
    const init = { method, headers: { ...headers, ...bearer }, signal, ...(body === undefined ? {} : { body }) };
    const response = await this.#reading(call, () => fetch(this.#base + path, init));
    if (response.ok) return response;
    throw this.#refusal(response, await this.#reading(call, () => beginningOf(response)));
  }

  #next(call: VendorCall, lines: AsyncGenerator<string>): Promise<IteratorResult<string>> {
    return this.#reading(call, () => lines.next());
  }

  /** What the network gives, or an error that says that it gave nothing. */
  async #reading<T>({ signal }: VendorCall, read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (error) {
      signal.throwIfAborted();
      // No `cause`: it may hold the request, and that the key.
      const reason = this.quote(String(error));
      throw new Error(`No answer from ${this.host}: ${reason}. Check \`api.url\` and the vendor's status.`);
    }
  }

  #refusal(response: Response, body: string): Error {
    const { status, headers } = response;
    const answer = parse(body);
    const isUnpaid = status === 429 && isOutOfCredit(answer);
    const advised = isUnpaid ? "Check the plan and the billing at the vendor: no retry helps." : advice(status);
    const message = `${this.host} answered ${status}: ${this.quote(messageOf(answer) ?? body)}. ${advised}`;
    if (isUnpaid || isRefusal(status)) return new NonRetryableError(message, { status });
    if (status === 429) return RateLimitedError.from(response, { nowMs: Date.now(), message });
    const retryAfterMs = cooldownMs(headers, Date.now());
    return retryAfterMs === undefined
      ? Object.assign(new Error(message), { status })
      : new RetryAfterError(message, { retryAfterMs, status });
  }
}

/** The vendor's own words in an answer that keeps to OpenAI's form. */
export function messageOf(answer: unknown): string | undefined {
  const message = (answer as { error?: { message?: unknown } | null } | null | undefined)?.error?.message;
  return typeof message === "string" ? message : undefined;
}

export function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function baseOf({ url }: VendorAccess): string {
  const parts = typeof url === "string" && URL.canParse(url) ? new URL(url) : undefined;
  const { protocol = "", username, password, search, hash } = parts ?? {};
  if (/^https?:$/.test(protocol) && !username && !password && !search && !hash) return url.replace(/\/+$/, "");
  const expected =
    "an http(s) URL without credentials or a query, such as `https://api.openai.com/v1`, got something else";
  throw new NonRetryableError(`Expected \`api.url\` to be ${expected}. The key is for \`api.key\` to give.`);
}

function keyOf({ key }: VendorAccess): string | undefined {
  if (key !== undefined && typeof key !== "function") {
    const expected = "a function that gives the key, such as `() => env.OPENAI_API_KEY`";
    throw new NonRetryableError(`Expected \`api.key\` to be ${expected}, got ${describeType(key)}.`);
  }
  const given: unknown = key?.();
  // A secret pasted with its line break would make every request an invalid header.
  const trimmed = typeof given === "string" ? given.trim() : (given ?? "");
  if (trimmed === "") return undefined;
  if (typeof trimmed === "string" && /^[\x21-\x7e]+$/.test(trimmed)) return trimmed;
  const expected = "printable ASCII without spaces, got something else";
  throw new NonRetryableError(`Expected \`api.key\` to give ${expected}. Set the secret anew.`);
}

function advice(status: number): string {
  if (status === 401 || status === 403) return "Check what `api.key` gives.";
  if (status === 404) return "Check `api.url`, and whether the vendor still has what was asked for.";
  if (!isRefusal(status)) return "Retried later; if it persists, check the vendor's status.";
  return "The same request would fail again: check what it asks for.";
}

async function beginningOf({ body }: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let size = 0;
  for await (const bytes of (body as ReadableStream<Uint8Array> | null) ?? nothing()) {
    text += decoder.decode(bytes.subarray(0, MAX_REFUSAL_BYTES - size), { stream: true });
    size += bytes.length;
    // Leaving the loop hangs up.
    if (size >= MAX_REFUSAL_BYTES) break;
  }
  return text;
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
