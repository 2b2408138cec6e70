import { runInDurableObject } from "cloudflare:test";
import { exports } from "cloudflare:workers";
import { expect } from "vitest";
import { decode } from "../../src/core/codec.ts";
import type { FlowRunObject } from "../../src/durable/run.ts";
import type { RunView } from "../../src/durable/view.ts";

/** A run as clients get it. */
export type Run = Omit<RunView, "output"> & { output: unknown };

/** A request through the Worker's front door. */
export function call(path: string, init: RequestInit = {}): Promise<Response> {
  return exports.default.fetch(`http://flows.test${path}`, init);
}

export function post(path: string, body: unknown = {}, headers: { [name: string]: string } = {}): Promise<Response> {
  return call(path, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
}

/** Starts a run and returns it as it was accepted. */
export async function start(flow: string, input: object = {}): Promise<Run> {
  const response = await post(`/flows/${encodeURIComponent(flow)}/runs`, input);
  expect(response.status).toBe(202);
  return response.json();
}

export async function getRun(id: string): Promise<Run> {
  const response = await call(`/runs/${id}`);
  expect(response.status).toBe(200);
  return response.json();
}

/** The run once it has finished, however often its object is lost meanwhile. */
export async function finished(id: string): Promise<Run> {
  for (;;) {
    try {
      await runOf(id).wait(60_000);
      const run = await getRun(id);
      if (run.finishedAt !== null) return run;
    } catch {
      // Lost: the next look loads it anew. Not at once: until the lost object is gone, its database may be locked.
      await scheduler.wait(1);
    }
  }
}

/** Starts a run and returns it once it has finished. */
export async function ran(flow: string, input: object = {}): Promise<Run> {
  return finished((await start(flow, input)).id);
}

export function runOf(id: string): DurableObjectStub<FlowRunObject> {
  return exports.FlowRun.getByName(id) as DurableObjectStub<FlowRunObject>;
}

/** What `look` finds in the storage of a run's object. */
export function inRun<T>(id: string, look: (storage: DurableObjectStorage) => T | Promise<T>): Promise<T> {
  return runInDurableObject(runOf(id), (_, { storage }) => look(storage));
}

export function rows<T extends Record<string, SqlStorageValue>>(
  id: string,
  sql: string,
  ...bindings: unknown[]
): Promise<T[]> {
  return inRun(id, (storage) => storage.sql.exec<T>(sql, ...bindings).toArray());
}

/** What a completed run's output is before it becomes JSON. */
export async function storedOutput(id: string): Promise<unknown> {
  const parts = await rows<{ body: string }>(id, "select body from long_text where owner = 'output' order by part");
  return decode(parts.map(({ body }) => body).join(""));
}

/** Ends an object as a crash does: nothing more of it runs, and callers get an error. The runner does not report this reason. */
export async function crash(stub: DurableObjectStub): Promise<void> {
  await runInDurableObject(stub, (_, state) => state.abort("Instance disposed by a test")).catch(() => undefined);
}

export function executorOf(run: string, slot: number): DurableObjectStub {
  return exports.Executor.getByName(`${run}/${slot}`);
}

/** The lines of a run's results. */
export async function resultLines(id: string, query = ""): Promise<string[]> {
  const response = await call(`/runs/${id}/results${query}`);
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("application/x-ndjson");
  const text = new TextDecoder().decode(await response.arrayBuffer());
  expect(text === "" || text.endsWith("\n")).toBe(true);
  return text.split("\n").slice(0, -1);
}
