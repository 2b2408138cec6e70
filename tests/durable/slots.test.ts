import { beforeEach, describe, expect, it } from "vitest";
import type { Order } from "../../src/durable/protocol.ts";
import { HandRun } from "./executor.ts";
import { resultsOf, tasks } from "./flows.ts";
import { newStage } from "./stage.ts";
import { call, crash, finished, getRun, runOf, storedOutput } from "./support.ts";

beforeEach(() => {
  newStage();
});

/** Ten items, of which an executor holds four and the run eight. */
async function tenItems(flow: "by hand" | "by hand, queue" = "by hand") {
  const run = await HandRun.start(flow, tasks(10));
  const [first, second] = await run.orders(2);
  if (!first || !second) throw new Error("Expected two orders");
  return { run, first, second };
}

async function attemptsOf(id: string): Promise<number[]> {
  const { items } = await (await call(`/runs/${id}/items`)).json<{ items: { attempts: number }[] }>();
  return items.map(({ attempts }) => attempts);
}

describe("an executor that enters", () => {
  it("gets as many items as it may hold, and the next as it reports, until the run has no more", async () => {
    const { run, first, second } = await tenItems();
    const one = await run.entered(first, "one");
    const two = await run.entered(second, "two");
    expect([one.given, two.given]).toEqual([
      [0, 1, 2, 3],
      [4, 5, 6, 7],
    ]);
    await one.report({ done: [1, 3] });
    expect(one.given).toEqual([8, 9]);
    await two.report({ done: [7] });
    expect(two.last).toMatchObject({ items: [], isDone: false, isStopped: false });
    await two.report({ done: [4, 5, 6] });
    expect(two.last).toMatchObject({ items: [], isDone: true, isStopped: false });
    await one.report({ done: [0, 2, 8, 9] });
    expect(await finished(run.id)).toMatchObject({ status: "completed", executions: 10, executors: 2 });
    expect(await storedOutput(run.id)).toMatchObject({ results: resultsOf(10), posts: 1 });
  });

  it("gets the same answer when it enters twice by one name: the first may have been lost", async () => {
    const { run, first } = await tenItems();
    const replies = [await run.enter(first, "one"), await run.enter(first, "one")];
    expect(replies[1]).toEqual(replies[0]);
    expect((await getRun(run.id)).executions).toBe(4);
  });

  it("is refused while the run is paused, and is called anew as soon as that goes on, not when it has been missed", async () => {
    const { run, first } = await tenItems();
    const ask = (what: string) => call(`/runs/${run.id}/${what}`, { method: "POST" });
    expect((await ask("pause")).status).toBe(202);
    expect(await run.enter(first, "one")).toBeNull();
    const before = (await run.orders(2)).length;
    expect((await ask("resume")).status).toBe(202);
    // A wake that is not answered is sent again after ten seconds.
    await expect.poll(async () => (await run.orders(2)).length, { timeout: 5_000 }).toBeGreaterThan(before);
    expect((await run.entered(first, "one")).given).toEqual([0, 1, 2, 3]);
  });

  it("takes an object's slot over from an earlier entry, which must be dead, and with it what that held", async () => {
    const { run, first } = await tenItems();
    const dead = await run.entered(first, "one");
    const next = await run.entered(first, "two");
    expect(next.fence).toBe(dead.fence + 1);
    expect(next.given).toEqual([0, 1, 2, 3]);
    expect((await getRun(run.id)).executions).toBe(8);
    expect(await attemptsOf(run.id)).toEqual(Array(10).fill(0));
  });

  it("is refused a queue's slot by the same delivery of its message, and not by the next", async () => {
    const { run, first } = await tenItems("by hand, queue");
    const alive = await run.entered(first, "one", 1);
    expect(await run.enter(first, "two", 1)).toBeNull();
    await alive.report({ done: [0] });
    expect(alive.last.isStopped).toBe(false);
    const again = await run.entered(first, "two", 2);
    expect(again.given).toEqual([1, 2, 3, 4]);
  });

  it("is refused where it answers no order of now, or is of another flow", async () => {
    const { run, first, second } = await tenItems();
    expect(await run.enter({ ...first, wake: first.wake + 1 }, "one")).toBeNull();
    expect(await run.enter({ ...first, slot: 99 }, "one")).toBeNull();
    expect(await run.enter(first, "one", 1, '{"root":"Other"}')).toBeNull();
    const one = await run.entered(first, "one");
    await one.report({ done: [0, 1, 2, 3], isClaiming: false });
    expect(await run.enter(first, "two")).toBeNull();
    await call(`/runs/${run.id}/cancel`, { method: "POST" });
    expect(await run.enter(second, "two")).toBeNull();
    expect(await runOf(run.id).enter({ slot: 0, wake: 1, delivery: 1, entry: "late" }, "")).toBeNull();
  });
});

describe("an executor that reports", () => {
  it("under an old fence: its successes count once, its failures never, and it gets no more", async () => {
    const { run, first } = await tenItems();
    const stale = await run.entered(first, "one");
    const current = await run.entered(first, "two");
    const reply = await stale.report({ done: [0], failed: [1, 2] });
    expect(reply).toMatchObject({ isStopped: true, isDone: false, items: [] });
    expect((await getRun(run.id)).items).toMatchObject({ succeeded: 1, deferred: 0, running: 3, failed: 0 });
    await current.report({ done: [0, 1] });
    expect((await getRun(run.id)).items).toMatchObject({ succeeded: 2 });
    expect(await attemptsOf(run.id)).toEqual([1, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    expect(current.given).toEqual([4, 5]);
  });

  it("twice, since the answer was lost: the new items come again, and nothing counts twice", async () => {
    const { run, first } = await tenItems();
    const one = await run.entered(first, "one");
    const lost = await one.unheard({ done: [0, 1], failed: [2] });
    expect(lost.items.map(({ index }) => index)).toEqual([4, 5, 6]);
    await one.report({ done: [0, 1], failed: [2] });
    expect(one.given).toEqual([4, 5, 6]);
    const { items, executions } = await getRun(run.id);
    expect(items).toMatchObject({ succeeded: 2, deferred: 1, running: 4 });
    expect(executions).toBe(7);
    expect(await attemptsOf(run.id)).toEqual([1, 1, 1, 0, 0, 0, 0, 0, 0, 0]);
  });

  it("twice a success after which its slot was given up: it is told to stop, and nothing is lost", async () => {
    const run = await HandRun.start("by hand", tasks(2));
    const [order] = await run.orders(1);
    const one = await run.entered(order as Order, "one");
    const lost = await one.unheard({ done: [0, 1] });
    expect(lost.isDone).toBe(true);
    expect(await one.report({ done: [0, 1] })).toMatchObject({ isStopped: true, items: [] });
    expect((await finished(run.id)).items).toMatchObject({ succeeded: 2, failed: 0 });
  });

  it("of an item that it does not hold: a success counts, a failure does not", async () => {
    const { run, first, second } = await tenItems();
    const one = await run.entered(first, "one");
    const two = await run.entered(second, "two");
    await one.report({ done: [4], failed: [5] });
    await two.report({ done: [4, 5] });
    expect((await getRun(run.id)).items).toMatchObject({ succeeded: 2, failed: 0, deferred: 0 });
    expect(await attemptsOf(run.id)).toEqual([0, 0, 0, 0, 1, 1, 0, 0, 0, 0]);
  });

  it("of steps and items that there are not: nothing happens", async () => {
    const { run, first } = await tenItems();
    const one = await run.entered(first, "one");
    await one.report({ done: [99], failed: [98] });
    expect((await getRun(run.id)).items).toMatchObject({ total: 10, succeeded: 0, running: 4 });
  });

  it("that it takes no more: it leaves when it holds nothing, and the slot is called anew", async () => {
    const { run, first } = await tenItems();
    const one = await run.entered(first, "one");
    await one.report({ done: [0, 1, 2, 3], isClaiming: false });
    expect(one.last).toMatchObject({ items: [], isDone: true });
    const again = (await run.orders(3))[2] as Order;
    expect(again).toMatchObject({ slot: first.slot, wake: first.wake + 1 });
    const next = await run.entered(again, "next");
    expect(next.given).toEqual([4, 5, 6, 7]);
    await next.report({ done: [4], isClaiming: false });
    expect(next.last).toMatchObject({ items: [], isDone: false, isStopped: false });
  });

  it("to a run whose object was lost meanwhile: it goes on as if nothing had been", async () => {
    const { run, first, second } = await tenItems();
    const one = await run.entered(first, "one");
    await crash(runOf(run.id));
    await one.report({ done: [0, 1, 2, 3] });
    expect(one.given).toEqual([4, 5, 6, 7]);
    await crash(runOf(run.id));
    const two = await run.entered(second, "two");
    await crash(runOf(run.id));
    await two.report({ done: two.given });
    await one.report({ done: one.given });
    expect(await finished(run.id)).toMatchObject({ status: "completed", executions: 10 });
  });
});

describe("after a cancel", () => {
  it("no item is handed out any more, and what is in exec is told to stop", async () => {
    const { run, first, second } = await tenItems();
    const one = await run.entered(first, "one");
    expect((await call(`/runs/${run.id}/cancel`, { method: "POST" })).status).toBe(202);
    expect(await run.enter(second, "two")).toBeNull();
    await one.report({ done: [0], failed: [1] });
    expect(one.last).toMatchObject({ items: [], isStopped: true });
    const { status, items, executions } = await getRun(run.id);
    expect(status).toBe("canceled");
    expect(items).toMatchObject({ total: 10, succeeded: 1, failed: 0, canceled: 9, running: 0 });
    expect(executions).toBe(4);
  });
});
