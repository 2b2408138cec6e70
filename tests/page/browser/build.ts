import { join } from "node:path";
import { build } from "esbuild";

/** Builds the Worker that the page is looked at with, into a folder, and returns its file. */
export async function buildWorker(folder: string): Promise<string> {
  const outfile = join(folder, "worker.js");
  await build({
    entryPoints: [join(import.meta.dirname, "worker/worker.ts")],
    outfile,
    bundle: true,
    format: "esm",
    target: "es2024",
    conditions: ["workerd", "worker", "browser"],
    external: ["cloudflare:*"],
    // Nodes are named after their classes.
    keepNames: true,
    logLevel: "error",
  });
  return outfile;
}
