import { DurableObject, exports } from "cloudflare:workers";
import { answerMeter, countCalls, countRows } from "../meter.ts";

/**
 * The yardstick: the least that does the work and keeps each result. One object holds the items and their results, another
 * pulls: it claims up to `width` items, executes them at once, and reports and claims again in the same call. No retries, no
 * leases, no restart, no cancel, no types kept: what Pocketflare costs above this is what those cost.
 */
const objects = exports as unknown as {
  Run: DurableObjectNamespace<Run>;
  Puller: DurableObjectNamespace<Puller>;
};

interface Job {
  items: number;
  execMs: number;
  /** How many items may be in flight at once, over all pullers. */
  inFlight: number;
  /** How many of them one puller takes. */
  width: number;
}

interface Claim {
  from: number;
  to: number;
}

export class Run extends DurableObject {
  #next = 0;
  #end = 0;

  constructor(ctx: DurableObjectState, env: object) {
    countRows(ctx.storage);
    super(ctx, env);
  }

  /** Resolves when every item's result is kept, with how many results were read back, in order. */
  async start(id: string, job: Job): Promise<number> {
    this.ctx.storage.sql.exec("create table results (item integer primary key, value)");
    this.#end = job.items;
    const pulls = widthsOf(job).map((width, index) => {
      return objects.Puller.getByName(`${id}/${index}`).pull(id, width, job.execMs);
    });
    await Promise.all(pulls);
    return this.#results().length;
  }

  /** Keeps the results of the last claim, a row each in one statement, and hands out the next. */
  report(from: number, results: readonly unknown[], width: number): Claim | null {
    if (results.length > 0) this.#keep(from, results);
    if (this.#next === this.#end) return null;
    const claim = { from: this.#next, to: Math.min(this.#next + width, this.#end) };
    this.#next = claim.to;
    return claim;
  }

  #keep(from: number, results: readonly unknown[]): void {
    const insert = "insert into results select ? + key, value from json_each(?)";
    this.ctx.storage.sql.exec(insert, from, JSON.stringify(results));
  }

  #results(): unknown[] {
    const rows = this.ctx.storage.sql.exec<{ value: SqlStorageValue }>("select value from results order by item");
    return Array.from(rows, (row) => row.value);
  }
}

export class Puller extends DurableObject {
  constructor(ctx: DurableObjectState, env: object) {
    countRows(ctx.storage);
    super(ctx, env);
  }

  async pull(runId: string, width: number, execMs: number): Promise<void> {
    const run = objects.Run.getByName(runId);
    let claim = await run.report(0, [], width);
    while (claim) {
      const results = await Promise.all(itemsOf(claim).map((item) => execute(item, execMs)));
      claim = await run.report(claim.from, results, width);
    }
  }
}

countCalls(Run.prototype, ["start", "report"]);
countCalls(Puller.prototype, ["pull"]);

/** One width per puller: 100 in flight at 6 each are sixteen pullers of 6 and one of 4. */
function widthsOf({ inFlight, width }: Job): number[] {
  return Array.from({ length: Math.ceil(inFlight / width) }, (_, index) => Math.min(width, inFlight - index * width));
}

function itemsOf({ from, to }: Claim): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index);
}

async function execute(item: number, execMs: number): Promise<number> {
  if (execMs > 0) await scheduler.wait(execMs);
  return item;
}

export default {
  async fetch(request: Request): Promise<Response> {
    const url = new URL(request.url);
    if (url.pathname === "/meter") return answerMeter(url);
    const id = crypto.randomUUID();
    const results = await objects.Run.getByName(id).start(id, await request.json<Job>());
    return Response.json({ results });
  },
};
