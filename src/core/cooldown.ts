/** A response's headers: a `Headers`, or a plain record of them with its names in any case. */
export type HeadersLike = { get(name: string): unknown } | { readonly [name: string]: unknown };

type Read = (name: string) => string | undefined;

/** A vendor that asks for more is wrong, or means to be rude: after a day it is worth a call to find out. */
const LONGEST_MS = 24 * 60 * 60 * 1000;
const UNIT_MS: { readonly [unit: string]: number } = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const KINDS = ["requests", "tokens"];

/**
 * For how many milliseconds a response's headers ask for no further calls, if they do: `retry-after-ms`, else `Retry-After`,
 * else OpenAI's `x-ratelimit-*`. Whole, and a day at most. `nowMs` is for a date where the vendor does not tell its own time.
 *
 * @example cooldownMs({ "Retry-After": "1.5" }); // 1500
 */
export function cooldownMs(headers: HeadersLike, nowMs?: number): number | undefined {
  const read = readerOf(headers);
  const askedMs = retryAfterMs(read, nowMs) ?? untilResetMs(read);
  return askedMs === undefined ? undefined : Math.ceil(Math.min(askedMs, LONGEST_MS));
}

function readerOf(headers: HeadersLike): Read {
  if (hasGet(headers)) return (name) => textOf(headers.get(name));
  const values = new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
  return (name) => textOf(values.get(name));
}

function hasGet(headers: HeadersLike): headers is { get(name: string): unknown } {
  return typeof headers.get === "function";
}

function textOf(value: unknown): string | undefined {
  if (typeof value === "number") return String(value);
  return typeof value === "string" ? value.trim() : undefined;
}

function retryAfterMs(read: Read, nowMs: number | undefined): number | undefined {
  const ms = numberOf(read("retry-after-ms"));
  if (ms !== undefined) return ms;
  const value = read("retry-after");
  const seconds = numberOf(value);
  if (seconds !== undefined) return seconds * 1000;
  const untilMs = dateOf(value);
  // Counted from the vendor's own clock where it says what that shows.
  const sinceMs = dateOf(read("date")) ?? nowMs;
  return untilMs === undefined || sinceMs === undefined ? undefined : Math.max(0, untilMs - sinceMs);
}

/** What is not used up resets too, and asks for no wait by that; so the resets count only where nothing remains. */
function untilResetMs(read: Read): number | undefined {
  const waits = KINDS.filter((kind) => numberOf(read(`x-ratelimit-remaining-${kind}`)) === 0)
    .map((kind) => durationOf(read(`x-ratelimit-reset-${kind}`)))
    .filter((ms) => ms !== undefined);
  return waits.length === 0 ? undefined : Math.max(...waits);
}

/** Go's way to write a duration, such as `6m0s`, or a plain number of seconds. */
function durationOf(text: string | undefined): number | undefined {
  const ms = (numberOf(text) ?? Number.NaN) * 1000;
  // A plain number of more than a day is a point in time: there are vendors that send one.
  if (ms <= LONGEST_MS) return ms;
  if (text === undefined || !/^(?:\d+(?:\.\d+)?(?:ms|[hms]))+$/.test(text)) return undefined;
  const parts = text.matchAll(/([\d.]+)(ms|[hms])/g);
  return Array.from(parts).reduce((sum, [, amount, unit = ""]) => sum + Number(amount) * (UNIT_MS[unit] ?? 0), 0);
}

/** HTTP dates end in GMT; `Date.parse` alone would read a date into `-5`. */
function dateOf(text: string | undefined): number | undefined {
  const ms = text?.endsWith("GMT") ? Date.parse(text) : Number.NaN;
  return Number.isNaN(ms) ? undefined : ms;
}

function numberOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+(\.\d+)?$/.test(text) ? Number(text) : undefined;
}
