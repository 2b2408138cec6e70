import {
  abortAllDurableObjects,
  createScheduledController,
  evictDurableObject,
  runInDurableObject,
} from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Crons, serve } from "../../src/cloudflare.ts";
import { RunIndexObject } from "../../src/durable/run-index.ts";
import { keyedRunId } from "../../src/http/ids.ts";
import { indexOf } from "../durable/indexing.ts";
import { newStage, type Stage } from "../durable/stage.ts";
import { call, crash, finished, getRun, post, type Run, runOf } from "../durable/support.ts";
import { clockwork, HOURS, triggeredFlows } from "../durable/triggering.ts";
import { problemOf } from "./problem.ts";
import { fire, listed, Starts } from "./triggered.ts";

let stage: Stage;
let starts: Starts;
beforeEach(() => {
  stage = newStage();
  starts = new Starts();
  delete clockwork.gate;
  delete clockwork.needs;
});
afterEach(() => {
  vi.restoreAllMocks();
});

const DAY = 24 * 3_600_000;
const taken = { allow: 0, skip: 0 };

/** A cron that nobody has fired yet, and the times for which it is: 06:00 of one day after the other. */
class Clock {
  readonly #minute: number;
  readonly #overlap: "allow" | "skip";

  constructor(overlap: "allow" | "skip") {
    this.#overlap = overlap;
    this.#minute = taken[overlap]++;
  }

  get name(): string {
    return `${this.#overlap}-${this.#minute}`;
  }

  get expression(): string {
    return `${this.#minute} ${HOURS[this.#overlap]} * * *`;
  }

  /** In ms since 1970. */
  at(day: number): number {
    return Date.UTC(2026, 10, 1 + day, HOURS[this.#overlap], this.#minute);
  }

  iso(day: number): string {
    return new Date(this.at(day)).toISOString();
  }

  fire(day: number): Promise<void> {
    return fire(this.expression, this.at(day));
  }

  /** What a run says that was started for a day. */
  words(day: number): string {
    return `${this.name} ${this.at(day)}`;
  }

  /** Fires for a day, and returns the run that is held at its gate then. */
  async held(day: number): Promise<string> {
    const before = new Starts();
    clockwork.gate = `${this.name} go`;
    await this.fire(day);
    delete clockwork.gate;
    const id = await before.run();
    await stage.heard(this.words(day));
    return id;
  }

  async letGo(run: string): Promise<Run> {
    stage.open(`${this.name} go`);
    return finished(run);
  }

  async view(): Promise<CronView> {
    const view = (await cronList()).crons.find(({ name }) => name === this.name);
    expect(view).toBeDefined();
    return view as CronView;
  }
}

interface CronView {
  name: string;
  cron: string;
  flow: string;
  overlap: string;
  nextAt: string | null;
  lastAt: string | null;
  lastRun: string | null;
  skippedAt: string | null;
}

async function cronList(): Promise<{ crons: CronView[]; mismatches: string[] }> {
  const response = await call("/crons");
  expect(response.status).toBe(200);
  return response.json();
}

/** Nothing of a run, or of what is remembered of crons, is in memory any more. */
const LOSSES: [what: string, lose: (run: string) => Promise<unknown>][] = [
  ["all objects are lost", () => abortAllDurableObjects()],
  ["the run's object crashes", (run) => Promise.all([crash(runOf(run)), evictDurableObject(indexOf("runs"))])],
];

describe("a cron that fires", () => {
  it("starts a run with the input of the table, and says what started it", async () => {
    const clock = new Clock("allow");
    await clock.fire(0);
    const run = await finished(await starts.run());
    const trigger = { type: "cron", name: clock.name };
    expect(run).toMatchObject({ flow: "deed", status: "completed", trigger, callback: null });
    expect(run.output).toEqual({ name: clock.words(0), done: true });
    expect(await listed("cron", clock.name, 1)).toMatchObject([{ id: run.id, trigger }]);
    expect((await call("/runs?trigger=http&limit=1000")).status).toBe(200);
  });

  it("starts a run with the time where the table has no input, under the flow's name", async () => {
    const at = Date.UTC(2026, 10, 23, 8);
    await fire("0 8 * * MON", at);
    const run = await finished(await starts.run());
    expect(run.trigger).toEqual({ type: "cron", name: "deed" });
    expect(run.output).toEqual({ scheduledTime: "2026-11-23T08:00:00.000Z", done: true });
  });

  it("waits for an input that takes its time", async () => {
    await fire("0 11 * * *", 5);
    expect((await finished(await starts.run())).output).toEqual({ name: "later 5", done: true });
  });

  it("is known in other white space and letters, and starts no second run for that", async () => {
    const at = Date.UTC(2026, 10, 30, 8);
    for (const expression of ["0 8 * * MON", "0  8 * * mon ", "0 8 * * Mon"]) await fire(expression, at);
    await finished(await starts.run());
    expect(stage.count("deed")).toBe(1);
  });

  it.each<[string, (clock: Clock, id: string) => Promise<unknown>]>([
    ["twice, one after the other", (clock) => clock.fire(0)],
    ["ten times more at once", (clock) => Promise.all(Array.from({ length: 10 }, () => clock.fire(0)))],
    ...LOSSES.map(([what, lose]): [string, (clock: Clock, id: string) => Promise<unknown>] => [
      `once more after ${what}`,
      async (clock, id) => {
        await lose(id);
        await clock.fire(0);
      },
    ]),
  ])("for one time %s: one run", async (_, again) => {
    for (const overlap of ["allow", "skip"] as const) {
      const clock = new Clock(overlap);
      const own = new Starts();
      await clock.fire(0);
      await finished(await own.run());
      await again(clock, await own.run());
      const run = await finished(await own.run());
      expect(run.status).toBe("completed");
      expect(stage.count(clock.words(0))).toBe(1);
      expect((await listed("cron", clock.name, 1)).map(({ id }) => id)).toEqual([run.id]);
      expect(await clock.view()).toMatchObject({ lastAt: clock.iso(0), lastRun: run.id, skippedAt: null });
    }
  });

  it.each(["allow", "skip"] as const)(
    "ten times at once for one time, the first time it fires, is one run: %s",
    async (overlap) => {
      const clock = new Clock(overlap);
      await Promise.all(Array.from({ length: 10 }, () => clock.fire(0)));
      await finished(await starts.run());
      expect(stage.count(clock.words(0))).toBe(1);
      expect(await listed("cron", clock.name, 1)).toHaveLength(1);
    },
  );

  it.each(LOSSES)("for one time, while its run is going on when %s: one run, which ends", async (_, lose) => {
    const clock = new Clock("skip");
    const id = await clock.held(0);
    // Nobody drains what waits at a gate for ever.
    stage.open(`${clock.name} go`);
    await lose(id);
    await clock.fire(0);
    expect(await finished(id)).toMatchObject({ status: "completed" });
    expect(await starts.runs()).toEqual([id]);
    expect(await clock.view()).toMatchObject({ lastRun: id, skippedAt: null });
  });

  it.each(["crons", "fired", "started", "overdue"] as const)(
    "starts its run though what is remembered of crons is lost while it is asked: %s",
    async (asked) => {
      const clock = new Clock("skip");
      // What the first call does is stored, and its answer never comes.
      const real = RunIndexObject.prototype[asked] as (...given: unknown[]) => unknown;
      const spied = vi.spyOn(RunIndexObject.prototype, asked as "crons");
      spied.mockImplementationOnce(function (this: RunIndexObject, ...given: unknown[]): never {
        real.apply(this, given);
        const { ctx } = this as unknown as { ctx: DurableObjectState };
        return ctx.storage.sync().then(() => ctx.abort("Instance disposed by a test")) as never;
      });
      await clock.fire(0);
      expect(spied.mock.calls.length).toBeGreaterThan(1);
      const run = await finished(await starts.run());
      expect(run).toMatchObject({ status: "completed", output: { name: clock.words(0) } });
      expect(stage.count(clock.words(0))).toBe(1);
      expect(await clock.view()).toMatchObject({ lastAt: clock.iso(0), lastRun: run.id, skippedAt: null });
      // Nor is it in the way of the next.
      await clock.fire(1);
      expect(await starts.runs()).toHaveLength(2);
    },
  );

  it("for two times starts two runs", async () => {
    const clock = new Clock("allow");
    await clock.fire(0);
    await clock.fire(1);
    const [first, second] = (await starts.runs()) as [string, string];
    expect(await starts.runs()).toHaveLength(2);
    expect([await finished(first), await finished(second)].map(({ output }) => output)).toEqual([
      { name: clock.words(0), done: true },
      { name: clock.words(1), done: true },
    ]);
    expect((await listed("cron", clock.name, 2)).map(({ id }) => id).sort()).toEqual([first, second].sort());
    expect(await clock.view()).toMatchObject({ lastAt: clock.iso(1), lastRun: second });
  });

  it("at one time with another is a run of its own", async () => {
    const [one, other] = [new Clock("allow"), new Clock("allow")];
    const at = one.at(0);
    await Promise.all([fire(one.expression, at), fire(other.expression, at)]);
    expect(await starts.runs()).toHaveLength(2);
  });

  it("late, for an earlier time, starts its run, which is the last that was started then", async () => {
    const clock = new Clock("allow");
    await clock.fire(1);
    await clock.fire(0);
    expect(await starts.runs()).toHaveLength(2);
    expect(await clock.view()).toMatchObject({ lastAt: clock.iso(0), lastRun: (await starts.runs())[1] });
  });

  it("beside another of the same expression and flow starts a run for each", async () => {
    const input = (name: string) => () => ({ name });
    const app = serve({
      flows: triggeredFlows,
      crons: {
        "0 13 * * *": [
          { flow: "deed", name: "one", input: input("one") },
          { flow: "deed", name: "other", input: input("other") },
        ],
      },
    });
    for (let time = 0; time < 2; time++)
      await app.scheduled(createScheduledController({ cron: "0 13 * * *", scheduledTime: 5 }));
    const runs = await Promise.all((await starts.runs()).map(finished));
    expect(runs.map(({ trigger }) => trigger.name).sort()).toEqual(["one", "other"]);
    expect(runs.map(({ output }) => (output as { name: string }).name).sort()).toEqual(["one", "other"]);
  });

  it.each(["59 23 * * *", "* * * * *", "0 6 * * * *", "", "skip-0"])(
    "and is not in the table, `%s`, starts nothing",
    async (expression) => {
      await fire(expression, Date.UTC(2026, 10, 23, 6));
      expect(await starts.runs()).toEqual([]);
    },
  );
});

describe('a cron with `overlap: "skip"`', () => {
  it.each<(typeof LOSSES)[number]>([["nothing is lost", async () => undefined], ...LOSSES])(
    "starts nothing while its last run goes on, and never for that time: %s",
    async (_, lose) => {
      const clock = new Clock("skip");
      const first = await clock.held(0);
      await clock.fire(1);
      expect(await starts.runs()).toEqual([first]);
      expect(await clock.view()).toMatchObject({ lastAt: clock.iso(0), lastRun: first, skippedAt: clock.iso(1) });
      await clock.letGo(first);
      await lose(first);
      // The platform delivers it once more, though the time has passed.
      await Promise.all([clock.fire(1), clock.fire(1)]);
      expect(await starts.runs()).toEqual([first]);
      expect(await clock.view()).toMatchObject({ lastAt: clock.iso(0), lastRun: first, skippedAt: clock.iso(1) });
      await clock.fire(2);
      expect(await starts.runs()).toHaveLength(2);
      expect(await clock.view()).toMatchObject({ lastAt: clock.iso(2), skippedAt: clock.iso(1) });
      expect(stage.count(clock.words(1))).toBe(0);
    },
  );

  it("finds the run of the same time where that goes on", async () => {
    const clock = new Clock("skip");
    const first = await clock.held(0);
    await Promise.all(Array.from({ length: 10 }, () => clock.fire(0)));
    expect(await starts.runs()).toEqual([first]);
    expect(await clock.view()).toMatchObject({ lastAt: clock.iso(0), lastRun: first, skippedAt: null });
    expect(await clock.letGo(first)).toMatchObject({ status: "completed" });
    expect(stage.count(clock.words(0))).toBe(1);
  });

  it("skips one time after the other, for as long as it takes", async () => {
    const clock = new Clock("skip");
    const first = await clock.held(0);
    for (const day of [1, 2, 3]) await clock.fire(day);
    expect(await starts.runs()).toEqual([first]);
    expect(await clock.view()).toMatchObject({ lastRun: first, skippedAt: clock.iso(3) });
    await clock.letGo(first);
    await clock.fire(4);
    expect(await starts.runs()).toHaveLength(2);
  });

  it.each<[string, (id: string, clock: Clock) => Promise<unknown>]>([
    ["has completed", (id, clock) => clock.letGo(id)],
    ["was canceled", (id) => post(`/runs/${id}/cancel`)],
    [
      "was canceled and deleted",
      async (id) => {
        await post(`/runs/${id}/cancel`);
        expect((await call(`/runs/${id}`, { method: "DELETE" })).status).toBe(204);
      },
    ],
  ])("starts the next run where the last one %s", async (_, end) => {
    const clock = new Clock("skip");
    const first = await clock.held(0);
    await end(first, clock);
    await clock.fire(1);
    const others = (await starts.runs()).filter((id) => id !== first);
    expect(others).toHaveLength(1);
    expect(await clock.view()).toMatchObject({ lastAt: clock.iso(1), lastRun: others[0], skippedAt: null });
  });

  it("starts the next run where the last one has failed", async () => {
    const clock = new Clock("skip");
    clockwork.needs = "help";
    await clock.fire(0);
    expect(await finished(await starts.run())).toMatchObject({ status: "failed" });
    await clock.fire(1);
    expect(await starts.runs()).toHaveLength(2);
  });

  it("minds a run that is about to be started, for half a minute: else nobody has come back to start it", async () => {
    const clock = new Clock("skip");
    const index = indexOf("runs");
    const never = await keyedRunId("deed", "never started");
    expect(await index.fired(clock.name, clock.at(0), never, null)).toBe(true);
    await clock.fire(1);
    expect(await starts.runs()).toEqual([]);
    expect(await clock.view()).toMatchObject({ lastRun: never, skippedAt: clock.iso(1) });
    await runInDurableObject(index, (_, { storage }) => {
      storage.sql.exec("update cron set claimed_ms = claimed_ms - 31000 where name = ?", clock.name);
    });
    await clock.fire(2);
    expect(await clock.view()).toMatchObject({ lastRun: await starts.run(), lastAt: clock.iso(2) });
  });

  it("minds a paused run: it goes on", async () => {
    const clock = new Clock("skip");
    const first = await clock.held(0);
    await post(`/runs/${first}/pause`);
    await clock.fire(1);
    expect(await starts.runs()).toEqual([first]);
    await post(`/runs/${first}/cancel`);
  });

  it("minds its own last run, and none of others", async () => {
    const [held, free] = [new Clock("skip"), new Clock("skip")];
    await held.held(0);
    await free.fire(0);
    expect(await starts.runs()).toHaveLength(2);
    expect(await free.view()).toMatchObject({ lastAt: free.iso(0), skippedAt: null });
  });

  it("starts nothing that cannot be remembered: the next one would not know of it", async () => {
    const clock = new Clock("skip");
    await new Clock("skip").fire(0);
    const known = await starts.runs();
    const inIndex = (sql: string) =>
      runInDurableObject(indexOf("runs"), (_, { storage }) => void storage.sql.exec(sql));
    await inIndex(`create trigger refuse before insert on cron when new.name = '${clock.name}'
      begin select raise(abort, 'not remembered'); end`);
    await expect(clock.fire(0)).rejects.toThrow("not remembered");
    expect(await starts.runs()).toEqual(known);
    await inIndex("drop trigger refuse");
    await clock.fire(0);
    expect(await starts.runs()).toHaveLength(known.length + 1);
  });

  it("minds a run whose object is lost just then", async () => {
    const clock = new Clock("skip");
    const first = await clock.held(0);
    await crash(runOf(first));
    await clock.fire(1);
    expect(await starts.runs()).toEqual([first]);
    expect(await clock.view()).toMatchObject({ skippedAt: clock.iso(1) });
  });
});

describe('a cron with `overlap: "allow"`', () => {
  it("starts another run while its last one goes on", async () => {
    const clock = new Clock("allow");
    const first = await clock.held(0);
    const second = await clock.held(1);
    expect(await clock.view()).toMatchObject({ lastAt: clock.iso(1), lastRun: second, skippedAt: null });
    expect([(await getRun(first)).status, (await getRun(second)).status]).toEqual(["running", "running"]);
  });
});

describe("a cron whose input does not fit its flow", () => {
  it("makes the handler throw, and starts nothing", async () => {
    await expect(fire("0 10 * * *", 5)).rejects.toThrow(/^The input is not what the flow takes at \/name: /);
    expect(await starts.runs()).toEqual([]);
    expect(await problemOf(await post("/crons/misfit/run"))).toMatchObject({
      status: 422,
      errors: [{ pointer: "/name" }],
    });
    expect(await starts.runs()).toEqual([]);
  });

  it("keeps none of the same expression from starting", async () => {
    const at = Date.UTC(2026, 10, 23, 9);
    await expect(fire("0 9 * * *", at)).rejects.toThrow("The input is not what the flow takes at /name");
    const name = `fit-of-two ${at}`;
    expect(await finished(await starts.run())).toMatchObject({ output: { name }, trigger: { name: "fit-of-two" } });
  });

  it("makes it throw what the table's function has thrown", async () => {
    const input = () => {
      throw new Error("no input today");
    };
    const app = serve({ flows: triggeredFlows, crons: { "0 12 * * *": { flow: "deed", name: "throwing", input } } });
    const fired = app.scheduled(createScheduledController({ cron: "0 12 * * *" }));
    await expect(fired).rejects.toThrow("no input today");
    expect(await starts.runs()).toEqual([]);
  });
});

describe("GET /crons", () => {
  it("lists every cron of the table, also those that never fired", async () => {
    const clock = new Clock("skip");
    const { crons: list, mismatches } = await cronList();
    expect(mismatches).toEqual([]);
    expect(list.map(({ name }) => name)).toEqual(
      expect.arrayContaining(["deed", "misfit-of-two", "fit-of-two", clock.name]),
    );
    expect(await clock.view()).toEqual({
      ...{ name: clock.name, cron: clock.expression, flow: "deed", overlap: "skip" },
      ...{ nextAt: expect.any(String), lastAt: null, lastRun: null, skippedAt: null },
    });
  });

  it("says when each fires next, in UTC", async () => {
    const clock = new Clock("allow");
    const nowMs = Date.now();
    const { crons: list } = await cronList();
    const today = Math.floor(nowMs / DAY) * DAY + (clock.at(0) % DAY);
    expect(await clock.view()).toMatchObject({
      nextAt: new Date(today > nowMs ? today : today + DAY).toISOString(),
    });
    const monday = new Date(list.find(({ name }) => name === "deed")?.nextAt as string);
    expect([monday.getUTCDay(), monday.getUTCHours(), monday.getUTCMinutes(), monday.getTime() % 60_000]).toEqual([
      1, 8, 0, 0,
    ]);
    expect(monday.getTime() - nowMs).toBeGreaterThan(0);
    expect(monday.getTime() - nowMs).toBeLessThanOrEqual(7 * DAY);
  });
});

describe("POST /crons/:name/run", () => {
  it("answers 202 with a run and its place, at once, and remembers it as the last", async () => {
    const clock = new Clock("skip");
    const beforeMs = Date.now();
    clockwork.gate = "now";
    const response = await post(`/crons/${clock.name}/run`);
    delete clockwork.gate;
    const run = await response.json<Run>();
    expect(response.status).toBe(202);
    expect(response.headers.get("location")).toBe(`/runs/${run.id}`);
    expect(run).toMatchObject({ id: await starts.run(), flow: "deed", trigger: { type: "cron", name: clock.name } });
    const view = await clock.view();
    expect(view.lastRun).toBe(run.id);
    expect(Date.parse(view.lastAt as string)).toBeGreaterThanOrEqual(beforeMs);
    expect(Date.parse(view.lastAt as string)).toBeLessThanOrEqual(Date.now());
    // Its input is made for the time at which it was started.
    stage.open("now");
    const { name } = (await finished(run.id)).output as { name: string };
    expect(name).toBe(`${clock.name} ${Date.parse(view.lastAt as string)}`);
  });

  it("starts a run while others of the cron go on, and the clock skips for it", async () => {
    const clock = new Clock("skip");
    await clock.held(0);
    clockwork.gate = `${clock.name} go`;
    const first = await post(`/crons/${clock.name}/run`);
    const second = await post(`/crons/${clock.name}/run`);
    expect([first.status, second.status]).toEqual([202, 202]);
    expect(await starts.runs()).toHaveLength(3);
    // The clock goes on from now: the days of November are over for this cron.
    await fire(clock.expression, Date.now() + DAY);
    expect(await starts.runs()).toHaveLength(3);
    expect(await clock.view()).toMatchObject({ lastRun: (await second.json<Run>()).id, skippedAt: expect.any(String) });
  });

  it("with an Idempotency-Key that comes again answers with the same run", async () => {
    const clock = new Clock("allow");
    const run = async (key: string, name = clock.name) =>
      (await (await post(`/crons/${name}/run`, {}, { "idempotency-key": key })).json<Run>()).id;
    const same = await Promise.all(Array.from({ length: 5 }, () => run("k")));
    const only = await starts.run();
    expect(same).toEqual(same.map(() => only));
    await abortAllDurableObjects();
    expect(await run("k")).toBe(await starts.run());
    const others = [await run("other"), await run("k", new Clock("allow").name)];
    expect(new Set([...same, ...others]).size).toBe(3);
    expect(await starts.runs()).toHaveLength(3);
    // What the clock starts has keys too, and none that anybody could say.
    await clock.fire(0);
    expect(await starts.runs()).toHaveLength(4);
  });

  it("with a key that comes again leaves the last run what it is: the clock skips for that one", async () => {
    const clock = new Clock("skip");
    const again = () => post(`/crons/${clock.name}/run`, {}, { "idempotency-key": "again" });
    await again();
    await finished(await starts.run());
    const held = await clock.held(0);
    await again();
    expect(await clock.view()).toMatchObject({ lastAt: clock.iso(0), lastRun: held });
    await clock.fire(1);
    expect(await starts.runs()).toHaveLength(2);
  });

  it("does not hide a run that the clock starts late, for a time before", async () => {
    const clock = new Clock("skip");
    await post(`/crons/${clock.name}/run`);
    await finished(await starts.run());
    await clock.held(0);
    await clock.fire(1);
    expect(await starts.runs()).toHaveLength(2);
  });

  it("refuses a key that is too long, and a cron that there is not", async () => {
    const { name } = new Clock("allow");
    const long = await post(`/crons/${name}/run`, {}, { "idempotency-key": "x".repeat(256) });
    expect(await problemOf(long)).toMatchObject({ status: 400 });
    const unknown = await problemOf(await post("/crons/nightly/run"));
    expect(unknown).toMatchObject({ status: 404, detail: expect.stringContaining("There is no cron `nightly`; ") });
    expect(unknown.detail).toContain(name);
    expect((await post("/crons/__proto__/run")).status).toBe(404);
    expect(await starts.runs()).toEqual([]);
  });

  it("and the list ask for the token", async () => {
    const { POCKETFLARE_OPEN: wasOpen } = env;
    try {
      delete env.POCKETFLARE_OPEN;
      env.API_TOKEN = "the token";
      const path = `/crons/${new Clock("allow").name}/run`;
      expect(await problemOf(await post(path))).toMatchObject({ status: 401 });
      expect(await problemOf(await call("/crons"))).toMatchObject({ status: 401 });
      expect(await starts.runs()).toEqual([]);
      expect((await post(path, {}, { authorization: "Bearer the token" })).status).toBe(202);
      expect((await call("/crons", { headers: { authorization: "Bearer the token" } })).status).toBe(200);
    } finally {
      delete env.API_TOKEN;
      env.POCKETFLARE_OPEN = wasOpen as string;
    }
  });
});

describe("a Worker whose crons cannot be meant", () => {
  it.each<[string, Crons, RegExp]>([
    ["an unknown flow", { "0 6 * * *": { flow: "nothing" } }, /to start a flow that serve knows, got `nothing`/],
    ["no expression", { daily: { flow: "deed" } }, /to be five fields/],
    ["a day that is numbered", { "0 6 * * 1": { flow: "deed" } }, /the weekdays of cron `0 6 \* \* 1` by name/],
    [
      "one name for two",
      { "0 6 * * *": { flow: "deed" }, "0 7 * * *": { flow: "deed" } },
      /a name of its own, got `deed`/,
    ],
  ])("does not start: %s", (_, table, message) => {
    expect(() => serve({ flows: triggeredFlows, crons: table })).toThrow(message);
  });

  it("says at start-up, and in the list, what is not in wrangler.toml as well", async () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => undefined);
    const app = serve({
      flows: triggeredFlows,
      crons: { "0 6 * * *": { flow: "deed" } },
      triggers: ["30 5 * * *", "* * * * *"],
    });
    const said = warn.mock.calls.flat().map((line) => (line as { message: string }).message);
    const response = await app.fetch(new Request("http://flows.test/crons"), env, {} as ExecutionContext);
    const { mismatches } = await response.json<{ mismatches: string[] }>();
    expect(mismatches).toEqual([
      expect.stringContaining("`0 6 * * *` starts `deed`, but is not among the crons of wrangler.toml"),
      expect.stringContaining("wrangler.toml has the cron `30 5 * * *`"),
    ]);
    expect(said).toEqual(mismatches);
  });
});
