import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { duration, number } from "../parts/format.ts";
import { Chip } from "../parts/status.tsx";
import { Time } from "../parts/time.tsx";
import { linkTo, route } from "../route.ts";
import type { ItemPages, Row } from "./item-pages.ts";
import type { ItemsSource } from "./items-view.tsx";
import { Paced } from "./paced.ts";
import "./item-table.css";

/** As the style sheet has it. */
const ROW_HEIGHT = 34;
const OVERSCAN = 10;
/** So many rows before the end the next page is asked for. */
const AHEAD = 100;
const PACE_MS = 1_000;

/** What the rows are sorted by, the most first; nothing while they are in the order of steps and of what is in them. */
type Sort = "attempts" | "ms" | null;

interface Props {
  pages: ItemPages;
  live: ItemsSource;
  /** Changes when all may be old. */
  version: string;
}

/** Items as a table of which only the rows that are seen are there; the next ones are read when one comes near them. */
export function ItemTable({ pages, live, version }: Props) {
  const [sort, setSort] = useState<Sort>(null);
  const [first, setFirst] = useState(0);
  const [height, setHeight] = useState(400);
  const room = useRef<HTMLDivElement>(null);
  const loaded = pages.rows.value;
  const rows = useMemo(() => sorted(loaded, sort), [loaded, sort]);
  const from = Math.max(0, Math.min(first, rows.length - 1) - OVERSCAN);
  const to = Math.min(rows.length, first + Math.ceil(height / ROW_HEIGHT) + OVERSCAN);
  const seen = rows.slice(from, to);
  useFresh(pages, live, version, seen, to);

  useEffect(() => {
    const element = room.current as HTMLDivElement;
    const size = new ResizeObserver(() => setHeight(element.clientHeight));
    size.observe(element);
    return () => size.disconnect();
  }, []);
  const isEndNear = to + AHEAD >= rows.length;
  const isComplete = pages.isComplete.value;
  const error = pages.error.value;
  useEffect(() => {
    if (isEndNear && error === null) void pages.more();
  }, [pages, isEndNear, loaded, error]);

  return (
    <>
      <section
        ref={room}
        class="items-room"
        aria-label="Items"
        onScroll={() => setFirst(Math.floor((room.current?.scrollTop ?? 0) / ROW_HEIGHT))}
      >
        <table class="items" aria-label="Items" aria-rowcount={isComplete ? rows.length + 1 : -1}>
          <thead>
            <tr aria-rowindex={1}>
              <th>Index</th>
              <th>Status</th>
              <th>Node</th>
              <th>Branch</th>
              <th>Step</th>
              <Sortable name="attempts" label="Attempts" {...{ sort, setSort }} />
              <Sortable name="ms" label="Duration" {...{ sort, setSort }} />
              <th>Error or result</th>
              <th>Started</th>
            </tr>
          </thead>
          <Space rows={from} />
          <tbody>
            {seen.map((row, at) => (
              <ItemRow key={`${row.step}-${row.index}`} row={row} place={from + at + 2} />
            ))}
          </tbody>
          <Space rows={rows.length - to} />
        </table>
      </section>
      <Foot {...{ pages, error, isComplete, isSorted: sort !== null, count: rows.length }} />
    </>
  );
}

/** Reads again what is seen when items have moved: at most once a second, however many they are. */
function useFresh(pages: ItemPages, live: ItemsSource, version: string, seen: readonly Row[], end: number): void {
  const wanted = useRef<number[]>([]);
  // What comes after the last row comes with the last page.
  wanted.current = [...seen.map(({ page }) => page), ...(end >= pages.rows.value.length ? [pages.last] : [])];
  const pace = useRef<Paced | null>(null);
  useEffect(() => {
    const paced = new Paced(PACE_MS, async () => {
      if (await pages.refresh(wanted.current)) paced.ask();
    });
    pace.current = paced;
    const leave = live.onMoved(() => {
      pages.spoil();
      paced.ask();
    });
    return () => {
      leave();
      paced.stop();
    };
  }, [pages, live]);
  useEffect(() => {
    pages.spoil();
    pace.current?.ask();
  }, [pages, version]);
  const first = seen[0]?.page;
  useEffect(() => pace.current?.ask(), [first, seen.at(-1)?.page]);
}

function ItemRow({ row, place }: { row: Row; place: number }) {
  const { path, query } = route.value;
  const link = linkTo(path, { ...Object.fromEntries(query), item: `${row.step}-${row.index}` });
  return (
    <tr aria-rowindex={place}>
      <td>
        <a href={link} aria-label={`Item ${row.index} of step ${row.step}`}>
          {number(row.index)}
        </a>
      </td>
      <td>
        <Chip status={row.status} />
      </td>
      <Data text={row.node} />
      <Data text={row.branch} />
      <td>{row.step}</td>
      <td>{row.attempts}</td>
      <td>{row.ms === null ? "–" : duration(row.ms)}</td>
      <Data text={row.text} />
      <td>
        <Time at={row.startedAt} />
      </td>
    </tr>
  );
}

function Data({ text }: { text: string }) {
  return (
    <td title={text}>
      <bdi>{text}</bdi>
    </td>
  );
}

/** Room for rows that are not there. */
function Space({ rows }: { rows: number }) {
  return <tbody class="space" style={{ height: `${Math.max(0, rows) * ROW_HEIGHT}px` }} />;
}

function Sortable(props: { name: NonNullable<Sort>; label: string; sort: Sort; setSort(sort: Sort): void }) {
  const { name, label, sort, setSort } = props;
  const isSorted = sort === name;
  return (
    <th aria-sort={isSorted ? "descending" : undefined}>
      <button type="button" title="Sorts what is loaded" onClick={() => setSort(isSorted ? null : name)}>
        {label} <span aria-hidden="true">{isSorted ? "↓" : "↕"}</span>
      </button>
    </th>
  );
}

interface FootProps {
  pages: ItemPages;
  error: string | null;
  isComplete: boolean;
  isSorted: boolean;
  count: number;
}

function Foot({ pages, error, isComplete, isSorted, count }: FootProps): ComponentChildren {
  if (error !== null) {
    return (
      <p role="alert">
        {error}{" "}
        <button type="button" onClick={() => pages.more()}>
          Try again
        </button>
      </p>
    );
  }
  return (
    <p class="soft">
      {isComplete && count === 0 ? "No items here." : `${number(count)} loaded`}
      {!isComplete && (isSorted ? "; only these are sorted" : ", more as you scroll")}
    </p>
  );
}

function sorted(rows: readonly Row[], sort: Sort): readonly Row[] {
  return sort ? rows.toSorted((a, b) => (b[sort] ?? -1) - (a[sort] ?? -1)) : rows;
}
