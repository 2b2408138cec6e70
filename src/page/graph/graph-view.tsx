import type { ComponentChildren } from "preact";
import { useMemo, useState } from "preact/hooks";
import type { Flow, NodeProgress, RunOutline } from "../../http/api.ts";
import { Copy } from "../parts/copy.tsx";
import { type Arrow, type Drawing, layOut, pathOf } from "./layout.ts";
import { NodeBox } from "./node-box.tsx";
import "./graph.css";

interface Props {
  flow: Flow;
  /** How far each node is; nothing where there is no run. */
  nodes?: ReadonlyMap<string, NodeProgress>;
  run?: RunOutline;
  /** A node was picked: by a click, or by Enter. */
  onPick?(node: string): void;
}

const MARGIN = 8;
const ZOOM = 1.3;

/** The graph of a flow; of a run, with how far each node is. Placed once: what is live only changes texts and colours. */
export function GraphView({ flow, nodes, run, onPick }: Props) {
  const drawing = useMemo(() => layOut(flow), [flow]);
  const arrows = useMemo(() => <Arrows drawing={drawing} />, [drawing]);
  const described = useMemo(() => new Map(flow.nodes.map((node) => [node.id, node])), [flow]);
  return (
    <Zoomed drawing={drawing} name={flow.name} mermaid={flow.mermaid}>
      {drawing.boxes.map((box) => {
        const node = described.get(box.id);
        const progress = nodes?.get(box.id);
        return (
          node && <NodeBox key={box.id} {...{ node, box, progress, run, onPick }} isRoot={node === flow.nodes[0]} />
        );
      })}
      {arrows}
    </Zoomed>
  );
}

/** What is drawn as wide as there is room for, or as somebody wants it. */
function Zoomed(props: { drawing: Drawing; name: string; mermaid: string; children: ComponentChildren }) {
  /** Nothing while it is as wide as there is room for. */
  const [scale, setScale] = useState<number | null>(null);
  const width = props.drawing.width + 2 * MARGIN;
  const height = props.drawing.height + 2 * MARGIN;
  const zoom = (by: number) => setScale((scale ?? 1) * by);
  return (
    <div class="graph">
      <div class="buttons">
        <button type="button" aria-label="Zoom out" onClick={() => zoom(1 / ZOOM)}>
          −
        </button>
        <button type="button" aria-label="Zoom in" onClick={() => zoom(ZOOM)}>
          +
        </button>
        <button type="button" onClick={() => setScale(null)}>
          Fit
        </button>
        <Copy text={() => props.mermaid} label="Copy Mermaid" what="The Mermaid text is copied" />
      </div>
      <div class="graph-room">
        <svg
          aria-label={`Graph of ${props.name}`}
          viewBox={`${-MARGIN} ${-MARGIN} ${width} ${height}`}
          style={
            scale === null
              ? { width: "100%", maxWidth: `${width}px`, minWidth: `${width / 2}px` }
              : { width: `${width * scale}px` }
          }
        >
          {props.children}
        </svg>
      </div>
    </div>
  );
}

function Arrows({ drawing }: { drawing: Drawing }) {
  return (
    <g class="arrows">
      <marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">
        <path class="arrow-head" d="M0 0L8 4L0 8z" />
      </marker>
      {drawing.dots.map(({ x, y }) => (
        <circle key={`${x} ${y}`} cx={x} cy={y} r="5">
          <title>Starts here</title>
        </circle>
      ))}
      {drawing.arrows.map((arrow) => (
        <ArrowLine key={`${arrow.from}\n${arrow.action}\n${arrow.to}`} arrow={arrow} />
      ))}
    </g>
  );
}

function ArrowLine({ arrow }: { arrow: Arrow }) {
  return (
    <g>
      <path class={arrow.isCrossing ? "arrow crossing" : "arrow"} d={pathOf(arrow.points)} marker-end="url(#arrow)" />
      {arrow.label && (
        <text x={arrow.label.x} y={arrow.label.y}>
          {clipped(arrow.action ?? "")}
          <title>{arrow.action}</title>
        </text>
      )}
    </g>
  );
}

const MOST_LETTERS = 18;

function clipped(label: string): string {
  return label.length > MOST_LETTERS ? `${label.slice(0, MOST_LETTERS - 1)}…` : label;
}
