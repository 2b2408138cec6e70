import { createExecutionContext, createMessageBatch, getQueueResult } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import type { Order } from "../../src/durable/protocol.ts";
import { keyedRunId } from "../../src/http/ids.ts";
import { resultsOf, tasks } from "./flows.ts";
import { newStage, type Stage } from "./stage.ts";
import { call, crash, finished, getRun, inRun, rows, runOf, start, storedOutput } from "./support.ts";
import worker from "./worker.ts";

let stage: Stage;
beforeEach(() => {
  stage = newStage();
});

/** What becomes of messages of the queue, by their number. */
async function deliver(bodies: unknown[], attempts = 1) {
  const batch = createMessageBatch(
    "executions",
    bodies.map((body, index) => ({ id: String(index), timestamp: new Date(), attempts, body })),
  );
  await worker.queue(batch);
  const { explicitAcks, retryMessages } = await getQueueResult(batch, createExecutionContext());
  return { acked: explicitAcks, retried: retryMessages.map(({ msgId }) => msgId) };
}

async function orderFor(run: string, flow: string): Promise<Order> {
  const [slot] = await rows<{ id: number; wake: number }>(run, "select id, wake from slot where state = 'live'");
  return { run, flow, slot: slot?.id ?? -1, wake: slot?.wake ?? -1 };
}

describe("a run that is executed by a queue's consumer", () => {
  it("ends as one that is executed by objects does", async () => {
    const { id } = await start("by queue", { tasks: tasks(40) });
    const run = await finished(id);
    expect(run).toMatchObject({ status: "completed", executions: 40, items: { succeeded: 40 } });
    expect(run.executors).toBeGreaterThan(1);
    expect(await storedOutput(id)).toMatchObject({ results: resultsOf(40), posts: 1 });
  });

  it("goes on when its object is lost, and repeats nothing", async () => {
    const { id } = await start("by queue", { tasks: tasks(20, { gate: "go" }) });
    await stage.heard("start", 16);
    await crash(runOf(id));
    stage.open("go");
    expect(await finished(id)).toMatchObject({ status: "completed", executions: 20 });
  });

  it("gives way to another run, though it has work left", async () => {
    const { id: long } = await start("by queue", { tasks: tasks(3000, { gate: "go", patienceMs: 30 }) });
    await stage.heard("start");
    const { id: short } = await start("by queue", { tasks: tasks(20) });
    expect(await finished(short)).toMatchObject({ status: "completed" });
    expect(await getRun(long)).toMatchObject({ status: "running" });
    stage.open("go");
    expect(await finished(long)).toMatchObject({ status: "completed", executions: 3000 });
  }, 30_000);
});

describe("a queue message", () => {
  it("that comes twice is acknowledged and does nothing", async () => {
    const { id } = await start("by queue", { tasks: tasks(4, { gate: "go" }) });
    await stage.heard("start", 4);
    const order = await orderFor(id, "by queue");
    expect(await deliver([order, order])).toEqual({ acked: ["0", "1"], retried: [] });
    await env.EXECUTIONS?.send(order);
    stage.open("go");
    expect(await finished(id)).toMatchObject({ status: "completed", executions: 4 });
    expect(await deliver([order])).toEqual({ acked: ["0"], retried: [] });
  });

  it("that comes again because its invocation died takes over what that held, at once", async () => {
    const { id } = await start("by queue", { tasks: tasks(4, { gate: "go" }) });
    await stage.heard("start", 4);
    const order = await orderFor(id, "by queue");
    const again = deliver([order], 2);
    await stage.heard("start", 8);
    stage.open("go");
    expect(await again).toEqual({ acked: ["0"], retried: [] });
    const run = await finished(id);
    expect(run).toMatchObject({ status: "completed", executions: 8, items: { succeeded: 4 }, output: { posts: 1 } });
  });

  it("for a run that was never started is acknowledged, and stores nothing", async () => {
    const run = await keyedRunId("by queue", "nobody");
    expect(await deliver([{ run, flow: "by queue", slot: 0, wake: 1 }])).toEqual({ acked: ["0"], retried: [] });
    expect((await call(`/runs/${run}`)).status).toBe(404);
    expect(await inRun(run, (storage) => storage.getAlarm())).toBeNull();
  });

  it.each<[string, unknown]>([
    ["of another kind", "nonsense"],
    ["of no kind", null],
    ["with half an order", { run: "r", flow: "by queue", slot: 0 }],
  ])("%s is left to the queue's own handler; one among ours is delivered again", async (_, body) => {
    expect(await deliver([body, body])).toEqual({ acked: [], retried: [] });
    const order = { run: await keyedRunId("by queue", "nobody"), flow: "by queue", slot: 0, wake: 1 };
    expect(await deliver([body, order])).toEqual({ acked: ["1"], retried: ["0"] });
  });

  it("for a flow of another Worker is left for whom it is meant, not acknowledged", async () => {
    const order = { run: "r", flow: "elsewhere", slot: 0, wake: 1 };
    expect(await deliver([order])).toEqual({ acked: [], retried: ["0"] });
  });
});
