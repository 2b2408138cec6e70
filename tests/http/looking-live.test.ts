import { evictDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { newRunId } from "../../src/http/ids.ts";
import { newWorld, type World } from "../durable/failing.ts";
import { tasks } from "../durable/flows.ts";
import { newStage, type Stage } from "../durable/stage.ts";
import { call, finished, getRun, post, type Run, ran, runOf, start } from "../durable/support.ts";
import { nodesOf } from "./looking.ts";
import { bearerProtocol, byNode, known, lettersOf, lookAt, moveAll, openSocket } from "./onlooker.ts";
import { problemOf } from "./problem.ts";

const wasOpen = env.POCKETFLARE_OPEN as string;
const TOKEN = "s3cret?>+token/~=,";

let stage: Stage;
let world: World;
beforeEach(() => {
  stage = newStage();
  world = newWorld();
});
afterEach(() => {
  delete env.API_TOKEN;
  env.POCKETFLARE_OPEN = wasOpen;
});

/** A run as a WebSocket tells it. */
function outlineOf({ output: _, ...outline }: Run): Omit<Run, "output"> {
  return outline;
}

/** Longer than what has changed is kept back. */
const aTick = () => scheduler.wait(400);

/** What was told is what there is. */
async function expectKnown(id: string, messages: Parameters<typeof known>[0]): Promise<void> {
  const { run, nodes } = known(messages);
  expect(run).toEqual(outlineOf(await getRun(id)));
  expect(nodes).toEqual((await nodesOf(id)).sort(byNode));
}

describe("GET /runs/:id/live", () => {
  it("tells all at first, and to all who look on then what changes, until all is known", async () => {
    const { id } = await start("stages", { tasks: [...tasks(30, { gate: "go" }), { n: 30, failures: 1 }] });
    await stage.heard("start", 8);
    const onlookers = [await lookAt(id), await lookAt(id), await lookAt(id)];
    for (const { messages } of onlookers) await expectKnown(id, messages.slice(0, 1));
    await aTick();
    const before = await lettersOf(id);
    const seen = onlookers.map(({ messages }) => messages.length);
    stage.open("go");
    await finished(id);
    await aTick();
    const after = await lettersOf(id);
    for (const [at, { messages }] of onlookers.entries()) {
      await expectKnown(id, messages);
      const letters = structuredClone(before);
      expect(moveAll(letters, messages.slice(seen[at]))).toBe(true);
      expect(letters).toEqual(after);
      expect(messages.some((news) => "output" in (news.run ?? {}))).toBe(false);
    }
    const later = onlookers.map(({ messages }, at) => messages.slice(seen[at]));
    expect(later[1]).toEqual(later[0]);
    expect(later[2]).toEqual(later[0]);
    for (const each of onlookers) each.leave();
  });

  it("tells what has changed together: few messages of many items", async () => {
    const { id } = await start("work", { tasks: tasks(400, { gate: "go" }) });
    await stage.heard("start", 16);
    const onlooker = await lookAt(id);
    const startedMs = Date.now();
    stage.open("go");
    await finished(id);
    await aTick();
    expect(onlooker.messages.length).toBeLessThanOrEqual(3 + (Date.now() - startedMs) / 250);
    await expectKnown(id, onlooker.messages);
    onlooker.leave();
  });

  it("tells what comes and goes in a moment once, as it is then", async () => {
    const { id } = await start("single", { tasks: tasks(1, { gate: "go" }) });
    await stage.heard("start 0");
    const onlooker = await lookAt(id);
    await aTick();
    const { length } = onlooker.messages;
    const startedMs = Date.now();
    for (let times = 0; times < 40; times++) {
      await post(`/runs/${id}/${times % 2 === 0 ? "pause" : "resume"}`);
      await scheduler.wait(10);
    }
    const took = Date.now() - startedMs;
    await aTick();
    expect(onlooker.messages.length - length).toBeLessThanOrEqual(2 + took / 250);
    await expectKnown(id, onlooker.messages);
    stage.open("go");
    await finished(id);
    onlooker.leave();
  });

  it("tells nothing while nothing changes, and what was told once not again", async () => {
    const { id } = await start("single", { tasks: tasks(1, { gate: "go" }) });
    await stage.heard("start 0");
    const onlooker = await lookAt(id);
    await aTick();
    const { length } = onlooker.messages;
    await aTick();
    expect(onlooker.messages).toHaveLength(length);
    expect((await post(`/runs/${id}/pause`)).status).toBe(202);
    await onlooker.hears(length + 1);
    const news = onlooker.messages.at(-1);
    expect(news?.run).toMatchObject({ status: "paused" });
    expect(news?.run).not.toHaveProperty("createdAt");
    await post(`/runs/${id}/resume`);
    stage.open("go");
    await finished(id);
    await aTick();
    await expectKnown(id, onlooker.messages);
    onlooker.leave();
  });

  it("tells the kept events that come, each once and in order", async () => {
    const words = ["one", "two", "three"];
    const { id } = await start("emitting alone", { speeches: [{ words, isGated: true }] });
    await stage.heard("one");
    const onlooker = await lookAt(id);
    for (const word of words) {
      stage.open(word);
      await scheduler.wait(50);
    }
    await finished(id);
    await aTick();
    const { events } = known(onlooker.messages);
    const log = await (await call(`/runs/${id}/log`)).json<{ events: { id: number }[] }>();
    const first = events[0]?.id ?? 0;
    expect(events).toEqual(log.events.filter((event) => event.id >= first));
    expect(events.map((event) => (event.type === "emit" ? event.data : null))).toEqual(
      expect.arrayContaining(["two", "three", 3]),
    );
    onlooker.leave();
  });

  it("answers a ping, also of an object that is away", async () => {
    const { id } = await ran("work", { tasks: tasks(1) });
    const onlooker = await lookAt(id);
    onlooker.socket.send("ping");
    await expect.poll(() => onlooker.words).toEqual(["pong"]);
    await evictDurableObject(runOf(id));
    onlooker.socket.send("ping");
    await expect.poll(() => onlooker.words).toEqual(["pong", "pong"]);
    onlooker.socket.send("anything");
    onlooker.socket.send(new Uint8Array(1_000));
    await aTick();
    expect([onlooker.words.length, onlooker.closed]).toEqual([2, null]);
    onlooker.leave();
  });

  it("tells that the run was deleted, and ends", async () => {
    const { id } = await ran("work", { tasks: tasks(1) });
    const [one, two] = [await lookAt(id), await lookAt(id)];
    expect((await call(`/runs/${id}`, { method: "DELETE" })).status).toBe(204);
    for (const onlooker of [one, two]) {
      await expect.poll(() => onlooker.messages.at(-1)).toEqual({ deleted: true });
      await expect.poll(() => onlooker.closed).toBe(1000);
    }
    expect((await openSocket(`/runs/${id}/live`)).status).toBe(404);
  });

  it("goes on through a redrive, with all anew", async () => {
    world.broken.add(1);
    const { id } = await ran("collecting", { count: 4 });
    const onlooker = await lookAt(id);
    world.mend();
    await post(`/runs/${id}/retry`);
    await finished(id);
    await aTick();
    await expectKnown(id, onlooker.messages);
    expect(known(onlooker.messages).run).toMatchObject({ redriveCount: 1, status: "completed" });
    expect(onlooker.messages.some(({ isStale }) => isStale)).toBe(true);
    onlooker.leave();
  });

  it("lives on where the object was away, and tells all anew at the next change", async () => {
    const { id } = await start("approvals", { names: ["a", "b"], log: [] });
    await expect.poll(async () => (await getRun(id)).status).toBe("waiting");
    const onlooker = await lookAt(id);
    await aTick();
    const { length } = onlooker.messages;
    await evictDurableObject(runOf(id));
    expect((await post(`/runs/${id}/signals/a`, { yes: 1 })).status).toBe(202);
    await onlooker.hears(length + 1);
    await aTick();
    expect(onlooker.messages[length]).toMatchObject({ isStale: true, run: { id, flow: "approvals" } });
    await expectKnown(id, onlooker.messages.slice(length));
    expect((await post(`/runs/${id}/signals/b`, {})).status).toBe(202);
    await finished(id);
    await aTick();
    await expectKnown(id, onlooker.messages);
    expect(onlooker.closed).toBeNull();
    onlooker.leave();
  });

  it("is not told of what was noted for those who have left", async () => {
    const { id } = await start("work", { tasks: [...tasks(4, { gate: "go" }), { n: 4, gate: "last" }] });
    await stage.heard("start", 5);
    const first = await lookAt(id);
    expect((await post(`/runs/${id}/pause`)).status).toBe(202);
    expect((await post(`/runs/${id}/resume`)).status).toBe(202);
    stage.open("go");
    await expect.poll(async () => (await getRun(id)).items.succeeded, { interval: 2 }).toBe(4);
    first.leave();
    await aTick();
    const second = await lookAt(id);
    stage.open("last");
    await finished(id);
    await aTick();
    const moved = second.messages.flatMap((news) => news.moved ?? []);
    expect(moved.every(({ indexes }) => indexes.every((index) => index === 4))).toBe(true);
    await expectKnown(id, second.messages);
    second.leave();
  });

  it("tells a newcomer and those who were there before alike, when they come in the middle", async () => {
    const { id } = await start("emitting quickly", { count: 600, every: 2 });
    const onlookers = [await lookAt(id)];
    for (let more = 0; more < 5; more++) onlookers.push(await lookAt(id));
    await finished(id);
    await aTick();
    await aTick();
    await expect
      .poll(() => known(onlookers[0]?.messages ?? []).events.at(-1)?.id ?? 0)
      .toBe(known(onlookers.at(-1)?.messages ?? []).events.at(-1)?.id ?? 0);
    const ids = known(onlookers[0]?.messages ?? []).events.map((event) => event.id);
    expect(ids).toEqual(ids.map((_, at) => (ids[0] ?? 0) + at));
    for (const { messages } of onlookers) await expectKnown(id, messages);
    for (const each of onlookers) each.leave();
  });
});

describe("who may look on", () => {
  async function refused(headers: { [name: string]: string }, path?: string): Promise<number[]> {
    const paths = path === undefined ? ["/runs/live", `/runs/${newRunId()}/live`] : [path];
    return Promise.all(
      paths.map(async (each) => {
        const response = await openSocket(each, headers);
        return response.status === 101 ? 101 : (await problemOf(response)).status;
      }),
    );
  }

  it("is who offers the protocol, from the Worker's own page or from none", async () => {
    const { id } = await ran("work", { tasks: [] });
    for (const protocol of ["", "mine", "pocketflar", "pocketflare2", "bearer.cG9ja2V0ZmxhcmU"]) {
      expect([protocol, ...(await refused({ "sec-websocket-protocol": protocol }))]).toEqual([protocol, 400, 400]);
    }
    for (const origin of ["https://evil.test", "null", "http://flows.test.evil.test", "http://flows.test:81"]) {
      expect([origin, ...(await refused({ origin }))]).toEqual([origin, 403, 403]);
    }
    for (const headers of [{ origin: "http://flows.test" }, { "sec-websocket-protocol": "other,pocketflare , more" }]) {
      (await lookAt(id, headers)).leave();
    }
    expect((await problemOf(await call(`/runs/${id}/live`))).status).toBe(426);
  });

  it("is who knows the token: in the header, or as a protocol", async () => {
    const { id } = await ran("work", { tasks: [] });
    delete env.POCKETFLARE_OPEN;
    expect(await refused({})).toEqual([503, 503]);
    env.API_TOKEN = TOKEN;
    expect(await refused({})).toEqual([401, 401]);
    const wrong = [
      "bearer.",
      "bearer.!!!!",
      "bearer.AAAA",
      bearerProtocol("wrong"),
      bearerProtocol(`${TOKEN}x`),
      `bearer.${encodeURIComponent("s3cret")}`,
    ];
    for (const each of wrong) {
      expect([each, ...(await refused({ "sec-websocket-protocol": `pocketflare, ${each}` }))]).toEqual([
        each,
        401,
        401,
      ]);
    }
    expect(await refused({}, `/runs/${id}/live?token=${encodeURIComponent(TOKEN)}`)).toEqual([401]);
    (await lookAt(id, { "sec-websocket-protocol": `pocketflare, ${bearerProtocol(TOKEN)}` })).leave();
    (await lookAt(id, { "sec-websocket-protocol": `${bearerProtocol(TOKEN)},pocketflare` })).leave();
    // What came in its own header is what counts, and without an upgrade no protocol does.
    const both = { authorization: "Bearer wrong", "sec-websocket-protocol": `pocketflare, ${bearerProtocol(TOKEN)}` };
    expect(await refused(both)).toEqual([401, 401]);
    const plain = await call(`/runs/${id}`, { headers: { "sec-websocket-protocol": bearerProtocol(TOKEN) } });
    expect(plain.status).toBe(401);
  });

  it("is who may, at a run that there is", async () => {
    for (const id of [newRunId(), "x", "live2"]) expect(await refused({}, `/runs/${id}/live`)).toEqual([404]);
  });
});
