// Makes a golden database: `node tests/golden/make.ts` runs the golden flow on a real server, kills that half way through, and
// writes what the run's object has stored to `RELEASE.json`. Once for each release; what is there is never written anew.
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { promisify } from "node:util";
import { unstable_getMiniflareWorkerOptions } from "wrangler";
import { type Group, spawnGroup } from "../../demo/group.ts";
import { VERSION } from "../../src/version.ts";
import type { Item } from "../restart/client.ts";
import { filesOf } from "../restart/disk.ts";
import { until } from "../restart/until.ts";
import { HELD, INPUT } from "./flow.ts";

type View = Item & { node: string; branch: string };

const HERE = import.meta.dirname;
const HOST = join(HERE, "../restart/host.ts");
const WRANGLER = join(createRequire(import.meta.url).resolve("wrangler/package.json"), "../bin/wrangler.js");
const BIOME = createRequire(import.meta.url).resolve("@biomejs/biome/bin/biome");

const fixture = join(HERE, `${VERSION}.json`);
if (existsSync(fixture) && !process.argv.includes("--again")) {
  throw new Error(`${fixture} is there already: of a release there is one fixture, which never changes`);
}
const folder = mkdtempSync(join(tmpdir(), "pocketflare-golden-"));
try {
  await build();
  // Stacks name the folder, which is of no interest to anybody.
  writeFileSync(fixture, `${JSON.stringify(await make(), null, 2)}\n`.replaceAll(folder, ""));
  await promisify(execFile)(process.execPath, [BIOME, "format", "--write", fixture]);
  console.log(`Wrote ${fixture}`);
} finally {
  rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
}

async function build(): Promise<void> {
  const config = join(HERE, "wrangler.toml");
  const args = [WRANGLER, "deploy", "--dry-run", "--config", config, "--outdir", folder];
  const quiet = { WRANGLER_HIDE_BANNER: "true", WRANGLER_WRITE_LOGS: "false", TMPDIR: folder };
  await promisify(execFile)(process.execPath, args, { env: { ...process.env, ...quiet } });
  const { compatibilityDate, bindings, additionalUnboundDurableObjects } =
    unstable_getMiniflareWorkerOptions(config).workerOptions;
  writeFileSync(
    join(folder, "options.json"),
    JSON.stringify({ compatibilityDate, bindings, additionalUnboundDurableObjects }),
  );
  rmSync(join(HERE, ".wrangler"), { recursive: true, force: true });
}

async function make(): Promise<object> {
  const state = join(folder, "state");
  const env = { ...process.env, TMPDIR: folder };
  const group = spawnGroup(HOST, [folder, state, "http://127.0.0.1:1"], { output: "pipe", env });
  try {
    const url = await addressOf(group);
    const run = await json(`${url}/flows/golden/runs`, { method: "POST", body: JSON.stringify(INPUT) });
    const items = await until("the run is half way through", () => halfWay(url, String(run["id"])), 60_000);
    await group.kill();
    return { release: VERSION, id: run["id"], items, ...dump(state) };
  } finally {
    await group.kill();
  }
}

/** The items of the run, once all that is held has begun and nothing else is under way. */
async function halfWay(url: string, id: string): Promise<View[] | undefined> {
  const { items } = (await json(`${url}/runs/${id}/items?limit=1000`)) as unknown as { items: View[] };
  const running = items.filter(({ status }) => status === "running").length;
  const isDeferred = items.some(({ status }) => status === "deferred");
  return running === HELD.length && isDeferred ? items : undefined;
}

/** The tables of the one run, as they are: how they were made, and their rows. */
function dump(state: string): object {
  const files = filesOf(state, "FlowRun");
  if (files.length !== 1) throw new Error(`Expected one database, got ${files.length}`);
  const database = new DatabaseSync(files[0] as string);
  const own = "name not like '\\_%' escape '\\' and name not like 'sqlite\\_%' escape '\\' and sql is not null";
  const schema = database.prepare(`select name, type, sql from sqlite_master where ${own} order by rowid`).all();
  const tables = schema
    .filter(({ type }) => type === "table")
    .map(({ name }) => [name, database.prepare(`select * from ${name}`).all()]);
  database.close();
  return { schema: schema.map(({ sql }) => sql), tables: Object.fromEntries(tables) };
}

async function json(url: string, init: RequestInit = {}): Promise<{ [key: string]: unknown }> {
  const response = await fetch(url, { ...init, headers: { "content-type": "application/json" } });
  if (!response.ok) throw new Error(`Expected an answer from ${url}, got ${response.status}: ${await response.text()}`);
  return response.json() as Promise<{ [key: string]: unknown }>;
}

/** The address that the server prints when it is up. */
function addressOf({ child }: Group): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (words: string) => {
      said += words;
      const address = /Ready on (http:\/\/[\w.]+:\d+)/.exec(said)?.[1];
      if (address) resolve(address);
    });
  }
  child.once("exit", () => reject(new Error(`The server ended before it answered:\n${said}`)));
  return promise;
}
