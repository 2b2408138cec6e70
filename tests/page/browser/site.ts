import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Group, spawnGroup } from "../../../demo/group.ts";
import { freePort } from "../../../demo/server.ts";
import type { Run } from "../../../src/http/api.ts";
import { until } from "../../restart/until.ts";

const HOST = join(import.meta.dirname, "host.ts");
/** Below those that connections take: a port that is free for a moment must not become one of theirs. */
const [LEAST_PORT, MOST_PORT] = [20_000, 30_000];

export interface SiteOptions {
  /** What the API asks for; without one it is open. */
  token?: string;
}

/** A server at one address, where it can be killed and started again. */
export class Site {
  readonly url: string;
  readonly #folder = mkdtempSync(join(tmpdir(), "pocketflare-page-site-"));
  readonly #bindings: { [name: string]: string };
  /** The last of what its servers have written. */
  #said = "";
  #group: Group | undefined;

  readonly #worker: string;

  private constructor(worker: string, port: number, { token }: SiteOptions) {
    this.#worker = worker;
    this.url = `http://127.0.0.1:${port}`;
    this.#bindings = token === undefined ? { POCKETFLARE_OPEN: "true" } : { API_TOKEN: token };
    mkdirSync(this.#tmp);
  }

  static async open(worker: string, options: SiteOptions = {}): Promise<Site> {
    const site = new Site(worker, await lowPort(), options);
    await site.start();
    return site;
  }

  async start(): Promise<void> {
    const args = [this.#worker, join(this.#folder, "state"), new URL(this.url).port, JSON.stringify(this.#bindings)];
    // A killed server cleans nothing up, so what it writes is put where it will be removed.
    this.#group = spawnGroup(HOST, args, { output: "pipe", env: { ...process.env, TMPDIR: this.#tmp } });
    for (const stream of [this.#group.child.stdout, this.#group.child.stderr]) {
      stream?.on("data", (words) => {
        this.#said = (this.#said + words).slice(-10_000);
      });
    }
    await until("the server answers", () => this.#isUp());
  }

  /** SIGKILL to the server and all its processes. */
  async kill(): Promise<void> {
    await this.#group?.kill();
    this.#group = undefined;
  }

  async close(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 10 });
  }

  // What the tests do beside the page.

  startRun(flow: string, input: object): Promise<Run> {
    return this.call("POST", `/flows/${encodeURIComponent(flow)}/runs`, input);
  }

  run(id: string): Promise<Run> {
    return this.call("GET", `/runs/${id}`);
  }

  /** Starts a run, and resolves with it once it has ended. */
  async ended(flow: string, input: object): Promise<Run> {
    const { id } = await this.startRun(flow, input);
    return this.untilEnded(id);
  }

  untilEnded(id: string): Promise<Run> {
    return until(`run ${id} ends`, async () => {
      const run = await this.run(id);
      return run.finishedAt === null ? null : run;
    });
  }

  /** Lets the calls of a run go on that are held. */
  release(id: string): Promise<void> {
    return this.call("POST", `/test/release/${id}`);
  }

  /** Makes a run's vendor refuse nothing from now on. */
  heal(id: string): Promise<void> {
    return this.call("POST", `/test/heal/${id}`);
  }

  async call<T>(method: string, path: string, body?: object): Promise<T> {
    const { API_TOKEN: token } = this.#bindings;
    const headers = { "content-type": "application/json", ...(token ? { authorization: `Bearer ${token}` } : {}) };
    const init = body === undefined ? {} : { body: JSON.stringify(body) };
    const response = await fetch(this.url + path, { method, headers, ...init });
    const text = await response.text();
    if (!response.ok) throw new Error(`Expected ${method} ${path} to be taken, got ${response.status}: ${text}`);
    return (text ? JSON.parse(text) : undefined) as T;
  }

  async #isUp(): Promise<boolean> {
    const exitCode = this.#group?.child.exitCode ?? null;
    if (exitCode !== null) throw new Error(`The server ended (${exitCode}) before it answered: ${this.#said}`);
    const response = await fetch(`${this.url}/health`, { signal: AbortSignal.timeout(2_000) }).catch(() => null);
    return response?.ok ?? false;
  }

  get #tmp(): string {
    return join(this.#folder, "tmp");
  }
}

async function lowPort(): Promise<number> {
  const port = LEAST_PORT + Math.floor(Math.random() * (MOST_PORT - LEAST_PORT));
  return freePort(port).catch(lowPort);
}
