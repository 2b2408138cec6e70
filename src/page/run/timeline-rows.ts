import type { Item, Step } from "../../http/api.ts";

/** A stretch of time in a row. */
export interface Stretch {
  kind: string;
  fromMs: number;
  toMs: number;
}

export interface TimelineRow {
  key: string;
  name: string;
  depth: number;
  stretches: Stretch[];
  /** Of a step; its items can be shown below it. */
  step?: Step;
  /** How often it was tried, where that was more than once. */
  tries?: number;
}

/** A row for each step, and below it one for each of its items that are to be shown. Until `nowMs` goes what has no end. */
export function rowsOf(
  steps: readonly Step[],
  shown: ReadonlyMap<number, readonly Item[]>,
  nowMs: number,
): TimelineRow[] {
  return steps.flatMap((step) => [
    stepRow(step, nowMs),
    ...(shown.get(step.id) ?? []).map((item) => itemRow(item, step, nowMs)),
  ]);
}

function stepRow(step: Step, nowMs: number): TimelineRow {
  const { id, node, branch, startedAt, finishedAt } = step;
  const depth = branch === "" ? 0 : branch.split("/").length;
  const stretches = startedAt === null ? [] : [stretch(kindOf(step), startedAt, finishedAt, nowMs)];
  return { key: String(id), name: branch === "" ? node : `${node} [${branch}]`, depth, stretches, step };
}

function kindOf({ phase, failed }: Step): string {
  if (failed > 0) return "failed";
  if (phase === "stopped") return "canceled";
  return phase === "done" ? "succeeded" : "running";
}

function itemRow(item: Item, step: Step, nowMs: number): TimelineRow {
  const { index, status, attempts, startedAt, finishedAt } = item;
  const stretches = [
    ...(step.startedAt === null ? [] : [stretch("queued", step.startedAt, startedAt ?? step.finishedAt, nowMs)]),
    ...(startedAt === null ? [] : [stretch(status, startedAt, finishedAt ?? step.finishedAt, nowMs)]),
  ];
  const tries = attempts > 1 ? { tries: attempts } : {};
  return {
    key: `${step.id}-${index}`,
    name: `item ${index}`,
    depth: step.branch.split("/").length + 1,
    stretches,
    ...tries,
  };
}

function stretch(kind: string, from: string, to: string | null, nowMs: number): Stretch {
  const fromMs = Date.parse(from);
  return { kind, fromMs, toMs: Math.max(fromMs, to === null ? nowMs : Date.parse(to)) };
}

const NICE = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000, 600_000];
const HOUR = 3_600_000;

/** How far apart the marks of an axis are, so that there is room for what they say. */
export function tickMs(pxPerMs: number, roomPx: number): number {
  const least = roomPx / pxPerMs;
  return NICE.find((ms) => ms >= least) ?? Math.ceil(least / HOUR) * HOUR;
}
