import { createHash } from "node:crypto";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { OpenAiBatchNode, type OpenAiBatchOptions, type OpenAiJob } from "../../src/batches/openai.ts";
import { Attempt } from "../../src/core/attempt.ts";
import type { BatchLine, BatchResult } from "../../src/core/batch-api.ts";
import { Flow, type NonIterableObject } from "../../src/index.ts";
import { BatchVendor, type Control, summaryOf } from "../restart/batch-vendor.ts";

const KEY = "sk-secret-0123456789";
const ATTEMPT_KEY = "run/0/0-1/1";

interface Shared {
  texts: string[];
  summaries?: unknown[];
}

type Thrown = Error & { status?: number; retryable?: boolean; retryAfterMs?: number };

class Summaries extends OpenAiBatchNode<Shared, NonIterableObject, string> {
  prep(shared: Shared) {
    return shared.texts;
  }
  request(text: string): object {
    return { model: "tiny", messages: [{ role: "user", content: text }] };
  }
  post(shared: Shared, _: unknown, summaries: unknown) {
    shared.summaries = summaries as unknown[];
  }
}

let vendor: BatchVendor;
beforeEach(async () => {
  vendor = await BatchVendor.open({ polls: 1, key: KEY });
});
afterEach(() => vendor.close());

function options(told: Partial<OpenAiBatchOptions> = {}): OpenAiBatchOptions {
  return { api: { url: `${vendor.url}/v1`, key: () => KEY }, poll: { wait: 0 }, ...told };
}

function node(told: Partial<OpenAiBatchOptions> = {}): Summaries {
  return new Summaries(options(told));
}

function attempt(key = ATTEMPT_KEY): Attempt {
  return new Attempt(key, 1);
}

function lines(...texts: string[]): BatchLine<string>[] {
  return texts.map((item, at) => ({ id: String(at), item }));
}

/** A job of texts that has ended. */
async function ended(texts: string[], control: Control = {}): Promise<OpenAiJob> {
  vendor.control(control);
  const job = await node().submit(lines(...texts), attempt());
  vendor.control({ end: [job.id] });
  return job;
}

async function collected<Result>(results: AsyncIterable<BatchResult<Result>>): Promise<Map<string, Result | Thrown>> {
  const byId = new Map<string, Result | Thrown>();
  for await (const line of results) byId.set(line.id, "error" in line ? line.error : line.result);
  return byId;
}

async function thrownBy(call: () => unknown): Promise<Thrown> {
  const thrown = await Promise.resolve()
    .then(call)
    .then(
      () => undefined,
      (error: unknown) => error,
    );
  expect(thrown).toBeInstanceOf(Error);
  return thrown as Thrown;
}

/** All that an error shows, wherever it is looked at. */
function shownBy(error: Error): string {
  return [error.message, error.stack, JSON.stringify(error), String(error.cause)].join("\n");
}

/** A server that answers each call by `serve`. */
async function serverOf(serve: (path: string, response: ServerResponse) => void): Promise<string> {
  const server: Server = createServer((request, response) => {
    request.resume();
    serve(request.url as string, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe("a run in memory", () => {
  test("gives results in the items' order, though the vendor gives them in another", async () => {
    const texts = Array.from({ length: 25 }, (_, at) => `text ${at}`);
    const shared: Shared = { texts };
    await new Flow(node({ batchSize: 10 })).run(shared);
    expect(shared.summaries).toEqual(texts.map(summaryOf));
    // They are submitted at once: which of them the vendor has first is its own affair.
    expect(
      vendor
        .counts()
        .jobs.map((job) => job.lines.length)
        .sort((a, b) => b - a),
    ).toEqual([10, 10, 5]);
  });

  test("retries the lines that failed as a new job, and no others", async () => {
    const texts = ["a", "FAIL_ONCE b", "c", "FAIL_ONCE d"];
    const shared: Shared = { texts };
    await new Flow(node({ maxRetries: 2 })).run(shared);
    expect(shared.summaries).toEqual(texts.map(summaryOf));
    const { jobs, submitted } = vendor.counts();
    expect(jobs.map((job) => job.lines)).toEqual([texts, ["FAIL_ONCE b", "FAIL_ONCE d"]]);
    expect(submitted).toEqual({ a: 1, "FAIL_ONCE b": 2, c: 1, "FAIL_ONCE d": 2 });
    expect(new Set(jobs.map((job) => job.key)).size).toBe(2);
  });

  test("does not retry a line that the vendor calls a bad request", async () => {
    const shared: Shared = { texts: ["a", "BAD_REQUEST b", "FAIL_ALWAYS c"] };
    await new Flow(node({ maxRetries: 3, onItemError: "collect" })).run(shared);
    expect(vendor.counts().submitted).toEqual({ a: 1, "BAD_REQUEST b": 1, "FAIL_ALWAYS c": 3 });
    expect(shared.summaries).toMatchObject([{ ok: true, value: "summary of a" }, { ok: false }, { ok: false }]);
  });

  test("retries what a job that expired left over", async () => {
    const texts = ["a", "b", "c", "d", "e"];
    vendor.control({ endings: ["expired"] });
    const shared: Shared = { texts };
    await new Flow(node({ maxRetries: 2 })).run(shared);
    expect(shared.summaries).toEqual(texts.map(summaryOf));
    expect(vendor.counts().jobs.map((job) => [job.status, job.lines])).toEqual([
      ["expired", texts],
      ["completed", ["c", "d", "e"]],
    ]);
  });

  test("retries all lines of a job that failed", async () => {
    vendor.control({ endings: ["failed"] });
    const shared: Shared = { texts: ["a", "b"] };
    await new Flow(node({ maxRetries: 2 })).run(shared);
    expect(shared.summaries).toEqual(["summary of a", "summary of b"]);
    expect(vendor.counts().jobs.map((job) => job.status)).toEqual(["failed", "completed"]);
  });

  test("stores no key: no field of the node has it", async () => {
    const summaries = node();
    await new Flow(summaries).run({ texts: ["a"] });
    expect(JSON.stringify(summaries)).not.toContain(KEY);
    expect(Object.keys(summaries)).toEqual(Object.keys(new Summaries(options())));
    expect(Object.keys(summaries)).not.toContain("api");
  });
});

describe("submit", () => {
  test("uploads a line for each item and creates a batch that bears the key", async () => {
    const job = await node().submit(lines("a", "b"), attempt());
    expect(job).toEqual({ id: "batch_1" });
    expect(vendor.counts()).toMatchObject({
      jobs: [{ key: ATTEMPT_KEY, lines: ["a", "b"] }],
      creates: [{ idempotencyKey: ATTEMPT_KEY, job: "batch_1" }],
      uploads: [{ filename: "pocketflare-run-0-0-1-1.jsonl", idempotencyKey: `${ATTEMPT_KEY}-file` }],
    });
  });

  test("keeps each of many lines", async () => {
    const texts = Array.from({ length: 1234 }, (_, at) => `line ${at} ✓`);
    await node().submit(lines(...texts), attempt());
    expect(vendor.counts().jobs[0]?.lines).toEqual(texts);
  });

  test("aims lines and job at the endpoint it is told", async () => {
    const api = { url: `${vendor.url}/v1/`, key: () => `${KEY}\n`, endpoint: "/v1/responses" };
    const job = await node({ api }).submit(lines("a"), attempt());
    // The vendor fails a job whose lines are aimed elsewhere.
    expect(await node().poll(job, attempt())).toEqual({ status: "ended" });
  });

  test("asks for the completion window it is told", async () => {
    const api = { ...options().api, completionWindow: "48h" };
    expect((await thrownBy(() => node({ api }).submit(lines("a"), attempt()))).message).toContain("window of 24h");
  });

  test.each(["x".repeat(600), "läuft/0", "a b"])("bears the hash of a key that is no header (%#)", async (key) => {
    const job = await node().submit(lines("a"), attempt(key));
    const hash = createHash("sha256").update(key).digest("hex");
    expect(vendor.counts()).toMatchObject({ jobs: [{ key: hash }], creates: [{ idempotencyKey: hash }] });
    expect(await node().find(attempt(key))).toEqual(job);
  });

  test("repeated, makes no second job where the vendor honours the key", async () => {
    vendor.control({ honoursKeys: true });
    const first = await node().submit(lines("a"), attempt());
    expect(await node().submit(lines("a"), attempt())).toEqual(first);
    expect(vendor.counts().jobs).toHaveLength(1);
  });

  test("names the item whose request cannot be made, for good", async () => {
    class Broken extends Summaries {
      override request(text: string): object {
        if (text === "b") throw new RangeError("no such text");
        return text === "c" ? (undefined as unknown as object) : super.request(text);
      }
    }
    const broken = new Broken(options());
    expect(await thrownBy(() => broken.submit(lines("a", "b"), attempt()))).toMatchObject({
      retryable: false,
      message: "request of Broken failed for item 1: no such text",
    });
    expect((await thrownBy(() => broken.submit(lines("c"), attempt()))).message).toContain("an object, got undefined");
    expect(vendor.counts().calls.upload).toBe(0);
  });

  test("refuses an answer without an id", async () => {
    vendor.control({ refuse: [{ place: "create", status: 200, body: {} }] });
    const { message } = await thrownBy(() => node().submit(lines("a"), attempt()));
    expect(message).toMatch(/^Expected `id` of a batch from 127\.0\.0\.1:\d+ to be a string, got undefined$/);
  });
});

describe("find", () => {
  test("finds nothing where nothing was submitted, or nothing with this key", async () => {
    expect(await node().find(attempt())).toBeUndefined();
    await node().submit(lines("a"), attempt());
    expect(await node().find(attempt("run/0/0-1/2"))).toBeUndefined();
  });

  test("finds a job whose create was never answered", async () => {
    vendor.control({ hold: "create" });
    const submitted = thrownBy(() => node().submit(lines("a"), attempt()));
    await expect.poll(() => vendor.counts().held, { interval: 5 }).toBe(1);
    vendor.control({ hangUp: true, hold: null });
    expect((await submitted).message).toMatch(/^No answer from 127\.0\.0\.1:\d+: /);
    expect(await node().find(attempt())).toEqual({ id: "batch_1" });
  });

  test.each(["failed", "expired", "completed"] as const)("finds a job that is %s", async (ending) => {
    const job = await ended(["a", "b"], { endings: [ending] });
    expect(vendor.counts().jobs[0]?.status).toBe(ending);
    expect(await node().find(attempt())).toEqual(job);
  });

  test("goes through the pages until it finds the job, and no further", async () => {
    vendor.control({ pageSize: 2 });
    for (let at = 0; at < 7; at++) await node().submit(lines("a"), attempt(`key-${at}`));
    expect(await node().find(attempt("key-3"))).toEqual({ id: "batch_4" });
    expect(vendor.counts().calls.list).toBe(2);
    expect(await node().find(attempt("key-0"))).toEqual({ id: "batch_1" });
    expect(vendor.counts().calls.list).toBe(6);
  });

  test("ends with the last page", async () => {
    vendor.control({ pageSize: 2 });
    for (let at = 0; at < 3; at++) await node().submit(lines("a"), attempt(`key-${at}`));
    expect(await node().find(attempt("other"))).toBeUndefined();
    expect(vendor.counts().calls.list).toBe(2);
  });

  test("looks at ten pages at most", async () => {
    vendor.control({ pageSize: 1 });
    for (let at = 0; at < 11; at++) await node().submit(lines("a"), attempt(`key-${at}`));
    expect(await node().find(attempt("key-1"))).toEqual({ id: "batch_2" });
    expect(await node().find(attempt("key-0"))).toBeUndefined();
    expect(vendor.counts().calls.list).toBe(20);
  });

  test("stops at a vendor that gives the same page again and again", async () => {
    const page = { status: 200, body: { data: [{ id: "batch_9", metadata: null }] } };
    vendor.control({ refuse: [{ place: "list", times: 20, ...page }] });
    expect(await node().find(attempt())).toBeUndefined();
    expect(vendor.counts().calls.list).toBe(2);
  });

  test("finds nothing where the vendor has no list, or keeps no metadata", async () => {
    vendor.control({ keepsMetadata: false });
    await node().submit(lines("a"), attempt());
    expect(await node().find(attempt())).toBeUndefined();
    vendor.control({ lists: false });
    expect(await node().find(attempt())).toBeUndefined();
  });

  test.each([null, undefined, { batch_1: {} }])("finds nothing in a list that is none: %j", async (data) => {
    vendor.control({ refuse: [{ place: "list", status: 200, body: { data } }] });
    expect(await node().find(attempt())).toBeUndefined();
  });

  test("throws where the list fails, or a second job would be made", async () => {
    vendor.control({ refuse: [{ place: "list", status: 503 }] });
    expect(await thrownBy(() => node().find(attempt()))).toMatchObject({ status: 503 });
  });
});

describe("poll", () => {
  test("a job goes on: validating → in_progress → finalizing → completed", async () => {
    vendor.control({ polls: 4 });
    const job = await node().submit(lines("a", "b"), attempt());
    const seen = [];
    for (let polls = 0; polls < 4; polls++) {
      const { status } = await node().poll(job, attempt());
      seen.push([status, vendor.counts().jobs[0]?.status]);
    }
    expect(seen).toEqual([
      ["running", "validating"],
      ["running", "in_progress"],
      ["running", "finalizing"],
      ["ended", "completed"],
    ]);
  });

  test.each(["validating", "in_progress", "finalizing", "cancelling"])("%s is running", async (status) => {
    const body = { id: "batch_1", status, request_counts: { total: 9, completed: 4, failed: 1 } };
    vendor.control({ refuse: [{ place: "poll", status: 200, body }] });
    expect(await node().poll({ id: "batch_1" }, attempt())).toEqual({
      status: "running",
      total: 9,
      completed: 4,
      failed: 1,
    });
  });

  test("counts only what the vendor counts", async () => {
    const bodies = [null, { total: 3, completed: null }].map((request_counts) => ({
      status: "in_progress",
      request_counts,
    }));
    vendor.control({ refuse: bodies.map((body) => ({ place: "poll", status: 200, body })) });
    expect(await node().poll({ id: "batch_1" }, attempt())).toEqual({ status: "running" });
    expect(await node().poll({ id: "batch_1" }, attempt())).toEqual({ status: "running", total: 3 });
  });

  test.each(["completed", "expired", "cancelled"])("%s has ended", async (status) => {
    vendor.control({ refuse: [{ place: "poll", status: 200, body: { status } }] });
    expect(await node().poll({ id: "batch_1" }, attempt())).toEqual({ status: "ended" });
  });

  test("failed says why, each reason once, shortly and without the key", async () => {
    const data = [
      { message: "Line 1 is bad" },
      { message: "Line 1 is bad" },
      { message: `${KEY} is spent` },
      { code: 1 },
    ];
    const long = [{ message: "x".repeat(5_000) }];
    const bodies = [{ data }, { data: long }, { data: {} }].map((errors) => ({ status: "failed", errors }));
    vendor.control({ refuse: bodies.map((body) => ({ place: "poll", status: 200, body })) });
    const states = [];
    for (let polls = 0; polls < 3; polls++) states.push(await node().poll({ id: "batch_1" }, attempt()));
    const [first, second, third] = states.map((state) => (state.status === "failed" ? state.error.message : ""));
    expect(first).toBe("The vendor's job failed: Line 1 is bad; [key] is spent.");
    expect(second).toHaveLength("The vendor's job failed: ".length + 202);
    expect(third).toMatch(/127\.0\.0\.1:\d+ does not say why/);
  });

  test("a status that nobody knows is an error that may pass", async () => {
    vendor.control({ refuse: [{ place: "poll", status: 200, body: { status: "resting" } }] });
    const error = await thrownBy(() => node().poll({ id: "batch_1" }, attempt()));
    expect(error.message).toContain("got resting");
    expect(error.retryable).toBeUndefined();
  });

  test("asks for the job by its id, whatever is in that", async () => {
    const error = await thrownBy(() => node().poll({ id: "a/../b?c" }, attempt()));
    expect(error).toMatchObject({ status: 404, retryable: false });
    expect(error.message).toContain("No batch found with id 'a/../b?c'");
  });
});

describe("collect", () => {
  const TEXTS = ["plain", "日本語 with ✓ and 🙂", "two\nlines\r\nand \u2028 one", "é".repeat(400)];

  test.each([1, 2, 3, 7, 1021, 1_000_000])("reads a file that comes in pieces of %i bytes", async (pieceBytes) => {
    const job = await ended(TEXTS, { pieceBytes });
    const results = await collected(node().collect(job, attempt()));
    expect(Array.from({ length: TEXTS.length }, (_, at) => results.get(String(at)))).toEqual(TEXTS.map(summaryOf));
  });

  test("reads a last line without an end", async () => {
    const job = await ended(["a", "b"], { endsLines: false });
    expect((await collected(node().collect(job, attempt()))).size).toBe(2);
  });

  test("leaves out blank lines, and takes lines that end in CR LF", async () => {
    const line = (id: string) =>
      JSON.stringify({
        custom_id: id,
        response: { status_code: 200, body: { choices: [{ message: { content: id } }] } },
      });
    const job = await ended(["a"], { contents: [`\n${line("0")}\r\n\r\n   \n${line("1")}\n\n`] });
    expect([...(await collected(node().collect(job, attempt())))]).toEqual([
      ["0", "0"],
      ["1", "1"],
    ]);
  });

  test("gives what it has before the file has come", async () => {
    const { promise: read, resolve } = Promise.withResolvers<void>();
    const line = {
      custom_id: "0",
      response: { status_code: 200, body: { choices: [{ message: { content: "early" } }] } },
    };
    const url = await serverOf((path, response) => {
      if (!path.endsWith("/content")) return void response.end(`{"status":"completed","output_file_id":"file-1"}`);
      response.write(`${JSON.stringify(line)}\n{"custom_id":`);
      void read.then(() => response.end(`"1","error":{"message":"late"}}`));
    });
    const results = node({ api: { url } }).collect({ id: "batch_1" }, attempt());
    expect((await results.next()).value).toEqual({ id: "0", result: "early" });
    resolve();
    expect((await results.next()).value).toMatchObject({
      id: "1",
      error: { message: expect.stringContaining("late") },
    });
    expect((await results.next()).done).toBe(true);
  });

  test("hangs up when nobody reads on", async () => {
    const closed = Promise.withResolvers<void>();
    const url = await serverOf((path, response) => {
      if (!path.endsWith("/content")) return void response.end(`{"status":"completed","output_file_id":"file-1"}`);
      response.once("close", () => closed.resolve());
      response.write(`{"custom_id":"0","error":{"message":"m"}}\n`.repeat(3));
    });
    for await (const _ of node({ api: { url } }).collect({ id: "batch_1" }, attempt())) break;
    await closed.promise;
  });

  test("gives an error of each line that failed: final where another try would fail too", async () => {
    const job = await ended(["a", "BAD_REQUEST", "RATE_LIMIT", "FAIL_ALWAYS", "EMPTY"]);
    const results = await collected(node().collect(job, attempt()));
    expect(results.get("0")).toBe("summary of a");
    const error = (id: string) => {
      expect(results.get(id)).toBeInstanceOf(Error);
      const { name, message, status, retryable } = results.get(id) as Thrown;
      return { name, message: message.replace(vendor.url.slice(7), "HOST"), status, retryable };
    };
    expect(error("1")).toEqual({
      name: "NonRetryableError",
      message: "The line was answered 400 at HOST: No answer for BAD_REQUEST.",
      status: 400,
      retryable: false,
    });
    expect(error("2")).toMatchObject({ name: "BatchLineError", status: 429, retryable: undefined });
    expect(error("3")).toMatchObject({
      name: "BatchLineError",
      message: "The line was answered 500 at HOST: No answer for FAIL_ALWAYS.",
      status: 500,
    });
    expect(error("4")).toMatchObject({ name: "TypeError", retryable: undefined });
    expect(error("4").message).toContain("`choices[0].message.content` of the answer to be a string, got null");
  });

  test.each([408, 409, 425, 429, 500, 503])("a line that was answered %i may be retried", async (status_code) => {
    const job = await ended(["a"], { contents: [JSON.stringify({ custom_id: "0", response: { status_code } })] });
    const error = (await collected(node().collect(job, attempt()))).get("0") as Thrown;
    expect(error).toMatchObject({ name: "BatchLineError", status: status_code });
  });

  test("a line that money is missing for is final", async () => {
    const response = { status_code: 429, body: { error: { code: "insufficient_quota", message: "Pay first" } } };
    const job = await ended(["a"], { contents: [JSON.stringify({ custom_id: "0", response })] });
    expect((await collected(node().collect(job, attempt()))).get("0")).toMatchObject({ retryable: false, status: 429 });
  });

  test("a line with an error has failed, whatever its status is", async () => {
    const failed = [
      { custom_id: "0", response: { status_code: 200, body: {} }, error: { message: `Bad ${KEY}` } },
      { custom_id: "1", response: null, error: { code: "server_error" } },
      { custom_id: "2", response: null, error: null },
    ];
    const job = await ended(["a"], { contents: [failed.map((line) => JSON.stringify(line)).join("\n")] });
    const results = await collected(node().collect(job, attempt()));
    const messages = [...results.values()].map((error) =>
      (error as Error).message.replace(vendor.url.slice(7), "HOST"),
    );
    expect(messages).toEqual([
      "The line failed at HOST: Bad [key].",
      "The line failed at HOST: server_error.",
      "The line failed at HOST: no reason given.",
    ]);
  });

  test.each(["expired", "cancelled"])(
    "a job that was %s gives what it has, and the rest may be retried",
    async (status) => {
      vendor.control({ polls: null, partial: 2, endings: ["expired"] });
      const job = await node().submit(lines("a", "b", "c", "d"), attempt());
      if (status === "cancelled") await node().cancel(job, attempt());
      vendor.control({ end: "all" });
      expect(vendor.counts().jobs[0]?.status).toBe(status);
      expect(await node().poll(job, attempt())).toEqual({ status: "ended" });
      const results = await collected(node().collect(job, attempt()));
      expect([results.get("0"), results.get("1")]).toEqual(["summary of a", "summary of b"]);
      for (const id of ["2", "3"]) expect(results.get(id)).toMatchObject({ name: "BatchLineError" });
      expect((results.get("3") as Error).message).toContain(`before the job was ${status}`);
    },
  );

  test("gives nothing of a job without files", async () => {
    vendor.control({ refuse: [{ place: "poll", status: 200, body: { status: "completed", output_file_id: null } }] });
    expect((await collected(node().collect({ id: "batch_1" }, attempt()))).size).toBe(0);
  });

  test.each(["{", "[]", "null", '"text"', '{"custom_id":7}', "{}"])(
    "says which line it cannot read: %s",
    async (bad) => {
      const good = JSON.stringify({ custom_id: "0", error: { message: "m" } });
      const job = await ended(["a"], { contents: [`${good}\n\n${bad}\n`] });
      const { message } = await thrownBy(() => collected(node().collect(job, attempt())));
      expect(message).toMatch(
        /^Expected line 2 of file-\d+ from 127\.0\.0\.1:\d+ to be a JSON object with a `custom_id`, got /,
      );
      expect(message).toContain(bad);
    },
  );

  test("an author's result is kept, and what it throws is its line's error", async () => {
    class Lengths extends OpenAiBatchNode<Shared, NonIterableObject, string, number> {
      request(text: string) {
        return { messages: [{ content: text }] };
      }
      override result(body: unknown): number {
        const { total_tokens } = (body as { usage: { total_tokens: number } }).usage;
        if (total_tokens === 12) throw new RangeError("too short");
        if (total_tokens === 13) throw "no error at all";
        return total_tokens;
      }
    }
    const job = await ended(["a", "bb", "ccc", "dddd"]);
    const results = await collected(new Lengths(options()).collect(job, attempt()));
    expect([results.get("0"), results.get("3")]).toEqual([11, 14]);
    expect(results.get("1")).toMatchObject({ name: "RangeError", message: "too short" });
    expect(results.get("2")).toBeInstanceOf(Error);
    expect((results.get("2") as Error).message).toContain("no error at all");
  });

  test("throws where the file breaks off, without a cause", async () => {
    const job = await ended(["a", "b", "c"], { refuse: [{ place: "content", cut: 300 }], pieceBytes: 100 });
    const error = await thrownBy(() => collected(node().collect(job, attempt())));
    expect(error.message).toMatch(/^No answer from 127\.0\.0\.1:\d+: /);
    expect(error.cause).toBeUndefined();
    expect((await collected(node().collect(job, attempt()))).size).toBe(3);
  });

  test("throws where the vendor has the file no more", async () => {
    const body = { status: "completed", output_file_id: "file/gone" };
    vendor.control({ refuse: [{ place: "poll", status: 200, body }] });
    const error = await thrownBy(() => collected(node().collect({ id: "batch_1" }, attempt())));
    expect(error).toMatchObject({ status: 404, retryable: false });
    expect(error.message).toContain("No such file: file/gone");
  });
});

describe("cancel", () => {
  test("cancels a job that goes on", async () => {
    vendor.control({ polls: null });
    const job = await node().submit(lines("a"), attempt());
    await node().cancel(job, attempt());
    expect(vendor.counts()).toMatchObject({ cancels: [job.id], jobs: [{ status: "cancelling" }] });
  });

  test.each(["completed", "expired", "failed"] as const)("a job that is %s needs none", async (ending) => {
    const job = await ended(["a"], { endings: [ending] });
    await node().cancel(job, attempt());
    expect(vendor.counts().cancels).toEqual([job.id]);
  });

  test("a job that is being canceled needs none, whatever status the vendor refuses with", async () => {
    vendor.control({ polls: null });
    const job = await node().submit(lines("a"), attempt());
    await node().cancel(job, attempt());
    for (const status of [400, 404, 409]) {
      vendor.control({
        refuse: [
          { place: "cancel", status },
          { place: "poll", status: 200, body: { status: "cancelling" } },
        ],
      });
      await node().cancel(job, attempt());
    }
    expect(vendor.counts().calls).toMatchObject({ cancel: 4, poll: 3 });
  });

  test("a job that is gone needs none", async () => {
    await node().cancel({ id: "batch_7" }, attempt());
    expect(vendor.counts().cancels).toEqual(["batch_7"]);
  });

  test.each([400, 404, 409])("throws where the vendor refuses with %i and the job goes on", async (status) => {
    vendor.control({ polls: null, refuse: [{ place: "cancel", status }] });
    const job = await node().submit(lines("a"), attempt());
    expect(await thrownBy(() => node().cancel(job, attempt()))).toMatchObject({ status });
  });

  test("throws where the vendor is away", async () => {
    const job = await ended(["a"], { refuse: [{ place: "cancel", status: 500 }] });
    expect(await thrownBy(() => node().cancel(job, attempt()))).toMatchObject({ status: 500 });
    vendor.control({ refuse: [{ place: "poll", status: 500 }] });
    expect(await thrownBy(() => node().cancel(job, attempt()))).toMatchObject({ status: 500 });
  });
});

describe("an error", () => {
  function pollWith(control: Control, told: Partial<OpenAiBatchOptions> = {}): Promise<Thrown> {
    vendor.control(control);
    return thrownBy(() => node(told).poll({ id: "batch_1" }, attempt()));
  }

  test.each([400, 401, 403, 404, 413, 422])("%i is final", async (status) => {
    const body = { error: { message: "No such thing." } };
    const error = await pollWith({ refuse: [{ place: "poll", status, headers: { "retry-after": "1" }, body }] });
    expect(error).toMatchObject({ name: "NonRetryableError", status, retryable: false });
    expect(error.message).toMatch(new RegExp(`^127\\.0\\.0\\.1:\\d+ answered ${status}: No such thing\\. \\S`));
  });

  test.each([408, 409, 425, 500, 503])("%i may pass", async (status) => {
    const error = await pollWith({ refuse: [{ place: "poll", status }] });
    expect(error).toMatchObject({ name: "Error", status });
    expect(error.retryable).toBeUndefined();
  });

  test("503 with a time to wait says when", async () => {
    const error = await pollWith({ refuse: [{ place: "poll", status: 503, headers: { "retry-after": "7" } }] });
    expect(error).toMatchObject({ name: "RetryAfterError", status: 503, retryAfterMs: 7_000 });
  });

  test("429 is a RateLimitedError with the vendor's time to wait and its words", async () => {
    const body = { error: { message: "Slow down" } };
    const error = await pollWith({ refuse: [{ place: "poll", status: 429, headers: { "retry-after": "3" }, body }] });
    expect(error).toMatchObject({ name: "RateLimitedError", status: 429, retryAfterMs: 3_000 });
    expect(error.message).toContain("answered 429: Slow down.");
  });

  test("429 for want of money is final", async () => {
    const body = { error: { code: "insufficient_quota", message: "Pay first" } };
    const error = await pollWith({ refuse: [{ place: "poll", status: 429, body }] });
    expect(error).toMatchObject({ name: "NonRetryableError", status: 429 });
  });

  test("has no key in it, though the vendor says it", async () => {
    const error = await pollWith({ key: "another" });
    expect(error).toMatchObject({ status: 401, retryable: false });
    expect(error.message).toContain("Incorrect API key provided: [key].");
    expect(shownBy(error)).not.toContain(KEY);
  });

  test("has no half of the key, where the words are cut within it", async () => {
    const words = `${"x".repeat(195)}${KEY}`;
    const error = await pollWith({ refuse: [{ place: "poll", status: 500, body: words }] });
    expect(error.message).toContain("x".repeat(195));
    expect(shownBy(error)).not.toContain(KEY.slice(0, 4));
  });

  test("quotes little of a whole page, and reads no more of it than that needs", async () => {
    const closed = Promise.withResolvers<void>();
    const url = await serverOf((_path, response) => {
      response.once("close", () => closed.resolve());
      response.writeHead(500).write("page ".repeat(10_000));
    });
    const error = await pollWith({}, { api: { url } });
    expect(error.message.length).toBeLessThan(400);
    // The page has no end: only a caller that hangs up ends it.
    await closed.promise;
  });

  test("of a vendor that hangs up names the host, without a cause", async () => {
    const error = await pollWith({ refuse: [{ place: "poll", cut: 0 }] });
    expect(error.message).toMatch(/^No answer from 127\.0\.0\.1:\d+: /);
    expect(error.cause).toBeUndefined();
    expect(error.retryable).toBeUndefined();
  });

  test("says that an answer is no JSON", async () => {
    for (const body of ["<html>", "null", "7"]) {
      const error = await pollWith({ refuse: [{ place: "poll", status: 200, body }] });
      expect(error.message).toContain(`with a JSON object, got ${body}. Check`);
    }
  });

  test("of a call that is given up is the reason for that", async () => {
    vendor.control({ hold: "create" });
    const context = attempt();
    const submitted = thrownBy(() => node().submit(lines("a"), context));
    await expect.poll(() => vendor.counts().held, { interval: 5 }).toBe(1);
    const reason = new Error("canceled");
    context.abort(reason);
    expect(await submitted).toBe(reason);
    await expect.poll(() => vendor.counts().held, { interval: 5 }).toBe(0);
  });

  test("of a file that is given up is the reason for that", async () => {
    const url = await serverOf((path, response) => {
      if (!path.endsWith("/content")) return void response.end(`{"status":"completed","output_file_id":"file-1"}`);
      response.write(`{"custom_id":"0","error":{"message":"m"}}\n`);
    });
    const context = attempt();
    const results = node({ api: { url } }).collect({ id: "batch_1" }, context);
    await results.next();
    const reason = new Error("canceled");
    const read = thrownBy(() => results.next());
    context.abort(reason);
    expect(await read).toBe(reason);
  });
});

describe("access that cannot be meant", () => {
  test.each(["", "sk-secret", "ftp://host/v1", `https://user:${KEY}@host/v1`, `https://host/v1?key=${KEY}`, undefined])(
    "a URL such as %s is refused at the call, unseen",
    async (url) => {
      const summaries = node({ api: { url: url as string, key: () => KEY } });
      const error = await thrownBy(() => summaries.submit(lines("a"), attempt()));
      expect(error).toMatchObject({ name: "NonRetryableError" });
      expect(error.message).toContain("Expected `api.url` to be an http(s) URL");
      expect(shownBy(error)).not.toMatch(/sk-secret/);
    },
  );

  test.each([`${KEY}\n${KEY}`, `${KEY} b`, `${KEY}é`, 7])(
    "a key such as %j is refused at the call, unseen",
    async (key) => {
      const summaries = node({ api: { url: `${vendor.url}/v1`, key: () => key as string } });
      for (const hook of [
        () => summaries.submit(lines("a"), attempt()),
        () => summaries.find(attempt()),
        () => summaries.poll({ id: "b" }, attempt()),
        () => collected(summaries.collect({ id: "b" }, attempt())),
        () => summaries.cancel({ id: "b" }, attempt()),
      ]) {
        const error = await thrownBy(hook);
        expect(error).toMatchObject({ name: "NonRetryableError" });
        expect(error.message).toContain("Expected `api.key` to give printable ASCII");
        expect(shownBy(error)).not.toMatch(/sk-secret/);
      }
    },
  );

  test("a key that is no function is refused, unseen", async () => {
    const api = { url: `${vendor.url}/v1`, key: KEY as unknown as () => string };
    const error = await thrownBy(() => node({ api }).poll({ id: "b" }, attempt()));
    expect(error.message).toContain("a function that gives the key, such as `() => env.OPENAI_API_KEY`, got a string");
    expect(shownBy(error)).not.toContain(KEY);
  });

  test("no api at all is refused too", async () => {
    const bare = new Summaries({} as OpenAiBatchOptions);
    expect((await thrownBy(() => bare.poll({ id: "b" }, attempt()))).message).toContain("`api.url`");
  });

  test("the key is asked for at each call, and none is sent where there is none", async () => {
    let key: string | undefined = "old";
    const summaries = node({ api: { url: `${vendor.url}/v1`, key: () => key } });
    expect(await thrownBy(() => summaries.find(attempt()))).toMatchObject({ status: 401 });
    key = KEY;
    expect(await summaries.find(attempt())).toBeUndefined();
    key = undefined;
    expect((await thrownBy(() => summaries.find(attempt()))).message).toContain("provided: undefined");
  });
});
