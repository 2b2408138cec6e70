import { describe, expect, it, vi } from "vitest";
import { stepsExceeded } from "../../src/core/flow.ts";
import { BaseNode, Flow, Node } from "../../src/index.ts";
import { spellings } from "./spelling.ts";
import { catchWarnings, gate, gates, range, settled } from "./support.ts";

interface Log {
  log: unknown[];
}

describe.each(spellings)("a flow $spelling", ({ node, batch, flow }) => {
  const warnings = catchWarnings();

  /** A node that logs its name, and ends with `action`. */
  const named = (name: string, action?: string) =>
    node({
      post(shared: Log) {
        shared.log.push(name);
        return action;
      },
    });

  async function logOf(started: BaseNode) {
    const shared: Log = { log: [] };
    const action = await started.run(shared);
    return { log: shared.log, action };
  }

  it("walks from node to node along the default action, and ends silently at one without successors", async () => {
    const first = named("first");
    first.next(named("second", "")).next(named("third", "done"));
    expect(await logOf(flow(first))).toEqual({ log: ["first", "second", "third"], action: "done" });
    expect(warnings()).toEqual([]);
  });

  it("takes the successor that the action names", async () => {
    const choose = node({ post: (shared: Log & { choice?: string }) => shared.choice });
    choose.on("left", named("left")).on("right", named("right")).next(named("default"));
    for (const choice of ["left", "right", undefined]) {
      const shared = { log: [], choice };
      await flow(choose).run(shared);
      expect(shared.log).toEqual([choice ?? "default"]);
    }
  });

  it("loops for as long as actions lead back", async () => {
    const count = node({
      post(shared: { count: number }) {
        shared.count++;
        return shared.count < 1000 ? "again" : "done";
      },
    });
    count.on("again", count).end("done");
    const shared = { count: 0 };
    expect(await flow(count).run(shared)).toBe("done");
    expect(shared.count).toBe(1000);
    expect(warnings()).toEqual([]);
  });

  it("ends without an error at an action that no successor takes, and warns", async () => {
    const first = named("first", "elsewhere").on("a", named("a")).on("b", named("b"));
    expect(await logOf(flow(first))).toEqual({ log: ["first"], action: "elsewhere" });
    expect(warnings()).toEqual(["Flow ends: 'elsewhere' not found in [a,b]"]);
  });

  it("rejects with the error of a node, and walks no further", async () => {
    const first = named("first");
    first.next(node({ exec: () => Promise.reject(new Error("second failed")) })).next(named("third"));
    const shared: Log = { log: [] };
    const post = vi.fn();
    await expect(flow(first, { post }).run(shared)).rejects.toThrow("second failed");
    expect(shared.log).toEqual(["first"]);
    expect(post).not.toHaveBeenCalled();
  });

  it("has a prep before the walk and a post after it, which gets the last action", async () => {
    const seen: unknown[] = [];
    const outer = flow(named("inside", "left off"), {
      prep(shared: Log) {
        shared.log.push("prep");
        return "prepared";
      },
      post(shared: Log, prepRes: string, lastAction: string) {
        shared.log.push("post");
        seen.push(prepRes, lastAction);
        return "chosen by post";
      },
    });
    expect(await logOf(outer)).toEqual({ log: ["prep", "inside", "post"], action: "chosen by post" });
    expect(seen).toEqual(["prepared", "left off"]);
  });

  it("cannot exec", () => {
    expect(() => flow(node()).exec(undefined)).toThrow(new Error("Flow can't exec."));
  });

  it("warns when it is run although it has successors, and runs alone", async () => {
    const inner = flow(named("inside"));
    inner.next(named("after"));
    expect((await logOf(inner)).log).toEqual(["inside"]);
    expect(warnings()).toEqual(["Node won't run successors. Use Flow."]);
  });

  it("nests, and a nested flow's last action picks the outer branch", async () => {
    const inner = flow(named("inner", "special"));
    inner.on("special", named("special branch")).next(named("default branch"));
    expect((await logOf(flow(inner))).log).toEqual(["inner", "special branch"]);
  });

  it("passes the last action on through several levels", async () => {
    const start = named("first");
    start.next(named("deep", "special"));
    const middle = flow(flow(start));
    middle.on("special", named("reached"));
    expect((await logOf(flow(middle))).log).toEqual(["first", "deep", "reached"]);
    expect(warnings()).toEqual([]);
  });

  it("takes a batch's action too", async () => {
    const start = batch({ prep: () => [1], post: () => "counted" });
    start.on("counted", named("after"));
    expect((await logOf(flow(start))).log).toEqual(["after"]);
  });

  it("visits copies: a field set in one step is gone the next time, and the nodes stay as they were", async () => {
    const seen: unknown[] = [];
    const counter = node({
      prep() {
        seen.push(this["count"]);
        this["count"] = ((this["count"] as number) ?? 0) + 1;
      },
      exec() {
        seen.push(this["count"]);
      },
      post: (shared: { left: number }) => (shared.left-- > 0 ? "again" : undefined),
    });
    counter.on("again", counter).end("default");
    await flow(counter).run({ left: 1 });
    expect(seen).toEqual([undefined, 1, undefined, 1]);
    expect(counter).not.toHaveProperty("count");
  });

  it("keeps what a step puts into an object that its node was made with", async () => {
    const cached = node({
      prep() {
        (this["cache"] as string[]).push("visited");
      },
    });
    const cache: string[] = [];
    Object.assign(cached, { cache });
    await flow(cached).run({});
    expect(cache).toEqual(["visited"]);
  });

  it("may be run twice at once, each run with steps of its own", async () => {
    const waits = gates(2);
    const slow = node({
      prep(shared: { run: number }) {
        this["mine"] = shared.run;
        return waits[shared.run]?.promise;
      },
      post(shared: { run: number; mine?: unknown }) {
        shared.mine = this["mine"];
      },
    });
    const both = flow(slow);
    const shareds = [{ run: 0 }, { run: 1 }];
    const runs = shareds.map((shared) => both.run(shared));
    for (const wait of waits.toReversed()) wait.open();
    await Promise.all(runs);
    expect(shareds).toEqual([
      { run: 0, mine: 0 },
      { run: 1, mine: 1 },
    ]);
  });

  it("carries a chain of ten thousand nodes", async () => {
    const first = named("");
    let last = first;
    for (const _ of range(9_999)) last = last.next(named(""));
    expect((await logOf(flow(first))).log).toHaveLength(10_000);
  });
});

describe.each(spellings)("the maxSteps of a flow $spelling", ({ node, flow }) => {
  /** A node that leads back to itself until `shared.visits` is `last`. */
  const loop = (last: number) => {
    const again = node(
      {
        post(shared: { visits: number }) {
          return ++shared.visits < last ? "again" : "over";
        },
      },
      { name: "Again" },
    );
    return again.on("again", again).end("over");
  };

  it("are visits that a walk may make, and it fails before one more", async () => {
    const shared = { visits: 0 };
    expect(await flow(loop(50), {}, { maxSteps: 50 }).run(shared)).toBe("over");
    expect(shared.visits).toBe(50);
    shared.visits = 0;
    await expect(flow(loop(51), {}, { maxSteps: 50, name: "agent" }).run(shared)).rejects.toThrow(
      new Error("Expected flow `agent` to end within 50 steps (maxSteps), got a 51st: `Again`"),
    );
    expect(shared.visits).toBe(50);
  });

  it("count each walk anew", async () => {
    const bounded = flow(loop(3), {}, { maxSteps: 3 });
    for (const shared of [{ visits: 0 }, { visits: 0 }]) expect(await bounded.run(shared)).toBe("over");
  });

  it("count a nested flow as one, which counts its own", async () => {
    const inner = flow(loop(5), {}, { maxSteps: 5, name: "inner" });
    inner.on("over", node());
    const shared = { visits: 0 };
    await flow(inner, {}, { maxSteps: 2 }).run(shared);
    expect(shared.visits).toBe(5);
    shared.visits = -1;
    await expect(flow(inner, {}, { maxSteps: 2 }).run(shared)).rejects.toThrow(
      "Expected flow `inner` to end within 5 steps (maxSteps), got a 6th: `Again`",
    );
  });

  it("skip the flow's post when they are exceeded", async () => {
    const post = vi.fn();
    await expect(flow(loop(2), { post }, { maxSteps: 1 }).run({ visits: 0 })).rejects.toThrow("maxSteps");
    expect(post).not.toHaveBeenCalled();
  });
});

describe("the error of a walk that takes too many steps", () => {
  const messageFor = (maxSteps: number) => stepsExceeded(new Flow(new Node(), { maxSteps }), new Node()).message;

  it.each([
    [1, "1 step (maxSteps), got a 2nd"],
    [2, "2 steps (maxSteps), got a 3rd"],
    [3, "3 steps (maxSteps), got a 4th"],
    [7, "7 steps (maxSteps), got an 8th"],
    [10, "10 steps (maxSteps), got an 11th"],
    [11, "11 steps (maxSteps), got a 12th"],
    [17, "17 steps (maxSteps), got an 18th"],
    [20, "20 steps (maxSteps), got a 21st"],
    [110, "110 steps (maxSteps), got a 111th"],
    [799, "799 steps (maxSteps), got an 800th"],
    [10_999, "10999 steps (maxSteps), got an 11000th"],
  ])("counts in English: after %i", (maxSteps, sentence) => {
    expect(messageFor(maxSteps)).toBe(`Expected flow \`Flow\` to end within ${sentence}: \`Node\``);
  });

  it("calls classes without a name by their kind", () => {
    const flow = new (class extends Flow {})(new Node(), { maxSteps: 1 });
    expect(stepsExceeded(flow, new (class extends Node {})()).message).toContain("flow `flow`");
  });
});

describe.each(spellings)("params in a flow $spelling", ({ node, flow }) => {
  const reader = (log: unknown[]) =>
    node({
      exec() {
        log.push({ ...this._params });
      },
    });

  it("are the flow's at every step, over those that a node was given", async () => {
    const log: unknown[] = [];
    const first = reader(log);
    const second = reader(log);
    first.next(second);
    first.setParams({ lang: "of the first", extra: 1 });
    second.setParams({ lang: "of the second" });
    await flow(first).setParams({ lang: "of the flow" }).run({});
    expect(log).toEqual([{ lang: "of the flow" }, { lang: "of the flow" }]);
    expect(first["_params"]).toEqual({ lang: "of the first", extra: 1 });
  });

  it("are the outer flow's in a nested one, even where it has none", async () => {
    const log: unknown[] = [];
    const inner = flow(reader(log)).setParams({ lang: "of the inner" });
    await flow(inner).setParams({ lang: "of the outer" }).run({});
    await flow(inner).run({});
    expect(log).toEqual([{ lang: "of the outer" }, {}]);
    expect(inner["_params"]).toEqual({ lang: "of the inner" });
  });

  it("are one object for all steps of a walk, so that a change shows in the next", async () => {
    const log: unknown[] = [];
    const writer = node({
      prep() {
        this._params["seen"] = true;
      },
    });
    writer.next(reader(log));
    await flow(writer).setParams({ lang: "fr" }).run({});
    expect(log).toEqual([{ lang: "fr", seen: true }]);
  });

  it("may be replaced by a node for the rest of its own step only", async () => {
    const log: unknown[] = [];
    const replacing = node({
      prep() {
        this.setParams({ lang: "mine" });
      },
      exec() {
        log.push(this._params);
      },
    });
    replacing.next(reader(log));
    await flow(replacing).setParams({ lang: "ours" }).run({});
    expect(log).toEqual([{ lang: "mine" }, { lang: "ours" }]);
  });
});

describe("what a subclass may override, as in PocketFlow", () => {
  const push = (text: string) => {
    const node = new Node<Log>();
    node.post = (shared) => void shared.log.push(text);
    return node;
  };

  it("is a node's _run, also inside a flow", async () => {
    class Traced extends Node<Log> {
      override async _run(shared: Log) {
        shared.log.push("before");
        const action = await super._run(shared);
        shared.log.push("after");
        return action;
      }
      override post(shared: Log) {
        shared.log.push("post");
        return "on";
      }
    }
    const traced = new Traced();
    traced.on("on", push("next"));
    const shared: Log = { log: [] };
    await new Flow(traced).run(shared);
    expect(shared.log).toEqual(["before", "post", "after", "next"]);
  });

  it("is a flow's _orchestrate, which gets the params of a nested step", async () => {
    class Twice extends Flow<Log> {
      protected override async _orchestrate(shared: Log) {
        await super._orchestrate(shared);
        return await super._orchestrate(shared, { lang: "fr" });
      }
    }
    class Reader extends Node<Log> {
      override post(shared: Log) {
        shared.log.push({ ...this._params });
        return "on";
      }
    }
    const twice = new Twice(new Reader());
    twice.on("on", push("next"));
    const shared: Log = { log: [] };
    await new Flow(twice).setParams({ lang: "de" }).run(shared);
    expect(shared.log).toEqual([{ lang: "de" }, { lang: "fr" }, "next"]);
  });

  it("is getNextNode and clone", async () => {
    class Wandering extends Node<Log> {
      copies = 0;
      override clone() {
        this.copies++;
        return super.clone();
      }
      override getNextNode() {
        return this._successors.get("anywhere");
      }
    }
    const wandering = new Wandering();
    wandering.on("anywhere", push("arrived"));
    const shared: Log = { log: [] };
    await new Flow(wandering).run(shared);
    expect(shared.log).toEqual(["arrived"]);
    expect(wandering.copies).toBe(1);
  });

  it("is everything of a BaseNode, which has no retries", async () => {
    let calls = 0;
    class Bare extends BaseNode<Log> {
      protected override async _exec(prepRes: unknown) {
        return [await super._exec(prepRes)];
      }
      override exec() {
        calls++;
        return "bare";
      }
      override post(shared: Log, _prepRes: unknown, execRes: unknown) {
        shared.log.push(execRes);
      }
    }
    const shared: Log = { log: [] };
    await new Flow(new Bare()).run(shared);
    expect(shared.log).toEqual([["bare"]]);
    class Failing extends Bare {
      override exec(): string {
        calls++;
        throw new Error("no");
      }
    }
    await expect(new Flow(new Failing()).run(shared)).rejects.toThrow("no");
    expect(calls).toBe(2);
  });
});

describe.each(spellings)("the live shared object $spelling", ({ node, flow, parallelFlow }) => {
  it("is one object: a branch sees at once what another wrote", async () => {
    const written = gate();
    const seen: unknown[] = [];
    const writer = node({
      post(shared: { message?: string }) {
        shared.message = "hello";
        written.open();
      },
    });
    const reader = node({
      async post(shared: { message?: string }) {
        await written.promise;
        seen.push(shared.message);
      },
    });
    const choose = node({
      post() {
        return this._params["role"];
      },
    })
      .on("write", writer)
      .on("read", reader);
    await parallelFlow(choose, { prep: () => [{ role: "read" }, { role: "write" }] }).run({});
    expect(seen).toEqual(["hello"]);
  });

  it("may be polled by two flows at once, each waiting for the other's move", async () => {
    const player = (mine: string, theirs: string) => {
      const play = node({
        async post(shared: { turn: string; moves: string[] }) {
          await settled();
          if (shared.turn === mine) {
            shared.moves.push(mine);
            shared.turn = theirs;
          }
          return shared.moves.length < 6 ? "again" : "over";
        },
      });
      return flow(play.on("again", play).end("over"));
    };
    const shared = { turn: "black", moves: [] as string[] };
    await Promise.all([player("white", "black").run(shared), player("black", "white").run(shared)]);
    expect(shared.moves.slice(0, 6)).toEqual(["black", "white", "black", "white", "black", "white"]);
  });
});
