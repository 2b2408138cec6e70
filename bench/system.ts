import type { Server } from "./server.ts";

export interface Work {
  items: number;
  /** How long one exec takes; 0 returns at once. */
  execMs: 0 | 100;
  /** How many of the 100 in flight one executor holds: all of them, or Pocketflare's default. */
  perExecutor: 100 | 6;
  /** Whether each item needs a permit. */
  isLimited?: boolean;
  /** Whether the items are those of branches, three to each. */
  isBranching?: boolean;
}

/** What a run cost that the platform would bill. */
export interface Cost {
  callsPerItem: number;
  /** Calls between runs and limiters. */
  limiterCallsPerItem: number;
  rowsPerItem: number;
  /** Of the largest object. */
  bytesPerItem: number;
}

const IN_FLIGHT = 100;

/** Something that can do the work: where it runs, and how one run is started and awaited there. */
export abstract class System {
  readonly server: Server;

  constructor(server: Server) {
    this.server = server;
  }

  /** Resolves with how many results the run ended with. */
  protected abstract finish(work: Work): Promise<unknown>;

  /** The wall time of one run as its caller sees it, from the request that starts it to its end. */
  async wallMs(work: Work): Promise<number> {
    const startedMs = performance.now();
    const results = await this.finish(work);
    const wallMs = performance.now() - startedMs;
    if (results !== work.items) throw new Error(`${this.server.name}: expected ${work.items} results, got ${results}`);
    return wallMs;
  }

  async cost(work: Work): Promise<Cost> {
    await this.call("GET", "/meter?on=1");
    await this.wallMs(work);
    const counted = await this.call<{ [what in "calls" | "limiterCalls" | "rowsWritten" | "bytes"]: number }>(
      "GET",
      "/meter?on=0",
    );
    return {
      callsPerItem: counted.calls / work.items,
      limiterCallsPerItem: counted.limiterCalls / work.items,
      rowsPerItem: counted.rowsWritten / work.items,
      bytesPerItem: counted.bytes / work.items,
    };
  }

  protected async call<T>(method: "GET" | "POST", path: string, body?: object): Promise<T> {
    const headers = { "content-type": "application/json" };
    const init = body ? { method, headers, body: JSON.stringify(body) } : { method };
    const response = await fetch(this.server.url + path, init);
    if (response.ok) return (await response.json()) as T;
    throw new Error(`${this.server.name}: ${method} ${path}: ${response.status} ${await response.text()}`);
  }
}

export class Minimal extends System {
  protected async finish({ items, execMs, perExecutor }: Work): Promise<unknown> {
    const job = { items, execMs, inFlight: IN_FLIGHT, width: perExecutor };
    return (await this.call<{ results: number }>("POST", "/", job)).results;
  }
}

interface PocketflareRun {
  id: string;
  status: string;
  finishedAt: string | null;
  output: { results?: number } | null;
  error: unknown;
}

export class Pocketflare extends System {
  protected async finish({ items, execMs, perExecutor, isLimited, isBranching }: Work): Promise<unknown> {
    const exec = isBranching ? "branching" : execMs === 0 ? "instant" : "sleep";
    const flow = `${isLimited ? "limited-" : ""}${exec}-by-${perExecutor}`;
    let run = await this.call<PocketflareRun>("POST", `/flows/${flow}/runs?wait=60`, { items });
    while (run.finishedAt === null) {
      await pause(50);
      run = await this.call<PocketflareRun>("GET", `/runs/${run.id}`);
    }
    if (run.status !== "completed") throw new Error(`pocketflare: the run ${run.status}: ${JSON.stringify(run.error)}`);
    return run.output?.results;
  }
}

interface WorkflowInstance {
  status: string;
  output?: unknown;
  error?: unknown;
}

/** The local engine tells nobody that an instance has ended, so it is asked; 20 ms is nothing beside what a run takes. */
export class Workflows extends System {
  protected async finish({ items }: Work): Promise<unknown> {
    const { id } = await this.call<{ id: string }>("POST", "/", { items, width: IN_FLIGHT });
    for (;;) {
      const instance = await this.call<WorkflowInstance>("GET", `/${id}`);
      if (instance.status === "complete") return instance.output;
      if (instance.status === "errored") throw new Error(`workflows: ${JSON.stringify(instance.error)}`);
      await pause(20);
    }
  }
}

function pause(durationMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, durationMs));
}
