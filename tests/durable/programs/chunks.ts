import { BatchApiNode, type BatchLine, NonRetryableError, type Outcome } from "../../../src/index.ts";
import type { Spelling } from "../../core/spelling.ts";
import { numbered, type Programs, pause, type Shared } from "./program.ts";

// Batches of which one call takes many items: by execBatch, or as a vendor's job.

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index);
const doubled = (items: number[]) => items.map((item) => 2 * item);

function keep(shared: Shared, prepRes: unknown, results: unknown[]) {
  shared.prepRes = prepRes;
  shared.results = results.map(told);
}

/** An error by what is left of it. */
function told(result: unknown): unknown {
  if (typeof result !== "object" || result === null || !("ok" in result)) return result;
  const outcome = result as Outcome;
  return outcome.ok ? [outcome.value] : [outcome.error.name, outcome.error.message];
}

/** A flow over one batch of each kind, with the same hooks and options. */
function inBothKinds(sentence: string, hooks: object, options: object, more: object = {}): Programs {
  const over = (kind: "batch" | "parallel") => ({
    flow: (spell: Spelling) => spell.flow(spell[kind]({ prep: () => numbers(10), post: keep, ...hooks }, options)),
    ...more,
  });
  return {
    [`a batch in chunks: ${sentence}`]: over("batch"),
    [`a parallel batch in chunks: ${sentence}`]: over("parallel"),
  };
}

const isBad = (item: number) => item === 4 || item === 7;

/** Whichever items are bad fail the call that has them. */
function failingWith(isFinal: boolean) {
  return (items: number[]) => {
    const bad = items.find(isBad);
    if (bad === undefined) return doubled(items);
    throw isFinal ? new NonRetryableError(`${bad} is bad`) : new Error(`${bad} is bad`);
  };
}

/** A vendor that keeps nothing: a job is what it was given. */
class Jobs extends BatchApiNode<
  Shared,
  { n?: number },
  number,
  number,
  { lines: BatchLine<number>[]; isFirst: boolean }
> {
  override prep() {
    return numbers(7).map((item) => item + 10 * (this._params.n ?? 0));
  }
  override submit(lines: BatchLine<number>[]) {
    return { lines, isFirst: this.currentRetry === 0 };
  }
  override poll() {
    return { status: "ended" as const };
  }
  override async *collect({ lines, isFirst }: { lines: BatchLine<number>[]; isFirst: boolean }) {
    for (const { id, item } of lines.toReversed()) {
      await pause(0);
      if (item % 10 === 3 && isFirst) yield { id, error: new Error("once") };
      else if (item % 10 === 5) yield { id, error: new NonRetryableError("always") };
      else yield { id, result: 2 * item };
    }
  }
  override post(shared: Shared, prepRes: unknown, results: unknown) {
    const { n } = this._params;
    if (n === undefined) return keep(shared, prepRes, results as unknown[]);
    const own: Shared = { log: [] };
    keep(own, prepRes, results as unknown[]);
    shared[`branch ${n}`] = own;
  }
}

const JOBS = { batchSize: 3, maxRetries: 2, onItemError: "collect", poll: { wait: 0.005 } } as const;

export const chunks: Programs = {
  ...inBothKinds("of three", { execBatch: doubled }, { batchSize: 3 }),
  ...inBothKinds("larger than all items", { execBatch: doubled }, { batchSize: 99 }),
  ...inBothKinds("of one", { execBatch: doubled }, { batchSize: 1 }),
  ...inBothKinds("of no items", { prep: () => [], execBatch: doubled }, { batchSize: 4 }),
  ...inBothKinds(
    "whose calls fail once",
    {
      async execBatch(this: { currentRetry: number }, items: number[]) {
        await pause();
        if (this.currentRetry === 0) throw new Error("once");
        return doubled(items);
      },
    },
    { batchSize: 4, maxRetries: 2 },
  ),
  ...inBothKinds(
    "of which some fail whole",
    { execBatch: failingWith(false) },
    { batchSize: 3, maxRetries: 2, onItemError: "collect" },
  ),
  ...inBothKinds(
    "that are split",
    { execBatch: failingWith(true) },
    { batchSize: 5, split: true, onItemError: "collect" },
  ),
  ...inBothKinds(
    "that are split after a retry",
    { execBatch: failingWith(false) },
    { batchSize: 9, maxRetries: 2, split: true, onItemError: "collect" },
  ),
  ...inBothKinds(
    "whose items fail by themselves, with a fallback",
    {
      execBatch: (items: number[]) => items.map((item) => (isBad(item) ? new Error(`${item} is bad`) : 2 * item)),
      execFallback(item: number, error: Error) {
        if (item === 7) throw error;
        return `${error.message}, so what`;
      },
    },
    { batchSize: 4, maxRetries: 2, onItemError: "collect" },
  ),
  ...inBothKinds(
    "that give too few results",
    { execBatch: (items: number[]) => items.slice(1).map(String) },
    { batchSize: 9, onItemError: "collect" },
  ),
  ...inBothKinds(
    "the first of which fails",
    { execBatch: failingWith(false) },
    { batchSize: 6 },
    { fails: "4 is bad" },
  ),
  "jobs of a vendor, with lines that fail": { flow: ({ flow }) => flow(new Jobs(JOBS)) },
  "jobs of a vendor, one at a time": { flow: ({ flow }) => flow(new Jobs({ ...JOBS, concurrency: 1 })) },
  "jobs of a vendor, in branches at once": {
    flow: ({ parallelFlow }) => parallelFlow(new Jobs(JOBS), { prep: () => numbered(3) }),
    input: { "branch 0": null, "branch 1": null, "branch 2": null },
  },
};
