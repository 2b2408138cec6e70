import { DurableObject } from "cloudflare:workers";
import { toJson } from "../core/codec.ts";
import { groupErrors } from "../core/error-groups.ts";
import type { KeptEvent } from "./event-store.ts";
import { type Grid, gridOf } from "./grid.ts";
import { type ItemDetail, itemDetail } from "./item-detail.ts";
import { Onlookers, type Sight } from "./onlookers.ts";
import { Pages } from "./pages.ts";
import { type NodeProgress, progressOf } from "./progress.ts";
import type { Store } from "./store.ts";
import {
  type ItemPage,
  type ItemQuery,
  listItems,
  listResults,
  listSteps,
  type ResultPage,
  type StepPage,
} from "./view.ts";
import type { Walk } from "./walk.ts";

/** What can be asked of a run beside itself. Nothing is answered for one that was never started. */
export abstract class ReadableRun extends DurableObject {
  protected abstract readonly store: Store;

  /** The run in memory. */
  protected abstract get seen(): Walk | null;

  protected readonly onlookers = new Onlookers(this.ctx, () => this.sight());

  /** The run, as those who look on see it; nothing where there is none. */
  protected abstract sight(): Sight | null;

  /** Somebody looks at the run from now on, by a WebSocket. */
  override async fetch(): Promise<Response> {
    const sight = this.sight();
    return sight ? this.onlookers.accept(sight) : new Response(null, { status: 404 });
  }

  /** Whoever looks on only listens. */
  override webSocketMessage(): void {}

  override webSocketClose(socket: WebSocket): void {
    this.onlookers.left(socket);
  }

  items(query: ItemQuery): ItemPage | null {
    return this.seen && listItems(this.seen, this.store, query);
  }

  /** One item, with all that is known of it; nothing in it where the run has no such item. */
  item(step: number, index: number): { item: ItemDetail | null } | null {
    if (!this.seen) return null;
    return { item: itemDetail(this.seen, this.store, new Pages(this.store), { step, index }) ?? null };
  }

  results(node: string | null, step: number | null, from: number): ResultPage | null {
    return this.seen && listResults(this.seen, this.store, node, step, from);
  }

  nodes(): NodeProgress[] | null {
    return this.seen && progressOf(this.seen, this.store);
  }

  grid(node: string): Grid | null {
    return this.seen && gridOf(this.seen, this.store, node);
  }

  steps(from: number, limit: number): StepPage | null {
    return this.seen && listSteps(this.store, from, limit);
  }

  errors(): ReturnType<typeof groupErrors> | null {
    return this.seen && groupErrors(this.store.items.failures());
  }

  /** The kept events after one, in order. */
  log(after: number): KeptEvent[] | null {
    return this.seen && this.store.events.after(after);
  }

  /** What the run was started with, as JSON text; nothing in it where an earlier version has started it. */
  input(): { text: string | null } | null {
    if (!this.seen) return null;
    return { text: this.store.longText.has("input") ? toJson(this.store.longText.get("input")) : null };
  }
}
