// What the types say beyond the npm package `pocketflow`. Only type-checked, by tests/tsconfig.json.

import { expectTypeOf } from "vitest";
import {
  AsyncBatchNode,
  AsyncNode,
  AsyncParallelBatchFlow,
  type AsyncParallelBatchNode,
  type BaseNode,
  BatchApiNode,
  BatchFlow,
  type BatchLine,
  BatchNode,
  type BatchResult,
  type BatchState,
  type BranchEnd,
  type Duration,
  type ExecContext,
  Flow,
  type Items,
  type MaybePromise,
  Node,
  type NonIterableObject,
  type Outcome,
  ParallelBatchFlow,
  ParallelBatchNode,
  type PostResult,
  type Signal,
  SleepNode,
  sleep,
  WaitForEvent,
} from "../../../src/index.ts";

interface Shared {
  texts: string[];
  lengths: number[];
}
type Language = { language: string };

type Batch = ParallelBatchNode<Shared, Language, string, number>;
expectTypeOf<Parameters<Batch["exec"]>>().toEqualTypeOf<[item: string, context?: ExecContext | undefined]>();
expectTypeOf<ReturnType<Batch["exec"]>>().toEqualTypeOf<MaybePromise<number>>();
expectTypeOf<Parameters<Batch["execFallback"]>>().toEqualTypeOf<[item: string, error: Error]>();
expectTypeOf<Parameters<Batch["post"]>[1]>().toEqualTypeOf<Items<string>>();
expectTypeOf<Parameters<Batch["post"]>[2]>().toEqualTypeOf<number[] | Outcome<number>[]>();
expectTypeOf<ReturnType<Batch["post"]>>().toEqualTypeOf<MaybePromise<PostResult>>();
expectTypeOf<Parameters<BatchNode<Shared, Language, string, number>["exec"]>[0]>().toEqualTypeOf<string>();
expectTypeOf<AsyncParallelBatchNode<Shared, Language, string, number>>().toExtend<Batch>();
expectTypeOf<Parameters<AsyncBatchNode<Shared, Language, string, number>["postAsync"]>[2]>().toEqualTypeOf<
  number[] | Outcome<number>[]
>();

type Single = Node<Shared, Language, string, number>;
expectTypeOf<ReturnType<Single["prep"]>>().toEqualTypeOf<MaybePromise<string>>();
expectTypeOf<Parameters<Single["exec"]>[0]>().toEqualTypeOf<string>();
expectTypeOf<Parameters<Single["execFallback"]>[0]>().toEqualTypeOf<string>();
expectTypeOf<Parameters<Single["post"]>[1]>().toEqualTypeOf<string>();
expectTypeOf<Parameters<Single["post"]>[2]>().toEqualTypeOf<number>();

export class Lengths extends ParallelBatchNode<Shared, Language, string, number> {
  override prep(shared: Shared) {
    return shared.texts;
  }
  override async exec(text: string, { signal, attempt, idempotencyKey }: ExecContext) {
    expectTypeOf(signal).toEqualTypeOf<AbortSignal>();
    expectTypeOf(attempt).toEqualTypeOf<number>();
    expectTypeOf(idempotencyKey).toEqualTypeOf<string>();
    expectTypeOf(this._params.language).toEqualTypeOf<string>();
    return text.length;
  }
  override post(shared: Shared, _texts: string[], lengths: number[]) {
    shared.lengths = lengths;
  }
}

export class Sources extends BatchNode<Shared, Language, string, number> {
  // Whatever can be iterated is a list of items, and nothing is an empty one.
  override prep(shared: Shared): Items<string> {
    const sources = [shared.texts, new Set(shared.texts), shared.texts.values(), pages(), null, undefined];
    return sources[shared.texts.length];
  }
}

async function* pages() {
  yield "page";
}

export class Streaming extends AsyncBatchNode<Shared, Language, string, number> {
  override prepAsync() {
    return pages();
  }
  override async execAsync(page: string) {
    return page.length;
  }
  override async postAsync(shared: Shared, _pages: string[], lengths: number[]) {
    shared.lengths = lengths;
  }
}

export class WrongItem extends ParallelBatchNode<Shared, Language, string, number> {
  // @ts-expect-error: the items are strings.
  override exec(item: number) {
    return item;
  }
}

export class WrongResult extends ParallelBatchNode<Shared, Language, string, number> {
  // @ts-expect-error: exec promised numbers.
  override exec(item: string) {
    return item;
  }
}

export class WrongResults extends ParallelBatchNode<Shared, Language, string, number> {
  // @ts-expect-error: the results are numbers.
  override post(_shared: Shared, _items: string[], _lengths: string[]) {}
}

/** One that collects failures says so by what its post takes. */
export class Collecting extends ParallelBatchNode<Shared, Language, string, number> {
  override post(shared: Shared, _texts: string[], outcomes: Outcome<number>[]) {
    shared.lengths = outcomes.map((outcome) => (outcome.ok ? outcome.value : outcome.error.message.length));
  }
}

export class WrongOutcomes extends ParallelBatchNode<Shared, Language, string, number> {
  // @ts-expect-error: the outcomes are of numbers.
  override post(_shared: Shared, _items: string[], _outcomes: Outcome<string>[]) {}
}

export class WrongItems extends AsyncBatchNode<Shared, Language, string, number> {
  // @ts-expect-error: a number is no list of items.
  override prepAsync() {
    return 5;
  }
}

export class WrongAction extends Node<Shared> {
  // @ts-expect-error: an action is a string.
  override post() {
    return 5;
  }
}

export class WrongFallback extends AsyncNode<Shared, Language, string, number> {
  // @ts-expect-error: the fallback's value stands in for exec's.
  override async execFallbackAsync() {
    return "none";
  }
}

/** Without the item type, items and results are what the hooks say. */
export class Inferred extends ParallelBatchNode<Shared> {
  override prep(shared: Shared) {
    return shared.texts;
  }
  override exec(text: string) {
    return text.length;
  }
  override post(shared: Shared, _texts: string[], lengths: number[]) {
    shared.lengths = lengths;
    return lengths.length > 0 ? "some" : undefined;
  }
}

export class EachText extends ParallelBatchFlow<Shared, Language, { text: string }[]> {
  override prep(shared: Shared) {
    return shared.texts.map((text) => ({ text }));
  }
  override post(shared: Shared, list: { text: string }[], _none: unknown, branches: BranchEnd[]) {
    expectTypeOf(branches).toEqualTypeOf<{ action: string | undefined; result: unknown }[]>();
    shared.lengths = list.map(({ text }) => text.length);
  }
}

export class EachTextAsync extends AsyncParallelBatchFlow<Shared, Language, { text: string }[]> {
  override async prepAsync(shared: Shared) {
    return shared.texts.map((text) => ({ text }));
  }
}

const lengths = new Lengths({ maxRetries: 3, wait: 1, backoff: 2, jitter: 0.5, concurrency: 10, timeout: 30 });
expectTypeOf(lengths.next(new Inferred())).toEqualTypeOf<Inferred>();
expectTypeOf(lengths.on("a", new Inferred()).end("done").setParams({ language: "fr" })).toEqualTypeOf<Lengths>();
expectTypeOf(lengths.clone()).toEqualTypeOf<Lengths>();
expectTypeOf(new Flow(lengths).run).returns.toEqualTypeOf<Promise<string | undefined>>();
expectTypeOf<Lengths>().toExtend<BaseNode>();
new EachText(lengths, { name: "each", concurrency: 2 });
new EachTextAsync(new BatchFlow(new EachText(lengths)));

// @ts-expect-error: a flow has no attempts.
new Flow(lengths, { maxRetries: 3 });
// @ts-expect-error: a misspelled option.
new Lengths({ maxRetry: 3 });
// @ts-expect-error: params of another shape.
lengths.setParams({ lang: "fr" });

class Letters extends ParallelBatchNode<Shared, Language, { tenant: string; text: string }, number> {}
new Letters({ limit: "llm" });
new Letters({ limit: { name: "llm", key: (letter) => letter.tenant, tokens: (letter) => letter.text.length } });
new Letters({ limit: ["account", { name: "tenant", key: ({ tenant }) => tenant }] });
new ParallelBatchNode({ limit: { name: "llm", tokens: (text: string) => text.length } });
// @ts-expect-error: the key is a string
new Letters({ limit: { name: "llm", key: (letter) => letter.text.length } });
// @ts-expect-error: the item has no such field
new Letters({ limit: { name: "llm", tokens: (letter) => letter.size } });

expectTypeOf<Parameters<Batch["execBatch"]>>().toEqualTypeOf<[items: string[], context?: ExecContext | undefined]>();
expectTypeOf<ReturnType<Batch["execBatch"]>>().toEqualTypeOf<MaybePromise<(number | Error)[]>>();
expectTypeOf<ReturnType<AsyncBatchNode<Shared, Language, string, number>["execBatch"]>>().toEqualTypeOf<
  MaybePromise<(number | Error)[]>
>();

export class InCalls extends ParallelBatchNode<Shared, Language, string, number> {
  override prep(shared: Shared) {
    return shared.texts;
  }
  override async execBatch(texts: string[], { signal }: ExecContext) {
    expectTypeOf(signal).toEqualTypeOf<AbortSignal>();
    return texts.map((text) => (text ? text.length : new Error("no text")));
  }
}
new InCalls({ batchSize: 100, split: true, maxRetries: 3, limit: { name: "llm", tokens: (text) => text.length } });
new BatchNode({ batchSize: 5 });

export class WrongCall extends BatchNode<Shared, Language, string, number> {
  // @ts-expect-error: the results are numbers, or Errors.
  override execBatch(texts: string[]) {
    return texts;
  }
}

export class WrongCallItems extends AsyncBatchNode<Shared, Language, string, number> {
  // @ts-expect-error: the items are strings.
  override execBatch(lengths: number[]) {
    return lengths;
  }
}

// @ts-expect-error: branches are no items of one call.
new BatchFlow(lengths, { batchSize: 5 });

type Approved = { approved: boolean };
type Wait = WaitForEvent<Shared, Language, Approved>;
expectTypeOf<Parameters<Wait["post"]>>().toEqualTypeOf<
  [shared: Shared, name: string, signal: Signal<Approved> | null]
>();
expectTypeOf<ReturnType<Wait["prep"]>>().toEqualTypeOf<MaybePromise<string>>();
expectTypeOf<Signal<Approved>>().toEqualTypeOf<{ name: string; payload: Approved; at: Date }>();
expectTypeOf<Signal["payload"]>().toEqualTypeOf<unknown>();

export class Approval extends WaitForEvent<Shared, Language, Approved> {
  override prep(shared: Shared) {
    return `approval.${this._params.language}.${shared.texts.length}`;
  }
  override post(_shared: Shared, _name: string, signal: Signal<Approved> | null) {
    if (!signal) return "timeout";
    expectTypeOf(signal.payload.approved).toEqualTypeOf<boolean>();
    return signal.payload.approved ? "approved" : "rejected";
  }
}
new Approval("approval", { timeout: "7d", name: "ask" }).on("approved", lengths).end("rejected");

// @ts-expect-error: a misspelled option.
new Approval("approval", { timeOut: "7d" });
// @ts-expect-error: the name of a signal is a text.
new Approval(7);
// @ts-expect-error: a wait has no attempts.
new Approval("approval", { maxRetries: 3 });

expectTypeOf<Duration>().toEqualTypeOf<number | string>();
expectTypeOf<ReturnType<SleepNode<Shared>["prep"]>>().toEqualTypeOf<MaybePromise<Duration | Date>>();
expectTypeOf<Parameters<SleepNode<Shared>["post"]>[2]>().toBeVoid();
expectTypeOf(sleep(new Date(), { name: "pause" })).toEqualTypeOf<SleepNode>();
lengths.next(sleep("3d")).next(new Inferred());

export class UntilDue extends SleepNode<{ dueAt: Date }, Language> {
  override prep(shared: { dueAt: Date }) {
    return shared.dueAt;
  }
}

export class WrongTime extends SleepNode<Shared> {
  // @ts-expect-error: a time is seconds, a duration or a Date.
  override prep(shared: Shared) {
    return shared.texts;
  }
}

new Flow(lengths).run({}, { onWait: async (signal) => ({ approved: signal.length > 0 }), onEmit: () => {} });
// @ts-expect-error: a signal has a name.
new Flow(lengths).run({}, { onWait: (signal: number) => signal });

type Job = { id: string };

export class Reviews extends BatchApiNode<Shared, Language, string, number, Job> {
  override prep(shared: Shared) {
    return shared.texts;
  }
  override async submit(lines: BatchLine<string>[], { idempotencyKey }: ExecContext) {
    expectTypeOf(lines).toEqualTypeOf<{ id: string; item: string }[]>();
    return { id: idempotencyKey };
  }
  override async find({ idempotencyKey }: ExecContext) {
    return idempotencyKey ? { id: idempotencyKey } : undefined;
  }
  override poll(job: Job): BatchState {
    return job.id ? { status: "running", total: 5 } : { status: "failed", error: { message: "no such job" } };
  }
  override async *collect(job: Job) {
    yield { id: job.id, result: 5 };
    yield { id: job.id, error: new Error("no") };
  }
  override async cancel(_job: Job) {}
  override post(shared: Shared, _texts: string[], results: number[]) {
    shared.lengths = results;
  }
}
expectTypeOf<Reviews>().toExtend<BaseNode>();
expectTypeOf<ReturnType<Reviews["find"]>>().toExtend<MaybePromise<Job | undefined>>();
expectTypeOf<BatchResult<number>>().toEqualTypeOf<{ id: string; result: number } | { id: string; error: Error }>();
new Reviews({ batchSize: 5000, maxRetries: 3, split: true, concurrency: 2, poll: { wait: 60, maxWait: 900 } });

// @ts-expect-error: a vendor's batch API has budgets of its own.
new Reviews({ limit: "llm" });
// @ts-expect-error: a misspelled option.
new Reviews({ poll: { every: 60 } });
// @ts-expect-error: what a vendor does must be said.
new BatchApiNode();

export class WrongJob extends BatchApiNode<Shared, NonIterableObject, string, number, Job> {
  // @ts-expect-error: a job is an object with an id.
  override submit() {
    return 5;
  }
  override poll(): BatchState {
    return { status: "ended" };
  }
  // @ts-expect-error: the results are numbers.
  override collect() {
    return [{ id: "0", result: "text" }];
  }
}
