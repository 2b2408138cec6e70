import { expect } from "vitest";
import type * as api from "../../src/http/api.ts";
import { call, getRun } from "../durable/support.ts";

// What whoever looks at a run can read of it, beside the run itself.

export const COUNTS = ["total", "pending", "running", "deferred", "succeeded", "failed", "canceled"] as const;

export async function read<T>(path: string): Promise<T> {
  const response = await call(path);
  expect([path, response.status]).toEqual([path, 200]);
  expect(response.headers.get("content-type")).toBe("application/json");
  return response.json();
}

export async function nodesOf(id: string): Promise<api.NodeProgress[]> {
  return (await read<api.NodeList>(`/runs/${id}/nodes`)).nodes;
}

export async function gridOf(id: string, node: string): Promise<api.Grid["steps"]> {
  const grid = await read<api.Grid>(`/runs/${id}/grid?node=${encodeURIComponent(node)}`);
  expect(grid.node).toBe(node);
  return grid.steps;
}

/** All pages that there are under a path, so many of its things each. */
export async function pagesOf<T>(path: string, part: string, limit: number): Promise<T[][]> {
  const pages: T[][] = [];
  for (let cursor: string | null = ""; cursor !== null; ) {
    if (pages.length > 1_000) throw new Error("The pages do not end");
    const query = `limit=${limit}${cursor === "" ? "" : `&cursor=${cursor}`}`;
    const page: { [part: string]: T[] } = await read(`${path}${path.includes("?") ? "&" : "?"}${query}`);
    pages.push(page[part] as T[]);
    cursor = page["cursor"] as unknown as string | null;
  }
  return pages;
}

export async function stepsOf(id: string, limit = 1_000): Promise<api.Step[]> {
  return (await pagesOf<api.Step>(`/runs/${id}/steps`, "steps", limit)).flat();
}

export async function itemsIn(id: string, query: { [name: string]: string } = {}, limit = 1_000): Promise<api.Item[]> {
  return (await pagesOf<api.Item>(`/runs/${id}/items?${new URLSearchParams(query)}`, "items", limit)).flat();
}

export function itemOf(id: string, step: number, index: number): Promise<api.ItemDetail> {
  return read(`/runs/${id}/items/${step}/${index}`);
}

export async function errorsOf(id: string): Promise<api.ErrorGroup[]> {
  return (await read<api.ErrorList>(`/runs/${id}/errors`)).errors;
}

/** The step in which a run came to a node first. */
export async function stepOf(id: string, node: string): Promise<number> {
  const found = (await stepsOf(id)).find((step) => step.node === node);
  if (!found) throw new Error(`The run has not come to ${node}`);
  return found.id;
}

/** All that can be read of a run says the same of its items. It must be at rest meanwhile, or have ended. */
export async function expectAgreement(id: string): Promise<void> {
  const [run, nodes, steps, items] = [await getRun(id), await nodesOf(id), await stepsOf(id), await itemsIn(id)];
  expect(sumOf(nodes.map((node) => node.items))).toEqual(run.items);
  expect(countsOf(items)).toEqual(run.items);
  expect(nodes.map(({ node }) => node).sort()).toEqual([...new Set(steps.map(({ node }) => node))].sort());
  for (const { node, ...progress } of nodes) {
    const own = steps.filter((step) => step.node === node);
    const ownItems = items.filter((item) => item.node === node);
    expect([node, progress.items]).toEqual([node, countsOf(ownItems)]);
    expect([node, progress.steps]).toEqual([node, own.length]);
    const open = run.finishedAt === null ? own.filter(({ phase }) => !isOver(phase)).length : 0;
    expect([node, progress.open]).toEqual([node, open]);
    expect([node, await gridOf(id, node)]).toEqual([node, lettersOf(ownItems)]);
  }
  expectSteps(steps);
}

function isOver(phase: api.Step["phase"]): boolean {
  return phase === "done" || phase === "stopped";
}

function expectSteps(steps: readonly api.Step[]): void {
  expect(steps.map((step) => step.id)).toEqual([...new Set(steps.map((step) => step.id))].sort((a, b) => a - b));
  for (const { id, phase, startedAt, finishedAt, total, succeeded, failed } of steps) {
    expect([id, startedAt === null]).toEqual([id, false]);
    // One that was stopped may have to go on.
    if (phase !== "stopped") expect([id, phase, finishedAt !== null]).toEqual([id, phase, isOver(phase)]);
    if (finishedAt !== null) expect(Date.parse(finishedAt)).toBeGreaterThanOrEqual(Date.parse(startedAt as string));
    expect(succeeded + failed).toBeLessThanOrEqual(total);
  }
}

export function sumOf(counts: readonly api.ItemCounts[]): api.ItemCounts {
  const sums = COUNTS.map((key) => [key, counts.reduce((sum, each) => sum + each[key], 0)]);
  return Object.fromEntries(sums) as api.ItemCounts;
}

function countsOf(items: readonly api.Item[]): api.ItemCounts {
  const counts = COUNTS.map((key) => [key, items.filter(({ status }) => key === "total" || status === key).length]);
  return Object.fromEntries(counts) as api.ItemCounts;
}

/** Items as a grid shows them. */
function lettersOf(items: readonly api.Item[]): api.Grid["steps"] {
  const bySteps = Map.groupBy(items, ({ step }) => step);
  return Array.from(bySteps, ([step, own]) => [step, own.map(({ status }) => status.charAt(0)).join("")]);
}
