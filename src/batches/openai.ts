import type { ExecContext } from "../core/attempt.ts";
import {
  BatchApiNode,
  type BatchApiOptions,
  type BatchLine,
  type BatchResult,
  type BatchState,
} from "../core/batch-api.ts";
import { describeType, errorOf, NonRetryableError, toFailure } from "../core/errors.ts";
import type { NonIterableObject } from "../core/node.ts";
import { statusOf } from "../core/refusal.ts";
import { jsonlOf } from "./jsonl.ts";
import { type Answer, answerOf, type Batch, countsOf, errorIn, failureOf, idOf, type Page } from "./openai-answers.ts";
import { Vendor, type VendorAccess } from "./vendor.ts";

/** An OpenAI-compatible vendor of batches. */
export interface OpenAiApi extends VendorAccess {
  /** What the lines are requests to. Default `/v1/chat/completions`. */
  endpoint?: string;
  /** How long the vendor may take. Default `24h`, which is all that OpenAI takes. */
  completionWindow?: string;
}

/** What an `OpenAiBatchNode` may be told. OpenAI takes a `batchSize` of up to 50,000, and 200 MB a job. */
export interface OpenAiBatchOptions extends BatchApiOptions {
  api: OpenAiApi;
}

/** A batch at the vendor, by its id there. */
export interface OpenAiJob {
  id: string;
}

const RUNNING: readonly unknown[] = ["validating", "in_progress", "finalizing", "cancelling"];
const ENDED: readonly unknown[] = ["completed", "expired", "cancelled"];
/** Where a batch bears its key. */
const KEY_FIELD = "pocketflare_key";
/** OpenAI's metadata holds 512 characters; idempotency keys of more than 255 are refused by some. */
const MAX_KEY = 200;
/** A job is looked for after a crash, when it is among the newest: in the last 1,000 of a project, at ten calls at most. */
const MAX_PAGES = 10;
const PAGE_SIZE = 100;
/** What is answered where batches cannot be listed. */
const NO_LIST: readonly unknown[] = [404, 405, 501];
/** What a cancel is answered where the job has ended, or is gone; or where jobs cannot be canceled. */
const NOT_CANCELED: readonly unknown[] = [400, 404, 409];

/**
 * A batch whose items are given to an OpenAI-compatible batch API (https://platform.openai.com/docs/api-reference/batch): each chunk
 * is a file of requests, a line an item, and a job of it, done within a day at half the price. `request` says what an item asks;
 * `result` what is kept of the answer, by default a chat completion's text.
 *
 * Results are read line by line as they arrive, in any order. A line's error has the vendor's words and its HTTP `status`; a 4xx, but
 * for 408, 409, 425 and 429, is a `NonRetryableError`, all others are retried as a new job, those of a job that expired included. A
 * job that expired or was canceled at the vendor keeps the results it has.
 *
 * A job bears its `idempotencyKey` as `pocketflare_key` in its metadata, or the key's SHA-256 where that is long or no plain ASCII, and
 * is found by it among the 1,000 newest batches; both requests of a submit bear an `Idempotency-Key` as well. A vendor that neither
 * honours that header nor lists batches with their metadata may have a second job if a crash comes between its answer and that being
 * stored: it is paid for, and nobody reads it. Files are left at the vendor, which removes them by its own rules.
 *
 * @example
 * class Summaries extends OpenAiBatchNode<Shared, NonIterableObject, string> {
 *   prep(shared: Shared) { return shared.texts; }
 *   request(text: string) { return { model: "gpt-5-mini", messages: [{ role: "user", content: `Summarize: ${text}` }] }; }
 *   post(shared: Shared, _: unknown, summaries: string[]) { shared.summaries = summaries; }
 * }
 * const api = { url: "https://api.openai.com/v1", key: () => env.OPENAI_API_KEY };
 * new Flow(new Summaries({ api, maxRetries: 3, poll: { wait: 60 } }));
 */
export abstract class OpenAiBatchNode<
  S = unknown,
  P extends NonIterableObject = NonIterableObject,
  Item = unknown,
  Result = string,
> extends BatchApiNode<S, P, Item, Result, OpenAiJob> {
  constructor(options: OpenAiBatchOptions) {
    super(options);
  }

  /** The body of the request for an item. What it throws fails the item's whole job for good, or its half where there is `split`. */
  abstract request(item: Item): object;

  /** What is kept of the body that a request was answered with. What it throws is its item's error, and may be retried. */
  result(body: unknown): Result {
    const { choices } = (body ?? {}) as { choices?: { message?: { content?: unknown } }[] };
    const content = choices?.[0]?.message?.content;
    if (typeof content === "string") return content as Result;
    throw new TypeError(
      `Expected \`choices[0].message.content\` of the answer to be a string, got ${describeType(content)}. ` +
        `Where answers are something else, override \`result\` of ${this.constructor.name}.`,
    );
  }

  async submit(lines: BatchLine<Item>[], context: ExecContext): Promise<OpenAiJob> {
    const vendor = this._vendor();
    const { endpoint = "/v1/chat/completions", completionWindow = "24h" } = this._api;
    const key = await keyOf(context);
    const { signal } = context;
    const file = jsonlOf(lines, ({ id, item }) => {
      return { custom_id: id, method: "POST", url: endpoint, body: requestOf(this, id, item) };
    });
    const uploaded = await vendor.json({
      method: "POST",
      path: "/files",
      // Another than the batch's: there are vendors that refuse a key which they know from another request.
      headers: { "idempotency-key": `${key}-file` },
      body: formOf(file, key),
      signal,
    });
    const created = await vendor.json({
      method: "POST",
      path: "/batches",
      headers: { "idempotency-key": key, "content-type": "application/json" },
      body: JSON.stringify({
        input_file_id: idOf(vendor, "file", uploaded),
        endpoint,
        completion_window: completionWindow,
        metadata: { [KEY_FIELD]: key },
      }),
      signal,
    });
    return { id: idOf(vendor, "batch", created) };
  }

  override async find(context: ExecContext): Promise<OpenAiJob | undefined> {
    const vendor = this._vendor();
    const key = await keyOf(context);
    for await (const batch of newest(vendor, context.signal)) {
      if (batch.metadata?.[KEY_FIELD] === key) return { id: idOf(vendor, "batch", batch) };
    }
    return undefined;
  }

  async poll(job: OpenAiJob, { signal }: ExecContext): Promise<BatchState> {
    const vendor = this._vendor();
    const batch = await get(vendor, job, signal);
    const { status } = batch;
    if (RUNNING.includes(status)) return { status: "running", ...countsOf(batch) };
    if (ENDED.includes(status)) return { status: "ended" };
    if (status === "failed") return { status: "failed", error: { message: failureOf(vendor, batch) } };
    const known = [...RUNNING, ...ENDED, "failed"].join(", ");
    throw new Error(
      `Expected \`status\` of a batch from ${vendor.host} to be one of ${known}, got ${vendor.quote(String(status))}`,
    );
  }

  async *collect(job: OpenAiJob, { signal }: ExecContext): AsyncGenerator<BatchResult<Result>> {
    const vendor = this._vendor();
    const batch = await get(vendor, job, signal);
    for (const file of [batch.output_file_id, batch.error_file_id]) {
      if (!file) continue;
      let number = 0;
      for await (const line of vendor.lines({ path: `/files/${encodeURIComponent(file)}/content`, signal })) {
        yield this._lineResult(vendor, answerOf(vendor, line, `line ${++number} of ${file}`));
      }
    }
  }

  override async cancel(job: OpenAiJob, { signal }: ExecContext): Promise<void> {
    const vendor = this._vendor();
    try {
      await vendor.json({ method: "POST", path: `${pathOf(job)}/cancel`, signal });
    } catch (error) {
      if (NOT_CANCELED.includes(statusOf(error)) && (await isOver(vendor, job, signal))) return;
      throw error;
    }
  }

  private get _api(): OpenAiApi {
    return (this._options as unknown as OpenAiBatchOptions).api;
  }

  /** Made anew for each hook: a node's fields are stored, and what opens the vendor's API must not be. */
  private _vendor(): Vendor {
    return new Vendor(this._api ?? {});
  }

  private _lineResult(vendor: Vendor, answer: Answer): BatchResult<Result> {
    const { custom_id: id, response } = answer;
    const error = errorIn(vendor, answer);
    if (error) return { id, error };
    try {
      return { id, result: this.result(response?.body) };
    } catch (thrown) {
      return { id, error: thrown instanceof Error ? thrown : errorOf(toFailure(thrown)) };
    }
  }
}

/** What a job is known by at the vendor: its idempotency key, or that one's hash where it would not pass for a header. */
async function keyOf({ idempotencyKey }: ExecContext): Promise<string> {
  if (idempotencyKey.length <= MAX_KEY && /^[\x21-\x7e]+$/.test(idempotencyKey)) return idempotencyKey;
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(idempotencyKey));
  return Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function formOf(file: Blob, key: string): FormData {
  const form = new FormData();
  form.append("purpose", "batch");
  form.append("file", file, `pocketflare-${key.replace(/[^\w.-]+/g, "-")}.jsonl`);
  return form;
}

/** The author's request, which no vendor has seen yet: what is wrong with it would be so again. */
function requestOf<Item>(node: { request(item: Item): object }, id: string, item: Item): object {
  const name = node.constructor.name;
  try {
    const body: unknown = node.request(item);
    if (typeof body === "object" && body !== null && !("then" in body)) return body;
    throw new TypeError(`Expected request of ${name} to return an object, got ${describeType(body)}`);
  } catch (error) {
    const { message } = toFailure(error);
    throw new NonRetryableError(`request of ${name} failed for item ${id}: ${message}`, { cause: error });
  }
}

function pathOf({ id }: OpenAiJob): string {
  return `/batches/${encodeURIComponent(id)}`;
}

async function get(vendor: Vendor, job: OpenAiJob, signal: AbortSignal): Promise<Batch> {
  return vendor.json({ path: pathOf(job), signal });
}

/** The project's batches, newest first, as far as is worth looking. */
async function* newest(vendor: Vendor, signal: AbortSignal): AsyncGenerator<Batch> {
  let after = "";
  for (let pages = 0; pages < MAX_PAGES; pages++) {
    const { data, has_more } = await pageOf(vendor, after, signal);
    if (!Array.isArray(data)) return;
    yield* data;
    const last = data.at(-1)?.id;
    // A vendor that does not know `after` gives its first page once more.
    if (has_more === false || typeof last !== "string" || last === after) return;
    after = last;
  }
}

async function pageOf(vendor: Vendor, after: string, signal: AbortSignal): Promise<Page> {
  const from = after === "" ? "" : `&after=${encodeURIComponent(after)}`;
  try {
    return await vendor.json({ path: `/batches?limit=${PAGE_SIZE}${from}`, signal });
  } catch (error) {
    if (NO_LIST.includes(statusOf(error))) return {};
    throw error;
  }
}

/** Whether a job that could not be canceled needs none: its status says so in any vendor's words. */
async function isOver(vendor: Vendor, job: OpenAiJob, signal: AbortSignal): Promise<boolean> {
  try {
    const { status } = await get(vendor, job, signal);
    return ENDED.includes(status) || status === "failed" || status === "cancelling";
  } catch (error) {
    if (statusOf(error) === 404) return true;
    throw error;
  }
}
