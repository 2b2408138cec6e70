import type { RunSummary } from "../../http/api.ts";

// Which runs the list shows, and what becomes of it when some of them change.

const HOUR_MS = 3_600_000;
/** How far back the list may go, as the URL says it. */
export const PERIODS_MS: { [time: string]: number } = { "1h": HOUR_MS, "24h": 24 * HOUR_MS, "7d": 168 * HOUR_MS };

/** What the API filters by; `""` is all. */
export interface RunFilter {
  status: string;
  flow: string;
  trigger: string;
  /** Of the cron or the webhook. */
  name: string;
  /** One of PERIODS_MS. */
  time: string;
}

/** What the WebSocket of all runs tells. */
export interface RunNews {
  runs?: RunSummary[];
  removed?: string[];
}

export function readFilter(query: URLSearchParams): RunFilter {
  const of = (name: string) => query.get(name) ?? "";
  const time = of("time");
  return {
    ...{ status: of("status"), flow: of("flow"), trigger: of("trigger"), name: of("name") },
    time: Object.hasOwn(PERIODS_MS, time) ? time : "",
  };
}

/** The filter as the API takes it. */
export function queryOf({ time, ...rest }: RunFilter, nowMs: number) {
  const periodMs = PERIODS_MS[time];
  return { ...rest, from: periodMs === undefined ? "" : new Date(nowMs - periodMs).toISOString() };
}

function isWanted(run: RunSummary, filter: RunFilter, nowMs: number): boolean {
  const { status, flow, trigger, name, from } = queryOf(filter, nowMs);
  return (
    (status === "" || run.status === status) &&
    (flow === "" || run.flow === flow) &&
    (trigger === "" || run.trigger.type === trigger) &&
    (name === "" || run.trigger.name === name) &&
    (from === "" || run.createdAt >= from)
  );
}

/** The list after some runs have changed. `hasMore`: those older than its last are not loaded yet, and stay so. */
export function merge(
  rows: readonly RunSummary[],
  { runs = [], removed = [] }: RunNews,
  { filter, hasMore, nowMs }: { filter: RunFilter; hasMore: boolean; nowMs: number },
): RunSummary[] {
  const told = new Set([...removed, ...runs.map(({ id }) => id)]);
  const last = hasMore ? rows.at(-1) : undefined;
  const fresh = runs.filter((run) => isWanted(run, filter, nowMs) && (!last || newestFirst(run, last) <= 0));
  return [...rows.filter(({ id }) => !told.has(id)), ...fresh].sort(newestFirst);
}

function newestFirst(a: RunSummary, b: RunSummary): number {
  if (a.createdAt !== b.createdAt) return a.createdAt < b.createdAt ? 1 : -1;
  return a.id === b.id ? 0 : a.id < b.id ? 1 : -1;
}

/** Whether a text, in small letters, is in what somebody may look for in a run. */
export function hasText({ id, flow, trigger, error }: RunSummary, text: string): boolean {
  const said = [id, flow, trigger.name, error?.name, error?.message];
  return said.some((each) => each?.toLowerCase().includes(text));
}

export function isOpen({ status }: RunSummary): boolean {
  return status !== "completed" && status !== "failed" && status !== "canceled";
}

export function isRetriable({ status, items }: RunSummary): boolean {
  return status === "failed" || status === "canceled" || (status === "completed" && items.failed > 0);
}
