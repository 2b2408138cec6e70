import { MESSAGE_TEXT } from "./protocol.ts";
import type { HeldItem, Store } from "./store.ts";

/** So much text of single items is kept until they are claimed. */
const MOST_KEPT = 4_000_000;
/** So many pages of a step are kept: claims go through them in order, but branches ask for their params again and again. */
const MOST_PAGES = 16;

interface Page {
  first: number;
  items: string[];
}

/** Reads items as prep stored them. */
export class Pages {
  readonly #store: Store;
  /** The latest pages of each step, the very latest first. */
  readonly #latest = new Map<number, Page[]>();
  /** Single items that were stored a moment ago. */
  readonly #kept = new Map<number, string>();
  #keptText = 0;

  constructor(store: Store) {
    this.#store = store;
  }

  /** The one item of a plain node's step, which will soon be wanted. */
  keep(step: number, item: string): void {
    if (this.#keptText + item.length > MOST_KEPT) return;
    this.#kept.set(step, item);
    this.#keptText += item.length;
  }

  /** A step is done: its items are wanted no more. */
  forget(step: number): void {
    this.#latest.delete(step);
    this.#keptText -= this.#kept.get(step)?.length ?? 0;
    this.#kept.delete(step);
  }

  item(step: number, index: number): string {
    const pages = this.#latest.get(step) ?? [];
    const page = pages[0] && has(pages[0], index) ? pages[0] : pages.find((known) => has(known, index));
    if (page) return page.items[index - page.first] as string;
    return this.#kept.get(step) ?? this.#read(step, index);
  }

  /** Tells of each item in turn whether the claim is full with it, and with those that are executed together with it. */
  meter(membersOf: (item: HeldItem) => readonly number[]): (item: HeldItem) => boolean {
    let text = 0;
    return (item) => {
      for (const index of membersOf(item)) text += this.item(item.step, index).length;
      return text > MESSAGE_TEXT;
    };
  }

  #read(step: number, index: number): string {
    const page = this.#store.items.page(step, index);
    if (!page) return this.#store.items.solo(step);
    this.#latest.set(step, [page, ...(this.#latest.get(step) ?? [])].slice(0, MOST_PAGES));
    return page.items[index - page.first] as string;
  }
}

function has({ first, items }: Page, index: number): boolean {
  return index >= first && index < first + items.length;
}
