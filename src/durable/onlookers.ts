import type { KeptEvent } from "./event-store.ts";
import type { MovedItems } from "./moved.ts";
import { type NodeProgress, progressOf } from "./progress.ts";
import { Sockets } from "./sockets.ts";
import type { Store } from "./store.ts";
import type { RunOutline } from "./view.ts";
import type { Walk } from "./walk.ts";

/** What those who look at a run are told: at first all, then what has changed. */
export interface LiveNews {
  run?: Partial<RunOutline>;
  nodes?: NodeProgress[];
  moved?: MovedItems[];
  /** Too many items have moved to name them. */
  isStale?: true;
  /** What was emitted is in them as it was, and not as text. */
  events?: (Omit<KeptEvent, "data"> & { data?: unknown })[];
  deleted?: true;
}

/** The run, as those who look on see it. */
export interface Sight {
  outline(): RunOutline;
  nodes(): NodeProgress[];
  /** The steps that the run has come to. */
  steps(): number;
  /** What has moved since this was last asked, which is noted only while somebody looks on. */
  moved(): { moved: MovedItems[]; isStale: boolean };
  watch(isWatched: boolean): void;
  /** Events later than one, the first of them. */
  eventsAfter(id: number): KeptEvent[];
  lastEvent(): number;
}

export function sightOf(walk: Walk, store: Store, outline: () => RunOutline): Sight {
  return {
    outline,
    nodes: () => progressOf(walk, store),
    steps: () => walk.state.lastStep,
    moved: () => walk.ledger.moved.take(),
    watch: (isWatched) => {
      walk.ledger.moved.isWatched = isWatched;
    },
    eventsAfter: (id) => store.events.after(id),
    lastEvent: () => store.events.last,
  };
}

/** To tell how far nodes are, all steps are looked at: of very many not at each change. */
const FEW_STEPS = 2_000;
const MANY_STEPS_MS = 2_000;

/** Tells those who look at a run what has changed in it. An object that was away meanwhile tells all anew. */
export class Onlookers {
  readonly #sockets: Sockets;
  readonly #sight: () => Sight | null;
  #run: RunOutline | undefined;
  readonly #nodes = new Map<string, string>();
  #nodesMs = 0;
  #lastEvent: number | undefined;

  /** `sight` gives nothing where there is no run any more. */
  constructor(ctx: DurableObjectState, sight: () => Sight | null) {
    this.#sight = sight;
    this.#sockets = new Sockets(ctx, () => this.#news());
  }

  /** Somebody looks on. Others who do may not know all yet that this one is told: they are told all anew. */
  accept(sight: Sight): Response {
    const run = sight.outline();
    const nodes = this.#lookAtNodes(sight);
    if (this.#sockets.areOpen) this.renewed();
    else this.#begin(sight, run, nodes);
    return this.#sockets.accept({ run, nodes } satisfies LiveNews);
  }

  /** What was noted for those who looked on before is of no use to the next. */
  #begin(sight: Sight, run: RunOutline, nodes: readonly NodeProgress[]): void {
    sight.moved();
    sight.watch(true);
    this.#run = run;
    this.#nodes.clear();
    for (const each of nodes) this.#nodes.set(each.node, JSON.stringify(each));
    this.#lastEvent = sight.lastEvent();
  }

  changed(): void {
    this.#sockets.changed();
  }

  left(socket: WebSocket): void {
    this.#sockets.left(socket);
    if (!this.#sockets.areOpen) this.#sight()?.watch(false);
  }

  /** What has changed is not known: all is told anew. Those who look on were told of every event before this object was away. */
  renewed(): void {
    this.#run = undefined;
    this.#nodes.clear();
    this.#nodesMs = 0;
    if (this.#sockets.areOpen) this.#lastEvent ??= this.#sight()?.lastEvent();
    this.changed();
  }

  deleted(): void {
    this.#sockets.close({ deleted: true } satisfies LiveNews);
  }

  #news(): LiveNews | null {
    const sight = this.#sight();
    if (!sight) return null;
    const isAnew = this.#run === undefined;
    sight.watch(true);
    const news: LiveNews = {};
    this.#tellRun(sight, news);
    this.#tellNodes(sight, news);
    this.#tellItems(sight, news, isAnew);
    this.#tellEvents(sight, news);
    return Object.keys(news).length === 0 ? null : news;
  }

  #tellRun(sight: Sight, news: LiveNews): void {
    const before: { [field: string]: unknown } = { ...this.#run };
    this.#run = sight.outline();
    const isOther = ([field, value]: [string, unknown]) => JSON.stringify(before[field]) !== JSON.stringify(value);
    const changed = Object.entries(this.#run).filter(isOther);
    if (changed.length > 0) news.run = Object.fromEntries(changed);
  }

  #tellNodes(sight: Sight, news: LiveNews): void {
    const isOver = this.#run?.finishedAt !== null;
    if (!isOver && sight.steps() > FEW_STEPS && Date.now() < this.#nodesMs + MANY_STEPS_MS) {
      this.changed();
      return;
    }
    const changed = this.#lookAtNodes(sight).filter((each) => {
      const text = JSON.stringify(each);
      const isOther = this.#nodes.get(each.node) !== text;
      this.#nodes.set(each.node, text);
      return isOther;
    });
    if (changed.length > 0) news.nodes = changed;
  }

  #lookAtNodes(sight: Sight): NodeProgress[] {
    this.#nodesMs = Date.now();
    return sight.nodes();
  }

  #tellItems(sight: Sight, news: LiveNews, isAnew: boolean): void {
    const { moved, isStale } = sight.moved();
    if (isStale || isAnew) news.isStale = true;
    else if (moved.length > 0) news.moved = moved;
  }

  #tellEvents(sight: Sight, news: LiveNews): void {
    const events = sight.eventsAfter(this.#lastEvent ?? sight.lastEvent());
    this.#lastEvent = events.at(-1)?.id ?? sight.lastEvent();
    if (events.length === 0) return;
    news.events = events.map((event) => (event.type === "emit" ? { ...event, data: JSON.parse(event.data) } : event));
    // There may be more than are read at once.
    if (this.#lastEvent < sight.lastEvent()) this.changed();
  }
}
