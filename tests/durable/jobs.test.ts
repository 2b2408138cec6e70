import { runDurableObjectAlarm } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { ChunkRow } from "../../src/durable/chunk-store.ts";
import { afterRecall, Recalls } from "../../src/durable/recalls.ts";
import { type Bureau, type Jobbing, newBureau, release, resultsOf } from "./jobbing.ts";
import { withStore } from "./stores.ts";
import { call, crash, executorOf, finished, getRun, inRun, post, type Run, rows, runOf, start } from "./support.ts";

let bureau: Bureau;
beforeEach(() => {
  bureau = newBureau();
});
afterEach(() => {
  release.isOther = false;
  vi.restoreAllMocks();
});

const range = (count: number, from = 0) => Array.from({ length: count }, (_, at) => from + at);
const doubles = (items: number[]) => items.map((item) => 2 * item);
const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

function resultsIn(run: Run): unknown[] | undefined {
  return (run.output as Jobbing).results;
}

async function itemsOf(id: string): Promise<{ status: string; attempts: number; error?: { message: string } }[]> {
  return (await (await call(`/runs/${id}/items?limit=1000`)).json<{ items: [] }>()).items;
}

/** A run whose jobs wait for their next question. */
async function parked(flow: string, items: number[]): Promise<string> {
  const { id } = await start(flow, { items });
  await expect.poll(async () => (await getRun(id)).items.deferred).toBe(items.length);
  return id;
}

/** What never ends, for as long as its test goes on. */
const never = () => new Promise<never>(() => undefined);

const chunkRow = (first: number, more: Partial<ChunkRow> = {}): ChunkRow => ({
  step: 1,
  first,
  status: "pending",
  attempts: 0,
  crashes: 0,
  redrives: 0,
  dueMs: null,
  startedMs: null,
  job: null,
  ...more,
});
const jobState = (job: string | null, more = {}) => ({
  job,
  polls: 0,
  isEnded: false,
  failure: null,
  trouble: 0,
  ...more,
});

describe("a recall that fails", () => {
  it("is tried eight times within a day, further apart each time", () => {
    const waits = range(7, 1).map((tries) => (afterRecall(tries, 1_000) ?? 0) - 1_000);
    expect(waits).toEqual([5 * SECOND, MINUTE, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 6 * HOUR, 12 * HOUR]);
    expect(afterRecall(8, 1_000)).toBeNull();
    expect(waits.reduce((sum, wait) => sum + wait)).toBeLessThan(24 * HOUR);
  });
});

describe("recalls", () => {
  const stored = [
    chunkRow(0, { job: jobState("a") }),
    chunkRow(10, { job: jobState("b", { isEnded: true }) }),
    chunkRow(20),
    chunkRow(30, { job: jobState("c"), attempts: 2, redrives: 1 }),
  ];

  it("are of the jobs that go on at once, and of what is being submitted a while later", () =>
    withStore(({ chunks }) => {
      chunks.save(stored);
      const recalls = new Recalls(chunks);
      expect(recalls.dueMs).toBeNull();
      recalls.begin([{ step: 1, index: 40 }], 5_000);
      const told: unknown[] = [];
      for (const nowMs of [5_000, 5_000, 14_999, 15_000]) {
        const recall = recalls.take(nowMs);
        told.push(recall && [recall.first, recall.job?.job, recall.attempts, recall.redrives]);
        if (recall) recalls.told(recall, null, nowMs);
      }
      expect(told).toEqual([[0, "a", 0, 0], [30, "c", 2, 1], undefined, [40, undefined, 0, 0]]);
      expect(recalls.dueMs).toBeNull();
    }));

  it("are one at a time, and are found again by the next that looks", () =>
    withStore(({ chunks }) => {
      chunks.save(stored);
      const recalls = new Recalls(chunks);
      recalls.begin([], 5_000);
      expect(recalls.take(4_999)).toBeUndefined();
      const first = recalls.take(5_000);
      expect(recalls.isRecalling).toBe(true);
      expect(recalls.take(5_000)).toBeUndefined();
      const others = new Recalls(chunks);
      expect(others.dueMs).toBe(5_000);
      expect(others.take(5_000)).toEqual(first);
    }));

  it("are put off where the vendor does not answer, and given up in the end", () =>
    withStore(({ chunks }) => {
      chunks.save(stored.slice(0, 1));
      const recalls = new Recalls(chunks);
      recalls.begin([], 0);
      const due: (number | null)[] = [];
      for (let nowMs: number | null = 0; nowMs !== null; nowMs = recalls.dueMs) {
        const recall = recalls.take(nowMs);
        if (recall) recalls.told(recall, "no answer", nowMs);
        due.push(recalls.dueMs);
      }
      expect(due).toHaveLength(8);
      expect(due[0]).toBe(5 * SECOND);
      expect(due.at(-1)).toBeNull();
    }));

  it("give the chunk another name for whatever is submitted next", () =>
    withStore(({ chunks }) => {
      chunks.save(stored);
      const recalls = new Recalls(chunks);
      recalls.begin([], 0);
      for (let recall = recalls.take(0); recall; recall = recalls.take(0)) recalls.told(recall, null, 0);
      const known = chunks.of([1]).get(1) ?? [];
      expect(known.map(({ first, redrives, job }) => [first, redrives, job?.job])).toEqual([
        [0, 1, undefined],
        [10, 0, "b"],
        [20, 0, undefined],
        [30, 2, undefined],
      ]);
    }));

  it("are dropped once the run goes on, but for the one under way: that job is over", () =>
    withStore(({ chunks }) => {
      chunks.save(stored);
      const recalls = new Recalls(chunks);
      recalls.begin([], 0);
      const recall = recalls.take(0);
      recalls.drop();
      if (recall) recalls.told(recall, null, 0);
      const known = chunks.of([1]).get(1) ?? [];
      expect([known[0], known[3]].map((row) => [row?.job?.job, row?.redrives])).toEqual([
        [undefined, 1],
        ["c", 1],
      ]);
      expect(recalls.take(HOUR)).toBeUndefined();
      expect(new Recalls(chunks).dueMs).toBeNull();
    }));
});

it("the chunk that has waited longest is asked for first", () =>
  withStore(({ chunks }) => {
    chunks.save([30, 10, 20, 40].map((dueMs, at) => chunkRow(at, { status: "deferred", dueMs })));
    expect(chunks.earliestDue()).toBe(10);
    expect(chunks.releaseDue(30).map(({ index }) => index)).toEqual([1, 2, 0]);
    expect(chunks.earliestDue()).toBe(40);
  }));

it("the vendor has as many jobs at once as `concurrency` says, each for as long as it takes", async () => {
  bureau.polls = 4;
  const items = range(100);
  const run = await finished((await start("jobbing", { items })).id);
  expect(resultsIn(run)).toEqual(doubles(items));
  expect(bureau.all.map(({ lines }) => lines.length)).toEqual(range(10).map(() => 10));
  expect(bureau.peak).toBe(3);
  expect(bureau.asked).toEqual({ submit: 10, find: 10, poll: 40, collect: 10, cancel: 0 });
  expect(run.executions).toBe(10 + 40 + 10);
});

it("a job is asked for at times further and further apart, by an alarm and nobody else", async () => {
  bureau.polls = 6;
  let nowMs = Date.now();
  vi.spyOn(Date, "now").mockImplementation(() => nowMs);
  const id = await parked("jobbing for long", range(5));
  const due = async () => (await rows<{ due: number }>(id, "select due_ms as due from chunk"))[0]?.due ?? 0;
  const waits: number[] = [];
  for (let polls = 0; polls < 6; polls++) {
    const dueMs = await due();
    waits.push(dueMs - nowMs);
    // A heartbeat that was set while it was asked may come first.
    await runDurableObjectAlarm(runOf(id));
    expect(await inRun(id, (storage) => storage.getAlarm())).toBe(dueMs);
    expect(await rows(id, "select distinct state from slot")).toEqual([{ state: "idle" }]);
    nowMs = dueMs - 1;
    await runDurableObjectAlarm(runOf(id));
    expect(bureau.asked.poll).toBe(polls);
    nowMs = dueMs;
    await runDurableObjectAlarm(runOf(id));
    // Its wake is set by the same clock.
    await runDurableObjectAlarm(executorOf(id, 0));
    if (polls < 5) await expect.poll(async () => (await due()) > nowMs).toBe(true);
  }
  expect(waits).toEqual([100, 200, 400, 500, 500, 500].map((seconds) => seconds * SECOND));
  expect(resultsIn(await finished(id))).toEqual(doubles(range(5)));
  expect(bureau.asked.poll).toBe(6);
});

it("a job of which the run never heard is found, and not submitted again", async () => {
  bureau.habits.submit = never;
  const { id } = await start("jobbing", { items: range(5) });
  await expect.poll(() => bureau.asked.submit).toBe(1);
  bureau.habits = {};
  await crash(runOf(id));
  await crash(executorOf(id, 0));
  const run = await finished(id);
  expect(resultsIn(run)).toEqual(doubles(range(5)));
  expect(bureau.asked).toMatchObject({ submit: 1, find: 2 });
});

it("trouble with the vendor is no attempt, whichever hook has it", async () => {
  const troubled = new Set<string>();
  const trouble = (hook: string) => {
    if (troubled.has(hook)) return;
    troubled.add(hook);
    throw Object.assign(new Error("Try again"), { status: 503 });
  };
  bureau.habits.submit = (job) => {
    if (!troubled.has("submit")) bureau.jobs.delete(job.key);
    trouble("submit");
  };
  bureau.habits.poll = () => {
    trouble("poll");
    return { status: "ended" };
  };
  bureau.habits.collect = (job) => {
    trouble("collect");
    return resultsOf(job);
  };
  const run = await finished((await start("jobbing once", { items: range(5) })).id);
  expect(resultsIn(run)).toEqual(doubles(range(5)));
  expect(bureau.asked).toEqual({ submit: 2, find: 2, poll: 2, collect: 2, cancel: 0 });
  expect((await itemsOf(run.id)).map(({ attempts }) => attempts)).toEqual(range(5).map(() => 1));
});

describe("what a vendor says that cannot be meant", () => {
  it.each([
    ["poll", undefined, "undefined"],
    ["poll", { status: "done" }, "`done`"],
    ["poll", { status: "failed" }, "`failed`"],
    ["collect", 5, "number"],
    ["collect", [{ result: 5 }], "object"],
    ["collect", [null], "null"],
  ] as const)("fails a job's items for good: %s gives %o", async (hook, value, shown) => {
    bureau.habits[hook] = (job) =>
      job.lines[0]?.item === 10 ? value : hook === "poll" ? { status: "ended" } : resultsOf(job);
    const run = await finished((await start("jobbing", { items: range(30) })).id);
    expect(run).toMatchObject({ status: "completed", items: { succeeded: 20, failed: 10 } });
    expect(bureau.asked.submit).toBe(3);
    const items = await itemsOf(run.id);
    expect(items.map(({ status }) => status)).toEqual(
      range(30).map((at) => (at >= 10 && at < 20 ? "failed" : "succeeded")),
    );
    expect(items[10]?.error?.message).toContain(`Expected ${hook} of Doubling`);
    expect(items[10]?.error?.message).toContain(shown);
  });

  it.each([
    ["cannot be stored", () => 5, "function"],
    ["is no name, but all of what it names", "x".repeat(100_001), "0.1 million"],
  ])("fails its items for good where it is a job that %s: nobody could ask for it", async (_, job, shown) => {
    bureau.habits.find = () => job;
    // It is tried to cancel it; here the vendor has no such job, which must not lead to another.
    const run = await finished((await start("jobbing", { items: range(10) })).id);
    expect(run).toMatchObject({ status: "completed", items: { failed: 10 } });
    expect(bureau.asked).toMatchObject({ find: 1, submit: 0, cancel: 1, poll: 0 });
    expect((await itemsOf(run.id))[0]?.error?.message).toContain(shown);
  });

  it("of lines that are not the job's, or come twice, is not heard", async () => {
    bureau.habits.collect = (job) => [
      { id: "77", result: -1 },
      { id: "x", result: -1 },
      ...resultsOf(job),
      ...job.lines.map(({ id }) => ({ id, result: -2 })),
    ];
    const run = await finished((await start("jobbing", { items: range(25) })).id);
    expect(resultsIn(run)).toEqual(doubles(range(25)));
  });

  it("of a line nothing is that line's failure, and it alone is submitted once more", async () => {
    bureau.habits.collect = (job) => {
      const isFirst = job.key.endsWith("/1");
      return resultsOf(job).filter(({ id }) => id !== "7" && !(isFirst && id === "2"));
    };
    const run = await finished((await start("jobbing", { items: range(10) })).id);
    const lost = "The vendor's job ended without a result for this item";
    expect(resultsIn(run)).toEqual(range(10).map((item) => (item === 7 ? lost : 2 * item)));
    expect(bureau.all.map(({ lines }) => lines.map(({ item }) => item))).toEqual([range(10), [2, 7]]);
  });
});

it("a job that failed as a whole is made again in halves, until what it failed for is alone", async () => {
  bureau.habits.poll = ({ lines }) =>
    lines.some(({ item }) => item === 13)
      ? { status: "failed", error: { message: "No 13 here" } }
      : { status: "ended" };
  const run = await finished((await start("jobbing in halves", { items: range(30) })).id);
  expect(run.items).toMatchObject({ succeeded: 29, failed: 1 });
  expect(resultsIn(run)).toEqual(range(30).map((item) => (item === 13 ? "No 13 here" : 2 * item)));
  const sizes = bureau.all.map(({ lines }) => lines.length);
  expect(sizes.toSorted((a, b) => b - a)).toEqual([10, 10, 10, 5, 5, 3, 2, 1, 1]);
  expect(new Set(bureau.jobs.keys()).size).toBe(sizes.length);
  expect(bureau.asked.submit).toBe(sizes.length);
});

it("a job that failed as a whole is submitted anew, where there is another attempt", async () => {
  bureau.habits.poll = ({ key }) =>
    key.endsWith("/1") ? { status: "failed", error: { message: "No room" } } : { status: "ended" };
  const run = await finished((await start("jobbing", { items: range(25) })).id);
  expect(resultsIn(run)).toEqual(doubles(range(25)));
  expect(bureau.asked).toMatchObject({ submit: 6, poll: 6, collect: 3 });
  expect((await itemsOf(run.id)).map(({ attempts }) => attempts)).toEqual(range(25).map(() => 2));
});

it("much that is collected comes in several reports, and what was reported outlives its executor", async () => {
  const items = range(40);
  let isSlow = true;
  bureau.habits.collect = async function* (job) {
    for (const [at, { id }] of job.lines.entries()) {
      if (at === 30 && isSlow) await never();
      yield { id, result: String(at).padEnd(200_000, "x") };
    }
  };
  const { id } = await start("jobbing in large", { items });
  await expect.poll(async () => (await getRun(id)).items.succeeded).toBeGreaterThan(0);
  const { succeeded } = (await getRun(id)).items;
  expect(succeeded).toBeLessThanOrEqual(30);
  isSlow = false;
  await crash(executorOf(id, 0));
  await crash(runOf(id));
  const run = await finished(id);
  expect(run.items).toMatchObject({ total: 40, succeeded: 40 });
  expect((resultsIn(run) as string[]).map((text) => Number.parseInt(text, 10))).toEqual(items);
  expect(bureau.asked).toMatchObject({ submit: 1, collect: 2 });
  expect(new Set((await itemsOf(id)).map(({ attempts }) => attempts))).toEqual(new Set([1]));
});

describe("a run that is canceled", () => {
  it("cancels its jobs by what they are known by, and those being submitted by their keys", async () => {
    const { id } = await start("jobbing for long", { items: range(25) });
    await expect.poll(() => bureau.running.length).toBe(3);
    await expect.poll(async () => (await getRun(id)).items.deferred).toBe(25);
    await post(`/runs/${id}/cancel`);
    await expect.poll(() => bureau.canceled.length).toBe(3);
    expect(bureau.canceled.sort()).toEqual([...bureau.jobs.keys()].sort());
  });

  it("cancels a job that appears once it was canceled, though the vendor was in trouble with it before", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    bureau.habits.submit = (job) => {
      if (bureau.asked.submit > 1) return promise;
      bureau.jobs.delete(job.key);
      throw Object.assign(new Error("Try again"), { status: 500 });
    };
    const { id } = await start("jobbing", { items: range(5) });
    await expect.poll(() => bureau.asked.submit).toBe(2);
    await post(`/runs/${id}/cancel`);
    resolve();
    await expect.poll(() => bureau.canceled.length).toBe(1);
    expect(bureau.running).toEqual([]);
  });

  it("and taken up again while its jobs are not canceled yet, keeps them", async () => {
    const id = await parked("jobbing for long", range(25));
    bureau.habits.cancel = () => {
      throw Object.assign(new Error("Try again"), { status: 500 });
    };
    await post(`/runs/${id}/cancel`);
    await expect.poll(() => bureau.asked.cancel).toBeGreaterThan(0);
    bureau.habits = {};
    expect((await post(`/runs/${id}/retry`)).status).toBe(202);
    // One that is loaded anew would find them.
    expect(await rows(id, "select first from chunk where recall_ms is not null or recalls > 0")).toEqual([]);
    expect(resultsIn(await finished(id))).toEqual(doubles(range(25)));
    expect(bureau.asked.submit).toBe(3);
    expect(bureau.canceled).toEqual([]);
  });

  it("and taken up again while a job was being submitted, cancels nothing of the run that goes on", async () => {
    let nowMs = Date.now();
    bureau.habits.submit = never;
    const { id } = await start("jobbing for long", { items: range(5) });
    await expect.poll(() => bureau.asked.submit).toBe(1);
    // Nobody says what became of the submit: as after a kill.
    await crash(executorOf(id, 0));
    await post(`/runs/${id}/cancel`);
    bureau.habits = {};
    expect((await post(`/runs/${id}/retry`)).status).toBe(202);
    await crash(runOf(id));
    await expect.poll(async () => (await getRun(id)).status, { timeout: 15_000 }).toBe("waiting");
    nowMs = Math.max(nowMs, Date.now()) + 15 * SECOND;
    vi.spyOn(Date, "now").mockImplementation(() => nowMs);
    await runDurableObjectAlarm(runOf(id));
    await expect.poll(async () => (await rows(id, "select 1 from chunk where recall_ms is not null")).length).toBe(0);
    expect(bureau.asked.cancel).toBe(0);
    expect(bureau.asked.submit).toBe(1);
  });
});

it("a run that is deleted while its jobs could not be canceled yet cancels them first", async () => {
  const id = await parked("jobbing for long", range(25));
  bureau.habits.cancel = () => {
    throw Object.assign(new Error("Try again"), { status: 500 });
  };
  await post(`/runs/${id}/cancel`);
  await expect.poll(async () => (await rows(id, "select 1 from chunk where recalls > 0")).length).toBe(3);
  bureau.habits = {};
  expect((await call(`/runs/${id}`, { method: "DELETE" })).status).toBe(204);
  expect(bureau.canceled.sort()).toEqual([...bureau.jobs.keys()].sort());
});

it("a run that is being deleted, while its vendor takes its time with the cancels, is there for nobody", async () => {
  const id = await parked("jobbing for long", range(25));
  const { promise, resolve } = Promise.withResolvers<void>();
  await post(`/runs/${id}/pause`);
  bureau.habits.cancel = () => promise;
  await post(`/runs/${id}/cancel`);
  const deleted = [1, 2].map(() => call(`/runs/${id}`, { method: "DELETE" }));
  await expect.poll(() => bureau.asked.cancel).toBe(3);
  expect((await post(`/runs/${id}/retry`)).status).toBe(404);
  expect((await call(`/runs/${id}`)).status).toBe(404);
  resolve();
  expect((await Promise.all(deleted)).map(({ status }) => status).sort()).toEqual([204, 404]);
  expect(bureau.canceled.sort()).toEqual([...bureau.jobs.keys()].sort());
});

it("a run that failed and is deleted leaves no job behind", async () => {
  const items = range(20);
  bureau.habits.poll = ({ lines }) =>
    lines[0]?.item === 0 ? { status: "failed", error: { message: "No" } } : { status: "running" };
  const { id } = await start("jobbing strictly", { items });
  expect(await finished(id)).toMatchObject({ status: "failed" });
  expect((await call(`/runs/${id}`, { method: "DELETE" })).status).toBe(204);
  await expect.poll(() => bureau.canceled.length).toBe(1);
});

it("a recall waits for the deploy that has its node again", async () => {
  const id = await parked("jobbing deployed", range(15));
  release.isOther = true;
  await crash(runOf(id));
  await post(`/runs/${id}/cancel`);
  await expect
    .poll(async () => (await rows(id, "select recalls from chunk where recalls > 0")).length)
    .toBeGreaterThan(0);
  expect(bureau.asked.cancel).toBe(0);
  release.isOther = false;
  await crash(runOf(id));
  await expect.poll(() => bureau.canceled.length, { timeout: 15_000 }).toBe(2);
});

it("executors that are lost on polls, with answers between them, do not fail the job", async () => {
  bureau.polls = 14;
  let hung: string | undefined;
  bureau.habits.poll = async (job) => {
    if (job.polls % 2 === 1 && job.polls < 12) {
      hung = `poll ${job.polls}`;
      await never();
    }
    return { status: job.polls >= 14 ? "ended" : "running" };
  };
  const { id } = await start("jobbing", { items: range(5) });
  for (let poll = 1; poll < 12; poll += 2) {
    await expect
      .poll(async () => hung === `poll ${poll}` || (await getRun(id)).finishedAt !== null, { timeout: 15_000 })
      .toBe(true);
    if ((await getRun(id)).finishedAt !== null) break;
    await crash(executorOf(id, 0));
  }
  const run = await finished(id);
  expect(run).toMatchObject({ status: "completed", items: { succeeded: 5, failed: 0 } });
}, 60_000);

it("a submit that was lost twice still counts as one of the jobs that the vendor has", async () => {
  bureau.polls = 3;
  bureau.habits.submit = never;
  const { id } = await start("jobbing", { items: range(100) });
  await expect.poll(() => bureau.asked.submit).toBe(3);
  bureau.habits = { find: never };
  await crash(executorOf(id, 0));
  await expect.poll(() => bureau.asked.find).toBe(6);
  bureau.habits = {};
  await crash(executorOf(id, 0));
  const run = await finished(id);
  expect(resultsIn(run)).toEqual(doubles(range(100)));
  expect(bureau.asked.submit).toBe(10);
  expect(bureau.peak).toBe(3);
});
