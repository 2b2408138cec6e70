import { expect } from "vitest";
import type { ExecCall, World } from "./failing.ts";
import { look } from "./limited.ts";
import { call, finished, post, type Run, ran } from "./support.ts";

/** Asks for a redrive, and returns the run as it was taken up. */
export async function retry(id: string): Promise<Run> {
  const response = await post(`/runs/${id}/retry`);
  expect(response.status).toBe(202);
  return response.json();
}

/** The run once it has finished again. Its counts add up. */
export async function redriven(id: string): Promise<Run> {
  await retry(id);
  await finished(id);
  return look(id);
}

/** The same flow, where nothing ever failed, on the same stage. */
export async function unharmed(world: World, flow: string, input: object): Promise<Run> {
  world.mend();
  world.gated.clear();
  const run = await ran(flow, input);
  expect(run.completionReason).toBe("all-succeeded");
  return run;
}

export interface Item {
  node: string;
  branch: string;
  step: number;
  index: number;
  status: string;
  attempts: number;
  redrives: number;
}

export async function itemsOf(id: string, query = ""): Promise<Item[]> {
  const response = await call(`/runs/${id}/items?limit=1000${query}`);
  expect(response.status).toBe(200);
  return (await response.json<{ items: Item[] }>()).items;
}

/** How often each item of a node was executed, where that was not once. */
export function repeated(calls: readonly ExecCall[], node: string): { [n: number]: number } {
  const counts: { [n: number]: number } = {};
  for (const call of calls) if (call.node === node) counts[call.n] = (counts[call.n] ?? 0) + 1;
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count !== 1));
}

/** What `repeated` says if just these were executed twice. */
export function twice(...numbers: number[]): { [n: number]: number } {
  return Object.fromEntries(numbers.map((n) => [n, 2]));
}

/** The idempotency keys under which an item was executed, in order. */
export function keysOf(calls: readonly ExecCall[], node: string, n: number): string[] {
  return calls.filter((call) => call.node === node && call.n === n).map(({ key }) => key);
}
