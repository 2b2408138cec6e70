import type { IndexEntry } from "./index-entry.ts";
import { restOf } from "./rest.ts";
import type { Running } from "./running.ts";
import type { Store } from "./store.ts";
import { outline, outputOf, summarize } from "./view.ts";

// What others are told of a run.

/** Of an error, as a list of runs shows it. */
const LONGEST_MESSAGE = 1_000;
/** An output of at most so many characters is sent to the run's callback. */
const LONGEST_OUTPUT = 1_000_000;

/** What the index is told. `wakeMs`: when the run wants to be awake. */
export function entryOf(running: Running, store: Store, wakeMs: number | null, nowMs: number): IndexEntry {
  const { walk } = running;
  const { error, ...summary } = summarize(walk, restOf(running), nowMs);
  const short = error && { ...error, message: error.message.slice(0, LONGEST_MESSAGE) };
  return {
    ...{ id: summary.id, flow: summary.flow, status: summary.status, trigger: summary.trigger },
    createdMs: walk.row.createdMs,
    revision: store.revision,
    wakeMs,
    body: JSON.stringify({ ...summary, error: short }),
  };
}

/** What the run's callback is told, as a Standard Webhooks payload. An output that is long is left for the receiver to fetch. */
export function messageOf(running: Running, store: Store, type: string, nowMs: number): string {
  const { walk } = running;
  const { callback: _, ...run } = outline(walk, store, restOf(running), nowMs);
  const output = outputOf(walk, store) ?? "null";
  const isOutputLeftOut = output.length > LONGEST_OUTPUT;
  const text = JSON.stringify({ type, timestamp: run.finishedAt, data: { ...run, isOutputLeftOut } });
  // The output is JSON text already, so it is put in as it is.
  return `${text.slice(0, -"}}".length)},"output":${isOutputLeftOut ? "null" : output}}}`;
}
