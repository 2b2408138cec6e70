import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FlowRunObject } from "../../src/durable/run.ts";
import { Follower, getEvents, type StreamEvent } from "../http/follow.ts";
import {
  HANG_MS,
  type Interleaved,
  type Job,
  MOST_ATTEMPTS,
  type Moment,
  type Play,
  watchObjects,
} from "./interleaving.ts";
import { anyFlow, callsOf, endOf, expected, moment, type Plan, planned, whole } from "./interleaving-plans.ts";
import {
  begin,
  DEADLINE_MS,
  expectEnd,
  expectNobodyStays,
  isFinished,
  LATE_MS,
  PROMPT_MS,
  playAll,
  RUNS,
  type Scene,
  SILENCE_MS,
  silent,
  until,
} from "./interleaving-scenes.ts";
import { call, crash, finished, inRun, runOf } from "./support.ts";

let unwatch: () => void;
beforeAll(() => {
  unwatch = watchObjects(FlowRunObject);
});
afterAll(() => unwatch());

describe("a cancel that races the last completions", () => {
  const plans = planned({ failures: [0, 0, 0, 1, 2, 3] }, () => ({
    flow: anyFlow,
    left: whole(0, 3),
    more: whole(0, 6),
    isHeld: fc.boolean(),
  })).map(({ left, isHeld, more, ...rest }) => {
    // Where failures are not collected one would end the run too soon.
    const most = rest.flow === "interleaved, narrow" ? MOST_ATTEMPTS : MOST_ATTEMPTS - 1;
    const jobs = rest.jobs.map((job) => ({ ...job, failures: Math.min(most, job.failures) }));
    const at: Moment = { of: "end", count: Math.max(1, callsOf(jobs) - left), since: "start" };
    return { ...rest, jobs, at, hold: isHeld ? at : undefined, commits: isHeld ? 0 : more };
  });

  it("is told whether it came in time, and after its 202 nothing begins, whatever is killed", async () => {
    const wanted = { canceled: RUNS / 4, completed: 1 };
    await playAll(plans, wanted, async (plan) => {
      const scene = await begin(plan.flow, plan);
      const { play, client } = scene;
      await until(() => play.hasCome(plan.at) || isFinished(play)());
      const commits = play.counts.commit + plan.commits;
      await until(() => play.counts.commit >= commits || isFinished(play)());
      play.act();
      const { status, run: told } = await client.ask("cancel");
      if (status === 202) {
        expect(told).toMatchObject({ status: "canceled", completionReason: "canceled", error: null });
        client.still = told;
      }
      await silent(play);
      const { run } = await expectEnd(scene);
      expect(run.status).toBe(status === 202 ? "canceled" : endOf(plan));
      expect(play.counts.start).toBeLessThanOrEqual(run.executions);
      return { play, ending: run.status };
    });
  }, 120_000);
});

describe("a pause while items are deferred and in exec", () => {
  const plans = planned({ failures: [0, 0, 1, 1, 2] }, (jobs) => ({
    flow: anyFlow,
    pauses: fc.array(moment(jobs), { minLength: 1, maxLength: 2 }),
  }));

  /** Nothing is in exec any more: what an executor held that was lost comes to light when its lease has ended. */
  async function drained({ play, client }: Scene): Promise<void> {
    do await silent(play);
    while ((await client.look()).run.items.running > 0);
  }

  it("keeps all as it is until it goes on, and then it ends as it should, whatever is killed", async () => {
    await playAll(
      plans,
      { "paused with deferred items": RUNS / 4 },
      async (plan) => {
        const scene = await begin(plan.flow, plan);
        const { play, client } = scene;
        let ending = "never paused";
        for (const moment of plan.pauses) {
          await until(() => play.hasCome(moment) || isFinished(play)());
          play.act();
          const { status, run: told } = await client.ask("pause");
          if (status !== 202) break;
          expect(told.status).toBe("paused");
          client.still = told;
          const { hooks } = play;
          await drained(scene);
          await silent(play);
          const { items } = (await client.look()).run;
          await silent(play);
          const later = (await client.look()).run.items;
          expect(later.deferred).toBeGreaterThanOrEqual(items.deferred);
          if (items.running === 0) expect(later).toEqual(items);
          expect(play.hooks).toBe(hooks);
          if (items.deferred > 0) ending = "paused with deferred items";
          else if (ending === "never paused") ending = "paused";
          client.still = undefined;
          play.act();
          expect((await client.ask("resume")).status).toBe(202);
        }
        await finished(client.id);
        const { run } = await expectEnd(scene);
        expect(run.status).toBe("completed");
        return { play, ending };
      },
      50,
    );
  }, 120_000);
});

describe("a delete while subscribers listen", () => {
  /** `isSlow`: it reads nothing before the delete is on its way. */
  interface Subscriber {
    at: Moment;
    isSlow: boolean;
  }

  interface DeletePlan extends Plan {
    flow: Interleaved;
    subscribers: Subscriber[];
    early: Moment | null;
    isEager: boolean;
  }

  const wipes = ["before wipe", "in wipe", "after wipe"] as const;
  const plans: fc.Arbitrary<DeletePlan> = planned(
    { kills: ["undone", "stored", "run", ...wipes, ...wipes] },
    (jobs) => ({
      looks: fc.constant([]),
      flow: anyFlow,
      subscribers: fc.array(fc.record({ at: moment(jobs), isSlow: fc.boolean() }), { minLength: 1, maxLength: 4 }),
      early: fc.option(moment(jobs)),
      isEager: fc.boolean(),
    }),
  );

  const remove = async (id: string) => (await call(`/runs/${id}`, { method: "DELETE" })).status;

  /** All that a subscriber is told, which begins when its moment has come; nothing where the run was gone by then. */
  async function follow(play: Play, { at, isSlow }: Subscriber): Promise<StreamEvent[] | null> {
    await until(() => play.hasCome(at) || play.isOver);
    const isDeleted = play.actions > 0;
    const response = await getEvents(play.id);
    if (response.status === 404 && (isDeleted || play.actions > 0)) return null;
    expect(response.status).toBe(200);
    if (isSlow) await until(() => play.actions > 0);
    return new Follower(response.body as ReadableStream<Uint8Array>).all();
  }

  async function expectNothingStored(id: string): Promise<void> {
    // That the run is deleted is stored, and so there is none from then on. A kill right after leaves the rest for a moment.
    const stored = () =>
      inRun(id, async (storage) => [
        storage.sql.exec("select name from sqlite_master where name not like '\\_cf%' escape '\\'").toArray(),
        await storage.getAlarm(),
      ]);
    await expect.poll(stored).toEqual([[], null]);
  }

  async function deleted({ play, client, plan }: Scene<DeletePlan>): Promise<void> {
    if (plan.isEager) await until(isFinished(play));
    else {
      await finished(client.id);
      await client.look();
    }
    play.act();
    // One that is eager may come before the end is stored.
    while ((await remove(client.id)) === 409) expect(plan.isEager).toBe(true);
  }

  it("leaves nothing behind, and every stream ends with `done`, whatever is killed", async () => {
    await playAll(plans, { "told completed": RUNS / 4, "told deleted": RUNS / 4 }, async (plan) => {
      const scene = await begin(plan.flow, plan);
      const { play, client } = scene;
      const { id } = client;
      const following = Promise.all(plan.subscribers.map((subscriber) => follow(play, subscriber)));
      const { early } = plan;
      if (early) {
        await until(() => play.hasCome(early) || isFinished(play)());
        if (!isFinished(play)()) expect(await remove(id)).toBe(409);
      }
      await deleted(scene);
      for (let times = 0; times < 2; times++) {
        const answers = [call(`/runs/${id}`), call(`/runs/${id}/items`), getEvents(id)];
        expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([404, 404, 404]);
        expect(await remove(id)).toBe(404);
        await expectNothingStored(id);
        if (times === 0) await silent(play).then(() => crash(runOf(id)));
      }
      await scene.end();
      expect(play.wrongs).toEqual([]);
      let ending = "nobody listened";
      for (const events of await following) {
        if (events === null) continue;
        const { event, data } = events.at(-1) as StreamEvent;
        expect({ event, data }).toMatchObject({
          event: "done",
          data: { status: expect.stringMatching(/^(completed|deleted)$/) },
        });
        ending = `told ${(data as { status: string }).status}`;
      }
      return { play, ending };
    });
  }, 120_000);
});

describe("a deadline during a retry's wait", () => {
  const of = (stays: boolean[], failures: number[]) =>
    planned({ failures, stays }, (jobs) => ({
      flow: fc.constantFrom<Interleaved>("interleaved, late", "interleaved, too late"),
      leadMs: whole(-30, 20),
      isWatched: fc.boolean(),
      pause: fc.option(moment(jobs), { freq: 2 }),
    }));
  const plans = fc.oneof(
    of([false], [0, 0, 0, 0, 0, 1]),
    of([false], [0, 0, 1, 2]),
    of([false, false, false, true], [0, 0, 1, 2]),
  );

  const isHopeless = ({ flow, jobs }: { flow: string; jobs: Job[] }) =>
    jobs.some(({ stays, failures }) => stays || (failures > 0 && flow === "interleaved, too late"));

  it("fails the run, and ends what is in exec, whatever is killed", async () => {
    await playAll(
      plans,
      { failed: RUNS / 4 },
      async (plan) => {
        const scene = await begin(plan.flow, plan);
        const { play, client } = scene;
        const { pause } = plan;
        const sinceMs = Date.now();
        const isDue = () => Date.now() >= sinceMs + DEADLINE_MS - plan.leadMs;
        if (pause) await until(() => play.hasCome(pause) || isDue());
        const isPaused = pause !== null && !isDue() && (await client.ask("pause")).status === 202;
        await until(() => isDue() || isFinished(play)());
        play.act();
        if (!plan.isWatched) await until(() => isFinished(play)() || Date.now() > sinceMs + DEADLINE_MS + LATE_MS);
        const { createdAt, finishedAt } = await finished(client.id);
        await expectNobodyStays(play);
        await silent(play);
        const { run } = await expectEnd(scene);
        if (run.status === "completed") expect(isHopeless(plan) || isPaused).toBe(false);
        else {
          expect(run).toMatchObject({ status: "failed", completionReason: "deadline-exceeded" });
          expect(run.error?.name).toBe("DeadlineExceededError");
          const tookMs = Date.parse(String(finishedAt)) - Date.parse(createdAt);
          expect(tookMs).toBeGreaterThanOrEqual(DEADLINE_MS);
          const isKilledThen = play.lastKillMs > Date.parse(createdAt) + DEADLINE_MS - 100;
          expect(tookMs).toBeLessThan(DEADLINE_MS + (isKilledThen ? LATE_MS : PROMPT_MS));
          for (const what of ["cancel", "pause", "resume"] as const) expect((await client.ask(what)).status).toBe(409);
        }
        expect(play.counts.start).toBeLessThanOrEqual(run.executions);
        return { play, ending: `${isPaused ? "paused, " : ""}${run.status}` };
      },
      8,
    );
  }, 120_000);
});

describe("a timeout in an exec that ignores its signal", () => {
  const plans = planned({ hangs: [0, 0, 0, 0, 1, 2, 3], failures: [0, 0, 1] }, () => ({
    flow: fc.constantFrom<Interleaved>("interleaved, timed", "interleaved, timed, narrow"),
  }));

  it("is an attempt that failed, and what comes late changes nothing, whatever is killed", async () => {
    const wanted = { "completed, late values": RUNS / 4, "failed, late values": RUNS / 4 };
    await playAll(plans, wanted, async (plan) => {
      const scene = await begin(plan.flow, plan);
      const { play, client } = scene;
      await until(() => play.counts.hang > 0 || isFinished(play)());
      play.act();
      await finished(client.id);
      await until(() => Date.now() > play.lastMs + HANG_MS + SILENCE_MS);
      const { run } = await expectEnd(scene);
      expect(run.status).toBe(endOf(plan));
      if (run.status === "failed") expect(plan.jobs.map(expected)).toContain(run.error?.name);
      expect(play.counts.start).toBeLessThanOrEqual(run.executions);
      return { play, ending: `${run.status}${play.counts.late > 0 ? ", late values" : ""}` };
    });
  }, 120_000);
});
