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
import { ended, readRun } from "./client.ts";
import { Receiver } from "./receiver.ts";
import { until } from "./until.ts";
import { CALLBACK_SECRET, HOOK_SECRET } from "./worker/doors.ts";

// The deployable Worker as it is, by the commands that a user has: one server for all, because it takes seconds to start.

const PROJECT = join(import.meta.dirname, "../..");
const WRANGLER = join(createRequire(import.meta.url).resolve("wrangler/package.json"), "../bin/wrangler.js");
const QUIET = { WRANGLER_HIDE_BANNER: "true", WRANGLER_SEND_METRICS: "false", WRANGLER_WRITE_LOGS: "false" };
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

beforeAll(async () => {
  // One after the other: each writes to the same database.
  for (const [at, [key, text]] of Object.entries(FILES).entries()) {
    const file = join(folder, `${at}.txt`);
    writeFileSync(file, text);
    await bucket("put", `pocketflare-files/${key}`, "--file", file);
  }
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
}, 60_000);

afterAll(async () => {
  await server?.kill();
  rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
});

function post(path: string, body?: string, headers: { [name: string]: string } = {}): Promise<Response> {
  const type = body === undefined ? {} : { "content-type": "application/json" };
  return fetch(server.url + path, { method: "POST", headers: { ...type, ...headers }, ...(body && { body }) });
}

test("summarize-files gives a summary of each file of the bucket", async () => {
  const response = await post("/flows/summarize-files/runs?wait=30", JSON.stringify({ files: Object.keys(FILES) }));
  expect(response.status).toBe(200);
  expect(await response.json()).toMatchObject({ status: "completed", output: { summaries: SUMMARIES } });
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
