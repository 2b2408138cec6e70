import { expect, test } from "vitest";
import { type Counts, summaryOf } from "./batch-vendor.ts";
import { open, type Scene } from "./batching.ts";
import { cancel, ended, readItems, readRun, start } from "./client.ts";
import { until } from "./until.ts";
import { VENDOR_KEY } from "./worker/jobs.ts";

const texts = (count: number) => Array.from({ length: count }, (_, at) => `text ${at}`);
const summaries = (all: readonly string[]) => ({ summaries: all.map(summaryOf) });

/** A run whose jobs the vendor has. */
async function begin(scene: Scene, flow: string, all: readonly string[], jobs: number, key?: string): Promise<string> {
  const { run } = await start(scene.site.url, flow, { texts: all }, key);
  await until("all its jobs are parked", async () => {
    const { items } = await readRun(scene.site.url, run.id);
    return items.deferred === all.length && (await scene.vendor.counts()).jobs.length >= jobs;
  });
  return run.id;
}

async function turn({ site }: Scene, id: string, how: "retry" | "cancel"): Promise<void> {
  const response = await fetch(`${site.url}/runs/${id}/${how}`, { method: "POST" });
  expect([response.status, await response.text()]).toEqual([202, expect.anything()]);
}

function statuses({ jobs }: Counts): string[] {
  return jobs.map(({ status }) => status);
}

/** The vendor's counts once it was told to cancel so many jobs. */
function canceled({ vendor }: Scene, count: number): Promise<Counts> {
  return until(`${count} jobs are canceled`, async () => {
    const counts = await vendor.counts();
    const own = counts.jobs.filter(({ status }) => status === "cancelling" || status === "cancelled");
    return own.length >= count ? counts : undefined;
  });
}

test("a cancel cancels all jobs, though the server is killed right after and the vendor refuses at first", async () => {
  const scene = await open({ polls: null });
  const { site, vendor } = scene;
  const all = texts(30);
  const id = await begin(scene, "jobs", all, 3);
  await vendor.control({ refuse: [{ place: "cancel", status: 500, times: 2 }] });
  await cancel(site.url, id);
  await site.kill();
  await site.start();
  const before = await canceled(scene, 3);
  console.log(`canceled: ${before.cancels}; ${before.calls.cancel} calls, ${before.calls.list} lists`);
  expect(new Set(before.cancels).size).toBe(3);
  expect(await readRun(site.url, id)).toMatchObject({ status: "canceled" });

  await vendor.control({ polls: 1 });
  await turn(scene, id, "retry");
  const run = await ended(site.url, id);
  const counts = await vendor.counts();
  expect(run).toMatchObject({ status: "completed", items: { succeeded: 30 }, output: summaries(all) });
  expect(counts.jobs).toHaveLength(6);
  expect(new Set(counts.jobs.map(({ key }) => key)).size).toBe(6);
  expect(Object.values(counts.submitted)).toEqual(all.map(() => 2));
});

test("a job that the vendor was just about to answer for is found and canceled, also after a kill", async () => {
  const scene = await open({ polls: null, hold: "create" });
  const { site, vendor } = scene;
  const { run } = await start(site.url, "one job", { texts: texts(5) });
  await until("the vendor holds its answer back", async () => (await vendor.counts()).held === 1);
  await cancel(site.url, run.id);
  await site.kill();
  await vendor.control({ hold: null });
  await site.start();
  const counts = await canceled(scene, 1);
  console.log(`${counts.jobs.length} job, ${statuses(counts)}, ${counts.calls.list} lists`);
  expect(counts.jobs).toHaveLength(1);

  // Taken up again it is another job, of which another kill cancels nothing.
  await vendor.control({ polls: 4 });
  await turn(scene, run.id, "retry");
  await until("there is a second job", async () => (await vendor.counts()).jobs.length === 2);
  await site.kill();
  await site.start();
  expect(await ended(site.url, run.id)).toMatchObject({ status: "completed", output: summaries(texts(5)) });
  const last = await vendor.counts();
  expect(statuses(last)[1]).toBe("completed");
  expect(last.jobs).toHaveLength(2);
});

test("a run whose time is up cancels its jobs", async () => {
  const scene = await open({ polls: null });
  const { run } = await start(scene.site.url, "jobs in time", { texts: texts(30) });
  const last = await ended(scene.site.url, run.id);
  expect(last).toMatchObject({ status: "failed", error: { name: "DeadlineExceededError" } });
  const counts = await canceled(scene, 3);
  expect(counts.cancels.sort()).toEqual(counts.jobs.map(({ id }) => id).sort());
});

test("a run that merely failed leaves its other jobs alone, and a redrive collects them", async () => {
  const scene = await open({ polls: null });
  const { site, vendor } = scene;
  const all = texts(30).map((text, at) => (at === 14 ? `FAIL_ONCE ${text}` : text));
  const id = await begin(scene, "first failure", all, 3);
  const { jobs } = await vendor.counts();
  await vendor.control({ end: jobs.filter(({ lines }) => lines.includes(all[14] as string)).map((job) => job.id) });
  expect(await ended(site.url, id)).toMatchObject({ status: "failed", error: { index: 14 } });
  await site.kill();
  await site.start();
  expect((await vendor.counts()).cancels).toEqual([]);

  await vendor.control({ polls: 1 });
  await turn(scene, id, "retry");
  const run = await ended(site.url, id);
  const counts = await vendor.counts();
  expect(run).toMatchObject({ status: "completed", output: summaries(all) });
  expect(counts.jobs.map(({ lines }) => lines.length)).toEqual([10, 10, 10, 1]);
  expect(Object.entries(counts.submitted).filter(([, times]) => times > 1)).toEqual([[all[14], 2]]);
});

test("what is wrong with a vendor is no attempt: a job that fails or expires is one, for what it has not", async () => {
  const scene = await open({ polls: 2, endings: ["failed", "expired"] } as object);
  const { site, vendor, way } = scene;
  const all = texts(30);
  await vendor.control({ endings: ["failed", "expired"], refuse: [{ place: "poll", times: 3 }, { place: "create" }] });
  const { run } = await start(site.url, "jobs", { texts: all });
  await until("the vendor has jobs", async () => (await vendor.counts()).jobs.length >= 2);
  await way.close();
  const { executions } = await readRun(site.url, run.id);
  await until("it was asked in vain", async () => (await readRun(site.url, run.id)).executions >= executions + 3);
  await way.reopen();
  const last = await ended(site.url, run.id);
  const counts = await vendor.counts();
  console.log(`${statuses(counts)}: ${counts.calls.poll} polls, ${last.executions} calls`);
  expect(last).toMatchObject({ status: "completed", items: { succeeded: 30, failed: 0 }, output: summaries(all) });
  const [failed, expired] = ["failed", "expired"].map((status) => counts.jobs.find((job) => job.status === status));
  const twice = [...(failed?.lines ?? []), ...(expired?.lines.slice(5) ?? [])];
  expect(twice).toHaveLength(15);
  expect(counts.submitted).toEqual(Object.fromEntries(all.map((text) => [text, twice.includes(text) ? 2 : 1])));
  const items = await readItems(site.url, run.id);
  expect(items.map(({ attempts }) => attempts)).toEqual(all.map((text) => (twice.includes(text) ? 2 : 1)));
});

test("a key that the vendor refuses fails the run at once, and is shown nowhere", async () => {
  const scene = await open({ key: "sk-another" });
  const { site, vendor } = scene;
  const { run } = await start(site.url, "first failure", { texts: texts(5) });
  const last = await ended(site.url, run.id);
  const seen = [
    JSON.stringify(last),
    JSON.stringify(await readItems(site.url, run.id)),
    await (await fetch(`${site.url}/runs/${run.id}/events`)).text(),
    site.said,
  ].join("\n");
  console.log(last.error?.message);
  expect(last).toMatchObject({ status: "failed", error: { message: expect.stringContaining("answered 401") } });
  expect(last.error?.message).toContain("Check what `api.key` gives.");
  expect(seen).not.toContain(VENDOR_KEY);
  expect(seen).not.toContain(VENDOR_KEY.slice(3));
  const { calls, submitted } = await vendor.counts();
  expect(submitted).toEqual({});
  expect(calls.list + calls.upload).toBe(1);
});

test("a run that has the id of a deleted one finds none of its jobs", async () => {
  const scene = await open({ polls: null });
  const { site, vendor } = scene;
  const all = texts(20);
  const id = await begin(scene, "jobs", all, 2, "the same");
  await vendor.control({ refuse: [{ place: "cancel", status: 500, times: 2 }] });
  await cancel(site.url, id);
  expect((await fetch(`${site.url}/runs/${id}`, { method: "DELETE" })).status).toBe(204);
  const deleted = await vendor.counts();
  console.log(`at its deletion: ${statuses(deleted)}, ${deleted.calls.cancel} calls to cancel`);
  await vendor.control({ polls: 1 });
  const again = await start(site.url, "jobs", { texts: all }, "the same");
  expect(again.run.id).toBe(id);
  expect(await ended(site.url, id)).toMatchObject({ status: "completed", output: summaries(all) });
  const counts = await vendor.counts();
  expect(counts.jobs).toHaveLength(4);
  expect(new Set(counts.jobs.map(({ key }) => key)).size).toBe(4);
  expect(counts.jobs.slice(2).map(({ status }) => status)).toEqual(["completed", "completed"]);
});
