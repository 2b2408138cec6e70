import type { Failure } from "../core/errors.ts";
import type { ChunkRow } from "./chunk-store.ts";
import type { JobState } from "./chunks.ts";
import type { ItemRow } from "./item-store.ts";

// What executors bring, and what is made of it.

/** What came of one item of a chunk: its result, encoded, or its failure, final where that says so. */
export type Part = readonly [index: number, result: string | Failure];

interface Told {
  step: number;
  index: number;
  attempts: number;
  /** Of a chunk: up to before which item it went. One that was split since is another. */
  end?: number;
  fields?: string;
  tokens?: number;
}
export type Result = Told & { ok: true; body: string };
/** Of a chunk, by its first item: what came of its items. The call goes on where there is more to follow. */
export type Parts = Told & { ok: true; parts: readonly Part[]; isMore?: true };
/** Of a chunk, by its first item: how the vendor's job stands, and when to ask for it next. */
export type Parked = Told & { ok: true; job: JobState; waitMs: number };
// `isAttempt` is said where it is not: the vendor refused the call for its rate limit, or the call never began.
// `isLate` is said where the run has finished: then it is an attempt that changes nothing.
export type Failed = Told & { ok: false; failure: Failure; isAttempt?: false; isLate?: true };

/** What came of one call of exec: its result or its failure, and the fields it set on the node where that is allowed. */
export type Outcome = Result | Parts | Parked | Failed;

/** What is to be saved. */
export interface Rows {
  items: ItemRow[];
  chunks: ChunkRow[];
}
