import type { RefObject } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Item, Step } from "../../http/api.ts";
import { duration } from "../parts/format.ts";
import { runLink } from "./tabs.tsx";
import { type Stretch, type TimelineRow, tickMs } from "./timeline-rows.ts";
import "./waterfall.css";

const ROW_PX = 26;
const TICK_ROOM_PX = 90;
/** Rows that are drawn though they are not quite seen. */
const SPARE = 8;
/** Browsers lay nothing out that is wider than some millions of pixels. */
const WIDEST_PX = 4_000_000;
const ZOOM = 2;
/** Of a narrow page the names take less. */
const NARROW_PX = 560;
const NAME_PX = { narrow: 120, wide: 230 };

interface Props {
  id: string;
  rows: TimelineRow[];
  shown: ReadonlyMap<number, readonly Item[]>;
  toggle(step: Step): void;
  fromMs: number;
  toMs: number;
}

interface View {
  top: number;
  left: number;
  width: number;
  height: number;
}

/** Rows of bars over an axis of time. Only those that are seen are drawn. */
export function Waterfall({ id, rows, shown, toggle, fromMs, toMs }: Props) {
  const ref = useRef<HTMLDivElement>(null);
  const view = useView(ref);
  /** How much time is seen at once; nothing where that is all. */
  const [seenMs, setSeenMs] = useState<number | null>(null);
  const spanMs = toMs - fromMs;
  const namePx = view.width < NARROW_PX ? NAME_PX.narrow : NAME_PX.wide;
  const roomPx = Math.max(100, view.width - namePx - 12);
  const trackPx = Math.min(WIDEST_PX, seenMs === null ? roomPx : Math.max(roomPx, (roomPx * spanMs) / seenMs));
  const pxPerMs = trackPx / spanMs;
  const zoom = (by: number) => setSeenMs((before) => limited((before ?? spanMs) / by, spanMs));
  useWheel(ref, zoom);
  const first = Math.max(0, Math.floor(view.top / ROW_PX) - SPARE);
  const drawn = rows.slice(first, first + Math.ceil(view.height / ROW_PX) + 2 * SPARE);
  return (
    <>
      <div class="buttons" role="toolbar" aria-label="Zoom">
        <Zoom label="Fit" isOn={seenMs === null} act={() => setSeenMs(null)} />
        <Zoom label="1 min" isOn={seenMs === 60_000} act={() => setSeenMs(limited(60_000, spanMs))} />
        <Zoom label="10 s" isOn={seenMs === 10_000} act={() => setSeenMs(limited(10_000, spanMs))} />
        <button type="button" aria-label="Zoom in" onClick={() => zoom(ZOOM)}>
          +
        </button>
        <button type="button" aria-label="Zoom out" onClick={() => zoom(1 / ZOOM)}>
          −
        </button>
        <Legend />
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, by the keyboard too. */}
      <section class="waterfall" ref={ref} tabIndex={0} aria-label="Timeline of the steps">
        <div class="waterfall-axis" style={{ width: px(namePx + trackPx) }}>
          <Ticks {...{ pxPerMs, namePx, spanMs, view }} />
        </div>
        <ul style={{ height: px(rows.length * ROW_PX), width: px(namePx + trackPx) }}>
          {drawn.map((row, at) => (
            <li key={row.key} style={{ top: px((first + at) * ROW_PX), height: px(ROW_PX) }}>
              <Name {...{ id, row, namePx, shown, toggle }} />
              {row.stretches.map((stretch) => (
                <Bar key={stretch.kind} {...{ stretch, fromMs, pxPerMs, namePx }} />
              ))}
            </li>
          ))}
        </ul>
      </section>
    </>
  );
}

function px(value: number): string {
  return `${value}px`;
}

function limited(ms: number, spanMs: number): number | null {
  return ms >= spanMs ? null : Math.max(5, ms);
}

function Zoom({ label, isOn, act }: { label: string; isOn: boolean; act(): void }) {
  return (
    <button type="button" aria-pressed={isOn} onClick={act}>
      {label}
    </button>
  );
}

function Legend() {
  return (
    <span class="legend soft">
      {["queued", "running", "succeeded", "failed", "canceled"].map((kind) => (
        <span key={kind}>
          <span class={`swatch ${kind}`} aria-hidden="true" /> {kind}
        </span>
      ))}
      <span>↻ tried again</span>
    </span>
  );
}

function Name(props: { id: string; row: TimelineRow; namePx: number; shown: Props["shown"]; toggle: Props["toggle"] }) {
  const { name, depth, step, tries, stretches, key } = props.row;
  const isOpen = step !== undefined && props.shown.has(step.id);
  const last = stretches.at(-1);
  const query = step ? { tab: "items", node: step.node } : { tab: "items", item: key };
  return (
    <span class="waterfall-name" style={{ width: px(props.namePx), paddingLeft: px(Math.min(depth, 6) * 12) }}>
      {step && step.total > 0 && (
        <button type="button" aria-expanded={isOpen} aria-label={`Items of ${name}`} onClick={() => props.toggle(step)}>
          {isOpen ? "▾" : "▸"}
        </button>
      )}
      <a href={runLink(props.id, query)} title={name}>
        <bdi>{name}</bdi>
      </a>
      {tries !== undefined && <span class="soft"> ↻{tries}</span>}
      {last && <span class="hidden">, {said(last)}</span>}
    </span>
  );
}

function Bar(props: { stretch: Stretch; fromMs: number; pxPerMs: number; namePx: number }) {
  const { stretch, fromMs, pxPerMs, namePx } = props;
  const left = namePx + Math.max(0, stretch.fromMs - fromMs) * pxPerMs;
  const width = Math.max(2, (stretch.toMs - Math.max(fromMs, stretch.fromMs)) * pxPerMs);
  return (
    <span class={`waterfall-bar ${stretch.kind}`} title={said(stretch)} style={{ left: px(left), width: px(width) }} />
  );
}

function said({ kind, fromMs, toMs }: Stretch): string {
  return `${kind} for ${duration(toMs - fromMs)}`;
}

function Ticks(props: { pxPerMs: number; namePx: number; spanMs: number; view: View }) {
  const { pxPerMs, namePx, spanMs, view } = props;
  const every = tickMs(pxPerMs, TICK_ROOM_PX);
  const first = Math.floor(view.left / pxPerMs / every);
  const last = Math.min(Math.floor(spanMs / every), Math.ceil((view.left + view.width) / pxPerMs / every));
  const ticks = Array.from({ length: Math.max(0, last - first + 1) }, (_, at) => (first + at) * every);
  return (
    <>
      {ticks.map((ms) => (
        <span key={ms} style={{ left: px(namePx + ms * pxPerMs) }}>
          {ms === 0 ? "0" : duration(ms)}
        </span>
      ))}
    </>
  );
}

/** What of the box is seen, as it is scrolled and sized. */
function useView(ref: RefObject<HTMLDivElement | null>): View {
  const [view, setView] = useState<View>({ top: 0, left: 0, width: 0, height: 0 });
  useLayoutEffect(() => {
    const box = ref.current as HTMLDivElement;
    let frame = 0;
    const look = () => {
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(() =>
        setView({ top: box.scrollTop, left: box.scrollLeft, width: box.clientWidth, height: box.clientHeight }),
      );
    };
    const sizes = new ResizeObserver(look);
    sizes.observe(box);
    box.addEventListener("scroll", look, { passive: true });
    return () => {
      sizes.disconnect();
      cancelAnimationFrame(frame);
      box.removeEventListener("scroll", look);
    };
  }, []);
  return view;
}

/** The wheel zooms while Ctrl is held, as a pinch does; without it the box scrolls. */
function useWheel(ref: RefObject<HTMLDivElement | null>, zoom: (by: number) => void): void {
  const latest = useRef(zoom);
  latest.current = zoom;
  useEffect(() => {
    const turn = (event: WheelEvent) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      latest.current(event.deltaY < 0 ? 1.25 : 1 / 1.25);
    };
    const box = ref.current;
    box?.addEventListener("wheel", turn, { passive: false });
    return () => box?.removeEventListener("wheel", turn);
  }, []);
}
