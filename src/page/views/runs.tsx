import { effect } from "@preact/signals";
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { FlowList, RunSummary } from "../../http/api.ts";
import { path, urlOf } from "../api.ts";
import { Curl } from "../parts/code.tsx";
import { Connection } from "../parts/connection.tsx";
import { number } from "../parts/format.ts";
import { usePoll } from "../parts/poll.tsx";
import { LiveSocket } from "../parts/socket.ts";
import { linkTo, route } from "../route.ts";
import { Bulk } from "./runs-bulk.tsx";
import { ClearFilters, isFiltered, RunFilters } from "./runs-filters.tsx";
import { useRowKeys } from "./runs-keys.ts";
import { hasText, type RunFilter, type RunNews, readFilter } from "./runs-list.ts";
import { RunRows } from "./runs-rows.ts";
import { RunTable } from "./runs-table.tsx";
import "../parts/cards.css";
import "./runs.css";

const POLL_MS = 3_000;

/** All runs, the newest first, as they come and change. */
export function RunsPage() {
  const { query } = route.value;
  const filter = readFilter(query);
  const text = query.get("text") ?? "";
  const { list, socket } = useRuns(filter);
  const [chosen, choose] = useChosen(list);
  const input = useRef<HTMLInputElement>(null);
  const body = useRef<HTMLTableSectionElement>(null);
  useRowKeys(body, input);

  // Until those of another filter are there, the ones before stay.
  const before = useRef<RunSummary[] | null>(null);
  const loaded = list.rows.value ?? before.current;
  before.current = loaded;
  const runs = useMemo(() => {
    const small = text.trim().toLowerCase();
    return small === "" ? loaded : (loaded?.filter((run) => hasText(run, small)) ?? null);
  }, [loaded, text]);
  const marked = runs?.filter(({ id }) => chosen.has(id)) ?? [];
  return (
    <>
      <div class="title">
        <h1>Runs</h1>
        {socket && <Connection socket={socket} />}
      </div>
      <RunFilters input={input} />
      {list.fault.value !== null && <Fault list={list} message={list.fault.value} />}
      {marked.length > 0 && (
        <Bulk chosen={marked} onRun={(run) => list.take({ runs: [run] })} onDone={() => choose([...chosen], false)} />
      )}
      {runs === null && list.fault.value === null && <p class="soft">Loading…</p>}
      {runs && runs.length > 0 && <RunTable body={body} runs={runs} chosen={chosen} choose={choose} />}
      {runs?.length === 0 && list.rows.value !== null && <Empty isAny={!isFiltered(filter, text)} />}
      {loaded && <Foot list={list} loaded={loaded.length} shown={runs?.length ?? 0} />}
    </>
  );
}

/** The runs of a filter, told of by a WebSocket, or asked for again and again where none gets through. */
function useRuns(filter: RunFilter) {
  const list = useMemo(() => new RunRows(filter), [JSON.stringify(filter)]);
  const current = useRef(list);
  current.current = list;
  const [socket, setSocket] = useState<LiveSocket<RunNews> | null>(null);
  useEffect(() => {
    list.load();
    return () => list.close();
  }, [list]);
  useEffect(() => {
    const socket = new LiveSocket<RunNews>("/runs/live", (news, isFirst) => {
      if (isFirst) current.current.load();
      else current.current.take(news);
    });
    setSocket(socket);
    const stop = effect(() => {
      if (socket.state.value.kind !== "fallback") return;
      const timer = setInterval(() => {
        if (!document.hidden && !current.current.isLoading.peek()) current.current.load();
      }, POLL_MS);
      return () => clearInterval(timer);
    });
    return () => {
      stop();
      socket.close();
    };
  }, []);
  return { list, socket };
}

/** The runs that are marked; none of another list. */
function useChosen(list: RunRows) {
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  useEffect(() => setChosen(new Set()), [list]);
  const choose = useCallback((ids: string[], isChosen: boolean) => {
    setChosen((before) => {
      const after = new Set(before);
      for (const id of ids) isChosen ? after.add(id) : after.delete(id);
      return after;
    });
  }, []);
  return [chosen, choose] as const;
}

function Fault({ list, message }: { list: RunRows; message: string }) {
  return (
    <p class="warning" role="alert">
      <span aria-hidden="true">⚠</span> <bdi>{message}</bdi>{" "}
      <button type="button" disabled={list.isLoading.value} onClick={() => list.load()}>
        Try again
      </button>
    </p>
  );
}

function Foot({ list, loaded, shown }: { list: RunRows; loaded: number; shown: number }) {
  const hasMore = list.cursor.value !== null;
  const said = shown === loaded ? number(loaded) : `${number(shown)} of ${number(loaded)}`;
  return (
    <p class="foot soft">
      <span>
        {said} {hasMore ? "loaded" : loaded === 1 ? "run" : "runs"}
      </span>
      {hasMore && (
        <button type="button" disabled={list.isLoading.value} onClick={() => list.more()}>
          Load more
        </button>
      )}
    </p>
  );
}

function Empty({ isAny }: { isAny: boolean }) {
  if (isAny) return <FirstRun />;
  return (
    <div class="empty">
      <p>No loaded run is as the filters want it.</p>
      <ClearFilters />
    </div>
  );
}

function FirstRun() {
  const flow = usePoll<FlowList>("/flows").value?.flows[0]?.name;
  if (flow === undefined) return <p class="empty">There are no runs yet.</p>;
  return (
    <div class="empty">
      <p>
        There are no runs yet. <a href={linkTo(["flows", flow])}>Start one from its form</a>.
      </p>
      <Curl call={{ method: "POST", url: urlOf(path("flows", flow, "runs")), body: "{}" }} />
    </div>
  );
}
