import { toJson } from "../core/codec.ts";
import { ChunkItems } from "./chunk-items.ts";
import type { ItemId } from "./items.ts";
import type { Pages } from "./pages.ts";
import type { Store } from "./store.ts";
import type { Try } from "./try-store.ts";
import { type ItemView, iso, itemsOf } from "./view.ts";
import type { Walk } from "./walk.ts";

/** One item, with what it was given and what it has behind it. */
export interface ItemDetail extends ItemView {
  /** When a deferred item is due; nothing where that is not known. */
  nextAt: string | null;
  /** JSON text. */
  input: string;
  tries: TryView[];
}

/** One call of exec that did not bring a result, or whose executor was lost. */
export interface TryView {
  startedAt: string | null;
  finishedAt: string;
  outcome: "failed" | "lost";
  error: Try["error"];
}

/** All that is known of one item; nothing where there is no such item. */
export function itemDetail(walk: Walk, store: Store, pages: Pages, { step, index }: ItemId): ItemDetail | undefined {
  const row = walk.step(step) ?? store.steps.step(step);
  if (!row || index >= row.total) return undefined;
  const [item] = itemsOf(walk, store, row, index, null);
  const [stack] = item?.status === "failed" ? store.items.from(step, index, "failed") : [];
  const view = item as ItemView;
  return {
    ...view,
    ...(stack && view.error ? { error: { ...view.error, ...stackOf(stack.body as string) } } : {}),
    nextAt: view.status === "deferred" ? iso(dueOf(walk, store, { step, index })) : null,
    input: toJson(pages.item(step, index)),
    tries: store.tries.of(step, index).map(viewTry),
  };
}

/** Where a permit is waited for, nobody knows until when. */
function dueOf({ ledger }: Walk, store: Store, id: ItemId): number | null {
  const group = ledger.group(id.step);
  return group instanceof ChunkItems
    ? store.chunks.dueOf(id.step, group.firstOf(id))
    : store.items.dueOf(id.step, id.index);
}

function stackOf(body: string): { stack?: string } {
  const { stack } = JSON.parse(body) as { stack?: string };
  return stack === undefined ? {} : { stack };
}

function viewTry({ startedMs, finishedMs, error }: Try): TryView {
  return {
    startedAt: iso(startedMs),
    finishedAt: iso(finishedMs) as string,
    outcome: error === null ? "lost" : "failed",
    error,
  };
}
