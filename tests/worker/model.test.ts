import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text as readText } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type ScriptedAnswer, startVendor, type Vendor } from "../../demo/vendor.ts";
import { NonRetryableError, RateLimitedError, RetryAfterError } from "../../src/index.ts";
import { createModel, type ModelCall, type ModelSettings } from "../../worker/model.ts";
import { summarize } from "../../worker/summarizer.ts";

const TEXT = "Rain fell on the hills all day. The river rose. By night it had left its bed. Nobody slept.";
const KEY = "sk-secret-0123456789";

let vendor: Vendor;
beforeEach(async () => {
  vendor = await startVendor({ latencyMs: 0 });
});
afterEach(() => vendor.close());

function call(settings: ModelSettings, told: Partial<ModelCall> = {}): Promise<string> {
  return createModel(settings)(TEXT, { signal: new AbortController().signal, idempotencyKey: "run/0/1", ...told });
}

/** The error of a call that meets `answer`. */
async function errorFor(answer: ScriptedAnswer, settings: ModelSettings = {}) {
  vendor.script([answer]);
  const error = await call({ LLM_BASE_URL: vendor.baseUrl, ...settings }).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(Error);
  return error as Error & { status?: number; retryAfterMs?: number };
}

describe("without LLM_BASE_URL", () => {
  test("the built-in summarizer answers", async () => {
    expect(await call({})).toBe(summarize(TEXT));
    expect(await call({ LLM_BASE_URL: "", LLM_API_KEY: KEY })).toBe(summarize(TEXT));
  });
});

describe("the request", () => {
  interface Seen {
    line: string;
    headers: IncomingMessage["headers"];
    body: string;
  }
  let server: Server;
  let base: string;
  let seen: Seen[];

  async function record(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readText(request);
    seen.push({ line: `${request.method} ${request.url}`, headers: request.headers, body });
    response.end(JSON.stringify({ choices: [{ message: { content: "Short." } }] }));
  }

  beforeEach(async () => {
    seen = [];
    server = createServer((request, response) => void record(request, response));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/v1`;
  });
  afterEach(() => void server.close());

  test("is one POST with the text, the key, the model and the idempotency key", async () => {
    expect(await call({ LLM_BASE_URL: base, LLM_API_KEY: KEY, LLM_MODEL: "tiny" })).toBe("Short.");
    expect(seen).toHaveLength(1);
    const [{ line, headers, body }] = seen as [Seen];
    expect(line).toBe("POST /api/v1/chat/completions");
    expect(headers).toMatchObject({
      authorization: `Bearer ${KEY}`,
      "content-type": "application/json",
      "idempotency-key": "run/0/1",
    });
    expect(JSON.parse(body)).toEqual({ model: "tiny", messages: [{ role: "user", content: `Summarize: ${TEXT}` }] });
  });

  test("bears no authorization without a key, and no model without one", async () => {
    await call({ LLM_BASE_URL: base });
    expect(seen[0]?.headers.authorization).toBeUndefined();
    expect(JSON.parse(seen[0]?.body ?? "")).not.toHaveProperty("model");
  });

  test("forgives a slash at the base's end and a line break at the key's", async () => {
    await call({ LLM_BASE_URL: `${base}/`, LLM_API_KEY: `${KEY}\n` });
    expect(seen[0]?.line).toBe("POST /api/v1/chat/completions");
    expect(seen[0]?.headers.authorization).toBe(`Bearer ${KEY}`);
  });
});

describe("the stand-in vendor", () => {
  test("answers with the same summarizer's summary", async () => {
    expect(await call({ LLM_BASE_URL: vendor.baseUrl })).toBe(summarize(TEXT));
    await expect.poll(() => vendor.stats()).toEqual({ calls: 1, repeats: 0, inFlight: 0, peak: 1, lost: 0 });
  });
});

describe("a refusal", () => {
  test.each([400, 401, 403, 404, 413, 422])("%i is final", async (status) => {
    const error = await errorFor({
      status,
      headers: { "retry-after": "1" },
      body: { error: { message: "No such thing" } },
    });
    expect(error).toBeInstanceOf(NonRetryableError);
    expect(error.status).toBe(status);
    expect(error.message).toContain(`answered ${status}: No such thing`);
    expect(vendor.stats().calls).toBe(1);
  });

  test.each([408, 409, 500, 502, 503, 529])("%i may be tried again", async (status) => {
    const error = await errorFor({ status, body: "upstream is busy" });
    expect(error).not.toBeInstanceOf(NonRetryableError);
    expect(error).not.toBeInstanceOf(RetryAfterError);
    expect(error.status).toBe(status);
    expect(error.message).toContain(`answered ${status}: upstream is busy`);
    expect(vendor.stats().calls).toBe(1);
  });

  test.each([
    [401, "Check LLM_API_KEY"],
    [403, "Check LLM_API_KEY"],
    [404, "Check LLM_BASE_URL and LLM_MODEL"],
    [422, "check LLM_MODEL and the text"],
    [429, "set LLM_REQUESTS_PER_MINUTE or LLM_CONCURRENCY"],
    [500, "check the vendor's status"],
  ])("%i says what to do: %s", async (status, advice) => {
    expect((await errorFor({ status })).message).toContain(advice);
  });

  test("429 is the rate limit's", async () => {
    const error = await errorFor({ status: 429, body: "slow down" });
    expect(error).toBeInstanceOf(RateLimitedError);
    expect(error.retryAfterMs).toBeUndefined();
    expect(error.message).toContain("answered 429: slow down");
    expect(vendor.stats().calls).toBe(1);
  });

  test.each([
    ["type", { type: "insufficient_quota", code: null }],
    ["code", { type: "requests", code: "insufficient_quota" }],
  ])("429 is final where its %s says that the quota is used up", async (_, words) => {
    const body = { error: { message: "You exceeded your current quota", ...words } };
    const error = await errorFor({ status: 429, headers: { "retry-after": "1" }, body });
    expect(error).toBeInstanceOf(NonRetryableError);
    expect(error.status).toBe(429);
    expect(error.message).toContain("answered 429: You exceeded your current quota. Check the plan and the billing");
  });

  test("nothing else is final for a word about quotas", async () => {
    const error = await errorFor({ status: 503, body: { error: { code: "insufficient_quota" } } });
    expect(error).not.toBeInstanceOf(NonRetryableError);
    expect(error.message).toContain("check the vendor's status");
  });

  test("a long answer is cut, an empty one is called nothing", async () => {
    expect((await errorFor({ status: 500, body: "x".repeat(10_000) })).message).toMatch(/: x{200}…\. /);
    expect((await errorFor({ status: 500 })).message).toContain("answered 500: (nothing).");
  });
});

describe("the vendor's wish to wait", () => {
  test.each([
    ["seconds", { "retry-after": "7" }, 7_000],
    ["fractions of seconds", { "retry-after": "0.25" }, 250],
    ["no time at all", { "retry-after": "0" }, 0],
    ["milliseconds, which win", { "retry-after-ms": "1500", "retry-after": "9" }, 1_500],
    [
      "a date, by the vendor's clock",
      { date: "Wed, 21 Oct 2015 07:28:00 GMT", "retry-after": "Wed, 21 Oct 2015 07:28:30 GMT" },
      30_000,
    ],
    ["what is left of a limit", { "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s" }, 360_000],
    ["a date that is past", { "retry-after": "Wed, 21 Oct 2015 07:28:00 GMT" }, 0],
  ])("in %s", async (_, headers, retryAfterMs) => {
    const refused = await errorFor({ status: 429, headers });
    expect(refused).toBeInstanceOf(RateLimitedError);
    expect(refused).toMatchObject({ retryAfterMs, status: 429 });
    const busy = await errorFor({ status: 503, headers });
    expect(busy).toBeInstanceOf(RetryAfterError);
    expect(busy).toMatchObject({ retryAfterMs, status: 503 });
  });

  test("as a date, by our clock where the vendor's says nothing", async () => {
    const inAMinute = new Date(Date.now() + 60_000).toUTCString();
    for (const status of [429, 503]) {
      const error = await errorFor({ status, headers: { date: "", "retry-after": inAMinute } });
      expect(error.retryAfterMs).toBeGreaterThan(50_000);
      expect(error.retryAfterMs).toBeLessThanOrEqual(60_000);
    }
  });

  test.each(["soon", "-5", ""])("makes no difference when it is %j", async (value) => {
    expect((await errorFor({ status: 429, headers: { "retry-after": value } })).retryAfterMs).toBeUndefined();
    expect(await errorFor({ status: 503, headers: { "retry-after": value } })).not.toHaveProperty("retryAfterMs");
  });
});

describe("the tokens that a call has used", () => {
  /** What `settle` is told of a call that is answered with `body`. */
  async function settled(body: object): Promise<number[]> {
    const told: number[] = [];
    vendor.script([{ status: 200, body }]);
    await call({ LLM_BASE_URL: vendor.baseUrl }, { settle: (tokens) => told.push(tokens) }).catch(() => {});
    return told;
  }
  const choices = [{ message: { content: "Short." } }];

  test("are told once", async () => {
    expect(await settled({ choices, usage: { prompt_tokens: 30, completion_tokens: 12, total_tokens: 42 } })).toEqual([
      42,
    ]);
  });

  test.each([
    [undefined],
    [null],
    [{}],
    ["42"],
    [{ total_tokens: "42" }],
    [{ total_tokens: 0 }],
    [{ total_tokens: -1 }],
  ])("are not told where the vendor counts none: %j", async (usage) => {
    expect(await settled({ choices, usage })).toEqual([]);
  });

  test.each([1.5, 1e300])("are not told as %d", async (tokens) => {
    expect(await settled({ choices, usage: { total_tokens: tokens } })).toEqual([]);
  });

  test("are not told without an answer", async () => {
    expect(await settled({ choices: [], usage: { total_tokens: 42 } })).toEqual([]);
  });

  test("need nobody to be told", async () => {
    vendor.script([{ status: 200, body: { choices, usage: { total_tokens: 42 } } }]);
    expect(await call({ LLM_BASE_URL: vendor.baseUrl })).toBe("Short.");
  });
});

describe("no usable answer", () => {
  test.each([
    ["no JSON", "<html>Welcome</html>"],
    ["another shape", { result: "Short." }],
    ["no choices", { choices: [] }],
    ["no text", { choices: [{ message: { content: null } }] }],
    ["a bare null", "null"],
    ["nothing", ""],
  ])("%s: an error that shows it", async (_, body) => {
    const error = await errorFor({ status: 200, body });
    expect(error).not.toBeInstanceOf(NonRetryableError);
    expect(error.message).toMatch(
      /^Expected `choices\[0\]\.message\.content` from 127\.0\.0\.1:\d+ to be a string, got /,
    );
    expect(error.message).toContain(typeof body === "string" ? body || "(nothing)" : JSON.stringify(body));
    expect(error.message).toContain("LLM_BASE_URL");
  });

  test("a vendor that is not there may be tried again", async () => {
    const { baseUrl } = vendor;
    await vendor.close();
    const error = await call({ LLM_BASE_URL: baseUrl }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(Error);
    expect(error).not.toBeInstanceOf(NonRetryableError);
    expect((error as Error).message).toMatch(/^No answer from 127\.0\.0\.1:\d+: /);
  });

  test("an aborted call rejects with the reason it was aborted for", async () => {
    const controller = new AbortController();
    const reason = new Error("canceled");
    const answer = call({ LLM_BASE_URL: vendor.baseUrl }, { signal: controller.signal });
    controller.abort(reason);
    await expect(answer).rejects.toBe(reason);
  });

  test.each(["not a url", "ftp://example.com", "https://user:sk-secret-0123456789@example.com", KEY])(
    "LLM_BASE_URL %s is refused without being quoted",
    async (base) => {
      const error = await call({ LLM_BASE_URL: base }).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(NonRetryableError);
      expect((error as Error).message).toContain("LLM_BASE_URL");
      expect((error as Error).message).not.toContain(base);
      expect(String(error)).not.toContain(KEY);
    },
  );
});

describe("the key never shows", () => {
  test.each([
    ["echoed in a refusal", { status: 401, body: { error: { message: `Bad key ${KEY}, sorry: ${KEY}` } } }],
    ["echoed where the quote is cut", { status: 500, body: `${"x".repeat(195)}${KEY}` }],
    ["echoed in a success", { status: 200, body: { echo: `Bearer ${KEY}` } }],
  ])("%s", async (_, answer) => {
    const error = await errorFor(answer, { LLM_API_KEY: KEY });
    const told = `${error.message}\n${error.stack}\n${String(error.cause)}`;
    expect(told).not.toContain(KEY.slice(0, 5));
  });

  test.each(["two\nlines", "two words", "schlüssel"])("nor when it cannot be sent: %j", async (key) => {
    const error = await call({ LLM_BASE_URL: vendor.baseUrl, LLM_API_KEY: key }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(NonRetryableError);
    const { message, stack, cause } = error as Error;
    expect(message).toContain("Expected `LLM_API_KEY` to be printable ASCII");
    expect(`${message}\n${stack}\n${String(cause)}`).not.toContain(key);
    expect(vendor.stats().calls).toBe(0);
  });
});
