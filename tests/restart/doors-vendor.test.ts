import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { freePort, type Server, startServer } from "../../demo/server.ts";
import { BatchVendor, summaryOf } from "./batch-vendor.ts";
import { cancel, ended, finish, readRun, start } from "./client.ts";
import { until } from "./until.ts";

// The deployable Worker as it is, with the variables of a vendor. It asks for a job after half a minute, so what it is given first is
// looked at last.

const KEY = "sk-0123456789";
const TEXTS = ["The sun rose. It was red.", "", "Rain fell all day."];

const folder = mkdtempSync(join(tmpdir(), "pocketflare-vendor-"));
let vendor: BatchVendor;
let server: Server;
let first: string;

beforeAll(async () => {
  vendor = await BatchVendor.open({ polls: 1, key: KEY });
  server = await startServer({
    host: "127.0.0.1",
    port: await freePort(),
    vars: { POCKETFLARE_OPEN: "true", LLM_BASE_URL: `${vendor.url}/v1`, LLM_API_KEY: KEY, LLM_MODEL: "tiny" },
    args: ["--env", "local", "--persist-to", join(folder, "state"), "--inspector-port", "0"],
    env: { TMPDIR: folder, WRANGLER_REGISTRY_PATH: join(folder, "registry") },
  });
  first = (await start(server.url, "summarize-bulk", { texts: TEXTS })).run.id;
}, 60_000);

afterAll(async () => {
  await server?.kill();
  await vendor?.close();
  rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
});

/** The jobs of a run, in the order in which they were made. */
function jobsOf(id: string) {
  return vendor.counts().jobs.filter(({ key }) => key?.startsWith(`${id}.`));
}

test("summarize-bulk sleeps while the vendor has its job", async () => {
  await until("the job is there", () => jobsOf(first).length > 0);
  const run = await until("the run waits", async () => {
    const found = await readRun(server.url, first);
    return found.status === "waiting" ? found : undefined;
  });
  expect(run.items).toMatchObject({ total: 3, running: 0, deferred: 3 });
  expect(run.resumesAt).not.toBeNull();
  expect(vendor.counts().calls.chat).toBe(0);
});

test("summarize-bulk cancels its job with its run", async () => {
  const { id } = (await start(server.url, "summarize-bulk", { texts: ["Never mind."] })).run;
  const job = await until("the job is there", () => jobsOf(id)[0]?.id);
  await cancel(server.url, id);
  await until("the vendor is told", () => vendor.counts().cancels.includes(job));
  expect(await ended(server.url, id)).toMatchObject({ status: "canceled" });
  expect(vendor.counts().cancels).toEqual([job]);
});

test("summarize-bulk gives what summarize gives", async () => {
  const { output, status, items } = await ended(server.url, first);
  expect({ status, items }).toMatchObject({ status: "completed", items: { total: 3, succeeded: 3 } });
  const lines = TEXTS.map((text) => `Summarize: ${text}`);
  expect(jobsOf(first).map((job) => job.lines)).toEqual([lines]);
  expect(output).toEqual((await finish(server.url, "summarize", { texts: TEXTS }, "the same texts")).output);
  expect(output).toEqual({ summaries: lines.map(summaryOf), summary: lines.map(summaryOf).join("\n\n") });
  expect(vendor.counts().calls.chat).toBe(TEXTS.length);
});
