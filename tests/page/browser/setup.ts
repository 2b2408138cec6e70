import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { buildWorker } from "./build.ts";
import { findChromium } from "./chromium.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** The built Worker, a file. */
    worker: string;
    /** The browser, a file. */
    chromium: string;
  }
}

/** Builds the Worker once for all files, and finds the browser: without one nothing here says anything. */
export async function setup({ provide }: TestProject): Promise<() => void> {
  provide("chromium", findChromium());
  const folder = mkdtempSync(join(tmpdir(), "pocketflare-page-"));
  provide("worker", await buildWorker(folder));
  return () => rmSync(folder, { recursive: true, force: true });
}
