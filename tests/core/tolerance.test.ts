import { test } from "@fast-check/vitest";
import fc from "fast-check";
import { describe, expect, it, type Mock, vi } from "vitest";
import { type FailurePolicy, isExceeded, type Tolerate, toleranceOf } from "../../src/core/tolerance.ts";
import {
  BaseNode,
  BatchFlow,
  BatchNode,
  type BranchEnd,
  Flow,
  Node,
  type Outcome,
  ParallelBatchFlow,
  ParallelBatchNode,
} from "../../src/index.ts";
import { type Hooks, type Spelling, spellings } from "./spelling.ts";
import { gate, gates, range, settled } from "./support.ts";

const COLLECT = { onItemError: "collect" } as const;

/** Whether so many failures of so many are too many for a batch that is told this. */
function isTooMany(tolerate: Tolerate | undefined, failed: number, total: number): boolean {
  const policy: FailurePolicy = tolerate === undefined ? COLLECT : { tolerate };
  return isExceeded(toleranceOf(policy) as NonNullable<ReturnType<typeof toleranceOf>>, failed, total);
}

describe("what a batch tolerates", () => {
  it("is nothing where it says nothing, or says `fail`", () => {
    expect([toleranceOf({}), toleranceOf({ onItemError: "fail" })]).toEqual([null, null]);
  });

  it("is any number where it collects and says no more", () => {
    const any = { count: Infinity, percentage: 100 };
    for (const policy of [COLLECT, { tolerate: {} }, { ...COLLECT, tolerate: {} }]) {
      expect(toleranceOf(policy)).toEqual(any);
    }
    for (const failed of [0, 1, 999, 1000]) expect(isTooMany(undefined, failed, 1000)).toBe(false);
  });

  it("is what it says, and collecting is meant by that", () => {
    expect(toleranceOf({ tolerate: { count: 0 } })).toEqual({ count: 0, percentage: 100 });
    expect(toleranceOf({ ...COLLECT, tolerate: { percentage: 5 } })).toEqual({ count: Infinity, percentage: 5 });
    expect(toleranceOf({ tolerate: { count: 3, percentage: 0 } })).toEqual({ count: 3, percentage: 0 });
  });
});

describe("more have failed than are tolerated", () => {
  it.each<[tolerate: Tolerate, total: number, most: number]>([
    [{ count: 0 }, 5, 0],
    [{ count: 2 }, 5, 2],
    [{ count: 5 }, 5, 5],
    [{ count: 9 }, 5, 5],
    [{ percentage: 0 }, 5, 0],
    [{ percentage: 100 }, 5, 5],
    [{ percentage: 100 }, 1, 1],
    [{ percentage: 10 }, 10, 1],
    [{ percentage: 10 }, 9, 0],
    [{ percentage: 10 }, 19, 1],
    [{ percentage: 99 }, 99, 98],
    [{ percentage: 7 }, 100, 7],
    [{ percentage: 29 }, 100, 29],
    [{ percentage: 57 }, 100, 57],
    [{ percentage: 33.3 }, 3, 0],
    [{ percentage: 33.4 }, 3, 1],
    [{ percentage: 0.1 }, 1000, 1],
    [{ percentage: 14 }, 50, 7],
    [{ percentage: 18.4 }, 375, 69],
    [{ percentage: 2.3 }, 3000, 69],
    [{ percentage: 0.57 }, 10_000, 57],
    [{ count: 2, percentage: 50 }, 10, 2],
    [{ count: 8, percentage: 50 }, 10, 5],
    [{ count: 0, percentage: 100 }, 10, 0],
    [{ count: 10, percentage: 0 }, 10, 0],
  ])("with %o of %i from one more than %i on", (tolerate, total, most) => {
    for (const failed of range(total + 1))
      expect([failed, isTooMany(tolerate, failed, total)]).toEqual([failed, failed > most]);
  });

  it("never of none", () => {
    for (const tolerate of [{ count: 0 }, { percentage: 0 }, { percentage: 100 }]) {
      expect(isTooMany(tolerate, 0, 0)).toBe(false);
    }
  });

  const batches = fc.nat(100_000).chain((total) => fc.tuple(fc.nat(total), fc.constant(total)));

  test.prop([fc.integer({ min: 0, max: 10_000 }), batches])(
    "exactly when fractions say so, for hundredths of a percent",
    (hundredths, [failed, total]) => {
      const isMore = BigInt(failed) * 10_000n > BigInt(hundredths) * BigInt(total);
      expect(isTooMany({ percentage: hundredths / 100 }, failed, total)).toBe(isMore);
    },
  );

  test.prop([fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 1000 })])(
    "not at the very percentage, but with one more, however large the batch",
    (percentage, hundreds) => {
      const [failed, total] = [percentage * hundreds, 100 * hundreds];
      expect([failed, failed + 1].map((failed) => isTooMany({ percentage }, failed, total))).toEqual([false, true]);
    },
  );

  test.prop([fc.nat(50), fc.nat(100), batches])(
    "with two bounds when either is crossed",
    (count, percentage, [failed, total]) => {
      const either = isTooMany({ count }, failed, total) || isTooMany({ percentage }, failed, total);
      expect(isTooMany({ count, percentage }, failed, total)).toBe(either);
    },
  );

  test.prop([fc.double({ min: 0, max: 100, noNaN: true }), batches])(
    "with one more failure still, and with one less no sooner",
    (percentage, [failed, total]) => {
      fc.pre(failed > 0);
      const [less, now] = [failed - 1, failed].map((failed) => isTooMany({ percentage }, failed, total));
      expect(less && !now).toBe(false);
    },
  );
});

class Mine extends BaseNode {}
class MineToo extends Node {}
class Items extends BatchNode {}
class ItemsAtOnce extends ParallelBatchNode {}
class Walk extends Flow {}
class Branches extends BatchFlow {}
class BranchesAtOnce extends ParallelBatchFlow {}

const makers = {
  Mine: (options: object) => new Mine(options),
  MineToo: (options: object) => new MineToo(options),
  Walk: (options: object) => new Walk(new Node(), options),
  Items: (options: object) => new Items(options),
  ItemsAtOnce: (options: object) => new ItemsAtOnce(options),
  Branches: (options: object) => new Branches(new Node(), options),
  BranchesAtOnce: (options: object) => new BranchesAtOnce(new Node(), options),
};
type Maker = keyof typeof makers;
const ofOne: Maker[] = ["Mine", "MineToo", "Walk"];
const ofMany: Maker[] = ["Items", "ItemsAtOnce", "Branches", "BranchesAtOnce"];

describe.each(ofOne)("%s, which has no items,", (owner) => {
  it.each([
    [{ onItemError: "collect" }, "onItemError"],
    [{ onItemError: "fail" }, "onItemError"],
    [{ tolerate: { count: 1 } }, "tolerate"],
    [{ onItemError: "collect", tolerate: { count: 1 } }, "onItemError"],
  ])("refuses %o", (options, option) => {
    expect(() => makers[owner](options)).toThrow(
      new TypeError(
        `Expected \`${option}\` of a batch node or a batch flow, got it of ${owner}, which has no items ` +
          "(a plain node's `execFallback` may give its result)",
      ),
    );
  });

  it("takes both as undefined", () => {
    expect(makers[owner]({ onItemError: undefined, tolerate: undefined })).toBeInstanceOf(BaseNode);
  });
});

describe.each(ofMany)("%s", (owner) => {
  const policy = `Expected \`onItemError\` of ${owner} to be "fail" or "collect", got`;
  const shape = `Expected \`tolerate\` of ${owner} to be \`{ count?, percentage? }\`, got`;
  const count = `Expected \`tolerate.count\` of ${owner} to be a whole number, 0 or more, got`;
  const percentage = `Expected \`tolerate.percentage\` of ${owner} to be 0 to 100, got`;

  it.each<[options: object, error: Error]>([
    [{ onItemError: "ignore" }, new RangeError(`${policy} \`ignore\``)],
    [{ onItemError: null }, new RangeError(`${policy} \`null\``)],
    [
      { onItemError: "fail", tolerate: { count: 1 } },
      new TypeError(`Expected \`tolerate\` of ${owner} without \`onItemError: "fail"\`, which tolerates nothing`),
    ],
    [{ tolerate: 5 }, new TypeError(`${shape} a number`)],
    [{ tolerate: null }, new TypeError(`${shape} null`)],
    [{ tolerate: "10 %" }, new TypeError(`${shape} a string`)],
    [{ tolerate: [] }, new TypeError(`${shape} an array`)],
    [{ tolerate: { counts: 1 } }, new TypeError(`${shape} \`counts\``)],
    [{ tolerate: { count: 1, percent: 5 } }, new TypeError(`${shape} \`percent\``)],
    [{ tolerate: { count: -1 } }, new RangeError(`${count} \`-1\``)],
    [{ tolerate: { count: 1.5 } }, new RangeError(`${count} \`1.5\``)],
    [{ tolerate: { count: Infinity } }, new RangeError(`${count} \`Infinity\``)],
    [{ tolerate: { count: "1" } }, new RangeError(`${count} \`1\``)],
    [{ tolerate: { count: null } }, new RangeError(`${count} \`null\``)],
    [{ tolerate: { percentage: -0.1 } }, new RangeError(`${percentage} \`-0.1\``)],
    [{ tolerate: { percentage: 100.1 } }, new RangeError(`${percentage} \`100.1\``)],
    [{ tolerate: { percentage: Number.NaN } }, new RangeError(`${percentage} \`NaN\``)],
    [{ tolerate: { percentage: "50" } }, new RangeError(`${percentage} \`50\``)],
  ])("refuses %o", (options, error) => {
    expect(() => makers[owner](options)).toThrow(error);
  });

  it.each([
    {},
    { onItemError: "fail" },
    COLLECT,
    { tolerate: {} },
    { ...COLLECT, tolerate: { count: 0, percentage: 0 } },
    { tolerate: { count: 1e9, percentage: 100 } },
    { onItemError: undefined, tolerate: undefined },
  ])("takes %o", (options) => {
    expect(makers[owner](options)).toBeInstanceOf(BaseNode);
  });
});

/** Throws for odd numbers. */
function evenOnly(n: number): string {
  if (n % 2 === 1) throw new RangeError(`${n} is odd`);
  return `${n} is even`;
}

function told<T>(outcome: Outcome<T>): unknown {
  return outcome.ok ? outcome.value : outcome.error.message;
}

/** What post was told of its branches. */
function outcomesIn(post: Mock): Outcome<BranchEnd>[] {
  const [, , outcomes] = post.mock.calls[0] as [unknown, unknown, Outcome<BranchEnd>[]];
  return outcomes;
}

const itemKinds = spellings.flatMap(({ spelling, batch, parallel }) => [
  { kind: `a batch node ${spelling} that collects`, make: batch as Spelling["batch"] | Spelling["parallel"] },
  { kind: `a parallel batch node ${spelling} that collects`, make: parallel },
]);

describe.each(itemKinds)("$kind", ({ make }) => {
  /** What post gets when prep returns these items. */
  async function outcomesOf(items: unknown, hooks: Hooks = {}, policy: object = COLLECT) {
    const post = vi.fn();
    await make({ prep: () => items, exec: evenOnly, ...hooks, post }, policy).run({});
    expect(post).toHaveBeenCalledTimes(1);
    const [, prepRes, outcomes] = post.mock.calls[0] as [unknown, unknown, Outcome[]];
    expect(prepRes).toBe(items);
    return outcomes;
  }

  it("gives post an outcome for each item, in input order", async () => {
    expect(await outcomesOf([3, 0, 1, 2])).toEqual([
      { ok: false, error: new RangeError("3 is odd") },
      { ok: true, value: "0 is even" },
      { ok: false, error: new RangeError("1 is odd") },
      { ok: true, value: "2 is even" },
    ]);
  });

  it("gives outcomes although none has failed, and none for an empty list", async () => {
    expect(await outcomesOf([0])).toEqual([{ ok: true, value: "0 is even" }]);
    for (const policy of [COLLECT, { tolerate: { count: 0 } }, { tolerate: { percentage: 0 } }]) {
      expect(await outcomesOf([], {}, policy)).toEqual([]);
    }
  });

  it("keeps input order whatever the order of completion", async () => {
    const waits = gates(3);
    const exec = async (n: number) => {
      await waits[n]?.promise;
      return evenOnly(n);
    };
    const collected = outcomesOf(range(3), { exec });
    for (const n of [2, 1, 0]) {
      waits[n]?.open();
      await settled();
    }
    expect((await collected).map(told)).toEqual(["0 is even", "1 is odd", "2 is even"]);
  });

  it("hands on the very error that was thrown", async () => {
    const error = Object.assign(new TypeError("no such type"), { status: 400 });
    const [outcome] = await outcomesOf([0], { exec: () => Promise.reject(error) });
    expect(outcome).toEqual({ ok: false, error });
    expect((outcome as { error: Error }).error).toBe(error);
  });

  it.each([
    ["no", "Error", "Expected an Error to be thrown, got a string: no"],
    [undefined, "Error", "Expected an Error to be thrown, got undefined"],
    [null, "Error", "Expected an Error to be thrown, got null"],
    [{ code: 7 }, "Error", "Expected an Error to be thrown, got an object"],
    [{ name: "Vendor", message: "busy" }, "Vendor", "busy"],
  ])("makes an Error of a thrown %o", async (thrown, name, message) => {
    const exec = () => {
      throw thrown;
    };
    const [outcome] = (await outcomesOf([0], { exec })) as [{ ok: false; error: Error }];
    expect(outcome.error).toBeInstanceOf(Error);
    expect(outcome.error).toMatchObject({ name, message });
  });

  it("collects no failure that execFallback has mended", async () => {
    const execFallback = (n: number, error: Error) => `${n} anyway: ${error.message}`;
    expect(await outcomesOf([1, 2], { execFallback }, { tolerate: { count: 0 } })).toEqual([
      { ok: true, value: "1 anyway: 1 is odd" },
      { ok: true, value: "2 is even" },
    ]);
  });

  it("collects what execFallback throws", async () => {
    const execFallback = () => {
      throw new SyntaxError("no fallback");
    };
    expect((await outcomesOf([1, 2], { execFallback })).map(told)).toEqual(["no fallback", "2 is even"]);
  });

  it("lets an item fail only once all its attempts are used up", async () => {
    const exec = vi.fn(evenOnly);
    expect((await outcomesOf([1, 2], { exec }, { ...COLLECT, maxRetries: 3 })).map(told)).toEqual([
      "1 is odd",
      "2 is even",
    ]);
    expect(exec.mock.calls.map(([n]) => n).sort()).toEqual([1, 1, 1, 2]);
  });

  it("tolerates as many as it says", async () => {
    const some = ["0 is even", "1 is odd", "2 is even", "3 is odd"];
    for (const tolerate of [{ count: 2 }, { percentage: 50 }, { count: 2, percentage: 50 }]) {
      expect((await outcomesOf(range(4), {}, { tolerate })).map(told)).toEqual(some);
    }
  });

  it.each<[tolerate: Tolerate, bounds: string, got: number]>([
    [{ count: 1 }, "1", 2],
    [{ percentage: 12.5 }, "12.5 %", 2],
    [{ count: 1, percentage: 30 }, "1 or 30 %", 2],
    [{ count: 1, percentage: 100 }, "1", 2],
    [{ count: 3, percentage: 25 }, "3 or 25 %", 3],
  ])(
    "that tolerates %o fails with the first failure too many, and post is not called",
    async (tolerate, bounds, got) => {
      const post = vi.fn();
      const run = make({ prep: () => range(8), exec: evenOnly, post }, { name: "Evens", tolerate }).run({});
      const message = `Expected at most ${bounds} of the 8 items of Evens to fail, got ${got}`;
      await expect(run).rejects.toMatchObject({ name: "ToleranceExceededError", message });
      expect(post).not.toHaveBeenCalled();
    },
  );

  it("that tolerates none fails with the first failure, but not with that failure's words", async () => {
    const failing = make({ prep: () => [1], exec: evenOnly }, { tolerate: { percentage: 0 } });
    await expect(failing.run({})).rejects.toThrow("Expected at most 0 % of the 1 items of Written to fail, got 1");
  });

  it("counts each visit anew", async () => {
    let visits = 0;
    const post = () => (++visits < 3 ? "again" : "enough");
    const again = make({ prep: () => [0, 1], exec: evenOnly, post }, { tolerate: { count: 1 } });
    again.on("again", again).end("enough");
    expect(await new Flow(again).run({})).toBe("enough");
    expect(visits).toBe(3);
  });

  it("with `fail` has its first failure as its own", async () => {
    const failing = make({ prep: () => [1, 3], exec: evenOnly }, { onItemError: "fail" });
    await expect(failing.run({})).rejects.toThrow(new RangeError("1 is odd"));
  });

  it("does not collect what prep and post throw", async () => {
    const broken = () => Promise.reject(new Error("a hook is broken"));
    await expect(make({ prep: broken }, COLLECT).run({})).rejects.toThrow("a hook is broken");
    await expect(make({ prep: () => [0], post: broken }, COLLECT).run({})).rejects.toThrow("a hook is broken");
  });
});

describe.each(spellings)("items in order $spelling", ({ batch }) => {
  it("go on after a failure, one at a time", async () => {
    const log: string[] = [];
    const exec = async (n: number) => {
      log.push(`${n} begins`);
      await settled();
      log.push(`${n} ends`);
      evenOnly(n);
    };
    await batch({ prep: () => range(3), exec }, COLLECT).run({});
    expect(log).toEqual(range(3).flatMap((n) => [`${n} begins`, `${n} ends`]));
  });

  it("stop at the failure that is not tolerated", async () => {
    const exec = vi.fn(evenOnly);
    await expect(batch({ prep: () => range(9), exec }, { tolerate: { count: 1 } }).run({})).rejects.toThrow("got 2");
    expect(exec).toHaveBeenCalledTimes(4);
  });
});

describe.each(spellings)("items at once $spelling", ({ parallel }) => {
  it("are begun no more after the failure that is not tolerated", async () => {
    const waits = gates(6);
    const exec = vi.fn((n: number) => waits[n]?.promise);
    const run = parallel({ prep: () => range(6), exec }, { concurrency: 2, tolerate: { count: 1 } }).run({});
    waits[1]?.fail(new Error("one"));
    await settled();
    expect(exec.mock.calls.map(([n]) => n)).toEqual([0, 1, 2]);
    waits[2]?.fail(new Error("two"));
    await expect(run).rejects.toThrow("Expected at most 1 of the 6 items of Written to fail, got 2");
    waits[0]?.open();
    await settled();
    expect(exec).toHaveBeenCalledTimes(3);
  });
});

const flowKinds = spellings.flatMap(({ spelling, batchFlow, parallelFlow, ...makers }) => [
  {
    ...makers,
    kind: `a batch flow ${spelling} that collects`,
    make: batchFlow as Spelling["batchFlow"] | Spelling["parallelFlow"],
  },
  { ...makers, kind: `a parallel batch flow ${spelling} that collects`, make: parallelFlow },
]);

const numbered = (count: number) => range(count).map((n) => ({ n }));

describe.each(flowKinds)("$kind", ({ make, node, batch, flow }) => {
  /** A node that throws in branches with an odd number. */
  const oddBreaks = (hook: "prep" | "exec" | "post") =>
    node({
      exec() {
        return `result of ${this._params["n"]}`;
      },
      [hook]: async function (this: { _params: { n: number } }) {
        await settled();
        return evenOnly(this._params.n);
      },
    });

  it("gives post the params, an outcome of each branch's end as third argument, and no fourth", async () => {
    const post = vi.fn();
    const list = numbered(3);
    const shared = {};
    const named = node({
      exec() {
        return evenOnly(this._params["n"] as number);
      },
      post() {
        return `end ${this._params["n"]}`;
      },
    });
    await make(named, { prep: () => list, post }, COLLECT).run(shared);
    expect(post.mock.calls).toEqual([
      [
        shared,
        list,
        [
          { ok: true, value: { action: "end 0", result: "0 is even" } },
          { ok: false, error: new RangeError("1 is odd") },
          { ok: true, value: { action: "end 2", result: "2 is even" } },
        ],
        undefined,
      ],
    ]);
  });

  it.each(["prep", "exec", "post"] as const)("collects what %s of a branch's second node throws", async (hook) => {
    const outcomes: unknown[] = [];
    const log: unknown[] = [];
    const first = node({
      post() {
        log.push(this._params["n"]);
      },
    });
    first.next(oddBreaks(hook));
    const post = (_: unknown, __: unknown, collected: Outcome<BranchEnd>[]) => {
      outcomes.push(...collected.map((outcome) => (outcome.ok ? "ended" : outcome.error.message)));
    };
    await make(flow(first), { prep: () => numbered(4), post }, COLLECT).run({});
    expect(outcomes).toEqual(["ended", "1 is odd", "ended", "3 is odd"]);
    expect(log.sort()).toEqual(range(4));
  });

  it("gives post what was thrown, as an Error", async () => {
    const thrown = new TypeError("no such type");
    const post = vi.fn();
    const throwing = node({
      prep() {
        throw this._params["n"] === 0 ? thrown : "no";
      },
    });
    await make(throwing, { prep: () => numbered(2), post }, COLLECT).run({});
    const [one, other] = outcomesIn(post).map((outcome) => !outcome.ok && outcome.error);
    expect(one).toBe(thrown);
    expect(other).toBeInstanceOf(Error);
    expect(other).toMatchObject({ name: "Error", message: "Expected an Error to be thrown, got a string: no" });
  });

  it("goes on by the action of its post although all branches have failed, or there are none", async () => {
    for (const count of [0, 3]) {
      const log: unknown[] = [];
      const broken = node({ exec: () => Promise.reject(new Error("broken")) });
      const post = (_: unknown, __: unknown, outcomes: Outcome[]) => {
        log.push(outcomes.map(told));
        return "next";
      };
      const all = make(broken, { prep: () => numbered(count), post }, COLLECT);
      all.on(
        "next",
        node({
          exec() {
            log.push("went on");
          },
        }),
      );
      await flow(all).run({});
      expect(log).toEqual([range(count).map(() => "broken"), "went on"]);
    }
  });

  it("tolerates as many as it says", async () => {
    for (const tolerate of [{ count: 2 }, { percentage: 40 }]) {
      const post = vi.fn();
      await make(oddBreaks("post"), { prep: () => numbered(5), post }, { tolerate }).run({});
      expect(outcomesIn(post).map(({ ok }) => ok)).toEqual([true, false, true, false, true]);
    }
  });

  it("fails with the first branch too many, whose count it tells, and its post is not called", async () => {
    const post = vi.fn();
    const options = { name: "Evens", tolerate: { count: 1 } };
    const run = make(oddBreaks("exec"), { prep: () => numbered(8), post }, options).run({});
    await expect(run).rejects.toMatchObject({
      name: "ToleranceExceededError",
      message: "Expected at most 1 of the 8 branches of Evens to fail, got 2",
    });
    expect(post).not.toHaveBeenCalled();
  });

  it("gives a branch whose execFallback has mended its failure as ended well", async () => {
    const post = vi.fn();
    const mended = node({
      exec() {
        throw new Error("broken");
      },
      execFallback: (_: unknown, error: Error) => `mended: ${error.message}`,
    });
    await make(mended, { prep: () => numbered(1), post }, { tolerate: { count: 0 } }).run({});
    expect(post.mock.calls[0]?.[2]).toEqual([{ ok: true, value: { action: undefined, result: "mended: broken" } }]);
  });

  it("collects a walk of too many steps, by its words", async () => {
    const post = vi.fn();
    const again = node(
      {
        post() {
          return this._params["n"] === 1 ? "again" : "enough";
        },
      },
      { name: "Again" },
    );
    again.on("again", again).end("enough");
    await make(again, { prep: () => numbered(3), post }, { ...COLLECT, name: "Loops", maxSteps: 2 }).run({});
    expect(outcomesIn(post).map((o) => (o.ok ? o.value.action : o.error.message))).toEqual([
      "enough",
      "Expected flow `Loops` to end within 2 steps (maxSteps), got a 3rd: `Again`",
      "enough",
    ]);
  });

  it("does not collect what its own hooks throw", async () => {
    const broken = () => Promise.reject(new Error("a hook is broken"));
    await expect(make(node(), { prep: broken }, COLLECT).run({})).rejects.toThrow("a hook is broken");
    await expect(make(node(), { prep: () => [], post: broken }, COLLECT).run({})).rejects.toThrow("a hook is broken");
  });

  it("with `fail` gives post its branches as fourth argument, and fails with the first failure", async () => {
    const post = vi.fn();
    const prep = () => numbered(1);
    await make(oddBreaks("exec"), { prep, post }, { onItemError: "fail" }).run({});
    expect(post.mock.calls[0]?.slice(2)).toEqual([undefined, [{ action: undefined, result: "0 is even" }]]);
    const failing = make(oddBreaks("exec"), { prep: () => numbered(2) }, { onItemError: "fail" });
    await expect(failing.run({})).rejects.toThrow(new RangeError("1 is odd"));
  });

  it("within one that fails within one that collects has failures of its own, and others climb to the outermost", async () => {
    const log: { [outer: string]: unknown } = {};
    const innermost = make(
      oddBreaks("prep"),
      {
        prep: () => numbered(3),
        post(_: unknown, __: unknown, outcomes: Outcome[]) {
          log[`innermost ${this._params["outer"]}`] = outcomes.map(({ ok }) => ok);
          if (this._params["outer"] === 1) throw new Error("no sum");
        },
      },
      COLLECT,
    );
    const middle = make(innermost, {
      prep: () => [{}],
      post(_: unknown, __: unknown, ___: unknown, branches: BranchEnd[]) {
        log[`middle ${this._params["outer"]}`] = branches.length;
      },
    });
    const outermost = (_: unknown, __: unknown, outcomes: Outcome[]) => {
      log["outermost"] = outcomes.map((outcome) => (outcome.ok ? "ended" : outcome.error.message));
    };
    await make(middle, { prep: () => range(3).map((outer) => ({ outer })), post: outermost }, COLLECT).run({});
    const mixed = [true, false, true];
    expect(log).toEqual({
      "innermost 0": mixed,
      "innermost 1": mixed,
      "innermost 2": mixed,
      "middle 0": 1,
      "middle 2": 1,
      outermost: ["ended", "no sum", "ended"],
    });
  });

  it("collects that a batch, or batch flow, in a branch has more failures than it tolerates", async () => {
    const inner = [
      batch({ prep: () => range(4), exec: evenOnly }, { name: "Items", tolerate: { count: 1 } }),
      make(oddBreaks("exec"), { prep: () => numbered(4) }, { name: "Inner", tolerate: { percentage: 20 } }),
    ];
    const messages: unknown[] = [];
    for (const start of inner) {
      const post = (_: unknown, __: unknown, outcomes: Outcome[]) => {
        messages.push(...outcomes.map(told));
      };
      await make(start, { prep: () => [{}], post }, COLLECT).run({});
    }
    expect(messages).toEqual([
      "Expected at most 1 of the 4 items of Items to fail, got 2",
      "Expected at most 20 % of the 4 branches of Inner to fail, got 1",
    ]);
  });
});

describe.each(spellings)("branches in order $spelling", ({ batchFlow, node }) => {
  it("go on after a failure, and stop at the one that is not tolerated", async () => {
    const log: unknown[] = [];
    const counting = node({
      prep() {
        log.push(this._params["n"]);
        evenOnly(this._params["n"] as number);
      },
    });
    const prep = () => numbered(9);
    await expect(batchFlow(counting, { prep }, { tolerate: { count: 1 } }).run({})).rejects.toThrow("got 2");
    expect(log).toEqual(range(4));
  });
});

describe.each(spellings)("branches at once $spelling", ({ parallelFlow, node }) => {
  it("begin in the place of one that has failed, and no more after the one that is not tolerated", async () => {
    const log: unknown[] = [];
    const waits = range(5).map(() => gate());
    const waiting = node({
      prep() {
        log.push(this._params["n"]);
        return waits[this._params["n"] as number]?.promise;
      },
    });
    const options = { concurrency: 2, tolerate: { count: 1 } };
    const run = parallelFlow(waiting, { prep: () => numbered(5) }, options).run({});
    await settled();
    waits[0]?.fail(new Error("one"));
    await settled();
    expect(log).toEqual([0, 1, 2]);
    waits[2]?.fail(new Error("two"));
    await expect(run).rejects.toThrow("Expected at most 1 of the 5 branches of Written to fail, got 2");
    waits[1]?.open();
    await settled();
    expect(log).toEqual([0, 1, 2]);
  });
});
