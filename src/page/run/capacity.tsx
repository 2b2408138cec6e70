import type { Limit, NodeProgress, RunOutline } from "../../http/api.ts";
import { path } from "../api.ts";
import { duration, now } from "../parts/format.ts";
import { usePoll } from "../parts/poll.tsx";
import { Time } from "../parts/time.tsx";
import { linkTo } from "../route.ts";
import { Gauge } from "../views/gauge.tsx";

const POLL_MS = 2_000;

interface Props {
  run: RunOutline;
  nodes: ReadonlyMap<string, NodeProgress>;
}

/** What is in use of what the run may use: of its nodes with items under way, and of their limits. */
export function Capacity({ run, nodes }: Props) {
  if (run.status !== "running" && run.status !== "waiting") return null;
  const sleeping = new Set(run.waitsFor.map(({ node }) => node));
  const busy = [...nodes.values()].filter(
    ({ node, open, items }) => open > 0 && items.total > 0 && (items.running > 0 || !sleeping.has(node)),
  );
  const limits = [...new Set(busy.flatMap(({ limits }) => limits))];
  if (busy.length === 0) return null;
  return (
    <section class="capacity" aria-label="Concurrency and limits">
      {busy.map(({ node, items, concurrency }) => (
        <div key={node} class="capacity-card">
          <bdi>{node}</bdi>
          <Gauge label="In exec at once" used={items.running} bound={concurrency} />
        </div>
      ))}
      {limits.map((name) => (
        <LimitCard key={name} name={name} />
      ))}
    </section>
  );
}

function LimitCard({ name }: { name: string }) {
  const { value } = usePoll<Limit>(path("limits", name), POLL_MS);
  return (
    <>
      {value?.keys.map((key) => (
        <div key={key.key} class="capacity-card">
          <span>
            <a href={linkTo(["limits"])}>
              Limit <bdi>{name}</bdi>
            </a>{" "}
            <bdi class="soft">{key.key}</bdi>
          </span>
          <Gauge label="In flight" used={key.inFlight} bound={key.concurrency} />
          {key.requests !== null && (
            <Gauge label={`Requests per ${duration(key.periodMs)}`} used={key.used.requests} bound={key.requests} />
          )}
          {key.tokens !== null && (
            <Gauge label={`Tokens per ${duration(key.periodMs)}`} used={key.used.tokens} bound={key.tokens} />
          )}
          {key.cooldownUntil !== null && Date.parse(key.cooldownUntil) > now.value && (
            <span>
              Cooling down, on <Time at={key.cooldownUntil} />
            </span>
          )}
        </div>
      ))}
    </>
  );
}
