import { LONGEST_KEY } from "../core/budget.ts";
import { describeType } from "../core/errors.ts";
import type { LimitUse } from "../core/options.ts";
import type { Chunks } from "./chunks.ts";

/** What one call needs of one limit. */
export interface Need {
  limit: string;
  key: string;
  tokens: number;
}

/** What an item needs of each of its node's limits, in their order, or why that cannot be said. */
export type Needs = { all: readonly Need[]; fault: string | null };

/** Needs as they are stored, for a node whose items differ in them: keys and tokens in turn, or the fault. */
export type StoredNeeds = readonly (string | number)[] | string;

export function isKey(value: unknown): value is string {
  return typeof value === "string" && value.length <= LONGEST_KEY;
}

/** Asks the node's own functions what an item needs. What they throw is the item's fault, not the run's. */
export function storedNeeds(limits: readonly LimitUse[], item: unknown): StoredNeeds {
  const needs: (string | number)[] = [];
  for (const use of limits) {
    try {
      needs.push(keyOf(use, item), tokensOf(use, item));
    } catch (error) {
      return `What the item needs of limit \`${use.name}\` could not be told: ${String(error)}`;
    }
  }
  return needs;
}

/** What items need, by the numbers that they have in their group. */
export interface NeedsReader {
  of(number: number): Needs;
  /** For each item what tells its line from others': items of one line wait for the same budgets. Nothing where all do. */
  lineKeys(): string[] | null;
  /** The same for an item that joins later. */
  lineKey(number: number): string;
  /** An item is settled. */
  forget(number: number): void;
}

/** Where the needs of a step's items are read from. */
interface NeedsPages {
  needs(step: number, index: number): { first: number; needs: StoredNeeds[] };
  allNeeds(step: number): Iterable<StoredNeeds>;
}

/** What the items of one step of a batch node need. */
export class StepNeeds implements NeedsReader {
  readonly #pages: NeedsPages;
  readonly #step: number;
  readonly #limits: readonly LimitUse[];
  /** Of one page: items are asked for in order. */
  #page: { first: number; needs: StoredNeeds[] } = { first: 0, needs: [] };

  constructor(pages: NeedsPages, step: number, limits: readonly LimitUse[]) {
    this.#pages = pages;
    this.#step = step;
    this.#limits = limits;
  }

  of(index: number): Needs {
    return needsOf(this.#limits, dependOnItem(this.#limits) ? this.#stored(index) : null);
  }

  lineKeys(): string[] | null {
    if (!haveKeys(this.#limits)) return null;
    return Array.from(this.#pages.allNeeds(this.#step), lineKeyOf);
  }

  lineKey(index: number): string {
    return lineKeyOf(this.#stored(index));
  }

  /** For each item what tells it from others with which it cannot share a call; nothing where all can. */
  chunkKeys(): string[] | null {
    if (!dependOnItem(this.#limits)) return null;
    // One whose needs could not be told fails by itself.
    return Array.from(this.#pages.allNeeds(this.#step), (needs, index) =>
      typeof needs === "string" ? `${index}` : lineKeyOf(needs),
    );
  }

  forget(): void {
    // Its items are read from their pages, and none is kept.
  }

  #stored(index: number): StoredNeeds | null {
    const { first, needs } = this.#page;
    if (index < first || index >= first + needs.length) this.#page = this.#pages.needs(this.#step, index);
    return this.#page.needs[index - this.#page.first] ?? null;
  }
}

/** What the calls of a step need that take a chunk of its items each: of each limit one request, and all of their tokens. */
export class ChunkNeeds implements NeedsReader {
  readonly chunks: Chunks;
  readonly #items: StepNeeds;

  constructor(chunks: Chunks, items: StepNeeds) {
    this.chunks = chunks;
    this.#items = items;
  }

  of(number: number): Needs {
    const [first, ...others] = this.chunks.openIn(number).map((index) => this.#items.of(index));
    if (!first) return { all: [], fault: null };
    const sum = (need: Need, at: number) =>
      others.reduce((tokens, { all }) => tokens + (all[at]?.tokens ?? 0), need.tokens);
    return { ...first, all: first.all.map((need, at) => ({ ...need, tokens: sum(need, at) })) };
  }

  lineKeys(): string[] | null {
    if (this.#items.lineKeys() === null) return null;
    return Array.from({ length: this.chunks.count }, (_, number) => this.lineKey(number));
  }

  /** Items of different keys are never in one chunk. */
  lineKey(number: number): string {
    return this.#items.lineKey(this.chunks.firstOf(number));
  }

  forget(): void {
    this.#items.forget();
  }
}

/** What the single items of a plain node's open steps need, by their steps. */
export class SoloNeeds implements NeedsReader {
  readonly #limits: readonly LimitUse[];
  readonly #known = new Map<number, StoredNeeds>();

  constructor(limits: readonly LimitUse[]) {
    this.#limits = limits;
  }

  learn(step: number, needs: StoredNeeds): void {
    this.#known.set(step, needs);
  }

  of(step: number): Needs {
    return needsOf(this.#limits, this.#known.get(step) ?? null);
  }

  lineKeys(): null {
    return null;
  }

  lineKey(step: number): string {
    return haveKeys(this.#limits) ? lineKeyOf(this.#known.get(step) ?? null) : "";
  }

  forget(step: number): void {
    this.#known.delete(step);
  }
}

function needsOf(limits: readonly LimitUse[], stored: StoredNeeds | null): Needs {
  if (typeof stored === "string") return { all: [], fault: stored };
  const all = limits.map(({ name: limit }, at) => ({
    limit,
    key: stored === null ? "" : String(stored[2 * at]),
    tokens: stored === null ? 0 : Number(stored[2 * at + 1]),
  }));
  return { all, fault: null };
}

function haveKeys(limits: readonly LimitUse[]): boolean {
  return limits.some(({ key }) => key !== undefined);
}

function lineKeyOf(stored: StoredNeeds | null): string {
  return Array.isArray(stored) ? JSON.stringify(stored.filter((_, at) => at % 2 === 0)) : "";
}

/** Whether items of a node differ in what they need. */
export function dependOnItem(limits: readonly LimitUse[]): boolean {
  return limits.some(({ key, tokens }) => key !== undefined || tokens !== undefined);
}

function keyOf({ name, key }: LimitUse, item: unknown): string {
  const got: unknown = key ? key(item) : "";
  if (isKey(got)) return got;
  const what = typeof got === "string" ? `${got.length} characters` : describeType(got);
  throw new TypeError(
    `Expected the key of limit \`${name}\` to be a string of up to ${LONGEST_KEY} characters, got ${what}`,
  );
}

function tokensOf({ name, tokens }: LimitUse, item: unknown): number {
  const got: unknown = tokens ? tokens(item) : 0;
  if (typeof got === "number" && got >= 0 && got < Number.POSITIVE_INFINITY) return Math.ceil(got);
  const what = typeof got === "number" ? String(got) : describeType(got);
  throw new TypeError(`Expected the tokens of limit \`${name}\` to be a number, 0 or more, got ${what}`);
}
