import type { IndexPlace } from "../durable/index-entry.ts";

/** The index of runs, as the watchdog asks it. */
export interface WatchedIndex {
  overdue(beforeMs: number, limit: number): Promise<IndexPlace[]>;
  remove(id: string, createdMs: number): Promise<void>;
}

/** A run that wanted to be awake so long ago was lost by the platform, which gives an alarm up that failed six times. */
const OVERDUE_MS = 2 * 60 * 1000;
/** In one invocation: the rest is for the next. */
const MOST = 100;

/** Wakes the runs that are overdue. What the index has of a run that is gone is removed. */
export async function pokeOverdue(
  index: WatchedIndex,
  poke: (id: string) => Promise<boolean>,
  nowMs: number,
): Promise<void> {
  const overdue = await index.overdue(nowMs - OVERDUE_MS, MOST);
  await Promise.all(
    overdue.map(async ({ id, createdMs }) => {
      try {
        if (!(await poke(id))) await index.remove(id, createdMs);
      } catch (error) {
        console.error({ message: "An overdue run could not be woken", run: id, error: String(error) });
      }
    }),
  );
}
