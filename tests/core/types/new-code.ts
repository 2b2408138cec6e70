// What the types say beyond the npm package `pocketflow`. Only type-checked, by tests/tsconfig.json.

import { expectTypeOf } from "vitest";
import {
  AsyncBatchNode,
  AsyncNode,
  AsyncParallelBatchFlow,
  type AsyncParallelBatchNode,
  type BaseNode,
  BatchFlow,
  BatchNode,
  type BranchEnd,
  type ExecContext,
  Flow,
  type Items,
  type MaybePromise,
  Node,
  type Outcome,
  ParallelBatchFlow,
  ParallelBatchNode,
  type PostResult,
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
