import { useEffect, useRef, useState } from "preact/hooks";
import type { ItemStatus } from "../../http/api.ts";
import { number } from "../parts/format.ts";
import { Chip } from "../parts/status.tsx";
import type { Laying } from "./cells.ts";
import { type ItemGrid, type Place, STATUSES } from "./grid.ts";
import { GridCanvas } from "./grid-canvas.ts";
import type { GridFeed } from "./grid-feed.ts";
import "./heat-grid.css";

interface Props {
  feed: GridFeed;
  /** An item was picked: by a click, or by Enter. */
  onOpen(place: Place): void;
  /** A status was picked in the legend. */
  onStatus(status: ItemStatus): void;
}

/** All items of a node at once, a cell each. */
export function HeatGrid({ feed, onOpen, onStatus }: Props) {
  const grid = feed.grid.value;
  if (feed.error.value !== null) return <p role="alert">{feed.error.value}</p>;
  if (!grid) return <p class="soft">Loading…</p>;
  if (grid.size === 0) return <p class="soft">No items yet.</p>;
  return (
    <div class="heat">
      <Cells feed={feed} grid={grid} onOpen={onOpen} />
      <Legend counts={feed.counts.value} onStatus={onStatus} />
    </div>
  );
}

function Cells({ feed, grid, onOpen }: { feed: GridFeed; grid: ItemGrid; onOpen(place: Place): void }) {
  const room = useRef<HTMLDivElement>(null);
  const { size, columns } = useCanvas(room, feed, grid);
  const [hovered, setHovered] = useState<{ cell: number; x: number; y: number } | null>(null);
  const [cursor, setCursor] = useState<number | null>(null);
  const cellUnder = ({ clientX, clientY }: MouseEvent) => {
    const element = room.current as HTMLElement;
    const { left, top } = element.getBoundingClientRect();
    const [x, y] = [clientX - left, clientY - top];
    const column = Math.floor(x / size);
    const cell = Math.floor((y + element.scrollTop) / size) * columns + column;
    return column < columns && cell < grid.size ? { cell, x, y } : null;
  };
  const press = (event: KeyboardEvent) => {
    if (event.key === "Enter" && cursor !== null) return onOpen(grid.placeOf(cursor));
    const to = moved(cursor, event.key, columns, grid.size);
    if (to === null) return;
    event.preventDefault();
    setCursor(to);
  };
  const pick = (event: MouseEvent) => {
    const under = cellUnder(event);
    if (!under) return;
    setCursor(under.cell);
    onOpen(grid.placeOf(under.cell));
  };
  return (
    <div class="heat-frame">
      <div
        ref={room}
        class="heat-room"
        role="application"
        aria-label={`Items of ${grid.node}`}
        aria-description="Arrow keys go from item to item, Enter opens one. The table has the same items."
        // biome-ignore lint/a11y/noNoninteractiveTabindex: the arrow keys move in it.
        tabIndex={0}
        onPointerMove={(event) => setHovered(cellUnder(event))}
        onPointerLeave={() => setHovered(null)}
        onClick={pick}
        onKeyDown={press}
      >
        <canvas />
        {cursor !== null && <Cursor cell={cursor} size={size} columns={columns} />}
      </div>
      {hovered && (
        <span class="heat-tip" style={{ left: `${hovered.x}px`, top: `${hovered.y}px` }}>
          {told(grid, hovered.cell)}
        </span>
      )}
      <p class="hidden" aria-live="polite">
        {cursor !== null && told(grid, cursor)}
      </p>
    </div>
  );
}

/** Keeps a canvas at the grid, the width and the theme of now. Gives how its cells are laid. */
function useCanvas(room: { current: HTMLDivElement | null }, feed: GridFeed, grid: ItemGrid): Laying {
  const [laying, setLaying] = useState<Laying>({ size: 1, columns: 1, rows: 0 });
  useEffect(() => {
    const element = room.current as HTMLDivElement;
    const canvas = element.querySelector("canvas") as HTMLCanvasElement;
    let drawn: GridCanvas | undefined;
    const draw = () => {
      drawn = new GridCanvas(canvas, element, grid);
      setLaying(drawn.laying);
    };
    const size = new ResizeObserver(draw);
    size.observe(element);
    const system = matchMedia("(prefers-color-scheme: dark)");
    system.addEventListener("change", draw);
    const chosen = new MutationObserver(draw);
    chosen.observe(document.documentElement, { attributeFilter: ["style"] });
    const leave = feed.changed.subscribe((cells) => drawn?.paint(cells));
    return () => {
      leave();
      size.disconnect();
      system.removeEventListener("change", draw);
      chosen.disconnect();
    };
  }, [room, feed, grid]);
  return laying;
}

/** Marks the cell that the keys are at, and scrolls to it. */
function Cursor({ cell, size, columns }: { cell: number; size: number; columns: number }) {
  const mark = useRef<HTMLDivElement>(null);
  useEffect(() => mark.current?.scrollIntoView({ block: "nearest" }), [cell]);
  const [left, top] = [(cell % columns) * size, Math.floor(cell / columns) * size];
  const side = `${size}px`;
  return (
    <div ref={mark} class="heat-cursor" style={{ left: `${left}px`, top: `${top}px`, width: side, height: side }} />
  );
}

/** The statuses with their signs and counts; each filters the table. */
function Legend({ counts, onStatus }: { counts: readonly number[]; onStatus: Props["onStatus"] }) {
  return (
    <fieldset class="heat-legend">
      <legend class="hidden">Show in the table</legend>
      {STATUSES.map((status, code) =>
        counts[code] ? (
          <button key={status} type="button" onClick={() => onStatus(status)}>
            <Chip status={status} label={`${number(counts[code])} ${status}`} />
          </button>
        ) : null,
      )}
    </fieldset>
  );
}

/** Where a key leads from a cell, which is null at first; null where it leads nowhere. */
function moved(from: number | null, key: string, columns: number, size: number): number | null {
  const steps: { [key: string]: number } = {
    ArrowLeft: -1,
    ArrowRight: 1,
    ArrowUp: -columns,
    ArrowDown: columns,
    Home: -size,
    End: size,
  };
  const by = steps[key];
  if (by === undefined) return null;
  return from === null ? 0 : Math.min(size - 1, Math.max(0, from + by));
}

function told(grid: ItemGrid, cell: number): string {
  if (cell >= grid.size) return "";
  const { step, index } = grid.placeOf(cell);
  return `Item ${number(index)}, step ${step}: ${grid.statusOf(cell)}`;
}
