import type { BatchResult, BatchState } from "../../src/core/batch-api.ts";
import {
  BatchApiNode,
  type BatchApiOptions,
  type BatchLine,
  type ExecContext,
  Flow,
  type NonIterableObject,
  type Outcome,
} from "../../src/index.ts";

export interface Jobbing {
  items: number[];
  results?: unknown[];
}

export interface Job {
  key: string;
  lines: BatchLine<number>[];
  polls: number;
  status: "running" | "ended" | "failed" | "canceled";
}

/** What a test has instead of what the vendor would do by itself. */
interface Habits {
  submit?: (job: Job, context: ExecContext) => unknown;
  poll?: (job: Job, context: ExecContext) => unknown;
  collect?: (job: Job) => unknown;
  cancel?: (job: Job) => unknown;
  find?: (key: string) => unknown;
}

/** A vendor that forgets nothing, in the isolate of the tests. */
export class Bureau {
  readonly jobs = new Map<string, Job>();
  readonly asked = { submit: 0, find: 0, poll: 0, collect: 0, cancel: 0 };
  readonly canceled: string[] = [];
  /** Most jobs that ran at once. */
  peak = 0;
  /** A job ends when it is asked for so many times. */
  polls = 1;
  habits: Habits = {};

  get all(): Job[] {
    return [...this.jobs.values()];
  }

  get running(): Job[] {
    return this.all.filter(({ status }) => status === "running");
  }

  open(key: string, lines: BatchLine<number>[]): Job {
    const job: Job = { key, lines, polls: 0, status: "running" };
    this.jobs.set(key, job);
    this.peak = Math.max(this.peak, this.running.length);
    return job;
  }

  /** The job of a key, which must be there. */
  job(key: string): Job {
    const job = this.jobs.get(key);
    if (!job) throw Object.assign(new Error(`There is no job ${key}`), { status: 404 });
    return job;
  }
}

let current = new Bureau();

export function newBureau(): Bureau {
  current = new Bureau();
  return current;
}

/** Doubles numbers. In the first job that has it, a number below 0 fails; one below -100 does in each. */
class Doubling extends BatchApiNode<Jobbing, NonIterableObject, number, number, string> {
  override prep({ items }: Jobbing) {
    return items;
  }

  override async submit(lines: BatchLine<number>[], context: ExecContext) {
    const bureau = current;
    bureau.asked.submit++;
    const job = bureau.open(context.idempotencyKey, lines);
    await bureau.habits.submit?.(job, context);
    return job.key;
  }

  override async find({ idempotencyKey }: ExecContext) {
    current.asked.find++;
    if (current.habits.find) return (await current.habits.find(idempotencyKey)) as string | undefined;
    return current.jobs.get(idempotencyKey)?.key;
  }

  override async poll(key: string, context: ExecContext): Promise<BatchState> {
    const bureau = current;
    bureau.asked.poll++;
    const job = bureau.job(key);
    job.polls++;
    if (bureau.habits.poll) return (await bureau.habits.poll(job, context)) as BatchState;
    if (job.polls >= bureau.polls && job.status === "running") job.status = "ended";
    return { status: job.status === "running" ? "running" : "ended" };
  }

  override collect(key: string) {
    current.asked.collect++;
    const job = current.job(key);
    return (current.habits.collect?.(job) ?? resultsOf(job)) as BatchResult<number>[];
  }

  override async cancel(key: string) {
    const bureau = current;
    bureau.asked.cancel++;
    const job = bureau.job(key);
    await bureau.habits.cancel?.(job);
    bureau.canceled.push(key);
    if (job.status === "running") job.status = "canceled";
  }

  override post(shared: Jobbing, _: unknown, results: unknown[]) {
    shared.results = results.map((result) => {
      if (typeof result !== "object") return result;
      const outcome = result as Outcome;
      return outcome.ok ? outcome.value : outcome.error.message;
    });
  }
}

export function resultsOf({ key, lines }: Job): BatchResult<number>[] {
  const isFirst = key.endsWith("/1");
  return lines.map(({ id, item }) => {
    if (item < 0 && (isFirst || item < -100)) return { id, error: new Error(`${item} is bad`) };
    return { id, result: 2 * item };
  });
}

class Renamed extends Doubling {}

/** Which code is deployed. */
export const release = { isOther: false };

const SOON = { wait: 0.02, backoff: 1 };
const COLLECTING: BatchApiOptions = { onItemError: "collect", maxRetries: 2, batchSize: 10, poll: SOON };

function doubling(options: BatchApiOptions) {
  return () => new Flow<Jobbing>(new Doubling(options));
}

export const jobbingFlows = {
  jobbing: doubling({ ...COLLECTING, concurrency: 3 }),
  "jobbing once": doubling({ ...COLLECTING, maxRetries: 1 }),
  "jobbing in halves": doubling({ ...COLLECTING, maxRetries: 1, split: true }),
  "jobbing strictly": doubling({ ...COLLECTING, onItemError: "fail", maxRetries: 1 }),
  "jobbing for long": doubling({ ...COLLECTING, poll: { wait: 100, backoff: 2, maxWait: 500 } }),
  "jobbing in large": doubling({ ...COLLECTING, batchSize: 1_000 }),
  "jobbing deployed": () => {
    const Node = release.isOther ? Renamed : Doubling;
    return new Flow<Jobbing>(new Node({ ...COLLECTING, poll: { wait: 100 } }));
  },
};
