import { useEffect, useMemo, useRef } from "preact/hooks";
import { number } from "../parts/format.ts";
import { print } from "../parts/print.ts";
import { route, setQuery } from "../route.ts";
import { EventRow } from "./event-row.tsx";
import { type HistoryEvent, history } from "./history.ts";
import { MOST_EVENTS } from "./merge.ts";
import type { ViewProps } from "./run-page.tsx";

/** So many are shown at once; and so much of what an event carries is searched. */
const MOST_ROWS = 500;
const MOST_SEARCHED = 10_000;

/** What has happened in a run, the latest first. */
export function EventsView({ id, live }: ViewProps) {
  const run = live.run.value;
  const events = live.events.value;
  const { query } = route.value;
  const [type, text, marked] = [query.get("type") ?? "", query.get("text") ?? "", query.get("event")];
  const all = useMemo(() => (run ? history(run, events).reverse() : []), [run, events]);
  const found = useMemo(
    () => all.filter((event) => fits(event, type, text) || event.key === marked),
    [all, type, text, marked],
  );
  const types = [...new Set(all.map((event) => event.type))].sort();
  const at = found.findIndex(({ key }) => key === marked);
  const first = at < MOST_ROWS ? 0 : at - 10;
  const shown = found.slice(first, first + MOST_ROWS);
  return (
    <>
      <search class="filters" aria-label="Events">
        <label>
          Type{" "}
          <select value={type} onChange={(event) => setQuery({ type: event.currentTarget.value, event: null })}>
            <option value="">all</option>
            {types.map((each) => (
              <option key={each}>{each}</option>
            ))}
          </select>
        </label>
        <label>
          Text{" "}
          <input
            type="search"
            value={text}
            onInput={(event) => setQuery({ text: event.currentTarget.value, event: null })}
          />
        </label>
        <span class="soft" role="status">
          {number(found.length)} {found.length === 1 ? "event" : "events"}
          {found.length > shown.length && `, ${number(shown.length)} shown`}
        </span>
      </search>
      {events.length >= MOST_EVENTS && <p class="soft">A run keeps its latest {number(MOST_EVENTS)} events.</p>}
      {marked !== null && at === -1 && <p class="warning">The event {marked} is not kept any more.</p>}
      <EventList id={id} events={shown} marked={marked} />
    </>
  );
}

function EventList({ id, events, marked }: { id: string; events: HistoryEvent[]; marked: string | null }) {
  const list = useRef<HTMLUListElement>(null);
  const isThere = events.some(({ key }) => key === marked);
  useEffect(() => {
    if (isThere) list.current?.querySelector(".marked")?.scrollIntoView({ block: "center" });
  }, [marked, isThere]);
  return (
    <ul class="events" ref={list}>
      {events.map((event) => (
        <EventRow key={event.key} id={id} event={event} isMarked={event.key === marked} />
      ))}
    </ul>
  );
}

function fits({ type, text, node = "", data }: HistoryEvent, wanted: string, search: string): boolean {
  if (wanted !== "" && type !== wanted) return false;
  if (search === "") return true;
  const all = `${type} ${node} ${text} ${data === undefined ? "" : print(data, MOST_SEARCHED)}`;
  return all
    .slice(0, 2 * MOST_SEARCHED)
    .toLowerCase()
    .includes(search.toLowerCase());
}
