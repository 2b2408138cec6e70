import type { Grid, ItemStatus } from "../../http/api.ts";

/** The statuses by their codes: what a cell holds is the place of its status here. */
export const STATUSES = ["pending", "running", "deferred", "succeeded", "failed", "canceled"] as const;
/** The code of each letter, by the letter's own. */
const CODES = new Uint8Array(128);
for (const [code, status] of STATUSES.entries()) CODES[status.charCodeAt(0)] = code;

export type Place = { step: number; index: number };
export type Moves = readonly { step: number; status: ItemStatus; indexes: readonly number[] }[];

/** The statuses of all items of a node: a cell each, in the order of steps and of what is in them. A byte an item. */
export class ItemGrid {
  readonly node: string;
  readonly cells: Uint8Array;
  /** How many items have each status, by its code. */
  readonly counts: number[] = STATUSES.map(() => 0);
  /** The steps in order, and the first cell of each. */
  readonly #steps: number[] = [];
  readonly #firsts: number[] = [];

  constructor({ node, steps }: Grid) {
    this.node = node;
    const letters: string[] = [];
    let size = 0;
    for (const entry of steps) {
      this.#steps.push(entry[0]);
      this.#firsts.push(size);
      letters.push(entry[1]);
      size += entry[1].length;
    }
    this.cells = codesOf(letters.join(""));
    for (const code of this.cells) this.counts[code] = (this.counts[code] as number) + 1;
  }

  get size(): number {
    return this.cells.length;
  }

  statusOf(cell: number): ItemStatus {
    return STATUSES[this.cells[cell] ?? 0] as ItemStatus;
  }

  /** Where an item is; nothing where there is no such item here. */
  cellOf({ step, index }: Place): number | undefined {
    const at = lastUpTo(this.#steps, step);
    if (this.#steps[at] !== step) return undefined;
    const cell = (this.#firsts[at] as number) + index;
    return cell < (this.#firsts[at + 1] ?? this.size) ? cell : undefined;
  }

  placeOf(cell: number): Place {
    const at = lastUpTo(this.#firsts, cell);
    return { step: this.#steps[at] as number, index: cell - (this.#firsts[at] as number) };
  }

  /** Takes over what has moved; gives the cells that are others now. Items of other nodes are none of its own. */
  apply(moves: Moves): number[] {
    const changed: number[] = [];
    for (const { step, status, indexes } of moves) {
      const code = STATUSES.indexOf(status);
      for (const index of indexes) {
        const cell = this.cellOf({ step, index });
        if (cell === undefined || this.cells[cell] === code) continue;
        this.#count(this.cells[cell] as number, -1);
        this.#count(code, 1);
        this.cells[cell] = code;
        changed.push(cell);
      }
    }
    return changed;
  }

  #count(code: number, by: number): void {
    this.counts[code] = (this.counts[code] ?? 0) + by;
  }
}

function codesOf(letters: string): Uint8Array {
  const codes = new Uint8Array(letters.length);
  for (let at = 0; at < codes.length; at++) codes[at] = CODES[letters.charCodeAt(at)] as number;
  return codes;
}

/** The place of the last value that is at most `wanted`, in values that grow; -1 where there is none. */
function lastUpTo(values: readonly number[], wanted: number): number {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((values[middle] as number) <= wanted) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
