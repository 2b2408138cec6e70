import { batch, signal } from "@preact/signals";
import type { RunList, RunSummary } from "../../http/api.ts";
import { get, search } from "../api.ts";
import { merge, queryOf, type RunFilter, type RunNews } from "./runs-list.ts";

const PAGE = 50;
/** Of more rows, for which new runs care in the long life of a tab, only the first page stays. */
const MOST = 1_000;

/** The runs of one filter: those that are loaded, kept up to date. */
export class RunRows {
  /** Nothing until the API has answered. */
  readonly rows = signal<RunSummary[] | null>(null);
  readonly cursor = signal<string | null>(null);
  readonly isLoading = signal(false);
  /** Why the API did not answer last. */
  readonly fault = signal<string | null>(null);
  readonly #filter: RunFilter;
  #asked = new AbortController();
  /** What was told while the API was asked: its answer may be older. */
  #meanwhile: RunNews[] = [];

  constructor(filter: RunFilter) {
    this.#filter = filter;
  }

  /** Reads again what is loaded. */
  load(): Promise<void> {
    const loaded = this.rows.peek()?.length ?? 0;
    return this.#ask(Math.min(MOST, Math.max(PAGE, loaded)), null);
  }

  more(): Promise<void> {
    return this.#ask(PAGE, this.cursor.peek());
  }

  take(news: RunNews): void {
    const rows = this.rows.peek();
    if (this.isLoading.peek()) this.#meanwhile.push(news);
    if (rows === null) return;
    const next = this.#merge(rows, news);
    if (next.length > MOST && next.length > rows.length) this.#ask(PAGE, null);
    else this.rows.value = next;
  }

  close(): void {
    this.#asked.abort();
  }

  async #ask(limit: number, cursor: string | null): Promise<void> {
    this.#asked.abort();
    this.#asked = new AbortController();
    const { signal } = this.#asked;
    this.#meanwhile = [];
    this.isLoading.value = true;
    try {
      const query = { ...queryOf(this.#filter, Date.now()), limit, cursor };
      const answer = await get<RunList>(`/runs${search(query)}`, signal);
      if (!signal.aborted) this.#put(answer, cursor !== null);
    } catch (error) {
      if (signal.aborted) return;
      batch(() => {
        this.fault.value = (error as Error).message;
        this.isLoading.value = false;
      });
    }
  }

  #put({ runs, cursor }: RunList, isMore: boolean): void {
    const before = isMore ? (this.rows.peek() ?? []) : [];
    const known = new Set(before.map(({ id }) => id));
    const all = [...before, ...runs.filter(({ id }) => !known.has(id))];
    batch(() => {
      this.fault.value = null;
      this.isLoading.value = false;
      this.cursor.value = cursor;
      this.rows.value = this.#meanwhile.reduce<RunSummary[]>((rows, news) => this.#merge(rows, news), all);
    });
  }

  #merge(rows: RunSummary[], news: RunNews): RunSummary[] {
    const hasMore = this.cursor.peek() !== null;
    return merge(rows, news, { filter: this.#filter, hasMore, nowMs: Date.now() });
  }
}
