import { exports } from "cloudflare:workers";
import { expect } from "vitest";
import type { RunIndexObject } from "../../src/durable/run-index.ts";
import type { RunSummary } from "../../src/durable/view.ts";
import { woken } from "../durable/orders.ts";
import { call, type Run } from "../durable/support.ts";

export interface RunList {
  runs: RunSummary[];
  cursor: string | null;
}

/** How soon a list must show a run that was started. */
export const SOON = { timeout: 2_000, interval: 20 };
/** How soon it shows what else has happened, on a machine that does a lot at once: sooner than an alarm comes back to it. */
export const LATER = { timeout: 3_500, interval: 20 };

export async function list(query: { [parameter: string]: string | number } = {}): Promise<RunList> {
  const parameters = Object.entries(query).map(([name, value]) => [name, String(value)]);
  const response = await call(`/runs?${new URLSearchParams(parameters)}`);
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("application/json");
  return response.json();
}

/** The ids on the first page of a list. */
export async function idsIn(query: { [parameter: string]: string | number } = {}): Promise<string[]> {
  return (await list(query)).runs.map(({ id }) => id);
}

/** All pages of a list, one after the other. */
export async function pagesOf(
  query: { [parameter: string]: string | number },
  between: () => Promise<unknown> = async () => undefined,
): Promise<RunSummary[][]> {
  const pages: RunSummary[][] = [];
  for (let cursor: string | null = ""; cursor !== null; ) {
    if (pages.length > 100) throw new Error("The pages do not end");
    const page: RunList = await list(cursor === "" ? query : { ...query, cursor });
    pages.push(page.runs);
    cursor = page.cursor;
    if (cursor !== null) await between();
  }
  return pages;
}

/** A run as the list has it; nothing where it has none. */
export async function rowOf({ id, flow }: Pick<Run, "id" | "flow">): Promise<RunSummary | undefined> {
  const pages = await pagesOf({ flow, limit: 1000 });
  return pages.flat().find((row) => row.id === id);
}

/** What a list shows of a run: no output, and nothing that grows. */
export function summaryOf(run: Run): RunSummary {
  const {
    output: _,
    tokens: _t,
    warnings: _w,
    redrives: _r,
    waitsFor: _f,
    signals: _s,
    callback: _c,
    ...summary
  } = run;
  return summary;
}

/** The list of runs itself. */
export function theIndex(): DurableObjectStub<RunIndexObject> {
  const { RunIndex } = exports as unknown as { RunIndex: DurableObjectNamespace<RunIndexObject> };
  return RunIndex.getByName("runs");
}

/** Nothing is started, and no run's object even woken, by what `act` does. */
export async function expectNothingStarted<T>(act: () => Promise<T>): Promise<T> {
  const listed = async () => (await pagesOf({ limit: 1000 })).flat().map(({ id }) => id);
  const [before, wokenBefore] = [await listed(), woken.length];
  const acted = await act();
  expect(woken.slice(wokenBefore)).toEqual([]);
  expect(await listed()).toEqual(before);
  return acted;
}
