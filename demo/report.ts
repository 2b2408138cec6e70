import type { Run } from "./run.ts";

/** What the demo knew when it killed the server, and was told right after the restart. */
export interface Kill {
  /** Items that the run had said were done, before and after. */
  done: number;
  stillDone: number;
  /** Items claimed and not yet committed, by the run's last word; or calls at the vendor, where that counted more. */
  inFlight: number;
  /** The most calls that were ever at the vendor at once. */
  peak: number;
  downMs: number;
}

export interface Outcome {
  run: Run;
  kill: Kill;
  wallMs: number;
  latencyMs: number;
  /** Calls that came to the vendor a second time, by its own count. */
  repeats: number;
}

/** The demo's last words. */
export function report({ run, kill, wallMs, latencyMs, repeats }: Outcome): string {
  return `
Status         ${run.status}
Items          ${run.items.total}
Executions     ${run.executions}
Re-executions  ${reExecutions(run)}, and ${kill.inFlight} were in flight just before the kill; the vendor got ${repeats} calls again
Executors      ${run.executors} ran exec
Wall time      ${seconds(wallMs)}, ${seconds(kill.downMs)} of it down; one call after the other: ${seconds(run.items.total * latencyMs)}

${firstLines(run.output?.summary ?? "")}`;
}

/** What the demo promises and this one did not keep. */
export function findFaults({ run, kill }: Outcome): string[] {
  const again = reExecutions(run);
  // What was in flight at the very moment is known to nobody, but it is never more than at other times.
  const most = Math.max(kill.inFlight, kill.peak);
  const promises: [kept: boolean, broken: string][] = [
    [
      run.status === "completed",
      `Expected the run to complete, got ${run.status}: ${run.error?.message ?? "no error"}`,
    ],
    [again >= 0 && again <= most, `Expected 0 to ${most} re-executions, got ${again}`],
    [run.executors > 1, `Expected more than one executor, got ${run.executors}`],
    [kill.stillDone >= kill.done, `Expected ${kill.done} items still done after the restart, got ${kill.stillDone}`],
  ];
  return promises.flatMap(([kept, broken]) => (kept ? [] : [broken]));
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

/** Calls of exec that the kill made necessary a second time: no call fails in this demo. */
function reExecutions(run: Run): number {
  return run.executions - run.items.total;
}

function firstLines(summary: string): string {
  const paragraphs = summary.split("\n\n").slice(0, 2);
  return paragraphs.map((words) => (words.length > 300 ? `${words.slice(0, 300)}…` : words)).join("\n\n");
}
