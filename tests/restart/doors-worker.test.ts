import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Webhook } from "standardwebhooks";
import { afterAll, beforeAll, expect, test } from "vitest";
import { freePort, type Server, startServer } from "../../demo/server.ts";
import { summarize } from "../../worker/summarizer.ts";
import { ended, finish, type Run, readRun, start } from "./client.ts";
import { waitedSince } from "./later.ts";
import { command } from "./readme.ts";
import { Receiver } from "./receiver.ts";
import { until } from "./until.ts";
import { CALLBACK_SECRET, HOOK_SECRET } from "./worker/doors.ts";

// The deployable Worker as it is, by the commands that a user has: one server for all, because it takes seconds to start.

const PROJECT = join(import.meta.dirname, "../..");
const WRANGLER = join(createRequire(import.meta.url).resolve("wrangler/package.json"), "../bin/wrangler.js");
const QUIET = { WRANGLER_HIDE_BANNER: "true", WRANGLER_SEND_METRICS: "false", WRANGLER_WRITE_LOGS: "false" };
const DAY_MS = 86_400_000;
const FILES = {
  "notes/monday.txt":
    "The sun rose over the hills. Farmers went out early. By noon all of the hay was in. Nobody rested much.",
  "notes/tuesday.txt":
    "Rain fell on the hills all day. The farmers stayed in. They mended their tools. In the evening it stopped.",
};
const SUMMARIES = Object.fromEntries(Object.entries(FILES).map(([key, text]) => [key, summarize(text)]));

const folder = mkdtempSync(join(tmpdir(), "pocketflare-worker-"));
const state = join(folder, "state");
let server: Server;

interface Delivery {
  id: string;
  status: string;
}

/** Asks the local bucket, as a user does. */
async function bucket(...args: string[]): Promise<string> {
  const local = ["--env", "local", "--local", "--persist-to", state];
  const env = { ...process.env, ...QUIET, TMPDIR: folder };
  const { stdout } = await promisify(execFile)(process.execPath, [WRANGLER, "r2", "object", ...args, ...local], {
    cwd: PROJECT,
    env,
  });
  return stdout;
}

/** Starts the server, where the one before has left off. */
async function serve(): Promise<void> {
  server = await startServer({
    host: "127.0.0.1",
    port: await freePort(),
    vars: {
      POCKETFLARE_OPEN: "true",
      WEBHOOK_SECRET: HOOK_SECRET,
      CALLBACK_SECRET,
      CALLBACK_PRIVATE: "true",
    },
    args: ["--env", "local", "--persist-to", state, "--inspector-port", "0"],
    env: { TMPDIR: folder, WRANGLER_REGISTRY_PATH: join(folder, "registry") },
  });
}

beforeAll(async () => {
  // One after the other: each writes to the same database.
  for (const [at, [key, text]] of Object.entries(FILES).entries()) {
    const file = join(folder, `${at}.txt`);
    writeFileSync(file, text);
    await bucket("put", `pocketflare-files/${key}`, "--file", file);
  }
  await serve();
}, 60_000);

afterAll(async () => {
  await server?.kill();
  rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
});

function post(path: string, body?: string, headers: { [name: string]: string } = {}): Promise<Response> {
  const type = body === undefined ? {} : { "content-type": "application/json" };
  return fetch(server.url + path, { method: "POST", headers: { ...type, ...headers }, ...(body && { body }) });
}

async function shown(path: string): Promise<unknown> {
  const response = await fetch(server.url + path);
  expect(response.status).toBe(200);
  return response.json();
}

interface Waiting extends Run {
  startedAt: string;
  waitsFor: { node: string; step: number; signal: string; until: string }[];
}

/** A run once it waits, at a later step than this. */
function waits(id: string, after = 0): Promise<Waiting> {
  return until(`run ${id} waits`, async () => {
    const run = (await readRun(server.url, id)) as Waiting;
    return run.waitsFor.some(({ step }) => step > after) ? run : undefined;
  });
}

/** The keys in the local bucket that begin so, as the runtime's own explorer lists them. */
async function objects(prefix: string): Promise<string[]> {
  const path = `/cdn-cgi/explorer/api/r2/buckets/pocketflare-files/objects?prefix=${encodeURIComponent(prefix)}`;
  const { result } = (await shown(path)) as { result: { key: string }[] };
  return result.map(({ key }) => key).sort();
}

test("summarize-files gives a summary of each file of the bucket", async () => {
  const response = await post("/flows/summarize-files/runs?wait=30", JSON.stringify({ files: Object.keys(FILES) }));
  expect(response.status).toBe(200);
  expect(await response.json()).toMatchObject({ status: "completed", output: { summaries: SUMMARIES } });
});

test("summarize-bulk gives what summarize gives, by the README's own command", async () => {
  const { path, body } = command("summarize-bulk");
  expect(command("summarize").body).toBe(body);
  const response = await post(path, body);
  expect(response.status).toBe(200);
  const run = (await response.json()) as Run;
  expect(run).toMatchObject({ status: "completed", items: { total: 2, succeeded: 2 } });
  const { output } = await finish(server.url, "summarize", JSON.parse(body), "the same texts");
  expect(run.output).toEqual(output);
});

test("summarize-bulk gives 120 texts to its vendor in jobs of 50: files in the bucket", async () => {
  const texts = Array.from({ length: 120 }, (_, at) => `${Object.values(FILES)[at % 2]} The end of text ${at}.`);
  const { id, output } = await finish(server.url, "summarize-bulk", { texts }, "a hundred and twenty");
  const summaries = texts.map((text) => summarize(text));
  expect(output).toEqual({ summaries, summary: summaries.join("\n\n") });
  const jobs = await objects(`jobs/${id}`);
  expect(jobs.map((key) => /(\d+)-(\d+)%2F1\.json$/.exec(key)?.slice(1).map(Number))).toEqual([
    [0, 49],
    [100, 119],
    [50, 99],
  ]);
});

test.each(["summarize-bulk", "summarize-approved"])(
  "%s takes what summarize takes, and refuses the rest",
  async (flow) => {
    for (const input of [{}, { texts: "one" }, { texts: ["one", 2] }, [], null]) {
      const [refused, asSummarize] = await Promise.all(
        [flow, "summarize"].map((name) => post(`/flows/${name}/runs?wait=20`, JSON.stringify(input))),
      );
      expect(refused?.status).toBe(422);
      expect(refused?.headers.get("content-type")).toBe("application/problem+json");
      expect(await refused?.json()).toEqual(await asSummarize?.json());
    }
    const [input, asSummarize] = await Promise.all(
      [flow, "summarize"].map(async (name) => ((await shown(`/flows/${name}`)) as { input: object }).input),
    );
    expect(input).toEqual(asSummarize);
    expect(await shown(`/runs?flow=${flow}&status=failed`)).toMatchObject({ runs: [] });
  },
);

test("the flows are shown with what their nodes are", async () => {
  const { flows } = (await shown("/flows")) as { flows: { name: string }[] };
  expect(flows.map(({ name }) => name)).toEqual(expect.arrayContaining(["summarize-bulk", "summarize-approved"]));
  expect(await shown("/flows/summarize-bulk")).toMatchObject({
    nodes: [{ kind: "flow" }, { id: "BulkSummaries", kind: "api-batch" }],
    mermaid: expect.stringContaining("BulkSummaries (batch API)"),
  });
  expect(await shown("/flows/summarize-approved")).toMatchObject({
    nodes: [
      { kind: "flow" },
      { kind: "flow" },
      { id: "ParallelSummaries", kind: "parallel-batch", limit: ["llm"] },
      { id: "Approval", kind: "wait" },
      { id: "Publish", kind: "node" },
    ],
    edges: expect.arrayContaining([
      { from: "Approval", to: "Publish", action: "approved" },
      { from: "Approval", to: "Approval", action: "unclear" },
    ]),
  });
});

test("summarize-approved publishes what somebody approves of, by the README's own commands", async () => {
  const begin = command("summarize-approved");
  const started = await post(begin.path, begin.body);
  expect(started.status).toBe(202);
  const { id } = (await started.json()) as Run;
  const waiting = await waits(id);
  expect(waiting).toMatchObject({ status: "waiting", output: null });
  expect(waiting.waitsFor).toMatchObject([{ node: "Approval", signal: "approval", until: waiting.resumesAt }]);

  const decide = command("summarize-approved", 1, id);
  expect((await post(decide.path, decide.body)).status).toBe(202);
  const run = await ended(server.url, id);
  expect(await shown(command("summarize-approved", 2, id).path)).toEqual(run);
  const [text = ""] = (JSON.parse(begin.body) as { texts: string[] }).texts;
  const decision = { approved: true, by: "Ada", at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/) };
  const published = `published/${id}.md`;
  expect(run).toMatchObject({ status: "completed", action: "approved", error: null });
  expect(run.output).toEqual({ summary: summarize(text), decision, published });
  expect(await bucket("get", `pocketflare-files/${published}`, "--pipe")).toBe(summarize(text));
});

test("summarize-approved takes a decision that comes before it is asked for", async () => {
  const begin = command("summarize-approved");
  const { id } = (await (await post(begin.path, begin.body)).json()) as Run;
  const decide = command("summarize-approved", 1, id);
  await post(decide.path, decide.body);
  const published = `published/${id}.md`;
  expect(await ended(server.url, id)).toMatchObject({ action: "approved", output: { published } });
});

test("summarize-approved asks again for what is no decision, and publishes nothing that is rejected", async () => {
  const { run } = await start(server.url, "summarize-approved", { texts: Object.values(FILES) });
  let { waitsFor } = await waits(run.id);
  for (const unclear of ['{"approved":"yes","by":"Ada"}', "null", '"yes"']) {
    expect((await post(`/runs/${run.id}/signals/approval`, unclear)).status).toBe(202);
    const before = waitsFor[0]?.step as number;
    ({ waitsFor } = await waits(run.id, before));
    expect(waitsFor).toMatchObject([{ node: "Approval", signal: "approval" }]);
  }
  await post(`/runs/${run.id}/signals/approval`, '{"approved":false,"by":"Grace"}');
  const { output, ...rest } = await ended(server.url, run.id);
  expect(rest).toMatchObject({ status: "completed", action: "rejected", error: null, warnings: [] });
  const summary = Object.values(SUMMARIES).join("\n\n");
  expect(output).toEqual({ summary, decision: { approved: false, by: "Grace", at: expect.any(String) } });
  expect(await objects(`published/${run.id}`)).toEqual([]);
});

test("summarize-approved waits through a SIGKILL, and no longer than a week", async () => {
  const input = { texts: Object.values(FILES) };
  const [decided, forgotten] = await Promise.all(
    ["decided", "forgotten"].map((key) => start(server.url, "summarize-approved", input, key)),
  );
  const [id, other] = [decided?.run.id as string, forgotten?.run.id as string];
  const before = await Promise.all([waits(id), waits(other)]);
  const [{ startedAt, resumesAt }] = before;
  expect(Math.round((Date.parse(resumesAt as string) - Date.parse(startedAt)) / DAY_MS)).toBe(7);

  await server.kill();
  waitedSince(state, other, 7 * DAY_MS);
  await serve();

  expect(await shown(`/runs/${id}`)).toEqual(before[0]);
  await post(`/runs/${id}/signals/approval`, '{"approved":true}');
  expect(await ended(server.url, id)).toMatchObject({
    action: "approved",
    executions: before[0].executions + 1,
    output: { decision: { approved: true, by: null }, published: `published/${id}.md` },
  });
  const summary = Object.values(SUMMARIES).join("\n\n");
  expect(await ended(server.url, other)).toMatchObject({ status: "completed", action: "timeout", warnings: [] });
  expect((await readRun(server.url, other)).output).toEqual({ summary });
  expect(await objects("published/")).toEqual(expect.not.arrayContaining([`published/${other}.md`]));
});

test("digest writes what it finds in the bucket back to it, and a cron of one time starts one run", async () => {
  const started = await post("/crons/digest/run");
  expect(started.status).toBe(202);
  const { id } = (await started.json()) as { id: string };
  const { output } = (await ended(server.url, id)) as { output: { digest: string } };
  expect(output).toEqual({ digest: expect.stringMatching(/^digests\/\d{4}-\d\d-\d\d\.md$/), files: 2, failed: 0 });
  const document = await bucket("get", `pocketflare-files/${output.digest}`, "--pipe");
  for (const [key, summary] of Object.entries(SUMMARIES)) expect(document).toContain(`### \`${key}\`\n\n> ${summary}`);

  // Through the runtime's own clock, which the server of the other tests has not.
  const time = Date.parse("2026-11-20T06:00:00.000Z");
  const scheduled = `${server.url}/cdn-cgi/local/scheduled?cron=0+6+*+*+*&time=${time}`;
  const fired = await Promise.all([fetch(scheduled), fetch(scheduled)]);
  expect(fired.map(({ status }) => status)).toEqual([200, 200]);
  const trigger = { type: "cron", name: "digest" };
  const byCron = await until("the clock's run is listed as well", async () => {
    const response = await fetch(`${server.url}/runs?flow=digest&trigger=cron`);
    const { runs } = (await response.json()) as { runs: { id: string }[] };
    return runs.length > 1 ? runs : undefined;
  });
  expect(byCron).toMatchObject([{ trigger }, { id, trigger }]);
});

test("summarize-webhook is started by a signed delivery, and tells its callback in a signed message", async () => {
  const receiver = await Receiver.open(CALLBACK_SECRET);
  const texts = Object.values(FILES);
  const body = JSON.stringify({ texts, callback: `${receiver.url}/done` });
  const at = new Date();
  const signature = new Webhook(HOOK_SECRET).sign("msg_1", at, body);
  const headers = { "webhook-id": "msg_1", "webhook-timestamp": String(Math.floor(at.getTime() / 1000)) };
  const delivered = await post("/webhooks/summarize-webhook", body, { ...headers, "webhook-signature": signature });
  expect(delivered.status).toBe(202);
  const { run } = (await delivered.json()) as { run: { id: string } };
  await until("the callback is told", () => receiver.hasTaken("/done"));
  const output = { summaries: Object.values(SUMMARIES), summary: Object.values(SUMMARIES).join("\n\n") };
  const [message, ...others] = receiver.all;
  expect(others).toEqual([]);
  expect(message?.isVerified).toBe(true);
  expect(JSON.parse(message?.body ?? "")).toMatchObject({ type: "run.completed", data: { id: run.id, output } });
  const deliveries = await until("the run knows", async () => {
    const { callback } = (await readRun(server.url, run.id)) as unknown as { callback: { deliveries: Delivery[] } };
    return callback.deliveries[0]?.status === "delivered" ? callback.deliveries : undefined;
  });
  expect(deliveries).toMatchObject([{ id: message?.id, tries: 1 }]);
});
