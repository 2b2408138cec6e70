import type { JobState } from "./chunks.ts";
import type { Emit } from "./event-store.ts";
import type { Outcome } from "./outcome.ts";
import type { Entry } from "./slots.ts";

/** A call to come and pull: all that a queue message or an executor's alarm says. */
export interface Order {
  run: string;
  flow: string;
  /** The flow's, where it has one. */
  version?: string | null;
  slot: number;
  wake: number;
}

/** What the items of steps have in common. */
export interface StepBrief {
  steps: number[];
  node: string;
  /** What prep left on the node for exec, encoded. */
  fields: string | null;
}

export interface ClaimedItem {
  step: number;
  index: number;
  /** Attempts made so far. */
  attempts: number;
  /** How often a redrive made its attempts anew. */
  redrives: number;
  /** Whether a failure is followed by `execFallback`. */
  isLast: boolean;
  /** The item, encoded; of a chunk nothing. */
  item: string;
  chunk?: ClaimedChunk;
  /** Of an item with permits: what it costs when the vendor refuses the call for its rate limit. */
  refusalCosts?: "nothing" | "an attempt";
}

/** The items of one call. The claim is called by the first of all that were ever in the chunk. */
export interface ClaimedChunk {
  /** Names the run among those that had, or will have, its id: a vendor that looks a job up must not find another run's. */
  life: string;
  /** Up to before which item the chunk goes: its name, with the first. */
  end: number;
  /** How many have no result yet. */
  size: number;
  /** Those. */
  indexes: number[];
  /** They, encoded. Where only the vendor's job is asked for neither is told. */
  items: string[];
  job: JobState | null;
}

/** A run's answer to an executor. */
export interface Reply {
  fence: number;
  steps: StepBrief[];
  items: ClaimedItem[];
  /** Nothing more will be claimed under this fence: what is in exec may end, and then the executor is done. */
  isClosed: boolean;
  /** What is in exec is to be aborted: the run was canceled, or another executor has the slot. */
  isStopped: boolean;
  /** The slot was given up in the same commit: the executor is done. */
  isDone: boolean;
}

export interface Report {
  slot: number;
  fence: number;
  outcomes: Outcome[];
  /** Whether the executor takes more. */
  isClaiming: boolean;
  /** How many items have arrived under this fence: an answer that was lost on the way shows as a difference. */
  received: number;
  /** Calls with permits that have been in exec for a while, and how long: told once. */
  begun: { step: number; index: number; ageMs: number }[];
  /** What execs emitted since the last report. */
  emits: Pick<Emit, "step" | "index" | "data">[];
  /** Whether nothing is in exec. */
  isIdle: boolean;
}

/** The two calls an executor makes. Both are safe to repeat. */
export interface RunPort {
  /** Nothing is returned where the entry is refused. `fingerprint` is of the executor's flow, which must be the run's. */
  enter(entry: Entry, fingerprint: string): Promise<Reply | null>;
  report(report: Report): Promise<Reply>;
}

/** One report or claim carries about this much text, so that it passes through a call between objects (32 MiB). */
export const MESSAGE_TEXT = 3 * 1024 * 1024;
