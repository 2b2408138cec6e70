import { useEffect, useState } from "preact/hooks";
import type { Flow } from "../../http/api.ts";
import { get, path } from "../api.ts";
import { GraphView } from "../graph/graph-view.tsx";
import { go } from "../route.ts";
import { ErrorTable, useErrors } from "./errors-view.tsx";
import { EventRow } from "./event-row.tsx";
import { history } from "./history.ts";
import type { ViewProps } from "./run-page.tsx";
import { runLink } from "./tabs.tsx";

const MOST_ERRORS = 5;
const MOST_EVENTS = 8;

/** The graph, and what is most worth to know besides. */
export function Overview({ id, live }: ViewProps) {
  const run = live.run.value;
  if (!run) return null;
  const events = history(run, live.events.value).slice(-MOST_EVENTS).reverse();
  return (
    <>
      <FlowGraph id={id} live={live} />
      {run.items.failed > 0 && <Errors id={id} live={live} />}
      <section>
        <h2>Latest events</h2>
        <ul class="events">
          {events.map((event) => (
            <EventRow key={event.key} id={id} event={event} />
          ))}
        </ul>
        <p>
          <a href={runLink(id, { tab: "events" })}>All events</a>
        </p>
      </section>
    </>
  );
}

function FlowGraph({ id, live }: ViewProps) {
  const run = live.run.value;
  const name = run?.flow ?? "";
  const [flow, setFlow] = useState<Flow | string | null>(null);
  useEffect(() => {
    const end = new AbortController();
    get<Flow>(path("flows", name), end.signal).then(setFlow, (error: Error) => {
      if (!end.signal.aborted) setFlow(error.message);
    });
    return () => end.abort();
  }, [name]);
  if (!run || flow === null) return <p class="soft">Loading…</p>;
  if (typeof flow === "string") return <p class="warning">The graph cannot be drawn: {flow}</p>;
  const pick = (node: string) => go(runLink(id, { tab: "items", node }));
  return <GraphView flow={flow} nodes={live.nodes.value} run={run} onPick={pick} />;
}

function Errors({ id, live }: ViewProps) {
  const run = live.run.value;
  const { list } = useErrors(id, `${run?.items.failed} ${run?.redriveCount}`);
  if (!list) return null;
  const groups = list.errors;
  return (
    <section>
      <h2>Errors</h2>
      <ErrorTable id={id} groups={groups.slice(0, MOST_ERRORS)} />
      {groups.length > MOST_ERRORS && (
        <p>
          <a href={runLink(id, { tab: "errors" })}>All {groups.length} kinds of errors</a>
        </p>
      )}
    </section>
  );
}
