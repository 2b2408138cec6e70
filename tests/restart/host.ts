// A server as a process: `node host.ts BUILT STATE VENDOR_URL` serves the built Worker with its state in a folder, and prints
// its address. It has no way to end but a signal.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";

const [built, state, vendorUrl] = process.argv.slice(2) as [string, string, string];
const worker = JSON.parse(readFileSync(join(built, "options.json"), "utf8"));
const miniflare = new Miniflare(
  convertV4MiniflareOptions({
    ...worker,
    name: "restart",
    rootPath: built,
    modules: true,
    scriptPath: "worker.js",
    bindings: { ...worker.bindings, VENDOR_URL: vendorUrl },
    resourcePersistencePath: state,
    host: "127.0.0.1",
    port: 0,
    // Asks nobody outside.
    cf: false,
    telemetry: { enabled: false },
  }),
);
console.log(`Ready on ${await miniflare.ready}`);
