import type { LimitUse } from "../core/options.ts";
import type { RetryPolicy } from "../core/retry.ts";
import type { Tolerance } from "../core/tolerance.ts";
import type { Home } from "./store.ts";

/** How a node's items are to be executed. */
export interface Plan {
  home: Exclude<Home, "inline">;
  /** Most items in exec at once, over all open steps of the node. */
  concurrency: number;
  perExecutor: number;
  /** The items of one step come one after the other, each only when the one before has succeeded. */
  isSequential: boolean;
  policy: RetryPolicy;
  /** How many items one call takes at most; nothing where each call takes one. */
  batchSize: number | null;
  /** Whether the items are given to a vendor's batch API. */
  hasJobs: boolean;
  /** Whether a call that has failed for good is made again in two halves. */
  isSplit: boolean;
  /** How many items of a step may fail; `null` where the first that does is the step's own failure. */
  tolerance: Tolerance | null;
  /** What each call needs a permit of. */
  limits: readonly LimitUse[];
}
