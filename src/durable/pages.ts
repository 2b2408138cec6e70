import { MESSAGE_TEXT } from "./protocol.ts";
import type { HeldItem, Store } from "./store.ts";

/** Reads items out of their pages. Claims go through a step in order, so the latest page of each step is kept. */
export class Pages {
  readonly #store: Store;
  readonly #latest = new Map<number, { first: number; items: string[] }>();

  constructor(store: Store) {
    this.#store = store;
  }

  item(step: number, index: number): string {
    const { first, items } = this.#page(step, index);
    return items[index - first] as string;
  }

  /** Tells of each item in turn whether the claim is full with it. */
  meter(): (item: HeldItem) => boolean {
    let text = 0;
    return ({ step, index }) => {
      text += this.item(step, index).length;
      return text > MESSAGE_TEXT;
    };
  }

  #page(step: number, index: number): { first: number; items: string[] } {
    const latest = this.#latest.get(step);
    if (latest && index >= latest.first && index < latest.first + latest.items.length) return latest;
    const page = this.#store.items.page(step, index);
    this.#latest.set(step, page);
    return page;
  }
}
