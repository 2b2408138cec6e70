import { abortAllDurableObjects } from "cloudflare:test";
import { Hono } from "hono";
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { FlowRunObject } from "../../src/durable/run.ts";
import { events } from "../../src/http/events.ts";
import { keyedRunId, newRunId } from "../../src/http/ids.ts";
import { Runs } from "../../src/http/runs.ts";
import { newStage, type Stage } from "../durable/stage.ts";
import { crash, finished, inRun, post, ran, runOf, start } from "../durable/support.ts";
import { Follower, getEvents, type StreamEvent, told } from "./follow.ts";
import { problemOf } from "./problem.ts";

let stage: Stage;
beforeEach(() => {
  stage = newStage();
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** A run of two items, of which one is in exec until the test has opened a gate for each of its words. */
async function speaking(...words: string[]): Promise<string> {
  const { id } = await start("emitting", { speeches: [{ words, isGated: true }, { words: [] }] });
  return id;
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
  expect([await follower.block(), await follower.block()]).toEqual([": \n\n", ": \n\n"]);
  await follower.leave();
  return Date.now() - sinceMs;
}

const done = (status: string): StreamEvent => ({ event: "done", id: null, data: { status } });

describe("GET /runs/:id/events", () => {
  it("streams what was emitted, numbered, and ends with the run's status", async () => {
    const { id } = await ran("emitting alone", { speeches: [{ words: ["one", "two"] }] });
    const response = await getEvents(id);
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    expect(response.headers.get("cache-control")).toBe("no-cache");
    const emit = (index: number | null, data: unknown) => ({
      ...{ node: "Soliloquy", branch: "", index, data },
      at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    });
    expect(await new Follower(response.body as ReadableStream<Uint8Array>).all()).toEqual([
      { event: "emit", id: 1, data: emit(0, "one") },
      { event: "emit", id: 2, data: emit(0, "two") },
      { event: "emit", id: 3, data: emit(null, 2) },
      done("completed"),
    ]);
  });

  it("puts what was emitted in as it is kept, whatever it is, on one line", async () => {
    const { id } = await ran("emitting alone", { speeches: [{ words: ["a\r\n\ndata: b\u2028"] }] });
    const follower = await Follower.of(id);
    const head = '{"node":"Soliloquy","branch":"","index":0,"at":"';
    expect(await follower.block()).toBe(": \n\n");
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
    expect(follower.events.map(({ id }) => id)).toEqual([...Array.from(follower.emits, (_, at) => at + 1), null]);
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
    expect(await second.all()).toEqual(await told(id));
    expect(second.events.slice(0, first.events.length)).toEqual(first.events);
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
    expect(await told(id)).toEqual(follower.events);
  });

  it("ends when the run is canceled", async () => {
    const id = await speaking("one");
    const follower = await Follower.of(id);
    await follower.hears("one");
    expect((await post(`/runs/${id}/cancel`)).status).toBe(202);
    expect(await follower.next()).toEqual(done("canceled"));
    expect(await follower.next()).toBeUndefined();
  });
});

describe("a client that goes away", () => {
  it("is no more asked for: its stream's loop ends", async () => {
    // In the test's own request: that of a client ends with its response, and the platform ends the loop with it.
    const app = new Hono().get("/:id", (context) => events(context, new Runs(runOf)));
    const words = ["one", "two", "three", "four"];
    const id = await speaking(...words);
    const { mock } = vi.spyOn(FlowRunObject.prototype, "emits");
    const leaves = new Follower((await app.request(`/${id}`)).body as ReadableStream<Uint8Array>);
    const stays = await Follower.of(id);
    await Promise.all([leaves.hears("one"), stays.hears("one")]);
    await leaves.leave();
    const heard: (number | null)[] = [];
    for (const [at, word] of words.slice(1).entries()) {
      stage.open(words[at] as string);
      heard.push((await stays.hears(word)).id);
    }
    // After what came last, the one that stays may not have asked yet.
    const times = heard.slice(0, -1).map((number) => mock.calls.filter(([after]) => after === number).length);
    expect(times).toEqual([1, 1]);
    await stays.leave();
  });
});

describe("a client that comes again with Last-Event-ID", () => {
  it("is told exactly what came later, and the end", async () => {
    const { id } = await ran("emitting alone", { speeches: [{ words: ["one", "two", "three"] }] });
    const all = await told(id);
    expect(all).toHaveLength(5);
    for (let last = 0; last <= 4; last++) expect(await told(id, last)).toEqual(all.slice(last));
    expect(await told(id, 1e14)).toEqual([done("completed")]);
  });

  it("while the run goes on is told what came meanwhile and what comes", async () => {
    const id = await speaking("one", "two", "three");
    const first = await Follower.of(id);
    const { id: last } = await first.hears("one");
    await first.leave();
    stage.open("one");
    await stage.heard("two");
    const second = await Follower.of(id, last as number);
    await second.hears("two");
    stage.open("two", "three");
    await second.all();
    expect([...first.events, ...second.events]).toEqual(await told(id));
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
    expect(await told(id)).toEqual(follower.events);
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
    expect(await told(id)).toEqual(follower.events);
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
