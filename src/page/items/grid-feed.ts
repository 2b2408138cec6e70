import { signal } from "@preact/signals";
import type { Grid } from "../../http/api.ts";
import { get, path, search } from "../api.ts";
import { ItemGrid, type Moves } from "./grid.ts";
import type { ItemsSource } from "./items-view.tsx";
import { Paced } from "./paced.ts";

/** It is read again at most this often. */
const PACE_MS = 1_000;

/** The grid of one node's items, kept as the live news tells. */
export class GridFeed {
  readonly grid = signal<ItemGrid | null>(null);
  /** The cells that the latest news has changed. */
  readonly changed = signal<readonly number[]>([]);
  /** How many items have each status, by its code. */
  readonly counts = signal<readonly number[]>([]);
  readonly error = signal<string | null>(null);
  readonly #reading = new Paced(PACE_MS, () => this.#read());
  readonly #where: string;
  /** What has moved while the grid is being read: the answer may be from before it. */
  #meanwhile: Moves[] = [];

  constructor(id: string, node: string) {
    this.#where = `${path("runs", id, "grid")}${search({ node })}`;
  }

  /** Keeps it as the news tells, once it was read. Gives what ends that for good. */
  follow(live: ItemsSource): () => void {
    const leave = live.onMoved((news) => (news === "stale" ? this.refresh() : this.#take(news)));
    return () => {
      leave();
      this.#reading.stop();
    };
  }

  /** Reads it, or reads it again. */
  refresh(): void {
    this.#reading.ask();
  }

  #take(moves: Moves): void {
    this.#meanwhile.push(moves);
    const grid = this.grid.peek();
    const cells = grid?.apply(moves) ?? [];
    if (!grid || cells.length === 0) return;
    this.changed.value = cells;
    this.counts.value = [...grid.counts];
  }

  async #read(): Promise<void> {
    this.#meanwhile = [];
    try {
      const grid = new ItemGrid(await get<Grid>(this.#where));
      for (const moves of this.#meanwhile) grid.apply(moves);
      this.grid.value = grid;
      this.counts.value = [...grid.counts];
      this.error.value = null;
    } catch (error) {
      this.error.value = (error as Error).message;
    }
    this.#meanwhile = [];
  }
}
