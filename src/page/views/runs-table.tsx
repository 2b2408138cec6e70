import type { Ref } from "preact";
import { useMemo } from "preact/hooks";
import type { ItemCounts, RunSummary } from "../../http/api.ts";
import { Copy } from "../parts/copy.tsx";
import { duration, fromNow, now, number } from "../parts/format.ts";
import { Bar, Chip } from "../parts/status.tsx";
import { Table } from "../parts/table.tsx";
import { Time } from "../parts/time.tsx";
import { linkTo } from "../route.ts";
import { isOpen } from "./runs-list.ts";

/** A message is one line here; the run has all of it. */
const SHOWN = 300;

interface Props {
  body: Ref<HTMLTableSectionElement>;
  runs: RunSummary[];
  chosen: ReadonlySet<string>;
  /** Has to be the same function each time, or else all rows are made again. */
  choose(ids: string[], isChosen: boolean): void;
}

export function RunTable({ body, runs, chosen, choose }: Props) {
  const count = runs.filter(({ id }) => chosen.has(id)).length;
  const isAll = count > 0 && count === runs.length;
  const heads = {
    pick: (
      <input
        type="checkbox"
        aria-label="Choose all loaded runs"
        checked={isAll}
        onChange={() =>
          choose(
            runs.map(({ id }) => id),
            !isAll,
          )
        }
      />
    ),
    ...{ state: "Status", what: "Run", by: "Trigger", at: "Created", took: "Took", far: "Progress", "note-of": "Note" },
  };
  return (
    <Table caption="Runs, the newest first. J and K go from one to the next." class="runs" heads={heads} body={body}>
      {runs.map((run) => (
        <Row key={run.id} run={run} isChosen={chosen.has(run.id)} choose={choose} />
      ))}
    </Table>
  );
}

function Row({ run, isChosen, choose }: { run: RunSummary; isChosen: boolean; choose: Props["choose"] }) {
  return useMemo(() => {
    const { id, flow, status, trigger, items, createdAt } = run;
    const by = trigger.name === null ? trigger.type : `${trigger.type}:${trigger.name}`;
    return (
      <tr class={isChosen ? "chosen" : ""}>
        <td class="pick">
          <input
            type="checkbox"
            aria-label={`Choose run ${id}`}
            checked={isChosen}
            onChange={() => choose([id], !isChosen)}
          />
        </td>
        <td class="state">
          <Chip status={status} />
        </td>
        <td class="what">
          <a href={linkTo(["runs", id])} title={flow.slice(0, SHOWN)} class="clip">
            <bdi>{flow.slice(0, SHOWN)}</bdi>
          </a>
          <span class="id mono soft" title={id}>
            {shortId(id)} <Copy text={() => id} label="Copy" name={`Copy the id ${id}`} what="Copied the run's id" />
          </span>
        </td>
        <td class="by clip" title={by.slice(0, SHOWN)}>
          <bdi>{by.slice(0, SHOWN)}</bdi>
        </td>
        <td class="at">
          <Time at={createdAt} />
        </td>
        <td class="took">
          <Took run={run} />
        </td>
        <td class="far">
          <Progress items={items} />
        </td>
        <td class="note-of clip">
          <Note run={run} />
        </td>
      </tr>
    );
  }, [run, isChosen, choose]);
}

function shortId(id: string): string {
  return `${id.slice(0, 6)}…${id.slice(-6)}`;
}

function Took({ run }: { run: RunSummary }) {
  if (run.startedAt === null) return <>–</>;
  const endMs = run.finishedAt === null ? now.value : Date.parse(run.finishedAt);
  return <>{duration(endMs - Date.parse(run.startedAt))}</>;
}

function Progress({ items }: { items: ItemCounts }) {
  if (items.total === 0) return <span class="soft">–</span>;
  return (
    <>
      <span class="count">
        {number(items.succeeded + items.failed + items.canceled)} / {number(items.total)}
      </span>
      <Bar items={items} label="Items of the run" />
    </>
  );
}

/** What is most worth to know of a run: why it failed, what it waits for, where it is. */
function Note({ run }: { run: RunSummary }) {
  const { error, items, resumesAt, step } = run;
  if (error !== null) {
    const said = `${error.name}: ${error.message}`.slice(0, SHOWN);
    return (
      <bdi class="wrong" title={said}>
        {said}
      </bdi>
    );
  }
  if (items.failed > 0) return <span class="wrong">{number(items.failed)} failed</span>;
  if (!isOpen(run)) return null;
  if (resumesAt !== null) return <span class="soft">wakes {fromNow(resumesAt)}</span>;
  return step && <bdi class="soft">at {step.node.slice(0, SHOWN)}</bdi>;
}
