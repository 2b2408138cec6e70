import { test } from "@fast-check/vitest";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cooldownMs } from "../../src/core/cooldown.ts";

const DAY_MS = 24 * 60 * 60 * 1000;
const NOW_MS = Date.parse("Wed, 21 Oct 2015 07:28:00 GMT");
const NAMES = [
  "retry-after-ms",
  "Retry-After",
  "date",
  "x-ratelimit-remaining-requests",
  "X-RateLimit-Reset-Requests",
  "x-ratelimit-remaining-tokens",
  "x-ratelimit-reset-tokens",
];

/** OpenAI's headers, where nothing remains of the requests and something of the tokens. */
function requestsReset(reset: string): Record<string, string> {
  return {
    "x-ratelimit-remaining-requests": "0",
    "x-ratelimit-reset-requests": reset,
    "x-ratelimit-remaining-tokens": "149984",
    "x-ratelimit-reset-tokens": "9h",
  };
}

describe("the time for which headers ask for no calls", () => {
  it.each([
    ["milliseconds", { "retry-after-ms": "1500" }, 1500],
    ["fractions of milliseconds, rounded", { "retry-after-ms": "1.7" }, 2],
    ["milliseconds, which win", { "retry-after-ms": "1500", "retry-after": "9" }, 1500],
    ["seconds", { "retry-after": "7" }, 7000],
    ["seconds, where the milliseconds are nonsense", { "retry-after-ms": "soon", "retry-after": "7" }, 7000],
    ["fractions of seconds", { "retry-after": "0.25" }, 250],
    ["no time at all", { "retry-after": "0" }, 0],
    ["seconds with space around them", { "retry-after": " 7\t" }, 7000],
    ["a number that is one already", { "retry-after": 7 }, 7000],
    ["seconds, which win over what remains", { "retry-after": "2", ...requestsReset("6m0s") }, 2000],
    ["a date", { "retry-after": "Wed, 21 Oct 2015 07:28:30 GMT" }, 30_000],
    ["a date that is past", { "retry-after": "Wed, 21 Oct 2015 07:27:00 GMT" }, 0],
    [
      "a date, by the vendor's clock",
      { date: "Wed, 21 Oct 2015 09:00:00 GMT", "retry-after": "Wed, 21 Oct 2015 09:00:05 GMT" },
      5000,
    ],
    [
      "a date, where the vendor's clock is nonsense",
      { date: "noon", "retry-after": "Wed, 21 Oct 2015 07:28:05 GMT" },
      5000,
    ],
    ["the reset of what is used up", requestsReset("1s"), 1000],
    ["the reset, where the wish is nonsense", { "retry-after": "soon", ...requestsReset("1s") }, 1000],
    [
      "the longer reset, where both are used up",
      { ...requestsReset("1s"), "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s" },
      360_000,
    ],
    [
      "the reset that can be read",
      { ...requestsReset("soon"), "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "2s" },
      2000,
    ],
  ])("is %s", (_, headers, expected) => {
    expect(cooldownMs(headers, NOW_MS)).toBe(expected);
    expect(cooldownMs(new Headers(headers as Record<string, string>), NOW_MS)).toBe(expected);
  });

  it.each([
    ["20ms", 20],
    ["7.66s", 7660],
    ["6m0s", 360_000],
    ["1h2m3.5s", 3_723_500],
    ["2m", 120_000],
    ["12", 12_000],
    ["0.5", 500],
    ["0s", 0],
  ])("reads a reset of %s", (reset, expected) => {
    expect(cooldownMs(requestsReset(reset))).toBe(expected);
  });

  it.each([
    ["nothing at all", {}],
    ["words", { "retry-after": "soon" }],
    ["a negative number", { "retry-after": "-5", "retry-after-ms": "-1" }],
    ["a power of ten", { "retry-after": "1e3" }],
    ["no number", { "retry-after": Number.NaN, "retry-after-ms": Number.POSITIVE_INFINITY }],
    ["an empty text", { "retry-after": "" }],
    ["a list", { "retry-after": ["7"] }],
    ["a reset of what remains", { "x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": "1s" }],
    ["a reset with nothing said of what remains", { "x-ratelimit-reset-requests": "1s" }],
    [
      "a negative remainder, as Azure has sent",
      { "x-ratelimit-remaining-tokens": "-1", "x-ratelimit-reset-tokens": "1s" },
    ],
    ["a remainder of 0 without its reset", { "x-ratelimit-remaining-requests": "0" }],
    ["the other's reset", { "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-tokens": "1s" }],
    ["a negative reset", requestsReset("-1s")],
    ["a reset without digits", requestsReset("s")],
    ["a reset in an unknown unit", requestsReset("1y")],
    ["a reset that is a point in time", requestsReset("1722556800")],
  ])("is unknown for %s", (_, headers) => {
    expect(cooldownMs(headers, NOW_MS)).toBeUndefined();
  });

  it("is unknown for a date where nobody tells the time", () => {
    expect(cooldownMs({ "retry-after": "Wed, 21 Oct 2015 07:28:30 GMT" })).toBeUndefined();
  });

  it.each([
    { "retry-after-ms": "86400001" },
    { "retry-after": "9".repeat(400) },
    { "retry-after": "Fri, 31 Dec 9999 23:59:59 GMT" },
    requestsReset("25h"),
    requestsReset(`${"9".repeat(400)}s`),
  ])("is a day at most: %o", (headers) => {
    expect(cooldownMs(headers, NOW_MS)).toBe(DAY_MS);
  });

  it("is found whatever case a record's names have", () => {
    expect(cooldownMs({ "RETRY-AFTER": "7" })).toBe(7000);
    expect(cooldownMs({ "Retry-After-Ms": "7" })).toBe(7);
  });

  const date = fc.date({ noInvalidDate: true }).map((when) => when.toUTCString());
  const text = fc.oneof(
    fc.string(),
    date,
    fc.double().map(String),
    fc.bigInt().map(String),
    fc.stringMatching(/^-?(\d{0,20}(\.\d{0,5})?(ms|s|m|h|d|GMT)?){0,4}$/),
  );
  const value = fc.oneof({ weight: 9, arbitrary: text }, fc.double(), fc.anything());
  const name = fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...NAMES) }, fc.string());
  const now = fc.option(fc.integer(), { nil: undefined });

  test.prop([fc.dictionary(name, value), now])(
    "is unknown, or whole and from 0 to a day, for anything",
    (headers, nowMs) => {
      const ms = cooldownMs(headers, nowMs) ?? 0;
      expect(Number.isInteger(ms)).toBe(true);
      expect(ms).toBeGreaterThanOrEqual(0);
      expect(ms).toBeLessThanOrEqual(DAY_MS);
    },
  );

  test.prop([fc.integer({ min: 0, max: 23 }), fc.nat(59), fc.nat(59), fc.nat(999)])(
    "is what a reset in hours, minutes, seconds and milliseconds adds up to",
    (hours, minutes, seconds, ms) => {
      const expected = ((hours * 60 + minutes) * 60 + seconds) * 1000 + ms;
      expect(cooldownMs(requestsReset(`${hours}h${minutes}m${seconds}s${ms}ms`))).toBe(expected);
      expect(cooldownMs(requestsReset(`${hours}h${minutes}m${seconds + ms / 1000}s`))).toBe(expected);
    },
  );
});
