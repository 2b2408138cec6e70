import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inject, onTestFinished } from "vitest";
import { type Group, spawnGroup } from "../../demo/group.ts";
import { until } from "./until.ts";

const HOST = join(import.meta.dirname, "host.ts");

/** One place where a server's state lies, and the server that is up there now, if any. */
export class Site {
  /** Of the server that is up. Another after each start. */
  url = "http://127.0.0.1:1";
  /** When the server that is up first answered. */
  upMs = 0;
  /** What all servers here have written. */
  said = "";
  readonly folder: string;
  readonly #vendorUrl: string;
  #group: Group | undefined;

  constructor(vendorUrl: string, within = tmpdir()) {
    this.#vendorUrl = vendorUrl;
    this.folder = mkdtempSync(join(within, "pocketflare-site-"));
    mkdirSync(this.tmp);
    onTestFinished(() => this.close());
  }

  /** Where the server keeps its databases. */
  get state(): string {
    return join(this.folder, "state");
  }

  /** The process group of the server that is up. */
  get group(): number | undefined {
    return this.#group?.child.pid;
  }

  /** Starts the server, and resolves once it answers. */
  async start(): Promise<void> {
    const group = spawnGroup(HOST, [inject("built"), this.state, this.#vendorUrl], {
      output: "pipe",
      // A killed server cleans nothing up, so what it writes is put where it will be removed.
      env: { ...process.env, TMPDIR: this.tmp },
    });
    this.#group = group;
    for (const stream of [group.child.stdout, group.child.stderr]) {
      stream?.on("data", (words) => {
        this.said += words;
      });
    }
    this.url = await addressOf(group);
    await until("the server answers", () => isHealthy(this.url));
    this.upMs = performance.now();
  }

  /** SIGKILL to the server and all its processes. Resolves when nobody listens any more. */
  async kill(): Promise<void> {
    const { child } = this.#group ?? {};
    this.#group = undefined;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    process.kill(-child.pid, "SIGKILL");
    await once(child, "exit");
    // The leader's children are not ours to wait for, and a dead process may be listed for a while: its port tells.
    await until("the killed server is gone", async () => !(await listens(this.url)));
  }

  async close(): Promise<void> {
    await this.kill();
    // The group's last processes may still be on their way out.
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 10 });
  }

  private get tmp(): string {
    return join(this.folder, "tmp");
  }
}

export async function isHealthy(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/health`, { signal: AbortSignal.timeout(2_000) });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}

function listens(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  return once(socket, "connect").then(
    () => {
      socket.destroy();
      return true;
    },
    () => false,
  );
}

/** The address that a server prints when it is up. */
export function addressOf({ child }: Group): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (words: string) => {
      said = (said + words).slice(-10_000);
      const address = /Ready on (http:\/\/[\w.]+:\d+)/.exec(said)?.[1];
      if (address) resolve(address);
    });
  }
  child.once("exit", () => reject(new Error(`The server ended before it answered:\n${said}`)));
  return promise;
}
