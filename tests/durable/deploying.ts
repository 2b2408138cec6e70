import type { FlowEntry } from "../../src/cloudflare.ts";
import { type BaseNode, Flow, Node, ParallelBatchFlow, ParallelBatchNode } from "../../src/index.ts";
import { stage } from "./stage.ts";

// Flows as data, so that a test can say what the next deploy makes of them: each edit is one change to what the code says.

export interface Deploying {
  log: string[];
  /** How often a node that ends its round goes round again. */
  rounds?: number;
  count?: number;
}

type Params = { n?: number };
type ClassName = "Step" | "Other" | "Many" | "Wanted";

/** A class's name, or a flow of one and where it starts. */
type Part = ClassName | { flow: "Flow" | "Each" | "InThrees" | "Collecting"; start: string };

export interface Spec {
  root: string;
  parts: { [name: string]: Part };
  edges: [from: string, action: string, to: string][];
}

/** Who is it, and in which branch: the name of its gate, and of what it writes. */
function placeOf(name: string, { n }: Params): string {
  return n === undefined ? name : `${name} ${n}`;
}

/** Says that it is in exec, waits at its gate, and writes its name in post. */
class Step extends Node<Deploying, Params, string, string> {
  prep(_: Deploying) {
    return placeOf(this._options.name as string, this._params);
  }
  async exec(place: string) {
    stage().say(place);
    await stage().pass(place);
    if (stage().count(`${place} fails`) > stage().count(`${place} is healed`)) throw new Error(`${place} fails`);
    return place;
  }
  post(shared: Deploying, _: string, place: string): string | undefined {
    shared.log.push(`${place} by ${this.constructor.name}`);
    if (!place.startsWith("Round")) return undefined;
    shared.rounds = (shared.rounds ?? 1) - 1;
    return shared.rounds > 0 ? "again" : undefined;
  }
}

class Other extends Step {}

class Many extends ParallelBatchNode<Deploying, Params, string, string> {
  prep(_: Deploying) {
    const place = placeOf(this._options.name as string, this._params);
    return ["a", "b", "c"].map((item) => `${place}/${item}`);
  }
  async exec(item: string) {
    stage().say(item);
    await stage().pass(item);
    return item;
  }
  post(shared: Deploying, _: unknown, items: unknown[]) {
    shared.log.push(`${items.join(" ")} by Many`);
  }
}

class Each extends ParallelBatchFlow<Deploying> {
  prep({ count = 3 }: Deploying) {
    return Array.from({ length: count }, (_, n) => ({ n }));
  }
  post(shared: Deploying) {
    shared.log.push("Each");
    return undefined;
  }
}

const CLASSES: { [name in Exclude<ClassName, "Wanted">]: new (options: { name: string }) => BaseNode } = {
  Step,
  Other,
  Many,
};

export function build({ root, parts, edges }: Spec): BaseNode {
  const made = new Map<string, BaseNode>();
  const make = (name: string): BaseNode => {
    const known = made.get(name);
    if (known) return known;
    const part = parts[name];
    if (part === undefined) throw new Error(`There is no part ${name}`);
    const node = typeof part === "string" ? makeNode(name, part) : makeFlow(name, part, make(part.start));
    made.set(name, node);
    for (const [from, action, to] of edges) if (from === name) node.on(action, make(to));
    return node;
  };
  return make(root);
}

function makeNode(name: string, className: ClassName): BaseNode {
  if (className === "Wanted") throw new Error(`${name} is wanted`);
  return new CLASSES[className]({ name });
}

function makeFlow(name: string, { flow }: Exclude<Part, string>, start: BaseNode): BaseNode {
  if (flow === "Flow") return new Flow(start, { name });
  if (flow === "Collecting") return new Each(start, { name, onItemError: "collect" });
  return new Each(start, { name, ...(flow === "InThrees" ? {} : { concurrency: 2 }) });
}

const FIRST = {
  /** A chain with a way to skip one. */
  chain: {
    root: "Root",
    parts: { Root: { flow: "Flow", start: "A" }, A: "Step", B: "Step", C: "Step", D: "Step", E: "Step" },
    edges: [
      ["A", "default", "B"],
      ["B", "default", "C"],
      ["C", "default", "D"],
      ["C", "skip", "E"],
      ["D", "default", "E"],
    ],
  },
  /** A is before the loop, D after it. */
  loop: {
    root: "Root",
    parts: { Root: { flow: "Flow", start: "A" }, A: "Step", B: "Step", C: "Many", Round: "Step", D: "Step" },
    edges: [
      ["A", "default", "B"],
      ["B", "default", "C"],
      ["C", "default", "Round"],
      ["Round", "again", "B"],
      ["Round", "default", "D"],
    ],
  },
  nested: {
    root: "Root",
    parts: {
      Root: { flow: "Flow", start: "A" },
      A: "Step",
      Inner: { flow: "Flow", start: "B" },
      B: "Step",
      C: "Step",
      D: "Step",
    },
    edges: [
      ["A", "default", "Inner"],
      ["B", "default", "C"],
      ["Inner", "default", "D"],
    ],
  },
  /** The inner flow is begun anew in each round. */
  "nested loop": {
    root: "Root",
    parts: {
      Root: { flow: "Flow", start: "Inner" },
      Inner: { flow: "Flow", start: "B" },
      B: "Step",
      C: "Step",
      Round: "Step",
      D: "Step",
    },
    edges: [
      ["B", "default", "C"],
      ["Inner", "default", "Round"],
      ["Round", "again", "Inner"],
      ["Round", "default", "D"],
    ],
  },
  /** Two branches at a time. */
  branches: {
    root: "Root",
    parts: {
      Root: { flow: "Flow", start: "A" },
      A: "Step",
      Branches: { flow: "Each", start: "B" },
      B: "Step",
      C: "Step",
      D: "Step",
    },
    edges: [
      ["A", "default", "Branches"],
      ["B", "default", "C"],
      ["Branches", "default", "D"],
    ],
  },
  "branches at once": {
    root: "Root",
    parts: {
      Root: { flow: "Flow", start: "A" },
      A: "Step",
      Branches: { flow: "InThrees", start: "B" },
      B: "Step",
      C: "Step",
      D: "Step",
    },
    edges: [
      ["A", "default", "Branches"],
      ["B", "default", "C"],
      ["Branches", "default", "D"],
    ],
  },
  /** A branch that fails does not fail the run. */
  "collecting branches": {
    root: "Root",
    parts: {
      Root: { flow: "Flow", start: "A" },
      A: "Step",
      Branches: { flow: "Collecting", start: "B" },
      B: "Step",
      C: "Step",
      D: "Step",
    },
    edges: [
      ["A", "default", "Branches"],
      ["B", "default", "C"],
      ["Branches", "default", "D"],
    ],
  },
} satisfies { [name: string]: Spec };

export type Deployed = keyof typeof FIRST;

/** What the code says now. */
const now = new Map<Deployed, Spec>();

export function specOf(flow: Deployed): Spec {
  return now.get(flow) ?? FIRST[flow];
}

/** A deploy that changes one flow. */
export function change(flow: Deployed, edit: Edit): void {
  now.set(flow, edit(FIRST[flow]));
}

export function changeBack(): void {
  now.clear();
}

export type Edit = (spec: Spec) => Spec;

export const rename =
  (from: string, to: string): Edit =>
  ({ root, parts, edges }) => {
    const of = (name: string) => (name === from ? to : name);
    const named = Object.entries(parts).map(([name, part]) => [
      of(name),
      typeof part === "string" ? part : { ...part, start: of(part.start) },
    ]);
    return {
      root: of(root),
      parts: Object.fromEntries(named),
      edges: edges.map(([a, action, b]) => [of(a), action, of(b)]),
    };
  };

/** What led to it leads to where its default action led. */
export const remove =
  (gone: string): Edit =>
  ({ root, parts, edges }) => {
    const next = edges.find(([from, action]) => from === gone && action === "default")?.[2];
    const kept = Object.entries(parts).filter(([name]) => name !== gone);
    const started = kept.map(([name, part]) => [
      name,
      typeof part !== "string" && part.start === gone ? { ...part, start: next } : part,
    ]);
    const led = edges.flatMap(([from, action, to]): Spec["edges"] => {
      if (from === gone) return [];
      if (to !== gone) return [[from, action, to]];
      return next === undefined ? [] : [[from, action, next]];
    });
    return { root, parts: Object.fromEntries(started), edges: led };
  };

/** The edge leads elsewhere; from a node without such an edge it is a new one. */
export const lead =
  (from: string, action: string, to: string): Edit =>
  (spec) => ({
    ...spec,
    edges: [...spec.edges.filter(([a, b]) => a !== from || b !== action), [from, action, to]],
  });

/** Another class behind the same name. */
export const retype =
  (name: string, part: Part): Edit =>
  (spec) => ({ ...spec, parts: { ...spec.parts, [name]: part } });

export const add =
  (name: string, part: Part, from: string, action: string): Edit =>
  (spec) =>
    lead(from, action, name)(retype(name, part)(spec));

/** The entries of the flow `versioned`, which a test may change as a deploy would. The Worker starts with the first. */
const ENTRY = (name: string): (() => BaseNode) => {
  return () => build({ ...FIRST.chain, parts: { ...FIRST.chain.parts, E: name as ClassName } });
};

export const OLD: FlowEntry = { flow: ENTRY("Step"), output: (shared) => ({ by: "old", ...(shared as object) }) };
export const NEW: FlowEntry = { flow: ENTRY("Other"), output: (shared) => ({ by: "new", ...(shared as object) }) };

export const entries: FlowEntry[] = [OLD];

export function deployEntries(...now: FlowEntry[]): void {
  entries.splice(0, entries.length, ...now);
}

const flows = Object.keys(FIRST).map((name) => [`deployed, ${name}`, () => build(specOf(name as Deployed))]);

export const deployingFlows: { [name: string]: (() => BaseNode) | FlowEntry[] } = {
  ...(Object.fromEntries(flows) as { [name: string]: () => BaseNode }),
  versioned: entries,
};
