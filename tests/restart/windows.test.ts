import { expect, test } from "vitest";
import { LimitedVendor } from "./accounts.ts";
import {
  type Call,
  inFlightAt,
  mostStarts,
  mostTokens,
  overdraft,
  peakInFlight,
  spanSec,
  startsBetween,
} from "./windows.ts";

// Who judges the judge: what the other tests trust must see a violation where there is one, and none where there is none.

/** Calls of ten milliseconds and a hundred tokens, that begin at these moments. */
function callsAt(...momentsMs: number[]): Call[] {
  return momentsMs.map((arrivedMs, index) => ({
    account: "any",
    item: `item ${index}`,
    key: `key ${index}`,
    arrivedMs,
    endedMs: arrivedMs + 10,
    status: 200,
    tokens: 100,
  }));
}

test("a window holds its first moment and not its last", () => {
  expect(mostStarts(callsAt(0, 500, 1000), 1000)).toBe(2);
  expect(mostStarts(callsAt(0, 500, 999.999), 1000)).toBe(3);
  expect(mostStarts([], 1000)).toBe(0);
});

test("the fullest window is found wherever it lies, and whatever the order of the records", () => {
  // Each second of the clock has at most three, and 2.9 to 3.9 has five.
  const calls = callsAt(3.1, 0, 2900, 1000, 3000, 2950, 3890, 3100);
  expect(mostStarts(calls, 1000)).toBe(5);
  expect(mostTokens(calls, 1000)).toBe(500);
});

test("calls under way at once are counted, and those that meet are not", () => {
  expect(peakInFlight(callsAt(0, 10, 20))).toBe(1);
  expect(peakInFlight(callsAt(20, 9.999, 0))).toBe(2);
  expect(peakInFlight(callsAt(0, 3, 6, 9, 10))).toBe(4);
  expect(inFlightAt(callsAt(0, 3, 6), 10)).toBe(2);
  expect(inFlightAt(callsAt(0, 3, 6), 2)).toBe(1);
});

test("calls between two moments, and the time they span", () => {
  expect(startsBetween(callsAt(1, 2, 3, 4), 1, 4)).toBe(2);
  expect(spanSec(callsAt(2500, 500, 1000))).toBe(2);
});

test("an overdraft is what a window used beyond what could not be known", () => {
  const budget = { tokens: 250, estimate: 100, concurrency: 1 };
  const used = (...tokens: number[]) =>
    callsAt(...tokens.keys()).map((call, at) => ({ ...call, tokens: tokens[at] as number }));
  expect(overdraft(used(120, 130), 1000, budget)).toBe(-30);
  // Of the last call nobody knew that it would use so much.
  expect(overdraft(used(120, 180), 1000, budget)).toBe(-30);
  // Of the first one everybody did.
  expect(overdraft(used(180, 120), 1000, budget)).toBe(30);
  expect(overdraft(used(180, 120), 1, budget)).toBeLessThan(0);
});

test("the vendor counts what arrives, refuses what is above a limit, and remembers when each call was under way", async () => {
  const limit = { requests: 30, windowMs: 60_000, concurrency: 20, latencyMs: 200 };
  const vendor = await LimitedVendor.open({ any: limit, other: { latencyMs: 0 } });
  const call = async (account: string, index: number) => {
    const headers = { "idempotency-key": `key ${index}` };
    const body = JSON.stringify({ item: `item ${index}` });
    return fetch(`${vendor.url}/calls/${account}`, { method: "POST", headers, body });
  };
  const callMany = (count: number) => Promise.all(Array.from({ length: count }, (_, index) => call("any", index)));
  const statuses = (answers: Response[]) => answers.map(({ status }) => status).sort();
  // Twenty at once, and then ten more in the window.
  expect(statuses(await callMany(25))).toEqual([...Array(20).fill(200), ...Array(5).fill(429)]);
  expect(statuses(await callMany(15))).toEqual([...Array(10).fill(200), ...Array(5).fill(429)]);
  await vendor.refuseNext("other", { retryAfter: 7 });
  const refused = await call("other", 40);
  expect({ status: refused.status, retryAfter: refused.headers.get("retry-after") }).toEqual({
    status: 429,
    retryAfter: "7",
  });
  expect((await call("other", 41)).status).toBe(200);
  const calls = await vendor.calls("any");
  const served = calls.filter(({ status }) => status === 200);
  expect(await vendor.now()).toMatchObject({ calls: { any: 40, other: 2 } });
  expect(mostStarts(calls, 60_000)).toBe(40);
  expect(mostStarts(served, 60_000)).toBe(30);
  expect(peakInFlight(served)).toBe(20);
  expect(Math.min(...served.map(({ arrivedMs, endedMs }) => endedMs - arrivedMs))).toBeGreaterThan(199);
  expect(Math.min(...served.map(({ tokens }) => tokens))).toBeGreaterThanOrEqual(60);
  expect(Math.max(...served.map(({ tokens }) => tokens))).toBeLessThanOrEqual(180);
  expect((await vendor.calls("other")).map(({ item, key }) => `${item}, ${key}`)).toEqual([
    "item 40, key 40",
    "item 41, key 41",
  ]);
});
