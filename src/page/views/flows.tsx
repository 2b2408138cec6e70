import type { Flow, FlowList, RunList } from "../../http/api.ts";
import { path, search } from "../api.ts";
import { PollNote, usePoll } from "../parts/poll.tsx";
import { Chip } from "../parts/status.tsx";
import { Table } from "../parts/table.tsx";
import { Time } from "../parts/time.tsx";
import { linkTo } from "../route.ts";
import "../parts/cards.css";
import "./runs.css";

const POLL_MS = 5_000;

const HEADS = { flow: "Flow", nodes: "Nodes", last: "Last run", act: <span class="hidden">What to do</span> };

/** What can be started. */
export function FlowsPage() {
  const polled = usePoll<FlowList>("/flows");
  const flows = polled.value?.flows;
  return (
    <>
      <h1>Flows</h1>
      <PollNote polled={polled} />
      {flows?.length === 0 && (
        <p class="empty">
          There is no flow yet: give <code>serve</code> one,{" "}
          <code>{"serve({ flows: { hello: () => new Flow(…) } })"}</code>
        </p>
      )}
      {flows && flows.length > 0 && (
        <Table caption="All flows" class="flows" heads={HEADS}>
          {flows.map(({ name }) => (
            <FlowRow key={name} name={name} />
          ))}
        </Table>
      )}
    </>
  );
}

function FlowRow({ name }: { name: string }) {
  const { value: flow } = usePoll<Flow>(path("flows", name));
  const { value: last } = usePoll<RunList>(`/runs${search({ flow: name, limit: 1 })}`, POLL_MS);
  const run = last?.runs[0];
  const nodes = flow?.nodes.filter(({ start }) => start === undefined).map((node) => node.name) ?? [];
  return (
    <tr>
      <td class="clip">
        <a href={linkTo(["flows", name])} title={name}>
          <bdi>{name}</bdi>
        </a>
      </td>
      <td class="clip soft" title={nodes.join(", ")}>
        <bdi>{nodes.join(", ")}</bdi>
      </td>
      <td>
        {run ? (
          <>
            <a href={linkTo(["runs", run.id])}>
              <Chip status={run.status} />
            </a>{" "}
            <span class="soft">
              <Time at={run.createdAt} />
            </span>
          </>
        ) : (
          <span class="soft">{last ? "never ran" : "…"}</span>
        )}
      </td>
      <td>
        <div class="buttons">
          <a href={linkTo(["flows", name])} aria-label={`Start ${name}`}>
            Start
          </a>
          <a href={linkTo(["runs"], { flow: name })} aria-label={`Runs of ${name}`}>
            Runs
          </a>
        </div>
      </td>
    </tr>
  );
}
