import { describe, expect, it } from "vitest";
import { NonRetryableError, RateLimitedError, RetryAfterError, toFailure } from "../../src/core/errors.ts";

const NOW_MS = Date.parse("Wed, 21 Oct 2015 07:28:00 GMT");

/** An error with the fields of OpenAI's and Anthropic's `APIError`, and no class that anybody could know. */
function sdkError(fields: object): Error {
  return Object.assign(new Error("429 slow down"), { status: 429, headers: new Headers(), requestID: "req_1" }, fields);
}

function failureOf(thrown: unknown) {
  const { stack: _, ...failure } = toFailure(thrown, NOW_MS);
  return failure;
}

describe("a RateLimitedError", () => {
  it("needs no more than to be thrown", () => {
    const error = new RateLimitedError();
    expect(error.message).toBe("The vendor refused the call for its rate limit.");
    expect("cause" in error).toBe(false);
    expect(failureOf(error)).toEqual({
      name: "RateLimitedError",
      message: error.message,
      rateLimited: true,
      status: 429,
    });
  });

  it("tells when to come back, why, and in whose words", () => {
    const cause = new Error("socket");
    const error = new RateLimitedError({ retryAfterMs: 2000, message: "Slow down.", cause });
    expect(error.cause).toBe(cause);
    expect(failureOf(error)).toMatchObject({ message: "Slow down.", rateLimited: true, retryAfterMs: 2000 });
  });

  it("is made from a response", () => {
    const response = new Response("", { status: 429, headers: { "retry-after": "Wed, 21 Oct 2015 07:28:30 GMT" } });
    const error = RateLimitedError.from(response, { nowMs: NOW_MS, message: "Slow down." });
    expect(error).toMatchObject({ retryAfterMs: 30_000, message: "Slow down.", status: 429 });
    expect(RateLimitedError.from(response)).toMatchObject({
      retryAfterMs: undefined,
      message: new RateLimitedError().message,
    });
  });

  it("is known by its name where its status is lost", () => {
    const foreign = { name: "RateLimitedError", message: "no" };
    expect(failureOf(foreign)).toStrictEqual({ ...foreign, rateLimited: true });
  });
});

describe("a rate limit's refusal", () => {
  it.each([
    ["status", { status: 429 }],
    ["statusCode", { statusCode: 429 }],
    ["response.status", { response: { status: 429 } }],
    ["statusCode, where status is a word", { status: "RESOURCE_EXHAUSTED", statusCode: 429 }],
  ])("is known by its %s", (_, fields) => {
    expect(failureOf({ message: "no", ...fields })).toEqual({
      name: "Error",
      message: "no",
      rateLimited: true,
      status: 429,
    });
  });

  it.each([
    ["another status", { status: 503, headers: { "retry-after": "7" } }],
    ["a status that is no number", { status: "429" }],
    ["the response's, where its own differs", { status: 500, response: { status: 429 } }],
    ["its word alone", { code: "rate_limit_exceeded" }],
    ["its own claim", { rateLimited: true }],
  ])("is not known by %s", (_, fields) => {
    const failure = failureOf({ message: "no", ...fields });
    expect(failure).not.toHaveProperty("rateLimited");
    expect(failure).not.toHaveProperty("retryAfterMs");
  });

  it.each([
    ["its own field", { retryAfterMs: 5, headers: { "retry-after": "7" } }, 5],
    [
      "the headers, where its own field is nonsense",
      { retryAfterMs: Number.NaN, headers: { "retry-after": "7" } },
      7000,
    ],
    ["the headers, where its own field is endless", { retryAfterMs: Infinity, headers: { "retry-after": "7" } }, 7000],
    ["a `Headers`", { headers: new Headers({ "Retry-After": "7" }) }, 7000],
    ["a record", { headers: { "Retry-After": "7" } }, 7000],
    ["the AI SDK's headers", { responseHeaders: { "retry-after": "7" } }, 7000],
    ["its response's headers", { headers: null, response: { headers: { "retry-after": "7" } } }, 7000],
    ["a date, from now", { headers: { "retry-after": "Wed, 21 Oct 2015 07:28:30 GMT" } }, 30_000],
  ])("bears its wait in %s", (_, fields, retryAfterMs) => {
    expect(failureOf({ message: "no", status: 429, ...fields })).toMatchObject({ rateLimited: true, retryAfterMs });
  });

  it("bears it in a RetryAfterError with status 429 too", () => {
    const error = new RetryAfterError("busy", { retryAfterMs: 1500, status: 429 });
    expect(failureOf(error)).toMatchObject({ rateLimited: true, retryAfterMs: 1500 });
  });

  it("is none where the error itself says that no retry mends it", () => {
    const failure = failureOf(new NonRetryableError("no", { status: 429 }));
    expect(failure).toEqual({ name: "NonRetryableError", message: "no", retryable: false, status: 429 });
  });

  it("in OpenAI's words is a rate limit", () => {
    const error = { message: "Rate limit reached", type: "requests", param: null, code: "rate_limit_exceeded" };
    const headers = new Headers({ "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s" });
    const failure = failureOf(sdkError({ error, code: error.code, param: null, type: error.type, headers }));
    expect(failure).toMatchObject({ rateLimited: true, retryAfterMs: 360_000, status: 429 });
    expect(failure).not.toHaveProperty("retryable");
  });

  it("in Anthropic's words is a rate limit", () => {
    const body = { type: "error", error: { type: "rate_limit_error", message: "slow down" }, request_id: "req_1" };
    const headers = new Headers({ "retry-after": "12" });
    const failure = failureOf(sdkError({ error: body, type: body.error.type, headers }));
    expect(failure).toMatchObject({ rateLimited: true, retryAfterMs: 12_000, status: 429 });
    expect(failure).not.toHaveProperty("retryable");
  });
});

describe("a refusal for want of money", () => {
  const quota = "insufficient_quota";

  it.each([
    ["the error's code", { code: quota }],
    ["the error's type", { type: quota }],
    ["its body's code", { error: { code: quota } }],
    ["its body's type", { error: { type: quota, code: "billing" } }],
    ["Anthropic's details", { error: { error: { details: { error_code: "enforced_spend_limit_reached" } } } }],
    ["the AI SDK's data", { data: { error: { code: quota } } }],
  ])("is known by %s, and final", (_, fields) => {
    const failure = failureOf(sdkError(fields));
    expect(failure).toEqual({ name: "Error", message: "429 slow down", retryable: false, status: 429 });
  });

  it.each([
    "credit_balance_exhausted",
    "organization_spend_limit_exceeded",
    "organization_usage_limit_exceeded",
    "project_spend_limit_exceeded",
  ])("goes by %s as well", (code) => {
    expect(failureOf(sdkError({ code }))).toMatchObject({ retryable: false });
  });

  it("is none with another status", () => {
    expect(failureOf(sdkError({ status: 503, code: quota }))).not.toHaveProperty("retryable");
  });
});

describe("an error whose fields cannot be read", () => {
  const trap = {
    get(): never {
      throw new Error("trapped");
    },
    enumerable: true,
  };

  it.each(["statusCode", "response", "headers", "responseHeaders", "error", "data", "code", "type"])(
    "is a failure all the same: %s",
    (field) => {
      const thrown = Object.defineProperty({ message: "no", status: 429 }, field, trap);
      expect(failureOf(thrown)).toEqual({ name: "Error", message: "no", rateLimited: true, status: 429 });
    },
  );

  it.each([
    ["a record's", Object.defineProperty({}, "retry-after", trap)],
    ["a `get` that throws", trap],
    ["a `get` that cannot be had", Object.defineProperty({}, "get", trap)],
  ])("is a failure all the same where it is a header: %s", (_, headers) => {
    const failure = failureOf({ message: "no", status: 429, headers });
    expect(failure).toEqual({ name: "Error", message: "no", rateLimited: true, status: 429 });
  });
});
