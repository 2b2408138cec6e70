import { abortAllDurableObjects, evictDurableObject, runDurableObjectAlarm } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { idsOf } from "../../src/core/limiter.ts";
import { Cast, Desk, endings, limiterOf, request, rowsWritten, StoppedClock, tablesOf } from "./limiters.ts";
import { newStage, stage } from "./stage.ts";
import { call, crash } from "./support.ts";

const LEASE_MS = 30_000;
/** What the limit `window` allows. */
const WINDOW = { requests: 6, concurrency: 4, periodMs: 10_000, transitMs: 500 };

let clock: StoppedClock;
let cast: Cast;
beforeEach(() => {
  newStage();
  clock = new StoppedClock();
  cast = new Cast((run) => run.startsWith("played"));
});
afterEach(() => {
  vi.restoreAllMocks();
});

// Names of runs that the tests play.
const A = "played a";
const B = "played b";
const C = "played c";

const strikes: [string, (desk: Desk) => Promise<void>][] = [
  ["nothing", async () => undefined],
  ["a crash", ({ stub }) => crash(stub)],
  ["an eviction", ({ stub }) => evictDurableObject(stub)],
  ["the loss of all objects", () => abortAllDurableObjects()],
];

describe.each(strikes)("after %s", (what, strike) => {
  const desk = (name: string) => new Desk("window", `${name}, ${what}`);

  it("a repeated request gets the permits that it got, and no more", async () => {
    const window = desk("repeated");
    const first = request(A, { wants: [[100, 3]] });
    const answer = await window.exchange(first);
    expect(answer).toMatchObject({ life: 1, granted: [[1, 3]], last: 3 });
    for (let times = 0; times < 3; times++) {
      await strike(window);
      expect(await window.exchange(first)).toEqual(answer);
    }
    expect(await window.view()).toMatchObject({ inFlight: 3, waiting: 0, used: { requests: 3, tokens: 300 } });
  });

  it("a life's first request gets the permits that it got when it is repeated", async () => {
    const window = desk("first of a life");
    const first = request(A, { life: 4, heard: null, wants: [[0, 3]] });
    const answer = await window.exchange(first);
    expect(answer).toMatchObject({ life: 4, granted: [[1, 3]], last: 3 });
    await strike(window);
    expect(await window.exchange(first)).toEqual(answer);
    expect(await window.view()).toMatchObject({ inFlight: 3, used: { requests: 3 } });
  });

  it("other runs get what is left, and the next gets nothing", async () => {
    const window = desk("left");
    await window.permits(A, { wants: [[0, 3]] });
    await strike(window);
    expect(await window.permits(B, { wants: [[0, 2]] })).toEqual([1]);
    await strike(window);
    expect(await window.permits(C, { wants: [[0, 1]] })).toEqual([]);
    expect(await window.view()).toMatchObject({ inFlight: 4, waiting: 2 });
  });

  it("a permit that was given back is another's, once", async () => {
    const window = desk("refunded");
    await window.permits(A, { wants: [[100, 4]] });
    const back = { heard: 4, holds: [[3, 2]], refunds: [1, 2] } satisfies Parameters<typeof request>[1];
    for (let times = 0; times < 2; times++) {
      await window.permits(A, back);
      await strike(window);
    }
    expect(await window.view()).toMatchObject({ inFlight: 2, used: { requests: 2, tokens: 200 } });
    expect(await window.permits(B, { wants: [[0, 4]] })).toEqual([1, 2]);
    expect(await window.permits(A, { ...back, wants: [[0, 1]] })).toEqual([]);
  });

  it("a call that has ended frees its place, once, and stays counted for a period", async () => {
    const window = desk("ended");
    await window.permits(A, { wants: [[100, 4]] });
    const done = { heard: 4, holds: [[3, 2]], ended: endings(1, 2) } satisfies Parameters<typeof request>[1];
    for (let times = 0; times < 2; times++) {
      await window.permits(A, done);
      await strike(window);
    }
    expect(await window.view()).toMatchObject({ inFlight: 2, used: { requests: 4, tokens: 400 } });
    expect(await window.permits(B, { wants: [[0, 3]] })).toEqual([1, 2]);
    clock.forward(WINDOW.periodMs + 20);
    await strike(window);
    expect(await window.view()).toMatchObject({ inFlight: 4, used: { requests: 4, tokens: 200 } });
  });

  it("a call that has begun leaves the window while it goes on; one that has not stays in it", async () => {
    const window = desk("begun");
    await window.permits(A, { wants: [[100, 2]] });
    clock.forward(1000);
    await window.permits(A, { heard: 2, holds: [[1, 2]], begun: [{ id: 1, ageMs: 400 }] });
    clock.forward(WINDOW.periodMs + WINDOW.transitMs - 400 - 20);
    await strike(window);
    expect(await window.view()).toMatchObject({ inFlight: 2, used: { requests: 2, tokens: 200 } });
    clock.forward(40);
    await strike(window);
    expect(await window.view()).toMatchObject({ inFlight: 2, used: { requests: 1, tokens: 100 } });
  });

  it("what a call used in truth takes the place of what was reserved", async () => {
    const window = desk("settled");
    await window.permits(A, { wants: [[100, 2]] });
    await strike(window);
    await window.permits(A, { heard: 2, holds: [[1, 2]], begun: [{ id: 1, ageMs: 0 }] });
    await strike(window);
    const [less, more] = endings(1, 2).map((ending, at) => ({ ...ending, tokens: [40, 130][at] as number }));
    await window.permits(A, { heard: 2, ended: [less, more].filter((ending) => ending !== undefined) });
    await strike(window);
    expect((await window.view()).used).toEqual({ requests: 2, tokens: 170 });
  });

  it("what a new life of a run does not know of is lost: its place is free, and it was used", async () => {
    const window = desk("new life");
    await window.permits(A, { wants: [[100, 4]] });
    await strike(window);
    const again = await window.exchange(request(A, { life: 2, heard: null, holds: [[2, 1]], wants: [[0, 1]] }));
    expect(again).toMatchObject({ life: 2, granted: [[5, 1]], last: 5 });
    expect(await window.view()).toMatchObject({ inFlight: 2, used: { requests: 5, tokens: 400 } });
  });

  it("an earlier life of a run gets no answer, and nothing that it says counts", async () => {
    const window = desk("earlier life");
    await window.exchange(request(A, { life: 2, heard: null, wants: [[0, 2]] }));
    await strike(window);
    const late = request(A, { life: 1, heard: 2, refunds: [1], ended: endings(2), wants: [[0, 2]] });
    expect(await window.exchange(late)).toBeNull();
    expect(await window.view()).toMatchObject({ inFlight: 2, waiting: 0, used: { requests: 2 } });
  });

  it("a request that was overtaken by a later one gets no answer, and nothing that it says counts", async () => {
    const window = desk("overtaken");
    await window.exchange(request(A, { number: 5, wants: [[0, 2]] }));
    await strike(window);
    const late = request(A, { number: 4, heard: 2, refunds: [1], ended: endings(2), wants: [[0, 2]] });
    expect(await window.exchange(late)).toBeNull();
    expect(await window.view()).toMatchObject({ inFlight: 2, waiting: 0, used: { requests: 2 } });
  });

  it("a refused call's key still cools down, and then goes on", async () => {
    const window = desk("cooling");
    await window.permits(A, { wants: [[0, 1]] });
    const [refused] = endings(1).map((ending) => ({ ...ending, as: "refused" as const, retryAfterMs: 7000 }));
    await window.permits(A, { heard: 1, ended: refused ? [refused] : [] });
    await strike(window);
    expect(await window.exchange(request(B, { wants: [[0, 1]] }))).toMatchObject({ last: 0, retryAfterMs: 7000 });
    expect((await window.view()).cooldownUntil).toBe(new Date(clock.nowMs + 7000).toISOString());
    clock.forward(7000);
    await strike(window);
    expect(await window.permits(B, { wants: [[0, 1]] })).toEqual([1]);
    expect((await window.view()).cooldownUntil).toBeNull();
  });

  it("a bucket that was emptied refills at its rate", async () => {
    const bucket = new Desk("bucket", what);
    expect(await bucket.permits(A, { wants: [[0, 9]] })).toEqual([1, 2, 3, 4]);
    await strike(bucket);
    await bucket.permits(A, { heard: 4, ended: endings(1, 2, 3, 4) });
    clock.forward(3100);
    await strike(bucket);
    expect(await bucket.permits(A, { heard: 4, wants: [[0, 9]] })).toEqual([5, 6, 7]);
  });
});

describe("a run that is heard no more", () => {
  const everywhere = strikes.filter(([what]) => what !== "an eviction");

  it.each(everywhere)("gives its places back when its lease ends, once, after %s", async (what, strike) => {
    const desk = new Desk("places", `lease, ${what}`);
    await desk.permits(A, { wants: [[0, 3]] });
    expect(await desk.permits(B, { wants: [[0, 3]] })).toEqual([1]);
    clock.forward(LEASE_MS - 1);
    await desk.permits(B, { heard: 1, holds: [[1, 1]], wants: [[0, 2]] });
    await runDurableObjectAlarm(desk.stub);
    expect(await desk.view()).toMatchObject({ inFlight: 4, waiting: 2 });
    await strike(desk);
    // Who was away itself cannot know who else was: to a limiter that was lost all leases are new.
    if (what !== "nothing") await desk.view();
    clock.forward(what === "nothing" ? 1 : LEASE_MS);
    if (what !== "nothing") await desk.permits(B, { heard: 1, holds: [[1, 1]], wants: [[0, 2]] });
    await runDurableObjectAlarm(desk.stub);
    await stage().until(() => cast.toldTo(B, desk).some(({ last }) => last === 3));
    expect(await desk.view()).toMatchObject({ inFlight: 3, waiting: 0 });
    // What the run still has to say comes too late to free anything a second time.
    await desk.permits(A, { heard: 3, holds: [[2, 2]], ended: endings(1), refunds: [2, 3] });
    expect(await desk.view()).toMatchObject({ inFlight: 3, waiting: 0 });
    expect(await desk.permits(C, { wants: [[0, 4]] })).toEqual([1]);
  });

  it("keeps them as long as it says that it has them", async () => {
    const desk = new Desk("places", "renewed");
    await desk.permits(A, { wants: [[0, 4]] });
    for (let times = 0; times < 5; times++) {
      clock.forward(LEASE_MS - 1);
      await desk.permits(A, { heard: 4, holds: [[1, 4]] });
      await runDurableObjectAlarm(desk.stub);
    }
    expect(await desk.view()).toMatchObject({ inFlight: 4 });
  });

  it("leaves its calls counted: nobody knows whether they have reached the vendor", async () => {
    const desk = new Desk("window", "lost");
    await desk.permits(A, { wants: [[100, 4]] });
    await desk.permits(A, { heard: 4, holds: [[1, 4]] });
    clock.forward(LEASE_MS);
    await runDurableObjectAlarm(desk.stub);
    expect(await desk.view()).toMatchObject({ inFlight: 0, used: { requests: 4, tokens: 400 } });
    clock.forward(WINDOW.periodMs);
    expect(await desk.view()).toMatchObject({ used: { requests: 4 } });
    clock.forward(WINDOW.transitMs + 20);
    expect(await desk.view()).toMatchObject({ used: { requests: 0, tokens: 0 } });
  });

  it("gets no number again that it still has, when it comes back", async () => {
    const desk = new Desk("places", "back");
    await desk.permits(A, { wants: [[0, 3]] });
    await desk.permits(A, { heard: 3, holds: [[1, 3]] });
    clock.forward(LEASE_MS);
    await runDurableObjectAlarm(desk.stub);
    expect(await desk.tables()).toMatchObject({ holder: 0 });
    const answer = await desk.exchange(request(A, { life: 2, heard: null, holds: [[1, 3]], wants: [[0, 2]] }));
    // It is told which of its permits are gone.
    expect(answer).toMatchObject({ gone: [1, 2, 3] });
    const ids = idsOf(answer?.granted ?? []);
    expect(ids).toHaveLength(2);
    expect(ids.filter((id) => id <= 3)).toEqual([]);
    // Or the end of an old call would free the place of a new one.
    await desk.permits(A, {
      life: 2,
      heard: ids.at(-1) as number,
      holds: [[ids[0] as number, 2]],
      ended: endings(1, 2),
    });
    expect(await desk.view()).toMatchObject({ inFlight: 2 });
  });
});

describe("a run that waits", () => {
  it("is told of permits as soon as another gives back, and again until it has heard", async () => {
    const desk = new Desk("places", "told");
    await desk.permits(A, { wants: [[0, 4]] });
    await desk.permits(A, { heard: 4, holds: [[1, 4]] });
    await desk.permits(B, { wants: [[0, 2]] });
    cast.loses = desk;
    await desk.permits(A, { heard: 4, holds: [[3, 2]], ended: endings(1, 2) });
    await stage().until(() => cast.toldTo(B, desk).length > 1);
    expect(cast.toldTo(B, desk)).toMatchObject([{ last: 2 }, { life: 1, granted: [[1, 2]], last: 2 }]);
    expect(await desk.view()).toMatchObject({ inFlight: 4, waiting: 0 });
  });

  it("is told again after the limiter was lost, since nobody knows whether it was", async () => {
    const desk = new Desk("places", "told again");
    await desk.permits(A, { wants: [[0, 4]] });
    await desk.permits(A, { heard: 4, holds: [[1, 4]] });
    await desk.permits(B, { wants: [[0, 2]] });
    await desk.permits(A, { heard: 4, holds: [[3, 2]], refunds: [1, 2] });
    await stage().until(() => cast.toldTo(B, desk).length > 0);
    await crash(desk.stub);
    await desk.view();
    await stage().until(() => cast.toldTo(B, desk).length > 1);
    expect(cast.toldTo(B, desk)).toMatchObject([{ last: 2 }, { life: 1, granted: [[1, 2]], last: 2 }]);
  });

  it("is told nothing that it was answered", async () => {
    const desk = new Desk("places", "answered");
    expect(await desk.permits(A, { wants: [[0, 2]] })).toEqual([1, 2]);
    expect(await desk.permits(B, { wants: [[0, 3]] })).toEqual([1, 2]);
    expect(await runDurableObjectAlarm(desk.stub)).toBe(true);
    await desk.permits(A, { heard: 2, holds: [[2, 1]], ended: endings(1) });
    await stage().until(() => cast.toldTo(B, desk).length > 0);
    expect(cast.toldTo(A, desk)).toEqual([]);
    expect(cast.toldTo(B, desk)[0]).toMatchObject({ last: 3 });
  });

  it("is told that it wants more than there ever is since the limit was changed, and holds nobody up", async () => {
    const desk = new Desk("window", "too large now");
    await desk.permits(A, { wants: [[600, 1]] });
    await desk.permits(A, { heard: 1, holds: [[1, 1]] });
    expect(await desk.permits(B, { wants: [[600, 1]] })).toEqual([]);
    await desk.permits(C, { wants: [[500, 1]] });
    await desk.stub.configure(desk.place, { bounds: { tokens: 500 }, version: 1 });
    await stage().until(() => cast.toldTo(B, desk).length > 0);
    expect(cast.toldTo(B, desk)[0]).toMatchObject({ last: 0, mostTokens: 500 });
    await desk.permits(A, { heard: 1, ended: endings(1).map((ending) => ({ ...ending, tokens: 0 })) });
    await stage().until(() => cast.toldTo(C, desk).length > 0);
    expect(cast.toldTo(C, desk)[0]).toMatchObject({ last: 1, mostTokens: null });
  });

  it("is forgotten if there is no such run, and its permits are free", async () => {
    const desk = new Desk("places", "no such run");
    await desk.permits(A, { wants: [[0, 4]] });
    await desk.permits("nobody", { wants: [[0, 2]] });
    await desk.permits(A, { heard: 4, holds: [[3, 2]], ended: endings(1, 2) });
    await expect.poll(() => desk.view()).toMatchObject({ inFlight: 2, waiting: 0 });
    expect(await desk.tables()).toMatchObject({ holder: 1 });
    expect(await desk.permits(B, { wants: [[0, 4]] })).toEqual([1, 2]);
  });
});

describe("an alarm is set", () => {
  it("while a run has a permit, for the end of its lease at the latest, and after a crash as before it", async () => {
    const desk = new Desk("places", "alarm of a holder");
    await desk.permits(A, { wants: [[0, 1]] });
    await desk.permits(A, { heard: 1, holds: [[1, 1]] });
    expect(await desk.alarm()).toBeLessThanOrEqual(clock.nowMs + LEASE_MS);
    await crash(desk.stub);
    expect(await desk.alarm()).toBeLessThanOrEqual(clock.nowMs + LEASE_MS);
    clock.forward(1000);
    await desk.permits(A, { heard: 1, holds: [[1, 1]] });
    expect(await runDurableObjectAlarm(desk.stub)).toBe(true);
    expect(await desk.alarm()).toBeGreaterThan(clock.nowMs);
    expect(await desk.alarm()).toBeLessThanOrEqual(clock.nowMs + LEASE_MS);
  });

  it.each<[string, object, number]>([
    ["place", { heard: 4, holds: [[1, 4]] }, LEASE_MS],
    ["window", { heard: 4, ended: endings(1, 2, 3, 4) }, WINDOW.periodMs + WINDOW.transitMs],
    [
      "cooldown",
      { heard: 4, ended: endings(1, 2, 3, 4).map((end) => ({ ...end, as: "refused", retryAfterMs: 9000 })) },
      9500,
    ],
  ])("while a run waits for a %s, for when it may have it", async (what, told, withinMs) => {
    const desk = new Desk("window", `alarm of a ${what}`);
    await desk.permits(A, { wants: [[0, 4]] });
    await desk.permits(A, told);
    await desk.permits(B, { wants: [[0, 4]] });
    const { waiting } = await desk.view();
    expect(waiting).toBeGreaterThan(0);
    expect(await desk.alarm()).toBeLessThanOrEqual(clock.nowMs + withinMs);
    await crash(desk.stub);
    expect(await desk.alarm()).toBeLessThanOrEqual(clock.nowMs + withinMs);
    // And it brings what was waited for.
    clock.forward(withinMs + 1000);
    expect(await runDurableObjectAlarm(desk.stub)).toBe(true);
    await stage().until(() => cast.toldTo(B, desk).length > 0);
    expect((await desk.view()).waiting).toBeLessThan(waiting);
  });

  it("no more once nobody waits or has anything", async () => {
    const desk = new Desk("places", "no alarm");
    await desk.permits(A, { wants: [[0, 4]] });
    await desk.permits(A, { heard: 4, ended: endings(1, 2, 3, 4) });
    clock.forward(LEASE_MS);
    await runDurableObjectAlarm(desk.stub);
    expect(await desk.alarm()).toBeNull();
  });
});

describe("looking at a limit", () => {
  it("that nobody used writes nothing", async () => {
    const desk = new Desk("window", "looked at");
    expect(await desk.view()).toMatchObject({ key: "looked at", used: { requests: 0, tokens: 0 }, inFlight: 0 });
    expect(await desk.tables()).toEqual({});
    expect(await desk.alarm()).toBeNull();
    expect((await call("/limits/http-unused")).status).toBe(200);
    expect((await call("/limits")).status).toBe(200);
    for (const stub of [limiterOf("http-unused"), limiterOf("http-unused", "")]) {
      expect(await tablesOf(stub)).toEqual({});
    }
  });

  it("that is used changes nothing", async () => {
    const desk = new Desk("places", "looked at");
    await desk.permits(A, { wants: [[0, 4]] });
    await desk.permits(A, { heard: 4, holds: [[1, 4]] });
    const before = await desk.tables();
    clock.forward(2 * LEASE_MS);
    expect(await desk.view()).toMatchObject({ inFlight: 4 });
    expect(await desk.tables()).toEqual(before);
  });

  it("that the Worker does not know is an error, and writes nothing", async () => {
    const desk = new Desk("removed", "");
    const asking = desk.exchange(request(A, { wants: [[0, 1]] }));
    await expect(asking).rejects.toThrow("Expected a limit of this Worker, got `removed`");
    expect(await desk.tables()).toEqual({});
  });
});

describe("what an exchange writes", () => {
  /** A handful. */
  const MOST_ROWS = 6;

  it.each([1, 10, 1000])("is a handful of rows for %i permits", async (count) => {
    const desk = new Desk("roomy", `${count}`);
    const ids = Array.from({ length: count }, (_, at) => at + 1);
    const holds: [number, number][] = [[1, count]];
    await desk.permits(B); // Its tables are there.
    const rows = await rowsWritten(desk, [
      request(A, { wants: [[100, count]] }),
      request(A, { heard: count, holds }),
      request(A, { heard: count, holds, begun: ids.map((id) => ({ id, ageMs: 0 })) }),
      request(A, { heard: count, ended: endings(...ids) }),
    ]);
    expect(Math.max(...rows)).toBeLessThanOrEqual(MOST_ROWS);
    expect(await desk.view()).toMatchObject({ inFlight: 0, used: { requests: count, tokens: 100 * count } });
  });

  it("does not grow with what was written before: what has left the window is deleted", async () => {
    const desk = new Desk("roomy", "long");
    await desk.permits(B);
    const rows: number[] = [];
    const sizes: number[] = [];
    for (let times = 0; times < 60; times++) {
      const last = 10 * times;
      const ids = Array.from({ length: 10 }, (_, at) => last - 9 + at).filter((id) => id > 0);
      const more = request(A, { heard: last, ended: endings(...ids), wants: [[times, 10]] });
      rows.push(...(await rowsWritten(desk, [more])));
      sizes.push((await desk.tables()).counted as number);
      clock.forward(500);
    }
    expect(Math.max(...rows)).toBeLessThanOrEqual(MOST_ROWS);
    // One moment for each half second of a window of ten.
    expect(Math.max(...sizes)).toBeLessThanOrEqual(22);
    expect(await desk.tables()).toMatchObject({ limiter: 1, holder: 1 });
  });

  it("is gone once nothing is used and nobody waits", async () => {
    const desk = new Desk("window", "gone");
    await desk.permits(A, { wants: [[100, 3]] });
    await desk.permits(B, { wants: [[100, 3]] });
    await desk.permits(A, { heard: 3, begun: [{ id: 1, ageMs: 0 }], ended: endings(1, 2), refunds: [3] });
    await desk.permits(B, { heard: 3, ended: endings(1, 2, 3) });
    expect(await desk.tables()).toMatchObject({ holder: 0 });
    clock.forward(LEASE_MS);
    expect(await runDurableObjectAlarm(desk.stub)).toBe(true);
    expect(await desk.tables()).toEqual({ limiter: 1, counted: 0, holder: 0 });
    expect(await desk.view()).toMatchObject({ inFlight: 0, waiting: 0, used: { requests: 0, tokens: 0 } });
  });
});
