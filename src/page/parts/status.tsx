import type { ItemCounts, ItemStatus, RunStatus } from "../../http/api.ts";
import "./status.css";

type Status = ItemStatus | RunStatus;

/** Colour alone is not seen by everybody: each status has a sign too. */
const SIGNS: { [status in Status]: string } = {
  queued: "○",
  pending: "○",
  running: "▶",
  waiting: "◷",
  deferred: "◷",
  paused: "⏸",
  succeeded: "✓",
  completed: "✓",
  failed: "✕",
  canceled: "⊘",
};

export function Chip({ status, label = status }: { status: Status; label?: string }) {
  return (
    <span class={`chip ${status}`}>
      <span aria-hidden="true">{SIGNS[status]}</span> {label}
    </span>
  );
}

/** In the order in which a bar shows them. */
export const BAR: readonly ItemStatus[] = ["succeeded", "failed", "canceled", "running", "deferred", "pending"];

/** How far items are, as one bar of their statuses. */
export function Bar({ items, label = "Items" }: { items: ItemCounts; label?: string }) {
  const settled = items.succeeded + items.failed + items.canceled;
  const said = BAR.filter((status) => items[status] > 0).map((status) => `${items[status]} ${status}`);
  return (
    <div
      class="bar"
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={items.total}
      aria-valuenow={settled}
      aria-valuetext={said.join(", ") || "no items yet"}
    >
      {BAR.map((status) => (
        <span key={status} class={status} style={{ flexGrow: items[status] }} />
      ))}
    </div>
  );
}
