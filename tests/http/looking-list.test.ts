import { evictDurableObject } from "cloudflare:test";
import { beforeEach, expect, it } from "vitest";
import { tasks } from "../durable/flows.ts";
import { newStage, type Stage } from "../durable/stage.ts";
import { call, finished, post, ran, start } from "../durable/support.ts";
import { rowOf, summaryOf, theIndex } from "./client.ts";
import { Onlooker } from "./onlooker.ts";

interface ListNews {
  runs: { id: string; status: string }[];
  removed?: string[];
}

const lookAtList = () => Onlooker.at<ListNews>("/runs/live");

let stage: Stage;
beforeEach(() => {
  stage = newStage();
});

/** What was told of a run, the latest last. */
function toldOf({ messages }: Onlooker<ListNews>, id: string): ListNews["runs"] {
  return messages.flatMap(({ runs }) => runs.filter((run) => run.id === id));
}

it("tells of a run that is new, of its end, and that it was deleted", async () => {
  const onlooker = await lookAtList();
  expect(onlooker.messages[0]).toEqual({ runs: [] });
  const { id } = await start("single", { tasks: tasks(1, { gate: "go" }) });
  await expect.poll(() => toldOf(onlooker, id).at(-1)).toMatchObject({ id, status: "running" });
  stage.open("go");
  const run = await finished(id);
  await expect.poll(() => toldOf(onlooker, id).at(-1)).toEqual(summaryOf(run));
  expect(toldOf(onlooker, id).at(-1)).toEqual(await rowOf(run));
  expect((await call(`/runs/${id}`, { method: "DELETE" })).status).toBe(204);
  await expect.poll(() => onlooker.messages.some(({ removed = [] }) => removed.includes(id))).toBe(true);
  onlooker.leave();
});

it("tells what has changed together", async () => {
  const onlooker = await lookAtList();
  const startedMs = Date.now();
  const runs = await Promise.all(Array.from({ length: 30 }, () => start("work", { tasks: tasks(1) })));
  for (const { id } of runs) await finished(id);
  for (const { id } of runs) {
    await expect.poll(() => toldOf(onlooker, id).at(-1)?.status).toBe("completed");
  }
  expect(onlooker.messages.length).toBeLessThanOrEqual(3 + (Date.now() - startedMs) / 250);
  onlooker.leave();
});

it("tells all who look on, and nobody anything when another one comes", async () => {
  const onlookers = [await lookAtList(), await lookAtList()];
  await scheduler.wait(400);
  const before = onlookers.map(({ messages }) => messages.length);
  onlookers.push(await lookAtList());
  await scheduler.wait(400);
  expect(onlookers.slice(0, 2).map(({ messages }) => messages.length)).toEqual(before);
  const { id } = await ran("work", { tasks: tasks(1) });
  for (const each of onlookers) await expect.poll(() => toldOf(each, id).at(-1)?.status).toBe("completed");
  for (const each of onlookers) each.leave();
});

it("goes on where the list's object was away, and answers a ping meanwhile", async () => {
  const onlooker = await lookAtList();
  await evictDurableObject(theIndex());
  onlooker.socket.send("ping");
  await expect.poll(() => onlooker.words).toEqual(["pong"]);
  const { id } = await ran("work", { tasks: tasks(1) });
  await expect.poll(() => toldOf(onlooker, id).at(-1)?.status).toBe("completed");
  onlooker.leave();
});

it("tells a newcomer nothing of what was noted for one who has left", async () => {
  const first = await lookAtList();
  const { id } = await start("single", { tasks: tasks(1, { gate: "go" }) });
  await expect.poll(async () => (await rowOf({ id, flow: "single" }))?.status, { interval: 2 }).toBe("running");
  first.leave();
  stage.open("go");
  await finished(id);
  await expect.poll(async () => (await rowOf({ id, flow: "single" }))?.status).toBe("completed");
  await scheduler.wait(300);
  const second = await lookAtList();
  await ran("work", { tasks: tasks(1) });
  await scheduler.wait(600);
  expect(toldOf(second, id).filter(({ status }) => status !== "completed")).toEqual([]);
  second.leave();
});

it("takes no run for the word `live`", async () => {
  expect((await call("/runs/live")).status).toBe(426);
  expect((await post("/runs/live/cancel")).status).toBe(404);
});
