import { Graph, layout } from "@dagrejs/dagre";
import type { Flow } from "../../http/api.ts";

export interface Point {
  x: number;
  y: number;
}

/** Where something is drawn: its upper left corner, from that of the whole drawing. */
export interface Area extends Point {
  width: number;
  height: number;
}

export interface Box extends Area {
  id: string;
  /** The flow it is drawn in; null for what is in none. */
  flow: string | null;
}

export interface Arrow {
  from: string;
  to: string;
  /** What leads along it; null where a flow starts. */
  action: string | null;
  /** Whether it leads from one flow into another: it is drawn straight over what is between. */
  isCrossing: boolean;
  /** From the border of one box to that of the other. */
  points: Point[];
  /** Where its label has its middle; null where it needs none. */
  label: Point | null;
}

export interface Drawing {
  width: number;
  height: number;
  /** A flow comes before what is inside it. */
  boxes: Box[];
  arrows: Arrow[];
  /** The dots in which flows start. */
  dots: Point[];
}

type Shape = Pick<Flow, "nodes" | "edges">;
type Edge = Pick<Arrow, "from" | "to" | "action">;

const NODE = { width: 232, height: 92 };
/** Of a flow: room for its name above what is inside it, and around that. */
const HEAD = 58;
const PAD = 16;
const DOT = 10;
const LABEL_HEIGHT = 16;
const MOST_LABEL = 130;
/** How far arrows that lead into another flow go around. */
const BEND = 30;
const SPACING = { nodesep: 36, edgesep: 18, ranksep: 34 };

/**
 * Places a flow's nodes: flows are boxes around what is inside them, everything else leads from top to bottom. Each flow is laid
 * out by itself, from the innermost, and is one big node to the flow it is in: edges of flows need nothing of their own then. The
 * same flow is always placed in the same way.
 */
export function layOut(flow: Shape): Drawing {
  const flows = flowsOf(flow);
  const edges: Edge[] = [
    ...flow.nodes.flatMap(({ id, start }) => (start === undefined ? [] : [{ from: id, to: start, action: null }])),
    ...flow.edges,
  ];
  const drawing = placeInside(null, flow, flows, edges);
  const crossing = edges.filter((edge) => isCrossing(edge, flows)).map((edge, place) => cross(edge, drawing, place));
  const rights = crossing.flatMap(({ points }) => points.map(({ x }) => x + BEND));
  const width = Math.max(drawing.width, ...rights);
  return { ...drawing, width, arrows: [...drawing.arrows, ...crossing] };
}

/** The flow that each node is drawn in: of several that lead to a node the first, as the core has it. */
export function flowsOf({ nodes, edges }: Shape): Map<string, string | null> {
  const starts = new Map(nodes.map(({ id, start }) => [id, start]));
  const next = Map.groupBy(edges, ({ from }) => from);
  const flows = new Map<string, string | null>();
  const ahead: [id: string, flow: string | null][] = nodes[0] ? [[nodes[0].id, null]] : [];
  for (let step = ahead.pop(); step; step = ahead.pop()) {
    const [id, flow] = step;
    if (flows.has(id)) continue;
    flows.set(id, flow);
    for (const { to } of (next.get(id) ?? []).toReversed()) ahead.push([to, flow]);
    const start = starts.get(id);
    if (start !== undefined) ahead.push([start, id]);
  }
  return flows;
}

/** Lays out what is in one flow, with its upper left corner at 0, 0. */
function placeInside(
  flow: string | null,
  shape: Shape,
  flows: ReadonlyMap<string, string | null>,
  edges: Edge[],
): Drawing {
  const inside = shape.nodes.filter(({ id }) => flows.get(id) === flow);
  const flowBoxes = new Map(
    inside
      .filter(({ start }) => start !== undefined)
      .map(({ id }) => [id, placeInside(id, shape, flows, edges)] as const),
  );
  const graph = new Graph({ multigraph: true });
  graph.setGraph({ ...SPACING });
  const key = keys([flow, ...inside.map(({ id }) => id)]);
  for (const { id } of inside) graph.setNode(key(id), sizeOf(flowBoxes.get(id)));
  if (flow !== null) graph.setNode(key(flow), { width: DOT, height: DOT });
  const drawn = edges.flatMap((edge, at) => {
    const ends = endsIn(flow, edge, flows);
    if (!ends) return [];
    graph.setEdge(key(ends.from), key(ends.to), { ...labelSize(edge.action), labelpos: "c" }, String(at));
    return isCrossing(edge, flows) ? [] : [{ edge, place: [key(ends.from), key(ends.to), String(at)] as const }];
  });
  layout(graph);
  const { width = 0, height = 0 } = graph.graph() as Partial<Area>;
  const drawing: Drawing = { width, height, boxes: [], arrows: [], dots: [] };
  for (const { id } of inside)
    addBox(drawing, { id, flow, ...cornered(graph.node(key(id)) as Area) }, flowBoxes.get(id));
  if (flow !== null) {
    const { x, y } = graph.node(key(flow)) as Point;
    drawing.dots.push({ x, y });
  }
  for (const { edge, place } of drawn) {
    const way = graph.edge(...place) as Way;
    drawing.arrows.push(arrowOf(edge, way, graph.node(place[0]) as Area));
  }
  return drawing;
}

/** What dagre tells of an edge: its points, and where its label has its middle. */
type Way = Point & { points: Point[] };

function addBox(drawing: Drawing, box: Box, within: Drawing | undefined): void {
  drawing.boxes.push(box);
  if (within) include(drawing, within, { x: box.x + (box.width - within.width) / 2, y: box.y + HEAD });
}

function arrowOf(edge: Edge, { points, x, y }: Way, from: Area): Arrow {
  return {
    ...edge,
    isCrossing: false,
    points: edge.from === edge.to ? loop(from, x) : points.map(({ x, y }) => ({ x, y })),
    label: hasLabel(edge) ? { x, y } : null,
  };
}

/**
 * What an edge joins when seen from inside a flow: the two nodes of it that hold its ends, or its starting dot. Nothing where it
 * stays within one of them, or leads out.
 */
function endsIn(flow: string | null, { from, to, action }: Edge, flows: ReadonlyMap<string, string | null>) {
  const last = holder(to, flow, flows);
  if (action === null && from === flow) return last === undefined ? undefined : { from: flow, to: last };
  const first = holder(from, flow, flows);
  if (first === undefined || last === undefined || (first === last && (first !== from || first !== to)))
    return undefined;
  return { from: first, to: last };
}

/** The node directly in `flow` that is `id`, or has it inside. */
function holder(id: string, flow: string | null, flows: ReadonlyMap<string, string | null>): string | undefined {
  let at: string | null | undefined = id;
  while (at !== null && at !== undefined && flows.get(at) !== flow) at = flows.get(at);
  return at ?? undefined;
}

/** Whether an edge leads from one flow into another. Where a flow starts, its dot is inside it. */
function isCrossing({ from, to, action }: Edge, flows: ReadonlyMap<string, string | null>): boolean {
  return flows.get(to) !== (action === null ? from : flows.get(from));
}

/** Out of a box at its right and back, through where dagre has kept room for it. dagre's own points miss the box. */
function loop({ x, y, width }: Area, far: number): Point[] {
  const right = x + width / 2;
  return [-18, -30, 30, 18].map((down, at) => ({ x: at === 0 || at === 3 ? right : far, y: y + down }));
}

/** Leads around at the right of both boxes; each of several a little farther out. */
function cross(edge: Edge, { boxes }: Drawing, place: number): Arrow {
  const [from, to] = [edge.from, edge.to].map((id) => boxes.find((box) => box.id === id) as Box) as [Box, Box];
  const [first, last] = [rightOf(from), rightOf(to)];
  const x = Math.max(first.x, last.x) + BEND + place * SPACING.edgesep;
  const label = hasLabel(edge) ? { x, y: (first.y + last.y) / 2 } : null;
  return { ...edge, isCrossing: true, points: [first, { x, y: first.y }, { x, y: last.y }, last], label };
}

function rightOf({ x, y, width, height }: Area): Point {
  return { x: x + width, y: y + height / 2 };
}

function include(drawing: Drawing, inner: Drawing, by: Point): void {
  const moved = <T extends Point>(point: T): T => ({ ...point, x: point.x + by.x, y: point.y + by.y });
  drawing.boxes.push(...inner.boxes.map(moved));
  drawing.dots.push(...inner.dots.map(moved));
  for (const { points, label, ...edge } of inner.arrows) {
    drawing.arrows.push({ ...edge, points: points.map(moved), label: label && moved(label) });
  }
}

function sizeOf(inside: Drawing | undefined): Pick<Area, "width" | "height"> {
  if (!inside) return { ...NODE };
  return { width: Math.max(NODE.width, inside.width) + 2 * PAD, height: inside.height + HEAD + PAD };
}

/** dagre tells of middles. */
function cornered({ x, y, width, height }: Area): Area {
  return { x: x - width / 2, y: y - height / 2, width, height };
}

function hasLabel({ action }: Edge): boolean {
  return action !== null && action !== "default";
}

function labelSize(action: string | null): Pick<Area, "width" | "height"> {
  if (action === null || action === "default") return { width: 0, height: 0 };
  return { width: Math.min(action.length * 7 + 8, MOST_LABEL), height: LABEL_HEIGHT };
}

/** Ids may be anything, and some mean something to an object: as far as dagre is concerned, nodes are numbered. */
function keys(ids: (string | null)[]): (id: string | null) => string {
  const numbers = new Map(ids.map((id, at) => [id, `n${at}`]));
  return (id) => numbers.get(id) as string;
}

/** A line through points, round at its corners, as an SVG path. */
export function pathOf(points: Point[]): string {
  const [first, ...rest] = points.map(({ x, y }) => ({ x: rounded(x), y: rounded(y) })) as [Point, ...Point[]];
  const curves = rest.slice(0, -1).map((point, at) => {
    const next = rest[at + 1] as Point;
    const end =
      at === rest.length - 2 ? next : { x: rounded((point.x + next.x) / 2), y: rounded((point.y + next.y) / 2) };
    return `Q${point.x} ${point.y} ${end.x} ${end.y}`;
  });
  const line = rest.length === 1 && rest[0] ? `L${rest[0].x} ${rest[0].y}` : "";
  return `M${first.x} ${first.y}${curves.join("")}${line}`;
}

function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}
