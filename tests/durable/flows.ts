import {
  BatchNode,
  type ExecContext,
  Flow,
  Node,
  type NodeOptions,
  type NonIterableObject,
  ParallelBatchNode,
} from "../../src/index.ts";
import { stage } from "./stage.ts";

/** What one item is to do: wait at a gate, and fail so often before it succeeds. */
export interface Task {
  n: number;
  gate?: string;
  /** How long to wait there at most. */
  patienceMs?: number;
  failures?: number;
}

export interface Work {
  tasks: Task[];
  results?: number[];
  posts?: number;
}

/** So many tasks, numbered from 0. */
export function tasks(count: number, more: Omit<Task, "n"> = {}): Task[] {
  return Array.from({ length: count }, (_, n) => ({ n, ...more }));
}

/** What their results are. */
export function resultsOf(count: number): number[] {
  return Array.from({ length: count }, (_, n) => 10 * n);
}

async function work({ n, gate, patienceMs, failures = 0 }: Task, { attempt, signal }: ExecContext): Promise<number> {
  stage().say("start");
  stage().say(`start ${n}`);
  signal.addEventListener("abort", () => stage().say(`abort ${n}: ${signal.reason.name}`));
  if (gate !== undefined) await stage().pass(gate, patienceMs);
  stage().say("end");
  stage().say(`end ${n}`);
  if (attempt <= failures) throw new Error(`task ${n} failed at attempt ${attempt}`);
  return 10 * n;
}

function finish(shared: Work, results: number[]): void {
  stage().say("post");
  shared.results = results;
  shared.posts = (shared.posts ?? 0) + 1;
}

class AtOnce extends ParallelBatchNode<Work, NonIterableObject, Task, number> {
  prep(shared: Work) {
    return shared.tasks;
  }
  exec(task: Task, context: ExecContext) {
    return work(task, context);
  }
  post(shared: Work, _: Task[], results: number[]) {
    finish(shared, results);
  }
}

class InOrder extends BatchNode<Work, NonIterableObject, Task, number> {
  prep(shared: Work) {
    return shared.tasks;
  }
  exec(task: Task, context: ExecContext) {
    return work(task, context);
  }
  post(shared: Work, _: Task[], results: number[]) {
    finish(shared, results);
  }
}

class Single extends Node<Work, NonIterableObject, Task, number> {
  prep(shared: Work) {
    return shared.tasks[0] as Task;
  }
  exec(task: Task, context: ExecContext) {
    return work(task, context);
  }
  post(shared: Work, _: Task, result: number) {
    finish(shared, [result]);
  }
}

/** Results of half a million characters each, 12 million in all. */
class Heavy extends ParallelBatchNode<{ count: number }, NonIterableObject, number, string> {
  prep({ count }: { count: number }) {
    return Array.from({ length: count }, (_, index) => index);
  }
  exec(index: number) {
    return "x".repeat(500_000 + index);
  }
}

const atOnce = (options: NodeOptions = {}) => new Flow(new AtOnce(options));
const HAND_QUEUE = { executor: "queue" } as const;

/**
 * The same work, executed in every way. Where a name begins with "by hand" nobody answers the run's calls: the test is its
 * executor.
 */
export const workFlows = {
  work: () => atOnce(),
  narrow: () => atOnce({ concurrency: 2 }),
  "few to an executor": () => atOnce({ concurrency: 6, perExecutor: 2 }),
  retried: () => atOnce({ maxRetries: 3 }),
  "retried later": () => atOnce({ maxRetries: 3, wait: 3600 }),
  "in order": () => new Flow(new InOrder()),
  "in order, retried": () => new Flow(new InOrder({ maxRetries: 3, wait: 0.02 })),
  single: () => new Flow(new Single()),
  "single, retried later": () => new Flow(new Single({ maxRetries: 3, wait: 3600 })),
  "by queue": () => atOnce({ executor: "queue" }),
  "single by queue": () => new Flow(new Single({ executor: "queue" })),
  stages: () => {
    const first = new AtOnce({ concurrency: 8, maxRetries: 3, name: "First" });
    first.next(new InOrder({ maxRetries: 3, name: "Second" })).next(new Single({ name: "Third" }));
    return new Flow(first);
  },
  heavy: () => new Flow(new Heavy()),
  "with an output": {
    flow: () => atOnce(),
    output: (shared: unknown) => ({ sum: (shared as Work).results?.reduce((sum, result) => sum + result) }),
  },
  "with a bad output": {
    flow: () => atOnce(),
    output: () => {
      throw new Error("no sum");
    },
  },
  "by hand": () => atOnce({ maxRetries: 3, wait: 60, perExecutor: 4, concurrency: 8 }),
  "by hand, at once": () => atOnce({ maxRetries: 3 }),
  "by hand, few": () => atOnce({ maxRetries: 3, wait: 3, perExecutor: 2, concurrency: 5 }),
  "by hand, in order": () => new Flow(new InOrder()),
  "by hand, queue": () => atOnce({ ...HAND_QUEUE, perExecutor: 4, concurrency: 8 }),
};

/** What the next deploy makes of the flow `changing`. */
export const deployed = { version: "first" };

export const changingFlows = {
  changing: () => {
    if (deployed.version === "broken") throw new Error("no such module");
    if (deployed.version === "without the batch") return new Flow(new Single());
    const first = new AtOnce({ maxRetries: 3 });
    const last = first.next(new Single());
    if (deployed.version === "longer") last.next(new Single({ name: "More" }));
    return new Flow(first);
  },
};
