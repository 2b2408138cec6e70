import { test } from "@fast-check/vitest";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { usedOf } from "../../src/core/bucket.ts";
import { budgetOf, type LimitOptions } from "../../src/core/budget.ts";
import {
  type Answer,
  type Holder,
  Limiter,
  PERMIT_LEASE_MS,
  pack,
  type Request,
  ranges,
  unpack,
} from "../../src/core/limiter.ts";
import { movesOf, World } from "./limited.ts";
import { range } from "./support.ts";
import { lowestLevel, mostWithin } from "./vendor.ts";

/** A property of many steps may be slow where much else goes on. */
const TIMEOUT_MS = 30_000;

const optional = <T>(values: fc.Arbitrary<T>) => fc.option(values, { nil: undefined });
const limits = fc
  .record({
    requests: optional(fc.integer({ min: 1, max: 5 })),
    tokens: optional(fc.constantFrom(5, 10)),
    concurrency: optional(fc.integer({ min: 1, max: 4 })),
    per: fc.constantFrom("100ms", "1s", "3s"),
    transitMs: fc.constantFrom(undefined, 0, 200),
    algorithm: fc.constantFrom("sliding-window", "token-bucket"),
  })
  .map((options) => options as LimitOptions);
const runs = fc.integer({ min: 1, max: 3 });

/** What reached the vendor kept to the limit. */
function expectWithin({ budget, calls }: World): void {
  const arrivals = calls.map(({ arrivedMs }) => arrivedMs).filter((ms) => ms < Infinity);
  const { requests, periodMs, algorithm } = budget;
  if (requests === null) return;
  if (algorithm === "sliding-window") {
    expect(mostWithin(arrivals, periodMs)).toBeLessThanOrEqual(requests);
    return;
  }
  const spends = arrivals.map((arrivedMs) => ({ arrivedMs, amount: 1 }));
  expect(lowestLevel(spends, requests, requests / periodMs)).toBeGreaterThanOrEqual(-1e-6);
}

describe("a limiter and its runs, whatever is lost or comes late, and wherever they crash,", () => {
  test.prop([limits, runs, movesOf({})], { numRuns: 300 })(
    "keep to the limit, agree on who has what, and come to an end",
    (options, count, moves) => {
      const world = new World(options, count);
      for (const move of moves) world.play(move);
      world.finish();
      if (!world.isOutlived) expectWithin(world);
    },
    TIMEOUT_MS,
  );

  test.prop([limits, runs, movesOf({ sleep: 3, "crash run": 4 })], { numRuns: 200 })(
    "agree on who has what and come to an end, even if runs are silent for longer than they are believed",
    (options, count, moves) => {
      const world = new World(options, count);
      for (const move of moves) world.play(move);
      world.finish();
    },
    TIMEOUT_MS,
  );
});

/** A limiter and requests to it, each at its time. */
class Desk {
  readonly limiter: Limiter;
  nowMs = 1_000_000;
  static #requests = 0;

  constructor(options: LimitOptions) {
    this.limiter = new Limiter(budgetOf("llm", options));
  }

  say(run: string, request: Partial<Request>): { answer: Answer; others: Map<string, Answer> } | null {
    const holder = this.limiter.holders.get(run);
    const ids = [...(holder?.open.keys() ?? [])];
    const heard = holder?.last ?? 0;
    const silence = { begun: [], ended: [], refunds: [], wants: [] };
    const number = ++Desk.#requests;
    return this.limiter.exchange(
      { run, life: 1, number, heard, holds: ranges(ids), ...silence, ...request },
      this.nowMs,
    );
  }

  /** States what a run wants, without tokens. Returns the numbers of its permits. */
  want(run: string, count: number): number[] {
    this.say(run, { wants: [[0, count]] });
    return this.openOf(run);
  }

  end(run: string, id: number, wants = this.limiter.holders.get(run)?.wants.length ?? 0) {
    const ended = [{ id, as: "succeeded" as const, ageMs: 0, tokens: null, retryAfterMs: null }];
    return this.say(run, { ended, wants: wants > 0 ? [[0, wants]] : [] });
  }

  openOf(run: string): number[] {
    return [...(this.limiter.holders.get(run)?.open.keys() ?? [])];
  }

  beat(ms: number): Map<string, Answer> {
    this.nowMs += ms;
    return this.limiter.beat(this.nowMs);
  }
}

describe("permits", () => {
  it("are numbered in order, as a run's calls are", () => {
    const desk = new Desk({ tokens: 10, per: "1s" });
    const told = desk.say("a", {
      wants: [
        [3, 2],
        [2, 3],
      ],
    });
    expect(told?.answer).toMatchObject({ life: 1, granted: [[1, 4]], last: 4, mostTokens: null, hasGivenUp: false });
    const { open, wants } = desk.limiter.holders.get("a") as Holder;
    expect([...open.values()].map(({ tokens }) => tokens)).toEqual([3, 3, 2, 2]);
    expect(wants).toEqual([2]);
  });

  it("are not granted twice where the run had not heard of them when it asked", () => {
    const desk = new Desk({ concurrency: 5 });
    expect(desk.want("a", 3)).toEqual([1, 2, 3]);
    const { answer } = desk.say("a", { heard: 0, holds: [], wants: [[0, 4]] }) ?? {};
    expect(answer).toMatchObject({ granted: [[1, 4]], last: 4 });
    expect(desk.say("a", { heard: 0, holds: [], wants: [[0, 4]] })?.answer).toEqual(answer);
    expect(desk.openOf("a")).toEqual([1, 2, 3, 4]);
  });

  it("are given back by ends and refunds, once, however often they are told", () => {
    const desk = new Desk({ requests: 5, per: "1m" });
    const [first, second] = desk.want("a", 2) as [number, number];
    const ended = [{ id: first, as: "succeeded" as const, ageMs: 0, tokens: null, retryAfterMs: null }];
    for (const _ of range(3)) desk.say("a", { ended, begun: [{ id: first, ageMs: 0 }], refunds: [second], holds: [] });
    expect(desk.limiter.usage).toMatchObject({ inFlight: 0, onTheWay: { requests: 0, tokens: 0 } });
    expect(usedOf(desk.limiter.usage).requests).toBe(1);
  });

  it("that a run knew of and has no more are lost, and count", () => {
    const desk = new Desk({ requests: 5, per: "1m" });
    desk.want("a", 3);
    desk.say("a", { holds: [[2, 1]] });
    expect(desk.openOf("a")).toEqual([2]);
    expect(desk.limiter.usage.inFlight).toBe(1);
    expect(usedOf(desk.limiter.usage).requests).toBe(3);
  });

  it("that a run's new life does not have are lost, whether it had heard of them or not", () => {
    const desk = new Desk({ concurrency: 3 });
    desk.want("a", 3);
    const told = desk.say("a", { life: 2, heard: null, holds: [[2, 1]], wants: [[0, 5]] });
    expect(told?.answer).toMatchObject({ life: 2, granted: [[4, 2]], last: 5 });
    expect(desk.openOf("a")).toEqual([2, 4, 5]);
  });

  it("are not to be talked about by a request that a later one has overtaken", () => {
    const desk = new Desk({ concurrency: 3 });
    desk.want("a", 2);
    desk.say("a", { number: 1e9 + 1 });
    expect(desk.say("a", { number: 1e9, heard: 0, holds: [], wants: [[0, 9]] })).toBeNull();
    expect(desk.openOf("a")).toEqual([1, 2]);
  });

  it("that ended with their lease are told to a run that still has them", () => {
    const desk = new Desk({ concurrency: 2 });
    desk.want("a", 2);
    desk.beat(PERMIT_LEASE_MS);
    expect(desk.say("a", { heard: 2, holds: [[1, 2]] })?.answer).toMatchObject({ gone: [1, 2], granted: [] });
  });

  it("are not an earlier life's to talk about", () => {
    const desk = new Desk({ concurrency: 3 });
    desk.say("a", { life: 2, heard: null, wants: [[0, 2]] });
    expect(desk.say("a", { life: 1, heard: 2, holds: [], wants: [[0, 9]] })).toBeNull();
    expect(desk.openOf("a")).toEqual([1, 2]);
    expect(desk.limiter.waiting).toBe(0);
  });

  it("have numbers that no call in exec has, even where all else of the run was forgotten", () => {
    const desk = new Desk({ concurrency: 4 });
    desk.want("a", 4);
    desk.beat(PERMIT_LEASE_MS);
    expect(desk.limiter.holders.size).toBe(0);
    const told = desk.say("a", { life: 2, heard: null, holds: [[2, 2]], wants: [[0, 3]] });
    expect(told?.answer).toMatchObject({ granted: [[4, 3]], last: 6, gone: [2, 3] });
  });

  it("have numbers that no call in exec has, even where a request that came late has made the run known again", () => {
    const desk = new Desk({ concurrency: 4 });
    desk.want("a", 2);
    desk.beat(PERMIT_LEASE_MS);
    desk.say("a", { heard: 0, holds: [], wants: [[0, 1]] });
    expect(desk.openOf("a")).toEqual([1]);
    const told = desk.say("a", { life: 2, heard: null, holds: [[2, 1]], wants: [[0, 1]] });
    expect(told?.answer).toMatchObject({ granted: [[3, 1]], last: 3, gone: [2] });
  });

  it("have numbers that the run has not heard of, even where an earlier life's request came in between", () => {
    const desk = new Desk({ concurrency: 4 });
    for (const id of desk.want("a", 4)) desk.end("a", id);
    desk.say("a", { life: 1, heard: null, wants: [[0, 1]] });
    const told = desk.say("a", { life: 2, heard: 4, holds: [], wants: [[0, 3]] });
    expect(told?.answer).toMatchObject({ granted: [[5, 3]], last: 7 });
  });

  it("of a run that is silent are given to others once its lease is over, and no sooner", () => {
    const desk = new Desk({ concurrency: 2 });
    desk.want("a", 2);
    desk.nowMs += 10_000;
    desk.want("b", 1);
    expect(desk.limiter.wakeMs).toBe(desk.nowMs + PERMIT_LEASE_MS - 10_000);
    expect(desk.beat(PERMIT_LEASE_MS - 10_001).size).toBe(0);
    expect([...desk.beat(1).keys()]).toEqual(["b"]);
    expect([...desk.limiter.holders.keys()]).toEqual(["b"]);
    expect(desk.limiter.usage.inFlight).toBe(1);
  });

  it("of a run that is silent are given to others, even if it is granted more meanwhile", () => {
    const desk = new Desk({ requests: 1, per: "1s", transitMs: 0 });
    desk.want("silent", 100);
    for (const _ of range(29)) desk.beat(1000);
    desk.limiter.budget = { ...desk.limiter.budget, requests: 2 };
    desk.beat(999);
    expect(desk.limiter.usage.inFlight).toBe(2);
    desk.beat(1);
    expect(desk.openOf("silent")).not.toContain(1);
  });

  it("are kept by a word from the run", () => {
    const desk = new Desk({ concurrency: 2 });
    desk.want("a", 2);
    for (const _ of range(5)) {
      desk.beat(PERMIT_LEASE_MS - 1);
      desk.say("a", {});
    }
    expect(desk.openOf("a")).toEqual([1, 2]);
  });

  it("are believed for a whole lease more by a limiter that was started anew, whatever its clock says", () => {
    const desk = new Desk({ concurrency: 2 });
    desk.want("a", 2);
    const { usage, holders } = desk.limiter;
    const anew = new Limiter(desk.limiter.budget);
    anew.restore(usage, [...holders.values()], desk.nowMs - 500_000);
    expect(anew.wakeMs).toBe(desk.nowMs - 500_000 + PERMIT_LEASE_MS);
    anew.beat(desk.nowMs - 500_000 + PERMIT_LEASE_MS - 1);
    expect(anew.usage.inFlight).toBe(2);
    anew.beat(desk.nowMs - 500_000 + PERMIT_LEASE_MS);
    expect(anew.usage.inFlight).toBe(0);
  });

  it("of a run that is not there any more are given to others, and it waits for none", () => {
    const desk = new Desk({ concurrency: 1 });
    desk.want("a", 5);
    desk.want("b", 1);
    expect([...desk.limiter.forget("a", desk.nowMs).keys()]).toEqual(["b"]);
    expect([...desk.limiter.holders.keys()]).toEqual(["b"]);
    expect(desk.limiter.forget("nobody", desk.nowMs).size).toBe(0);
  });

  it("that a run may not have heard of are told again", () => {
    const desk = new Desk({ concurrency: 2 });
    desk.want("a", 2);
    expect(desk.limiter.unheard().get("a")).toMatchObject({ granted: [[1, 2]], last: 2 });
    desk.say("a", {});
    expect(desk.limiter.unheard().size).toBe(0);
  });

  it("are freed by a limit that is raised, and by none that is lowered", () => {
    const desk = new Desk({ concurrency: 1, requests: 100 });
    desk.want("a", 5);
    desk.limiter.budget = { ...desk.limiter.budget, concurrency: 3 };
    expect(desk.beat(0).get("a")).toMatchObject({ last: 3 });
    desk.limiter.budget = { ...desk.limiter.budget, concurrency: 1 };
    desk.beat(0);
    expect(desk.limiter.usage.inFlight).toBe(3);
    for (const id of [1, 2]) expect(desk.end("a", id)?.answer.last).toBe(3);
    expect(desk.end("a", 3)?.answer.last).toBe(4);
  });

  it.each([
    ["sliding-window", "token-bucket"],
    ["token-bucket", "sliding-window"],
  ] as const)("are granted for as long as ever where a deploy has changed a %s into a %s", (before, after) => {
    const options: LimitOptions = { requests: 3, tokens: 30, per: "1s", transitMs: 50 };
    const desk = new Desk({ ...options, algorithm: before });
    desk.say("a", { wants: [[10, 3]] });
    desk.say("a", { begun: [{ id: 1, ageMs: 0 }] });
    desk.nowMs += 100;
    desk.say("a", { begun: [{ id: 2, ageMs: 0 }] });
    const { usage, holders } = desk.limiter;
    const anew = new Desk({ ...options, algorithm: after });
    anew.limiter.restore(usage, [...holders.values()], desk.nowMs);
    anew.nowMs = desk.nowMs;
    for (const id of [1, 2, 3]) anew.end("a", id);
    anew.beat(10_000);
    expect(anew.limiter.usage).toMatchObject({ inFlight: 0, onTheWay: { requests: 0, tokens: 0 } });
    expect(usedOf(anew.limiter.usage)).toEqual({ requests: 0, tokens: 0 });
    expect(anew.say("b", { wants: [[10, 9]] })?.answer.last).toBe(3);
  });
});

describe("runs that wait", () => {
  const names = (count: number) => range(count).map((at) => `run ${at}`);

  test.prop([fc.integer({ min: 2, max: 6 }), fc.integer({ min: 1, max: 9 }), fc.array(fc.nat(20), { maxLength: 60 })])(
    "get the same, one each in turn, however few or many become free at once",
    (count, places, endings) => {
      const desk = new Desk({ concurrency: places });
      desk.want("first", places);
      for (const name of names(count)) desk.want(name, 50);
      for (const id of range(places)) desk.end("first", id + 1);
      for (const which of endings) {
        const open = names(count).flatMap((name) => desk.openOf(name).map((id) => [name, id] as const));
        const [name, id] = open[which % open.length] as [string, number];
        desk.end(name, id, 50);
        const lasts = names(count).map((each) => desk.limiter.holders.get(each)?.last ?? 0);
        expect(Math.max(...lasts) - Math.min(...lasts)).toBeLessThanOrEqual(1);
      }
    },
  );

  test.prop([fc.integer({ min: 2, max: 6 }), fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: 5 })], {
    numRuns: 30,
  })("get the same of each period's requests", (count, requests, periods) => {
    const desk = new Desk({ requests, per: "1s" });
    desk.want("first", requests);
    for (const id of range(requests)) desk.end("first", id + 1);
    for (const name of names(count)) desk.want(name, 100);
    for (const _ of range(periods)) {
      desk.beat(1001);
      while (names(count).some((name) => desk.openOf(name).length > 0)) {
        for (const name of names(count)) for (const id of desk.openOf(name)) desk.end(name, id, 100);
      }
      const lasts = names(count).map((name) => desk.limiter.holders.get(name)?.last ?? 0);
      expect(Math.max(...lasts) - Math.min(...lasts)).toBeLessThanOrEqual(1);
    }
  });

  test.prop([fc.integer({ min: 1, max: 8 }), fc.integer({ min: 0, max: 30 })], { numRuns: 30 })(
    "for ten calls beside one that waits for thousands have their tenth after ten of the other's at most",
    (places, before) => {
      const desk = new Desk({ concurrency: places });
      desk.want("large", 2000);
      for (const id of range(before)) desk.end("large", id + 1);
      const lastBefore = desk.limiter.holders.get("large")?.last as number;
      desk.want("small", 10);
      while ((desk.limiter.holders.get("small")?.last as number) < 10) {
        const [oldest] = desk.openOf("large");
        if (oldest !== undefined) desk.end("large", oldest);
        else desk.end("small", desk.openOf("small")[0] as number);
      }
      expect((desk.limiter.holders.get("large")?.last as number) - lastBefore).toBeLessThanOrEqual(10);
    },
  );

  it("get their turn beside others that come and go for one call each", () => {
    const desk = new Desk({ concurrency: 1 });
    desk.want("large", 100);
    const comers = names(3);
    for (const name of comers) desk.want(name, 1);
    for (let turn = 0; turn < 40; turn++) {
      const who = ["large", ...comers].find((name) => desk.openOf(name).length > 0) as string;
      desk.end(who, desk.openOf(who)[0] as number);
      if (who !== "large") desk.want(who, 1);
    }
    expect(desk.limiter.holders.get("large")?.last).toBeGreaterThanOrEqual(10);
  });

  it("keep their turn where a limiter is started anew", () => {
    const before = new Desk({ concurrency: 1 });
    before.want("first", 1);
    for (const name of ["a", "b"]) before.want(name, 50);
    before.end("first", 1);
    const desk = new Desk({ concurrency: 1 });
    for (let turn = 0; turn < 10; turn++) before.end(turn % 2 ? "b" : "a", 1 + Math.floor(turn / 2));
    desk.limiter.restore(before.limiter.usage, [...before.limiter.holders.values()], desk.nowMs);
    const served = range(6).map(() => {
      const name = desk.openOf("a").length > 0 ? "a" : "b";
      desk.end(name, desk.openOf(name)[0] as number);
      return name;
    });
    expect(served).toEqual(["a", "b", "a", "b", "a", "b"]);
  });

  it("are told at once of what another gives back", () => {
    const desk = new Desk({ concurrency: 2 });
    desk.want("a", 3);
    desk.want("b", 1);
    const told = desk.end("a", 1, 0);
    expect([...(told?.others ?? [])]).toEqual([
      ["b", expect.objectContaining({ life: 1, granted: [[1, 1]], last: 1 })],
    ]);
    expect(told?.answer).toMatchObject({ granted: [], last: 2, retryAfterMs: null });
  });

  it("get no more at once than the one that wants least, and the rest right after", () => {
    const desk = new Desk({ concurrency: 100 });
    desk.want("first", 100);
    desk.want("large", 1000);
    desk.want("small", 3);
    const told = desk.limiter.forget("first", desk.nowMs);
    expect([...told].map(([run, { last }]) => [run, last])).toEqual([
      ["large", 3],
      ["small", 3],
    ]);
    expect(desk.limiter.wakeMs).toBe(desk.nowMs);
    expect(desk.beat(0).get("large")?.last).toBe(97);
  });

  it("leave what is free to one that waits alone", () => {
    const desk = new Desk({ concurrency: 500 });
    expect(desk.want("a", 400)).toHaveLength(400);
    expect(desk.want("b", 400)).toHaveLength(100);
  });

  it("for more tokens than there ever are are told so, and hold nobody up", () => {
    const desk = new Desk({ tokens: 10, per: "1s" });
    const told = desk.say("a", {
      wants: [
        [11, 1],
        [5, 1],
      ],
    });
    expect(told?.answer).toMatchObject({ granted: [], last: 0, mostTokens: 10, retryAfterMs: null });
    expect(desk.want("b", 1)).toEqual([1]);
    expect(desk.limiter.wakeMs).toBe(desk.nowMs + PERMIT_LEASE_MS);
    expect(desk.say("a", { wants: [[5, 1]] })?.answer).toMatchObject({ last: 1, mostTokens: null });
  });

  it("are told of a call that is too large only once it is the next, and of one that became so", () => {
    const desk = new Desk({ tokens: 10, per: "1s", concurrency: 1 });
    const told = desk.say("a", {
      wants: [
        [10, 1],
        [12, 1],
      ],
    });
    expect(told?.answer).toMatchObject({ last: 1, mostTokens: 10 });
    desk.say("b", { wants: [[9, 1]] });
    const smaller = { ...desk.limiter.budget, tokens: 8 };
    expect(desk.limiter.change(smaller, desk.nowMs).get("b")).toMatchObject({ last: 0, mostTokens: 8 });
    expect(desk.beat(0).size).toBe(0);
  });

  it("are told when they may go on if only time passes, and are called then", () => {
    const desk = new Desk({ requests: 1, per: "1s", transitMs: 0 });
    desk.want("a", 1);
    const told = desk.say("b", { wants: [[0, 1]] });
    expect(told?.answer.retryAfterMs).toBeNull();
    const others = desk.end("a", 1)?.others;
    expect(others?.size).toBe(0);
    expect(desk.limiter.wakeMs).toBe(desk.nowMs + 1001);
    expect(desk.beat(1000).size).toBe(0);
    expect(desk.beat(1).get("b")).toMatchObject({ granted: [[1, 1]], last: 1, retryAfterMs: null });
  });

  it("are told that refusals are failures now", () => {
    const desk = new Desk({ giveUpAfter: "1s" });
    const refused = { as: "refused" as const, ageMs: 0, tokens: null, retryAfterMs: 1000 };
    desk.want("a", 1);
    expect(desk.say("a", { ended: [{ id: 1, ...refused }], wants: [[0, 2]] })?.answer).toMatchObject({
      retryAfterMs: 1000,
      hasGivenUp: false,
    });
    expect(desk.beat(1000).get("a")).toMatchObject({ last: 3, hasGivenUp: true });
  });
});

describe("packed values", () => {
  test.prop([fc.array(fc.nat(3))])("are what they were, and equal neighbours are one", (values) => {
    const packed = pack(values);
    expect(unpack(packed)).toEqual(values);
    for (const [at, [value]] of packed.entries()) expect(packed[at + 1]?.[0]).not.toBe(value);
  });
});
