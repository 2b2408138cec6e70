import { test } from "@fast-check/vitest";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Graph } from "../../src/core/graph.ts";
import { changesAhead } from "../../src/core/remaining.ts";
import { type BaseNode, BatchFlow, BatchNode, Flow, Node, ParallelBatchFlow } from "../../src/index.ts";
import { executed, Machine, posted, prepared, STARTED } from "./machine.ts";
import { Modeled } from "./run-model.ts";
import { ACTIONS, graphs } from "./run-plans.ts";

class Summarize extends Node {}

const node = (name: string): Node => new Node({ name });

/** A flow of nodes that follow one another, by their names. */
function chain(...names: string[]): Flow {
  return new Flow(linked(names.map(node)), { name: "Flow" });
}

function linked(nodes: BaseNode[]): BaseNode {
  for (const [at, next] of nodes.slice(1).entries()) nodes[at]?.next(next);
  return nodes[0] as BaseNode;
}

/** A run of this flow that has not begun. */
function runOf(flow: BaseNode): Machine {
  return new Machine(new Graph(flow));
}

/** Takes a run on, each node by its default action, until it is about to prepare the first node of this name. */
function until(name: string, machine: Machine): Machine {
  machine.on(STARTED);
  while (machine.open.at(-1)?.node !== name) machine.on(machine.due());
  return machine;
}

/** What stands against going on with this flow in place of the run's own. */
function changes(machine: Machine, flow: BaseNode): string[] {
  return changesAhead(machine.graph.shape(), new Graph(flow).shape(), machine.open);
}

describe("a run that is at the third node of four", () => {
  const atThird = () => until("C", runOf(chain("A", "B", "C", "D")));

  it("goes on where nothing has changed", () => {
    expect(changes(atThird(), chain("A", "B", "C", "D"))).toEqual([]);
  });

  it.each([
    ["was renamed", chain("A", "Bee", "C", "D")],
    ["was removed", chain("A", "C", "D")],
    ["was added", chain("A", "New", "B", "C", "D")],
    ["is the first", chain("C", "D")],
    [
      "is of another class",
      new Flow(linked([new Summarize({ name: "A" }), node("B"), node("C"), node("D")]), { name: "Flow" }),
    ],
    [
      "leads elsewhere, too",
      new Flow(linked([node("A").on("again", node("X")), node("B"), node("C"), node("D")]), { name: "Flow" }),
    ],
  ])("goes on where what %s lies behind it", (_, flow) => {
    expect(changes(atThird(), flow)).toEqual([]);
  });

  it.each([
    ["it is at was renamed", chain("A", "B", "See", "D"), ["node `C` was removed", "edge `C -default->` was removed"]],
    ["it is at was removed", chain("A", "B", "D"), ["node `C` was removed", "edge `C -default->` was removed"]],
    [
      "follows was renamed",
      chain("A", "B", "C", "Dee"),
      ["node `D` was removed", "node `Dee` was added", "edge `C -default->` was (D) and is now (Dee)"],
    ],
    ["follows was removed", chain("A", "B", "C"), ["node `D` was removed", "edge `C -default->` was removed"]],
    [
      "was added follows",
      chain("A", "B", "C", "New", "D"),
      ["node `New` was added", "edge `New -default->` was added", "edge `C -default->` was (D) and is now (New)"],
    ],
    ["was added is the last", chain("A", "B", "C", "D", "E"), ["node `E` was added", "edge `D -default->` was added"]],
  ])("does not where what %s", (_, flow, sentences) => {
    expect(changes(atThird(), flow)).toEqual(sentences);
  });

  it.each(["C", "D"])("does not where `%s`, at it or ahead, is of another class behind one name", (changed) => {
    const nodes = ["A", "B", "C", "D"].map((name) => (name === changed ? new Summarize({ name }) : node(name)));
    expect(changes(atThird(), new Flow(linked(nodes), { name: "Flow" }))).toEqual([
      `node \`${changed}\` was (Node, node) and is now (Summarize, node)`,
    ]);
  });

  it("does not where a node ahead is of another kind behind one name of its class", () => {
    const renamed = class Node extends BatchNode {};
    const flow = new Flow(linked([node("A"), node("B"), node("C"), new renamed({ name: "D" })]), { name: "Flow" });
    expect(changes(atThird(), flow)).toEqual(["node `D` was (Node, node) and is now (Node, batch)"]);
  });

  it("does not where one more action leads on from it, or from what follows", () => {
    const more = (from: "C" | "D") => {
      const nodes = ["A", "B", "C", "D"].map(node);
      nodes[from === "C" ? 2 : 3]?.on("retry", nodes[2] as Node);
      return new Flow(linked(nodes), { name: "Flow" });
    };
    expect(changes(atThird(), more("C"))).toEqual(["edge `C -retry->` was added"]);
    expect(changes(atThird(), more("D"))).toEqual(["edge `D -retry->` was added"]);
  });

  it("does not where an action leads back to what was behind it, changes and all", () => {
    const nodes = ["A", "Bee", "C", "D"].map(node);
    nodes[3]?.on("again", nodes[1] as Node);
    expect(changes(atThird(), new Flow(linked(nodes), { name: "Flow" }))).toEqual([
      "node `Bee` was added",
      "edge `Bee -default->` was added",
      "edge `D -again->` was added",
    ]);
  });

  it("does not where the flow itself has another name", () => {
    const flow = new Flow(linked(["A", "B", "C", "D"].map(node)), { name: "Other" });
    expect(changes(atThird(), flow)).toContain("the flow was `Flow` and is now `Other`");
  });

  it.each(["prep", "exec", "post"])("stands at it whether in prep, exec or post: %s", (phase) => {
    const machine = atThird();
    while (machine.open.at(-1)?.phase !== phase) machine.on(machine.due());
    expect(changes(machine, chain("A", "B", "See", "D"))).toContain("node `C` was removed");
    expect(changes(machine, chain("C", "D"))).toEqual([]);
  });
});

describe("a run that has not begun", () => {
  it("does not go on where anything it may come to has changed", () => {
    const queued = runOf(chain("A", "B"));
    expect(changes(queued, chain("A", "B"))).toEqual([]);
    expect(changes(queued, chain("A", "C"))).toEqual([
      "node `B` was removed",
      "node `C` was added",
      "edge `A -default->` was (B) and is now (C)",
    ]);
    expect(changes(queued, chain("B"))).toContain(
      "node `Flow` was (Flow, flow, starts at A) and is now (Flow, flow, starts at B)",
    );
  });

  it("is the same where it has begun, and its flow's prep is still to come", () => {
    const machine = runOf(chain("A", "B"));
    machine.on(STARTED);
    expect(changes(machine, chain("A", "B"))).toEqual([]);
    expect(changes(machine, chain("B"))).toContain("node `A` was removed");
  });

  it("has nothing ahead but its flow once that is in post", () => {
    const machine = until("A", runOf(chain("A")));
    for (const event of [prepared(2), executed(2), posted(2)]) machine.on(event);
    expect(String(machine)).toBe("running: Flow post");
    expect(changes(machine, chain("X", "Y"))).toEqual([]);
  });
});

describe("a run in a loop", () => {
  /** A, then B and C around and around, then D. */
  const looping = (names: [string, string, string, string] = ["A", "B", "C", "D"]) => {
    const [a, b, c, d] = names.map(node) as [Node, Node, Node, Node];
    a.next(b).next(c).on("again", b).next(d);
    return new Flow(a, { name: "Flow" });
  };
  const inLoop = () => until("C", runOf(looping()));

  it("goes on where what lies before the loop has changed", () => {
    expect(changes(inLoop(), looping(["First", "B", "C", "D"]))).toEqual([]);
  });

  it("does not where what it was at has changed, to which the loop leads back", () => {
    expect(changes(inLoop(), looping(["A", "Bee", "C", "D"]))).toEqual([
      "node `B` was removed",
      "node `Bee` was added",
      "edge `B -default->` was removed",
      "edge `Bee -default->` was added",
      "edge `C -again->` was (B) and is now (Bee)",
    ]);
  });

  it("does not where the loop was opened", () => {
    expect(changes(inLoop(), chain("A", "B", "C", "D"))).toEqual(["edge `C -again->` was removed"]);
  });

  it("goes on once it has left the loop, which may be gone", () => {
    expect(changes(until("D", runOf(looping())), chain("D"))).toEqual([]);
  });
});

describe("a run with a nested flow", () => {
  /** First, then a flow of some nodes, then Last. */
  const nesting = (inside: string[], first = "First", last = "Last", inner = "Inner") =>
    new Flow(linked([node(first), new Flow(linked(inside.map(node)), { name: inner }), node(last)]), { name: "Outer" });
  const at = (name: string) => until(name, runOf(nesting(["A", "B"])));

  it("that is before it does not go on where the inside has changed", () => {
    expect(changes(at("First"), nesting(["A", "B"]))).toEqual([]);
    expect(changes(at("First"), nesting(["A", "C"]))).toContain("node `B` was removed");
    expect(changes(at("First"), nesting(["B"]))).toContain(
      "node `Inner` was (Flow, flow, starts at A) and is now (Flow, flow, starts at B)",
    );
  });

  it("that is about to prepare it does not either", () => {
    expect(changes(at("Inner"), nesting(["X", "A", "B"], "Other"))).toContain("node `X` was added");
  });

  it("that is inside goes on where what is behind it has changed, inside and outside", () => {
    expect(changes(at("B"), nesting(["Aye", "B"], "Other"))).toEqual([]);
    expect(changes(at("B"), nesting(["B"]))).toEqual([]);
  });

  it("that is inside does not where what follows has changed, inside and outside", () => {
    expect(changes(at("A"), nesting(["A", "Bee"]))).toContain("node `B` was removed");
    expect(changes(at("B"), nesting(["A", "B"], "First", "End"))).toContain("node `Last` was removed");
    expect(changes(at("B"), nesting(["A", "B"], "First", "Last", "Other"))).toContain("node `Inner` was removed");
    expect(changes(at("B"), nesting(["A", "B", "C"]))).toContain("node `C` was added");
  });

  it("that has left it goes on though it is gone", () => {
    expect(changes(at("Last"), new Flow(node("Last"), { name: "Outer" }))).toEqual([]);
  });

  it("that may come back to it does not go on where its start has changed", () => {
    const again = (...inside: string[]) => {
      const [first, inner, last] = [node("First"), new Flow(linked(inside.map(node)), { name: "Inner" }), node("Last")];
      first.next(inner).next(last).on("again", inner);
      return new Flow(first, { name: "Outer" });
    };
    const machine = until("B", runOf(again("A", "B")));
    expect(changes(machine, again("A", "B"))).toEqual([]);
    expect(changes(machine, again("B"))).toEqual([
      "node `A` was removed",
      "node `Inner` was (Flow, flow, starts at A) and is now (Flow, flow, starts at B)",
      "edge `A -default->` was removed",
    ]);
  });

  it("that is a batch flow now does not go on", () => {
    const flow = new Flow(linked([node("First"), new BatchFlow(node("A"), { name: "Inner" })]), { name: "Outer" });
    expect(changes(until("A", runOf(nesting(["A"]))), flow)).toContain(
      "node `Inner` was (Flow, flow) and is now (BatchFlow, batch-flow)",
    );
  });
});

describe("a run with branches", () => {
  const each = (...inside: string[]) => new BatchFlow(linked(inside.map(node)), { name: "Each" });
  const atOnce = (...inside: string[]) => new ParallelBatchFlow(linked(inside.map(node)), { name: "Each" });

  /** So many branches have been told, and the latest is about to prepare its last node. */
  function atLast(flow: BaseNode, size: number): Machine {
    const machine = runOf(flow);
    for (const event of [STARTED, prepared(1, size)]) machine.on(event);
    for (const { id } of machine.open.filter(({ node }) => node === "A")) {
      for (const event of [prepared(id), executed(id), posted(id)]) machine.on(event);
    }
    return machine;
  }

  it("of which some are left to begin does not go on where their start has changed", () => {
    const machine = atLast(each("A", "B"), 2);
    expect(String(machine)).toBe("running: Each exec, B[0] prep");
    expect(changes(machine, each("A", "B"))).toEqual([]);
    expect(changes(machine, each("Aye", "B"))).toEqual([
      "node `A` was removed",
      "node `Aye` was added",
      "node `Each` was (BatchFlow, batch-flow, starts at A) and is now (BatchFlow, batch-flow, starts at Aye)",
      "edge `A -default->` was removed",
      "edge `Aye -default->` was added",
    ]);
  });

  it.each([
    ["in order", each, 1],
    ["at once", atOnce, 3],
  ])("of which none is left to begin goes on where only their start has changed: %s", (_, make, size) => {
    const machine = atLast(make("A", "B"), size);
    expect(machine.open.filter(({ node }) => node === "B")).toHaveLength(size);
    expect(changes(machine, make("Aye", "B"))).toEqual([]);
    expect(changes(machine, make("A", "Bee"))).toContain("node `B` was removed");
  });

  it("of which one is behind the others has ahead what that one has", () => {
    const machine = runOf(atOnce("A", "B", "C"));
    for (const event of [STARTED, prepared(1, 2)]) machine.on(event);
    for (const event of [prepared(2), executed(2), posted(2)]) machine.on(event);
    expect(String(machine)).toBe("running: Each exec, A[1] prep, B[0] prep");
    expect(changes(machine, atOnce("Aye", "B", "C"))).toContain("node `A` was removed");
    for (const event of [prepared(3), executed(3), posted(3)]) machine.on(event);
    expect(changes(machine, atOnce("Aye", "B", "C"))).toEqual([]);
  });

  it("whose list is still to come has all of them ahead", () => {
    const machine = runOf(each("A", "B"));
    machine.on(STARTED);
    expect(changes(machine, each("B"))).toContain("node `A` was removed");
  });

  it("that have all ended goes on whatever has become of their nodes", () => {
    const machine = atLast(each("A"), 1);
    expect(String(machine)).toBe("running: Each post");
    expect(changes(machine, each("X", "Y"))).toEqual([]);
  });

  it("that were stopped has nothing of them ahead", () => {
    const collecting = (...inside: string[]) =>
      new ParallelBatchFlow(linked(inside.map(node)), { name: "Each", onItemError: "collect" });
    const machine = runOf(collecting("A", "B"));
    for (const event of [STARTED, prepared(1, 2), prepared(2), executed(2), posted(2)]) machine.on(event);
    machine.on({ type: "failed", step: 3, error: { ...NOWHERE, message: "no" }, reason: "flow-failed" });
    expect(String(machine)).toBe("running: Each exec, B[0] prep");
    expect(changes(machine, collecting("Aye", "B"))).toEqual([]);
  });

  it("within branches has the inner ones' start ahead while outer ones are left to begin", () => {
    const nested = (inner: BaseNode) => new BatchFlow(inner, { name: "Outer" });
    const machine = runOf(nested(each("A", "B")));
    for (const event of [STARTED, prepared(1, 2), prepared(2, 1)]) machine.on(event);
    for (const event of [prepared(3), executed(3), posted(3)]) machine.on(event);
    expect(String(machine)).toBe("running: Outer exec, Each[0] exec, B[0/0] prep");
    expect(changes(machine, nested(each("B")))).toContain("node `A` was removed");
    for (const event of [prepared(4), executed(4), posted(4), posted(2)]) machine.on(event);
    for (const event of [prepared(5, 1), prepared(6), executed(6), posted(6)]) machine.on(event);
    expect(String(machine)).toBe("running: Outer exec, Each[1] exec, B[1/0] prep");
    expect(changes(machine, nested(each("B")))).toEqual([]);
  });
});

const NOWHERE = { name: "Error", node: null, branch: null, index: null, attempts: null };

describe("wherever a run is", () => {
  const happenings = fc.array(
    fc.record({ choice: fc.nat(1000), size: fc.nat(3), action: fc.constantFrom(...ACTIONS) }),
    { maxLength: 40, size: "max" },
  );

  test.prop([graphs, happenings], { numRuns: 200 })(
    "what it comes to later lay ahead, and its own flow has never changed",
    (graph, events) => {
      const run = new Modeled(graph);
      const shape = graph.shape();
      for (const { choice, size, action } of events) {
        if (run.isOver) break;
        const { open } = run.machine;
        const last = run.machine.run.lastStep;
        if (changesAhead(shape, shape, open).length > 0) throw new Error("Expected no change of what is the same");
        run.happen(choice, size, action);
        for (const step of run.machine.steps.values()) {
          if (step.id <= last) continue;
          const without = { ...shape, nodes: shape.nodes.filter(({ id }) => id !== step.node) };
          const sentences = changesAhead(shape, without, open);
          if (!sentences.includes(`node \`${step.node}\` was removed`)) {
            throw new Error(`Expected that ${step.node} lay ahead of ${JSON.stringify(open)}, got ${sentences}`);
          }
        }
      }
    },
  );
});
