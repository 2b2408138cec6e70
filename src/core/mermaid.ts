import type { Graph, GraphShape } from "./graph.ts";
import type { NodeKind } from "./node.ts";

type Part = GraphShape["nodes"][number];

const SHAPES: { readonly [kind in NodeKind]?: readonly [open: string, close: string] } = {
  batch: ["[[", "]]"],
  "parallel-batch": ["[/", "/]"],
  "api-batch": ["[/", "/]"],
  sleep: ["([", "])"],
  wait: ["{{", "}}"],
};
const NOTES: { readonly [kind in NodeKind]?: string } = {
  "api-batch": " (batch API)",
  "batch-flow": " (batch flow)",
  "parallel-batch-flow": " (parallel batch flow)",
};

/**
 * A graph as the text of a Mermaid flowchart: flows are boxes around what is inside them, batches have shapes of their own, and
 * every action but the default is written at its arrow.
 */
export function draw(graph: Graph): string {
  const { nodes, edges } = graph.shape();
  // Names may be anything, and some words mean something to Mermaid: as far as it is concerned, nodes are numbered.
  const keys = new Map(nodes.map(({ id }, at) => [id, `n${at + 1}`]));
  const keyOf = (id: string) => keys.get(id) as string;
  const lines = [
    ...drawNodes(graph, nodes, keyOf),
    ...drawStarts(graph, nodes, keyOf),
    ...edges.map(({ from, action, to }) => `${keyOf(from)} -->${note(action)} ${keyOf(to)}`),
  ];
  return `flowchart TD\n${indented(lines).join("\n")}\n`;
}

function drawNodes(graph: Graph, nodes: Part[], keyOf: (id: string) => string): string[] {
  const insides = Map.groupBy(nodes, ({ id }) => graph.flowOf(id));
  const drawAll = (parts: Part[]): string[] =>
    parts.flatMap((part) => {
      const drawn = `${keyOf(part.id)}${box(part)}`;
      const inside = insides.get(part.id);
      return inside ? [`subgraph ${drawn}`, ...indented(drawAll(inside)), "end"] : [drawn];
    });
  return drawAll(insides.get(undefined) ?? []);
}

/** A flow's first node is drawn inside it, unless it is in another flow already: an arrow leads there then. */
function drawStarts(graph: Graph, nodes: Part[], keyOf: (id: string) => string): string[] {
  return nodes.flatMap(({ id, start }) =>
    start === undefined || graph.flowOf(start) === id ? [] : [`${keyOf(id)} -.-> ${keyOf(start)}`],
  );
}

function indented(lines: string[]): string[] {
  return lines.map((line) => `  ${line}`);
}

function box({ id, kind }: Part): string {
  const [open, close] = SHAPES[kind] ?? ["[", "]"];
  return `${open}"${labelOf(id)}${NOTES[kind] ?? ""}"${close}`;
}

function note(action: string): string {
  return action === "default" ? "" : `|"${labelOf(action)}"|`;
}

/**
 * A label as Mermaid takes it in quotes: all but letters, digits and what joins words as entities, since even in quotes Mermaid
 * reads Markdown, HTML, comments and directives. There is no empty label.
 */
function labelOf(label: string): string {
  const escaped = label.replace(
    /(?<!\w)[-_.]|[-_.](?!\w)|[^\p{L}\p{N} _.-]/gu,
    (character) => `#${character.codePointAt(0)};`,
  );
  return escaped === "" ? " " : escaped;
}
