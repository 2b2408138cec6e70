import { useEffect, useRef, useState } from "preact/hooks";
import { setQuery } from "../route.ts";
import { STATUSES } from "./grid.ts";

const PAUSE_MS = 300;

/** What the table is filtered by, as the URL has it; empty for what it is not. */
export interface Filters {
  node: string;
  status: string;
  text: string;
  error: string;
}

export function readFilters(query: URLSearchParams): Filters {
  const of = (name: string) => query.get(name) ?? "";
  return { node: of("node"), status: of("status"), text: of("text"), error: of("error") };
}

/** What filters the items; all of it is in the URL. */
export function ItemFilters({ filters, nodes }: { filters: Filters; nodes: string[] }) {
  return (
    <search class="filters">
      <Choice label="Node" name="node" value={filters.node} options={nodes} />
      <Choice label="Status" name="status" value={filters.status} options={STATUSES} />
      <Search text={filters.text} />
      {filters.error && (
        <button type="button" onClick={() => setQuery({ error: null })}>
          One group of errors <span aria-hidden="true">✕</span>
          <span class="hidden">: show all items again</span>
        </button>
      )}
    </search>
  );
}

function Choice(props: { label: string; name: "node" | "status"; value: string; options: readonly string[] }) {
  const { label, name, value, options } = props;
  const known = value === "" || options.includes(value) ? options : [value, ...options];
  return (
    <label>
      {label}{" "}
      <select value={value} onChange={({ currentTarget }) => setQuery({ [name]: currentTarget.value })}>
        <option value="">all</option>
        {known.map((option) => (
          <option key={option} value={option}>
            {option}
          </option>
        ))}
      </select>
    </label>
  );
}

/** What is written filters after a pause. */
function Search({ text }: { text: string }) {
  const [written, setWritten] = useState(text);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => setWritten(text), [text]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const write = (text: string) => {
    setWritten(text);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setQuery({ text }), PAUSE_MS);
  };
  return (
    <label>
      Search{" "}
      <input
        type="search"
        placeholder="index, branch, result, error"
        value={written}
        onInput={({ currentTarget }) => write(currentTarget.value)}
      />
    </label>
  );
}
