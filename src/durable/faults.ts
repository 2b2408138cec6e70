import { type Failure, toFailure } from "../core/errors.ts";
import type { Fault, RunError } from "../core/run.ts";
import type { Registered } from "./registry.ts";
import type { StepRow } from "./step-store.ts";

// What ends or pauses a run, in words.

/** What of a failure is told of the run's. */
export function namesOf({ name, message, status }: Failure): Pick<RunError, "name" | "message" | "status"> {
  return status === undefined ? { name, message } : { name, message, status };
}

/** What a hook of a step has thrown. */
export function faultAt({ node, branch }: Pick<StepRow, "node" | "branch">, thrown: unknown): Fault {
  return { error: { ...namesOf(toFailure(thrown)), node, branch, index: null, attempts: null }, reason: "flow-failed" };
}

/** The object was lost so often while a hook of the step was under way that the hook must be what ends it. */
export function lostAt(step: StepRow, losses: number): Fault {
  const { phase, node } = step;
  const message =
    `The run's object was lost ${losses} times during ${phase} of ${node}: it probably needs more memory or CPU time ` +
    "than the platform gives. Move the work into exec, or split it.";
  return faultAt(step, new Error(message));
}

/** The run has not finished in time. */
export function deadlineExceeded(deadlineMs: number): Fault {
  const message = `Expected the run to finish within ${deadlineMs / 1000} s (deadline), and it did not`;
  const error = { name: "DeadlineExceededError", message, node: null, branch: null, index: null, attempts: null };
  return { error, reason: "deadline-exceeded" };
}

/** The flow has changed in what the run still has to do, or is gone. */
export function graphChanged(flow: string, { changes, isGone }: Pick<Registered, "changes" | "isGone">): RunError {
  const what = isGone
    ? changes.join()
    : `Flow \`${flow}\` has changed since the run began, in what the run still has to do: ${changes.join("; ")}`;
  const message = `${what}. The run is paused as it was; it goes on by itself when the flow is as it was.`;
  return { name: "GraphChanged", message, node: null, branch: null, index: null, attempts: null };
}
