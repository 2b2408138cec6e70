import { abortAllDurableObjects } from "cloudflare:test";
import fc from "fast-check";
import { Hono } from "hono";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Happened } from "../../src/durable/answers.ts";
import { events } from "../../src/http/events.ts";
import { keyedRunId, newRunId } from "../../src/http/ids.ts";
import { type RunStub, Runs } from "../../src/http/runs.ts";
import type { Try } from "../durable/emitting.ts";
import { newWorld, type World } from "../durable/failing.ts";
import { tasks } from "../durable/flows.ts";
import { newKey, seen } from "../durable/limited.ts";
import { limitedTasks } from "../durable/limited-flows.ts";
import { retry } from "../durable/redriving.ts";
import { newStage, type Stage } from "../durable/stage.ts";
import { call, crash, finished, getRun, inRun, post, type Run, ran, rows, runOf, start } from "../durable/support.ts";
import { type Done, Follower, followed, getEvents, type StreamEvent, told } from "./follow.ts";
import { problemOf } from "./problem.ts";

let stage: Stage;
let world: World;
beforeEach(() => {
  stage = newStage();
  world = newWorld();
});

/** A run of two items, of which one is in exec until the test has opened a gate for each of its words. */
async function speaking(...words: string[]): Promise<string> {
  const { id } = await start("emitting", { speeches: [{ words, isGated: true }, { words: [] }] });
  return id;
}

/** A run of four items, two of which are in exec until their gates are opened, `item 1` and `item 2`. */
async function halfDone(): Promise<string> {
  world.gated.add(1).add(2);
  const { id } = await start("collecting", { count: 4 });
  await seen(id, { items: { succeeded: 2, running: 2 } });
  return id;
}

/** What is told of a run while it goes on. */
function outlineOf({ output: _, ...outline }: Run): Omit<Run, "output"> {
  return outline;
}

/** A run's fields, put together from all events that say some. */
function folded(all: readonly StreamEvent[]): object {
  const states = all.filter(({ event }) => ["snapshot", "step", "progress"].includes(event));
  return Object.assign(
    {},
    ...states.map(({ data }) => data as object),
    (all.at(-1) as StreamEvent & { data: Done }).data.run,
  );
}

/** The events that are kept of a run, as they are stored. */
async function keptOf(id: string): Promise<{ id: number; body: string }[]> {
  return rows(id, "select id, body from emit order by id");
}

/** How long it took until the second comment came on a stream on which nothing else does: while the other tests run. */
let quietMs: Promise<number>;
beforeAll(() => {
  quietMs = untilSecondComment();
});

async function untilSecondComment(): Promise<number> {
  const { id } = await start("single, retried later", { tasks: [{ n: 0, failures: 1 }] });
  const sinceMs = Date.now();
  const follower = await Follower.of(id);
  expect(await follower.block()).toBe(": \n\n");
  let block = await follower.block();
  // What the run does until it rests.
  while (block?.startsWith("event: ")) block = await follower.block();
  expect(block).toBe(": \n\n");
  await follower.leave();
  return Date.now() - sinceMs;
}

const done = (status: string): StreamEvent => ({
  event: "done",
  id: null,
  data: { status, run: expect.objectContaining({ status, finishedAt: expect.any(String) }) },
});

/**
 * A client in the test's own request, between which and its run the test stands. From the front door no test would see when the
 * stream has asked, and the platform ends what a client of it has left behind.
 */
async function through(id: string, between: Partial<Pick<RunStub, "follow" | "view">>): Promise<Follower> {
  const stub = {
    follow: (after: number, pulse: number, waitMs: number) => runOf(id).follow(after, pulse, waitMs),
    view: () => runOf(id).view(),
    ...between,
  };
  const app = new Hono().get("/:id", (context) => events(context, new Runs(() => stub as unknown as RunStub)));
  return new Follower((await app.request(`/${id}`)).body as ReadableStream<Uint8Array>);
}

/** Asks the run as the stream does, and then, before the stream has its first answer, does something else. */
function thenOnce(id: string, act: () => Promise<unknown>): Pick<RunStub, "follow"> {
  let isOver = false;
  return {
    async follow(after: number, pulse: number, waitMs: number) {
      const news = await runOf(id).follow(after, pulse, waitMs);
      if (!isOver) await act();
      isOver = true;
      return news;
    },
  } as unknown as Pick<RunStub, "follow">;
}

/** Does something before the stream first looks for the run's end. */
function beforeEnd(id: string, act: () => Promise<unknown>): Pick<RunStub, "view"> {
  let isOver = false;
  return {
    async view() {
      if (!isOver) await act();
      isOver = true;
      return runOf(id).view();
    },
  } as unknown as Pick<RunStub, "view">;
}

/** A stream that waits for its next heartbeat before it tells something tells it too late. */
const PROMPT_MS = 5_000;

describe("GET /runs/:id/events", () => {
  it("streams the run, what was emitted, numbered, and ends with the whole run", async () => {
    const { id } = await ran("emitting alone", { speeches: [{ words: ["one", "two"] }] });
    const response = await getEvents(id);
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    expect(response.headers.get("cache-control")).toBe("no-cache");
    const emit = (index: number | null, data: unknown) => ({
      ...{ node: "Soliloquy", branch: "", index, data },
      at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    });
    const run = await getRun(id);
    expect(await new Follower(response.body as ReadableStream<Uint8Array>).all()).toEqual([
      { event: "snapshot", id: 0, data: outlineOf(run) },
      { event: "emit", id: 1, data: emit(0, "one") },
      { event: "emit", id: 2, data: emit(0, "two") },
      { event: "emit", id: 3, data: emit(null, 2) },
      { event: "done", id: null, data: { status: "completed", run } },
    ]);
  });

  it("puts what was emitted in as it is kept, whatever it is, on one line", async () => {
    const { id } = await ran("emitting alone", { speeches: [{ words: ["a\r\n\ndata: b\u2028"] }] });
    const follower = await Follower.of(id);
    const head = '{"node":"Soliloquy","branch":"","index":0,"at":"';
    expect(await follower.block()).toBe(": \n\n");
    expect(await follower.block()).toMatch(/^event: snapshot\ndata: \{[^\n\r]+\}\nid: 0\n\n$/);
    const block = await follower.block();
    expect(block).toMatch(/^event: emit\ndata: [^\n\r]+\nid: 1\n\n$/);
    expect(block?.slice("event: emit\ndata: ".length)).toMatch(head);
    expect(block).toContain(`Z","data":${JSON.stringify("a\r\n\ndata: b\u2028")}}\n`);
  });

  it("tells what is emitted while it goes on", async () => {
    const id = await speaking("one", "two");
    const follower = await Follower.of(id);
    await follower.hears("one");
    expect(stage.count("two")).toBe(0);
    stage.open("one");
    await follower.hears("two");
    stage.open("two");
    await follower.all();
    expect(follower.told.map(({ id }) => id)).toEqual([...Array.from(follower.emits, (_, at) => at + 1), null]);
    expect(follower.events.at(-1)).toEqual(done("completed"));
  });

  it("tells a second client the same, and each goes its own way", async () => {
    const id = await speaking("one", "two");
    const [first, second] = await Promise.all([Follower.of(id), Follower.of(id)]);
    await Promise.all([first.hears("one"), second.hears("one")]);
    stage.open("one");
    await first.hears("two");
    await first.leave();
    stage.open("two");
    await second.all();
    expect(second.told).toEqual(await told(id));
    expect(second.told.slice(0, first.told.length)).toEqual(first.told);
  });

  it.each([
    ["failed", "emitting, failing", {}, ["attempt 1", "attempt 2"]],
    ["failed", "emitting, failing post", {}, ["prep"]],
    ["completed", "work", { tasks: [] }, []],
  ])("ends with the status %s of a run of the flow `%s`", async (status, flow, input, data) => {
    const { id } = await start(flow, input);
    const follower = await Follower.of(id);
    expect((await follower.all()).at(-1)).toEqual(done(status));
    expect(follower.emits.map((emit) => emit.data)).toEqual(data);
    expect(await told(id)).toEqual(follower.told);
  });

  it("ends when the run is canceled", async () => {
    const id = await speaking("one");
    const follower = await Follower.of(id);
    await follower.hears("one");
    expect((await post(`/runs/${id}/cancel`)).status).toBe(202);
    expect((await follower.all()).at(-1)).toEqual(done("canceled"));
  });
});

describe("the run, as a stream's events put together say that it is", () => {
  it.each([
    ["work", { tasks: tasks(30) }],
    ["stages", { tasks: tasks(12, { failures: 2 }) }],
    ["collecting", { count: 12 }],
    ["strict", { count: 6 }],
    ["collecting branches", { count: 4 }],
    ["collecting in collecting branches", { branches: 3, items: 3, lists: {}, tails: {}, ends: 0 }],
    ["collecting, retried soon", { count: 5 }],
    ["emitting twice", { speeches: [{ words: ["one"] }, { words: ["two"] }] }],
    ["halting at two", {}],
  ])("is in the end the run that GET shows, of the flow `%s`", async (flow, input) => {
    world.broken.add(1).add(4);
    stage.open("first", "second");
    const { id } = await start(flow, input);
    const follower = await Follower.of(id);
    const all = await follower.all();
    const run = await getRun(id);
    expect(folded(all)).toEqual(run);
    expect(follower.run).toEqual(run);
    // Not by its end alone, which says all of it once more.
    expect(folded([...all.slice(0, -1), { event: "done", id: null, data: {} }])).toEqual(outlineOf(run));
  });

  it("is at each rest the run that GET shows", async () => {
    const id = await halfDone();
    const follower = await Follower.of(id);
    const shown = async () => {
      await follower.sees(outlineOf(await getRun(id)));
      expect(follower.run).toEqual(outlineOf(await getRun(id)));
    };
    await shown();
    await post(`/runs/${id}/pause`);
    await shown();
    stage.open("item 1");
    await seen(id, { status: "paused", items: { succeeded: 3, running: 1 } });
    await shown();
    await runOf(id).signal({ id: "1", name: "approval", body: "true", digest: null });
    await shown();
    expect(follower.run.signals).toMatchObject([{ id: "1", name: "approval" }]);
    await post(`/runs/${id}/resume`);
    await shown();
    stage.open("item 2");
    await follower.all();
    expect(follower.run).toEqual(await getRun(id));
  });

  it.each([
    ["for its next attempt", "single, retried later", { tasks: [{ n: 0, failures: 1 }] }],
    ["for a permit", "on hourly", { tasks: limitedTasks(5, { key: newKey() }) }],
  ])("says that it waits %s, and until when", async (_, flow, input) => {
    const { id } = await start(flow, input);
    const follower = await Follower.of(id);
    const waiting = await seen(id, { status: "waiting", items: { running: 0, pending: 0 } });
    expect(waiting.resumesAt).toEqual(expect.any(String));
    await follower.sees(outlineOf(waiting));
    await follower.leave();
  });

  it("is told by what has changed, the step apart", async () => {
    const { id } = await start("halting at two");
    await stage.heard("first");
    const follower = await Follower.of(id);
    await follower.sees({ step: { node: "first", phase: "post" } });
    stage.open("first");
    await follower.sees({ step: { node: "second", phase: "post" } });
    stage.open("second");
    await follower.all();
    expect(follower.steps).toContainEqual({ node: "second", phase: "post" });
    expect(follower.steps.at(-1)).toBeNull();
    for (const { event, data } of follower.events) {
      if (event === "progress") expect(Object.keys(data as object)).not.toContain("createdAt");
    }
  });

  it("is told at most ten times a second, however often it changes", async () => {
    const { id } = await start("single, retried later", { tasks: [{ n: 0, failures: 1 }] });
    await seen(id, { status: "waiting" });
    const follower = await Follower.of(id);
    await follower.next();
    const sinceMs = Date.now();
    // As soon as one change was told, the next one is made.
    for (let count = 0; count < 6; count++) {
      await runOf(id).pause();
      await follower.sees({ status: "paused" });
      await runOf(id).resume();
      await follower.sees({ status: "waiting" });
    }
    await runOf(id).cancel();
    await follower.all();
    expectCalm(follower, Date.now() - sinceMs);
    expect(follower.run).toEqual(await getRun(id));
  });

  it("is told at most ten times a second where many items are done at once, and no emit is left out", async () => {
    const { id } = await start("emitting quickly", { count: 2_000, every: 4 });
    const follower = await Follower.of(id);
    await follower.next();
    const sinceMs = Date.now();
    await follower.all();
    expectCalm(follower, Date.now() - sinceMs);
    const numbers = follower.emits.map(({ data }) => data as number).sort((a, b) => a - b);
    expect(numbers).toEqual(Array.from({ length: 500 }, (_, at) => 4 * at));
    expect(follower.log.map(({ id }) => id)).toEqual(Array.from({ length: 500 }, (_, at) => 1 + at));
    expect(follower.run).toMatchObject({ items: { total: 2_000, succeeded: 2_000 }, executions: 2_000 });
  });
});

/** Has been told of changes, and not too often in so long a time. */
function expectCalm({ events }: Follower, ms: number): void {
  const { length } = events.filter(({ event }) => event === "progress");
  expect(length).toBeGreaterThanOrEqual(1);
  expect(length).toBeLessThanOrEqual((10 * ms) / 1000 + 2);
}

describe("what happens between two looks of a stream", () => {
  it("is told at once: the run's end", async () => {
    const id = await speaking("one");
    const finish = async () => {
      stage.open("one");
      await finished(id);
    };
    const follower = await through(id, thenOnce(id, finish));
    const sinceMs = Date.now();
    expect((await follower.all()).at(-1)).toEqual(done("completed"));
    expect(Date.now() - sinceMs).toBeLessThan(PROMPT_MS);
    expect(follower.told).toEqual(await told(id));
    expect(follower.emits.map(({ data }) => data)).toEqual(expect.arrayContaining(["one", 1, "post ends"]));
  });

  it("is told at once: what is no event", async () => {
    // Nothing else happens to it, for an hour.
    const { id } = await start("single, retried later", { tasks: [{ n: 0, failures: 1 }] });
    await seen(id, { status: "waiting" });
    const follower = await through(
      id,
      thenOnce(id, () => runOf(id).pause()),
    );
    const sinceMs = Date.now();
    await follower.sees({ status: "paused" });
    expect(Date.now() - sinceMs).toBeLessThan(PROMPT_MS);
    await follower.leave();
  });

  it("is told though the stream has asked for the last time, as it thinks: the run's second end ends it", async () => {
    const again = async (id: string) => {
      world.mend();
      world.gated.add(1);
      await retry(id);
    };
    for (const meddle of [thenOnce, beforeEnd]) {
      world = newWorld();
      world.broken.add(1);
      const { id } = await ran("collecting", { count: 3 });
      const follower = await through(
        id,
        meddle(id, () => again(id)),
      );
      await follower.sees({ status: "completed", redriveCount: 0 });
      await follower.sees({ status: "running", redriveCount: 1, finishedAt: null });
      stage.open("item 1");
      await follower.all();
      expect(follower.run).toEqual(await getRun(id));
      expect(follower.run).toMatchObject({ completionReason: "all-succeeded", redriveCount: 1 });
      expect(follower.told).toEqual(await told(id));
      stage = newStage();
    }
  });

  it("may be a second end: what happened until then is told before it", async () => {
    world.broken.add(1);
    const { id } = await ran("collecting", { count: 3 });
    const again = async () => {
      await retry(id);
      await finished(id);
    };
    const follower = await through(id, beforeEnd(id, again));
    await follower.all();
    expect(follower.run).toMatchObject({ redriveCount: 1 });
    expect(follower.failures).toHaveLength(2);
    expect(follower.told).toEqual(await told(id));
  });

  it("may be that another run has the id of one that was deleted: that is not the run which was told of", async () => {
    const key = { "idempotency-key": "another run of this id" };
    const go = async (words: string[]) =>
      (await post("/flows/emitting%20alone/runs?wait=10", { speeches: [{ words }] }, key)).json<Run>();
    const { id } = await go(["one", "two"]);
    const another = async () => {
      await call(`/runs/${id}`, { method: "DELETE" });
      await go(["three", "four", "five"]);
    };
    const follower = await through(id, thenOnce(id, another));
    await follower.all();
    expect(follower.emits.map(({ data }) => data)).toEqual(["one", "two", 2]);
    expect(follower.told.at(-1)).toEqual({ event: "done", id: null, data: { status: "deleted", run: null } });
  });

  it("may be that the run is deleted: then there is no run to be told", async () => {
    const remove = async (id: string) => expect((await call(`/runs/${id}`, { method: "DELETE" })).status).toBe(204);
    for (const meddle of [thenOnce, beforeEnd]) {
      const { id } = await ran("emitting alone", { speeches: [{ words: ["one"] }] });
      const follower = await through(
        id,
        meddle(id, () => remove(id)),
      );
      await follower.all();
      expect(follower.told.at(-1)).toEqual({ event: "done", id: null, data: { status: "deleted", run: null } });
      expect(follower.emits.map(({ data }) => data)).toEqual(["one", 1]);
    }
  });
});

describe("a redrive of a run that has ended", () => {
  it("is nothing to those whose stream has ended with it; who comes again is told what is new, and nothing twice", async () => {
    world.broken.add(1).add(2);
    const { id } = await ran("collecting", { count: 4 });
    const first = await followed(id);
    expect(first.failures.map(({ index }) => index).sort()).toEqual([1, 2]);
    world.broken.delete(1);
    await retry(id);
    await finished(id);
    expect(await first.next()).toBeUndefined();
    const second = await first.again();
    await second.all();
    expect(second.failures).toMatchObject([{ index: 2 }]);
    world.mend();
    await retry(id);
    await finished(id);
    const third = await second.again();
    await third.all();
    expect(third.told).toEqual([done("completed")]);
    expect(third.run).toEqual(await getRun(id));
    expect(third.run).toMatchObject({ redriveCount: 2, items: { failed: 0, succeeded: 5 } });
    // Three failures in all: of the first run, and one of the redrive.
    expect([...first.log, ...second.log, ...third.told]).toEqual(await told(id));
    expect((await keptOf(id)).map((event) => event.id)).toEqual([1, 2, 3]);
  });
});

describe("a client that goes away", () => {
  it("is no more asked for: its stream's loop ends", async () => {
    const words = ["one", "two", "three", "four"];
    const id = await speaking(...words);
    let calls = 0;
    const follow = (after: number, pulse: number, waitMs: number): Promise<Happened | null> => {
      calls++;
      return runOf(id).follow(after, pulse, waitMs);
    };
    const leaves = await through(id, { follow } as unknown as Pick<RunStub, "follow">);
    const stays = await Follower.of(id);
    await Promise.all([leaves.hears("one"), stays.hears("one")]);
    await leaves.leave();
    const before = calls;
    for (const [at, word] of words.slice(1).entries()) {
      stage.open(words[at] as string);
      await stays.hears(word);
    }
    // It may have been about to ask.
    expect(calls - before).toBeLessThanOrEqual(1);
    await stays.leave();
  });
});

describe("a client that comes again with Last-Event-ID", () => {
  it("is told exactly what came later, and the end", async () => {
    const { id } = await ran("emitting alone", { speeches: [{ words: ["one", "two", "three"] }] });
    const all = await told(id);
    expect(all).toHaveLength(5);
    const later = await Promise.all([0, 1, 2, 3, 4].map((last) => told(id, last)));
    expect(later).toEqual([0, 1, 2, 3, 4].map((last) => all.slice(last)));
    expect(await told(id, 1e14)).toEqual([done("completed")]);
  });

  it("while the run goes on is told what came meanwhile and what comes", async () => {
    const id = await speaking("one", "two", "three");
    const first = await Follower.of(id);
    await first.hears("one");
    await first.leave();
    stage.open("one");
    await stage.heard("two");
    const second = await first.again();
    await second.hears("two");
    stage.open("two", "three");
    await second.all();
    expect([...first.told, ...second.told]).toEqual(await told(id));
  });

  it("is refused where the header is no number", async () => {
    const { id } = await ran("emitting alone", { speeches: [{ words: [] }] });
    for (const last of ["", "x", "-1", "1.5", "1e3", "0x1", "1, 2", "9".repeat(16), "y".repeat(5000)]) {
      const problem = await problemOf(await getEvents(id, last));
      expect(problem).toMatchObject({ status: 400, detail: expect.stringContaining("Last-Event-ID") });
      expect(problem.detail.length).toBeLessThan(200);
    }
  });
});

const TRIES: Try[] = [0, 1, 2, 0, 2, 1, 0].map((failures, n) => ({ word: `word ${n}`, failures }));

/** How a client is cut off: after how much has happened, after how many events, and what else is lost with it. */
interface Cut {
  /** So many more items may end before. */
  items: number;
  /** So many events it reads of those that there are for certain. */
  reads: number;
  loses: "nothing" | "run" | "all";
}

/** Follows a run that is cut off so often, and returns each connection of the client. */
async function followThrough(id: string, cuts: readonly Cut[]): Promise<Follower[]> {
  const connections = [await Follower.of(id)];
  let opened = 0;
  for (const { items, reads, loses } of cuts) {
    const client = connections.at(-1) as Follower;
    opened += items;
    const words = TRIES.slice(0, opened).map(({ word }) => word);
    stage.open(...words);
    for (const word of words) await stage.heard(`${word} over`);
    // Beside these there may be more: that it is cut off in the middle of a batch is what matters.
    const certain = 1 + (await keptOf(id)).filter((event) => event.id > client.lastEventId).length;
    for (let count = reads % (certain + 1); count > 0; count--) await client.next();
    await client.leave();
    if (loses === "run") await crash(runOf(id));
    if (loses === "all") await abortAllDurableObjects();
    connections.push(await Follower.of(id, client.lastEventId, client.run));
  }
  stage.open(...TRIES.map(({ word }) => word));
  await connections.at(-1)?.all();
  return connections;
}

function cut(loses: fc.Arbitrary<Cut["loses"]>): fc.Arbitrary<Cut> {
  return fc.record({ items: fc.nat(4), reads: fc.nat(50), loses });
}

async function expectAllTold(cuts: readonly Cut[]): Promise<void> {
  stage = newStage();
  const { id } = await start("emitting, collecting", { tries: TRIES });
  const connections = await followThrough(id, cuts);
  const log = connections.flatMap((client) => client.log);
  expect(log.map((event) => event.id)).toEqual((await keptOf(id)).map((event) => event.id));
  // One that comes without a number is told all of it, too.
  expect([...log, done("completed")]).toEqual(await told(id));
  const run = await getRun(id);
  expect(run).toMatchObject({ status: "completed", items: { total: 8, succeeded: 6, failed: 2 } });
  expect(connections.at(-1)?.run).toEqual(run);
  // An item that is lost in exec says its word again, but it fails once.
  const failures = connections.flatMap((client) => client.failures.map(({ index, attempts }) => [index, attempts]));
  expect(failures.sort()).toEqual([
    [2, 2],
    [4, 2],
  ]);
  const emits = connections.flatMap((client) => client.emits.map(({ data }) => data));
  for (const { word, failures = 0 } of TRIES) {
    expect(emits.filter((data) => data === word).length, word).toBeGreaterThanOrEqual(Math.min(2, failures + 1));
  }
  expect(emits.filter((data) => data === "closed")).toHaveLength(1);
}

describe("a client that is cut off again and again, at any moment", () => {
  it("is told each event once, in order, and knows the whole run in the end, though that is lost as well", async () => {
    const cuts = fc.array(cut(fc.constantFrom("nothing", "run")), { minLength: 1, maxLength: 4 });
    await fc.assert(fc.asyncProperty(cuts, expectAllTold), { numRuns: 10 });
  }, 60_000);

  it("is so where everything is lost, twice", async () => {
    const lost = cut(fc.constant("all"));
    await fc.assert(fc.asyncProperty(fc.tuple(lost, lost), expectAllTold), { numRuns: 2 });
  }, 60_000);
});

describe("the events of a run that is lost in between", () => {
  it("go on in the same stream, and what was told once stays as it was told", async () => {
    const id = await speaking("one", "two", "three");
    const follower = await Follower.of(id);
    await follower.hears("one");
    await crash(runOf(id));
    stage.open("one");
    await follower.hears("two");
    await crash(runOf(id));
    stage.open("two", "three");
    expect((await follower.all()).at(-1)).toEqual(done("completed"));
    expect(await told(id)).toEqual(follower.told);
    expect(follower.emits.map(({ data }) => data)).toEqual(expect.arrayContaining(["one", "two", "three", 3]));
  });

  it("go on where everything is lost, and exec, which is then called again, emits again", async () => {
    const id = await speaking("one", "two");
    const follower = await Follower.of(id);
    await follower.hears("one");
    await abortAllDurableObjects();
    await follower.hears("one");
    stage.open("one", "two");
    await finished(id);
    expect((await follower.all()).at(-1)).toEqual(done("completed"));
    expect(await told(id)).toEqual(follower.told);
  });
});

describe("the events of a run that there is not", () => {
  it("are 404 before any stream begins, and nothing is stored", async () => {
    const id = newRunId();
    for (const unknown of [id, await keyedRunId("emitting", "nobody"), "01K", "x".repeat(3000), "%00"]) {
      const problem = await problemOf(await getEvents(unknown, 3));
      expect(problem).toMatchObject({ status: 404, detail: expect.stringContaining("There is no run ") });
    }
    const stored = await inRun(id, async (storage) => [
      storage.sql.exec("select name from sqlite_master where name not like '\\_cf%' escape '\\'").toArray(),
      await storage.getAlarm(),
    ]);
    expect(stored).toEqual([[], null]);
  });
});

describe("a stream on which nothing happens", () => {
  it("is kept open by a comment: one at once, and another before 15 seconds have passed", async () => {
    expect(await quietMs).toBeLessThan(15_000);
  });
});
