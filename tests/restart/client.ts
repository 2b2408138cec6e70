import { until } from "./until.ts";
import type { Batch } from "./worker/flows.ts";

/** What the tests read of a run. */
export interface Run {
  id: string;
  status: string;
  items: { total: number; succeeded: number; failed: number; running: number };
  executions: number;
  output: unknown;
  error: { name: string; message: string; index: number | null } | null;
}

export interface Item {
  index: number;
  status: string;
  attempts: number;
  result?: unknown;
  error?: { name: string; message: string };
}

export interface Result {
  index: number;
  status: string;
  result: { value: string; call: number };
}

/** Starts a run. The response is given too, for its headers. */
export async function start(
  url: string,
  flow: string,
  input: object,
  key?: string,
): Promise<{ run: Run; headers: Headers }> {
  const response = await fetch(`${url}/flows/${flow}/runs`, {
    method: "POST",
    headers: { "content-type": "application/json", ...(key ? { "idempotency-key": key } : {}) },
    body: JSON.stringify(input),
  });
  if (response.status !== 202) throw new Error(`Expected 202, got ${response.status}: ${await response.text()}`);
  return { run: (await response.json()) as Run, headers: response.headers };
}

export async function startBatch(url: string, flow: string, input: Batch): Promise<Run> {
  return (await start(url, flow, input)).run;
}

export async function readRun(url: string, id: string): Promise<Run> {
  return JSON.parse(await get(`${url}/runs/${id}`)) as Run;
}

/** Every item of a run, in order. */
export async function readItems(url: string, id: string): Promise<Item[]> {
  return (JSON.parse(await get(`${url}/runs/${id}/items?limit=1000`)) as { items: Item[] }).items;
}

/** The results of the latest batch, in the order in which they are given. */
export async function readResults(url: string, id: string): Promise<Result[]> {
  const lines = (await get(`${url}/runs/${id}/results`)).split("\n").filter((line) => line !== "");
  return lines.map((line) => JSON.parse(line) as Result);
}

/** The run once it has ended. A server that is down just now is asked again. */
export function ended(url: string, id: string, timeoutMs = 60_000): Promise<Run> {
  const look = async () => {
    const run = await readRun(url, id).catch(unlessAnswered);
    return run && ["completed", "failed", "canceled"].includes(run.status) ? run : undefined;
  };
  return until(`run ${id} ends`, look, timeoutMs);
}

/** Ends one object of the server, and leaves the rest alone. */
export async function abort(url: string, name: "FlowRun" | "Executor", object: string): Promise<void> {
  const { status } = await fetch(`${url}/test/abort/${name}/${object}`, { method: "POST" });
  if (status !== 204) throw new Error(`Expected 204, got ${status}`);
}

async function get(url: string): Promise<string> {
  const response = await fetch(url, { signal: AbortSignal.timeout(20_000) });
  const body = await response.text();
  if (response.ok) return body;
  throw new Error(`Expected 200 from ${url}, got ${response.status}: ${body}`);
}

/** What fetch throws where no answer came. */
function unlessAnswered(error: Error): undefined {
  if (error.cause === undefined && error.name !== "TimeoutError") throw error;
}
