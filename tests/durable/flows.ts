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

async function work({ n, gate, failures = 0 }: Task, { attempt, signal }: ExecContext): Promise<number> {
  stage().say("start");
  stage().say(`start ${n}`);
  signal.addEventListener("abort", () => stage().say(`abort ${n}: ${signal.reason.name}`));
  if (gate !== undefined) await stage().pass(gate);
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
  single: () => new Flow(new Single()),
  "single, retried later": () => new Flow(new Single({ maxRetries: 3, wait: 3600 })),
  "by queue": () => atOnce({ executor: "queue" }),
  "single by queue": () => new Flow(new Single({ executor: "queue" })),
  stages: () => {
    const first = new AtOnce({ concurrency: 8, maxRetries: 3, name: "First" });
    first.next(new InOrder({ maxRetries: 3, name: "Second" })).next(new Single({ name: "Third" }));
    return new Flow(first);
  },
  "by hand": () => atOnce({ maxRetries: 3, wait: 60, perExecutor: 4, concurrency: 8 }),
  "by hand, at once": () => atOnce({ maxRetries: 3 }),
  "by hand, in order": () => new Flow(new InOrder()),
  "by hand, queue": () => atOnce({ ...HAND_QUEUE, perExecutor: 4, concurrency: 8 }),
};

export interface Halts {
  /** The hooks that halt in the middle, the first time they get there. */
  at: string[];
  log: string[];
  list: number[];
}

async function halt(name: string, { at }: Halts): Promise<void> {
  stage().say(name);
  if (at.includes(name) && stage().count(name) === 1) await stage().pass(name);
}

/** Writes to shared, halts, and writes again. */
class Halting extends ParallelBatchNode<Halts, NonIterableObject, number, number> {
  async prep(shared: Halts) {
    shared.log.push("prep began");
    await halt("prep", shared);
    shared.log.push("prep ended");
    return shared.list;
  }
  exec(number: number) {
    return 10 * number;
  }
  async post(shared: Halts, list: number[], results: number[]) {
    shared.log.push("post began");
    list.push(...results);
    await halt("post", shared);
    shared.log.push("post ended");
  }
}

/** Halts between two pages of items. */
class HaltingPages extends ParallelBatchNode<Halts, NonIterableObject, number, number> {
  async *prep(shared: Halts) {
    for (let index = 0; index < 1200; index++) yield index;
    await halt("pages", shared);
    for (let index = 1200; index < 2100; index++) yield index;
  }
  exec(number: number) {
    return number;
  }
  post(shared: Halts, _: number[], results: number[]) {
    shared.list = results;
  }
}

export const haltingFlows = {
  halting: () => new Flow(new Halting()),
  "halting pages": () => new Flow(new HaltingPages({ concurrency: 64, perExecutor: 64 })),
};

/** What the next deploy makes of the flow `changing`. */
export const deployed = { version: "first" };

export const changingFlows = {
  changing: () => {
    if (deployed.version === "broken") throw new Error("no such module");
    if (deployed.version === "without the batch") return new Flow(new Single());
    const first = new AtOnce();
    const last = first.next(new Single());
    if (deployed.version === "longer") last.next(new Single({ name: "More" }));
    return new Flow(first);
  },
};
