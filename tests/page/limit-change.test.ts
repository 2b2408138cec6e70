import { expect, test } from "vitest";
import type { LimitKey } from "../../src/http/api.ts";
import { busiest, periodMsOf, periodText, readChange } from "../../src/page/views/limit-change.ts";

const key = (key: string, more: Partial<LimitKey> = {}): LimitKey => ({
  ...{ key, requests: 10, tokens: null, periodMs: 60_000, concurrency: null },
  ...{ used: { requests: 0, tokens: 0 }, inFlight: 0, waiting: 0, cooldownUntil: null },
  ...more,
});
const texts = (more: object) => ({ requests: "", tokens: "", periodMs: "", concurrency: "", ...more });

test.each([
  ["60", 60_000],
  ["1m", 60_000],
  ["1.5s", 1_500],
  ["500ms", 500],
  [" 2 h ", 7_200_000],
  ["1d", 86_400_000],
])("a period of %s is %d ms", (text, ms) => {
  expect(periodMsOf(text)).toBe(ms);
});

test.each(["", "0", "-1", "1w", "1e3", "m", "NaN"])("%j is no period", (text) => {
  expect(periodMsOf(text)).toBeNull();
});

test.each([1, 500, 1_500, 60_000, 90_000, 3_600_000])("a period of %d ms can be read again", (ms) => {
  expect(periodMsOf(periodText(ms))).toBe(ms);
});

test("what is empty stays as it is", () => {
  expect(readChange(texts({ requests: " 5 " }))).toEqual({ change: { requests: 5 }, faults: [] });
});

test.each(["0", "-1", "1.5", "1e3", "x", "9007199254740993"])("%s is no count", (text) => {
  const { change, faults } = readChange(texts({ tokens: text }));
  expect(change).toEqual({});
  expect(faults).toEqual([{ pointer: "/tokens", detail: expect.stringContaining("whole number") }]);
});

test("the busiest keys come first, by any of their bounds", () => {
  const idle = key("idle");
  const half = key("half", { used: { requests: 5, tokens: 9_999 } });
  const full = key("full", { concurrency: 2, inFlight: 2 });
  const waits = key("waits", { waiting: 3 });
  expect(busiest([idle, half, waits, full], "").map((each) => each.key)).toEqual(["full", "half", "waits", "idle"]);
  expect(busiest([idle, half, waits, full], "AL").map((each) => each.key)).toEqual(["half"]);
});
