import { afterEach, beforeEach, describe, expect, it, type MockInstance, vi } from "vitest";
import { Attempt } from "../../src/core/attempt.ts";
import { BaseNode, type Emitted, type ExecContext, Flow, Node } from "../../src/index.ts";
import { spellings } from "./spelling.ts";
import { gates, range, settled } from "./support.ts";

/** Runs a node with a follower, and returns what it was told. */
async function toldBy(root: BaseNode, shared: unknown = {}) {
  const told: Emitted[] = [];
  await root.run(shared, { onEmit: (event) => told.push(event) });
  return told;
}

const textOf = ({ node, index, data }: Emitted) => `${node} ${index}: ${data}`;

describe.each(spellings)("emit $spelling", ({ node, batch, parallel, flow, batchFlow, parallelFlow }) => {
  const talking = (name: string) =>
    node(
      {
        prep() {
          this.emit("prep");
        },
        exec(_item: unknown, context) {
          context.emit("exec");
        },
        post() {
          this.emit("post");
        },
      },
      { name },
    );

  it("tells who follows the run of each hook, with the item's index where exec tells it by its context", async () => {
    expect(await toldBy(talking("talker"))).toEqual([
      { node: "talker", index: null, data: "prep" },
      { node: "talker", index: 0, data: "exec" },
      { node: "talker", index: null, data: "post" },
    ]);
  });

  it("calls a node by its class where it has no name", async () => {
    class Talking extends Node {
      override prep() {
        this.emit(1);
      }
    }
    expect(await toldBy(new Flow(new Talking()))).toEqual([{ node: "Talking", index: null, data: 1 }]);
  });

  it("may be called on the node in exec as well, which tells no index", async () => {
    const talker = parallel(
      {
        prep: () => [1, 2],
        exec(item: number) {
          this.emit(item);
        },
      },
      { name: "talker" },
    );
    expect((await toldBy(talker)).map(textOf)).toEqual(["talker null: 1", "talker null: 2"]);
  });

  it("tells it at once, while the hook goes on", async () => {
    const [wait] = gates(1);
    const talker = node({
      async exec(_item: unknown, context) {
        context.emit("begun");
        await wait?.promise;
        context.emit("done");
      },
    });
    const told: unknown[] = [];
    const run = flow(talker).run({}, { onEmit: ({ data }) => told.push(data) });
    expect(told).toEqual(["begun"]);
    wait?.open();
    await run;
    expect(told).toEqual(["begun", "done"]);
  });

  it("tells the data itself, whatever it is", async () => {
    const data = [{ done: 3 }, () => "function", undefined, Number.NaN];
    const talker = node({
      post() {
        for (const one of data) this.emit(one);
      },
    });
    const told = await toldBy(talker);
    expect(told.map((event) => event.data)).toEqual(data);
    expect(told[0]?.data).toBe(data[0]);
  });

  it.each([
    ["in order", batch],
    ["at once", parallel],
  ])("tells the index of the item, for items %s and for their retries", async (_, make) => {
    const talker = make(
      {
        prep: () => range(3),
        async exec(item: number, context) {
          await Promise.resolve();
          context.emit(context.attempt);
          if (this.currentRetry < item) throw new Error("not yet");
        },
        execFallback() {
          this.emit("fallback");
        },
      },
      { maxRetries: 2, name: "talker" },
    );
    const told = (await toldBy(talker)).map(textOf);
    expect(told.toSorted()).toEqual(
      ["talker 0: 1", "talker 1: 1", "talker 1: 2", "talker 2: 1", "talker 2: 2", "talker null: fallback"].toSorted(),
    );
  });

  it("reaches the follower from all nodes, those of nested flows and of all branches included", async () => {
    const prep = () => [{}, {}];
    const first = talking("first");
    first
      .next(flow(flow(talking("nested"))))
      .next(batchFlow(flow(talking("in order")), { prep }))
      .next(parallelFlow(flow(talking("at once")), { prep }));
    const visitOf = (name: string) => [`${name} null: prep`, `${name} 0: exec`, `${name} null: post`];
    const visited = ["first", "nested", "in order", "in order", "at once", "at once"];
    const told = (await toldBy(flow(first))).map(textOf);
    expect(told.toSorted()).toEqual(visited.flatMap(visitOf).toSorted());
    expect(told.slice(0, 6)).toEqual([...visitOf("first"), ...visitOf("nested")]);
  });

  it.each([
    ["a flow", flow],
    ["a batch flow", batchFlow],
    ["a parallel batch flow", parallelFlow],
  ])("is there in the hooks of %s too", async (_, make) => {
    const talker = make(
      node(),
      {
        prep() {
          this.emit("prep");
        },
        post() {
          this.emit("post");
        },
      },
      { name: "talker" },
    );
    const expected = ["talker null: prep", "talker null: post"];
    expect((await toldBy(talker)).map(textOf)).toEqual(expected);
    expect((await toldBy(flow(talker))).map(textOf)).toEqual(expected);
  });

  it("does nothing where nobody follows", async () => {
    await talking("alone").run({});
    await flow(talking("alone")).run({}, {});
    await parallelFlow(talking("alone"), { prep: () => [{}] }).run({});
  });

  it("tells nobody of a run that comes after one that was followed", async () => {
    for (const root of [talking("talker"), flow(talking("talker"))]) {
      const told = await toldBy(root);
      expect(told).toHaveLength(3);
      await root.run({});
      expect(told).toHaveLength(3);
    }
  });

  it("tells two runs of one flow at once apart", async () => {
    const waits = gates(2);
    const slow = node({
      prep(shared: { run: number }) {
        this.emit(shared.run);
        return waits[shared.run]?.promise;
      },
      post(shared: { run: number }) {
        this.emit(shared.run);
      },
    });
    for (const root of [flow(slow), slow]) {
      const told: unknown[][] = [[], []];
      const runs = told.map((mine, run) => root.run({ run }, { onEmit: ({ data }) => mine.push(data) }));
      for (const wait of waits.toReversed()) wait.open();
      await Promise.all(runs);
      expect(told).toEqual([
        [0, 0],
        [1, 1],
      ]);
    }
  });

  it("leaves a followed node that runs alone the instance it was: its fields last, and it has no other", async () => {
    const counter = node({
      prep() {
        this["runs"] = ((this["runs"] as number) ?? 0) + 1;
      },
    });
    const fields = Object.keys(counter);
    await toldBy(counter);
    await toldBy(counter);
    expect(counter).toHaveProperty("runs", 2);
    expect(Object.keys(counter)).toEqual([...fields, "runs"]);
  });
});

describe("what follows a run", () => {
  it("costs nodes of other runs no field", () => {
    const node = new Node();
    expect("_follower" in node).toBe(false);
    expect("_follower" in node.clone()).toBe(false);
  });

  it("hears of branches that a subclass makes of its own", async () => {
    class Both extends Flow {
      protected override async _orchestrate(shared: unknown) {
        const runs = ["fr", "de"].map((lang) => super._orchestrate(shared, { lang }));
        await Promise.all(runs);
        return undefined;
      }
    }
    class Talking extends Node {
      override async prep() {
        await settled();
        this.emit(this._params["lang"]);
      }
    }
    const told = await toldBy(new Flow(new Both(new Talking())));
    expect(told.map(({ data }) => data)).toEqual(["fr", "de"]);
  });

  it("hears of the exec of a BaseNode, and through a _run that a subclass has overridden", async () => {
    class Bare extends BaseNode {
      override async _run(shared: unknown) {
        return await super._run(shared);
      }
      override exec(_item: unknown, context?: ExecContext) {
        context?.emit("bare");
      }
    }
    expect(await toldBy(new Flow(new Bare()))).toEqual([{ node: "Bare", index: 0, data: "bare" }]);
  });

  it("does not hear of a flow that exec runs by itself", async () => {
    class Inner extends Node {
      override prep() {
        this.emit("inner");
      }
    }
    class Outer extends Node {
      override async exec() {
        await new Flow(new Inner()).run({});
        this.emit("outer");
      }
    }
    expect((await toldBy(new Flow(new Outer()))).map(({ data }) => data)).toEqual(["outer"]);
  });

  it("is called as a method of the options that run was given", async () => {
    const options = {
      told: [] as unknown[],
      onEmit(event: Emitted) {
        this.told.push(event.data);
      },
    };
    const talker = new Node();
    talker.post = function (this: Node) {
      this.emit("told");
    };
    await talker.run({}, options);
    expect(options.told).toEqual(["told"]);
  });

  it("is nobody for an attempt that was made without", () => {
    expect(new Attempt("key", 1).emit("unheard")).toBeUndefined();
    const onEmit = vi.fn();
    new Attempt("key", 1, onEmit).emit("heard");
    expect(onEmit.mock.calls).toEqual([["heard"]]);
  });
});

describe.each(spellings)("what follows a run $spelling, when it fails", ({ node, flow }) => {
  let printed: MockInstance<typeof console.error>;
  beforeEach(() => {
    printed = vi.spyOn(console, "error").mockImplementation(() => {});
  });
  afterEach(() => printed.mockRestore());

  const error = new Error("the follower's own");
  const fail = () => {
    throw error;
  };

  it.each([
    ["throws", fail],
    ["rejects", async () => fail()],
  ])("is printed, and the flow goes on, where it %s", async (_, onEmit) => {
    const first = node({
      exec(_item: unknown, context) {
        context.emit(1);
        this.emit(2);
        return "result";
      },
      post(shared: { result?: string }, _prepRes: unknown, result: string) {
        shared.result = result;
        return "on";
      },
    });
    first.on("on", node({ post: () => "done" }));
    const shared: { result?: string } = {};
    expect(await flow(first).run(shared, { onEmit })).toBe("done");
    await settled();
    expect(shared.result).toBe("result");
    expect(printed.mock.calls).toEqual([
      ["What follows a run failed, and the run goes on:", error],
      ["What follows a run failed, and the run goes on:", error],
    ]);
  });
});
