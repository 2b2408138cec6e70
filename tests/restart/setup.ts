import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { TestProject } from "vitest/node";
import { unstable_getMiniflareWorkerOptions } from "wrangler";

declare module "vitest" {
  interface ProvidedContext {
    /** The folder with the built Worker and `options.json`, what a server is told about it. */
    built: string;
  }
}

const WORKER = join(import.meta.dirname, "worker");
const WRANGLER = join(createRequire(import.meta.url).resolve("wrangler/package.json"), "../bin/wrangler.js");

/** Builds the Worker once, so that each of the many starts takes half a second and not two. */
export async function setup({ provide }: TestProject): Promise<() => void> {
  const built = mkdtempSync(join(tmpdir(), "pocketflare-built-"));
  const clean = () => {
    for (const folder of [built, join(WORKER, ".wrangler")]) rmSync(folder, { recursive: true, force: true });
  };
  await build(built).catch((error) => {
    clean();
    throw error;
  });
  provide("built", built);
  return clean;
}

async function build(folder: string): Promise<void> {
  const config = join(WORKER, "wrangler.toml");
  const args = [WRANGLER, "deploy", "--dry-run", "--config", config, "--outdir", folder];
  const quiet = { WRANGLER_HIDE_BANNER: "true", WRANGLER_WRITE_LOGS: "false", TMPDIR: folder };
  await promisify(execFile)(process.execPath, args, { env: { ...process.env, ...quiet } });
  const { compatibilityDate, bindings, queueProducers, queueConsumers, additionalUnboundDurableObjects } =
    unstable_getMiniflareWorkerOptions(config).workerOptions;
  const options = { compatibilityDate, bindings, queueProducers, queueConsumers, additionalUnboundDurableObjects };
  writeFileSync(join(folder, "options.json"), JSON.stringify(options));
}
