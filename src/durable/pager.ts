import { sleep } from "../core/attempt.ts";
import { encode } from "../core/codec.ts";
import { isAsyncIterable, isIterable, notIterable } from "../core/items.ts";
import type { BaseNode } from "../core/node.ts";
import type { LimitUse } from "../core/options.ts";
import { dependOnItem, type StoredNeeds, storedNeeds } from "./needs.ts";
import type { Store } from "./store.ts";
import { checkLength } from "./text.ts";

/** A page holds at most this many items, and about this much text. */
const PAGE_ITEMS = 1000;
const PAGE_TEXT = 250_000;
/** So much text of items one call takes, so that it passes through a call between objects (32 MiB, two bytes a unit). */
const CALL_TEXT = 8_000_000;
/** A source that gives no item for so long is stuck. */
const STALL_MS = 60_000;

/** Stores a step's items in pages as they come, so that no more than one page of them is in memory twice. */
export class Pager {
  readonly #store: Store;
  readonly #step: number;
  readonly #node: BaseNode;
  readonly #id: string;
  readonly #limits: readonly LimitUse[];
  readonly #areNeedsStored: boolean;
  readonly #isOver: () => boolean;
  readonly #batchSize: number | null;
  /** The items with which a call begins because the one before could not take them; and how much text the latest has. */
  #begun: number[] = [];
  #callText = 0;
  #page: string[] = [];
  #needs: StoredNeeds[] = [];
  #text = 0;
  #total = 0;
  #isDone = false;

  constructor(
    store: Store,
    step: number,
    node: BaseNode,
    { id, limits, batchSize }: { id: string; limits: readonly LimitUse[]; batchSize: number | null },
    isOver: () => boolean,
  ) {
    this.#store = store;
    this.#step = step;
    this.#node = node;
    this.#id = id;
    this.#limits = limits;
    this.#batchSize = batchSize;
    this.#areNeedsStored = dependOnItem(limits);
    this.#isOver = isOver;
  }

  /** Adds all items of an iterable at once, or of an async iterable as it gives them. */
  addAll(items: unknown): undefined | Promise<void> {
    if (items === undefined || items === null) return undefined;
    if (isIterable(items)) for (const item of items) this.add(item);
    else if (isAsyncIterable(items)) return Promise.race([this.#addAsync(items), this.#stall()]);
    else throw notIterable(items, this.#node);
    return undefined;
  }

  add(item: unknown): void {
    const what = `item ${this.#total} of ${this.#id}`;
    const text = checkLength(encode(item, what), what);
    if (this.#batchSize !== null) this.#measure(text.length, this.#batchSize);
    this.#page.push(text);
    if (this.#areNeedsStored) this.#needs.push(storedNeeds(this.#limits, item));
    this.#text += text.length;
    this.#total++;
    if (this.#page.length >= PAGE_ITEMS || this.#text >= PAGE_TEXT) this.#turn();
  }

  /** Stores the last page; returns how many items there are. */
  end(): number {
    if (this.#page.length > 0) this.#turn();
    return this.#total;
  }

  async #addAsync(items: AsyncIterable<unknown>): Promise<void> {
    for await (const item of items) {
      if (this.#isOver()) break;
      this.add(item);
    }
    this.#isDone = true;
  }

  /** Rejects when a whole minute passes in which no item comes. */
  async #stall(): Promise<void> {
    for (let before = -1; before !== this.#total && !this.#isDone; ) {
      before = this.#total;
      await sleep(STALL_MS);
    }
    if (this.#isDone || this.#isOver()) return;
    throw new Error(
      `Expected prep of ${this.#id} to go on giving items, got none for ${STALL_MS / 1000} s after item ${this.#total}`,
    );
  }

  #measure(text: number, batchSize: number): void {
    const isFirst = this.#total % batchSize === 0;
    if (!isFirst && this.#callText + text > CALL_TEXT) this.#begun.push(this.#total);
    else if (!isFirst) {
      this.#callText += text;
      return;
    }
    this.#callText = text;
  }

  #turn(): void {
    if (this.#begun.length > 0) this.#store.chunks.begin(this.#step, this.#begun);
    this.#begun = [];
    this.#store.items.addPage(this.#step, this.#total - this.#page.length, this.#page, this.#needs);
    this.#page = [];
    this.#needs = [];
    this.#text = 0;
  }
}
