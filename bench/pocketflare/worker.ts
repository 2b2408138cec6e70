import { serve } from "../../src/cloudflare.ts";
import { Flow, Node, type NonIterableObject, ParallelBatchFlow, ParallelBatchNode } from "../../src/index.ts";
import { answerMeter, countCalls, countRows } from "../meter.ts";

interface Shared {
  items: number;
  results?: number;
}

class Instant extends ParallelBatchNode<Shared> {
  override *prep(shared: Shared) {
    for (let item = 0; item < shared.items; item++) yield item;
  }

  override exec(item: number): number | Promise<number> {
    return item;
  }

  override post(shared: Shared, _items: unknown, results: number[]) {
    shared.results = results.length;
  }
}

class Sleep extends Instant {
  override async exec(item: number) {
    await scheduler.wait(100);
    return item;
  }
}

interface Branches {
  items: number;
  results?: number | { [key: string]: string };
}

type Branch = NonIterableObject & { key: string };

/** One of three nodes of a branch: hands a text on. */
class Hand extends Node<Branches, Branch, string, string> {
  override prep() {
    return this._params.key;
  }

  override exec(key: string) {
    return `${key}.`;
  }
}

class Sum extends Hand {
  override post({ results }: Branches, key: string, text: string) {
    (results as { [key: string]: string })[key] = text;
  }
}

/** Three nodes to a branch, of which each has one item. */
class Branching extends ParallelBatchFlow<Branches, NonIterableObject, Branch[]> {
  override prep(shared: Branches) {
    shared.results = {};
    return Array.from({ length: shared.items / 3 }, (_, at) => ({ key: `branch ${at}` }));
  }

  override post(shared: Branches) {
    shared.results = 3 * Object.keys(shared.results ?? {}).length;
  }
}

function branching() {
  const first = new Hand(hundredEach);
  first.next(new Hand(hundredEach)).next(new Sum(hundredEach));
  return new Flow(new Branching(first));
}

/** Six is the default; a hundred is what a minimal loop would do when it need not care for the platform's connection limit. */
const hundredEach = { concurrency: 100, perExecutor: 100 };
const sixEach = { concurrency: 100 };
/** More than is ever used: what is measured is what it costs to ask. */
const limits = { account: { requests: 10_000_000, per: "1m", concurrency: 1_000 } };

const app = serve({
  flows: {
    "instant-by-100": () => new Flow(new Instant(hundredEach)),
    "instant-by-6": () => new Flow(new Instant(sixEach)),
    "branching-by-100": branching,
    "sleep-by-6": () => new Flow(new Sleep(sixEach)),
    "limited-instant-by-100": () => new Flow(new Instant({ ...hundredEach, concurrency: 500, limit: "account" })),
    "limited-sleep-by-6": () => new Flow(new Sleep({ ...sixEach, limit: "account" })),
  },
  limits,
});

export class FlowRun extends app.FlowRun {
  constructor(ctx: DurableObjectState, env: object) {
    countRows(ctx.storage);
    super(ctx, env);
  }
}

export class Executor extends app.Executor {
  constructor(ctx: DurableObjectState, env: object) {
    countRows(ctx.storage);
    super(ctx, env);
  }
}

export class RateLimiter extends app.RateLimiter {
  constructor(ctx: DurableObjectState, env: object) {
    countRows(ctx.storage);
    super(ctx, env);
  }
}

export class RunIndex extends app.RunIndex {
  constructor(ctx: DurableObjectState, env: object) {
    countRows(ctx.storage);
    super(ctx, env);
  }
}

countCalls(FlowRun.prototype, ["enter", "report"]);
countCalls(RunIndex.prototype, ["put"]);
countCalls(FlowRun.prototype, ["hear"], "limiterCalls");
countCalls(RateLimiter.prototype, ["exchange"], "limiterCalls");

export default {
  fetch(request: Request, env: object, ctx: ExecutionContext): Response | Promise<Response> {
    const url = new URL(request.url);
    return url.pathname === "/meter" ? answerMeter(url) : app.fetch(request, env, ctx);
  },
};
