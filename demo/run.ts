/** What the demo reads of a run. */
export interface Run {
  id: string;
  status: string;
  items: { total: number; running: number; succeeded: number; failed: number };
  /** Calls of exec, those that a crash cut off included. */
  executions: number;
  /** How many objects, or invocations, ran exec. */
  executors: number;
  output: { summary: string; summaries: string[] } | null;
  error: { message: string } | null;
}

/** Starts a run of the flow `summarize`. */
export function startRun(server: string, texts: readonly string[]): Promise<Run> {
  return request(`${server}/flows/summarize/runs`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ texts }),
  });
}

export function readRun(server: string, id: string): Promise<Run> {
  return request(`${server}/runs/${id}`);
}

export function isOver(run: Run): boolean {
  return ["completed", "failed", "canceled"].includes(run.status);
}

async function request(url: string, init: RequestInit = {}): Promise<Run> {
  const response = await fetch(url, { ...init, signal: AbortSignal.timeout(15_000) });
  const body = await response.text();
  if (response.ok) return JSON.parse(body) as Run;
  throw new Error(`Expected a run from ${init.method ?? "GET"} ${url}, got ${response.status}: ${body}`);
}
