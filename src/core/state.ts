import type { Action } from "./node.ts";

export type RunStatus = "queued" | "running" | "paused" | "completed" | "failed" | "canceled";

/**
 * Why a run has finished. Completed: no item failed, or no more than was tolerated. Failed: an item, too many items, a hook or the
 * flow itself, or the time was up.
 */
export type CompletionReason =
  | "all-succeeded"
  | "failures-tolerated"
  | "item-failed"
  | "tolerance-exceeded"
  | "flow-failed"
  | "deadline-exceeded"
  | "canceled";

/** Why a run failed or is paused, and where. */
export interface RunError {
  name: string;
  message: string;
  /** The HTTP status that the error had, if it had one. */
  status?: number;
  node: string | null;
  branch: string | null;
  index: number | null;
  attempts: number | null;
}

/** What ends a run, or a branch, other than as it should. */
export interface Fault {
  error: RunError;
  reason: CompletionReason;
}

export interface RunState {
  status: RunStatus;
  /** The number of the latest step; steps are numbered from 1 in the order in which they begin. */
  lastStep: number;
  /** The last action of the main walk, once it ended. */
  action: Action | null;
  error: RunError | null;
  /** Ends of walks that no node declared, a sentence each. */
  warnings: string[];
  startedMs: number | null;
  finishedMs: number | null;
  completionReason: CompletionReason | null;
  /** Somebody asked for a pause: the run is paused until somebody asks for it to go on, whatever else it is paused for. */
  isPauseAsked: boolean;
  /** The latest redrives, and how many there were. */
  redrives: Redrive[];
  redriveCount: number;
}

/** A finished run was taken up again. */
export interface Redrive {
  atMs: number;
  /** What it was before. */
  status: RunStatus;
  completionReason: CompletionReason | null;
  /** How many items had failed that are executed again. */
  failed: number;
}

/**
 * Where a step stands. A flow is a step too: its exec phase is the walk through its nodes, or its branches. A step is stopped
 * where its branch has failed, and the batch flow collects failures.
 */
export type Phase = "prep" | "exec" | "post" | "done" | "stopped";

/** One visit of a node by a branch. */
export interface Step {
  id: number;
  /** `""` is the main walk, `"3"` the fourth branch of a batch flow on it, `"3/1"` the second of one within that. */
  branch: string;
  node: string;
  /** The step of the flow this step is a part of. */
  parent: number | null;
  phase: Phase;
  /** The last action of a flow's walk: what its post gets. */
  lastAction: Action | null;
  /** How many nodes its walk has visited, this one included. */
  visit: number;
  /** What hooks of its walk have made of the params, as text; nothing where they are as the flow gave them. */
  params: string | null;
  /** Of a flow: the step whose results its walk ended with. */
  end: number | null;
  /** Of a batch flow: how many branches it has in all, how many of them have begun, and how many have ended. */
  branches: number;
  begun: number;
  ended: number;
  /** Of a batch flow that collects failures: how many of the branches that ended have failed. */
  failedBranches: number;
  /** Of a batch flow: the branches that had failed before a redrive, and have not gone on yet, in order. */
  waiting: readonly number[];
  /** Of a stopped step: where it stood. */
  stoppedIn: Exclude<Phase, "done" | "stopped"> | null;
  /** What the post of a stopped step returned that ended only later; `""` stands for nothing. It is not run again. */
  lateAction: Action | null;
}

/** How a branch of a batch flow ended. */
export interface EndedBranch {
  /** The batch flow's. */
  step: number;
  index: number;
  /** Nothing where the last post returned nothing. */
  action: Action | null;
  /** The step whose results it ended with; nothing where that was a batch flow. */
  end: number | null;
  /** Where it failed; nothing where it did not. */
  error: RunError | null;
}

/** What happens to one step. */
export type StepEvent =
  /** `size` is the number of items, or of a batch flow's branches. */
  | { type: "prepared"; step: number; size: number }
  | { type: "branched"; step: number }
  | { type: "executed"; step: number }
  /** `hasFailures` is asked of the last hook alone: whether any item of the run has failed. */
  | { type: "posted"; step: number; action: Action | null; hasFailures?: boolean }
  /** A step has failed, and with it its branch, and with that its run; unless a batch flow in between collects failures. */
  | ({ type: "failed"; step: number } & Fault);

export type Event =
  | StepEvent
  | { type: "started" }
  | ({ type: "broke" } & Fault)
  | { type: "paused" }
  | { type: "resumed" }
  | { type: "canceled" }
  | { type: "graph-changed"; error: RunError }
  | { type: "graph-restored" };

/** What is to be done once the transition is decided. Each is safe to repeat. */
export type Effect =
  | { type: "hook"; hook: "prep" | "post"; step: number }
  /** Begin as many branches as may be under way. */
  | { type: "branch"; step: number };

export interface Transition {
  run: RunState;
  /** The steps that changed or began. */
  steps: Step[];
  ends: EndedBranch[];
  effects: Effect[];
}

export const NEW_RUN: RunState = {
  status: "queued",
  lastStep: 0,
  action: null,
  error: null,
  warnings: [],
  startedMs: null,
  finishedMs: null,
  completionReason: null,
  isPauseAsked: false,
  redrives: [],
  redriveCount: 0,
};

export function isFinished(status: RunStatus): boolean {
  return status === "completed" || status === "failed" || status === "canceled";
}

export function isOpen({ phase }: Pick<Step, "phase">): boolean {
  return phase !== "done" && phase !== "stopped";
}

/** Which branch of its batch flow a step is on. */
export function indexOf({ branch }: Pick<Step, "branch">): number {
  return Number(branch.slice(branch.lastIndexOf("/") + 1));
}

/** Where a step of a run is found, all that are under way, and those within a step that were stopped and may go on. */
export interface Steps {
  of(id: number): Step | undefined;
  open(): Iterable<Step>;
  stoppedIn(step: number): Iterable<Step>;
}
