import { useEffect, useRef, useState } from "preact/hooks";
import type { ErrorGroup, ErrorList } from "../../http/api.ts";
import { get, path } from "../api.ts";
import { number } from "../parts/format.ts";
import { clipped } from "./head.tsx";
import type { ViewProps } from "./run-page.tsx";
import { runLink } from "./tabs.tsx";

const PAUSE_MS = 3_000;

/** The failed items by the kind of their error: read again when more have failed, but not all the time. */
export function useErrors(id: string, version: string): { list: ErrorList | null; problem: string | null } {
  const [found, setFound] = useState<{ list: ErrorList | null; problem: string | null }>({ list: null, problem: null });
  const askedMs = useRef(0);
  useEffect(() => {
    const end = new AbortController();
    const read = async () => {
      askedMs.current = Date.now();
      try {
        setFound({ list: await get<ErrorList>(`${path("runs", id)}/errors`, end.signal), problem: null });
      } catch (error) {
        if (!end.signal.aborted) setFound(({ list }) => ({ list, problem: (error as Error).message }));
      }
    };
    const timer = setTimeout(read, Math.max(0, askedMs.current + PAUSE_MS - Date.now()));
    return () => {
      clearTimeout(timer);
      end.abort();
    };
  }, [id, version]);
  return found;
}

export function ErrorsView({ id, live }: ViewProps) {
  const run = live.run.value;
  const { list, problem } = useErrors(id, `${run?.items.failed} ${run?.redriveCount}`);
  return (
    <>
      {problem !== null && (
        <p class="warning" role="alert">
          <bdi>{problem}</bdi>
        </p>
      )}
      {list === null && problem === null && <p class="soft">Loading…</p>}
      {list !== null && <ErrorTable id={id} groups={list.errors} />}
      {list !== null && list.more > 0 && <p class="soft">{number(list.more)} failed items more are of other kinds.</p>}
    </>
  );
}

/** Groups of errors, the largest first, each with the way to its items. */
export function ErrorTable({ id, groups }: { id: string; groups: readonly ErrorGroup[] }) {
  if (groups.length === 0) return <p class="soft">No item has failed.</p>;
  const most = Math.max(...groups.map(({ count }) => count));
  return (
    <table class="errors">
      <thead>
        <tr>
          <th scope="col">Items</th>
          <th scope="col">Error</th>
          <th scope="col">Nodes</th>
        </tr>
      </thead>
      <tbody>
        {groups.map((group) => (
          <tr key={group.id}>
            <td class="errors-count">
              <b>{number(group.count)}</b>
              <span class="errors-bar" style={{ width: `${(100 * group.count) / most}%` }} aria-hidden="true" />
            </td>
            <td>
              <a href={runLink(id, { tab: "items", status: "failed", error: group.id })}>
                <bdi>{group.name}</bdi>: <bdi>{clipped(group.message, 300)}</bdi>
              </a>
            </td>
            <td class="soft">
              <bdi>{clipped(group.nodes.join(", "), 200)}</bdi>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
