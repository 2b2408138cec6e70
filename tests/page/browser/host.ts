// A server as a process: `node host.ts WORKER STATE PORT BINDINGS` serves the built Worker with its state in a folder. It has no
// way to end but a signal.
import { basename, dirname } from "node:path";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";

const [worker, state, port, bindings] = process.argv.slice(2) as [string, string, string, string];
const miniflare = new Miniflare(
  convertV4MiniflareOptions({
    name: "page",
    rootPath: dirname(worker),
    modules: true,
    scriptPath: basename(worker),
    compatibilityDate: "2026-10-01",
    bindings: JSON.parse(bindings),
    additionalUnboundDurableObjects: ["FlowRun", "Executor", "RateLimiter", "RunIndex"].map((className) => {
      return { className, useSQLite: true };
    }),
    resourcePersistencePath: state,
    host: "127.0.0.1",
    port: Number(port),
    // Asks nobody outside.
    cf: false,
    telemetry: { enabled: false },
  }),
);
await miniflare.ready;
