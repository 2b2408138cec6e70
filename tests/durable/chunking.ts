import {
  BatchApiNode,
  type BatchLine,
  BatchNode,
  type ExecContext,
  Flow,
  type NonIterableObject,
  type Outcome,
  ParallelBatchNode,
} from "../../src/index.ts";

/** What the flows below take, and what they write. */
export interface Chunked {
  items: number[];
  /** These end in an error wherever they are. */
  bad?: number[];
  results?: unknown[];
}

/** The calls that were made, by what they were given: for tests in the same isolate. */
export const calls: { key: string; items: number[] }[] = [];

function double(items: number[], { idempotencyKey }: ExecContext): number[] {
  calls.push({ key: idempotencyKey, items });
  const bad = items.find((item) => item < 0);
  if (bad !== undefined) throw new Error(`${bad} is bad`);
  return items.map((item) => 2 * item);
}

function write(shared: Chunked, results: unknown[]) {
  shared.results = results.map((result) => {
    if (typeof result !== "object") return result;
    const outcome = result as Outcome;
    return outcome.ok ? outcome.value : outcome.error.message;
  });
}

class Doubles extends ParallelBatchNode<Chunked, NonIterableObject, number, number> {
  override prep({ items }: Chunked) {
    return items;
  }
  override execBatch(items: number[], context: ExecContext) {
    return double(items, context);
  }
  override post(shared: Chunked, _: unknown, results: number[]) {
    write(shared, results);
  }
}

class DoublesInTurn extends BatchNode<Chunked, NonIterableObject, number, number> {
  override prep({ items }: Chunked) {
    return items;
  }
  override execBatch(items: number[], context: ExecContext) {
    return double(items, context);
  }
  override post(shared: Chunked, _: unknown, results: number[]) {
    write(shared, results);
  }
}

/** A vendor that forgets nothing. */
export const vendor = {
  jobs: new Map<string, { lines: BatchLine<number>[]; polls: number }>(),
  canceled: [] as string[],
  polls: 2,
};

class Jobs extends BatchApiNode<Chunked, NonIterableObject, number, number, string> {
  override prep({ items }: Chunked) {
    return items;
  }
  override submit(lines: BatchLine<number>[], { idempotencyKey }: ExecContext) {
    vendor.jobs.set(idempotencyKey, { lines, polls: 0 });
    return idempotencyKey;
  }
  override find({ idempotencyKey }: ExecContext) {
    return vendor.jobs.has(idempotencyKey) ? idempotencyKey : undefined;
  }
  override poll(key: string) {
    const job = vendor.jobs.get(key);
    if (!job) throw new Error(`There is no job ${key}`);
    return { status: ++job.polls > vendor.polls ? ("ended" as const) : ("running" as const) };
  }
  override *collect(key: string) {
    const isFirst = key.endsWith("/1");
    for (const { id, item } of vendor.jobs.get(key)?.lines ?? []) {
      if (item < 0 && (isFirst || item < -100)) yield { id, error: new Error(`${item} is bad`) };
      else yield { id, result: 2 * item };
    }
  }
  override cancel(key: string) {
    vendor.canceled.push(key);
  }
  override post(shared: Chunked, _: unknown, results: number[]) {
    write(shared, results);
  }
}

const COLLECTING = { onItemError: "collect", maxRetries: 2, batchSize: 20 } as const;

export const chunkFlows = {
  doubles: () => new Flow<Chunked>(new Doubles({ ...COLLECTING, split: true })),
  "doubles-whole": () => new Flow<Chunked>(new Doubles(COLLECTING)),
  "doubles-in-turn": () => new Flow<Chunked>(new DoublesInTurn({ ...COLLECTING, split: true })),
  jobs: () => new Flow<Chunked>(new Jobs({ ...COLLECTING, poll: { wait: 0.01, maxWait: 0.02 } })),
  "long-jobs": () => new Flow<Chunked>(new Jobs({ ...COLLECTING, poll: { wait: 3600 } })),
};
