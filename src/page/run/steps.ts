import { useEffect, useState } from "preact/hooks";
import type { Item, ItemList, Step, StepList } from "../../http/api.ts";
import { get, path, search } from "../api.ts";

const PAGE = 1_000;
export const MOST_STEPS = 5_000;
const MOST_ITEMS = 200;
const MOST_PAGES = 5;
/** For each page of steps. */
const PAUSE_MS = 3_000;

interface Found {
  steps: readonly Step[] | null;
  /** There are more than these. */
  isCut: boolean;
  problem: string | null;
}

/** The first steps of a run, read again while it goes on; `version` is another one when it goes on otherwise. */
export function useSteps(id: string, isLive: boolean, version: string): Found {
  const [found, setFound] = useState<Found>({ steps: null, isCut: false, problem: null });
  useEffect(() => {
    const end = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const read = async () => {
      const steps: Step[] = [];
      let cursor: string | null = null;
      try {
        do {
          const where = `${path("runs", id)}/steps${search({ limit: PAGE, cursor })}`;
          const page: StepList = await get<StepList>(where, end.signal);
          steps.push(...page.steps);
          cursor = page.cursor;
        } while (cursor !== null && steps.length < MOST_STEPS);
        setFound({ steps, isCut: cursor !== null, problem: null });
      } catch (error) {
        if (end.signal.aborted) return;
        setFound((before) => ({ ...before, problem: (error as Error).message }));
      }
      if (isLive) timer = setTimeout(read, PAUSE_MS * Math.max(1, steps.length / PAGE));
    };
    void read();
    return () => {
      clearTimeout(timer);
      end.abort();
    };
  }, [id, isLive, version]);
  return found;
}

/** The first items of a step. */
export async function itemsOf(id: string, { id: step, node }: Step): Promise<Item[]> {
  const items: Item[] = [];
  let cursor: string | null = null;
  // A node may have been come to often: its other steps' items come as well.
  for (let pages = 0; pages < MOST_PAGES && items.length < MOST_ITEMS; pages++) {
    const where = `${path("runs", id)}/items${search({ node, limit: MOST_ITEMS, cursor })}`;
    const page: ItemList = await get<ItemList>(where);
    items.push(...page.items.filter((item) => item.step === step));
    cursor = page.cursor;
    if (cursor === null) break;
  }
  return items.slice(0, MOST_ITEMS);
}
