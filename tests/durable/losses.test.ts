import { runDurableObjectAlarm } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Order } from "../../src/durable/protocol.ts";
import { Clock, type HandExecutor, HandRun } from "./executor.ts";
import { tasks } from "./flows.ts";
import { newStage } from "./stage.ts";
import { crash, finished, getRun, inRun, runOf } from "./support.ts";

let clock: Clock;
beforeEach(() => {
  newStage();
  clock = new Clock();
});
afterEach(() => {
  vi.restoreAllMocks();
});

async function countOf(run: HandRun): Promise<object> {
  return (await getRun(run.id)).items;
}

describe("an executor that is heard no more", () => {
  it("loses its items after a lease, and they are pending at once: a loss is no attempt", async () => {
    const run = await HandRun.start("by hand", tasks(4));
    const [order] = (await run.orders(1)) as [Order];
    const lost = await run.entered(order, "one");
    await clock.pass(run.id, 8000);
    expect(await countOf(run)).toMatchObject({ running: 4, pending: 0 });
    await clock.pass(run.id, 4000);
    expect(await countOf(run)).toMatchObject({ running: 0, pending: 4 });
    const [, again] = (await run.orders(2)) as [Order, Order];
    expect(again).toMatchObject({ slot: order.slot, wake: 2 });
    const next = await run.entered(again, "two");
    expect([...next.hand]).toEqual([...lost.hand]);
    await lost.report({ done: [0], failed: [1] });
    expect(lost.last.isStopped).toBe(true);
    expect(await countOf(run)).toMatchObject({ running: 3, succeeded: 1, deferred: 0 });
  });

  it("keeps them as long as it reports, be it nothing", async () => {
    const run = await HandRun.start("by hand", tasks(4));
    const executor = await run.entered((await run.orders(1))[0] as Order, "one");
    for (let times = 0; times < 6; times++) {
      await clock.pass(run.id, 4000);
      await executor.report();
    }
    expect(await countOf(run)).toMatchObject({ running: 4 });
    expect((await getRun(run.id)).executions).toBe(4);
  });

  it("has a moment to be heard again where the run's object was away itself", async () => {
    const run = await HandRun.start("by hand", tasks(4));
    await run.entered((await run.orders(1))[0] as Order, "one");
    clock.forward(60_000);
    await runDurableObjectAlarm(runOf(run.id));
    expect(await countOf(run)).toMatchObject({ running: 4 });
    await crash(runOf(run.id));
    clock.forward(60_000);
    expect(await countOf(run)).toMatchObject({ running: 4 });
    await clock.pass(run.id, 8000);
    expect(await countOf(run)).toMatchObject({ running: 0, pending: 4 });
  });
});

describe("an order that nobody answers", () => {
  it.each(["by hand", "by hand, queue"] as const)("is sent again after a lease, as it was: %s", async (flow) => {
    const run = await HandRun.start(flow, tasks(4));
    const [order] = await run.orders(1);
    await clock.pass(run.id, 8000);
    expect(await run.orders(1)).toHaveLength(1);
    await clock.pass(run.id, 4000);
    expect(await run.orders(2)).toEqual([order, order]);
  });

  it("is sent again as soon as the run's object was lost", async () => {
    const run = await HandRun.start("by hand", tasks(4));
    const [order] = await run.orders(1);
    await crash(runOf(run.id));
    await getRun(run.id);
    expect(await run.orders(2)).toEqual([order, order]);
  });

  it("is answered by one executor only, however often it was sent", async () => {
    const run = await HandRun.start("by hand, queue", tasks(4));
    const [order] = (await run.orders(1)) as [Order];
    await clock.pass(run.id, 12_000);
    await run.orders(2);
    await run.entered(order, "one");
    expect(await run.enter(order, "two")).toBeNull();
  });
});

describe("a deferred item", () => {
  it("holds no place, and is handed out again when it is due, with what it has behind it", async () => {
    const run = await HandRun.start("by hand", tasks(4));
    const one = await run.entered((await run.orders(1))[0] as Order, "one");
    await one.report({ done: [0, 1, 2], failed: [3] });
    expect(one.last.isDone).toBe(true);
    expect(await getRun(run.id)).toMatchObject({ status: "waiting", items: { deferred: 1, succeeded: 3 } });
    await clock.pass(run.id, 56_000);
    expect(await getRun(run.id)).toMatchObject({ status: "waiting" });
    await clock.pass(run.id, 8000);
    const two = await run.entered((await run.orders(2))[1] as Order, "two");
    expect(two.last.items).toMatchObject([{ index: 3, attempts: 1, isLast: false }]);
    await two.report({ failed: [3] });
    await clock.pass(run.id, 64_000);
    const three = await run.entered((await run.orders(3))[2] as Order, "three");
    expect(three.last.items).toMatchObject([{ index: 3, attempts: 2, isLast: true }]);
    await three.report({ failed: [3] });
    expect(await finished(run.id)).toMatchObject({ status: "failed", error: { index: 3, attempts: 3 } });
  });

  it("stays deferred when the run's object is lost", async () => {
    const run = await HandRun.start("by hand", tasks(2));
    const one = await run.entered((await run.orders(1))[0] as Order, "one");
    await one.report({ failed: [0, 1] });
    const before = await getRun(run.id);
    await crash(runOf(run.id));
    expect(await getRun(run.id)).toEqual(before);
    expect(await inRun(run.id, (storage) => storage.getAlarm())).not.toBeNull();
    await clock.pass(run.id, 64_000);
    expect((await run.entered((await run.orders(2))[1] as Order, "two")).given).toEqual([0, 1]);
  });
});

describe("an item that ends its executor whenever it runs", () => {
  /** A crash: the same wake enters once more, as an alarm does after its object was lost. */
  async function crashed(run: HandRun, order: Order, times: number): Promise<HandExecutor> {
    return run.entered(order, `after ${times} crashes`);
  }

  it("is executed alone after two losses, and fails after three more; its neighbours succeed", async () => {
    const run = await HandRun.start("by hand, at once", tasks(3));
    const [order] = (await run.orders(1)) as [Order];
    const one = await run.entered(order, "one");
    await one.report({ done: [1] });
    const two = await crashed(run, order, 1);
    expect(two.given).toEqual([0, 2]);
    const three = await crashed(run, order, 2);
    // Both are suspects now: nobody knows which of them it was.
    expect(three.given).toEqual([]);
    expect(three.last.isDone).toBe(true);
    await clock.pass(run.id, 4000);
    let latest = (await run.orders(2))[1] as Order;
    const alone = await run.entered(latest, "alone");
    expect(alone.given).toEqual([0]);
    await alone.report({ done: [0] });
    expect(alone.given).toEqual([2]);
    for (let lost = 3; lost <= 4; lost++) {
      const after = await crashed(run, latest, lost);
      expect(after.given).toEqual([]);
      await clock.pass(run.id, 8000);
      latest = (await run.orders(lost))[lost - 1] as Order;
      expect((await run.entered(latest, "alone")).given).toEqual([2]);
    }
    await crashed(run, latest, 5);
    const end = await finished(run.id);
    expect(end).toMatchObject({
      status: "failed",
      error: { name: "ExecutorLost", index: 2, attempts: 0 },
      items: { succeeded: 2, failed: 1 },
    });
    expect(end.error?.message).toContain("exec ended its executor 5 times");
  });

  it("lets others of its run go first, and shares no executor with them", async () => {
    const run = await HandRun.start("by hand", tasks(6));
    const [first, second] = (await run.orders(2)) as [Order, Order];
    await run.entered(first, "one");
    await crashed(run, first, 1);
    const three = await crashed(run, first, 2);
    // The four that were lost twice are suspects; the two others are not.
    expect(three.given).toEqual([4, 5]);
    await clock.pass(run.id, 4000);
    await three.report();
    expect(three.given).toEqual([]);
    await three.report({ done: [4, 5] });
    expect(three.given).toEqual([0]);
    expect(await run.enter(second, "other")).toMatchObject({ items: [] });
    await three.report({ done: [0] });
    expect(three.given).toEqual([1]);
  });
});
