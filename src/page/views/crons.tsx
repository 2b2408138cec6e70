import { useState } from "preact/hooks";
import type { Cron, CronList, Run } from "../../http/api.ts";
import { path, send } from "../api.ts";
import { attempt } from "../parts/notes.tsx";
import { PollNote, usePoll } from "../parts/poll.tsx";
import { Time } from "../parts/time.tsx";
import { linkTo } from "../route.ts";
import { cronWords } from "./cron-words.ts";
import "../parts/cards.css";
import "./crons.css";

const POLL_MS = 5_000;
const EXAMPLE = 'serve({ crons: { "0 6 * * MON-FRI": { flow: "digest" } } })';

/** What starts by the clock. */
export function CronsPage() {
  const polled = usePoll<CronList>(path("crons"), POLL_MS);
  const { crons, mismatches = [] } = polled.value ?? {};
  return (
    <>
      <h1>Crons</h1>
      <PollNote polled={polled} />
      {mismatches.map((mismatch) => (
        <p key={mismatch} class="warning">
          <span aria-hidden="true">⚠</span> <bdi>{mismatch}</bdi>
        </p>
      ))}
      {crons?.length === 0 && (
        <p class="empty">
          There is no cron yet: <code>{EXAMPLE}</code>, and the same times in wrangler.toml
        </p>
      )}
      {crons?.map((cron) => (
        <CronCard key={cron.name} cron={cron} onStart={polled.refresh} />
      ))}
    </>
  );
}

function CronCard({ cron, onStart }: { cron: Cron; onStart(): void }) {
  const [started, setStarted] = useState<string>();
  const [isStarting, setStarting] = useState(false);
  const { name, flow, overlap, lastAt, lastRun, nextAt, skippedAt } = cron;
  const words = cronWords(cron.cron);
  const start = async () => {
    setStarting(true);
    const run = await attempt(() => send<Run>("POST", path("crons", name, "run")));
    setStarting(false);
    if (!run) return;
    setStarted(run.id);
    onStart();
  };
  return (
    <section class="card">
      <header>
        <h2>
          <bdi>{name}</bdi>
        </h2>
        <code>{cron.cron}</code>
        {words && <span class="soft">{words}</span>}
        <div class="buttons">
          <button type="button" disabled={isStarting} onClick={start}>
            <span aria-hidden="true">▶</span> {isStarting ? "Starting…" : "Run now"}
            <span class="hidden"> {name}</span>
          </button>
        </div>
      </header>
      <p role="status" class="cron-started">
        {started && (
          <>
            ✓ Started: <a href={linkTo(["runs", started])}>{started}</a>
          </>
        )}
      </p>
      <dl class="cron-facts">
        <div>
          <dt>Flow</dt>
          <dd>
            <a href={linkTo(["flows", flow])}>
              <bdi>{flow}</bdi>
            </a>
          </dd>
        </div>
        <div>
          <dt>Next run</dt>
          <dd>
            <Exactly at={nextAt} none="never" />
          </dd>
        </div>
        <div>
          <dt>Last run</dt>
          <dd>
            <Exactly at={lastAt} none="none yet" />
            {lastRun && <a href={linkTo(["runs", lastRun])}>Open the run</a>}
          </dd>
        </div>
        <div>
          <dt>While the one before goes on</dt>
          <dd>
            {overlap === "skip" ? "skipped" : "started beside it"}
            {skippedAt && (
              <span class="soft">
                last skipped <Time at={skippedAt} />
              </span>
            )}
          </dd>
        </div>
      </dl>
    </section>
  );
}

/** A time as people say it, and beside it the exact one. */
function Exactly({ at, none }: { at: string | null; none: string }) {
  if (at === null) return <>{none}</>;
  return (
    <>
      <Time at={at} />
      <span class="soft">{at.replace("T", " ").replace(/(:00)?(\.\d+)?Z$/, " UTC")}</span>
    </>
  );
}
