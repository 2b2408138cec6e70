import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { spawnGroup } from "./group.ts";
import { atExit } from "./lifetime.ts";
import { Progress } from "./progress.ts";
import { findFaults, type Kill, report, seconds } from "./report.ts";
import { isOver, type Run, readRun, startRun } from "./run.ts";
import { freePort, type Server, startServer } from "./server.ts";
import { addresses, bodyBytes } from "./texts.ts";
import type { VendorStats } from "./vendor.ts";

const USAGE = "Usage: npm run demo -- [--executor object|queue]";
const LATENCY_MS = 500;
const POLL_MS = 200;
/** By then something hangs: the demo needs less than half of it. */
const GIVE_UP_MS = 120_000;

type ExecutorKind = "object" | "queue";

/** What stays when the server is killed. */
interface Stage {
  /** The vendor's base URL. */
  vendor: string;
  /** Starts the server, each time on the same port and the same state. */
  start(): Promise<Server>;
}

async function main(executor: ExecutorKind): Promise<void> {
  setTimeout(() => fail(`Gave up: not done after ${seconds(GIVE_UP_MS)}.`), GIVE_UP_MS).unref();
  const stage = await setStage(executor);
  const server = await stage.start();
  const texts = addresses();
  const megabytes = (bodyBytes(texts) / 1e6).toFixed(1);
  console.log(`Texts     ${texts.length} State of the Union addresses, ${megabytes} MB in one request`);

  const fromMs = performance.now();
  const { id } = await startRun(server.url, texts);
  console.log(`Run       ${server.url}/runs/${id}\n`);
  await watch(server, id, ({ items }) => items.total > 0 && items.succeeded >= items.total / 2);
  const kill = await killAndRestart(stage, server, id);
  const run = await watch(server, id, isOver);
  const wallMs = performance.now() - fromMs;
  const { repeats } = await vendorStats(stage.vendor);
  const outcome = { run, kill, wallMs, latencyMs: LATENCY_MS, repeats };
  console.log(report(outcome));
  const faults = findFaults(outcome);
  if (faults.length > 0) fail(faults.join("\n"));
}

async function setStage(executor: ExecutorKind): Promise<Stage> {
  const folder = mkdtempSync(join(tmpdir(), "pocketflare-demo-"));
  // Retried: processes killed just now may hold it for a moment.
  atExit(() => rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 }));
  // Wrangler reads this file instead of .dev.vars: the demo is to be the same whatever its user keeps there.
  const envFile = join(folder, "empty.env");
  writeFileSync(envFile, "");
  const [vendor, port] = await Promise.all([startVendorProcess(), freePort()]);
  const start = () =>
    startServer({
      host: "127.0.0.1",
      port,
      vars: { POCKETFLARE_OPEN: "true", LLM_BASE_URL: vendor, EXECUTOR: executor },
      args: ["--env", "local", "--persist-to", join(folder, "state"), "--env-file", envFile],
      env: { WRANGLER_REGISTRY_PATH: join(folder, "registry") },
    });
  return { vendor, start: () => timed(start, folder) };
}

async function timed(start: () => Promise<Server>, folder: string): Promise<Server> {
  const fromMs = performance.now();
  const server = await start();
  console.log(`Server    ${server.url}, up in ${seconds(performance.now() - fromMs)}, state in ${folder}`);
  return server;
}

/** The vendor is a process of its own, which lives on when the server is killed. */
async function startVendorProcess(): Promise<string> {
  const script = join(import.meta.dirname, "vendor.ts");
  const { child } = spawnGroup(script, ["--latency", String(LATENCY_MS)], { output: "pipe" });
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout?.setEncoding("utf8").once("data", (line: string) => resolve(line.trim()));
    child.once("exit", (code) => reject(new Error(`The stand-in vendor ended (${code}) before it was up`)));
  });
  console.log(`Vendor    ${url}, a stand-in: extractive summaries, ${seconds(LATENCY_MS)} a call`);
  return url;
}

async function vendorStats(vendor: string): Promise<VendorStats> {
  const response = await fetch(new URL("/stats", vendor));
  return (await response.json()) as VendorStats;
}

/** Follows a run until `enough`, or its end. */
async function watch(server: Server, id: string, enough: (run: Run) => boolean): Promise<Run> {
  const progress = new Progress(process.stdout);
  try {
    for (;;) {
      const run = await readRun(server.url, id);
      progress.show({ done: run.items.succeeded, total: run.items.total });
      if (enough(run) || isOver(run)) return run;
      await sleep(POLL_MS);
    }
  } finally {
    progress.end();
  }
}

async function killAndRestart(stage: Stage, server: Server, id: string): Promise<Kill> {
  const { inFlight } = await vendorStats(stage.vendor);
  const before = await readRun(server.url, id);
  const fromMs = performance.now();
  await server.kill();
  const { total, succeeded, running } = before.items;
  if (isOver(before))
    throw new Error(`The run ended too early to be killed: ${before.status}. ${before.error?.message}`);
  console.log(`\nKilled    SIGKILL to all of the server, with ${succeeded} of ${total} done and ${running} in flight`);
  const { url } = await stage.start();
  const downMs = performance.now() - fromMs;
  const { items } = await readRun(url, id);
  const { lost, peak } = await vendorStats(stage.vendor);
  console.log(`Resumed   by itself; still done: ${items.succeeded} of ${total}\n`);
  // No count is of the very moment: the run's is a little older, the vendor's misses claims and answers that were on their way.
  return { done: succeeded, stillDone: items.succeeded, inFlight: Math.max(running, inFlight, lost), peak, downMs };
}

function fail(reason: string): never {
  console.error(`\nFailed. ${reason}`);
  process.exit(1);
}

function readExecutor(): ExecutorKind {
  try {
    const { executor = "object" } = parseArgs({ options: { executor: { type: "string" } } }).values;
    if (executor === "object" || executor === "queue") return executor;
    console.error(`Expected \`--executor\` to be object or queue, got ${executor}\n${USAGE}`);
  } catch (error) {
    console.error(`${(error as Error).message}\n${USAGE}`);
  }
  process.exit(2);
}

try {
  await main(readExecutor());
  process.exit();
} catch (error) {
  fail((error as Error).message);
}
