import { until } from "./until.ts";
import type { Batch } from "./worker/flows.ts";

/** What the tests read of a run. */
export interface Run {
  id: string;
  status: string;
  /** When a run that waits goes on. */
  resumesAt: string | null;
  items: { total: number; succeeded: number; failed: number; running: number; deferred: number };
  executions: number;
  action: string | null;
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

/** What a limit allows one key, and what is used of it. */
export interface LimitKey {
  key: string;
  requests: number | null;
  tokens: number | null;
  periodMs: number;
  concurrency: number | null;
  used: { requests: number; tokens: number };
  inFlight: number;
  waiting: number;
  cooldownUntil: string | null;
}

/** Starts a run. The response is given too, for its headers. */
export async function start(
  url: string,
  flow: string,
  input: object,
  key?: string,
): Promise<{ run: Run; headers: Headers }> {
  const response = await post(`${url}/flows/${flow}/runs`, input, key);
  if (response.status !== 202) throw new Error(`Expected 202, got ${response.status}: ${await response.text()}`);
  return { run: (await response.json()) as Run, headers: response.headers };
}

/** The run that was started with a key, once it has ended. Asked for once: who polls takes the time of the server. */
export async function finish(url: string, flow: string, input: object, key: string): Promise<Run> {
  const response = await post(`${url}/flows/${flow}/runs?wait=60`, input, key);
  if (response.status !== 200) throw new Error(`Expected 200, got ${response.status}: ${await response.text()}`);
  return (await response.json()) as Run;
}

function post(url: string, input: object, key?: string): Promise<Response> {
  const headers = { "content-type": "application/json", ...(key ? { "idempotency-key": key } : {}) };
  return fetch(url, { method: "POST", headers, body: JSON.stringify(input) });
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

export async function cancel(url: string, id: string): Promise<void> {
  const { status } = await fetch(`${url}/runs/${id}/cancel`, { method: "POST" });
  if (status !== 202) throw new Error(`Expected 202, got ${status}`);
}

/** What a limit that has no keys of its own allows. */
export async function readLimit(url: string, name: string): Promise<LimitKey> {
  const { keys } = JSON.parse(await get(`${url}/limits/${name}`)) as { keys: LimitKey[] };
  if (keys.length !== 1) throw new Error(`Expected one key, got ${keys.map(({ key }) => key)}`);
  return keys[0] as LimitKey;
}

/** Changes what a limit allows. */
export async function patchLimit(url: string, name: string, change: object): Promise<void> {
  const response = await fetch(`${url}/limits/${name}`, {
    method: "PATCH",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(change),
  });
  if (!response.ok) throw new Error(`Expected a change, got ${response.status}: ${await response.text()}`);
}

/** A limit is again what the Worker's code says. */
export async function resetLimit(url: string, name: string): Promise<void> {
  const response = await fetch(`${url}/limits/${name}/reset`, { method: "POST" });
  if (!response.ok) throw new Error(`Expected a reset, got ${response.status}: ${await response.text()}`);
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
export function unlessAnswered(error: Error): undefined {
  if (error.cause === undefined && error.name !== "TimeoutError") throw error;
}
