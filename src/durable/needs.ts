import { describeType } from "../core/errors.ts";
import type { LimitUse } from "../core/options.ts";

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

/** A key is part of an object's name. */
export const LONGEST_KEY = 200;

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

/** Where the needs of a step's items are read from. */
interface NeedsPages {
  needs(step: number, index: number): { first: number; needs: StoredNeeds[] };
  allNeeds(step: number): Iterable<StoredNeeds>;
}

/** What the items of one step need. */
export class StepNeeds {
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
    const stored = dependOnItem(this.#limits) ? this.#stored(index) : null;
    if (typeof stored === "string") return { all: [], fault: stored };
    const all = this.#limits.map(({ name: limit }, at) => ({
      limit,
      key: stored === null ? "" : String(stored[2 * at]),
      tokens: stored === null ? 0 : Number(stored[2 * at + 1]),
    }));
    return { all, fault: null };
  }

  /** For each item what tells its line from others': items of one line wait for the same budgets. Nothing where all do. */
  lineKeys(): string[] | null {
    if (this.#limits.every(({ key }) => key === undefined)) return null;
    return Array.from(this.#pages.allNeeds(this.#step), (stored) =>
      Array.isArray(stored) ? JSON.stringify(stored.filter((_, at) => at % 2 === 0)) : "",
    );
  }

  #stored(index: number): StoredNeeds | null {
    const { first, needs } = this.#page;
    if (index < first || index >= first + needs.length) this.#page = this.#pages.needs(this.#step, index);
    return this.#page.needs[index - this.#page.first] ?? null;
  }
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
