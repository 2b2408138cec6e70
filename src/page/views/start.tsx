import type { Flow } from "../../http/api.ts";
import { path } from "../api.ts";
import { GraphView } from "../graph/graph-view.tsx";
import { PollNote, usePoll } from "../parts/poll.tsx";
import { linkTo } from "../route.ts";
import { StartForm } from "./start-form.tsx";
import "../parts/cards.css";
import "./start.css";

/** A flow: what starts it, and what it looks like. */
export function StartPage({ flow: name }: { flow: string }) {
  const polled = usePoll<Flow>(path("flows", name));
  const flow = polled.value;
  return (
    <>
      <h1>
        <bdi>{name}</bdi>
      </h1>
      <p>
        <a href={linkTo(["runs"], { flow: name })}>Its runs</a>
      </p>
      <PollNote polled={polled} />
      {flow && (
        <>
          <section class="card" aria-label="Start a run">
            <StartForm flow={flow} />
          </section>
          <GraphView flow={flow} />
        </>
      )}
    </>
  );
}
