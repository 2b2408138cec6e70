import type { ClaimedItem } from "./protocol.ts";

// Idempotency keys: the same for one attempt however often it is repeated, and for no other.

type Attempted = Pick<ClaimedItem, "step" | "index" | "attempts" | "redrives"> & {
  chunk?: { end: number; size: number; life: string } | undefined;
};

/** The key of one call of exec. */
export function keyOfCall(run: string, { step, index, attempts, redrives, chunk }: Attempted): string {
  const owner = chunk ? `${run}.${chunk.life}` : run;
  const place = chunk ? placeOf(index, chunk) : index;
  // What a redrive repeats is another attempt, though its count begins anew.
  return `${owner}/${step}/${place}/${redrives > 0 ? `r${redrives}/` : ""}${attempts + 1}`;
}

/** With fewer items than there once were in the chunk it is another call. */
function placeOf(first: number, { end, size }: { end: number; size: number }): string {
  return `${first}-${end - 1}${size < end - first ? `(${size})` : ""}`;
}

/** Tells a run from one that had its id before, and was deleted. */
export function lifeOf({ createdMs }: { createdMs: number }): string {
  return createdMs.toString(36);
}
