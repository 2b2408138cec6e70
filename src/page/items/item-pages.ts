import { signal } from "@preact/signals";
import type { Item, ItemList } from "../../http/api.ts";
import { print } from "../parts/print.ts";

/** What the table shows of an item: results may be long, and there may be a hundred thousand of them. */
export interface Row {
  /** The number of the page that it came with. */
  page: number;
  step: number;
  index: number;
  node: string;
  branch: string;
  status: Item["status"];
  attempts: number;
  startedAt: string | null;
  /** How long it took; null where it has not both started and finished. */
  ms: number | null;
  /** Its error, or else its result: the start of it. */
  text: string;
}

interface Page {
  /** What it was asked for by. */
  cursor: string | null;
  /** What the next is asked for by; null where there is none. */
  next: string | null;
  rows: Row[];
  isStale: boolean;
}

const MOST_TEXT = 200;
/** Pages read again at once: of a table that is sorted, each row that is seen may be of another. */
const MOST_REREAD = 3;

/** The items that some filters let through, as many pages of them as were asked for. */
export class ItemPages {
  readonly rows = signal<readonly Row[]>([]);
  readonly isComplete = signal(false);
  readonly error = signal<string | null>(null);
  readonly #read: (cursor: string | null) => Promise<ItemList>;
  #pages: Page[] = [];
  #isLoading = false;

  constructor(read: (cursor: string | null) => Promise<ItemList>) {
    this.#read = read;
  }

  /** Reads the next page, unless one is being read, or there is none. */
  async more(): Promise<void> {
    if (this.#isLoading || this.isComplete.peek()) return;
    const last = this.#pages.at(-1);
    await this.#load(this.#pages.length, last?.next ?? null);
  }

  /** Items have moved: what is known of them may be old. */
  spoil(): void {
    for (const page of this.#pages) page.isStale = true;
  }

  /** Reads again what may be old of the pages that are seen. Gives whether some are left. */
  async refresh(seen: Iterable<number>): Promise<boolean> {
    if (this.#isLoading) return true;
    const stale = [...new Set(seen)].filter((at) => this.#pages[at]?.isStale);
    for (const at of stale.slice(0, MOST_REREAD)) {
      const page = this.#pages[at];
      if (page) await this.#load(at, page.cursor);
    }
    return stale.length > MOST_REREAD;
  }

  get last(): number {
    return this.#pages.length - 1;
  }

  async #load(at: number, cursor: string | null): Promise<void> {
    this.#isLoading = true;
    try {
      const { items, cursor: next } = await this.#read(cursor);
      const page = { cursor, next, rows: items.map((item) => rowOf(item, at)), isStale: false };
      this.#put(at, page);
      this.error.value = null;
    } catch (error) {
      this.error.value = (error as Error).message;
    }
    this.#isLoading = false;
  }

  /** Where a page ends elsewhere than before, what follows it is no longer what follows: that is read again when it is seen. */
  #put(at: number, page: Page): void {
    const hasMoved = this.#pages[at]?.next !== page.next;
    this.#pages = hasMoved ? [...this.#pages.slice(0, at), page] : this.#pages.with(at, page);
    this.rows.value = this.#pages.flatMap(({ rows }) => rows);
    this.isComplete.value = this.#pages.at(-1)?.next === null;
  }
}

function rowOf(item: Item, page: number): Row {
  const { step, index, node, branch, status, attempts, startedAt, finishedAt } = item;
  const ms = startedAt !== null && finishedAt !== null ? Date.parse(finishedAt) - Date.parse(startedAt) : null;
  return { page, step, index, node, branch, status, attempts, startedAt, ms, text: textOf(item) };
}

function textOf({ error, result }: Item): string {
  if (error) return short(`${error.name}: ${error.message}`);
  if (result === undefined) return "";
  return short(typeof result === "string" ? result : print(result, 2 * MOST_TEXT));
}

/** One line, and a text of its own: a part of a text would keep all of it in memory. */
function short(text: string): string {
  return [
    ...text
      .slice(0, 2 * MOST_TEXT)
      .replace(/\s+/g, " ")
      .slice(0, MOST_TEXT),
  ].join("");
}
