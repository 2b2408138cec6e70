import type { FlowEntry } from "../../src/cloudflare.ts";
import { Flow, Node, type NodeOptions, type NonIterableObject, ParallelBatchNode } from "../../src/index.ts";
import { stage } from "./stage.ts";

export interface Kept {
  count: number;
  /** The items that fail. */
  failing?: number[];
  /** The items that fail at the gate "late", and not before. */
  late?: number[];
  /** The items that wait at the gate "go". */
  waiting?: number[];
  results?: unknown[];
}

interface Item {
  n: number;
  isFailing: boolean;
  isLate: boolean;
  isWaiting: boolean;
}

class Work extends ParallelBatchNode<Kept, NonIterableObject, Item, number> {
  prep({ count, failing = [], late = [], waiting = [] }: Kept) {
    return Array.from({ length: count }, (_, n) => ({
      n,
      isFailing: failing.includes(n),
      isLate: late.includes(n),
      isWaiting: waiting.includes(n),
    }));
  }
  async exec({ n, isFailing, isLate, isWaiting }: Item) {
    stage().say(`start ${n}`);
    if (isWaiting) await stage().pass("go");
    if (isLate) await stage().pass("late");
    if (isFailing) await heal(n);
    return 10 * n;
  }
  post(shared: Kept, _: unknown, results: unknown[]) {
    shared.results = results;
  }
}

/** Items fail until the test says that they are healed; then they wait. */
async function heal(n: number): Promise<void> {
  if (stage().count("healed") === 0) throw new Error(`item ${n} fails`);
  await stage().pass("heal");
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

function work(collects: boolean, more: NodeOptions = {}): Flow {
  const work = new Work({ concurrency: 12, ...(collects ? { onItemError: "collect" } : {}), ...more });
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
  "kept, tolerating one": { flow: () => work(false, { tolerate: { count: 1 } }) },
  "kept for an hour, and twelve": { flow, retain: { completed: "1h", failed: LATER } },
  "forgotten soon": { flow, retain: { completed: SOON, failed: SOON } },
  "forgotten soon, collecting": { flow: () => work(true), retain: { completed: SOON, failed: SOON } },
  "forgotten once completed": { flow, retain: { completed: SOON } },
  "forgotten once failed": { flow, retain: { failed: "300ms" } },
  "in time": { flow, deadline: "1h" },
  "in no time": { flow, deadline: "300ms", retain: { failed: LATER } },
};
