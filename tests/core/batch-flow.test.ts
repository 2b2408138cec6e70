import { describe, expect, it, type Mock, vi } from "vitest";
import type { BaseNode, BranchEnd } from "../../src/index.ts";
import { type Spelling, spellings } from "./spelling.ts";
import { catchWarnings, gate, gates, range, settled } from "./support.ts";

const kinds = spellings.flatMap(({ spelling, batchFlow, parallelFlow, ...makers }) => [
  { ...makers, kind: `a batch flow ${spelling}`, make: batchFlow as Spelling["batchFlow"] | Spelling["parallelFlow"] },
  { ...makers, kind: `a parallel batch flow ${spelling}`, make: parallelFlow },
]);

/** What post was told of its branches' results. */
function resultsIn(post: Mock): unknown[] {
  const [, , , branches] = post.mock.calls[0] as [unknown, unknown, unknown, BranchEnd[]];
  return branches.map((branch) => branch.result);
}

const three = [{ key: "a" }, { key: "b" }, { key: "c" }];

describe.each(kinds)("$kind", ({ make, node, batch, flow }) => {
  const warnings = catchWarnings();

  const keyReader = (log: unknown[]) =>
    node({
      exec() {
        log.push({ ...this._params });
      },
    });

  it("walks its sub-flow once for each params of prep", async () => {
    const log: unknown[] = [];
    const first = keyReader(log);
    first.next(keyReader(log));
    await make(flow(first), { prep: () => three }).run({});
    expect(log).toHaveLength(6);
    expect(log).toEqual(expect.arrayContaining(three));
  });

  it("merges each params over the flow's own, and leaves both as they were", async () => {
    const log: unknown[] = [];
    const outer = make(keyReader(log), { prep: () => [{ key: "item" }, { other: 1 }] });
    await outer.setParams({ key: "flow", lang: "fr" }).run({});
    expect(log).toEqual([
      { key: "item", lang: "fr" },
      { key: "flow", lang: "fr", other: 1 },
    ]);
    expect(outer["_params"]).toEqual({ key: "flow", lang: "fr" });
  });

  it("gives each branch params of its own: a change shows in no sibling and not in prep's list", async () => {
    const log: unknown[] = [];
    const writer = node({
      prep() {
        log.push({ ...this._params });
        this._params["spoiled"] = true;
      },
    });
    const list = [{ key: "a" }, { key: "b" }];
    await make(writer, { prep: () => list }).run({});
    expect(log).toEqual([{ key: "a" }, { key: "b" }]);
    expect(list).toEqual([{ key: "a" }, { key: "b" }]);
  });

  it("accumulates the params of nested batches, and the inner key wins", async () => {
    const log: unknown[] = [];
    const inner = make(keyReader(log), {
      prep() {
        return [
          { pupil: 1, from: "inner", school: this._params["school"] },
          { pupil: 2, from: "inner" },
        ];
      },
    });
    const outer = make(flow(inner), { prep: () => [{ class: "x", from: "outer" }] });
    await outer.setParams({ school: "s", from: "flow" }).run({});
    expect(log).toEqual([
      { school: "s", class: "x", pupil: 1, from: "inner" },
      { school: "s", class: "x", pupil: 2, from: "inner" },
    ]);
  });

  it("gives post the list of params, undefined, and how each branch ended, in the list's order", async () => {
    const post = vi.fn();
    const list = [{ n: 1 }, { n: 2 }];
    const double = node({
      exec() {
        return (this._params["n"] as number) * 2;
      },
      post: (_shared: object, _prepRes: unknown, execRes: number) => (execRes > 2 ? "big" : undefined),
    });
    const shared = {};
    await make(double, { prep: () => list, post }).run(shared);
    expect(post.mock.calls[0]?.[0]).toBe(shared);
    expect(post.mock.calls[0]?.[1]).toBe(list);
    expect(post.mock.calls[0]?.slice(2)).toEqual([
      undefined,
      [
        { action: undefined, result: 2 },
        { action: "big", result: 4 },
      ],
    ]);
  });

  it("tells post the result of each branch's last node: a batch's list, a nested flow's own last, nothing of a batch flow", async () => {
    const ends: unknown[] = [];
    const post = (_shared: object, _list: unknown, _none: unknown, branches: BranchEnd[]) => {
      ends.push(branches.map((branch) => branch.result));
    };
    const prep = () => [{}];
    const first = node({ exec: () => "first" });
    first.next(batch({ prep: () => [1, 2], exec: (item: number) => item * 2 }));
    await make(flow(flow(first)), { prep, post }).run({});
    await make(make(first, { prep }), { prep, post }).run({});
    expect(ends).toEqual([[[2, 4]], [undefined]]);
  });

  it("ends with post's action, and without one with none, whatever the branches' last actions", async () => {
    const branch = node({ post: () => "of a branch" });
    expect(await make(branch, { prep: () => three, post: () => "of post" }).run({})).toBe("of post");
    expect(await make(branch, { prep: () => three }).run({})).toBeUndefined();
    const reached = vi.fn();
    const inner = make(branch, { prep: () => three });
    inner.on("of a branch", node({ prep: () => reached("wrong") })).next(node({ prep: () => reached("right") }));
    await flow(inner).run({});
    expect(reached.mock.calls).toEqual([["right"]]);
    expect(warnings()).toEqual([]);
  });

  it.each([
    ["an empty list", []],
    ["nothing", undefined],
    ["null", null],
  ])("calls post for %s, and runs nothing", async (_, prepared) => {
    const exec = vi.fn();
    const post = vi.fn(() => "empty");
    expect(await make(node({ exec }), { prep: () => prepared, post }).run({})).toBe("empty");
    expect(exec).not.toHaveBeenCalled();
    expect(post).toHaveBeenCalledWith({}, [], undefined, []);
  });

  it("has no branches unless prep is written", async () => {
    const exec = vi.fn();
    expect(await make(node({ exec })).run({})).toBeUndefined();
    expect(exec).not.toHaveBeenCalled();
  });

  it.each([
    ["a generator", () => three.values()],
    ["a Set", () => new Set(three)],
    ["a stream", () => ReadableStream.from(three)],
  ])("takes params from %s, and gives post the list", async (_, source) => {
    const log: unknown[] = [];
    const post = vi.fn();
    await make(keyReader(log), { prep: source, post }).run({});
    expect(log).toEqual(three);
    expect(post.mock.calls[0]?.[1]).toEqual(three);
  });

  it("refuses params that are not iterable", async () => {
    await expect(make(node(), { prep: () => ({ key: "a" }) }).run({})).rejects.toThrow(
      new TypeError(
        "Expected prep of Written to return items (an array, any iterable or async iterable), got an object",
      ),
    );
  });

  it("visits copies in each branch", async () => {
    const seen: unknown[] = [];
    const stateful = node({
      prep() {
        seen.push(this["mine"]);
        this["mine"] = this._params["key"];
      },
      post() {
        seen.push(this["mine"]);
      },
    });
    await make(flow(stateful), { prep: () => three }).run({});
    expect(seen.filter((value) => value !== undefined).toSorted()).toEqual(["a", "b", "c"]);
    expect(seen).toHaveLength(6);
  });

  it("rejects with a branch's error, and skips post", async () => {
    const post = vi.fn();
    const failing = make(node({ exec: () => Promise.reject(new Error("no")) }), { prep: () => three, post });
    await expect(failing.run({})).rejects.toThrow("no");
    expect(post).not.toHaveBeenCalled();
  });

  it("counts the steps of each branch on its own, against maxSteps", async () => {
    const first = node();
    first.next(node()).next(node({}, { name: "Third" }));
    const ran = vi.fn(() => undefined);
    await make(first, { prep: () => three, post: ran }, { maxSteps: 3 }).run({});
    expect(ran).toHaveBeenCalledOnce();
    await expect(make(first, { prep: () => three }, { maxSteps: 2, name: "each" }).run({})).rejects.toThrow(
      new Error("Expected flow `each` to end within 2 steps (maxSteps), got a 3rd: `Third`"),
    );
  });

  it("warns of an action that leads nowhere in each branch", async () => {
    const choosing = node({ post: () => "x" }).on("y", node());
    await make(choosing, { prep: () => three }).run({});
    expect(warnings()).toEqual(three.map(() => "Flow ends: 'x' not found in [y]"));
  });
});

describe.each(spellings)("a batch flow $spelling", ({ node, batchFlow }) => {
  it("begins a branch only once the one before it has ended", async () => {
    const waits = gates(3);
    const begun: unknown[] = [];
    const slow = node({
      exec() {
        begun.push(this._params["index"]);
        return waits[this._params["index"] as number]?.promise;
      },
    });
    const run = batchFlow(slow, { prep: () => range(3).map((index) => ({ index })) }).run({});
    for (const index of range(3)) {
      await settled();
      expect(begun).toEqual(range(index + 1));
      waits[index]?.open();
    }
    await run;
  });

  it("stops at the branch that fails: later ones never begin, and what came before stays in shared", async () => {
    const writer = node({
      post(shared: { log: unknown[] }) {
        if (this._params["key"] === "b") throw new Error("b failed");
        shared.log.push(this._params["key"]);
      },
    });
    const shared = { log: [] };
    await expect(batchFlow(writer, { prep: () => three }).run(shared)).rejects.toThrow("b failed");
    expect(shared.log).toEqual(["a"]);
  });
});

describe.each(spellings)("a parallel batch flow $spelling", ({ node, parallelFlow }) => {
  /** A branch of three nodes: the middle one waits for its branch's gate. */
  const waiting = (waits: { promise: Promise<unknown> }[], begun: unknown[] = [], ended: unknown[] = []) => {
    const first = node({
      post() {
        begun.push(this._params["index"]);
      },
    });
    const second = node({
      exec() {
        return waits[this._params["index"] as number]?.promise;
      },
    });
    const third = node({
      post() {
        ended.push(this._params["index"]);
      },
    });
    first.next(second).next(third);
    return first;
  };
  const indices = (count: number) => () => range(count).map((index) => ({ index }));

  it("has all branches under way at once, and each goes on by itself", async () => {
    const waits = gates(20);
    const [begun, ended] = [[] as unknown[], [] as unknown[]];
    const run = parallelFlow(waiting(waits, begun, ended), { prep: indices(20) }).run({});
    await settled();
    expect(begun).toEqual(range(20));
    for (const index of [7, 3]) {
      waits[index]?.open();
      await settled();
    }
    expect(ended).toEqual([7, 3]);
    for (const wait of waits) wait.open();
    await run;
    expect(ended).toHaveLength(20);
  });

  it("keeps the list's order in what post gets, whatever the order of the ends", async () => {
    const waits = gates<string>(3);
    const post = vi.fn();
    const slow = node({
      exec() {
        return waits[this._params["index"] as number]?.promise;
      },
    });
    const run = parallelFlow(slow, { prep: indices(3), post }).run({});
    for (const index of [2, 0, 1]) {
      waits[index]?.open(`result ${index}`);
      await settled();
    }
    await run;
    expect(resultsIn(post)).toEqual(["result 0", "result 1", "result 2"]);
  });

  it("has at most as many branches under way as its concurrency", async () => {
    const waits = gates(5);
    const begun: unknown[] = [];
    const run = parallelFlow(waiting(waits, begun), { prep: indices(5) }, { concurrency: 2 }).run({});
    for (const ended of range(5)) {
      await settled();
      expect(begun).toEqual(range(Math.min(ended + 2, 5)));
      waits[ended]?.open();
    }
    await run;
  });

  it("rejects with the first error in time while the other branches go on", async () => {
    const waits = gates(3);
    const ended: unknown[] = [];
    const post = vi.fn();
    const run = parallelFlow(waiting(waits, [], ended), { prep: indices(3), post }).run({});
    const outcome = vi.fn();
    run.catch((error: Error) => outcome(error.message));
    waits[1]?.fail(new Error("first in time"));
    await settled();
    expect(outcome).toHaveBeenCalledWith("first in time");
    waits[0]?.fail(new Error("first in order"));
    waits[2]?.open();
    await settled();
    expect(ended).toEqual([2]);
    expect(outcome).toHaveBeenCalledOnce();
    expect(post).not.toHaveBeenCalled();
  });

  it("isolates the retries of its branches", async () => {
    const calls: number[] = [];
    const post = vi.fn();
    const flaky = node(
      {
        async exec() {
          const index = this._params["index"] as number;
          calls[index] = (calls[index] ?? 0) + 1;
          await settled();
          if (this.currentRetry < index) throw new Error("not yet");
          return `${index} after ${this.currentRetry}`;
        },
      },
      4,
    );
    await parallelFlow(flaky, { prep: indices(4), post }).run({});
    expect(calls).toEqual([1, 2, 3, 4]);
    expect(resultsIn(post)).toEqual(["0 after 0", "1 after 1", "2 after 2", "3 after 3"]);
  });
});

describe.each(spellings)("post, transition and next prep $spelling", ({ node, flow, batchFlow, parallelFlow }) => {
  interface Scratch {
    scratch?: unknown;
    read: unknown[];
  }

  /** A node whose post writes the branch's index to a scratch key, and one whose prep reads it. */
  function scratchNodes(exec: () => unknown) {
    const write = node({
      exec,
      post(shared: Scratch) {
        shared.scratch = this._params["index"];
      },
    });
    const read = node({
      prep: (shared: Scratch) => shared.scratch,
      exec: (scratch: unknown) => scratch,
      post(shared: Scratch, _prepRes: unknown, scratch: unknown) {
        shared.read.push(scratch);
      },
    });
    return { write, read };
  }

  async function readOf(start: BaseNode) {
    const shared: Scratch = { read: [] };
    await parallelFlow(start, { prep: () => range(5).map((index) => ({ index })) }).run(shared);
    return shared.read;
  }

  const execs: [string, () => unknown][] = [
    ["does not suspend", () => "at once"],
    ["suspends for a moment", () => Promise.resolve()],
    ["suspends for long", () => settled()],
  ];

  it.each(execs)("are one turn that no other branch interrupts, where exec %s", async (_, exec) => {
    const { write, read } = scratchNodes(exec);
    write.next(read);
    expect(await readOf(write)).toEqual([0, 1, 2, 3, 4]);
  });

  it.each(execs)("are so across the end of a nested flow, where exec %s", async (_, exec) => {
    const { write, read } = scratchNodes(exec);
    const inner = flow(flow(write));
    inner.next(flow(read));
    expect(await readOf(flow(inner))).toEqual([0, 1, 2, 3, 4]);
  });

  it.each(execs)("are so from one branch to the next of a nested batch in order, where exec %s", async (_, exec) => {
    const { write, read } = scratchNodes(exec);
    const choose = node({
      post() {
        return this._params["role"];
      },
    });
    choose.on("write", write).on("read", read);
    const inner = batchFlow(choose, { prep: () => [{ role: "write" }, { role: "read" }] });
    expect(await readOf(inner)).toEqual([0, 1, 2, 3, 4]);
  });

  it("are interrupted only where a hook itself waits", async () => {
    const { write, read } = scratchNodes(() => Promise.resolve());
    const all = gate();
    let posted = 0;
    const pause = node({
      post() {
        if (++posted === 5) all.open();
        return all.promise;
      },
    });
    write.next(pause).next(read);
    expect(await readOf(write)).toEqual([4, 4, 4, 4, 4]);
  });
});
