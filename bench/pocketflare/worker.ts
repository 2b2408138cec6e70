import { serve } from "../../src/cloudflare.ts";
import { Flow, ParallelBatchNode } from "../../src/index.ts";
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

/** Six is the default; a hundred is what a minimal loop would do when it need not care for the platform's connection limit. */
const hundredEach = { concurrency: 100, perExecutor: 100 };
const sixEach = { concurrency: 100 };
/** More than is ever used: what is measured is what it costs to ask. */
const limits = { account: { requests: 10_000_000, per: "1m", concurrency: 1_000 } };

const app = serve({
  flows: {
    "instant-by-100": () => new Flow(new Instant(hundredEach)),
    "instant-by-6": () => new Flow(new Instant(sixEach)),
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

countCalls(FlowRun.prototype, ["enter", "report"]);
countCalls(FlowRun.prototype, ["hear"], "limiterCalls");
countCalls(RateLimiter.prototype, ["exchange"], "limiterCalls");

export default {
  fetch(request: Request, env: object, ctx: ExecutionContext): Response | Promise<Response> {
    const url = new URL(request.url);
    return url.pathname === "/meter" ? answerMeter(url) : app.fetch(request, env, ctx);
  },
};
