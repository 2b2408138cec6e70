import { expect, test } from "vitest";
import { type Counts, summaryOf } from "./batch-vendor.ts";
import { type Moment, open, restart, type Scene } from "./batching.ts";
import { ended, readItems, readRun, start } from "./client.ts";
import { isWiped } from "./disk.ts";
import { until } from "./until.ts";
import type { Texts } from "./worker/jobs.ts";

const HOURS = 72;
const DEADLINE_MS = 90_000;

const texts = (count: number, name = "text") => Array.from({ length: count }, (_, at) => `${name} ${at}`);

async function begin({ site }: Scene, flow: string, input: Texts): Promise<string> {
  return (await start(site.url, flow, input)).run.id;
}

/** How often each line was submitted, as far as that is not once. */
function again({ submitted }: Counts): { [line: string]: number } {
  return Object.fromEntries(Object.entries(submitted).filter(([, times]) => times !== 1));
}

/** A text of a thousand, and what is to become of it. */
function markOf(at: number): string {
  if (at % 100 === 17) return "FAIL_ONCE ";
  if (at % 250 === 42) return "FAIL_ALWAYS ";
  return at % 250 === 99 ? "BAD_REQUEST " : "";
}

/** Each kill is at a moment of a call, so at a phase of some job. */
const KILLS: readonly (readonly [Parameters<Scene["way"]["stop"]>[0], Moment])[] = [
  ["create", "answered"],
  ["poll", "answered"],
  ["content", "begun"],
  ["upload", "asked"],
  ["create", "asked"],
  ["poll", "asked"],
  ["list", "answered"],
  ["content", "answered"],
  ["upload", "answered"],
  ["content", "begun"],
];

test("three days of jobs survive ten kills: each line is submitted once, and only what failed once more", async () => {
  const scene = await open({ polls: 4, pieceBytes: 2_000 });
  const { site, vendor, way } = scene;
  const all = texts(1_000).map((text, at) => markOf(at) + text);
  const startedMs = performance.now();
  const id = await begin(scene, "three days", { texts: all });
  for (const [place, moment] of KILLS) {
    await way.stop(place, moment);
    // A job that is in exec at five kills in a row would rightly be taken for what ends its server: these meet one job each.
    await until("nothing else is in exec", async () => (await readRun(site.url, id)).items.running <= 100);
    await restart(scene);
  }
  const run = await ended(site.url, id, DEADLINE_MS);
  const tookMs = performance.now() - startedMs;
  const counts = await vendor.counts();
  const polls = counts.jobs.reduce((sum, job) => sum + job.polls, 0);
  const repeated = again(counts);
  console.log(
    `${(tookMs / 1000).toFixed(0)} s stood for ${HOURS} hours (an hour for ${(tookMs / HOURS / 1000).toFixed(2)} s): ${counts.jobs.length} jobs, ` +
      `${counts.creates.length} creates, ${counts.uploads.length} uploads, ${polls} polls, at most ${way.peak} jobs at once, ` +
      `${Object.keys(repeated).length} lines submitted again, ${run.executions} calls, ${KILLS.length} kills`,
  );
  const failing = all.filter((text) => /FAIL_ALWAYS|BAD_REQUEST/.test(text));
  const retried = all.filter((text) => text.includes("FAIL_"));
  const items = await readItems(site.url, id);
  for (const { index, error } of items.filter(({ status }) => status === "failed")) {
    expect(error?.message).toContain(`No answer for ${all[index]}`);
  }
  expect(run).toMatchObject({
    status: "completed",
    items: { total: 1_000, succeeded: 1_000 - failing.length, failed: failing.length, running: 0, deferred: 0 },
  });
  expect(Object.keys(counts.submitted).sort()).toEqual([...all].sort());
  expect(repeated).toEqual(Object.fromEntries(retried.map((text) => [text, 2])));
  expect(counts.jobs.filter(({ lines }) => lines.length === 100)).toHaveLength(10);
  // What failed of a job went into one other.
  const others = counts.jobs.filter(({ lines }) => lines.length !== 100);
  expect(others.map(({ lines }) => lines).sort()).toEqual(
    Array.from({ length: 10 }, (_, part) =>
      all.slice(100 * part, 100 * part + 100).filter((text) => retried.includes(text)),
    ).sort(),
  );
  // A submit that a kill took waits a while, and keeps its place: the vendor may have its job.
  expect(way.peak).toBeLessThanOrEqual(3);
  // The last poll of each job finds it ended; then it is asked once more, for its files. At a kill three calls may be lost.
  expect(polls).toBeLessThanOrEqual(counts.jobs.length * (4 + 1) + 2 * 3 * KILLS.length);
  expectSummaries((run.output as Texts).summaries, all);
  expect(items.map(({ index, status, attempts }) => [index, status, attempts])).toEqual(
    all.map((text, index) => [index, failing.includes(text) ? "failed" : "succeeded", retried.includes(text) ? 2 : 1]),
  );
});

function expectSummaries(summaries: string[] | undefined, all: readonly string[]): void {
  expect(summaries).toHaveLength(all.length);
  for (const [at, text] of all.entries()) {
    if (/FAIL_ALWAYS|BAD_REQUEST/.test(text)) expect(summaries?.[at]).toContain(`No answer for ${text}`);
    else expect(summaries?.[at]).toBe(summaryOf(text));
  }
}

test("between two polls no executor of the run is there, and nothing is asked", async () => {
  const scene = await open({ polls: null });
  const { site, vendor } = scene;
  const id = await begin(scene, "long jobs", { texts: texts(30) });
  await until("the run waits", async () => (await readRun(site.url, id)).status === "waiting");
  await until("the executors have wiped their storage", () => isWiped(site.state, "Executor"));
  await restart(scene);
  const run = await readRun(site.url, id);
  const { calls } = await vendor.counts();
  console.log(`waiting until ${run.resumesAt}: ${JSON.stringify(calls)}`);
  expect(run).toMatchObject({ status: "waiting", executions: 3, items: { running: 0, deferred: 30 } });
  expect(Date.parse(run.resumesAt ?? "")).toBeGreaterThan(Date.now() + 30 * 60_000);
  expect(calls).toMatchObject({ create: 3, poll: 0 });
  expect(isWiped(site.state, "Executor")).toBe(true);
});

test.for([
  { vendor: "lists its batches", settings: { lists: true }, jobs: 1 },
  { vendor: "honours idempotency keys", settings: { lists: false, honoursKeys: true }, jobs: 1 },
  // As the README says.
  { vendor: "does neither", settings: { lists: false }, jobs: 2 },
])(
  "a kill while the vendor's answer to a submit is on its way leaves $jobs at a vendor that $vendor",
  async ({ settings, jobs }) => {
    const scene = await open({ polls: 1, ...settings, hold: "create" });
    const { site, vendor } = scene;
    const id = await begin(scene, "one job", { texts: texts(5) });
    await until("the vendor holds its answer back", async () => (await vendor.counts()).held === 1);
    await site.kill();
    await vendor.control({ hold: null });
    await site.start();
    const run = await ended(site.url, id);
    const counts = await vendor.counts();
    console.log(`${counts.jobs.length} jobs, keys ${counts.jobs.map(({ key }) => key)}`);
    expect(run).toMatchObject({
      status: "completed",
      items: { succeeded: 5 },
      output: { summaries: texts(5).map(summaryOf) },
    });
    expect(counts.jobs).toHaveLength(jobs);
    expect(new Set(counts.creates.map(({ idempotencyKey }) => idempotencyKey)).size).toBe(1);
    // Nobody asks for the one that was forgotten.
    expect(counts.jobs.filter((job) => job.polls > 0)).toHaveLength(1);
  },
);

test("a kill at any moment around the vendor's answer to a submit makes no second job", async () => {
  const scene = await open({ polls: 1 });
  const { site, vendor, way, luck } = scene;
  const all = texts(150);
  const id = await begin(scene, "jobs", { texts: all });
  const kills: number[] = [];
  for (let kill = 0; kill < 3; kill++) {
    await way.stop("create", "answered");
    way.goOn();
    // So many turns of this process's loop the answer gets on its way: then its checkpoint is made, or is not.
    const turns = luck.between(0, 40);
    for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
    kills.push(turns);
    await restart(scene);
  }
  const run = await ended(site.url, id);
  const counts = await vendor.counts();
  console.log(
    `seed ${luck.seed}: killed ${kills.join(", ")} turns after the answer; ${counts.jobs.length} jobs, ${counts.uploads.length} uploads`,
  );
  expect(run).toMatchObject({ status: "completed", output: { summaries: all.map(summaryOf) } });
  expect(again(counts)).toEqual({});
  expect(counts.jobs).toHaveLength(15);
});

test("a kill in the middle of collecting takes nothing away, and submits nothing", async () => {
  // Some 6 MB: two reports.
  const all = texts(30).map((text) => `${text} ${"x".repeat(190_000)}`);
  const scene = await open({ polls: 1, pieceBytes: 50_000 });
  const { site, vendor, way } = scene;
  const id = await begin(scene, "one job", { texts: all, kept: 20 });
  const kept = await collectUntilSome(scene, id);
  await restart(scene);
  await way.stop("content", "begun");
  await restart(scene);
  const run = await ended(site.url, id);
  const counts = await vendor.counts();
  console.log(`killed when ${kept} of 30 results were stored, and once more; ${counts.calls.content} files read`);
  expect(kept).toBeLessThan(30);
  expect(run).toMatchObject({ status: "completed", error: null, items: { total: 30, succeeded: 30, failed: 0 } });
  expect((run.output as Texts).summaries).toEqual(all.map((text) => summaryOf(text).slice(0, 20)));
  expect(again(counts)).toEqual({});
  expect(counts.jobs).toHaveLength(1);
  expect(new Set((await readItems(site.url, id)).map(({ attempts }) => attempts))).toEqual(new Set([1]));
  expect(way.peak).toBe(1);
});

/** Lets results arrive piece by piece until some of them are stored; the rest stands on its way. */
async function collectUntilSome(scene: Scene, id: string): Promise<number> {
  await scene.way.stop("content", "begun");
  for (;;) {
    const { items } = await readRun(scene.site.url, id);
    if (items.succeeded > 0) return items.succeeded;
    scene.way.goOn();
    await scene.way.stop("content", "begun");
  }
}
