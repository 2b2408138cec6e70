import { useState } from "preact/hooks";
import type { Limit, LimitKey, LimitList } from "../../http/api.ts";
import { path, send } from "../api.ts";
import { confirm } from "../parts/dialog.tsx";
import { duration, now, number } from "../parts/format.ts";
import { attempt, say } from "../parts/notes.tsx";
import { PollNote, usePoll } from "../parts/poll.tsx";
import { route, setQuery } from "../route.ts";
import { Gauge } from "./gauge.tsx";
import { busiest } from "./limit-change.ts";
import { LimitForm } from "./limit-form.tsx";
import "../parts/cards.css";
import "./limits.css";

const POLL_MS = 1_000;
const MOST_SHOWN = 100;
/** With fewer keys than these nobody looks for one. */
const FEW = 6;
const EXAMPLE = 'serve({ limits: { llm: { requests: 500, per: "1m", concurrency: 50 } } })';

/** The limits of the Worker, as they are used right now. */
export function LimitsPage() {
  const polled = usePoll<LimitList>(path("limits"), POLL_MS);
  const limits = polled.value?.limits;
  const change = (changed: Limit) =>
    polled.take({ limits: (limits ?? []).map((limit) => (limit.name === changed.name ? changed : limit)) });
  return (
    <>
      <h1>Limits</h1>
      <PollNote polled={polled} />
      {limits?.length === 0 && (
        <p class="empty">
          There is no limit yet: <code>{EXAMPLE}</code>
        </p>
      )}
      {limits?.map((limit) => (
        <LimitCard key={limit.name} limit={limit} onChange={change} />
      ))}
    </>
  );
}

function LimitCard({ limit, onChange }: { limit: Limit; onChange(limit: Limit): void }) {
  /** Whose form is open; null stands for all keys. */
  const [edited, edit] = useState<string | null | undefined>();
  const { name, keys } = limit;
  const text = route.value.query.get("key") ?? "";
  const found = busiest(keys, text);
  return (
    <section class="card">
      <header>
        <h2>
          <bdi>{name}</bdi>
        </h2>
        {keys.length > 1 && <span class="soft">{number(keys.length)} keys</span>}
        <div class="buttons">
          <button type="button" onClick={() => edit(null)}>
            Edit…
          </button>
          <button type="button" onClick={() => reset(limit, onChange)}>
            Reset…
          </button>
        </div>
      </header>
      {keys.length > FEW && (
        <input
          type="search"
          value={text}
          placeholder="Find a key"
          aria-label={`Find a key of ${name}`}
          onInput={(event) => setQuery({ key: event.currentTarget.value })}
        />
      )}
      <ul class="limit-keys">
        {found.slice(0, MOST_SHOWN).map((key) => (
          <KeyRow key={key.key} of={key} isOnly={keys.length === 1} onEdit={() => edit(key.key)} />
        ))}
      </ul>
      {found.length > MOST_SHOWN && (
        <p class="soft">
          The {MOST_SHOWN} busiest keys; {number(found.length - MOST_SHOWN)} more are not shown.
        </p>
      )}
      {found.length === 0 && <p class="soft">{keys.length === 0 ? "Not used yet." : "No key has this in its name."}</p>}
      {edited !== undefined && (
        <LimitForm limit={limit} of={edited} onChange={onChange} onClose={() => edit(undefined)} />
      )}
    </section>
  );
}

function KeyRow({ of, isOnly, onEdit }: { of: LimitKey; isOnly: boolean; onEdit(): void }) {
  const { key, requests, tokens, concurrency, used, inFlight, waiting, periodMs } = of;
  return (
    <li>
      {!(isOnly && key === "") && (
        <div class="limit-key">
          {key === "" ? <b>all</b> : <bdi class="mono">{key}</bdi>}
          <button type="button" class="small" aria-label={`Edit the key ${key || "all"}`} onClick={onEdit}>
            Edit…
          </button>
        </div>
      )}
      <div class="gauges">
        <Gauge label={`Requests per ${duration(periodMs).replace(".0", "")}`} used={used.requests} bound={requests} />
        <Gauge label={`Tokens per ${duration(periodMs).replace(".0", "")}`} used={used.tokens} bound={tokens} />
        <Gauge label="In flight" used={inFlight} bound={concurrency} />
        <div class="gauge">
          <span class="soft">Waiting</span>
          <b>{number(waiting)}</b>
          <Cooldown until={of.cooldownUntil} />
        </div>
      </div>
    </li>
  );
}

function Cooldown({ until }: { until: string | null }) {
  const seconds = until === null ? 0 : Math.ceil((Date.parse(until) - now.value) / 1_000);
  if (seconds <= 0) return null;
  return (
    <span class="chip deferred" title={until ?? ""}>
      <span aria-hidden="true">❄</span> cooling down for {number(seconds)} s
    </span>
  );
}

async function reset({ name }: Limit, onChange: (limit: Limit) => void): Promise<void> {
  const isSure = await confirm({
    title: `Reset ${name}?`,
    text: "All its keys get the bounds of the configuration back. What was changed here is gone.",
    yes: "Reset",
  });
  if (!isSure) return;
  const limit = await attempt(() => send<Limit>("POST", path("limits", name, "reset")));
  if (!limit) return;
  onChange(limit);
  say(`${name} is as it was configured`);
}
