import type { Run, RunOutline } from "../http/api.ts";
import { type Api, path } from "./client.ts";
import { Interrupted } from "./errors.ts";
import { follow } from "./follow.ts";
import { Progress } from "./progress.ts";
import { paint, print, styleOf } from "./terminal.ts";
import { clean } from "./text.ts";
import { between, count, number } from "./words.ts";

/** Shows a run until it has ended, and what has come of it. Gives the exit code. */
export async function watch(api: Api, id: string, isJson: boolean, waitMs?: number): Promise<number> {
  const run = await shown(api, id, waitMs);
  await print(isJson ? JSON.stringify(run) : endOf(run));
  return run.status === "completed" ? 0 : 1;
}

/** A timer that is set for longer ends at once. */
const LONGEST_WAIT_MS = 2 ** 31 - 1;

/** The run at its end, or as it is once the time to wait is over. */
async function shown(api: Api, id: string, waitMs: number | undefined): Promise<Run> {
  const [stop, timeUp] = [new AbortController(), new AbortController()];
  const timer = waitMs === undefined ? undefined : setTimeout(() => timeUp.abort(), Math.min(waitMs, LONGEST_WAIT_MS));
  const interrupt = () => stop.abort();
  process.once("SIGINT", interrupt);
  const progress = new Progress();
  try {
    return await follow(api, id, progress, AbortSignal.any([stop.signal, timeUp.signal]));
  } catch (error) {
    if (stop.signal.aborted) throw new Interrupted(`The run goes on. Watch it: ${api.command(`status ${id} --watch`)}`);
    if (!timeUp.signal.aborted) throw error;
    return await api.get<Run>(path("runs", id));
  } finally {
    progress.end();
    clearTimeout(timer);
    process.removeListener("SIGINT", interrupt);
  }
}

const LONGEST_MESSAGE = 1_000;

/** One line: how a run has ended, or how it is. */
function endOf(run: Run): string {
  const { id, status, items, startedAt, finishedAt } = run;
  const failed = items.failed > 0 ? `, ${number(items.failed)} failed` : "";
  const head = `${clean(id)} ${paint(styleOf(status), clean(status))} ${finishedAt === null ? "for" : "in"} ${between(startedAt, finishedAt)}`;
  return [
    `${head}: ${number(items.succeeded)} of ${count(items.total, "item")} succeeded${failed}`,
    ...errorOf(run),
  ].join(". ");
}

/** What a run has failed of, and where, as one line; nothing where it has not. */
export function errorOf({ error }: RunOutline): string[] {
  if (!error) return [];
  const place = [
    error.node,
    error.branch ? `branch ${error.branch}` : null,
    error.index === null ? null : `item ${error.index}`,
  ];
  const where = place.filter((part) => part !== null).join(", ");
  const message =
    error.message.length > LONGEST_MESSAGE ? `${error.message.slice(0, LONGEST_MESSAGE)}…` : error.message;
  return [clean(`${error.name}${where ? ` at ${where}` : ""}: ${message}`)];
}
