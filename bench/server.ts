import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const wranglerPath = fileURLToPath(new URL("../node_modules/wrangler/bin/wrangler.js", import.meta.url));

/** What makes the servers equal, quiet and local. */
const environment = {
  // Otherwise every call between objects and every SQL statement also writes a trace span, which costs more than the work.
  X_LOCAL_OBSERVABILITY: "false",
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
  // The banner is what asks the registry for a newer version.
  WRANGLER_HIDE_BANNER: "true",
  WRANGLER_SEND_METRICS: "false",
  CI: "true",
};

/** One Worker of the bench under `wrangler dev`, its state on disk in a folder of its own. */
export class Server {
  readonly name: string;
  url = "";
  readonly #process: ChildProcess;
  readonly #stateFolder = mkdtempSync(join(tmpdir(), "pocketflare-bench-"));
  readonly #workerFolder: string;
  #output = "";
  #stopped: Promise<void> | undefined;

  constructor(name: string) {
    this.name = name;
    this.#workerFolder = fileURLToPath(new URL(`./${name}`, import.meta.url));
    this.#process = spawn(process.execPath, [wranglerPath, ...this.#parameters()], {
      cwd: this.#workerFolder,
      // A process group of its own, so that one signal reaches wrangler and every workerd it started.
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...environment, ...this.#folders() },
    });
  }

  /** Resolves once the server answers on a port that was free. */
  async ready(): Promise<this> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const read = (chunk: Buffer) => {
      this.#output += chunk;
      const found = /Ready on (http:\/\/127\.0\.0\.1:\d+)/.exec(this.#output);
      if (found?.[1]) resolve(found[1]);
    };
    this.#process.stdout?.on("data", read);
    this.#process.stderr?.on("data", read);
    this.#process.once("exit", () => reject(new Error(`The ${this.name} server did not start:\n${this.#output}`)));
    this.url = await promise;
    return this;
  }

  /**
   * The most memory this server's runtime ever held, in MB; unknown where there is no /proc. Wrangler starts two runtimes, and
   * the smaller one is only its proxy.
   */
  peakMemoryMb(): number | undefined {
    if (!existsSync("/proc/self/status")) return undefined;
    const peaksKb = processesOfGroup(this.#process.pid).map((pid) => peakOfRuntimeKb(pid));
    return Math.max(0, ...peaksKb) / 1024;
  }

  /** Kills every process of the server and removes what it left on disk; the second call waits for the first. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    const { exitCode, signalCode } = this.#process;
    const gone = exitCode === null && signalCode === null ? once(this.#process, "exit") : undefined;
    this.kill();
    await gone;
    for (const folder of [this.#stateFolder, join(this.#workerFolder, ".wrangler")]) {
      // The group's last processes may still be on their way out.
      rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
    }
  }

  /** The state is thrown away, so nothing needs to end in good order. */
  kill(): void {
    if (this.#process.pid === undefined) return;
    try {
      process.kill(-this.#process.pid, "SIGKILL");
    } catch {
      // The group has ended already.
    }
  }

  /** A killed wrangler cleans nothing up, so everything it writes is put where it will be removed. */
  #folders(): Record<string, string> {
    return { TMPDIR: this.#stateFolder, WRANGLER_REGISTRY_PATH: join(this.#stateFolder, "registry") };
  }

  #parameters(): string[] {
    const loopback = ["--ip", "127.0.0.1", "--port", "0", "--inspector-port", "0"];
    return ["dev", ...loopback, "--persist-to", this.#stateFolder, "--show-interactive-dev-session=false"];
  }
}

function processesOfGroup(group: number | undefined): number[] {
  const pids = readdirSync("/proc").filter((entry) => /^\d+$/.test(entry));
  return pids.map(Number).filter((pid) => groupOf(pid) === group);
}

/** The fields after the name, which is in brackets and may hold spaces: state, parent, group. */
function groupOf(pid: number): number | undefined {
  const group = /^.*\) \S+ \d+ (\d+)/s.exec(readProcess(pid, "stat"))?.[1];
  return group === undefined ? undefined : Number(group);
}

function peakOfRuntimeKb(pid: number): number {
  const status = readProcess(pid, "status");
  if (!/^Name:\s+workerd$/m.test(status)) return 0;
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0);
}

/** Empty when the process has ended since it was listed. */
function readProcess(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return "";
  }
}
