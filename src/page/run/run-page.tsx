import { useEffect, useState } from "preact/hooks";
import { Connection } from "../parts/connection.tsx";
import { linkTo, route } from "../route.ts";
import { ErrorsView } from "./errors-view.tsx";
import { EventsView } from "./events-view.tsx";
import { RunHead } from "./head.tsx";
import { ItemsTab } from "./items-tab.tsx";
import { RunLive } from "./live.ts";
import { OutputView } from "./output-view.tsx";
import { Overview } from "./overview.tsx";
import "./run.css";
import { isTab, Tabs } from "./tabs.tsx";
import { Timeline } from "./timeline.tsx";

/** One run, as it goes on. */
export function RunPage({ id }: { id: string }) {
  const [live, setLive] = useState<RunLive | null>(null);
  useEffect(() => {
    const opened = new RunLive(id);
    setLive(opened);
    return () => opened.close();
  }, [id]);
  return live && <Shown id={id} live={live} />;
}

const VIEWS = {
  overview: Overview,
  items: ItemsTab,
  errors: ErrorsView,
  timeline: Timeline,
  events: EventsView,
  output: OutputView,
};

/** What each view of a run is given. */
export interface ViewProps {
  id: string;
  live: RunLive;
}

function Shown({ id, live }: ViewProps) {
  const problem = live.problem.value;
  const run = live.run.value;
  if (!run) return <Missing id={id} problem={problem?.text} />;
  const picked = route.value.query.get("tab");
  const tab = isTab(picked) ? picked : "overview";
  const View = VIEWS[tab];
  return (
    <div class="run">
      <div class="run-strip">
        <a href={linkTo(["runs"])}>← All runs</a>
        <Connection socket={live.socket} />
      </div>
      {problem && (
        <p class="warning" role="alert">
          <bdi>{problem.text}</bdi>
        </p>
      )}
      <RunHead run={run} live={live} />
      <Tabs tab={tab} run={run} />
      <div id="run-view" role="tabpanel" aria-labelledby={`tab-${tab}`}>
        <View id={id} live={live} />
      </div>
    </div>
  );
}

function Missing({ id, problem }: { id: string; problem: string | undefined }) {
  if (problem === undefined) return <p class="soft">Loading…</p>;
  return (
    <>
      <h1>This run cannot be shown</h1>
      <p>
        <bdi class="mono">{id}</bdi>
      </p>
      <p>
        <bdi>{problem}</bdi>
      </p>
      <p>
        <a href={linkTo(["runs"])}>All runs</a>
      </p>
    </>
  );
}
