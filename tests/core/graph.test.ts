import { describe, expect, it } from "vitest";
import { differences, Graph, type GraphShape } from "../../src/core/graph.ts";
import {
  AsyncBatchNode,
  AsyncParallelBatchFlow,
  BatchFlow,
  BatchNode,
  Flow,
  Node,
  ParallelBatchFlow,
  ParallelBatchNode,
} from "../../src/index.ts";

class Load extends Node {}
class Write extends Node {}
class Review extends Node {}

describe("the ids of a flow's nodes", () => {
  it("are the classes' names, and #2, #3 for the next of a class in walk order", () => {
    const [first, second, third] = [new Load(), new Load(), new Load()];
    first.next(second).next(third);
    const graph = new Graph(new Flow(first));
    expect([...graph.ids]).toEqual(["Flow", "Load", "Load#2", "Load#3"]);
    expect(graph.node("Load#2")).toBe(second);
    expect(graph.idOf(third)).toBe("Load#3");
  });

  it("are the names that nodes were given", () => {
    const graph = new Graph(new Flow(new Load({ name: "files" }), { name: "all" }));
    expect([...graph.ids]).toEqual(["all", "files"]);
  });

  it("step aside for a name that is there already", () => {
    const named = new Write({ name: "Load" });
    named.next(new Load());
    expect([...new Graph(named).ids]).toEqual(["Load", "Load#2"]);
  });

  it("may not be given twice", () => {
    const node = new Load({ name: "files" });
    node.next(new Write({ name: "files" }));
    expect(() => new Graph(new Flow(node))).toThrow(
      "Expected node names to be different within a flow, got `files` twice",
    );
  });

  it("are the kind's name for a class without one", () => {
    expect([...new Graph(new (class extends BatchNode {})()).ids]).toEqual(["batch"]);
  });

  it("count a node once however many ways lead to it, loops and itself included", () => {
    const [load, write, review] = [new Load(), new Write(), new Review()];
    load.on("again", load).next(write).next(review);
    load.on("skip", review);
    review.on("rewrite", write).on("reload", load);
    expect([...new Graph(new Flow(load)).ids]).toEqual(["Flow", "Load", "Write", "Review"]);
  });

  it("go through a nested flow's inside before what follows it", () => {
    const inner = new Flow(new Load(), { name: "inner" });
    const after = new Load();
    inner.next(after);
    const graph = new Graph(new Flow(inner));
    expect([...graph.ids]).toEqual(["Flow", "inner", "Load", "Load#2"]);
    expect(graph.node("Load#2")).toBe(after);
  });

  it("are the same in every isolate", () => {
    const make = () => {
      const load = new Load();
      load.on("long", new Write()).next(new Review()).on("again", load);
      return new Graph(new Flow(new Flow(load)));
    };
    expect(make().shape()).toEqual(make().shape());
  });

  it("are found in a chain of any length", () => {
    const first = new Load();
    let last = first;
    for (let count = 1; count < 20_000; count++) last = last.next(new Load({ name: `n${count}` }));
    expect([...new Graph(new Flow(first)).ids]).toHaveLength(20_001);
  });
});

describe("a graph", () => {
  const load = new Load();
  const inner = new Flow(new Write(), { name: "inner" });
  load.on("write", inner).on("review", new Review()).end("stop");
  inner.on("again", load);
  const graph = new Graph(new Flow(load));

  it("knows where a flow starts and where actions lead", () => {
    expect(graph.startOf("Flow")).toBe("Load");
    expect(graph.startOf("inner")).toBe("Write");
    expect(graph.startOf("Load")).toBeUndefined();
    expect(graph.next("Load", "write")).toBe("inner");
    expect(graph.next("Load", "default")).toBeUndefined();
  });

  it("warns of an end that no node declared, and of no other", () => {
    expect(graph.warning("Load", "default")).toBe("Flow ends at Load: 'default' not found in [write,review]");
    expect(graph.warning("Load", "stop")).toBeUndefined();
    expect(graph.warning("Load", "write")).toBeUndefined();
    expect(graph.warning("Review", "default")).toBeUndefined();
  });

  it("says which nodes there are when asked for another", () => {
    expect(() => graph.node("Loads")).toThrow(
      "Expected a node of this flow, got `Loads`; it has: Flow, Load, inner, Write, Review",
    );
  });

  it("tells the kinds of nodes apart", () => {
    const kinds = [
      ["node", new Node()],
      ["batch", new BatchNode()],
      ["parallel-batch", new ParallelBatchNode()],
      ["flow", new Flow(new Node())],
      ["batch-flow", new BatchFlow(new Node())],
      ["parallel-batch-flow", new ParallelBatchFlow(new Node())],
    ] as const;
    for (const [kind, node] of kinds) expect(new Graph(node).shape().nodes[0]?.kind).toBe(kind);
  });

  it("knows a kind whatever the class is called, and whichever spelling it is of", () => {
    class Files extends AsyncParallelBatchFlow {}
    class Texts extends AsyncBatchNode {}
    const graph = new Graph(new Files(new Texts()));
    expect(graph.kind("Files")).toBe("parallel-batch-flow");
    expect(graph.kind("Texts")).toBe("batch");
  });

  it("knows how many branches of a flow may be under way at once", () => {
    const widths = [
      [Infinity, new ParallelBatchFlow(new Node())],
      [7, new ParallelBatchFlow(new Node(), { concurrency: 7 })],
      [1, new BatchFlow(new Node(), { concurrency: 7 })],
      [1, new Flow(new Node())],
      [1, new ParallelBatchNode({ concurrency: 7 })],
    ] as const;
    for (const [width, root] of widths) expect(new Graph(root).width(new Graph(root).root)).toBe(width);
  });

  it("knows how many steps a walk through a flow may take", () => {
    const bounded = new Graph(new Flow(new BatchFlow(new Node(), { maxSteps: 5, name: "each" })));
    expect(bounded.maxSteps("each")).toBe(5);
    expect(bounded.maxSteps("Flow")).toBe(Infinity);
  });

  it("is data that survives JSON", () => {
    const shape = graph.shape();
    expect(JSON.parse(JSON.stringify(shape))).toEqual(shape);
    expect(shape).toEqual({
      root: "Flow",
      nodes: [
        { id: "Flow", kind: "flow", type: "Flow", start: "Load" },
        { id: "Load", kind: "node", type: "Load" },
        { id: "inner", kind: "flow", type: "Flow", start: "Write" },
        { id: "Write", kind: "node", type: "Write" },
        { id: "Review", kind: "node", type: "Review" },
      ],
      edges: [
        { from: "Load", action: "write", to: "inner" },
        { from: "Load", action: "review", to: "Review" },
        { from: "inner", action: "again", to: "Load" },
      ],
    });
  });
});

describe("what differs between two shapes of a flow", () => {
  const shape: GraphShape = {
    root: "Flow",
    nodes: [
      { id: "Flow", kind: "flow", type: "Flow", start: "Load" },
      { id: "Load", kind: "node", type: "Load" },
      { id: "Write", kind: "node", type: "Write" },
    ],
    edges: [{ from: "Load", action: "default", to: "Write" }],
  };
  const [flow, load, write] = shape.nodes as [GraphShape["nodes"][0], GraphShape["nodes"][0], GraphShape["nodes"][0]];

  it("is nothing when nothing does, whatever the order", () => {
    expect(differences(shape, structuredClone(shape))).toEqual([]);
    expect(differences(shape, { ...shape, nodes: [...shape.nodes].reverse() })).toEqual([]);
  });

  it.each<[string, Partial<GraphShape>, string[]]>([
    ["a node less", { nodes: [flow, load] }, ["node `Write` was removed"]],
    ["a node more", { nodes: [...shape.nodes, { ...write, id: "Write#2" }] }, ["node `Write#2` was added"]],
    [
      "a node of another class",
      { nodes: [flow, load, { ...write, type: "Rewrite" }] },
      ["node `Write` was (Write, node) and is now (Rewrite, node)"],
    ],
    [
      "a node of another kind",
      { nodes: [flow, { ...load, kind: "batch" }, write] },
      ["node `Load` was (Load, node) and is now (Load, batch)"],
    ],
    [
      "another start",
      { nodes: [{ ...flow, start: "Write" }, load, write] },
      ["node `Flow` was (Flow, flow, starts at Load) and is now (Flow, flow, starts at Write)"],
    ],
    ["an edge less", { edges: [] }, ["edge `Load -default->` was removed"]],
    [
      "an edge more",
      { edges: [...shape.edges, { from: "Write", action: "again", to: "Load" }] },
      ["edge `Write -again->` was added"],
    ],
    [
      "an edge that leads elsewhere",
      { edges: [{ from: "Load", action: "default", to: "Load" }] },
      ["edge `Load -default->` was (Write) and is now (Load)"],
    ],
    ["another root", { root: "Load" }, ["the flow was `Flow` and is now `Load`"]],
  ])("is told of %s", (_, change, sentences) => {
    expect(differences(shape, { ...shape, ...change })).toEqual(sentences);
  });
});
