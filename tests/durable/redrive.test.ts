import { beforeEach, describe, expect, it } from "vitest";
import { newWorld, type World } from "./failing.ts";
import { call, finished, getRun, post, type Run, ran, resultLines } from "./support.ts";

let world: World;
beforeEach(() => {
  world = newWorld();
});

async function redriven(id: string): Promise<Run> {
  const response = await post(`/runs/${id}/retry`);
  expect(response.status).toBe(202);
  return finished(id);
}

/** The same flow, where nothing ever failed. */
async function unharmed(flow: string, input: object): Promise<Run> {
  world.broken.clear();
  world.brokenHooks.clear();
  return ran(flow, input);
}

describe("a redrive", () => {
  it("executes the 37 of 1,000 items that failed, and gives what a run gives in which nothing failed", async () => {
    for (let n = 0; n < 37; n++) world.broken.add(n * 27);
    const first = await ran("collecting", { count: 1000 });
    expect(first).toMatchObject({ status: "completed", completionReason: "failures-tolerated", redriveCount: 0 });
    expect(first.items).toMatchObject({ total: 1001, succeeded: 964, failed: 37 });
    const broken = [...world.broken];
    world.broken.clear();
    world.calls.length = 0;
    const second = await redriven(first.id);
    expect(world.callsOf("Collecting").sort((a, b) => a - b)).toEqual(broken);
    const whole = await unharmed("collecting", { count: 1000 });
    expect(second.output).toEqual(whole.output);
    expect(second).toMatchObject({
      status: "completed",
      completionReason: "all-succeeded",
      redriveCount: 1,
      redrives: [{ status: "completed", completionReason: "failures-tolerated", failed: 37 }],
    });
    expect(second.items).toEqual(whole.items);
    expect(await resultLines(second.id)).toEqual(await resultLines(whole.id));
    expect((await post(`/runs/${first.id}/retry`)).status).toBe(409);
  });

  it("of a batch that fails with its first failure executes what has no result", async () => {
    world.broken.add(500);
    const first = await ran("strict", { count: 1000 });
    expect(first).toMatchObject({ status: "failed", completionReason: "item-failed", error: { index: 500 } });
    const { succeeded } = first.items;
    world.broken.clear();
    world.calls.length = 0;
    const second = await redriven(first.id);
    expect(second).toMatchObject({ status: "completed", completionReason: "all-succeeded", redriveCount: 1 });
    expect(world.callsOf("Strict")).toHaveLength(1000 - succeeded);
    expect(second.output).toEqual((await unharmed("strict", { count: 1000 })).output);
  });

  it.each(["collecting branches", "collecting branches in turn"])("of %s goes on where they failed", async (flow) => {
    for (const n of [3, 7]) world.broken.add(n);
    for (const n of [4, 9]) world.brokenHooks.add(n);
    const first = await ran(flow, { count: 12 });
    expect(first).toMatchObject({ status: "completed", completionReason: "failures-tolerated" });
    expect((first.output as { results: unknown[] }).results).toEqual([
      1,
      2,
      3,
      "Error: item 3 is broken",
      "Error: hook 4 is broken",
      6,
      7,
      "Error: item 7 is broken",
      9,
      "Error: hook 9 is broken",
      11,
      12,
    ]);
    world.broken.clear();
    world.brokenHooks.clear();
    world.calls.length = 0;
    const second = await redriven(first.id);
    expect(world.callsOf("Load").sort()).toEqual([3, 7]);
    expect(world.callsOf("Save").sort()).toEqual([3, 4, 7, 9]);
    const whole = await unharmed(flow, { count: 12 });
    expect((second.output as { results: unknown[] }).results).toEqual((whole.output as { results: unknown[] }).results);
    expect(second).toMatchObject({ completionReason: "all-succeeded", items: { ...whole.items } });
  });

  it("pauses, resumes and deletes", async () => {
    const { id } = await ran("collecting", { count: 3 });
    expect((await post(`/runs/${id}/pause`)).status).toBe(409);
    expect((await call(`/runs/${id}`, { method: "DELETE" })).status).toBe(204);
    expect((await call(`/runs/${id}`)).status).toBe(404);
    expect((await call(`/runs/${id}`, { method: "DELETE" })).status).toBe(404);
    void getRun;
  });
});
