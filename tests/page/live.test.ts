import { describe, expect, test } from "vitest";
import type { LogEvent, NodeProgress, RunOutline, Step } from "../../src/http/api.ts";
import { print } from "../../src/page/parts/print.ts";
import { history } from "../../src/page/run/history.ts";
import { MOST_EVENTS, merge, mergeEvents, NOTHING } from "../../src/page/run/merge.ts";
import { etaMs, type Mark, mark, rateOf } from "../../src/page/run/pace.ts";
import { SseReader } from "../../src/page/run/sse.ts";
import { rowsOf, tickMs } from "../../src/page/run/timeline-rows.ts";

const AT = "2026-11-23T06:00:00.000Z";
const NONE = { total: 0, pending: 0, running: 0, deferred: 0, succeeded: 0, failed: 0, canceled: 0 };

function runOf(fields: Partial<RunOutline> = {}): RunOutline {
  return {
    ...{ id: "01K", flow: "summarize", version: null, trigger: { type: "http", name: null }, status: "running" },
    ...{ createdAt: AT, startedAt: AT, finishedAt: null, resumesAt: null, step: null, items: NONE, executions: 0 },
    ...{ executors: 0, action: null, error: null, completionReason: null, redriveCount: 0, warnings: [], redrives: [] },
    ...{ waitsFor: [], signals: [], callback: null, tokens: 0 },
    ...fields,
  };
}

function emitted(id: number, at = AT): LogEvent {
  return { id, at, type: "emit", step: 1, node: "A", branch: "", index: 0, data: id };
}

function nodeOf(node: string, open: number): NodeProgress {
  return { node, steps: 1, open, items: NONE, concurrency: 16, limits: [] };
}

describe("news of a run", () => {
  test("the first are all there is, the next what has changed", () => {
    const first = merge(NOTHING, { run: runOf(), nodes: [nodeOf("A", 1), nodeOf("B", 0)] }, true);
    const next = merge(first, { run: { status: "completed" }, nodes: [nodeOf("A", 0)], events: [emitted(1)] }, false);
    expect(next.run).toEqual(runOf({ status: "completed" }));
    expect([...next.nodes.values()].map(({ node, open }) => [node, open])).toEqual([
      ["A", 0],
      ["B", 0],
    ]);
    expect(next.events).toHaveLength(1);
  });

  test("what was known before another connection is dropped, but for the events of the same run", () => {
    const before = {
      run: runOf({ status: "waiting" }),
      nodes: new Map([["old", nodeOf("old", 1)]]),
      events: [emitted(1)],
    };
    const again = merge(before, { run: runOf(), nodes: [nodeOf("A", 1)] }, true);
    expect([again.run?.status, [...again.nodes.keys()], again.events.length]).toEqual(["running", ["A"], 1]);
    const other = merge(before, { run: runOf({ createdAt: "2026-11-24T06:00:00.000Z" }), nodes: [] }, true);
    expect(other.events).toEqual([]);
  });

  test("a part of a run that is not known is no run", () => {
    expect(merge(NOTHING, { run: { status: "failed" } }, false).run).toBeNull();
  });

  test("events come once each, in order, and only the latest are kept", () => {
    expect(mergeEvents([emitted(1), emitted(3)], [emitted(2), emitted(3)]).map(({ id }) => id)).toEqual([1, 2, 3]);
    const many = Array.from({ length: MOST_EVENTS + 5 }, (_, at) => emitted(at + 1));
    expect(mergeEvents([], many).map(({ id }) => id)).toEqual(many.slice(5).map(({ id }) => id));
  });

  test("the history has the run's own events among those that were kept, by time", () => {
    const run = runOf({
      finishedAt: "2026-11-23T06:00:09.000Z",
      status: "completed",
      signals: [{ id: "s", name: "approval", at: "2026-11-23T06:00:02.000Z" }],
    });
    const types = history(run, [emitted(1, "2026-11-23T06:00:01.000Z"), emitted(2, "2026-11-23T06:00:03.000Z")]);
    expect(types.map(({ type }) => type)).toEqual(["created", "started", "emit", "signal", "emit", "completed"]);
  });
});

describe("the rate", () => {
  const marksOf = (...marks: [atMs: number, settled: number][]) =>
    marks.reduce((all: readonly Mark[], [atMs, settled]) => mark(all, { atMs, settled }), []);

  test("is that of the last ten seconds, and falls when nothing comes any more", () => {
    const marks = marksOf([0, 0], [5_000, 50], [10_000, 100], [20_000, 400]);
    expect(rateOf(marks, 20_000)).toBe(30);
    expect(rateOf(marks, 30_000)).toBe(0);
  });

  test("is not known at first, nor right after something was begun anew", () => {
    expect(rateOf([], 0)).toBeNull();
    expect(rateOf(marksOf([0, 5]), 500)).toBeNull();
    expect(marksOf([0, 90], [1_000, 10])).toEqual([{ atMs: 1_000, settled: 10 }]);
  });

  test("gives no time that is none", () => {
    expect([etaMs(100, null), etaMs(100, 0), etaMs(0, null), etaMs(100, 50)]).toEqual([null, null, 0, 2_000]);
  });
});

describe("an event stream", () => {
  const stream =
    ': \r\n\r\nevent: snapshot\r\nid: 4\r\ndata: {"a":\r\ndata: 1}\r\n\r\n: beat\n\nevent: done\ndata:x\n\nevent: cut';

  test.each([1, 2, 3, 7, 1_000])("is the same in chunks of %i", (size) => {
    const reader = new SseReader();
    const chunks = stream.match(new RegExp(`[^]{1,${size}}`, "g")) ?? [];
    expect(chunks.flatMap((chunk) => reader.read(chunk))).toEqual([
      { type: "snapshot", id: "4", data: '{"a":\n1}' },
      { type: "done", id: "", data: "x" },
    ]);
  });
});

describe("a waterfall", () => {
  const step: Step = {
    ...{ id: 2, node: "A", branch: "3/1", phase: "exec", total: 1, succeeded: 0, failed: 0 },
    ...{ startedAt: AT, finishedAt: null },
  };

  test("has a row for a step, and below it for its items", () => {
    const startMs = Date.parse(AT);
    const item = {
      ...{ node: "A", branch: "3/1", step: 2, index: 0, status: "succeeded" as const, attempts: 2, redrives: 0 },
      ...{ startedAt: "2026-11-23T06:00:01.000Z", finishedAt: "2026-11-23T06:00:03.000Z" },
    };
    const [first, second] = rowsOf([step], new Map([[2, [item]]]), startMs + 5_000);
    expect([first?.depth, first?.stretches]).toEqual([
      2,
      [{ kind: "running", fromMs: startMs, toMs: startMs + 5_000 }],
    ]);
    expect([second?.tries, second?.stretches]).toEqual([
      2,
      [
        { kind: "queued", fromMs: startMs, toMs: startMs + 1_000 },
        { kind: "succeeded", fromMs: startMs + 1_000, toMs: startMs + 3_000 },
      ],
    ]);
  });

  test("has marks that leave room", () => {
    expect([tickMs(0.1, 90), tickMs(90, 90), tickMs(1e-6, 90)]).toEqual([1_000, 1, 90_000_000]);
  });
});

describe("a value", () => {
  test("is written as JSON is", () => {
    const value = { a: [1, "two", null, true, [], {}], "b c": { d: "<b>" } };
    expect(print(value)).toBe(JSON.stringify(value, null, 2));
  });

  test("shows what would turn the text around it", () => {
    const value = { "\u2067key": "\u202etxet\u202c" };
    expect(print(value)).toBe('{\n  "\\u2067key": "\\u202etxet\\u202c"\n}');
    expect(JSON.parse(print(value))).toEqual(value);
  });

  test("of any depth and length is written as far as is asked for", () => {
    const deep = `${"[".repeat(10_000)}${"]".repeat(10_000)}`;
    expect(print(JSON.parse(deep)).replaceAll(/\s/g, "")).toBe(deep);
    const long = print({ text: "x".repeat(1_000_000) }, 100);
    expect(long.length).toBeGreaterThan(100);
    expect(long.length).toBeLessThan(200);
  });
});
