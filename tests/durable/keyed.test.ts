import { beforeEach, describe, expect, it } from "vitest";
import { atRest, begun, change, inExec, itemsOf, limitOf, look, newKey, seen } from "./limited.ts";
import { type LimitedTask, limitedTasks } from "./limited-flows.ts";
import { newStage, type Stage } from "./stage.ts";
import { crash, finished, runOf, start, storedOutput } from "./support.ts";

let stage: Stage;
let blocked: string;
let free: string;
beforeEach(() => {
  stage = newStage();
  blocked = newKey();
  free = newKey();
});

/** Tasks of two keys in turn, those of the first before each of the second. */
function mixed(count: number, ofFree: Partial<LimitedTask> = {}): LimitedTask[] {
  return limitedTasks(2 * count).map((task) =>
    task.n < count ? { ...task, key: blocked } : { ...task, key: free, ...ofFree },
  );
}

function numbers(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, at) => first + at);
}

describe("the items of a key that has to wait", () => {
  it("hold up none of another key, though they are more than the node's concurrency", async () => {
    const { id } = await start("on hourly, narrow", { tasks: mixed(8) });
    // Three of each key may begin, whichever come first.
    const waiting = await seen(id, { status: "waiting", items: { succeeded: 6, running: 0 } });
    expect(begun(blocked)).toEqual([0, 1, 2]);
    expect(begun(free)).toEqual([8, 9, 10]);
    expect(waiting.items.deferred).toBe(4);
    await change("hourly", free, { requests: 100 });
    await seen(id, { status: "waiting", items: { succeeded: 11, deferred: 2, pending: 3 } });
    expect(begun(free)).toEqual(numbers(8, 8));
    expect(begun(blocked)).toEqual([0, 1, 2]);
    await change("hourly", blocked, { requests: 100 });
    expect(await finished(id)).toMatchObject({ status: "completed", executions: 16 });
    expect(begun(blocked)).toEqual(numbers(0, 8));
    expect(await storedOutput(id)).toMatchObject({ results: numbers(0, 16).map((n) => 10 * n), posts: 1 });
    await atRest("hourly", blocked);
    await atRest("hourly", free);
  });

  it("are found waiting when the run's object is lost, and nothing is lost or executed twice", async () => {
    const { id } = await start("on hourly, narrow", { tasks: mixed(6, { gate: "free" }) });
    await stage.heard(`start ${free}`, 2);
    await seen(id, { items: { succeeded: 3, running: 2 } });
    await crash(runOf(id));
    await seen(id, { items: { total: 12, succeeded: 3, running: 2 } });
    stage.open("free");
    await seen(id, { status: "waiting", items: { succeeded: 6, running: 0 } });
    await crash(runOf(id));
    await change("hourly", blocked, { requests: 100 });
    await change("hourly", free, { requests: 100 });
    expect(await finished(id)).toMatchObject({ status: "completed", executions: 12 });
    expect((await itemsOf(id)).map(({ attempts }) => attempts)).toEqual(Array(12).fill(1));
    expect(await storedOutput(id)).toMatchObject({ results: numbers(0, 12).map((n) => 10 * n), posts: 1 });
    expect([...begun(blocked)].sort((a, b) => a - b)).toEqual(numbers(0, 6));
    expect([...begun(free)].sort((a, b) => a - b)).toEqual(numbers(6, 6));
    await atRest("hourly", blocked);
    await atRest("hourly", free);
  });

  it("that get their permits all at once are in exec no more at once than the node says", async () => {
    const ungated = new Set([0, 1, 2, 8, 9, 10]);
    const tasks = mixed(8).map((task) => (ungated.has(task.n) ? task : { ...task, gate: "go" }));
    const { id } = await start("on hourly, narrow", { tasks });
    await seen(id, { status: "waiting", items: { succeeded: 6, deferred: 4 } });
    await Promise.all([change("hourly", blocked, { requests: 100 }), change("hourly", free, { requests: 100 })]);
    await seen(id, { items: { running: 2 } });
    const inFlight = async (key: string) => (await limitOf("hourly", key)).inFlight;
    // What the node has no room for is given back.
    await expect.poll(async () => (await inFlight(blocked)) + (await inFlight(free))).toBe(2);
    expect(inExec(blocked) + inExec(free)).toBe(2);
    stage.open("go");
    expect(await finished(id)).toMatchObject({ status: "completed", executions: 16 });
    for (const key of [blocked, free]) expect(await atRest("hourly", key)).toMatchObject({ used: { requests: 8 } });
  });

  it("wait each for its own key in many keys", async () => {
    const keys = Array.from({ length: 12 }, newKey);
    const tasks = limitedTasks(60).map((task) => ({ ...task, key: keys[task.n % 12] as string }));
    const { id } = await start("on lane", { tasks });
    expect(await finished(id)).toMatchObject({ status: "completed", executions: 60 });
    for (const [at, key] of keys.entries()) {
      expect(begun(key)).toEqual(numbers(0, 5).map((row) => 12 * row + at));
      await atRest("lane", key);
    }
    expect(await limitOf("lane", keys[0] as string)).toMatchObject({ used: { requests: 5 } });
    expect(await look(id)).toMatchObject({ items: { succeeded: 60 } });
  });
});
