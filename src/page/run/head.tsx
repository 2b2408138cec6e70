import type { ComponentChildren } from "preact";
import type { RunOutline } from "../../http/api.ts";
import { Copy } from "../parts/copy.tsx";
import { duration, fromNow, now, number } from "../parts/format.ts";
import { BAR, Bar, Chip } from "../parts/status.tsx";
import { Time } from "../parts/time.tsx";
import { linkTo } from "../route.ts";
import { Actions } from "./actions.tsx";
import { Capacity } from "./capacity.tsx";
import type { RunLive } from "./live.ts";
import { isTerminal, settledOf } from "./merge.ts";
import { etaMs, rateOf } from "./pace.ts";
import { runLink } from "./tabs.tsx";
import { Clock, Waits } from "./waits.tsx";

interface Props {
  run: RunOutline;
  live: RunLive;
}

/** How the run is, in one look. */
export function RunHead({ run, live }: Props) {
  const asked = live.asked.value;
  return (
    <header class="run-head">
      <div class="run-title">
        <h1>
          <a href={linkTo(["flows", run.flow])}>
            <bdi>{run.flow}</bdi>
          </a>
        </h1>
        <Chip status={run.status} label={asked ?? run.status} />
        <bdi class="mono soft">{run.id}</bdi>
        <Copy text={() => run.id} label="Copy id" />
        {!live.problem.value?.isGone && <Actions run={run} live={live} />}
      </div>
      <Progress run={run} live={live} />
      <Waits run={run} live={live} />
      <Fault run={run} />
      {run.warnings.map((warning) => (
        <p key={warning} class="warning">
          <span aria-hidden="true">⚠</span> <bdi>{warning}</bdi>
        </p>
      ))}
      <Facts run={run} />
      <Capacity run={run} nodes={live.nodes.value} />
      <Redrives run={run} />
      <Deliveries run={run} />
    </header>
  );
}

function Progress({ run, live }: Props) {
  const { items } = run;
  const isOver = isTerminal(run);
  const rate = isOver || run.status === "paused" ? null : rateOf(live.marks.value, now.value);
  const eta = etaMs(items.total - settledOf(items), rate);
  return (
    <section aria-label="Progress">
      <Bar items={items} />
      <div class="counters">
        {BAR.map((status) => (
          <a key={status} class={`counter ${status}`} href={runLink(run.id, { tab: "items", status })}>
            <b>{number(items[status])}</b> {status}
          </a>
        ))}
        <a class="counter" href={runLink(run.id, { tab: "items" })}>
          <b>{number(items.total)}</b> in all
        </a>
        {!isOver && (
          <span class="pace">
            <b>{rate === null ? "–" : rate.toFixed(rate > 0 && rate < 10 ? 1 : 0)}</b> items/s ·{" "}
            <b>{eta === null ? "–" : duration(eta)}</b> left
          </span>
        )}
      </div>
    </section>
  );
}

function Facts({ run }: { run: RunOutline }) {
  const { trigger, startedAt, finishedAt, step } = run;
  const tookMs = startedAt && (finishedAt ? Date.parse(finishedAt) : now.value) - Date.parse(startedAt);
  return (
    <dl class="facts">
      <Fact name="Trigger">
        {trigger.type} {trigger.name !== null && <bdi>{trigger.name}</bdi>}
      </Fact>
      <Fact name="Created">
        <Time at={run.createdAt} />
      </Fact>
      <Fact name="Started">
        <Time at={startedAt} />
      </Fact>
      <Fact name="Duration">{tookMs === null ? "–" : duration(Number(tookMs))}</Fact>
      {step && (
        <Fact name="At">
          <bdi>{step.node}</bdi> · {step.phase}
        </Fact>
      )}
      {run.action !== null && (
        <Fact name="Action">
          <bdi>{run.action}</bdi>
        </Fact>
      )}
      {run.completionReason && <Fact name="Reason">{run.completionReason}</Fact>}
      <Fact name="Executions">{number(run.executions)}</Fact>
      <Fact name="Executors">{number(run.executors)}</Fact>
      {run.tokens > 0 && <Fact name="Tokens">{number(run.tokens)}</Fact>}
      {run.version !== null && (
        <Fact name="Version">
          <bdi>{run.version}</bdi>
        </Fact>
      )}
      {/* It may come and go each second: nothing else moves for it. */}
      {run.status === "waiting" && run.resumesAt !== null && run.waitsFor.length === 0 && (
        <Fact name="Waiting for a limit or a retry until">
          <Clock at={run.resumesAt} />
        </Fact>
      )}
    </dl>
  );
}

function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Fault({ run: { id, error } }: { run: RunOutline }) {
  if (!error) return null;
  const { node, branch, index, attempts } = error;
  return (
    <section class="run-fault" aria-label="Why it failed">
      <p>
        <b>
          <bdi>{error.name}</bdi>
        </b>
        {error.status !== undefined && ` (${error.status})`}: <bdi>{clipped(error.message)}</bdi>
      </p>
      {node !== null && (
        <p class="soft">
          Node <bdi>{node}</bdi>
          {branch && `, branch ${branch}`}
          {index !== null && `, item ${index}`}
          {attempts !== null && `, ${attempts} ${attempts === 1 ? "attempt" : "attempts"}`}
          {index !== null && (
            <>
              {" · "}
              <a href={runLink(id, { tab: "items", node, status: "failed" })}>Its failed items</a>
            </>
          )}
        </p>
      )}
    </section>
  );
}

const LONGEST_LINE = 600;

/** What is shown in a line: all of it is where it came from. */
export function clipped(text: string, most = LONGEST_LINE): string {
  return text.length > most ? `${text.slice(0, most)}…` : text;
}

function Redrives({ run: { redrives } }: { run: RunOutline }) {
  if (redrives.length === 0) return null;
  return (
    <details>
      <summary>
        {redrives.length} {redrives.length === 1 ? "redrive" : "redrives"}
      </summary>
      <ol>
        {redrives.map((redrive) => (
          <li key={redrive.at}>
            <Time at={redrive.at} />: was {redrive.status}
            {redrive.completionReason && ` (${redrive.completionReason})`}, {number(redrive.failed)} failed
          </li>
        ))}
      </ol>
    </details>
  );
}

function Deliveries({ run: { callback } }: { run: RunOutline }) {
  if (!callback) return null;
  const { origin, deliveries } = callback;
  return (
    <details open={deliveries.some(({ status }) => status !== "delivered")}>
      <summary>
        Callback to <bdi>{origin}</bdi>: {deliveries.map(({ status }) => status).join(", ") || "not told yet"}
      </summary>
      <ul>
        {deliveries.map((delivery) => (
          <li key={delivery.id}>
            {delivery.type}: <b>{delivery.status}</b>, {delivery.tries} {delivery.tries === 1 ? "try" : "tries"}
            {delivery.httpStatus !== null && `, answered ${delivery.httpStatus}`}
            {delivery.nextAt !== null && `, again ${fromNow(delivery.nextAt)}`}
            {delivery.error !== null && (
              <>
                {" · "}
                <bdi>{clipped(delivery.error)}</bdi>
              </>
            )}
          </li>
        ))}
      </ul>
    </details>
  );
}
