import fc from "fast-check";
import { Graph } from "../../src/core/graph.ts";
import {
  type BaseNode,
  BatchFlow,
  type BatchFlowOptions,
  BatchNode,
  Flow,
  Node,
  ParallelBatchFlow,
} from "../../src/index.ts";

// Random flows: of nodes, batches, and flows and batch flows of all of these.

interface Leaf {
  kind: "node" | "batch";
}

interface Walk {
  kind: "flow" | "batch-flow" | "parallel-batch-flow";
  inside: Plan[];
  wires: [from: number, action: string, to: number][];
  options: BatchFlowOptions;
}

type Plan = Leaf | Walk;

type FlowClass = new (start: BaseNode, options: BatchFlowOptions) => BaseNode;

const CLASSES: { [kind in Walk["kind"]]: FlowClass } = {
  flow: Flow,
  "batch-flow": BatchFlow,
  "parallel-batch-flow": ParallelBatchFlow,
};

/** What posts of random runs return. No plan leads on from `END`. */
export const ACTIONS = ["", "default", "left", "right"];
export const END = "end of the walk";

/** Where a walk is bounded at all it is mostly so that some runs fail of it and most do not. */
const options: fc.Arbitrary<BatchFlowOptions> = fc.oneof(
  { weight: 2, arbitrary: fc.constant({}) },
  { weight: 2, arbitrary: fc.record({ concurrency: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 1, arbitrary: fc.record({ maxSteps: fc.integer({ min: 2, max: 8 }) }) },
);

const { walk } = fc.letrec<{ plan: Plan; walk: Walk; leaf: Leaf }>((tie) => ({
  leaf: fc.record({ kind: fc.constantFrom("node", "batch") }),
  walk: fc.record({
    kind: fc.constantFrom("flow", "batch-flow", "parallel-batch-flow", "parallel-batch-flow"),
    inside: fc.array(tie("plan"), { minLength: 1, maxLength: 4, size: "max" }),
    wires: fc.array(fc.tuple(fc.nat(3), fc.constantFrom("default", "left", "right"), fc.nat(3)), {
      maxLength: 5,
      size: "max",
    }),
    options,
  }),
  plan: fc.oneof({ maxDepth: 3, depthSize: "max" }, tie("leaf"), tie("walk")),
}));

export const graphs: fc.Arbitrary<Graph> = walk.map((plan) => new Graph(build(plan)));

function build(plan: Plan): BaseNode {
  if (!("inside" in plan)) return plan.kind === "node" ? new Node() : new BatchNode();
  const nodes = plan.inside.map(build);
  const chain = nodes.slice(1).map((_, at): [number, string, number] => [at, "default", at + 1]);
  for (const [from, action, to] of [...plan.wires, ...chain]) {
    const [one, other] = [nodes[from], nodes[to]];
    if (one && other && !one["_successors"].has(action)) one.on(action, other);
  }
  return new CLASSES[plan.kind](nodes[0] as BaseNode, plan.options);
}
