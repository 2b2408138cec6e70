import { runDurableObjectAlarm } from "cloudflare:test";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Order } from "../../src/durable/protocol.ts";
import type { ItemView } from "../../src/durable/view.ts";
import { Clock, HandExecutor, HandRun } from "./executor.ts";
import { resultsOf, tasks } from "./flows.ts";
import { newStage } from "./stage.ts";
import { call, crash, getRun, inRun, type Run, runOf, storedOutput } from "./support.ts";

const ITEMS = 7;
const MAX_RETRIES = 3;
const TERMINAL = ["succeeded", "failed", "canceled"];

/** What may happen next to a run that is executed by hand. `who` and `which` pick among what there is. */
const happenings = fc.array(
  fc.record({
    what: fc.constantFrom("enter", "enter", "report", "report", "report", "lost answer", "leave", "crash", "beat"),
    who: fc.nat(9),
    done: fc.nat(127),
    failed: fc.nat(127),
  }),
  { minLength: 5, maxLength: 25 },
);

let clock: Clock;
beforeEach(() => {
  newStage();
  clock = new Clock();
});
afterEach(() => {
  vi.restoreAllMocks();
});

class History {
  readonly #run: HandRun;
  readonly #executors: HandExecutor[] = [];
  #settled: ItemView[] = [];
  #entries = 0;

  constructor(run: HandRun) {
    this.#run = run;
  }

  async happen({ what, who, done, failed }: { what: string; who: number; done: number; failed: number }) {
    if (what === "crash") return crash(runOf(this.#run.id));
    if (what === "beat") return this.beat();
    if (what === "enter") return this.enter(who);
    const executor = this.#executors[who % Math.max(1, this.#executors.length)];
    if (!executor) return;
    const told = { done: pick(executor, done), failed: pick(executor, failed & ~done), isClaiming: what !== "leave" };
    await (what === "lost answer" ? executor.unheard(told) : executor.report(told));
  }

  async beat(): Promise<void> {
    clock.forward(4000);
    await runDurableObjectAlarm(runOf(this.#run.id));
  }

  /** Some order is answered, late or twice as it may be. */
  async enter(who: number): Promise<void> {
    const orders = await this.#run.orders(1);
    await this.#enter(orders[orders.length - 1 - (who % orders.length)] as Order);
  }

  async #enter(order: Order): Promise<HandExecutor | undefined> {
    const reply = await this.#run.enter(order, `entry ${++this.#entries}`, this.#entries);
    if (!reply) return undefined;
    const executor = new HandExecutor(this.#run.id, order, reply);
    this.#executors.push(executor);
    return executor;
  }

  /** An order is answered as it should be. */
  async #answer(order: Order): Promise<void> {
    const executor = await this.#enter(order);
    for (let reports = 0; executor && executor.given.length > 0 && reports < ITEMS; reports++) {
      await executor.report({ done: executor.given });
    }
  }

  /** What must hold whatever has happened. */
  async check(): Promise<Run> {
    const run = await getRun(this.#run.id);
    const response = await call(`/runs/${this.#run.id}/items`);
    const { items } = await response.json<{ items: ItemView[] }>();
    const { total, ...counts } = run.items;
    const tally = Object.fromEntries(
      Object.keys(counts).map((status) => [status, items.filter((item) => item.status === status).length]),
    );
    expect([items.length, tally]).toEqual([total, counts]);
    expect(total).toBe(ITEMS);
    for (const { attempts } of items) expect(attempts).toBeLessThanOrEqual(MAX_RETRIES);
    expect(items).toEqual(expect.arrayContaining(this.#settled));
    this.#settled = items.filter(({ status }) => status === "succeeded" || status === "failed");
    if (run.finishedAt === null) expect(await inRun(run.id, (storage) => storage.getAlarm())).not.toBeNull();
    else for (const { status } of items) expect(TERMINAL).toContain(status);
    return run;
  }

  /** From now on all goes well: the run must come to its end. */
  async toEnd(): Promise<Run> {
    for (let times = 0; times < 60; times++) {
      // A run's timers ring only where its callers leave it a moment.
      await scheduler.wait(1);
      const run = await this.check();
      if (run.finishedAt !== null) return run;
      await this.beat();
      const slots = new Map((await this.#run.orders(1)).map((order) => [order.slot, order]));
      for (const order of slots.values()) await this.#answer(order);
    }
    throw new Error("Expected the run to end");
  }
}

function pick({ hand }: HandExecutor, mask: number): number[] {
  return [...hand.keys()].filter((index) => mask & (1 << index));
}

describe("whatever happens to a run and its executors", () => {
  it("counts add up, what is settled stays, an alarm is set, attempts are bounded, and it ends", async () => {
    await fc.assert(
      fc.asyncProperty(happenings, async (sequence) => {
        const run = await HandRun.start("by hand, few", tasks(ITEMS));
        await run.orders(1);
        const history = new History(run);
        for (const happening of sequence) {
          await history.happen(happening);
          await history.check();
        }
        const { status, error } = await history.toEnd();
        if (status === "completed")
          expect(await storedOutput(run.id)).toMatchObject({ results: resultsOf(ITEMS), posts: 1 });
        else expect(["Error", "ExecutorLost"]).toContain(error?.name);
      }),
      { numRuns: 25 },
    );
  }, 60_000);
});
