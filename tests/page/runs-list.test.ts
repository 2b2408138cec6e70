import { expect, test } from "vitest";
import type { RunSummary } from "../../src/http/api.ts";
import { hasText, isRetriable, merge, queryOf, readFilter } from "../../src/page/views/runs-list.ts";

const ALL = readFilter(new URLSearchParams());
const NOW_MS = Date.parse("2026-11-23T12:00:00.000Z");

function run(id: string, minute: number, more: Partial<RunSummary> = {}): RunSummary {
  const createdAt = new Date(NOW_MS - (60 - minute) * 60_000).toISOString();
  const trigger = { type: "http" as const, name: null };
  return { id, flow: "summarize", status: "running", trigger, createdAt, error: null, ...more } as RunSummary;
}

const idsOf = (runs: RunSummary[]) => runs.map(({ id }) => id).join("");

test("puts new runs on top, changed ones in their place, and takes removed ones out", () => {
  const rows = [run("C", 3), run("B", 2), run("A", 1)];
  const changed = run("B", 2, { status: "completed" });
  const merged = merge(
    rows,
    { runs: [changed, run("D", 4)], removed: ["A"] },
    { filter: ALL, hasMore: false, nowMs: NOW_MS },
  );
  expect(idsOf(merged)).toBe("DCB");
  expect(merged[2]).toBe(changed);
});

test("orders runs of one moment by id, as the API does", () => {
  const merged = merge([run("A", 1)], { runs: [run("B", 1)] }, { filter: ALL, hasMore: false, nowMs: NOW_MS });
  expect(idsOf(merged)).toBe("BA");
});

test("leaves out what the filter does not want, also what it wanted before", () => {
  const filter = { ...ALL, status: "running" };
  const news = { runs: [run("B", 2, { status: "failed" }), run("C", 3), run("D", 4, { status: "queued" })] };
  expect(idsOf(merge([run("B", 2), run("A", 1)], news, { filter, hasMore: false, nowMs: NOW_MS }))).toBe("CA");
});

test("adds an older run only where all older ones are loaded", () => {
  const news = { runs: [run("A", 1)] };
  expect(idsOf(merge([run("B", 2)], news, { filter: ALL, hasMore: true, nowMs: NOW_MS }))).toBe("B");
  expect(idsOf(merge([run("B", 2)], news, { filter: ALL, hasMore: false, nowMs: NOW_MS }))).toBe("BA");
});

test("tells the API how far back, and takes no time that it does not know", () => {
  expect(queryOf(readFilter(new URLSearchParams("time=1h&flow=a")), NOW_MS)).toMatchObject({
    flow: "a",
    from: "2026-11-23T11:00:00.000Z",
  });
  expect(readFilter(new URLSearchParams("time=constructor")).time).toBe("");
});

test("finds a text in the error and in the trigger's name", () => {
  const failed = run("A", 1, { trigger: { type: "cron", name: "Digest" }, error: { message: "No File" } as never });
  expect([hasText(failed, "no file"), hasText(failed, "digest"), hasText(failed, "yes")]).toEqual([true, true, false]);
});

test("retries a completed run only where something in it has failed", () => {
  const items = { failed: 0 } as RunSummary["items"];
  expect(isRetriable(run("A", 1, { status: "completed", items }))).toBe(false);
  expect(isRetriable(run("A", 1, { status: "completed", items: { ...items, failed: 1 } }))).toBe(true);
});
