import { describe, expect, it } from "vitest";
import type { FlowDescription } from "../../src/index.ts";
import { call } from "../durable/support.ts";
import { problemOf } from "./problem.ts";

describe("GET /flows/:flow", () => {
  it("shows the flow's name, its nodes and edges, and the text of its drawing", async () => {
    const response = await call("/flows/stages");
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(await response.json()).toEqual({
      name: "stages",
      nodes: [
        { id: "Flow", name: "Flow", kind: "flow", start: "First" },
        { id: "First", name: "First", kind: "parallel-batch" },
        { id: "Second", name: "Second", kind: "batch" },
        { id: "Third", name: "Third", kind: "node" },
      ],
      edges: [
        { from: "First", to: "Second", action: "default" },
        { from: "Second", to: "Third", action: "default" },
      ],
      mermaid: [
        "flowchart TD",
        '  subgraph n1["Flow"]',
        '    n2[/"First"/]',
        '    n3[["Second"]]',
        '    n4["Third"]',
        "  end",
        "  n2 --> n3",
        "  n3 --> n4",
        "",
      ].join("\n"),
      input: null,
    });
  });

  it("names the limits of a node", async () => {
    const { nodes } = await (await call("/flows/metered")).json<FlowDescription>();
    expect(nodes[1]).toEqual({ id: "Metered", name: "Metered", kind: "parallel-batch", limit: ["metered"] });
  });

  it("takes the name as it is written in an address", async () => {
    const name = "few to an executor";
    expect(await (await call(`/flows/${encodeURIComponent(name)}`)).json()).toMatchObject({ name });
  });

  it.each(["nothing", "work/runs", "with an output?", "%", "__proto__"])("is 404 for the unknown %s", async (flow) => {
    const problem = await problemOf(await call(`/flows/${encodeURIComponent(flow)}`));
    expect(problem).toMatchObject({
      status: 404,
      detail: expect.stringMatching(/^There is no flow `.*`; there are: /),
    });
    expect(problem.detail).toContain(`\`${flow}\``);
  });
});
