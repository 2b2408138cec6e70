import type { FlowEntry } from "../../src/cloudflare.ts";
import { Flow, Node, type NonIterableObject, ParallelBatchNode } from "../../src/index.ts";
import { stage } from "./stage.ts";

export interface Kept {
  count: number;
  /** The items that fail. */
  failing?: number[];
  /** The items that wait at the gate "go". */
  waiting?: number[];
  results?: unknown[];
}

interface Item {
  n: number;
  isFailing: boolean;
  isWaiting: boolean;
}

class Work extends ParallelBatchNode<Kept, NonIterableObject, Item, number> {
  prep({ count, failing = [], waiting = [] }: Kept) {
    return Array.from({ length: count }, (_, n) => ({
      n,
      isFailing: failing.includes(n),
      isWaiting: waiting.includes(n),
    }));
  }
  async exec({ n, isFailing, isWaiting }: Item) {
    stage().say(`start ${n}`);
    if (isWaiting) await stage().pass("go");
    if (isFailing && stage().count("healed") === 0) throw new Error(`item ${n} fails`);
    return 10 * n;
  }
  post(shared: Kept, _: unknown, results: unknown[]) {
    shared.results = results;
  }
}

class Last extends Node<Kept, NonIterableObject, number, number> {
  prep({ results = [] }: Kept) {
    return results.length;
  }
  async exec(count: number) {
    stage().say("last");
    return count;
  }
}

function work(collects: boolean): Flow {
  const work = new Work({ concurrency: 12, ...(collects ? { onItemError: "collect" } : {}) });
  work.next(new Last());
  return new Flow(work);
}

const SOON = "50ms";
const LATER = "12h";
const flow = () => work(false);

/** The same work, by what is kept of it and how long it may take. */
export const retainingFlows: { [name: string]: FlowEntry } = {
  "kept by default": { flow },
  "kept, collecting": { flow: () => work(true) },
  "kept for an hour, and twelve": { flow, retain: { completed: "1h", failed: LATER } },
  "forgotten soon": { flow, retain: { completed: SOON, failed: SOON } },
  "forgotten soon, collecting": { flow: () => work(true), retain: { completed: SOON, failed: SOON } },
  "forgotten once completed": { flow, retain: { completed: SOON } },
  "forgotten once failed": { flow, retain: { failed: SOON } },
  "in time": { flow, deadline: "1h" },
  "in no time": { flow, deadline: "300ms", retain: { failed: LATER } },
};
