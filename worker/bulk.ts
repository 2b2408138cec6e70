import {
  BatchApiNode,
  type BatchLine,
  type ExecContext,
  Flow,
  type NonIterableObject,
  OpenAiBatchNode,
} from "../src/index.ts";
import type { ModelSettings } from "./model.ts";
import type { SummarizeShared } from "./summarize.ts";
import { summarize } from "./summarizer.ts";

/** A line that fails is given to the vendor twice more, in a new job with the others that failed. */
const MAX_RETRIES = 3;
/** The built-in summarizer reads a whole job in one call, which has seconds of CPU time. */
const LOCAL_BATCH = 50;
/** A vendor's job takes minutes at least; the built-in one is done at once. */
const VENDOR_POLL = { wait: 30, backoff: 1.5, maxWait: 600 };
const LOCAL_POLL = { wait: 0.2, backoff: 2, maxWait: 5 };
/** Where the built-in vendor keeps its jobs in the bucket. */
export const JOBS = "jobs/";

/**
 * The flow `summarize-bulk`: what `summarize` does, by a vendor's batch API, which takes up to a day and costs half. Where no vendor is
 * set it is the built-in summarizer behind one: a job is a file in the bucket.
 *
 * @example
 * const shared: SummarizeShared = { texts: ["A long text …", "Another …"] };
 * await summarizeBulkFlow(env, env.FILES)().run(shared);
 * shared.summary; // both summaries
 */
export function summarizeBulkFlow(settings: ModelSettings, bucket: R2Bucket): () => Flow<SummarizeShared> {
  const { LLM_BASE_URL: url, LLM_API_KEY: key, LLM_MODEL: model } = settings;
  return () => new Flow(url ? new BulkSummaries({ url, key: () => key }, model) : new LocalSummaries(bucket));
}

function write(shared: SummarizeShared, summaries: string[]): void {
  shared.summaries = summaries;
  shared.summary = summaries.join("\n\n");
}

/** By an OpenAI-compatible vendor. */
class BulkSummaries extends OpenAiBatchNode<SummarizeShared, NonIterableObject, string> {
  private readonly model: string | undefined;

  constructor(api: { url: string; key: () => string | undefined }, model: string | undefined) {
    super({ api, name: "BulkSummaries", maxRetries: MAX_RETRIES, poll: VENDOR_POLL });
    this.model = model;
  }

  override prep(shared: SummarizeShared) {
    return shared.texts;
  }

  request(text: string) {
    return { model: this.model, messages: [{ role: "user", content: `Summarize: ${text}` }] };
  }

  override post(shared: SummarizeShared, _texts: unknown, summaries: string[]) {
    write(shared, summaries);
  }
}

type Line = BatchLine<string>;

/** A batch API of our own: a job is a file with its lines, under a name that follows from its key, so that there is only one. */
class LocalSummaries extends BatchApiNode<SummarizeShared, NonIterableObject, string, string, string> {
  private readonly bucket: R2Bucket;

  constructor(bucket: R2Bucket) {
    super({ name: "BulkSummaries", maxRetries: MAX_RETRIES, batchSize: LOCAL_BATCH, poll: LOCAL_POLL });
    this.bucket = bucket;
  }

  override prep(shared: SummarizeShared) {
    return shared.texts;
  }

  async submit(lines: Line[], { idempotencyKey }: ExecContext) {
    const name = nameOf(idempotencyKey);
    await this.bucket.put(name, JSON.stringify(lines));
    return name;
  }

  override async find({ idempotencyKey }: ExecContext) {
    const name = nameOf(idempotencyKey);
    return (await this.bucket.head(name)) ? name : undefined;
  }

  async poll(name: string) {
    if (await this.bucket.head(name)) return { status: "ended" as const };
    return { status: "failed" as const, error: { message: `Expected the job ${name} in the bucket, found none` } };
  }

  async *collect(name: string) {
    const lines = (await (await this.bucket.get(name))?.json<Line[]>()) ?? [];
    for (const { id, item } of lines) yield { id, result: summarize(item) };
  }

  override async cancel(name: string) {
    await this.bucket.delete(name);
  }

  override post(shared: SummarizeShared, _texts: unknown, summaries: string[]) {
    write(shared, summaries);
  }
}

function nameOf(idempotencyKey: string): string {
  return `${JOBS}${encodeURIComponent(idempotencyKey)}.json`;
}
