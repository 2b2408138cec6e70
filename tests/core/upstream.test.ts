import { test } from "@fast-check/vitest";
import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import type { Node } from "../../src/index.ts";
import { plain, type Spelling, seed, upstream } from "./spelling.ts";
import { catchWarnings, gates, range, seeded, settled, stopTime } from "./support.ts";

// The same programs on the npm package `pocketflow` 1.0.4 and here. First where both are meant to agree, then, point by
// point, where they are meant not to.

interface Shared {
  log: unknown[];
  [key: string]: unknown;
}

/** A program logs to `shared`, and returns or throws what is to be compared beside the log. */
type Program = (write: Spelling, shared: Shared) => Promise<unknown>;

const programs: Record<string, Program> = {
  "prep, exec and post of one node": ({ node }, shared) =>
    node({
      prep: (shared: Shared) => shared.log.length,
      exec: async (prepRes: number) => prepRes + 1,
      async post(shared: Shared, prepRes: number, execRes: number) {
        shared.log.push(prepRes, execRes);
        return "done";
      },
    }).run(shared),

  "hooks that were never written": async (write, shared) => [
    await write.node().run(shared),
    await write.batch().run(shared),
    await write.parallel().run(shared),
    await write.flow(write.node()).run(shared),
    await write.batchFlow(write.node()).run(shared),
    await write.parallelFlow(write.node()).run(shared),
  ],

  "attempts, currentRetry and the fallback": async ({ node }, shared) => {
    for (const maxRetries of [1, 2, 5]) {
      await node(
        {
          async exec() {
            shared.log.push(this.currentRetry);
            if (this.currentRetry < 3) throw new Error(`no ${this.currentRetry}`);
            return "exec";
          },
          async execFallback(_prepRes: unknown, error: Error) {
            return `${error.message} at ${this.currentRetry}`;
          },
          post(shared: Shared, _prepRes: unknown, execRes: string) {
            shared.log.push(execRes);
          },
        },
        maxRetries,
      ).run(shared);
    }
  },

  "the default fallback": ({ node }, shared) => node({ exec: () => Promise.reject(new Error("no")) }, 3).run(shared),

  "a batch in order, with a fallback for one item": ({ batch }, shared) =>
    batch(
      {
        prep: () => [1, 2, 3],
        async exec(item: number) {
          shared.log.push(`${item}.${this.currentRetry}`);
          if (item === 2) throw new Error("two");
          return item * 10;
        },
        execFallback: async (item: number, error: Error) => `${item} ${error.message}`,
        async post(shared: Shared, prepRes: number[], results: unknown[]) {
          shared.log.push(prepRes, results);
        },
      },
      2,
    ).run(shared),

  "a batch that fails in the middle": ({ batch }, shared) =>
    batch({
      prep: () => [1, 2, 3],
      async exec(item: number) {
        shared.log.push(item);
        if (item === 2) throw new Error("two");
      },
    }).run(shared),

  "a parallel batch that completes out of order": async ({ parallel }, shared) => {
    const waits = gates(4);
    const run = parallel({
      prep: () => range(4),
      async exec(item: number) {
        await waits[item]?.promise;
        shared.log.push(item);
        return item * 10;
      },
      post(shared: Shared, _prepRes: unknown, results: number[]) {
        shared.log.push(results);
      },
    }).run(shared);
    for (const index of [3, 1, 0, 2]) {
      waits[index]?.open();
      await settled();
    }
    return run;
  },

  "a parallel batch in which two items fail": async ({ parallel }, shared) => {
    const waits = gates(3);
    const run = parallel({
      prep: () => range(3),
      async exec(item: number) {
        await waits[item]?.promise;
        shared.log.push(item);
      },
      post: () => shared.log.push("post"),
    }).run(shared);
    const outcome = run.catch((error: Error) => error.message);
    waits[1]?.fail(new Error("one"));
    await settled();
    waits[0]?.fail(new Error("zero"));
    waits[2]?.open();
    await settled();
    return outcome;
  },

  "a fallback for each item of a parallel batch": ({ parallel }, shared) =>
    parallel({
      prep: () => range(3),
      exec: async (item: number) => Promise.reject(new Error(`no ${item}`)),
      execFallback: async (item: number, error: Error) => [item, error.message],
      post: (shared: Shared, _prepRes: unknown, results: unknown[]) => void shared.log.push(results),
    }).run(shared),

  "empty batches": async ({ node, batch, parallel, batchFlow, parallelFlow }, shared) => {
    const post = (...args: unknown[]) => void shared.log.push(args.slice(1, 3));
    for (const nothing of [[], undefined, null]) {
      await batch({ prep: () => nothing, post }).run(shared);
      await parallel({ prep: () => nothing, post }).run(shared);
    }
    await batchFlow(node(), { prep: () => [], post }).run(shared);
    await parallelFlow(node(), { prep: () => [], post }).run(shared);
  },

  "a walk that branches, loops and ends": ({ node, flow }, shared) => {
    const count = node({
      async post(shared: Shared) {
        shared.log.push("count");
        return shared.log.length < 4 ? "again" : "";
      },
    });
    const last = node({ post: (shared: Shared) => void shared.log.push("last") });
    count.on("again", count).next(last);
    return flow(count).run(shared);
  },

  "all three warnings": async ({ node, flow }, shared) => {
    const lost = node({ post: () => "nowhere" })
      .on("a", node())
      .on("b", node())
      .on("a", node());
    lost.next(node());
    lost.next(node());
    await lost.run(shared);
    await flow(lost).run(shared);
  },

  "getNextNode without an action": async ({ node }) => {
    const [first, second] = [node(), node()];
    first.next(second);
    return [
      first.getNextNode() === second,
      first.getNextNode("") === second,
      first.getNextNode(undefined) === second,
      second.getNextNode("any"),
    ];
  },

  "prep and post of a flow": ({ node, flow }, shared) =>
    flow(node(), {
      prep: async () => "prepared",
      async post(shared: Shared, prepRes: string) {
        shared.log.push(prepRes);
        return "of the flow";
      },
    }).run(shared),

  "params of flows over those of nodes": async ({ node, flow }, shared) => {
    const first = node({
      prep() {
        shared.log.push({ ...this._params });
        this._params["seen"] = true;
      },
    }).setParams({ of: "node", mine: 1 });
    const second = node({ prep: () => undefined });
    second.prep = async function (this: { _params: unknown }) {
      shared.log.push(this._params);
    } as never;
    first.next(flow(second).setParams({ of: "inner" }));
    await flow(first).setParams({ of: "outer" }).run(shared);
    await flow(first).run(shared);
    await first.run(shared);
  },

  "params of nested batch flows": async ({ node, batchFlow, parallelFlow, flow }, shared) => {
    const reader = node({
      async exec() {
        shared.log.push({ ...this._params });
      },
    });
    for (const [outer, inner] of [
      [batchFlow, batchFlow],
      [batchFlow, parallelFlow],
    ] as const) {
      const inside = inner(flow(reader), { prep: async () => [{ x: 1, key: "inner" }, { x: 2 }] });
      const outside = outer(inside, { prep: async () => [{ y: 1, key: "outer" }, { y: 2 }] });
      await outside.setParams({ key: "flow", z: 0 }).run(shared);
    }
  },

  "the arguments of a batch flow's post": async ({ node, batchFlow, parallelFlow }, shared) => {
    const hooks = {
      prep: () => [{ n: 1 }],
      post(given: Shared, list: unknown, none: unknown) {
        shared.log.push(given === shared, list, none);
        return "of post";
      },
    };
    return [await batchFlow(node(), hooks).run(shared), await parallelFlow(node(), hooks).run(shared)];
  },

  "a batch flow that fails in the middle": ({ node, batchFlow }, shared) => {
    const writer = node({
      async post(shared: Shared) {
        if (this._params["n"] === 2) throw new Error("two");
        shared.log.push(this._params["n"]);
      },
    });
    return batchFlow(writer, { prep: () => [{ n: 1 }, { n: 2 }, { n: 3 }] }).run(shared);
  },

  "fields set in one step, in a flow and in direct runs": async ({ node, flow }, shared) => {
    const make = () =>
      node({
        async prep() {
          shared.log.push(this["count"]);
          this["count"] = ((this["count"] as number) ?? 0) + 1;
        },
        post: (shared: Shared) => (shared.log.length < 3 ? "again" : undefined),
      });
    const inFlow = make();
    await flow(inFlow.on("again", inFlow)).run(shared);
    const direct = make();
    await direct.run(shared);
    await direct.run(shared);
  },

  "a list of shared as prepRes": ({ batch }, shared) => {
    shared["list"] = [1, 2];
    return batch({
      prep: (shared: { list: number[] }) => shared.list,
      exec: async (item: number) => item,
      async post(shared: Shared, prepRes: number[], results: number[]) {
        prepRes.push(3);
        shared.log.push(shared["list"], results);
      },
    }).run(shared);
  },

  "two flows that poll one shared": async ({ node, flow }, shared) => {
    shared["turn"] = 0;
    const player = (mine: number) => {
      const play = node({
        async post(shared: Shared) {
          await settled();
          if (shared["turn"] === mine) {
            shared.log.push(mine);
            shared["turn"] = 1 - mine;
          }
          return shared.log.length < 6 ? "again" : "over";
        },
      });
      return flow(play.on("again", play).on("over", node()));
    };
    await Promise.all([player(0).run(shared), player(1).run(shared)]);
    shared.log.length = 6;
  },

  "branches that see each other's writes": async ({ node, parallelFlow }, shared) => {
    const meet = node({
      async post(shared: Shared) {
        shared.log.push(this._params["n"]);
        if (shared.log.length < 3) return "again";
        return undefined;
      },
    });
    await parallelFlow(meet.on("again", meet).on("default", node()), { prep: () => [{ n: 1 }, { n: 2 }] }).run(shared);
    shared.log.sort();
  },
};

async function outcomeOf(program: Program, write: Spelling, warnings: () => string[]) {
  const shared: Shared = { log: [] };
  const already = warnings().length;
  const ended = await program(write, shared).then(
    (value) => ({ value }),
    (error: Error) => ({ error: error.message }),
  );
  return { shared, warnings: warnings().slice(already), ...ended };
}

describe("where pocketflow 1.0.4 is right, this package agrees with it", () => {
  const warnings = catchWarnings();

  it.each(Object.entries(programs))("on %s", async (_, program) => {
    const theirs = await outcomeOf(program, upstream, warnings);
    expect(await outcomeOf(program, plain, warnings)).toEqual(theirs);
    expect(await outcomeOf(program, seed, warnings)).toEqual(theirs);
  });

  /** A flow of up to six nodes as data. Each node fails some attempts, and leaves by its actions in turn. */
  const graphs = fc.array(
    fc.record({
      isBatch: fc.boolean(),
      items: fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 4 }),
      maxRetries: fc.integer({ min: 1, max: 3 }),
      hasFallback: fc.boolean(),
      actions: fc.array(fc.constantFrom("a", "b", "", undefined), { minLength: 1, maxLength: 3 }),
      successors: fc.dictionary(fc.constantFrom("a", "b", "default"), fc.nat(5), { noNullPrototype: true }),
    }),
    { minLength: 1, maxLength: 6 },
  );

  test.prop([graphs])("on any flow of nodes and batches in order", async (graph) => {
    const program: Program = async (write, shared) => {
      let steps = 0;
      const nodes = graph.map((shape, id): Node => {
        const work = (item: number, retry: number) => {
          shared.log.push(["exec", id, item, retry]);
          if (retry < item) throw new Error(`node ${id} item ${item}`);
          return item * 10;
        };
        const make = shape.isBatch ? write.batch : write.node;
        return make(
          {
            prep: () => (shape.isBatch ? shape.items : (shape.items[0] ?? 0)),
            async exec(item: number) {
              return work(item, this.currentRetry);
            },
            async execFallback(item: number, error: Error) {
              if (!shape.hasFallback) throw error;
              return `fallback ${item}`;
            },
            async post(shared: Shared, prepRes: unknown, execRes: unknown) {
              shared.log.push(["post", id, prepRes, execRes, { ...this._params }]);
              if (++steps > 30) throw new Error("long enough");
              return shape.actions[steps % shape.actions.length];
            },
          },
          shape.maxRetries,
        ) as Node;
      });
      graph.forEach((shape, id) => {
        for (const [action, to] of Object.entries(shape.successors)) {
          nodes[id]?.on(action, nodes[to % nodes.length] as Node);
        }
      });
      await write
        .flow(nodes[0] as Node)
        .setParams({ of: "flow" })
        .run(shared);
    };
    const theirs = await outcomeOf(program, upstream, warnings);
    expect(await outcomeOf(program, plain, warnings)).toEqual(theirs);
    expect(await outcomeOf(program, seed, warnings)).toEqual(theirs);
  });
});

describe.each([plain, seed])("where pocketflow 1.0.4 is wrong, $spelling", (ours) => {
  const warnings = catchWarnings();
  stopTime();

  /** The results of a parallel batch whose items fail as often as `failures` says before they succeed. */
  async function resultsOf(write: Spelling, failures: number[]): Promise<unknown[]> {
    const calls = failures.map(() => 0);
    let results: unknown[] = [];
    const run = write
      .parallel(
        {
          prep: () => range(failures.length),
          async exec(item: number) {
            calls[item] = (calls[item] ?? 0) + 1;
            if ((calls[item] ?? 0) <= (failures[item] ?? 0)) throw new Error("transient");
            return "result";
          },
          execFallback: async () => "fallback",
          post(_shared: unknown, _prepRes: unknown, execRes: unknown[]) {
            results = execRes;
          },
        },
        3,
        1,
      )
      .run({});
    await vi.runAllTimersAsync();
    await run;
    return results;
  }

  it("items that fail at the same time do not use up each other's attempts (there 8 of 10 are lost)", async () => {
    const once = range(10).map(() => 1);
    const theirs = await resultsOf(upstream, once);
    expect(theirs.filter((result) => result === undefined)).toHaveLength(8);
    expect(await resultsOf(ours, once)).toEqual(range(10).map(() => "result"));
  });

  it("no item is lost to transient failures (there about a fifth are, silently)", async () => {
    const random = seeded(7);
    const failures = range(50).map(() => (random() < 0.2 ? (random() < 0.2 ? 2 : 1) : 0));
    const theirs = await resultsOf(upstream, failures);
    expect(theirs.filter((result) => result === undefined).length).toBeGreaterThan(5);
    expect(await resultsOf(ours, failures)).toEqual(range(50).map(() => "result"));
  });

  it("a nested flow's last action picks the outer branch (there it is dropped)", async () => {
    const program: Program = async ({ node, flow }, shared) => {
      const inner = flow(node({ post: () => "special" }));
      inner.on("special", node({ prep: () => void shared.log.push("special") }));
      inner.next(node({ prep: () => void shared.log.push("default") }));
      return flow(inner).run(shared);
    };
    expect((await outcomeOf(program, upstream, warnings)).shared.log).toEqual(["default"]);
    expect((await outcomeOf(program, ours, warnings)).shared.log).toEqual(["special"]);
  });

  it("a flow's action is the last one of its walk (there it is always nothing)", async () => {
    const program: Program = ({ node, flow }, shared) => flow(node({ post: () => "done" })).run(shared);
    expect(await outcomeOf(program, upstream, warnings)).toMatchObject({ value: undefined });
    expect(await outcomeOf(program, ours, warnings)).toMatchObject({ value: "done" });
  });

  it.each(["batch", "parallel"] as const)(
    "any iterable is a list of items for a %s node (there it is empty)",
    async (kind) => {
      const sources = [
        () => new Set([1, 2]),
        () => [1, 2].values(),
        async function* () {
          yield* [1, 2];
        },
      ];
      for (const prep of sources) {
        const program: Program = (write, shared) =>
          write[kind]({
            prep,
            exec: (item: number) => item,
            post: (shared: Shared, _prepRes: unknown, results: unknown[]) => void shared.log.push(...results),
          }).run(shared);
        expect((await outcomeOf(program, upstream, warnings)).shared.log).toEqual([]);
        expect((await outcomeOf(program, ours, warnings)).shared.log).toEqual([1, 2]);
      }
    },
  );

  it("what is not iterable is an error (there it is an empty list)", async () => {
    const program: Program = ({ parallel }, shared) => parallel({ prep: () => ({ items: [1] }) }).run(shared);
    expect(await outcomeOf(program, upstream, warnings)).toMatchObject({ value: undefined });
    expect(await outcomeOf(program, ours, warnings)).toMatchObject({
      error: expect.stringMatching(/^Expected prep of/),
    });
  });

  it("no params are no branches (there they are an error)", async () => {
    const program: Program = ({ node, batchFlow }, shared) => batchFlow(node(), { prep: () => undefined }).run(shared);
    expect(await outcomeOf(program, upstream, warnings)).toMatchObject({ error: "batchParams is not iterable" });
    expect(await outcomeOf(program, ours, warnings)).toMatchObject({ value: undefined });
  });

  it.each([0, -1])("%s attempts are refused (there exec silently never runs)", async (maxRetries) => {
    const exec = vi.fn();
    await upstream.node({ exec }, maxRetries).run({});
    expect(exec).not.toHaveBeenCalled();
    expect(() => ours.node({ exec }, maxRetries)).toThrow(RangeError);
  });

  it("five branches that write and read one scratch key each read their own value (there the last one's)", async () => {
    const program: Program = ({ node, parallelFlow }, shared) => {
      const write = node({
        exec: () => Promise.resolve(),
        post(shared: Shared) {
          shared["scratch"] = this._params["index"];
        },
      });
      write.next(
        node({
          prep: (shared: Shared) => shared["scratch"],
          exec: async (scratch: unknown) => scratch,
          post: (shared: Shared, _prepRes: unknown, scratch: unknown) => void shared.log.push(scratch),
        }),
      );
      return parallelFlow(write, { prep: () => range(5).map((index) => ({ index })) }).run(shared);
    };
    expect((await outcomeOf(program, upstream, warnings)).shared.log).toEqual([4, 4, 4, 4, 4]);
    expect((await outcomeOf(program, ours, warnings)).shared.log).toEqual([0, 1, 2, 3, 4]);
  });

  it("an end may be declared (there every action without a successor is a warning)", async () => {
    const program: Program = ({ node, flow }, shared) => {
      const choose = node({ post: () => "done" }).on("again", node());
      choose.end?.("done");
      return flow(choose).run(shared);
    };
    expect((await outcomeOf(program, upstream, warnings)).warnings).toEqual(["Flow ends: 'done' not found in [again]"]);
    expect((await outcomeOf(program, ours, warnings)).warnings).toEqual([]);
  });

  it("a batch flow's post can have what its branches returned (there it has no way to)", async () => {
    const program: Program = ({ node, parallelFlow }, shared) =>
      parallelFlow(node({ exec: async () => "result" }), {
        prep: () => [{}, {}],
        post: (...args) => void shared.log.push(...args.slice(2)),
      }).run(shared);
    const end = { action: undefined, result: "result" };
    expect((await outcomeOf(program, upstream, warnings)).shared.log).toEqual([undefined]);
    expect((await outcomeOf(program, ours, warnings)).shared.log).toEqual([undefined, [end, end]]);
  });

  it("attempts and wait may be named (there exec then silently never runs)", async () => {
    const exec = vi.fn();
    await upstream.node({ exec }, { maxRetries: 2 }).run({});
    expect(exec).not.toHaveBeenCalled();
    await ours.node({ exec }, { maxRetries: 2 }).run({});
    expect(exec).toHaveBeenCalledOnce();
  });
});
