import type { RunList, RunSummary, Webhook, WebhookList } from "../../http/api.ts";
import { path, search, urlOf } from "../api.ts";
import { Copy } from "../parts/copy.tsx";
import { duration, now } from "../parts/format.ts";
import { PollNote, usePoll } from "../parts/poll.tsx";
import { Chip } from "../parts/status.tsx";
import { Table } from "../parts/table.tsx";
import { Time } from "../parts/time.tsx";
import { linkTo } from "../route.ts";
import "../parts/cards.css";
import "./webhooks.css";

const POLL_MS = 5_000;
const SHOWN = 10;
const HEADS = { run: "Run", status: "Status", came: "Came", took: "Took" };
const EXAMPLE = 'serve({ webhooks: { orders: { verify: standardWebhooks({ secret }), flow: "order" } } })';

/** What somebody else's events start. */
export function WebhooksPage() {
  const polled = usePoll<WebhookList>(path("webhooks"), POLL_MS);
  const webhooks = polled.value?.webhooks;
  return (
    <>
      <h1>Webhooks</h1>
      <PollNote polled={polled} />
      {webhooks?.length === 0 && (
        <p class="empty">
          There is no webhook yet: <code>{EXAMPLE}</code>
        </p>
      )}
      {webhooks && webhooks.length > 0 && (
        <p class="soft">
          A delivery that is refused (401: a bad signature, or too old) starts no run and is not listed.
        </p>
      )}
      {webhooks?.map((webhook) => (
        <WebhookCard key={webhook.name} webhook={webhook} />
      ))}
    </>
  );
}

function WebhookCard({ webhook: { name, flow } }: { webhook: Webhook }) {
  const query = { trigger: "webhook", name };
  const polled = usePoll<RunList>(`${path("runs")}${search({ ...query, limit: SHOWN })}`, POLL_MS);
  const runs = polled.value?.runs;
  const url = urlOf(path("webhooks", name));
  return (
    <section class="card">
      <header>
        <h2>
          <bdi>{name}</bdi>
        </h2>
        <span>
          <span class="soft">starts </span>
          <a href={linkTo(["flows", flow])}>
            <bdi>{flow}</bdi>
          </a>
        </span>
      </header>
      <p class="webhook-url">
        <span class="soft">POST</span> <code>{url}</code>{" "}
        <Copy text={() => url} label="Copy" name={`Copy the URL of ${name}`} />
      </p>
      <PollNote polled={polled} />
      {runs?.length === 0 && <p class="soft">No delivery has started a run yet.</p>}
      {runs && runs.length > 0 && (
        <>
          <Table caption={`The last deliveries of ${name}`} heads={HEADS}>
            {runs.map((run) => (
              <Delivery key={run.id} run={run} />
            ))}
          </Table>
          <p>
            <a href={linkTo(["runs"], query)}>All its runs</a>
          </p>
        </>
      )}
    </section>
  );
}

function Delivery({ run: { id, status, createdAt, finishedAt } }: { run: RunSummary }) {
  const endMs = finishedAt === null ? now.value : Date.parse(finishedAt);
  return (
    <tr>
      <td>
        <a class="mono" href={linkTo(["runs", id])} title={id}>
          …{id.slice(-8)}
        </a>
      </td>
      <td>
        <Chip status={status} />
      </td>
      <td>
        <Time at={createdAt} />
      </td>
      <td>{duration(endMs - Date.parse(createdAt))}</td>
    </tr>
  );
}
