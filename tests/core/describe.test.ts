import { describe, expect, it } from "vitest";
import { describe as describeNode } from "../../src/core/describe.ts";
import { Graph } from "../../src/core/graph.ts";
import {
  AsyncParallelBatchFlow,
  AsyncParallelBatchNode,
  BatchApiNode,
  BatchFlow,
  BatchNode,
  Flow,
  Node,
  ParallelBatchFlow,
  ParallelBatchNode,
  sleep,
  WaitForEvent,
} from "../../src/index.ts";

class Load extends Node {}
class Write extends Node {}

/** The lines of a flow's drawing without the first, which is the same for all. */
function drawn(flow: Flow): string[] {
  const lines = flow.describe().mermaid.split("\n");
  expect(lines[0]).toBe("flowchart TD");
  expect(lines.at(-1)).toBe("");
  return lines.slice(1, -1).map((line) => line.replace("  ", ""));
}

describe("the description of a flow", () => {
  it("is its nodes and edges in walk order, and its drawing", () => {
    const load = new Load({ name: "files", limit: ["disk", { name: "tenant", key: () => "a" }] });
    const inner = new Flow(new Write({ limit: "llm" }));
    load.on("again", load).next(inner).next(new Write());
    expect(new Flow(load, { name: "all" }).describe()).toEqual({
      name: "all",
      nodes: [
        { id: "all", name: "all", kind: "flow", start: "files" },
        { id: "files", name: "files", kind: "node", limit: ["disk", "tenant"] },
        { id: "Flow", name: "Flow", kind: "flow", start: "Write" },
        { id: "Write", name: "Write", kind: "node", limit: ["llm"] },
        { id: "Write#2", name: "Write", kind: "node" },
      ],
      edges: [
        { from: "files", to: "files", action: "again" },
        { from: "files", to: "Flow", action: "default" },
        { from: "Flow", to: "Write#2", action: "default" },
      ],
      mermaid: `flowchart TD
  subgraph n1["all"]
    n2["files"]
    subgraph n3["Flow"]
      n4["Write"]
    end
    n5["Write#35;2"]
  end
  n2 -->|"again"| n2
  n2 --> n3
  n3 --> n5
`,
    });
  });

  it("is the same whenever it is made, and survives JSON", () => {
    const make = () => {
      const load = new Load();
      load.on("long", new Write()).next(new Flow(new Write())).on("again", load);
      return new BatchFlow(load).describe();
    };
    expect(make()).toEqual(make());
    expect(JSON.parse(JSON.stringify(make()))).toEqual(make());
  });

  it("leaves the flow as it was", async () => {
    const write = new Write();
    write.post = () => "written";
    const flow = new Flow(new Load());
    flow.start.next(write);
    flow.describe();
    expect(await flow.run({})).toBe("written");
  });

  it("is there for batch flows, in the seed's spelling too, and for a node alone", () => {
    class Files extends AsyncParallelBatchFlow {}
    class Texts extends AsyncParallelBatchNode {}
    expect(new Files(new Texts()).describe()).toMatchObject({
      name: "Files",
      nodes: [
        { id: "Files", kind: "parallel-batch-flow", start: "Texts" },
        { id: "Texts", kind: "parallel-batch" },
      ],
    });
    expect(describeNode(new Texts({ name: "alone", limit: "llm" }))).toEqual({
      name: "alone",
      nodes: [{ id: "alone", name: "alone", kind: "parallel-batch", limit: ["llm"] }],
      edges: [],
      mermaid: 'flowchart TD\n  n1[/"alone"/]\n',
    });
  });

  it("says what waits, what asks a vendor's batch API, and what only makes calls for many items", () => {
    abstract class Reviews extends BatchApiNode {}
    const first = sleep("3d", { name: "pause" });
    first
      .next(new WaitForEvent("approval", { timeout: "7d" }))
      .next(new (Reviews as unknown as new () => BatchApiNode)())
      .next(new ParallelBatchNode({ batchSize: 100, split: true, limit: "llm" }));
    const described = new Flow(first).describe();
    expect(described.nodes.slice(1)).toEqual([
      { id: "pause", name: "pause", kind: "sleep" },
      { id: "WaitForEvent", name: "WaitForEvent", kind: "wait" },
      { id: "Reviews", name: "Reviews", kind: "api-batch" },
      { id: "ParallelBatchNode", name: "ParallelBatchNode", kind: "parallel-batch", limit: ["llm"] },
    ]);
    expect(drawn(new Flow(first)).slice(1, 5)).toEqual([
      '  n2(["pause"])',
      '  n3{{"WaitForEvent"}}',
      '  n4[/"Reviews (batch API)"/]',
      '  n5[/"ParallelBatchNode"/]',
    ]);
    expect(JSON.parse(JSON.stringify(described))).toEqual(described);
  });

  it("is refused where two nodes were given one name", () => {
    const load = new Load({ name: "files" });
    load.next(new Write({ name: "files" }));
    expect(() => new Flow(load).describe()).toThrow("got `files` twice");
  });
});

describe("the drawing of a flow", () => {
  it("has a shape for each kind of node, and a box for each flow, which says if it is a batch", () => {
    const start = new Node();
    start
      .next(new BatchNode())
      .next(new ParallelBatchNode())
      .next(new Flow(new Load({ name: "in a flow" })))
      .next(new BatchFlow(new Load({ name: "in order" })))
      .next(new ParallelBatchFlow(new Load({ name: "at once" })));
    expect(drawn(new Flow(start, { name: "all" }))).toEqual([
      'subgraph n1["all"]',
      '  n2["Node"]',
      '  n3[["BatchNode"]]',
      '  n4[/"ParallelBatchNode"/]',
      '  subgraph n5["Flow"]',
      '    n6["in a flow"]',
      "  end",
      '  subgraph n7["BatchFlow (batch flow)"]',
      '    n8["in order"]',
      "  end",
      '  subgraph n9["ParallelBatchFlow (parallel batch flow)"]',
      '    n10["at once"]',
      "  end",
      "end",
      "n2 --> n3",
      "n3 --> n4",
      "n4 --> n5",
      "n5 --> n7",
      "n7 --> n9",
    ]);
  });

  it("has what follows the flow itself beside its box", () => {
    const flow = new Flow(new Load());
    flow.next(new Write());
    expect(drawn(flow)).toEqual(['subgraph n1["Flow"]', '  n2["Load"]', "end", 'n3["Write"]', "n1 --> n3"]);
  });

  it("has a node that is in several flows once, in the first of them, and an arrow from a flow that starts there", () => {
    const load = new Load();
    const first = new Flow(load, { name: "first" });
    first.next(new BatchFlow(load, { name: "second" }));
    expect(drawn(new Flow(first, { name: "all" }))).toEqual([
      'subgraph n1["all"]',
      '  subgraph n2["first"]',
      '    n3["Load"]',
      "  end",
      '  n4["second (batch flow)"]',
      "end",
      "n4 -.-> n3",
      "n2 --> n4",
    ]);
  });

  it("ends also where a flow is inside itself", () => {
    const load = new Load();
    const flow = new Flow(load);
    load.on("deeper", flow);
    expect(drawn(flow)).toEqual(['subgraph n1["Flow"]', '  n2["Load"]', "end", 'n2 -->|"deeper"| n1']);
  });

  it.each([
    ["words that Mermaid knows", "end subgraph", "end subgraph"],
    ["letters of any language", "Überblick 概要 2", "Überblick 概要 2"],
    ["what joins words", "needs_review-v1.2", "needs_review-v1.2"],
    ["quotes and brackets", `say "no" [x]`, "say #34;no#34; #91;x#93;"],
    ["HTML", "<b>&amp;</b>", "#60;b#62;#38;amp#59;#60;#47;b#62;"],
    ["several lines", "one\ntwo\r\n", "one#10;two#13;#10;"],
    ["entities", "a#35;b", "a#35;35#59;b"],
    ["Markdown", "`**x**` _y_", "#96;#42;#42;x#42;#42;#96; #95;y#95;"],
    ["what Markdown takes for a list", "1. x - y", "1#46; x #45; y"],
    ["comments and directives", "%%{init}%%", "#37;#37;#123;init#125;#37;#37;"],
    ["arrows", "a-->b|c", "a#45;#45;#62;b#124;c"],
    ["styles", "style x:y;", "style x#58;y#59;"],
    ["a pair of surrogates", "😀", "#128512;"],
    ["nothing", "", " "],
  ])("has names and actions with %s in them as Mermaid shows them", (_, name, label) => {
    const load = new Load();
    load.on(name, new Write({ name }));
    expect(drawn(new Flow(load)).slice(2)).toEqual([`  n3["${label}"]`, "end", `n2 -->|"${label}"| n3`]);
    expect(drawn(new Flow(new Load(), { name }))[0]).toBe(`subgraph n1["${label}"]`);
  });

  it("carries a chain of any length", () => {
    const first = new Load();
    let last = first;
    for (let count = 1; count < 20_000; count++) last = last.next(new Load({ name: `n${count}` }));
    expect(drawn(new Flow(first))).toHaveLength(40_001);
  });
});

describe("the flow that a node is in", () => {
  it("is the innermost around it, and none for the root and what follows it", () => {
    const inner = new Flow(new Load(), { name: "inner" });
    inner.next(new Write());
    const outer = new Flow(inner, { name: "outer" });
    outer.next(new Write({ name: "after" }));
    const graph = new Graph(outer);
    expect(Object.fromEntries([...graph.ids].map((id) => [id, graph.flowOf(id)]))).toEqual({
      outer: undefined,
      inner: "outer",
      Load: "inner",
      Write: "outer",
      after: undefined,
    });
  });
});
