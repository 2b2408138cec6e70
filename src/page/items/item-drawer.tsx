import { useEffect, useState } from "preact/hooks";
import type { ItemDetail, Run, RunOutline } from "../../http/api.ts";
import { get, path, send } from "../api.ts";
import { Copy } from "../parts/copy.tsx";
import { confirm, Dialog } from "../parts/dialog.tsx";
import { duration, number } from "../parts/format.ts";
import { attempt, say } from "../parts/notes.tsx";
import { Chip } from "../parts/status.tsx";
import { Time } from "../parts/time.tsx";
import { Text, Value } from "../parts/value.tsx";
import { setQuery } from "../route.ts";
import type { Place } from "./grid.ts";
import { ItemTries } from "./item-tries.tsx";
import type { ItemsSource } from "./items-view.tsx";
import { Paced } from "./paced.ts";
import "./item-drawer.css";

const PACE_MS = 1_000;

interface Props {
  run: RunOutline;
  place: Place;
  live: ItemsSource;
  /** Changes when all may be old. */
  version: string;
}

/** One item, at the side of the page: what went in, what came out, and each try. */
export function ItemDrawer({ run, place, live, version }: Props) {
  const { item, error } = useItem(run.id, place, live, version);
  return (
    <Dialog isSide title={`Item ${number(place.index)} of step ${place.step}`} onClose={() => setQuery({ item: null })}>
      <div class="buttons item-buttons">
        <Copy text={() => location.href} label="Copy link" what="The link is copied" />
        {item?.status === "failed" && run.finishedAt !== null && <Retry run={run} place={place} />}
      </div>
      {error !== null && <p role="alert">{error}</p>}
      {item ? <Detail item={item} /> : error === null && <p class="soft">Loading…</p>}
    </Dialog>
  );
}

export function openItem({ step, index }: Place): void {
  setQuery({ item: `${step}-${index}` });
}

/** The item as it is now: it is read again when it moves. */
function useItem(id: string, { step, index }: Place, live: ItemsSource, version: string) {
  const [shown, setShown] = useState<{ key: string; item: ItemDetail | null; error: string | null } | null>(null);
  const key = `${step}-${index}`;
  useEffect(() => {
    const gone = new AbortController();
    const reading = new Paced(PACE_MS, async () => {
      const news = await get<ItemDetail>(path("runs", id, "items", step, index), gone.signal).then(
        (item) => ({ item, error: null }),
        (error: Error) => ({ item: null, error: error.message }),
      );
      if (!gone.signal.aborted) setShown({ key, ...news });
    });
    reading.ask();
    const leave = live.onMoved((news) => {
      const isMoved = news === "stale" || news.some((move) => move.step === step && move.indexes.includes(index));
      if (isMoved) reading.ask();
    });
    return () => {
      leave();
      reading.stop();
      gone.abort();
    };
  }, [id, key, live, version]);
  return shown?.key === key ? shown : { item: null, error: null };
}

function Retry({ run: { id }, place }: { run: RunOutline; place: Place }) {
  const retry = async () => {
    const text = "Other failed items stay as they are.";
    if (!(await confirm({ title: "Retry 1 item?", text, yes: "Retry" }))) return;
    await attempt(async () => {
      await send<Run>("POST", path("runs", id, "retry"), { items: [place] });
      say("The item is tried again");
    });
  };
  return (
    <button type="button" onClick={retry}>
      Retry this item
    </button>
  );
}

function Detail({ item }: { item: ItemDetail }) {
  const [started, finished] = [item.startedAt, item.finishedAt];
  return (
    <>
      <dl class="facts">
        <dt>Status</dt>
        <dd>
          <Chip status={item.status} />
        </dd>
        <dt>Node</dt>
        <dd>
          <bdi>{item.node}</bdi>
        </dd>
        <dt>Branch</dt>
        <dd>
          <bdi>{item.branch}</bdi>
        </dd>
        <dt>Attempts</dt>
        <dd>
          {item.attempts}
          {item.redrives > 0 && `, after ${item.redrives} ${item.redrives === 1 ? "redrive" : "redrives"}`}
        </dd>
        <dt>Started</dt>
        <dd>
          <Time at={started} />
        </dd>
        <dt>Took</dt>
        <dd>{started && finished ? duration(Date.parse(finished) - Date.parse(started)) : "–"}</dd>
        {item.nextAt && (
          <>
            <dt>Next try</dt>
            <dd>
              <Time at={item.nextAt} />
            </dd>
          </>
        )}
      </dl>
      {item.error && (
        <>
          <h3>Error</h3>
          <Text text={`${item.error.name}: ${item.error.message}`} label="Error" />
        </>
      )}
      {item.result !== undefined && (
        <>
          <h3>Result</h3>
          <Value value={item.result} label="Result" />
        </>
      )}
      <h3>Input</h3>
      <Value value={item.input} label="Input" />
      <ItemTries item={item} />
    </>
  );
}
