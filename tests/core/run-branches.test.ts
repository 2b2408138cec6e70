import { describe, expect, it } from "vitest";
import { Graph } from "../../src/core/graph.ts";
import type { Step } from "../../src/core/run.ts";
import { BatchFlow, type BatchFlowOptions, BatchNode, Flow, Node, ParallelBatchFlow } from "../../src/index.ts";
import { BROKE, branched, executed, follow, Machine, posted, prepared, STARTED, words } from "./machine.ts";

class A extends Node {}
class B extends BatchNode {}

/** Each: one branch of A after the other. */
function inOrder(): Machine {
  return new Machine(new Graph(new BatchFlow(new A(), { name: "Each" })));
}

/** All: branches of A at once, as many as `concurrency` allows. */
function atOnce(options: BatchFlowOptions = {}): Machine {
  return new Machine(new Graph(new ParallelBatchFlow(new A(), { name: "All", ...options })));
}

/** Outer: all branches at once, in each Inner: all branches at once, of A. */
function nested(): Machine {
  const inner = new ParallelBatchFlow(new A(), { name: "Inner" });
  return new Machine(new Graph(new ParallelBatchFlow(inner, { name: "Outer" })));
}

/** Takes a plain node's step through all of its phases. */
function visit(machine: Machine, step: number, action = ""): string[] {
  const [, , last] = [prepared(step), executed(step), posted(step, action)].map((event) => machine.on(event));
  return words(last?.effects ?? []);
}

/** A machine of which the batch flow, its first step, has so many branches. */
function parted(machine: Machine, size: number): Machine {
  machine.on(STARTED);
  machine.on(prepared(1, size));
  return machine;
}

describe("branches in order", () => {
  it("begin each when the one before has ended, and post comes after the last", () => {
    const machine = follow(inOrder(), [
      [STARTED, ["prep 1"], "running: Each prep"],
      [prepared(1, 2), ["prep 2"], "running: Each exec, A[0] prep"],
      [prepared(2), [], "running: Each exec, A[0] exec"],
      [executed(2), ["post 2"], "running: Each exec, A[0] post"],
      [posted(2, "first"), ["prep 3"], "running: Each exec, A[1] prep"],
      [prepared(3), [], "running: Each exec, A[1] exec"],
      [executed(3), ["post 3"], "running: Each exec, A[1] post"],
      [posted(3), ["post 1"], "running: Each post"],
      [posted(1, "done"), [], "completed"],
    ]);
    expect(machine.run.action).toBe("done");
    expect(machine.ends).toEqual([
      { step: 1, index: 0, action: "first", end: 2, error: null },
      { step: 1, index: 1, action: "", end: 3, error: null },
    ]);
  });

  it("are none of an empty list: post comes at once", () => {
    for (const machine of [inOrder(), atOnce()]) {
      machine.on(STARTED);
      expect(words(machine.on(prepared(1, 0)).effects)).toEqual(["post 1"]);
      expect(machine.ends).toEqual([]);
      machine.on(posted(1));
      expect(machine.run.status).toBe("completed");
    }
  });
});

describe("branches at once", () => {
  it("all begin together, and end in any order", () => {
    const machine = follow(atOnce(), [
      [STARTED, ["prep 1"], "running: All prep"],
      [prepared(1, 3), ["prep 2", "prep 3", "prep 4"], "running: All exec, A[0] prep, A[1] prep, A[2] prep"],
    ]);
    expect([4, 2, 3].map((step) => visit(machine, step, `of ${step}`))).toEqual([[], [], ["post 1"]]);
    expect(machine.ends).toEqual([
      { step: 1, index: 2, action: "of 4", end: 4, error: null },
      { step: 1, index: 0, action: "of 2", end: 2, error: null },
      { step: 1, index: 1, action: "of 3", end: 3, error: null },
    ]);
  });

  it("are no more than `concurrency` at a time: one that ends lets the next begin", () => {
    const machine = parted(atOnce({ concurrency: 2 }), 4);
    expect(String(machine)).toBe("running: All exec, A[0] prep, A[1] prep");
    expect([3, 2, 5, 4].map((step) => visit(machine, step))).toEqual([["prep 4"], ["prep 5"], [], ["post 1"]]);
    expect(machine.ends.map(({ index }) => index)).toEqual([1, 0, 3, 2]);
  });

  it("begin five hundred a turn, and the rest in turns of their own", () => {
    const machine = atOnce();
    machine.on(STARTED);
    const turns = [prepared(1, 1200), branched(1), branched(1)].map((event) => words(machine.on(event).effects));
    expect(turns.map((effects) => [effects.length, effects.at(-1)])).toEqual([
      [501, "branch 1"],
      [501, "branch 1"],
      [200, "prep 1201"],
    ]);
    const begun = [...machine.steps.values()].slice(1).map(({ branch }) => branch);
    expect(begun).toEqual(Array.from({ length: 1200 }, (_, index) => String(index)));
  });

  it("that end before all have begun do not end the flow", () => {
    const machine = parted(atOnce(), 501);
    for (let step = 2; step <= 501; step++) visit(machine, step);
    expect(String(machine)).toBe("running: All exec, A[500] prep");
    expect(visit(machine, 502)).toEqual(["post 1"]);
  });

  it("are ten thousand at a time where nothing else is said", () => {
    const machine = parted(atOnce(), 10_002);
    while (machine.pending.some(({ type }) => type === "branch")) machine.on(branched(1));
    expect(machine.run.lastStep).toBe(10_001);
    expect(visit(machine, 2)).toEqual(["prep 10002"]);
  });
});

describe("branches within branches", () => {
  it("are named by the way to them, and their ends are told to their own batch flow", () => {
    const machine = parted(nested(), 4);
    expect(words(machine.on(prepared(5, 2)).effects)).toEqual(["prep 6", "prep 7"]);
    expect(String(machine)).toBe(
      "running: Outer exec, Inner[0] prep, Inner[1] prep, Inner[2] prep, Inner[3] exec, A[3/0] prep, A[3/1] prep",
    );
    expect([visit(machine, 7, "of 3/1"), visit(machine, 6)]).toEqual([[], ["post 5"]]);
    expect(words(machine.on(posted(5, "inner")).effects)).toEqual([]);
    expect(machine.ends).toEqual([
      { step: 5, index: 1, action: "of 3/1", end: 7, error: null },
      { step: 5, index: 0, action: "", end: 6, error: null },
      { step: 1, index: 3, action: "inner", end: null, error: null },
    ]);
  });

  it("of different branches end without regard to each other", () => {
    const machine = parted(nested(), 2);
    for (const step of [2, 3]) machine.on(prepared(step, 1));
    expect([visit(machine, 4), visit(machine, 5)]).toEqual([["post 2"], ["post 3"]]);
    expect([posted(2), posted(3)].map((event) => words(machine.on(event).effects))).toEqual([[], ["post 1"]]);
  });
});

describe("a branch", () => {
  const stepsOf = ({ steps }: Machine) => [...steps.values()].map(({ node, branch, visit }) => [node, branch, visit]);

  it("walks on its own: its steps are counted, and bounded, for each", () => {
    const a = new A();
    a.next(new B());
    const machine = parted(new Machine(new Graph(new ParallelBatchFlow(a, { name: "All", maxSteps: 2 }))), 2);
    for (const step of [3, 2, 4, 5]) visit(machine, step);
    expect(machine.run).toMatchObject({ status: "running", error: null });
    expect(stepsOf(machine)).toEqual([
      ["All", "", 1],
      ["A", "0", 1],
      ["A", "1", 1],
      ["B", "1", 2],
      ["B", "0", 2],
    ]);
    expect(machine.ends.map(({ index, end }) => [index, end])).toEqual([
      [1, 4],
      [0, 5],
    ]);
  });

  it("that makes too many steps fails the run, by its name", () => {
    const a = new A();
    a.next(a);
    const machine = parted(new Machine(new Graph(new ParallelBatchFlow(a, { name: "All", maxSteps: 1 }))), 2);
    visit(machine, 3);
    expect(machine.run).toMatchObject({ status: "failed", error: { node: "A", branch: "1" } });
    expect(machine.run.error?.message).toBe("Expected flow `All` to end within 1 step (maxSteps), got a 2nd: `A`");
  });

  it("that ends in a flow has the results of that flow's last step", () => {
    const inner = new Flow(new A(), { name: "Inner" });
    const machine = parted(new Machine(new Graph(new BatchFlow(inner, { name: "Each" }))), 1);
    machine.on(prepared(2));
    visit(machine, 3);
    machine.on(posted(2, "left"));
    expect(machine.ends).toEqual([{ step: 1, index: 0, action: "left", end: 3, error: null }]);
  });

  it("of a batch flow within a flow: the flow goes on by the action of the batch flow's post", () => {
    const each = new BatchFlow(new A(), { name: "Each" });
    each.on("more", new B());
    const machine = new Machine(new Graph(new Flow(each, { name: "Outer" })));
    follow(machine, [
      [STARTED, ["prep 1"], "running: Outer prep"],
      [prepared(1), ["prep 2"], "running: Outer exec, Each prep"],
      [prepared(2, 1), ["prep 3"], "running: Outer exec, Each exec, A[0] prep"],
    ]);
    expect(visit(machine, 3, "more")).toEqual(["post 2"]);
    follow(machine, [[posted(2, "more"), ["prep 4"], "running: Outer exec, B prep"]]);
    expect(machine.steps.get(4)).toMatchObject({ branch: "", parent: 1, visit: 2 });
  });

  it("ends with all others when one of them breaks", () => {
    const machine = parted(atOnce(), 3);
    machine.on(BROKE);
    expect([machine.run.status, machine.pending]).toEqual(["failed", []]);
    expect(visit(machine, 2)).toEqual([]);
    expect(machine.ends).toEqual([]);
  });
});

describe("an event that comes too late for branches changes nothing", () => {
  const stepsOf = ({ steps }: Machine): Step[] => [...steps.values()];

  it.each([
    ["the branch has ended", posted(2)],
    ["the branch is in prep", executed(3)],
    ["the branches were told already", prepared(1, 9)],
    ["no more branches may be under way", branched(1)],
    ["no branch of that number has begun", posted(9)],
  ])("when %s", (_, event) => {
    const machine = parted(atOnce({ concurrency: 2 }), 4);
    visit(machine, 2);
    const before = { run: machine.run, steps: stepsOf(machine), ends: [...machine.ends] };
    expect(machine.on(event).effects).toEqual([]);
    expect({ run: machine.run, steps: stepsOf(machine), ends: machine.ends }).toEqual(before);
  });

  it("when all have ended and post is next, and when the flow is done", () => {
    const machine = parted(new Machine(new Graph(new Flow(new BatchFlow(new A())))), 1);
    machine.on(prepared(2, 1));
    visit(machine, 3);
    for (const event of [branched(2), prepared(2, 5), posted(3)]) {
      expect(machine.on(event)).toEqual({ run: machine.run, steps: [], ends: [], effects: [] });
    }
    machine.on(posted(2));
    for (const event of [branched(2), prepared(2, 5), posted(3), posted(2)]) {
      expect(machine.on(event)).toEqual({ run: machine.run, steps: [], ends: [], effects: [] });
    }
  });
});
