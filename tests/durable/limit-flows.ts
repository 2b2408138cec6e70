import type { LimitOptions } from "../../src/cloudflare.ts";
import {
  type ExecContext,
  Flow,
  type LimitUse,
  type NonIterableObject,
  ParallelBatchNode,
  RateLimitedError,
} from "../../src/index.ts";
import { stage } from "./stage.ts";

/** What one call is to do: wait at a gate, use so many tokens, be refused by its vendor. */
export interface Job {
  gate?: string;
  tenant?: string;
  /** The tokens it used, where it says so. */
  used?: number;
  refusedForMs?: number;
}

class Metered extends ParallelBatchNode<{ jobs: Job[] }, NonIterableObject, Job> {
  prep({ jobs }: { jobs: Job[] }) {
    return jobs;
  }
  async exec({ gate, used, refusedForMs }: Job, context: ExecContext) {
    stage().say("start");
    if (gate !== undefined) await stage().pass(gate);
    if (used !== undefined) context.settle(used);
    if (refusedForMs !== undefined) throw new RateLimitedError({ retryAfterMs: refusedForMs });
  }
}

const metered = (name: string, use: Omit<LimitUse, "name"> = {}) => new Flow(new Metered({ limit: { name, ...use } }));

/** Flows whose calls are counted by a limit. */
export const meteredFlows = {
  metered: () => metered("metered", { tokens: () => 100 }),
  cooling: () => metered("cooling"),
  "by tenant": () => metered("tenants", { key: ({ tenant = "" }: Job) => tenant }),
};

const PLAIN: LimitOptions = { requests: 500, tokens: 200_000, per: "1m", concurrency: 50 };

export const meteredLimits = {
  // Called by tests directly.
  window: { requests: 6, tokens: 1000, per: "10s", concurrency: 4, transitMs: 500 },
  places: { concurrency: 4, per: "10s" },
  bucket: { requests: 10, per: "10s", algorithm: "token-bucket", burst: 4 },
  roomy: { requests: 10_000, tokens: 10_000_000, per: "10s" },
  // Of which nothing leaves the window while a test looks.
  metered: { requests: 20, tokens: 10_000, per: "1d", concurrency: 3 },
  cooling: { requests: 20, per: "1d", concurrency: 1 },
  tenants: { requests: 20, per: "1d" },
  // Looked at and changed over HTTP, one by each test.
  "http-bare": {},
  ...Object.fromEntries(
    ["unused", "all", "one", "both", "merged", "new", "reset", "kept", "refused", "killed", "crossed"].map((name) => [
      `http-${name}`,
      PLAIN,
    ]),
  ),
} satisfies { [name: string]: LimitOptions };
