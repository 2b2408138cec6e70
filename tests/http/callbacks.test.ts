import { abortAllDurableObjects, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { Webhook } from "standardwebhooks";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { type CallbackOptions, serve } from "../../src/cloudflare.ts";
import { woken } from "../durable/orders.ts";
import { newStage, type Stage, stage as stageOf } from "../durable/stage.ts";
import { call, crash, finished, getRun, inRun, post, type Run, rows, runOf } from "../durable/support.ts";
import { SECRETS, triggeredFlows } from "../durable/triggering.ts";
import { theIndex } from "./client.ts";
import { problemOf } from "./problem.ts";
import { expectNoSecretIn, fire, Logs, Starts } from "./triggered.ts";

const ORIGIN = "https://hooks.example.com:8443";
const URL_SECRET = "hunter2";
const SECOND_MS = 1_000;
const DAY_MS = 24 * 3_600_000;

interface Told {
  type: string;
  timestamp: string;
  data: Run & { isOutputLeftOut: boolean };
}

/** A message as it came. */
interface Hit {
  url: string;
  method: string;
  headers: Headers;
  body: string;
}

/** What a receiver answers; or throws, as fetch does where there is no answer. */
type Answer = number | ((signal: AbortSignal) => Response | Promise<Response>);

/**
 * A receiver outside of this Worker, which has no other fetch in this isolate. It answers with 200 when it has nothing else to
 * answer.
 */
class Receiver {
  /** No other test's: what is still to be delivered to those comes when its time has come. */
  readonly url = `${ORIGIN}/in/${URL_SECRET}/${++receivers}?token=${URL_SECRET}`;
  readonly hits: Hit[] = [];
  readonly answers: Answer[] = [];

  get ids(): (string | null)[] {
    return this.hits.map(({ headers }) => headers.get("webhook-id"));
  }

  /** As fetch does it, which follows a redirect where it is asked to. */
  async take(request: Request): Promise<Response> {
    const { url, method, headers, signal, redirect } = request;
    const answer = this.answers.shift() ?? 200;
    this.hits.push({ url, method, headers, body: await request.text() });
    const response = typeof answer === "number" ? new Response(null, { status: answer }) : await answer(signal);
    const target = response.headers.get("location");
    return target === null || redirect !== "follow" ? response : this.take(new Request(target));
  }
}

let receivers = 0;
let stage: Stage;
let starts: Starts;
let outside: Receiver;
let logs: Logs;
beforeAll(() => {
  vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) => {
    const request = new Request(input, init);
    const isOlder = request.url.startsWith(ORIGIN) && request.url !== outside.url;
    return isOlder ? new Response() : outside.take(request);
  });
});
afterAll(() => {
  vi.restoreAllMocks();
});
beforeEach(() => {
  stage = newStage();
  starts = new Starts();
  outside = new Receiver();
  logs = new Logs();
});
afterEach(() => {
  expectNoSecretIn(logs.text);
  expect(logs.text).not.toContain(URL_SECRET);
  logs.end();
});

/** The id of the message of an end: of the run, of its life where another has had its id, and of the redrive. */
function messageId(run: string, redrive: number): string {
  return expect.stringMatching(new RegExp(`^msg_${run}_\\w+_${redrive}$`));
}

/** Starts a run that is to tell of its end. */
async function startCalling(input: object = {}): Promise<string> {
  const response = await post("/flows/deed/runs", input, { callback: outside.url });
  expect(response.status).toBe(202);
  const run = await response.json<Run>();
  expect(run.callback).toEqual({ origin: ORIGIN, deliveries: [] });
  return run.id;
}

interface Delivery {
  id: string;
  type: string;
  status: string;
  tries: number;
  triedAt: string | null;
  nextAt: string | null;
  httpStatus: number | null;
  error: string | null;
}

async function deliveriesOf(id: string): Promise<Delivery[]> {
  const { callback } = await getRun(id);
  return callback?.deliveries ?? [];
}

/** The latest delivery, once it is as expected. An object that was lost is asked again. */
async function delivered(id: string, expected: Partial<Delivery> = { status: "delivered" }): Promise<Delivery> {
  const latest = async () => (await deliveriesOf(id).catch(() => [])).at(-1);
  await expect.poll(latest, { interval: 5 }).toMatchObject(expected);
  return (await latest()) as Delivery;
}

/** A run that has ended and whose first message was answered so. */
async function endedWith(answer: Answer, input: object = {}): Promise<string> {
  outside.answers.push(answer);
  const id = await startCalling(input);
  await finished(id);
  await delivered(id, { tries: 1 });
  return id;
}

/** The time of the next try has come: the object is away until then, and its alarm wakes it. */
async function nextTry(id: string): Promise<void> {
  await inRun(id, ({ sql }) => {
    sql.exec("update delivery set due_ms = 1 where status = 'pending'");
  });
  await crash(runOf(id));
  await ring(id);
}

function ring(id: string): Promise<boolean> {
  return runDurableObjectAlarm(runOf(id));
}

/** What the alarm is set for, once those that were set for the run's own work have rung. */
async function alarmMs(id: string): Promise<number> {
  await ring(id);
  return (await inRun(id, (storage) => storage.getAlarm())) as number;
}

/** When the list believes that the run wants to be awake. */
function listedMs(id: string): Promise<number | undefined> {
  return runInDurableObject(theIndex(), (_, { storage }) => {
    const sql = "select wake_ms from entry where id = ?";
    return storage.sql.exec<{ wake_ms: number }>(sql, id).toArray()[0]?.wake_ms;
  });
}

/** The day on which a run is deleted. */
function dayOf({ finishedAt }: Run): number {
  return Date.parse(finishedAt as string) + 30 * DAY_MS;
}

const nothing = { tables: [], alarm: null };

/** All that is stored where a run was. */
function left(id: string): Promise<{ tables: object[]; alarm: number | null }> {
  return inRun(id, async (storage) => ({
    tables: storage.sql.exec("select name from sqlite_master where substr(name, 1, 1) <> '_'").toArray(),
    alarm: await storage.getAlarm(),
  }));
}

/** Reads a message as its receiver would, by the library's own hand. Throws for one that is not signed. */
function read({ body, headers }: Hit, secret: string = SECRETS.callbacks): Told {
  return new Webhook(secret).verify(body, Object.fromEntries(headers)) as Told;
}

describe("a run that was started with a callback", () => {
  it("tells it once that it has completed, in a signed message with the run and its output", async () => {
    const id = await startCalling({ name: "told", more: [{ a: 1 }] });
    const run = await finished(id);
    await delivered(id);
    expect(outside.hits).toHaveLength(1);
    const hit = outside.hits[0] as Hit;
    expect([hit.method, hit.url]).toEqual(["POST", outside.url]);
    expect(hit.headers.get("content-type")).toBe("application/json");
    const { type, timestamp, data } = read(hit);
    expect([type, timestamp]).toEqual(["run.completed", run.finishedAt]);
    const { callback: _, ...shown } = run;
    expect(data).toEqual({ ...shown, isOutputLeftOut: false });
    expect(data.output).toEqual({ name: "told", more: [{ a: 1 }], done: true });
    expect(hit.body).not.toContain(URL_SECRET);
  });

  it("signs by each secret, so that its receivers can change theirs, and by no other", async () => {
    await endedWith(200);
    const hit = outside.hits[0] as Hit;
    for (const secret of [SECRETS.callbacks, SECRETS.callbacksBefore])
      expect(read(hit, secret).type).toBe("run.completed");
    expect(() => read(hit, SECRETS.orders)).toThrow("No matching signature");
    expect(() => read({ ...hit, body: `${hit.body} ` })).toThrow("No matching signature");
  });

  it("tells that it has failed, and why", async () => {
    const id = await endedWith(200, { name: "failing", needs: "help" });
    const { type, data } = read(outside.hits[0] as Hit);
    expect(type).toBe("run.failed");
    expect(data).toMatchObject({ id, status: "failed", output: null, error: { message: "failing needs help" } });
    expect(await deliveriesOf(id)).toMatchObject([{ type: "run.failed", status: "delivered" }]);
  });

  it("tells that it was canceled", async () => {
    const id = await startCalling({ name: "canceled", gate: "never" });
    await stage.heard("canceled");
    expect((await post(`/runs/${id}/cancel`)).status).toBe(202);
    await delivered(id);
    expect(read(outside.hits[0] as Hit)).toMatchObject({ type: "run.canceled", data: { id, status: "canceled" } });
  });

  it("tells nothing before it has ended", async () => {
    const id = await startCalling({ name: "going on", gate: "end" });
    await stage.heard("going on");
    await post(`/runs/${id}/pause`);
    await post(`/runs/${id}/resume`);
    await ring(id);
    expect(outside.hits).toEqual([]);
    stage.open("end");
    await delivered(id);
    expect(outside.hits).toHaveLength(1);
  });

  it("shows what came of it, and of the URL only where it leads to", async () => {
    const beforeMs = Date.now();
    const id = await endedWith(202);
    const run = await getRun(id);
    expect(run.callback).toEqual({
      origin: ORIGIN,
      deliveries: [
        {
          ...{ id: outside.ids[0], type: "run.completed", status: "delivered", tries: 1, nextAt: null },
          ...{ triedAt: expect.any(String), httpStatus: 202, error: null },
        },
      ],
    });
    const triedMs = Date.parse(run.callback?.deliveries[0]?.triedAt as string);
    expect(triedMs).toBeGreaterThanOrEqual(beforeMs);
    expect(triedMs).toBeLessThanOrEqual(Date.now());
    // The list hears of it a moment later.
    await expect.poll(async () => (await call("/runs")).text(), { interval: 20 }).toContain(id);
    const paths = [`/runs/${id}`, "/runs"];
    const texts = paths.map(async (path) => (await call(path)).text());
    for (const text of await Promise.all(texts)) {
      expect(text).toContain(id);
      expect(text).not.toContain(URL_SECRET);
    }
  });

  it("and an Idempotency-Key, twice, tells once", async () => {
    const headers = { callback: outside.url, "idempotency-key": "called back" };
    const ids = await Promise.all(
      [1, 2].map(async () => (await (await post("/flows/deed/runs", {}, headers)).json<Run>()).id),
    );
    expect(ids).toEqual([starts.id, starts.id]);
    await delivered(starts.id);
    await ring(starts.id);
    expect(outside.hits).toHaveLength(1);
  });

  it("is one of a webhook too, where its sender says so", async () => {
    const send = async (payload: { name: string; callback?: unknown }) => {
      const body = JSON.stringify(payload);
      const [id, at] = [`called ${payload.name}`, new Date()];
      const signature = new Webhook(SECRETS.orders).sign(id, at, body);
      const times = { "webhook-id": id, "webhook-timestamp": String(Math.floor(at.getTime() / 1000)) };
      return post("/webhooks/calling", body, { ...times, "webhook-signature": signature });
    };
    const { run } = await (await send({ name: "first", callback: outside.url })).json<{ run: Run }>();
    await delivered(run.id);
    expect(read(outside.hits[0] as Hit)).toMatchObject({ type: "run.completed", data: { id: run.id } });
    const silent = await (await send({ name: "silent" })).json<{ run: Run }>();
    expect((await finished(silent.run.id)).callback).toBeNull();
    const known = await starts.runs();
    expect(await problemOf(await send({ name: "private", callback: "https://10.0.0.1/" }))).toMatchObject({
      status: 422,
    });
    expect(await problemOf(await send({ name: "number", callback: 7 }))).toMatchObject({ status: 422 });
    expect(await starts.runs()).toEqual(known);
    expect(outside.hits).toHaveLength(1);
  });
});

describe("a run without a callback", () => {
  it("tells nobody, and shows none", async () => {
    const run = await finished((await (await post("/flows/deed/runs")).json<Run>()).id);
    expect(run.callback).toBeNull();
    await ring(run.id);
    expect(outside.hits).toEqual([]);
    expect(await rows(run.id, "select * from delivery")).toEqual([]);
  });
});

describe("an output", () => {
  /** Of which the output is JSON text of so many characters. */
  const inputOf = (characters: number) => ({ text: "x".repeat(characters - '{"text":"","done":true}'.length) });

  it.each([
    [1_000_000, false],
    [1_000_001, true],
  ])("of %i characters is left out: %s", async (characters, isLeftOut) => {
    const id = await startCalling(inputOf(characters));
    const run = await finished(id);
    expect(JSON.stringify(run.output)).toHaveLength(characters);
    await delivered(id);
    const { data } = read(outside.hits[0] as Hit);
    expect(data.isOutputLeftOut).toBe(isLeftOut);
    expect(data.output).toEqual(isLeftOut ? null : run.output);
  });
});

describe("a message that was not taken", () => {
  it("is sent again after five seconds, with the same id and body, until it is", async () => {
    const id = await endedWith(500);
    const [first] = await deliveriesOf(id);
    expect(first).toMatchObject({ status: "pending", tries: 1, httpStatus: 500 });
    expect(first?.error).toBe("The receiver answered with status 500");
    expect(Date.parse(first?.nextAt as string)).toBe(Date.parse(first?.triedAt as string) + 5 * SECOND_MS);
    // Not before.
    await ring(id);
    expect(outside.hits).toHaveLength(1);
    await nextTry(id);
    const last = await delivered(id);
    expect(last).toMatchObject({ id: first?.id, tries: 2, httpStatus: 200, error: null, nextAt: null });
    expect(outside.ids).toEqual([first?.id, first?.id]);
    const [one, two] = outside.hits as [Hit, Hit];
    expect(two.body).toBe(one.body);
    expect(read(two)).toEqual(read(one));
    await ring(id);
    expect(outside.hits).toHaveLength(2);
  });

  it("is signed anew for each try: its time is that of the try", async () => {
    const id = await endedWith(500);
    const later = Date.now() + 3_600_000;
    vi.useFakeTimers({ toFake: ["Date"], now: later });
    try {
      await nextTry(id);
      await delivered(id);
      const [one, two] = outside.hits as [Hit, Hit];
      expect(read(two).type).toBe("run.completed");
      expect(Number(two.headers.get("webhook-timestamp"))).toBeGreaterThanOrEqual(Math.floor(later / 1000));
      expect(() => read(one)).toThrow("Message timestamp too old");
    } finally {
      vi.useRealTimers();
    }
  });

  it("is given up after eight tries", async () => {
    const id = await endedWith(500);
    for (let tries = 2; tries <= 8; tries++) {
      outside.answers.push(500);
      await nextTry(id);
      await delivered(id, { tries });
    }
    expect(await deliveriesOf(id)).toMatchObject([{ status: "failed", tries: 8, nextAt: null, httpStatus: 500 }]);
    await ring(id);
    expect(outside.hits).toHaveLength(8);
    expect(new Set(outside.ids).size).toBe(1);
  });

  it("is not sent again to a receiver that is gone: 410", async () => {
    const id = await endedWith(410);
    expect(await deliveriesOf(id)).toMatchObject([{ status: "failed", tries: 1, nextAt: null, httpStatus: 410 }]);
    await nextTry(id);
    expect((await deliveriesOf(id))[0]?.tries).toBe(1);
    expect(outside.hits).toHaveLength(1);
  });

  it.each([301, 302, 303, 307, 308])(
    "by a receiver that leads elsewhere, with %i, does not go there",
    async (status) => {
      const target = "https://169.254.169.254/latest/meta-data";
      const id = await endedWith(() => new Response(null, { status, headers: { location: target } }));
      expect(await deliveriesOf(id)).toMatchObject([{ status: "pending", tries: 1, httpStatus: status }]);
      expect(outside.hits.map(({ url }) => url)).toEqual([outside.url]);
    },
  );

  it("because the network failed says so", async () => {
    const id = await endedWith(() => {
      throw new TypeError("Network connection lost.");
    });
    expect(await deliveriesOf(id)).toMatchObject([
      { status: "pending", tries: 1, httpStatus: null, error: "Network connection lost." },
    ]);
    await nextTry(id);
    await delivered(id);
  });

  it("because of an error that names the URL shows no more of that than where it leads", async () => {
    const id = await endedWith(() => {
      throw new TypeError(`Fetch API cannot load: ${outside.url}.`);
    });
    expect(await deliveriesOf(id)).toMatchObject([{ tries: 1, error: `Fetch API cannot load: ${ORIGIN}.` }]);
  });

  it("by a receiver that never answers is waited for fifteen seconds, and not longer", async () => {
    const limit = AbortSignal.timeout.bind(AbortSignal);
    const timeout = vi.spyOn(AbortSignal, "timeout").mockImplementation(() => limit(20));
    const id = await endedWith(async (signal) => {
      while (!signal.aborted) await scheduler.wait(1);
      throw signal.reason;
    });
    expect(timeout).toHaveBeenCalledWith(15_000);
    timeout.mockRestore();
    const error = "The receiver did not answer within 15 s";
    expect(await deliveriesOf(id)).toMatchObject([{ status: "pending", tries: 1, httpStatus: null, error }]);
  });
});

const LOSSES: [what: string, lose: (id: string) => Promise<unknown>][] = [
  ["its object crashes", (id) => crash(runOf(id))],
  ["all objects are lost", () => abortAllDurableObjects()],
];

describe("a run's end is told although", () => {
  it.each(LOSSES)("%s before the message has left", async (_, lose) => {
    // Nothing of the first one gets anywhere.
    outside.answers.push(async () => {
      stageOf().say("sending");
      await stageOf().pass("never");
      return new Response();
    });
    const id = await startCalling();
    await stage.heard("sending");
    outside.hits.length = 0;
    await lose(id);
    await ring(id);
    const { id: message, tries } = await delivered(id);
    expect([message, tries]).toEqual([messageId(id, 0), 1]);
    expect(outside.ids).toEqual([message]);
  });

  it.each(LOSSES)("%s between two tries", async (_, lose) => {
    const id = await endedWith(503);
    await lose(id);
    await nextTry(id);
    expect(await delivered(id)).toMatchObject({ tries: 2 });
    expect(outside.ids).toEqual([messageId(id, 0), messageId(id, 0)]);
    expect(new Set(outside.ids).size).toBe(1);
  });

  it("its announcement could not be stored: then it has not ended either", async () => {
    const id = await startCalling({ name: "atomic", gate: "end" });
    await stage.heard("atomic");
    await inRun(id, ({ sql }) => {
      sql.exec("create trigger refuse before insert on delivery begin select raise(abort, 'refused'); end");
    });
    const lives = () => woken.filter((name) => name === id).length;
    const before = lives();
    stage.open("end");
    // The run's object is lost with what it could not store.
    await expect
      .poll(async () => (await getRun(id).catch(() => null)) && lives(), { interval: 5 })
      .toBeGreaterThan(before);
    const stored = await inRun(id, ({ sql }) => {
      const [row] = sql.exec("select json_extract(state, '$.status') as status from run").toArray();
      sql.exec("drop trigger refuse");
      return [row?.["status"], sql.exec("select * from delivery").toArray()];
    });
    expect(stored).toEqual(["running", []]);
    await delivered(id);
    expect(outside.ids).toEqual([messageId(id, 0)]);
  });
});

describe("the alarm of a finished run", () => {
  it("is for the day on which it is deleted, once its end was told", async () => {
    const id = await endedWith(200);
    await expect.poll(() => alarmMs(id), { interval: 20 }).toBeGreaterThan(Date.now() + 29 * DAY_MS);
    await crash(runOf(id));
    await getRun(id);
    expect(await inRun(id, (storage) => storage.getAlarm())).toBeGreaterThan(Date.now() + 29 * DAY_MS);
  });

  it("is for its message where that is still to be delivered", async () => {
    const id = await endedWith(500);
    outside.answers.push(500);
    await nextTry(id);
    const { nextAt, triedAt } = await delivered(id, { tries: 2 });
    expect(Date.parse(nextAt as string) - Date.parse(triedAt as string)).toBe(300 * SECOND_MS);
    await expect.poll(() => alarmMs(id), { interval: 20 }).toBe(Date.parse(nextAt as string));
    expect(outside.hits).toHaveLength(2);
  });
});

describe("the list knows of a finished run", () => {
  it("that it sleeps until its message is sent again, and then until the day on which it is deleted", async () => {
    const id = await endedWith(500);
    const { nextAt } = await delivered(id, { status: "pending", tries: 1 });
    await expect.poll(() => listedMs(id), { interval: 5 }).toBe(Date.parse(nextAt as string));
    await nextTry(id);
    await delivered(id);
    const dayMs = dayOf(await getRun(id));
    await expect.poll(() => listedMs(id), { interval: 5 }).toBe(dayMs);
    await expect.poll(() => alarmMs(id), { interval: 20 }).toBe(dayMs);
  });

  it("whose message was taken at once, or never will be, that it sleeps until that day", async () => {
    for (const status of [200, 410]) {
      const id = await endedWith(status);
      const dayMs = dayOf(await getRun(id));
      await expect.poll(() => listedMs(id), { interval: 5 }).toBe(dayMs);
      await expect.poll(() => alarmMs(id), { interval: 20 }).toBe(dayMs);
    }
  });

  it("whose message was taken that nobody has to look for it: the watchdog does not wake it", async () => {
    const ids = await Promise.all([1, 2, 3].map(() => startCalling()));
    for (const id of ids) {
      await delivered(id);
      const dayMs = dayOf(await getRun(id));
      await expect.poll(() => alarmMs(id), { interval: 20 }).toBe(dayMs);
    }
    for (const id of ids) await crash(runOf(id));
    const lives = woken.length;
    const later = Date.now() + 3_600_000;
    const overdue = (await theIndex().overdue(later, 1_000)).map((run) => run.id);
    vi.useFakeTimers({ toFake: ["Date"], now: later });
    try {
      await fire("* * * * *", later);
    } finally {
      vi.useRealTimers();
    }
    for (const id of ids) {
      expect(overdue).not.toContain(id);
      expect(woken.slice(lives)).not.toContain(id);
    }
    expect(outside.hits).toHaveLength(3);
  });
});

describe("a run that is kept for less time than its message is tried", () => {
  it.each([200, 410])("is deleted once that was answered for good, and not before: %i", async (status) => {
    outside.answers.push(500);
    const started = await post("/flows/forgotten%20soon/runs", { count: 1 }, { callback: outside.url });
    const { id } = await started.json<Run>();
    await delivered(id, { tries: 1 });
    const { finishedAt } = await getRun(id);
    // It is kept for 50 ms, and its message is sent again after five seconds.
    vi.useFakeTimers({ toFake: ["Date"], now: Date.parse(finishedAt as string) + 4 * SECOND_MS });
    try {
      await ring(id);
      expect(await deliveriesOf(id)).toMatchObject([{ status: "pending", tries: 1 }]);
      expect((await call(`/runs/${id}`)).status).toBe(200);
      expect(outside.hits).toHaveLength(1);
    } finally {
      vi.useRealTimers();
    }
    outside.answers.push(status);
    await nextTry(id);
    await expect.poll(async () => (await call(`/runs/${id}`)).status, { interval: 5 }).toBe(404);
    await expect.poll(() => left(id), { interval: 5 }).toEqual(nothing);
    expect(await listedMs(id)).toBeUndefined();
    expect(outside.ids).toEqual([messageId(id, 0), messageId(id, 0)]);
  });
});

describe("a run that is taken up again", () => {
  const failing = { name: "failing", needs: "help" };

  async function retry(id: string): Promise<void> {
    stage.say("help");
    expect((await post(`/runs/${id}/retry`)).status).toBe(202);
  }

  it("drops what was still to be delivered, and tells its new end under another id", async () => {
    const id = await endedWith(500, failing);
    await retry(id);
    await delivered(id, { type: "run.completed", status: "delivered" });
    const dropped = { id: messageId(id, 0), type: "run.failed", status: "dropped", tries: 1, nextAt: null };
    expect(await deliveriesOf(id)).toMatchObject([dropped, { id: messageId(id, 1), tries: 1 }]);
    await nextTry(id);
    expect(outside.ids).toEqual([messageId(id, 0), messageId(id, 1)]);
    expect(outside.hits.map((hit) => read(hit).data.redriveCount)).toEqual([0, 1]);
  });

  it.each([200, 500])("drops what is under way just then, whatever comes of it: %i", async (status) => {
    outside.answers.push(async () => {
      stageOf().say("sending");
      await stageOf().pass("answer");
      return new Response(null, { status });
    });
    const id = await startCalling(failing);
    await stage.heard("sending");
    await retry(id);
    expect(await finished(id)).toMatchObject({ status: "completed" });
    stage.open("answer");
    await delivered(id, { id: messageId(id, 1), status: "delivered" });
    const dropped = { id: messageId(id, 0), status: "dropped", tries: 0, nextAt: null };
    expect(await deliveriesOf(id)).toMatchObject([dropped, { tries: 1 }]);
    expect(outside.ids).toEqual([messageId(id, 0), messageId(id, 1)]);
  });

  it("and ends again while its first message is under way still does not keep its object awake for that", async () => {
    outside.answers.push(async () => {
      stageOf().say("sending");
      await stageOf().pass("answer");
      return new Response();
    });
    const id = await startCalling(failing);
    await stage.heard("sending");
    await retry(id);
    expect(await finished(id)).toMatchObject({ status: "completed" });
    // The list has heard of the end: there is nothing left to be done but to wait for the receiver.
    await expect.poll(async () => (await call("/runs?flow=deed&status=completed&limit=1000")).text()).toContain(id);
    const rung = await runInDurableObject(runOf(id), (run) => vi.spyOn(run, "alarm"));
    for (let rings = 1; rings <= 3; rings++) {
      await ring(id);
      // An alarm that is set for what is past rings again and again, sooner than this looks.
      for (let looks = 0; looks < 10; looks++) {
        const alarm = await inRun(id, (storage) => storage.getAlarm());
        expect(alarm ?? Number.POSITIVE_INFINITY).toBeGreaterThan(Date.now());
        await scheduler.wait(5);
      }
      expect(rung.mock.calls.length).toBeLessThanOrEqual(rings + 1);
    }
    expect(await deliveriesOf(id)).toMatchObject([
      { status: "dropped", tries: 0 },
      { status: "pending", tries: 0 },
    ]);
    stage.open("answer");
    await delivered(id, { id: messageId(id, 1), status: "delivered" });
    expect(await deliveriesOf(id)).toMatchObject([{ id: messageId(id, 0), status: "dropped" }, { tries: 1 }]);
    expect(outside.ids).toEqual([messageId(id, 0), messageId(id, 1)]);
  });

  it("keeps what was delivered of its earlier ends", async () => {
    const id = await endedWith(200, failing);
    await retry(id);
    await delivered(id, { id: messageId(id, 1), status: "delivered" });
    expect(await deliveriesOf(id)).toMatchObject([{ id: messageId(id, 0), status: "delivered" }, {}]);
  });
});

describe("a run that was deleted", () => {
  it("tells nobody any more", async () => {
    const id = await endedWith(500);
    expect((await call(`/runs/${id}`, { method: "DELETE" })).status).toBe(204);
    expect(await ring(id)).toBe(false);
    expect(outside.hits).toHaveLength(1);
    expect(await left(id)).toEqual(nothing);
  });

  it("and another of its Idempotency-Key tell their ends in messages that differ", async () => {
    const headers = { callback: outside.url, "idempotency-key": "one after the other" };
    const told = async () => {
      const { id } = await (await post("/flows/deed/runs", {}, headers)).json<Run>();
      return { run: id, message: (await delivered(id)).id };
    };
    const first = await told();
    expect((await call(`/runs/${first.run}`, { method: "DELETE" })).status).toBe(204);
    const second = await told();
    expect(second.run).toBe(first.run);
    expect(second.message).not.toBe(first.message);
    expect(outside.ids).toEqual([first.message, second.message]);
    expect(outside.ids).toEqual([messageId(first.run, 0), messageId(first.run, 0)]);
  });

  it("while it was telling, does not learn what came of it", async () => {
    outside.answers.push(async () => {
      stageOf().say("sending");
      await stageOf().pass("answer");
      stageOf().say("answered");
      return new Response(null, { status: 500 });
    });
    const id = await startCalling();
    await stage.heard("sending");
    expect((await call(`/runs/${id}`, { method: "DELETE" })).status).toBe(204);
    const lives = woken.length;
    stage.open("answer");
    await stage.heard("answered");
    expect(await left(id)).toEqual(nothing);
    // Its object has come to no harm: to write where nothing is stored any more would have ended it.
    expect(await ring(id)).toBe(false);
    expect(woken.slice(lives)).not.toContain(id);
    expect(outside.hits).toHaveLength(1);
  });
});

describe("a callback that is refused", () => {
  it.each([
    "https://127.0.0.1/",
    "https://10.1.2.3/in",
    "https://192.168.0.1/",
    "https://[::1]/",
    "https://[::ffff:10.0.0.1]/",
    "https://localhost/",
    "https://LOCALHOST./",
    "https://db.internal/",
    "https://169.254.169.254/latest/meta-data",
    "https://2130706433/",
    "https://0x7f.1/",
    "https://017700000001/",
    "http://hooks.example.com/",
    "https://user:hunter2@hooks.example.com/",
    "ftp://hooks.example.com/",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "hooks.example.com/in",
    "/in",
    `https://hooks.example.com/${"x".repeat(2048)}`,
  ])("starts nothing, 422: %s", async (callback) => {
    const problem = await problemOf(await post("/flows/deed/runs", {}, { callback }));
    expect(problem).toMatchObject({ status: 422, errors: [{ pointer: "", detail: problem.detail }] });
    expect(JSON.stringify(problem)).not.toContain(URL_SECRET);
    expect([starts.ids, outside.hits]).toEqual([[], []]);
  });

  it("starts nothing where the input is not valid either", async () => {
    const response = await post("/flows/strict%20deed/runs", { name: 7 }, { callback: outside.url });
    expect(response.status).toBe(422);
    expect(starts.ids).toEqual([]);
  });
});

describe("a Worker that is configured otherwise", () => {
  function startIn(callbacks: CallbackOptions | undefined, callback: string): Promise<Response> {
    const app = serve({ flows: triggeredFlows, ...(callbacks ? { callbacks } : {}) });
    const request = new Request("http://flows.test/flows/deed/runs", { method: "POST", headers: { callback } });
    return Promise.resolve(app.fetch(request, env, {} as ExecutionContext));
  }

  it.each([undefined, { secret: undefined }, { secret: [] }, { secret: ["", undefined] }])(
    "and has no secret takes no callbacks: 503, %j",
    async (callbacks) => {
      const problem = await problemOf(await startIn(callbacks, outside.url));
      expect(problem).toMatchObject({
        status: 503,
        detail: expect.stringContaining("no secret to sign callbacks with"),
      });
      expect((await startIn(callbacks, "https://10.0.0.1/")).status).toBe(422);
      expect(starts.ids).toEqual([]);
    },
  );

  it.each(["http://127.0.0.1:8787/in", "https://10.0.0.1/in", "http://localhost/in"])(
    "takes private addresses where it says so: %s",
    async (callback) => {
      const response = await startIn({ secret: SECRETS.callbacks, allowPrivate: true }, callback);
      expect(response.status).toBe(202);
      // The Worker that sends does not allow them any more: what was allowed once is checked again, at each try.
      const { id } = await response.json<Run>();
      await finished(id);
      const { error, status, tries } = await delivered(id, { tries: 1 });
      expect([status, tries, error]).toEqual(["pending", 1, expect.stringMatching(/^Expected a URL /)]);
      expect(outside.hits).toEqual([]);
    },
  );

  it("takes other schemes, and credentials, nowhere", async () => {
    for (const callback of ["ftp://localhost/", "http://user:hunter2@localhost/"]) {
      const response = await startIn({ secret: SECRETS.callbacks, allowPrivate: true }, callback);
      expect(await problemOf(response)).toMatchObject({ status: 422 });
    }
    expect(starts.ids).toEqual([]);
  });

  it("does not start with a secret that is none", () => {
    const make = (secret: string) => () => serve({ flows: triggeredFlows, callbacks: { secret } });
    expect(make("hunter2 hunter2 hunter2")).toThrow(/^Expected `secret` of `callbacks` to be `whsec_` and base64/);
    expect(make("whsec_c2hvcnQ=")).toThrow(/at least 16 bytes/);
    expect(make("hunter2 hunter2 hunter2")).not.toThrow(/hunter2/);
  });
});
